"""Traces: local ones without a network, and LangSmith if it is switched on. Keys are removed."""
