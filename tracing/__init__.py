"""Traces: local ones without a network, and LangSmith if its key is set. Keys are removed."""
