"""What the nodes of a question share: its state, context, events, and how a model is asked."""
