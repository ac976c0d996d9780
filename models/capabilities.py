"""What models can do, and whether each is shown a question's pictures or words in their place.

Of files a model may read PDF and sound itself, as the council or its vendor's profile says.

What the council says is believed first, then what probing found out, then what is known of the
vendor's models. Findings are kept in `capabilities.json` in the data directory; what cannot be read
in it is not known.

A question with pictures is sent to every model in the same form: its pictures, and in the message's
`additional_kwargs` what to tell a model that cannot see. Which of the two goes out is decided here,
for each model of a fallback chain by itself, so that no text is lost with a picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field, ValidationError

from mom_council.councils.schema import Model
from mom_council.errors import StorageError
from mom_council.models.images import is_picture
from mom_council.models.providers import load_code
from mom_council.paths import data_dir, ensure
from mom_council.prompts import fenced, without_marks
from mom_council.records import Record
from mom_council.redaction import quote
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


FILE = "capabilities.json"


class Capabilities(Record):
    """What one model can do; None: nobody found out."""

    vision: bool | None = None
    tools: bool | None = None
    structured: bool | None = Field(
        default=None, description="whether its server holds a reply to a JSON schema"
    )
    context: int | None = Field(default=None, description="tokens in which it found a needle")
    probed: str = Field(default="", description="when, in UTC")


class _Read(NamedTuple):
    file: Path
    looked: float
    changed: float
    found: dict[str, Capabilities]


_VERSION = 1
"""Of the file; no model is called `version`, as each name begins with its provider."""
_EVERY = 5.0
"""Seconds after which the file is looked at again."""

_read: _Read | None = None


async def reload_capabilities() -> None:
    """See whether the file has changed; every few seconds at the most, and off the event loop."""
    file = _file()
    if file is None:
        return
    if _read is None or _read.file != file or time.monotonic() - _read.looked > _EVERY:
        await asyncio.to_thread(_look, file)


def probed_capabilities(spec: Model) -> Capabilities:
    """What is known of a model by probing it, as of the last `reload_capabilities`."""
    if _read is None or _read.file != _file():
        return Capabilities()
    return _read.found.get(_name(spec), Capabilities())


def save_capabilities(spec: Model, abilities: Capabilities) -> Path:
    """Keep what was found; what was not found out now stays as it was known. Returns the file.

    Raises:
        StorageError: it cannot be written.
    """
    folder = ensure(data_dir())
    now = {"probed": datetime.now(UTC).isoformat(timespec="seconds")}
    fresh = {**abilities.model_dump(exclude_none=True), **now}
    before = _look(folder / FILE)
    entries = {**before, _name(spec): probed_capabilities(spec).model_copy(update=fresh)}
    written = {name: one.model_dump(exclude_none=True) for name, one in sorted(entries.items())}
    try:
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            json.dump({"version": _VERSION, **written}, file, indent=1)
        os.replace(file.name, folder / FILE)  # noqa: PTH105 - whole or not at all
    except OSError as error:
        raise StorageError(
            f"what was found cannot be kept in {str(folder)!r} ({error.strerror})",
            cure="make room, or set MOM_DATA_DIR to another folder",
        ) from None
    _look(folder / FILE)
    return folder / FILE


def _file() -> Path | None:
    try:
        return data_dir() / FILE
    except StorageError:
        return None


def _look(file: Path) -> dict[str, Capabilities]:
    global _read
    changed, entries = 0.0, dict[str, Capabilities]()
    with contextlib.suppress(OSError, ValueError):
        changed = file.stat().st_mtime
        same = _read is not None and (_read.file, _read.changed) == (file, changed)
        entries = (
            _read.found if _read and same else _understood(json.loads(file.read_text("utf-8")))
        )
    _read = _Read(file, time.monotonic(), changed, entries)
    return entries


def _understood(content: Any) -> dict[str, Capabilities]:
    entries: dict[str, Capabilities] = {}
    for name, one in content.items() if isinstance(content, dict) else ():
        with contextlib.suppress(ValidationError):
            entries[name] = Capabilities.model_validate(one)
    return entries


def _name(spec: Model) -> str:
    model = vendor_of(spec.provider).full_name(spec.model)
    return f"{spec.provider} {model} {spec.base_url or ''}".strip()


IN_WORDS = "in_words"
"""The key of a message's `additional_kwargs` under which stands its text for who cannot see."""


