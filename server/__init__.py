"""The door for programs: councils as models of an OpenAI-compatible endpoint, and MCP tools."""
