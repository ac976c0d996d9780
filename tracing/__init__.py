"""Traces: local ones without any network, and LangSmith where its key is set; without keys."""
