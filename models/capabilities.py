"""What each model can do and accepts: parameters, JSON schemas, files.

What the council says is believed first, then what probing found out, then what is known of the
vendor's models. Findings are kept in `capabilities.json` in the data directory; what cannot be read
in it is not known.

The council asks in one language (`temperature`, `top_p`, `max_tokens`, `seed`, ...), and its nodes
set a temperature of their own; some vendors answer some of that with a 400. What a vendor's profile
says is renamed or left out before it is sent. Profiles age with every new model, so a model whose
vendor says outright which parameter it does not take is asked again without it. The same holds for
a schema: a server that answers it with a 400 is asked again without it, once. What was found out so
is remembered for the event loop (`LearnedLimits`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field, ValidationError

from mom_council.councils.schema import Model
from mom_council.errors import StorageError
from mom_council.models.retry import Failure
from mom_council.paths import VARIABLE, data_dir, ensure
from mom_council.prompts import fenced, without_marks
from mom_council.records import Record
from mom_council.redaction import quote
from mom_council.seams.clients import uses_responses_api
from mom_council.vendors import Params, load_code, vendor_of
from mom_council.vendors.profile import CALLER_WISHES

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.retry import Failure


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
    if _read is not None and time.monotonic() - _read.looked <= _EVERY and _read.file is _file():
        return
    if (file := _file()) is not None:
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
    named, *others = map(os.environ.get, (VARIABLE, "XDG_DATA_HOME", "HOME"))
    if named and not named.startswith(os.sep):  # it depends on the working folder
        return _file_of.__wrapped__(named, *others)
    return _file_of(named, *others)


@lru_cache(maxsize=8)
def _file_of(*_variables: str | None) -> Path | None:
    """The file, for the variables that say where it is; it is asked for with every call."""
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


def title_of_file(name: str) -> str:
    """A file's name as it may be repeated: on one line, short, and without marks."""
    return quote(" ".join(without_marks(name).split()))


_MAY_GO = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"),
    *("top_logprobs", "logit_bias", "stop"),
    *("top_k", "min_p", "seed", "random_seed", "p", "k"),
    *CALLER_WISHES,
)
"""What is left out when a vendor says that it does not take it; a length limit, say, never is."""
_ABOUT_ITS_VALUE = re.compile(
    r"above_max|below_min|out_of_range|greater_than|less_than|invalid_type|_parsing"
    r"|\bbetween\b|greater than|less than|at (least|most)|above max|below min|out of range|[<>]="
    r"|not of type|expected an? |valid (number|integer|string|list)",
    re.IGNORECASE,
)
"""How a server says that a parameter is taken, and only this value is not."""

ModelAddress = tuple[str, str | None, str, int]
"""A model, wherever it stands in councils: provider, address, name, number of a caller's."""


@dataclass(slots=True)
class LearnedLimits:
    """What an event loop's calls found that models do not take, beyond their vendors' profiles."""

    params: dict[ModelAddress, frozenset[str]] = field(default_factory=dict)
    """Parameters that a model does not take."""
    no_schema: set[ModelAddress] = field(default_factory=set)
    """Models that take no JSON schema."""
    no_json_object: set[ModelAddress] = field(default_factory=set)
    """Models that cannot be held to a JSON object."""
    no_tool_choice: set[ModelAddress] = field(default_factory=set)
    """Models that cannot be told to call a tool, or to call one alone."""
    no_form_with_tools: set[ModelAddress] = field(default_factory=set)
    """Models that take tools or a form of the reply, and not both in one request."""
    no_tools: set[ModelAddress] = field(default_factory=set)
    """Models that take no tools in their provider's own way."""


def adapt_params(
    spec: Model, params: Params, limits: LearnedLimits | None = None
) -> dict[str, Any]:
    """The parameters as the voice's vendor takes them, and its model as far as that was learned.

    Where others speak a vendor's protocol, its terms hold at its own address only.
    """
    vendor = vendor_of(spec.provider)
    taken = {vendor.names.get(name, name): value for name, value in params.items()}
    learned = limits.params if limits else {}
    for name in learned.get(model_address(spec), ()):
        taken.pop(name, None)
    elsewhere = vendor.shared_protocol and not vendor.is_at_home(spec.base_url)
    for exclusion in vendor.excludes:
        holds = exclusion.anywhere or not elsewhere
        if holds and re.match(exclusion.models, spec.model):
            for name in exclusion.params:
                if name in taken and exclusion.when(taken):
                    del taken[name]
    return taken


def with_met_wishes(spec: Model, params: Params) -> dict[str, Any]:
    """The parameters of a question, without what its caller wishes and the vendor has not."""
    if not params:
        return {}
    met = vendor_of(spec.provider).caller_wishes
    return {
        name: value for name, value in params.items() if name not in CALLER_WISHES or name in met
    }


def accepts(spec: Model, params: Params, name: str, limits: LearnedLimits) -> bool:
    """Whether one of the parameters is sent, under whatever name."""
    called = vendor_of(spec.provider).names.get(name, name)
    return called in adapt_params(spec, params, limits)


