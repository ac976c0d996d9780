"""The graph's nodes: one file each; file, function and node in Studio have the same name."""
