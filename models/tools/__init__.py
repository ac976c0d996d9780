"""Tools that models may call: which are allowed, how they are opened and called, and the loop."""
