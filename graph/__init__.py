"""The page: every node and every edge in `council`, every decision in `edges`."""
