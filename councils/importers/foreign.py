"""What all importers share: the sections of foreign files, the council they make, and the report.

Sections are typed and bounded like ours, and open to unknown keys. A key that is nearly one of the
format's own is a typo and refused, for nobody would see that it did nothing. Any other unknown key
is listed as left behind.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, ConfigDict, ValidationError

from mom_council.councils.models import Section
from mom_council.councils.refusals import Path, Problem, keys_at, problem_of, refusal, where
from mom_council.councils.schema import RESERVED, Council, sameness, voter_node
from mom_council.councils.yaml import as_plain
from mom_council.errors import CouncilError
from mom_council.redaction import fault_in_address, names_a_secret, quote


class ImportNote(NamedTuple):
    """One place of the foreign file, and what became of it."""

    place: str
    says: str

    def __str__(self) -> str:
        return f"{self.place}: {self.says}"


@dataclass(frozen=True)
class Imported:
    """A council out of a foreign file."""

    format: str
    """A key of `FORMATS`."""
    council: Council
    turned: tuple[ImportNote, ...] = ()
    """What is kept in another way than it stood there."""
    left: tuple[ImportNote, ...] = ()
    """What could not be kept, and why."""
    questions: tuple[str, ...] = ()
    """Questions that stood in the file."""
    choices: tuple[str, ...] = ()
    """Of a catalogue: the models that take no part, by the names that `seats` takes."""
    file: str = ""
    """The file that was read."""


@dataclass
class Report:
    """The two lists, while they are written."""

    turned: list[ImportNote] = field(default_factory=list)
    left: list[ImportNote] = field(default_factory=list)

    def turn(self, place: str, says: str) -> None:
        """Note what is kept in another way."""
        self.turned.append(ImportNote(place, says))

    def leave(self, place: str, says: str) -> None:
        """Note what is not kept."""
        self.left.append(ImportNote(place, says))


@dataclass(frozen=True)
class Draft:
    """What a format's reader hands back: a council as it would be written, and its questions."""

    values: dict[str, Any]
    questions: tuple[str, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    """Of a catalogue: all models that could take part, with their keys."""


_LONGEST = 60


class ModelSection:
    """The `models` section as it grows."""

    def __init__(self) -> None:
        self.written: dict[str, dict[str, Any]] = {}

    def key(self, **spec: Any) -> str:
        """The key of a voice: one that is there already, or a new one.

        What is None, or an empty mapping, is left out of the council.
        """
        spec = {name: value for name, value in spec.items() if value not in (None, {})}
        if spec.get("params"):
            params = {name: value for name, value in spec["params"].items() if value is not None}
            spec = {**spec, "params": params} if params else {**spec, "params": None}
            spec = {name: value for name, value in spec.items() if value is not None}
        for key, entry in self.written.items():
            if entry == spec:
                return key
        key = free(plain(short_name(str(spec["model"]))), self.written)
        self.written[key] = spec
        return key


class Names:
    """The characters' names: as they were, where the graph can have a node of that name."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._taken = {sameness(name) for name in RESERVED}

    def take(self, name: str, place: str = "") -> str:
        """A free name that is, or resembles, this one; told of where it had to change."""
        fit = base = plain(name, usual="Character")
        number = 2
        while self._taken & {sameness(fit), sameness(voter_node(fit))}:
            fit, number = f"{base} {number}", number + 1
        self._taken |= {sameness(fit), sameness(voter_node(fit))}
        if place and fit != name:
            self._report.turn(place, f"is called {fit!r} here: the name is taken, or no node's")
        return fit


def plain(name: str, usual: str = "model") -> str:
    """A name without what no key and no node may hold."""
    cleaned = re.sub(r"[/\\:|\x00-\x1f\x7f]+", "-", " ".join(name.split()))[:_LONGEST]
    return cleaned.strip(" -") or usual


def short_name(model: str) -> str:
    """A model's name without its owner; of a snapshot in a cache, the folder that names it."""
    if named := re.search(r"models--([\w.-]+?)--([\w.-]+?)(?:[/\\]|$)", model):
        return named[2]
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1]


