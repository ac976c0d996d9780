"""The application: routes, and what goes in and out around them."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mom_council.errors import MixtureError
from mom_council.server.body import IGNORED_HEADER
from mom_council.server.chat import chat
from mom_council.server.errors import Refusal, dumps, to_error_response
from mom_council.server.messages import count_tokens, messages
from mom_council.server.readiness import Readiness
from mom_council.server.request_log import RequestLog
from mom_council.server.requests import REPLAYED_HEADER, Visitor, operator_of, state_of, visitor_of
from mom_council.server.responses import responses, stored_response
from mom_council.server.state import ServerState
from mom_council.server.streams import ClientGone

Act = Callable[[Request, Visitor], Awaitable[Response]]

OWNER = "mixture-of-models"


def make_app(server: ServerState, *, mounted: bool = False) -> FastAPI:
    """The application of a server.

    Args:
        server: what its requests share.
        mounted: whether it is part of another server, whose own routes are left alone.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if mounted:
            await server.open()
        try:
            yield
        finally:
            if mounted:
                await server.close()

    # Its pages of documentation would load scripts from elsewhere.
    app = FastAPI(
        title="Mixture of Models",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.server, app.state.readiness = server, Readiness(server)
    for path, method, act in (
        ("/v1/chat/completions", "POST", chat),
        ("/v1/responses", "POST", responses),
        ("/v1/responses/{name}", "GET", stored_response),
        ("/v1/responses/{name}", "DELETE", stored_response),
        ("/v1/messages", "POST", messages),
        ("/v1/messages/count_tokens", "POST", count_tokens),
        ("/v1/models", "GET", models),
        ("/v1/models/{name}", "GET", model),
        ("/metrics", "GET", metrics),
        ("/version", "GET", version),
        ("/admin/reload", "POST", reload_all),
    ):
        answer = _guarded(act, path)
        app.add_route(path, answer, methods=[method], include_in_schema=False)
        if path.startswith("/v1") and not mounted:
            # Clients whose base URL has no /v1 at its end.
            app.add_route(path[3:], answer, methods=[method], include_in_schema=False)
    app.add_route("/health", health, methods=["GET"], include_in_schema=False)
    app.add_route("/ready", ready, methods=["GET"], include_in_schema=False)
    if not mounted:
        app.add_middleware(RequestLog)
        app.add_exception_handler(HTTPException, _nowhere)
    return app


def _guarded(act: Act, path: str) -> Callable[[Request], Awaitable[Response]]:
    """An act behind the door: who comes is looked at, and every failure is told in one shape."""

    async def answer(request: Request) -> Response:
        server = state_of(request)
        try:
            visitor = operator_of if path.startswith("/admin") else visitor_of
            response = await act(request, visitor(request))
        except ClientGone:
            server.metrics.left.inc()
            response = Response(status_code=499)
        except Exception as error:
            refusal = to_error_response(error, candid=server.settings.candid)
            response = refusal.response(anthropic=path.startswith("/v1/messages"))
        if getattr(request.state, "replayed", False) and response.status_code == 200:
            response.headers[REPLAYED_HEADER] = "true"
        if ignored := getattr(request.state, "ignored", ""):
            response.headers[IGNORED_HEADER] = ignored
        server.metrics.requests.labels(path, str(response.status_code)).inc()
        return response

    return answer


async def health(request: Request) -> Response:
    """Whether the server is up. It says nothing else, and asks for no key."""
    return _json({"status": "ok"})


async def ready(request: Request) -> Response:
    """Whether questions can be answered: 200, or 503. Strangers read no names."""
    report = await request.app.state.readiness.report()
    try:
        visitor_of(request)
    except Refusal:
        report = {name: report[name] for name in ("status", "database")}
    status = 200 if report["status"] == "ready" else 503
    return Response(dumps(report), status, media_type="application/json")


async def version(request: Request, visitor: Visitor) -> Response:
    """Which version serves, on what."""
    ours = importlib.metadata.version("mom-council")
    return _json({"version": ours, "python": platform.python_version()})


async def reload_all(request: Request, visitor: Visitor) -> Response:
    """Read councils and keys anew, as SIGHUP does; answers under way go on.

    Raises:
        Refusal: this server cannot, or what it reads is wrong; then nothing has changed.
    """
    server = state_of(request)
    if server.reload is None:
        raise Refusal(501, "This server cannot reload; start it again.", code="not_reloadable")
    try:
        await server.reload()
    except MixtureError as error:
        raise Refusal(409, f"Nothing was reloaded: {error}", code="reload_failed") from None
    councils = await server.catalogue.councils()
    return _json({"reloaded": True, "councils": councils, "keys": server.keys.names})


async def models(request: Request, visitor: Visitor) -> Response:
    """Every council; with `?methods=true` each one's other ways to count votes too."""
    catalogue = state_of(request).catalogue
    wants_methods = request.query_params.get("methods", "").lower() in ("1", "true", "yes")
    names = await (catalogue.names() if wants_methods else catalogue.councils())
    data = [_listed(name, await catalogue.created(name)) for name in names]
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return _json({"object": "list", "data": data, "has_more": False, **ends})


async def model(request: Request, visitor: Visitor) -> Response:
    """One of them."""
    catalogue = state_of(request).catalogue
    served = await catalogue.find(request.path_params["name"])
    return _json(_listed(served.model, await catalogue.created(served.model)))


async def metrics(request: Request, visitor: Visitor) -> Response:
    """What Prometheus reads."""
    return Response(state_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _listed(name: str, created: int) -> dict[str, Any]:
    """A model as OpenAI's clients read it, and Anthropic's."""
    at = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    ours = {"id": name, "object": "model", "created": created, "owned_by": OWNER}
    return {**ours, "type": "model", "display_name": name, "created_at": at}


def _json(value: Any) -> Response:
    return Response(dumps(value), media_type="application/json")


async def _nowhere(request: Request, error: Exception) -> Response:
    """A wrong address, or a wrong method, in the same shape as everything else."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = dict(getattr(error, "headers", None) or {})
    refusal = Refusal(
        status,
        f"Unknown request: there is no {request.method} at this address. There are "
        "POST /v1/chat/completions, POST /v1/responses, POST /v1/messages, GET /v1/models, "
        "/health, /ready, /version and /metrics.",
        code="unknown_url" if status == 404 else None,
        headers=headers,
    )
    return refusal.response()
