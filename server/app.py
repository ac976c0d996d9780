"""The application: its routes, what is done around each request, and whether it can answer.

`/ready` says whether the server is warm, its database is reached, and the models of its councils
too. These checks cost nothing: a statement that reads no table, a list of installed models, a
connection that is opened and closed. They run once in some seconds, however many ask.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mom_council.councils.schema import Council
from mom_council.doctor.council import unreachable_models
from mom_council.errors import MixtureError
from mom_council.models.clients import loop_resources
from mom_council.models.providers import open_model
from mom_council.models.resolved import resolve_model
from mom_council.redaction import logger
from mom_council.runs.tables import Tables
from mom_council.server.body import IGNORED_HEADER
from mom_council.server.chat import chat
from mom_council.server.errors import Refusal, dumps, to_error_response
from mom_council.server.messages import count_tokens, messages
from mom_council.server.request_log import RequestLog
from mom_council.server.requests import REPLAYED_HEADER, Visitor, operator_of, state_of, visitor_of
from mom_council.server.responses import responses, stored_response
from mom_council.server.state import ServerState
from mom_council.server.streams import ClientGone
from mom_council.vendors import vendor_of

_log = logger(__name__)

FRESH = 5.0
"""Seconds for which a look counts."""
PATIENCE = 4.0
"""Seconds that one thing may take to answer."""


async def warm_up(server: ServerState) -> None:
    """Do before the first question what it would wait for: graphs, packages, clients of models.

    Weights are not loaded: on one GPU a council's models may have no place beside each other.
    What cannot be opened is said in the log, and asked for again by the first question.
    """
    for name in server.catalogue.named:
        try:
            council = (await server.catalogue.find(name)).council
            await _open_models(council)
        except Exception as error:
            _log.warning("council %r is not warm: %s", name, error)


async def _open_models(council: Council) -> None:
    resources = await loop_resources()
    for key in council.models:
        model = resolve_model(council, key)
        if vendor_of(model.settings.provider).engine is None and not model.is_person:
            try:
                await open_model(resources, model.settings)
            except MixtureError as error:
                _log.warning("model %r of %r is not warm: %s", key, council.name, error)


class Readiness:
    """What `/ready` says.

    Args:
        server: whose.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._looking = asyncio.Lock()
        self._report: dict[str, Any] = {}
        self._looked: float | None = None

    async def report(self) -> dict[str, Any]:
        """The state of the database and of each council that was named; `ready`: all are usable."""
        async with self._looking:
            now = time.monotonic()
            if self._looked is None or now - self._looked >= FRESH:
                self._report = await self._look()
                self._looked = time.monotonic()
            return self._report

    async def _look(self) -> dict[str, Any]:
        catalogue = self._server.catalogue
        database, *councils = await asyncio.gather(
            self._database(), *(self._council(name) for name in catalogue.named)
        )
        by_name = dict(zip(catalogue.named, councils, strict=True))
        is_ready = database != "unreachable" and all(one["ready"] for one in by_name.values())
        status = "ready" if is_ready else "not ready"
        return {"status": status, "database": database, "councils": by_name}

    async def _database(self) -> str:
        saver = self._server.opened_saver
        if saver is None:
            return "not used"
        try:
            async with asyncio.timeout(PATIENCE):
                await Tables(saver).run("SELECT 1")
        except (MixtureError, TimeoutError) as error:
            _log.warning("the database is not reached: %s", error or "no answer in time")
            return "unreachable"
        return "ok"

    async def _council(self, name: str) -> dict[str, Any]:
        """Whether enough of a council's members can be asked."""
        try:
            async with asyncio.timeout(PATIENCE):
                council = (await self._server.catalogue.find(name)).council
                unreachable = await unreachable_models(council, os.environ)
        except (MixtureError, TimeoutError) as error:
            _log.warning("council %r cannot be looked at: %s", name, error or "no answer in time")
            return {"ready": False, "members": 0, "unreachable": []}
        able = [one for one in council.characters if _can_speak(council, one.model, unreachable)]
        for key, finding in unreachable.items():
            _log.info("model %r of council %r: %s", key, name, finding.says)
        return {
            "ready": len(able) >= council.deliberation.minimum,
            "members": len(able),
            "unreachable": sorted(unreachable),
        }


def _can_speak(council: Council, key: str, unreachable: Any) -> bool:
    """Whether a character's model, or one of its fallbacks, can be asked."""
    chain = resolve_model(council, key).chain
    return any(one.key not in unreachable and not one.is_person for one in chain)


RequestHandler = Callable[[Request, Visitor], Awaitable[Response]]

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


def _guarded(act: RequestHandler, path: str) -> Callable[[Request], Awaitable[Response]]:
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
