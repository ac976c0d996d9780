"""Parts of requests: how strictly each is read.

A request's body: bounded in size and time, and JSON.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request

from mom_council.server.errors import Refusal, loads, misread, wrong


class Body(BaseModel):
    """A part of a request that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Part(BaseModel):
    """A part of a message. Clients send back what they got, with fields of all sorts."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)


B = TypeVar("B", bound=BaseModel)

SLOWEST = 60.0
"""Seconds that a body may take to come."""


async def read_body(request: Request, kind: type[B], most: int) -> B:
    """The body as what it is to be.

    Raises:
        Refusal: it is too large, too slow, no JSON, or not what it is to be.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # A form on a web page could send anything else from a visitor's browser.
        raise Refusal(415, "Send the body as Content-Type: application/json.")
    try:
        async with asyncio.timeout(SLOWEST):
            raw = await _read(request, most)
    except TimeoutError:
        raise Refusal(
            408, f"The body did not come within {SLOWEST:g} s.", headers={"Connection": "close"}
        ) from None
    return parsed(raw, kind)


def parsed(raw: bytes, kind: type[B]) -> B:
    """A body's bytes as what it is to be.

    Raises:
        Refusal: they are no JSON, or not that.
    """
    try:
        body: Any = loads(raw)
    except ValueError:
        raise wrong("We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise wrong("The body of a request is a JSON object.")
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise misread(error) from None


async def _read(request: Request, most: int) -> bytes:
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told) > most:
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
    return Refusal(
        413,
        f"The body is larger than {most:,} bytes.",
        code="request_too_large",
        headers={"Connection": "close"},
    )
