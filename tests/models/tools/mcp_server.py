"""An MCP server of ours, for tests: over stdio, or with `http PORT`."""

from __future__ import annotations

import os
import sys

from mcp.server.fastmcp import FastMCP

server = FastMCP("test", port=int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
seen = 0


@server.tool()
def count(step: int) -> str:
    """Count on by a step."""
    global seen
    seen += step
    return f"counted {seen}"


@server.tool()
def environment(name: str) -> str:
    """Read a variable."""
    return os.environ.get(name, "unset")


@server.tool()
def die() -> str:
    """End at once."""
    os._exit(1)


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("it did not work")


if __name__ == "__main__":
    server.run("streamable-http" if len(sys.argv) > 2 else "stdio")
