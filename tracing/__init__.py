"""Traces: local ones without any network, LangSmith where its key is set, and redaction in both."""