async def can_see(spec: Model) -> bool:
    """Whether a model can look at pictures: as the council says, else as was probed or is known.

    Ollama is asked what the model can do; embedded weights see with the second file beside them; of
    the vendors' own models the names tell. What nobody knows is taken not to see, because a model
    that cannot answers a picture with an error, and the words about it it can read.
    """
    if spec.vision is not None:
        return spec.vision
    await reload_capabilities()
    if (probed := probed_capabilities(spec).vision) is not None:
        return probed
    vendor = vendor_of(spec.provider)
    if vendor.sees is not None:
        able: bool = await load_code(vendor.sees)(spec)
        return able
    pattern = vendor.vision if spec.base_url is None else ""
    return bool(pattern and re.match(pattern, spec.model))


def kind_of_file(block: Any) -> str:
    """`pdf` or `audio` for a block that a model may be given as it is; empty for any other.

    Of LangChain's standard form alone: it writes every vendor's own from that.
    """
    if not isinstance(block, dict) or not isinstance(block.get("base64"), str):
        return ""
    kind, media = block.get("type"), str(block.get("mime_type") or "")
    if kind == "file" and media == "application/pdf":
        return "pdf"
    return "audio" if kind == "audio" and media.startswith("audio/") else ""


def reads_file(spec: Model, kind: str) -> bool:
    """Whether a model reads files of a kind: as the council says, else as its vendor does."""
    if spec.files is not None:
        return kind in spec.files
    pattern = vendor_of(spec.provider).files.get(kind) if spec.base_url is None else None
    return bool(pattern and re.match(pattern, spec.model))


def unreadable(names: Sequence[str], who: str = "you") -> str:
    """What somebody is told who cannot read the attachments of these names.

    A name may be a text of a stranger as well: it stands in a fence.
    """
    one = len(names) == 1
    what = "An attachment comes" if one else f"{len(names)} attachments come"
    them, its_name = ("it", "Its name") if one else ("them", "Their names")
    listed = fenced("\n".join(map(title_of_file, names)), "attachment")
    return (
        f"{what} with this, and {who} cannot read {them}. Say so, answer what can be answered "
        f"without, and do not guess what stands in {them}. {its_name}:\n{listed}"
    )


async def messages_for(spec: Model, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages as this model is sent them: with pictures and files, or with words instead."""
    if not any(_has(message, is_picture) or _has(message, kind_of_file) for message in messages):
        return list(messages)
    sees = any(_has(message, is_picture) for message in messages) and await can_see(spec)
    return [_as_it_reads(message, spec, sees=sees) for message in messages]


def all_in_words(message: BaseMessage) -> str:
    """A message for who can look at none of what comes with it."""
    text = str(message.additional_kwargs.get(IN_WORDS, message.text))
    return "\n\n".join(part for part in (_of_files(message, lambda _: False), text) if part)


def _has(message: BaseMessage, kind: Callable[[Any], Any]) -> bool:
    return isinstance(message.content, list) and any(map(kind, message.content))


def _of_files(message: BaseMessage, reads: Callable[[str], bool]) -> str:
    """The words that stand for the files of a message that are not read."""
    blocks = [one for one in message.content if isinstance(one, dict)]
    kinds = [
        (kind_of_file(one), str(one.get("filename") or one.get("mime_type"))) for one in blocks
    ]
    names = [name for kind, name in kinds if kind and not reads(kind)]
    return unreadable(names) if names else ""


def title_of_file(name: str) -> str:
    """A file's name as it may be repeated: on one line, short, and without marks."""
    return quote(" ".join(without_marks(name).split()))


def _as_it_reads(message: BaseMessage, spec: Model, *, sees: bool) -> BaseMessage:
    pictures = _has(message, is_picture)
    if not pictures and not _has(message, kind_of_file):
        return message
    blind = pictures and not sees
    text = message.additional_kwargs.get(IN_WORDS, message.text) if blind else message.text
    unread = _of_files(message, lambda kind: reads_file(spec, kind))
    words = "\n\n".join(part for part in (unread, text) if part)
    shown = [
        block
        for block in message.content
        if (sees and is_picture(block)) or reads_file(spec, kind_of_file(block) or "none")
    ]
    content: Any = (
        [*([{"type": "text", "text": words}] if words else ()), *shown] if shown else words
    )
    others = {key: value for key, value in message.additional_kwargs.items() if key != IN_WORDS}
    return message.model_copy(update={"content": content, "additional_kwargs": others})
