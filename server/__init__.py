"""The server: councils as models of an OpenAI-compatible endpoint, and as MCP tools."""
