"""The gate of the chat page: only its own pages, or holders of its token, reach it.

Streamlit takes a websocket from any page whose Origin is the same as its Host, so a name that is
pointed at 127.0.0.1 could read every trace and ask every council.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mom_council.runs.http_guard import (
    BodyTooLargeError,
    any_host,
    fault_in_sender,
    is_loopback_host,
    limited,
)

TOKEN = "MOM_UI_TOKEN"  # noqa: S105 - a variable's name
"""The variable with the token; unset: the page answers on this machine alone."""
COOKIE = "mom_token"
MOST_BYTES = 80 * 2**20
"""Of one request: an upload, and what is around it."""


class Gate:
    """An application behind the gate."""

    def __init__(self, app: ASGIApp, token: str = "") -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at a request, or at a websocket, before the page sees it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._pass(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        fault = fault_in_sender(scope, any_host if self._token else is_loopback_host)
        if fault is not None:
            return PlainTextResponse(fault, 403)
        if not self._token or self._has_cookie(scope):
            return None
        return self._take_token(scope)

    def _has_cookie(self, scope: Scope) -> bool:
        cookie = SimpleCookie()
        try:
            cookie.load(Headers(scope=scope).get("cookie", ""))
        except CookieError:
            return False
        sent = cookie[COOKIE].value if COOKIE in cookie else ""
        return self._is_token(sent)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    def _take_token(self, scope: Scope) -> Response:
        """Turn the token of an address into a cookie, so that no address keeps it."""
        pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        sent = next((value for name, value in pairs if name == "token"), "")
        if scope["type"] != "http" or scope["method"] != "GET" or not self._is_token(sent):
            return PlainTextResponse("Open the address that `mom ui` printed.", 401)
        rest = urlencode([pair for pair in pairs if pair[0] != "token"])
        path = "/" + scope["path"].lstrip("/\\")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return response

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def marked(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                headers = MutableHeaders(scope=message)
                headers["x-frame-options"] = "SAMEORIGIN"
                headers["referrer-policy"] = "same-origin"
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, limited(receive, MOST_BYTES), marked)
        except BodyTooLargeError:
            if not began:
                large = PlainTextResponse("The body is too large.", 413, {"connection": "close"})
                await large(scope, receive, send)
