"""The rules of a council: how it is written, read and counted. Pure: no graph, no model."""
