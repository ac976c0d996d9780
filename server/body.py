"""A request's body: bounded in size and time, JSON, and how strictly each part is read.

Clients' own tools: the synthesizer may ask for them, and the client runs them.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect, Request

from mom_council.models.tool_offer import ToolCall
from mom_council.server.errors import Refusal, canonical, field_path, loads, unsupported, wrong
from mom_council.server.leniency import R, read_request
from mom_council.server.state import ServerState


class Body(BaseModel):
    """A part of a request that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Part(BaseModel):
    """A part of a message. Clients send back what they got, with fields of all sorts."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)


SLOWEST = 60.0
"""Seconds that a body may take to come."""
IGNORED_HEADER = "x-mom-ignored"
"""Names the fields of the request that were not used."""
_HALVES = b"\\ud"
_REPLACEMENT = rb"\ufffd"
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
"""What a backslash begins in JSON: a whole character, half of one, or something else."""
MOST_IGNORED = 40
"""Fields that the header names."""


async def read_body(request: Request, kind: type[R], server: ServerState) -> R:
    """The body as what it is to be.

    Raises:
        Refusal: it is too large, too slow, no JSON, or not what it is to be.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # A form on a web page could send anything else from a visitor's browser.
        raise Refusal(415, "Send the body as Content-Type: application/json.")
    fields = _json_object(await read_bytes(request, server))
    request.state.body = canonical(fields)
    body = read_request(fields, kind, strict=server.settings.strict)
    if body.ignored:
        request.state.ignored = ", ".join(body.ignored[:MOST_IGNORED])
        server.log_ignored(body.ignored)
    return body


async def read_bytes(request: Request, server: ServerState) -> bytes:
    """The body as it came; unless the server is strict, with halves of characters mended.

    Raises:
        Refusal: it is too large or too slow.
    """
    try:
        async with asyncio.timeout(SLOWEST):
            raw = await _read(request, server.settings.most_bytes)
    except TimeoutError:
        raise Refusal(
            408, f"The body did not come within {SLOWEST:g} s.", headers={"Connection": "close"}
        ) from None
    return raw if server.settings.strict else _mended(raw)


def _mended(raw: bytes) -> bytes:
    """A body without the mark that some clients begin it with, and without halves of characters.

    JavaScript writes such a half where a text was cut in the middle of a character.
    """
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if _HALVES not in raw.lower():
        return raw
    return _ESCAPES.sub(lambda match: match[0] if match[1] is None else _REPLACEMENT, raw)


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        body: Any = loads(raw)
    except ValueError:
        raise _unreadable(raw) from None
    if not isinstance(body, dict):
        raise wrong("The body of a request is a JSON object.")
    return body


class _NoNumber(str):
    """What stands where JSON has no such number: `NaN`, or one that is too large."""


def _unreadable(raw: bytes) -> Refusal:
    """The refusal of what is no JSON; where a number alone is the fault, it names the field."""
    try:
        value = json.loads(
            raw, parse_constant=_NoNumber, parse_int=_bounded_int, parse_float=_bounded_float
        )
        place = next(_places_of_no_number(value), None)
    except (ValueError, RecursionError):
        place = None
    if place is None:
        return wrong("We could not parse the JSON body of your request.")
    where = field_path(place) or "body"
    return wrong(f"Invalid value for '{where}': JSON has no such number.", where, "invalid_value")


def _bounded_int(digits: str) -> Any:
    return int(digits) if len(digits) < 20 else _NoNumber(digits)


def _bounded_float(digits: str) -> Any:
    number = float(digits)
    return number if math.isfinite(number) else _NoNumber(digits)


def _places_of_no_number(value: Any, place: tuple[int | str, ...] = ()) -> Iterator[Any]:
    if isinstance(value, _NoNumber):
        yield place
    elif isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in inside:
            yield from _places_of_no_number(inner, (*place, step))


async def _read(request: Request, most: int) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
    except ClientDisconnect:
        raise Refusal(499, "the client has left") from None
    return b"".join(parts)


def _too_large(most: int) -> Refusal:
    """The refusal of a body of more than `most` bytes."""
    return Refusal(
        413,
        f"The body is larger than {most:,} bytes.",
        code="request_too_large",
        headers={"Connection": "close"},
    )


MOST_TOOLS = 128


class ToolDescription(Body):
    """A function, as its client describes it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ClientTool(Body):
    """A tool of the client's, as a chat names it."""

    type: Literal["function"]
    function: ToolDescription


class ResponsesTool(ToolDescription):
    """A tool of the client's, as /v1/responses names it."""

    type: Literal["function"]

    @property
    def function(self) -> ToolDescription:
        """The function in it."""
        return ToolDescription.model_validate(self.model_dump(exclude={"type"}))


def chosen(
    tools: Sequence[ClientTool | ResponsesTool] | None, choice: str | dict[str, Any] | None
) -> tuple[tuple[dict[str, Any], ...], bool]:
    """The tools to hand to the synthesizer, and whether it must call one.

    Raises:
        Refusal: there is no such choice, or too many tools.
    """
    if not tools:
        if choice not in (None, "none", "auto"):
            raise wrong("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
        return (), False
    if len(tools) > MOST_TOOLS:
        raise wrong(f"Invalid value for 'tools': at most {MOST_TOOLS}.", "tools", "invalid_value")
    functions = [_described(tool.function) for tool in tools]
    if choice == "none":
        return (), False
    if isinstance(choice, dict):
        if choice.get("type") != "function":
            raise unsupported("tool_choice", "Choose none, auto, required or a function.")
        inner = choice.get("function", choice)
        name = inner.get("name") if isinstance(inner, dict) else None
        functions = [one for one in functions if one["name"] == name]
        if not functions:
            raise wrong("'tool_choice' names no tool that there is.", "tool_choice")
    elif choice not in (None, "auto", "required"):
        raise wrong("'tool_choice' is none, auto, required or a function.", "tool_choice")
    must = isinstance(choice, dict) or choice == "required"
    return tuple({"type": "function", "function": one} for one in functions), must


def _described(function: ToolDescription) -> dict[str, Any]:
    described = function.model_dump(exclude_none=True)
    if not described.get("strict"):
        described.pop("strict", None)
    return described


def arguments_of(call: ToolCall) -> str:
    """What a call is made with, as clients read it: a JSON text."""
    return json.dumps(call.arguments or {}, ensure_ascii=False)


def in_chat(calls: Sequence[ToolCall], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Calls as a chat's message holds them; `names`: the client's names of renamed tools."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": names.get(call.tool, call.tool), "arguments": arguments_of(call)},
        }
        for call in calls
    ]


def in_responses(calls: Sequence[ToolCall], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Calls as items of a response; `names` as above."""
    return [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": names.get(call.tool, call.tool),
            "arguments": arguments_of(call),
            "status": "completed",
        }
        for call in calls
    ]


def not_called() -> Refusal:
    """The refusal of an answer where a call was asked for."""
    return Refusal(
        502,
        "The council answered in words, and a tool call was asked for.",
        code="tool_not_called",
        headers={"x-should-retry": "false"},
    )
