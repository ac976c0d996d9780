"""Probing: what a model can do, found out by asking it, in each role of a council."""
