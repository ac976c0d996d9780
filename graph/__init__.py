"""The state graph: all nodes and edges in `council`, all routing decisions in `edges`."""
