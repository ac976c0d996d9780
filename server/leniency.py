"""Requests as clients send them: what is unknown or cannot be used is left out, and listed.

A client reads the list in the header `x-mom-ignored`, the owner of the server in the log. A strict
server refuses such requests, as OpenAI does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from mom_council.server.errors import field_path, validation_error, wrong
from mom_council.server.usual_form import use_usual_scalars
from mom_council.server.usual_parts import parts_of, unread_pictures

MOST_STOPS = 4
"""Texts at which an answer may end, as OpenAI counts them."""
MOST_METADATA = 16
LONGEST_TOOL_NAME = 64

_NOT_IN_TOOL_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_OUR_OWN = frozenset(
    {
        *("annotations", "id", "index", "logprobs", "object", "status"),
        *("reasoning_content", "summary", "encrypted_content", "thinking", "signature"),
    }
)
"""Fields of our answers which clients send back with them; nobody is told that they are unused."""

_THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking"})


class RequestBody(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    _ignored: list[str] = PrivateAttr(default_factory=list)
    _tool_names: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def essential_fields(cls) -> frozenset[str]:
        """Fields without whose value there is no answer, or another one than was asked for."""
        return frozenset()

    @classmethod
    def unused_fields(cls) -> frozenset[str]:
        """Fields that are known, and change nothing here."""
        return frozenset()

    @classmethod
    def partly_unused(cls, raw: dict[str, Any]) -> list[str]:
        """The paths of the parts of known fields that change nothing here."""
        return []

    @classmethod
    def tool_kinds(cls) -> frozenset[str]:
        """What the `type` of a tool may be; tools of other kinds are run by somebody else."""
        return frozenset(["function"])

    @classmethod
    def use_usual_form(cls, raw: dict[str, Any]) -> None:
        """Change a body that says the same in another way."""

    @property
    def ignored(self) -> list[str]:
        """The paths of the fields that were left out or change nothing."""
        return self._ignored

    @property
    def tool_names(self) -> Mapping[str, str]:
        """The client's names of tools whose names models do not take, by the names they get."""
        return self._tool_names


class UnusedPart(BaseModel):
    """A part of a conversation that nobody here reads; its kind is told, unless it is a thought."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    type: str

    @classmethod
    def known_kinds(cls) -> frozenset[str]:
        """The kinds that the vendor is known to have."""
        return frozenset()


R = TypeVar("R", bound=RequestBody)


def read_request(raw: dict[str, Any], kind: type[R], *, strict: bool) -> R:
    """A request's body as its type.

    Args:
        raw: the JSON object; it is changed.
        kind: the type.
        strict: refuse what is unknown and what cannot be used.

    Raises:
        Refusal: the body does not fit, and leaving out does not help.
    """
    ignored: list[str] = []
    names: dict[str, str] = {}
    if not strict:
        use_usual_scalars(raw, kind.model_fields)
        kind.use_usual_form(raw)
        ignored += _leave_out_extra_values(raw)
        ignored += _leave_out_foreign_tools(raw, kind)
        names = _rename_tools(raw)
    while True:
        try:
            body = kind.model_validate(raw)
            break
        except ValidationError as error:
            if strict:
                raise validation_error(error, raw) from None
            ignored += _leave_out(raw, error, kind)
    ignored += [name for name in raw if name in kind.unused_fields() and raw[name] is not None]
    ignored += kind.partly_unused(raw)
    for field in ("messages", "input"):
        for place in unread_pictures(raw.get(field), field):
            if strict:
                words = f"Invalid value for '{place}': it is no PNG, JPEG, GIF or WebP."
                raise wrong(words, place, "invalid_value")
            ignored.append(f"{place} (unknown picture)")
    ignored += _unknown_parts(raw, body, "")
    body._ignored = list(dict.fromkeys(ignored))
    body._tool_names = names
    return body


def _leave_out(raw: dict[str, Any], error: ValidationError, kind: type[RequestBody]) -> list[str]:
    """Take what does not fit out of the body; the paths of what was taken.

    Raises:
        Refusal: what does not fit is essential.
    """
    faults = error.errors(include_input=False, include_url=False)
    essential = kind.essential_fields()
    for fault in faults:
        if fault["type"] != "extra_forbidden" and fault["loc"][0] in essential:
            raise validation_error(error, raw, fields=essential)
    removed = []
    for fault in faults:
        path = _remove(raw, fault["loc"])
        if path is not None:
            removed.append(path)
    if not removed:
        raise validation_error(error, raw)
    return removed


def _remove(raw: dict[str, Any], place: tuple[int | str, ...]) -> str | None:
    """Delete the innermost named field on the way to a place; its path, None if it is gone."""
    holder, key, path = raw, "", ""
    here: Any = raw
    way = ""
    for step in place:
        if isinstance(here, dict) and step in here:
            way = _inside(way, step)
            holder, key, path = here, str(step), way
            here = here[step]
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            way += f"[{step}]"
            here = here[step]
    if not key:
        return None
    del holder[key]
    return path


def _inside(path: str, key: int | str) -> str:
    name = field_path([key]) or "(strange name)"
    return f"{path}.{name}" if path else name


def _leave_out_extra_values(raw: dict[str, Any]) -> list[str]:
    """Leave out single values of which a field has too many; the paths of the fields."""
    ignored = []
    stops = raw.get("stop")
    if stops == "":
        stops = []
    if isinstance(stops, list):
        usable = [stop for stop in stops if isinstance(stop, str) and 0 < len(stop) <= 1000]
        usable = usable[:MOST_STOPS]
        if raw["stop"] != usable:
            ignored.append("stop")
            raw["stop"] = usable or None
    metadata = raw.get("metadata")
    if isinstance(metadata, dict) and len(metadata) > MOST_METADATA:
        ignored.append("metadata")
        raw["metadata"] = {key: metadata[key] for key in ("thread_id",) if key in metadata}
    for field in ("messages", "input"):
        ignored += _leave_out_last_answers(raw.get(field), field)
    return ignored


def _leave_out_foreign_tools(raw: dict[str, Any], kind: type[RequestBody]) -> list[str]:
    """Leave out tools that the client's vendor would run, such as its search of the web."""
    tools = raw.get("tools")
    if not isinstance(tools, list):
        return []
    ours, ignored = [], []
    for place, tool in enumerate(tools):
        sort = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(sort, str) and sort not in kind.tool_kinds():
            named = field_path([sort])
            ignored.append(f"tools[{place}] ({named})" if named else f"tools[{place}]")
        else:
            ours.append(tool)
    if ignored:
        raw["tools"] = ours or None
        if not ours and raw.get("tool_choice") == "auto":
            raw["tool_choice"] = None
    return ignored


