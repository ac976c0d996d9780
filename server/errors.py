"""Refusals and JSON: in OpenAI's shape, strict, quick, and bounded in depth.

A refusal has a status, a sentence, a type and a code; never a trace, never a key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import Response

from mom_council.errors import (
    BudgetError,
    CouncilError,
    InputError,
    MixtureError,
    ModelError,
    QuorumError,
    StorageError,
    ThermalError,
    ThreadBusyError,
)
from mom_council.models.images import PictureError
from mom_council.redaction import logger
from mom_council.server.request_log import request_id


def dumps(value: Any) -> bytes:
    """A value as JSON."""
    return orjson.dumps(value)


def canonical(value: Any) -> bytes:
    """A value as JSON, the same for each order of its fields."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def loads(text: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, is nested beyond reason, or holds halves of characters.
    """
    return orjson.loads(text)


_log = logger(__name__)

_FIELD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")

_KINDS = {401: "invalid_request_error", 429: "rate_limit_error"}

_ANTHROPIC_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}

_TELLING: dict[type[MixtureError], tuple[int, str, str]] = {
    QuorumError: (503, "quorum_missed", "too few of the council's models answered"),
    BudgetError: (503, "budget_spent", "the question's budget ran out before an answer"),
    ThermalError: (503, "too_hot", "the hardware stayed too hot to answer"),
    ModelError: (503, "model_unavailable", "a model of the council did not answer"),
    ThreadBusyError: (
        409,
        "thread_busy",
        "a question is being answered in this thread; wait for its answer",
    ),
    StorageError: (500, "storage_failed", "the thread cannot be kept or read"),
    PictureError: (400, "invalid_image", "a picture of the question cannot be used"),
    InputError: (400, "invalid_value", "the question's settings cannot be used"),
    CouncilError: (500, "council_wrong", "the council cannot sit as it is written"),
    MixtureError: (500, "not_decided", "the council could not decide"),
}
"""What each error is to a client: status, code, and the words for those who may not know more."""


class Refusal(Exception):  # noqa: N818 - said, not raised at a programmer
    """A request that is not answered, as the client is told."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        limit: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.limit = limit
        """The limit that was reached, for the figures of `/metrics`."""
        self.headers = dict(headers or {})
        kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
        self.error = {"message": message, "type": kind, "param": param, "code": code}

    @property
    def body(self) -> dict[str, Any]:
        """The body as OpenAI words it, with the id of the request that is answered."""
        return {"error": self.error, **_request()}

    @property
    def anthropic_body(self) -> dict[str, Any]:
        """The body as Anthropic words it."""
        usual = "invalid_request_error" if self.status < 500 else "api_error"
        kind = _ANTHROPIC_KINDS.get(self.status, usual)
        return {"type": "error", "error": {**self.error, "type": kind}, **_request()}

    def response(self, *, anthropic: bool = False) -> Response:
        """The HTTP response, in OpenAI's shape or Anthropic's."""
        body = dumps(self.anthropic_body if anthropic else self.body)
        return Response(body, self.status, self.headers, media_type="application/json")


def _request() -> dict[str, str]:
    return {"request_id": name} if (name := request_id()) else {}


def wrong(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """A request that cannot be answered as it is."""
    return Refusal(400, message, param=param, code=code)


def unsupported(param: str, message: str) -> Refusal:
    """A thing that OpenAI has and this endpoint has not."""
    return Refusal(400, message, param=param, code="unsupported_parameter")


def validation_error(
    error: ValidationError, raw: Any, *, fields: Collection[str] | None = None
) -> Refusal:
    """The first thing that is wrong with a request's body, by its path. Its value is not told.

    Args:
        error: what is wrong.
        raw: the body as it came. A path follows it: the types that were tried are no part of it.
        fields: the fields of the body whose faults count; None: all of them.
    """
    faults = [
        (_place_in(raw, fault), fault)
        for fault in error.errors(include_input=False, include_url=False)
        if fields is None or fault["loc"][0] in fields
    ]
    place, first = faults[0]
    # Of the types that a value may have, the one that fits best has its fault deepest inside.
    for other, fault in faults:
        if len(other) > len(place) and other[: len(place)] == place:
            place, first = other, fault
    where = field_path(place) or "body"
    kind, message = first["type"], first["msg"]
    if kind == "extra_forbidden":
        return Refusal(400, f"Unknown parameter: '{where}'.", param=where, code="unknown_parameter")
    if kind in ("missing", "union_tag_not_found"):
        return Refusal(
            400,
            f"Missing required parameter: '{where}'.",
            param=where,
            code="missing_required_parameter",
        )
    message = message.removeprefix("Value error, ")
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return Refusal(400, f"Invalid value for '{where}': {message}.", param=where, code=code)


def to_error_response(error: BaseException, *, candid: bool) -> Refusal:
    """What a client is told of an error, whichever it is.

    Args:
        error: what was raised.
        candid: whether the client may read what the owner of the server reads: on this machine.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MixtureError):
        status, code, words = _telling(error)
        if not candid:
            _log.warning("%s: %s", code, error)
        # Asked again at once it would cost the same again and fail the same way.
        return Refusal(
            status,
            str(error) if candid else f"{words}; the server's log says more",
            code=code,
            headers={"x-should-retry": "false"},
        )
    _log.error("a request failed", exc_info=error)
    return Refusal(
        500,
        "the server failed at this request; its log says more",
        code="internal_error",
        headers={"x-should-retry": "false"},
    )


def error_code(error: BaseException) -> str:
    """What an error is called to a client."""
    if isinstance(error, Refusal):
        return error.error["code"] or "refused"
    return _telling(error)[1] if isinstance(error, MixtureError) else "internal_error"


def _telling(error: MixtureError) -> tuple[int, str, str]:
    return next(_TELLING[kind] for kind in type(error).__mro__ if kind in _TELLING)


def _place_in(raw: Any, fault: ErrorDetails) -> tuple[int | str, ...]:
    """The place of a fault in the body itself."""
    place: list[int | str] = []
    here: Any = raw
    steps = fault["loc"]
    for number, step in enumerate(steps, 1):
        is_key = isinstance(here, dict) and step in here
        is_index = isinstance(here, list) and isinstance(step, int) and step < len(here)
        if is_key or is_index:
            here = here[step]
        elif number < len(steps) or fault["type"] != "missing":
            continue
        place.append(step)
    if fault["type"].startswith("union_tag"):
        named = str(fault.get("ctx", {}).get("discriminator", "")).strip("'")
        place.append(named if named.isidentifier() else "type")
    return tuple(place)


def field_path(place: Iterable[int | str]) -> str:
    """A path as OpenAI writes it: messages[0].content.

    A name that a client made up goes into headers and logs, so a strange one is left out.
    """
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _FIELD_NAME.fullmatch(step):
            path += f".{step}" if path else step
    return path[:200]
