"""The private parts that we use of MCP's SDK: the server below FastMCP, on our own streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server.fastmcp import FastMCP


async def run_on_streams(server: FastMCP[Any], read: Any, write: Any) -> None:
    """Serve one client on a pair of streams, as `FastMCP.run_stdio_async` does on stdin, stdout."""
    low = server._mcp_server
    await low.run(read, write, low.create_initialization_options())


NO_SUCH_RESOURCE = -32002
"""MCP's own code; the SDK would send 0, which is no code of JSON-RPC's."""


def send_error_codes(server: FastMCP[Any]) -> None:
    """Answer a wrong address or prompt with the code that MCP's specification has for it."""
    from mcp.types import INVALID_PARAMS, GetPromptRequest, ReadResourceRequest

    handlers = server._mcp_server.request_handlers
    for kind, code in ((ReadResourceRequest, NO_SUCH_RESOURCE), (GetPromptRequest, INVALID_PARAMS)):
        handlers[kind] = _with_code(handlers[kind], code)


def _with_code(
    handler: Callable[[Any], Awaitable[Any]], code: int
) -> Callable[[Any], Awaitable[Any]]:
    from mcp.shared.exceptions import McpError
    from mcp.types import ErrorData

    async def answer(request: Any) -> Any:
        try:
            return await handler(request)
        except ValueError as error:
            raise McpError(ErrorData(code=code, message=str(error))) from None

    return answer
