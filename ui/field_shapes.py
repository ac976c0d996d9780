"""What a form has to know of a field, read from the council's schema. Pure.

A field of a `Section` says by itself what it is: its type, bounds, choices, default, description,
and which part of the council it names an entry of. An extension's settings say it in JSON schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic.fields import FieldInfo

from mom_council.councils.models import KeyOf, Section

Kind = Literal[
    "switch", "choice", "whole", "number", "text", "long text", "words", "whole numbers",
    "mapping", "section", "entries", "sections", "other",
]  # fmt: skip
"""words, whole numbers: any number of them; mapping: of anything; entries: sections by name;
sections: a list of them."""

_LONG = 4_000
"""Characters from which on a text gets several lines."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """One field, as a form shows it."""

    label: str
    kind: Kind
    help: str = ""
    default: Any = None
    optional: bool = False
    """Whether it may be left unset (null)."""
    choices: tuple[str, ...] = ()
    key_of: str = ""
    """The part of the council that it names entries of: models, tools, lanes, providers."""
    section: type[Section] | None = None
    expert: bool = False


def shapes_of(section: type[Section]) -> dict[str, FieldShape]:
    """The fields of a part of the council, in their order."""
    rare = section.EXPERT.split()
    return {
        name: _shape(section.LABELS.get(name) or humanised(name), info, expert=name in rare)
        for name, info in section.model_fields.items()
    }


def shape_of_setting(name: str, schema: Mapping[str, Any]) -> FieldShape:
    """A setting of an extension, from its JSON schema."""
    either = [each for each in schema.get("anyOf", ()) if isinstance(each, Mapping)]
    types = {schema.get("type"), *(each.get("type") for each in either)}
    choices = [*schema.get("enum", ())]
    for each in either:
        choices += each.get("enum", ())
    words = tuple(dict.fromkeys(one for one in choices if isinstance(one, str)))
    return FieldShape(
        label=humanised(name),
        kind="choice" if words else _json_kind(types),
        help=str(schema.get("description", "")),
        default=schema.get("default"),
        optional="null" in types,
        choices=words,
    )


def _json_kind(types: set[Any]) -> Kind:
    kinds: tuple[tuple[str, Kind], ...] = (
        ("boolean", "switch"), ("number", "number"), ("integer", "whole"),
        ("array", "words"), ("string", "text"), ("object", "mapping"),
    )  # fmt: skip
    return next((kind for name, kind in kinds if name in types), "other")


def humanised(name: str) -> str:
    """A field's name as a label."""
    return name.replace("_", " ").capitalize()


def _shape(label: str, info: FieldInfo, *, expert: bool) -> FieldShape:
    bare, about, optional = _unwrap_type(info.annotation)
    about += info.metadata
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    kind, section = _kind(bare, about)
    inner = _unwrap_type(get_args(bare)[0])[1] if kind == "words" else []
    if kind == "switch" and optional:
        kind = "choice"
    return FieldShape(
        label=label,
        kind=kind,
        help=_sentence(info.description or "") + _bounds(about),
        default=list(default) if isinstance(default, tuple) else default,
        optional=optional,
        choices=tuple(map(str, get_args(bare))) if get_origin(bare) is Literal else (),
        key_of=next((one.section for one in (*about, *inner) if isinstance(one, KeyOf)), ""),
        section=section,
        expert=expert,
    )


def _unwrap_type(annotation: Any) -> tuple[Any, list[Any], bool]:
    """A type without `Annotated` and `None`; what was said there; whether it may be None."""
    about: list[Any] = []
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            for one in more:
                about += one.metadata if isinstance(one, FieldInfo) else [one]
        elif origin in (Union, UnionType) and type(None) in get_args(annotation):
            optional = True
            others = [one for one in get_args(annotation) if one is not type(None)]
            annotation = others[0] if len(others) == 1 else Any
        else:
            return annotation, about, optional


def _kind(bare: Any, about: list[Any]) -> tuple[Kind, type[Section] | None]:
    simple: dict[Any, Kind] = {bool: "switch", int: "whole", float: "number"}
    if bare in simple:
        return simple[bare], None
    if bare is str:
        long = any(isinstance(one, MaxLen) and one.max_length >= _LONG for one in about)
        return ("long text" if long else "text"), None
    if get_origin(bare) is Literal:
        return "choice", None
    if _is_section(bare):
        return "section", bare
    if get_origin(bare) is tuple:
        return _listed(_unwrap_type(get_args(bare)[0])[0])
    if get_origin(bare) is dict:
        inner = get_args(bare)[1]
        return ("entries", inner) if _is_section(inner) else ("mapping", None)
    return "other", None


def _listed(inner: Any) -> tuple[Kind, type[Section] | None]:
    if _is_section(inner):
        return "sections", inner
    kinds: dict[Any, Kind] = {str: "words", int: "whole numbers"}
    if get_origin(inner) is Literal:
        return "words", None
    return kinds.get(inner, "other"), None


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _sentence(text: str) -> str:
    begun_with_a_word_of_the_file = re.match(r"[a-z_]+[:,(]? ?[:,(]", text)
    if not begun_with_a_word_of_the_file:
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith(".") or not text else ".")


def _bounds(about: list[Any]) -> str:
    bounds = [*_bounds_in(about)]
    return f" {' and '.join(bounds).capitalize()}." if bounds else ""


def _bounds_in(about: list[Any]) -> Iterator[str]:
    for one in about:
        if isinstance(one, Ge):
            yield f"at least {one.ge:g}"
        elif isinstance(one, Gt):
            yield f"more than {one.gt:g}"
        elif isinstance(one, Le):
            yield f"at most {one.le:,}"
        elif isinstance(one, Lt):
            yield f"less than {one.lt:,}"
