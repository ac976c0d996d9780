"""Tools that models may call: which are allowed, taking them up, carrying calls out, the loop."""
