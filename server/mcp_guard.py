"""Who may send what to the MCP tools over HTTP: keys, sessions, and bodies that are messages."""

from __future__ import annotations

import json
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.types import JSONRPCMessage
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mom_council.server.body import read_bytes
from mom_council.server.errors import Refusal, loads
from mom_council.server.requests import admitted
from mom_council.server.state import ServerState

OWNER = "council_owner"
"""Where a request's scope holds the name of its key."""
_RESUMES = b"last-event-id"


class GuardedApp:
    """An application behind the same door as the endpoint: keys, or this machine alone."""

    def __init__(self, app: ASGIApp, server: ServerState) -> None:
        self._app, self._server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at who comes, and whether what is sent is a message at all."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            scope[OWNER] = admitted(request, self._server.keys)
            if request.method == "POST":
                raw = await read_bytes(request, self._server)
                if answer := refuse_message(raw):
                    await JSONResponse(answer, 400)(scope, receive, send)
                    return
                receive = _again(raw, receive)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
            return

        # The library lets nobody else into a session, and forgets its owner with it.
        token = AccessToken(token="", client_id=scope[OWNER], scopes=[])
        scope["user"] = AuthenticatedUser(token)
        # Nothing is stored that a stream could go on from; the library fails where it is asked to.
        scope["headers"] = [one for one in scope["headers"] if one[0] != _RESUMES]
        await self._app(scope, receive, send)


def refuse_message(raw: bytes | str) -> dict[str, Any] | None:
    """The answer to what is no message; None where it is one.

    The library answers none that it cannot read, or as if the server had failed.
    """
    fields: Any = None
    try:
        loads(raw)
        fields = json.loads(raw)  # as the library reads it: it nests less deep
        JSONRPCMessage.model_validate(fields)
    except ValidationError:
        if isinstance(fields, list):
            return _refused(-32600, "Send one message a request: batches are not taken.")
        return _refused(
            -32600,
            "The body is no JSON-RPC message: it needs jsonrpc '2.0', a method, params that are an "
            "object, and an id that is a text or a whole number.",
            fields.get("id") if isinstance(fields, dict) else None,
        )
    except (ValueError, RecursionError):
        return _refused(-32700, "The body is not JSON, or is nested too deep.")
    return None


def _refused(code: int, words: str, name: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": words}
    is_name = isinstance(name, str) or (isinstance(name, int) and not isinstance(name, bool))
    return {"jsonrpc": "2.0", "id": name if is_name else None, "error": error}


def _again(raw: bytes, receive: Receive) -> Receive:
    """`receive`, which begins with a body that was read already."""
    parts: list[Message] = [{"type": "http.request", "body": raw, "more_body": False}]

    async def received() -> Message:
        return parts.pop() if parts else await receive()

    return received
