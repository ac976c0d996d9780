"""What runs: the state graph of a council, its edges, state, context and checkpoints."""
