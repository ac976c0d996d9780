"""What we take from the inside of MCP's SDK: the server below FastMCP, on streams of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server.fastmcp import FastMCP


async def run_on_streams(server: FastMCP[Any], read: Any, write: Any) -> None:
    """Serve one client on a pair of streams, as `FastMCP.run_stdio_async` does on stdin, stdout."""
    low = server._mcp_server
    await low.run(read, write, low.create_initialization_options())
