"""All use of private parts of other libraries; nothing of them is used elsewhere."""
