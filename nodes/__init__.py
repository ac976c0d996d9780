"""Who acts: one file a node; the function is the file's name, and so is the node in Studio."""
