"""MCP servers: each is connected once for an event loop, and its tools are LangChain tools.

A program is started with this machine's plain environment and the variables that the council names
for it, none else. The connection lives in a task of its own, because whoever opened it must close
it. A server that does not answer any more is connected anew for the next answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Server
from mom_council.errors import CouncilError
from mom_council.models.clients import loop_resources
from mom_council.redaction import redact, remember_secret
from mom_council.vendors.profile import install_line

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

_PING = 5.0
"""Seconds that a connected server has to say that it is still there."""
_FAREWELL = 5.0


class ServerConnection:
    """One server, connected for as long as its task lives."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._over = asyncio.Event()
        self._ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold())
        self.tools: list[BaseTool] = []

    async def opened(self, timeout: float) -> None:  # noqa: ASYNC109 - its caller has no other
        """Wait until its tools are known.

        Raises:
            Exception: whatever kept it from being connected.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), timeout)
        except BaseException:
            self._task.cancel()
            raise

    async def answers(self) -> bool:
        """Whether it is still there."""
        if self._task.done() or not self._ready.done():
            return False
        try:
            async with asyncio.timeout(_PING):
                await self._ready.result().send_ping()
        except Exception:
            return False
        return True

    async def close(self) -> None:
        """Hang up; a program is ended."""
        self._over.set()
        await asyncio.wait({self._task}, timeout=_FAREWELL)
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_FAREWELL)

    async def _hold(self) -> None:
        connection: Any = dict(self._connection)
        if "url" in connection:
            connection["session_kwargs"] = {"message_handler": self._take_message}
        try:
            # Here too: with another version of the SDK an import fails, and somebody waits.
            from langchain_mcp_adapters.sessions import create_session
            from langchain_mcp_adapters.tools import load_mcp_tools

            async with create_session(connection) as session:
                await session.initialize()
                self.tools = await load_mcp_tools(session)
                self._ready.set_result(session)
                await self._over.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(_innermost(error))
                self._ready.exception()  # it is looked at, or nobody waits any more
            if not isinstance(error, Exception | BaseExceptionGroup):
                raise

    async def _take_message(self, message: Any) -> None:
        """Hear of an answer at the address that is none of MCP's: the SDK would wait on.

        What a program prints besides its messages is left aside, since it may speak after that.
        """
        if isinstance(message, Exception) and not self._ready.done():
            self._ready.set_exception(message)


async def server_tools(name: str, server: Server, timeout: float) -> list[BaseTool]:  # noqa: ASYNC109
    """The tools of a server, which is connected where it is not.

    Raises:
        CouncilError: it cannot be reached or started, or lacks a tool that is named.
    """
    connection = _connection(name, server)
    here = await loop_resources()
    key = (server.permission, *server.env, server.key_env)
    async with here.connecting:
        server_connection = here.servers.get(key)
        if server_connection is None or not await server_connection.answers():
            if server_connection is not None:
                await server_connection.close()
            server_connection = here.servers[key] = ServerConnection(connection)
            try:
                await server_connection.opened(timeout)
            except Exception as error:
                del here.servers[key]
                words = redact(str(error)).partition("\n")[0][:300]
                reason = "no answer" if isinstance(error, TimeoutError) else words
                raise CouncilError(
                    f"tool {name!r}: the MCP server {server.permission!r} cannot be used "
                    f"({type(error).__name__}: {reason})",
                    cure=install_line("mcp") if isinstance(error, ImportError) else "",
                ) from None
    if lacks := set(server.only) - {tool.name for tool in server_connection.tools}:
        raise CouncilError(
            f"tool {name!r}: the MCP server has no {sorted(lacks)}; "
            f"it has {[tool.name for tool in server_connection.tools]}"
        )
    return [tool for tool in server_connection.tools if not server.only or tool.name in server.only]


def _connection(name: str, server: Server) -> dict[str, Any]:
    with contextlib.suppress(ImportError):
        import langchain_mcp_adapters  # noqa: F401

        if server.url is None:
            program, *arguments = server.command
            environment = {one: os.environ[one] for one in server.env if one in os.environ}
            return {"transport": "stdio", "command": program, "args": arguments, "env": environment}
        key = os.environ.get(server.key_env, "") if server.key_env else ""
        if server.key_env and not key:
            raise CouncilError(
                f"tool {name!r} needs a key", cure=f"set the variable {server.key_env!r}"
            )
        remember_secret(key)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return {"transport": "streamable_http", "url": server.url, "headers": headers}
    raise CouncilError(f"tool {name!r} needs a package that is not here", cure=install_line("mcp"))


def _innermost(error: BaseException) -> BaseException:
    """The error that a group of tasks wraps."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Exception):
        return error
    return ConnectionError("the connection was closed")