def remember_rejection(
    spec: Model, params: Params, failure: Failure, limits: LearnedLimits
) -> bool:
    """Whether the vendor named a parameter that it does not take; it is left out from now on.

    The field of the refusal that names it counts first, then its name in the words. In which words
    it is refused does not matter, unless they say that only its value is wrong.
    """
    if failure.status not in (400, 422):
        return False
    if _ABOUT_ITS_VALUE.search(f"{failure.code} {failure.reason}"):
        return False
    rejected = limits.params.get(model_address(spec), frozenset())
    names = vendor_of(spec.provider).names
    sent = {names.get(name, name) for name, value in params.items() if value is not None}
    may_go = [name for name in _MAY_GO if name in sent - rejected]
    blamed = re.split(r"[.\[\]]+", failure.param)
    culprits = [name for name in may_go if name in blamed]
    culprits = culprits or [name for name in may_go if _names(failure.reason, name)]
    if not culprits:
        return False
    if "both" in failure.reason and len(culprits) > 1:
        culprits = culprits[1:]  # one of them may stay
    limits.params[model_address(spec)] = rejected | {*culprits}
    return True


def _names(words: str, name: str) -> bool:
    """Whether a refusal names a parameter, as it was sent or as `presencePenalty`."""
    head, *rest = name.split("_")
    joined = head + "".join(part.capitalize() for part in rest)
    written = "|".join(map(re.escape, {name, joined}))
    # A name of one letter or one plain word could stand in any sentence: it must be marked.
    if len(name) == 1 or name == "stop":
        written = rf"['`\"](?:{written})['`\"]"
    return re.search(rf"(?<!\w)(?:{written})(?!\w)", words) is not None


def model_address(spec: Model) -> ModelAddress:
    """What is learned of a model is kept under this."""
    return spec.provider, spec.base_url, spec.model, spec.number


_REFUSALS = (400, 422)


class SchemaConstraint:
    """One call's schema, or that it is to be a JSON object, from its first try to its last."""

    def __init__(
        self,
        spec: Model,
        schema: dict[str, Any] | None,
        limits: LearnedLimits,
        *,
        as_json: bool = False,
        with_tools: bool = False,
        strict: bool | None = True,
    ) -> None:
        self._schema = schema
        self._strict = can_be_strict(schema) if strict is None else strict
        self._address = model_address(spec)
        self._given_up = False
        if schema is None:
            self._way = vendor_of(spec.provider).json_object
            self._refused_at = limits.no_json_object
            is_able = as_json
        else:
            self._way = vendor_of(spec.provider).schema
            self._refused_at = limits.no_schema
            if spec.structured == "json_schema":
                self._way = self._way or "argument"
            is_able = (
                spec.structured == "json_schema"
                or probed_capabilities(spec).structured is not False
            )
        if with_tools:
            is_able = is_able and vendor_of(spec.provider).form_with_tools
            self._refused_at = self._refused_at | limits.no_form_with_tools
        self._learns_at = limits.no_form_with_tools if with_tools else self._refused_at
        self._sent = (
            is_able
            and self._way is not None
            and spec.structured != "text"
            and self._address not in self._refused_at
        )

    def arguments(self, chat: BaseChatModel) -> dict[str, Any]:
        """What `astream` is given for it."""
        if not self._sent:
            return {}
        if self._way == "library":
            return schema_arguments(chat, self._schema or {})
        if self._way == "format":
            return {"format": "json" if self._schema is None else self._schema}
        response_format: dict[str, Any] = {"type": "json_object"}
        flat = response_format
        if self._schema is not None:
            title = re.sub(r"[^A-Za-z0-9_-]", "_", str(self._schema.get("title") or "reply"))[:64]
            body: dict[str, Any] = {"name": title}
            if isinstance(words := self._schema.get("description"), str):
                body["description"] = words
            body |= {"schema": self._schema, "strict": self._strict}
            response_format = {"type": "json_schema", "json_schema": body}
            flat = {"type": "json_schema", **body}
        if self._way == "body":
            # As `response_format` the SDK would parse the unfinished JSON again with every chunk,
            # and raise where an answer is cut off. On the wire it is the same.
            extra = getattr(chat, "extra_body", None) or {}
            if uses_responses_api(chat):
                return {"extra_body": {**extra, "text": {"format": flat}}}
            return {"extra_body": {**extra, "response_format": response_format}}
        return {"response_format": response_format}

    def refused_by(self, failure: Failure) -> bool:
        """Whether the schema may be why it failed; from now on this call goes without."""
        if not self._sent or failure.status not in _REFUSALS or failure.is_about_words:
            return False
        self._sent, self._given_up = False, True
        return True

    def answered(self) -> None:
        """An answer came; without the schema, where that was given up: then that was the cause."""
        if self._given_up:
            self._learns_at.add(self._address)


def can_be_strict(schema: Any) -> bool:
    """Whether a schema has the form that OpenAI asks of a strict one; it refuses any other.

    Each object names all its fields, asks for each of them, and takes no further ones.
    """
    if isinstance(schema, list):
        return all(map(can_be_strict, schema))
    if not isinstance(schema, dict):
        return True
    if "properties" in schema or schema.get("type") == "object":
        named = schema.get("properties")
        if schema.get("additionalProperties") is not False or not isinstance(named, dict):
            return False
        if {*named} - {*schema.get("required", ())}:
            return False
    return all(map(can_be_strict, schema.values()))


def schema_arguments(chat: BaseChatModel, schema: dict[str, Any]) -> dict[str, Any]:
    """How the model's own class holds a reply to a JSON schema; nothing where it has no way.

    A way by a tool is none: the reply would come as a call.
    """
    titled = {"title": "reply", "description": "The reply.", **schema}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a model is too old for it
            structured: Any = chat.with_structured_output(titled, method="json_schema")
    except (NotImplementedError, ValueError, TypeError):
        return {}
    arguments = dict(getattr(getattr(structured, "first", None), "kwargs", {}))
    return {} if "tools" in arguments else arguments