def free(name: str, taken: Any) -> str:
    """The name, or the first of its numbered kind that is not taken."""
    fit, number = name, 2
    while fit in taken:
        fit, number = f"{name}-{number}", number + 1
    return fit


_NEAR = 0.8
"""How alike two names are that are one and its typo; `supports_vision` is none."""


class Foreign(Section):
    """A part of a foreign file."""

    model_config = ConfigDict(extra="allow")


def _address(url: str) -> str:
    if fault := fault_in_address(url):
        raise ValueError(fault.replace("`api_key_env`", "the council"))
    return url


Address = Annotated[str, AfterValidator(_address)]

F = TypeVar("F", bound=Foreign)


def seen(kind: type[F], values: Any, origin: str, report: Report) -> F:
    """Read plain values as a foreign section.

    Raises:
        CouncilError: something in them cannot be right; each line names a place and the cure.
    """
    if not isinstance(values, Mapping):
        raise CouncilError(
            f"{origin}: is {quote(values)}, and must be a mapping of names to values"
        )
    problems, plain = as_plain(values)
    if problems:
        raise refusal(origin, problems)
    try:
        section = kind.model_validate(plain)
    except ValidationError as error:
        raise refusal(origin, _problems_of(error, kind)) from None
    strange = [*_strange(section, ())]
    if misspelt := [problem for _, _, problem in strange if problem]:
        raise refusal(origin, misspelt)
    for path, key, _ in strange:
        secret = "a key is never copied" if names_a_secret(key) else "is no key of this format"
        report.leave(where(path), secret)
    return section


def _strange(part: Foreign, path: Path) -> Iterator[tuple[Path, str, Problem | None]]:
    """Every unknown key below a part, with its problem where it is a typo."""
    names = _keys(type(part))
    for key in part.model_extra or {}:
        meant = near(key, names)
        yield (*path, key), key, _typo((*path, key), meant) if meant else None
    for key in type(part).model_fields:
        for step, inner in _inner(getattr(part, key)):
            yield from _strange(inner, (*path, key, *step))


def _inner(value: Any) -> Iterator[tuple[Path, Foreign]]:
    if isinstance(value, Foreign):
        yield (), value
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from (((index, *step), part) for step, part in _inner(inner))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (((name, *step), part) for step, part in _inner(inner))


def _problems_of(error: ValidationError, kind: type[Foreign]) -> Iterator[Problem]:
    """What pydantic found; what is missing because it is misspelt, as the typo that it is."""
    details = error.errors(include_url=False)
    spots = [detail["loc"] for detail in details]
    for detail in details:
        loc, parent = detail["loc"], detail["input"]
        if any(len(spot) > len(loc) and spot[: len(loc)] == loc for spot in spots):
            continue  # a list with a bad entry is also called too short
        if detail["type"] == "missing" and isinstance(parent, Mapping):
            strange = [str(key) for key in parent if key not in keys_at(loc[:-1], kind)]
            if meant := near(str(loc[-1]), strange):
                yield _typo((*loc[:-1], meant), str(loc[-1]))
                continue
        yield problem_of(detail, kind)


def _keys(kind: type[Foreign]) -> list[str]:
    """What the fields of a section are called in the file."""
    return [field.alias or name for name, field in kind.model_fields.items()]


def near(key: str, names: list[str]) -> str | None:
    """The one of the known names that was meant, where one is near enough."""
    matches = difflib.get_close_matches(key[:64].casefold(), names, n=1, cutoff=_NEAR)
    return matches[0] if matches else None


def _typo(path: Path, meant: str) -> Problem:
    return Problem(path, "unknown key", cure=f"did you mean {meant!r}?")
