"""Answers kept for identical requests: what identical means, and what is worth keeping.

Two requests are the same when nothing that reaches the model differs: provider, address, model,
every message, parameters, tools, schema. And one thing that does not reach it: the seat. Several
characters on one model are several samples of it; with one answer for all of them a council would
agree with itself. So each seat (node, name, round, layer) has its own answer, and the same question
asked again tomorrow gets the same diversity, for nothing.

Kept are whole answers alone: no error, no refusal, nothing that was cut off or cancelled, nothing
that shows a key. A cache that is broken, locked, full or read-only never costs an answer: it says
so once, and the model is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mom_council.councils.records import Record
from mom_council.councils.schema import Cache, Model
from mom_council.errors import StorageError
from mom_council.models.paths import cache_dir
from mom_council.models.redaction import redact
from mom_council.models.shelf import Shelf, Stats, TamperedError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_log = logging.getLogger(__name__)

_REST = 30.0
"""Seconds that a cache with which something is wrong is left alone."""

_VERSION = 1
"""Of what stands in the key and in the answer."""


class Kept(Record):
    """An answer as it lies in the cache."""

    text: str
    reasoning: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    message: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that decides an answer."""

    spec: Model
    address: str
    messages: Sequence[BaseMessage]
    params: Mapping[str, Any] | None
    schema: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]]
    seat: str

    @property
    def key(self) -> str:
        """Its name in the cache: the hash of its canonical JSON.

        Raises:
            TypeError: something in it is no JSON, so that it equals nothing.
        """
        spec = self.spec
        told = {
            "version": _VERSION,
            "provider": spec.provider,
            "address": self.address,
            "model": spec.model,
            "weights": _weights(spec),
            "context": spec.context,
            "structured": spec.structured,
            "native_tools": spec.tools,
            "params": {**spec.params, **(self.params or {})},
            "messages": [_told(message) for message in self.messages],
            "schema": self.schema,
            "tools": list(self.tools),
            "seat": self.seat,
        }
        written = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()


async def find(cache: Cache, request: Request) -> Kept | None:
    """The answer that lies there for a request, if one does; never raises."""
    shelf = Shelf(cache_dir())
    if _resting(shelf, "find"):
        return None
    try:
        return await asyncio.to_thread(_find, shelf, cache, request)
    except _TROUBLE as error:
        _say(shelf, "find", error)
        return None


async def keep(cache: Cache, request: Request, answer: Kept) -> None:
    """Lay down a whole answer; never raises."""
    shelf = Shelf(cache_dir())
    if _resting(shelf, "keep") or not _worth_keeping(answer):
        return
    try:
        await asyncio.to_thread(_keep, shelf, cache, request, answer)
    except _TROUBLE as error:
        _say(shelf, "keep", error)


def stats() -> Stats:
    """Count what the cache holds.

    Raises:
        StorageError: it cannot be read.
    """
    shelf = Shelf(cache_dir())
    try:
        return shelf.stats()
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{str(shelf.file)!r} cannot be read: {error}") from None
    except TamperedError as error:
        raise StorageError(f"{error}; `mom cache clear` begins a new one") from None


def clear() -> int:
    """Forget every answer; returns how many bytes that frees.

    Raises:
        StorageError: the file cannot be removed.
    """
    shelf = Shelf(cache_dir())
    try:
        return shelf.clear()
    except OSError as error:
        raise StorageError(f"{str(shelf.file)!r} cannot be removed: {error}") from None


_TROUBLE = (OSError, sqlite3.Error, StorageError, ValueError)


def _find(shelf: Shelf, cache: Cache, request: Request) -> Kept | None:
    if (key := _key(request)) is None:
        return None
    found = shelf.find(key, cache.ttl)
    try:
        return None if found is None else Kept.model_validate_json(found)
    except ValidationError:
        raise TamperedError(f"an answer kept in {str(shelf.file)!r} cannot be read") from None


def _keep(shelf: Shelf, cache: Cache, request: Request, answer: Kept) -> None:
    named = f"{request.spec.provider}/{request.spec.model}"
    if (key := _key(request)) is not None:
        shelf.keep(key, named, answer.model_dump_json(), cache.ttl, cache.megabytes)


def _key(request: Request) -> str | None:
    try:
        return request.key
    except (TypeError, ValueError):
        return None  # no JSON: it equals nothing


def _worth_keeping(answer: Kept) -> bool:
    """Whether it says something, can be read, and shows no key."""
    written = answer.model_dump_json()
    said = bool(answer.text.strip() or answer.calls)
    return said and "\ufffd" not in written and redact(written) == written


def _told(message: BaseMessage) -> dict[str, Any]:
    """What of a message reaches a model; ids and what was counted about it do not."""
    told = message.model_dump(
        include={"type", "content", "name", "tool_calls", "tool_call_id", "status"}
    )
    kept = {name: message.additional_kwargs[name] for name in sorted(message.additional_kwargs)}
    return {**told, "more": kept}


def _weights(spec: Model) -> list[int] | None:
    """What tells one file of weights from another of the same name."""
    if spec.provider not in ("embedded", "huggingface"):
        return None
    try:
        found = os.stat(spec.model)  # noqa: PTH116 - it may be no path at all
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns]


_rest_until: dict[tuple[str, str], float] = {}
_said: set[tuple[str, str]] = set()


def _resting(shelf: Shelf, act: str) -> bool:
    return time.monotonic() < _rest_until.get((str(shelf.folder), act), 0.0)


def _say(shelf: Shelf, act: str, error: Exception) -> None:
    """Tell what is wrong with the cache, each thing once, and leave it alone for a while."""
    folder, told = str(shelf.folder), redact(str(error))
    cure = "`mom cache clear` begins a new one"
    if not isinstance(error, TamperedError):
        _rest_until[folder, act] = time.monotonic() + _REST
        told, cure = f"{str(shelf.file)!r}: {told}", "`mom cache stats` says where it lies"
    if (folder, told) not in _said:
        _said.add((folder, told))
        _log.warning("the cache is not used, and the model is asked: %s; %s", told, cure)
