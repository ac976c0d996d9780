"""Code that all nodes share: state, context, events, and calls to models."""