def _leave_out_last_answers(messages: Any, field: str) -> list[str]:
    """Leave out the assistant's messages at the end, which a council cannot go on writing."""
    ignored: list[str] = []
    while (
        isinstance(messages, list)
        and messages
        and isinstance(messages[-1], dict)
        and messages[-1].get("role") == "assistant"
    ):
        messages.pop()
        ignored.append(f"{field}[{len(messages)}]")
    return ignored


def _functions(raw: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Everything in a body that names one of the client's tools; the tools themselves first."""
    for tool in parts_of(raw.get("tools")):
        function = tool.get("function", tool)
        if isinstance(function, dict):
            yield function
    choice = raw.get("tool_choice")
    if isinstance(choice, dict):
        function = choice.get("function", choice)
        if isinstance(function, dict):
            yield function
    for message in parts_of(raw.get("messages")):
        yield from _calls_in(message)
    for item in parts_of(raw.get("input")):
        if item.get("type") == "function_call":
            yield item


def _calls_in(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The calls of tools in a message, as OpenAI's clients write them or Anthropic's."""
    for call in parts_of(message.get("tool_calls")):
        if isinstance(call.get("function"), dict):
            yield call["function"]
    for block in parts_of(message.get("content")):
        if block.get("type") == "tool_use":
            yield block


def _rename_tools(raw: dict[str, Any]) -> dict[str, str]:
    """Give tools names that every model takes; the client's names by the new ones."""
    functions = [one for one in _functions(raw) if isinstance(one.get("name"), str) and one["name"]]
    names = {function["name"] for function in functions}
    new_names: dict[str, str] = {}
    for function in functions:
        name = function["name"]
        usual = _NOT_IN_TOOL_NAMES.sub("_", name)[:LONGEST_TOOL_NAME]
        if usual == name:
            continue
        if name not in new_names:
            number, new = 1, usual
            while new in names or new in new_names.values():
                number += 1
                new = f"{usual[: LONGEST_TOOL_NAME - 4]}_{number}"
            new_names[name] = new
        function["name"] = new_names[name]
    return {new: name for name, new in new_names.items()}


def _unknown_parts(raw: Any, value: Any, path: str) -> list[str]:
    """The fields of messages and their parts that nobody reads; places in lists are left out."""
    fields: list[str] = []
    if isinstance(value, UnusedPart):
        if value.type not in _THOUGHTS:
            unknown = "" if value.type in value.known_kinds() else "unknown "
            fields.append(f"{path} ({unknown}{field_path([value.type]) or 'kind'})")
    elif isinstance(value, BaseModel) and isinstance(raw, dict):
        names = {
            field.alias or name: getattr(value, name)
            for name, field in type(value).model_fields.items()
        }
        for key, inner in raw.items():
            way = _inside(path, key)
            if key in names:
                fields += _unknown_parts(inner, names[key], way)
            elif key not in _OUR_OWN and inner not in (None, "", [], {}):
                fields.append(way)
    elif isinstance(value, list) and isinstance(raw, list):
        for one, read in zip(raw, value, strict=False):
            fields += _unknown_parts(one, read, f"{path}[]")
    return fields
