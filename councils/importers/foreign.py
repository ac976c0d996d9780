"""The sections of foreign files: typed and bounded like ours, and open to keys that are not known.

A key that is nearly one of the format's own is a typo and refused, for nobody would see that it did
nothing. Any other unknown key is listed as left behind.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, ValidationError

from mom_council.councils.importers.findings import Report
from mom_council.councils.plain import as_plain
from mom_council.councils.refusals import Path, Problem, in_words, keys_at, refusal, where
from mom_council.councils.secrecy import fault_in_address, names_a_secret, shown
from mom_council.councils.voices import Section
from mom_council.errors import CouncilError

_NEAR = 0.72


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
            f"{origin}: is {shown(values)}, and must be a mapping of names to values"
        )
    problems, plain = as_plain(values)
    if problems:
        raise refusal(origin, problems)
    try:
        found = kind.model_validate(plain)
    except ValidationError as error:
        raise refusal(origin, _told(error, kind)) from None
    strange = [*_strange(found, ())]
    if misspelt := [problem for _, _, problem in strange if problem]:
        raise refusal(origin, misspelt)
    for path, key, _ in strange:
        secret = "a key is never copied" if names_a_secret(key) else "is no key of this format"
        report.leave(where(path), secret)
    return found


def _strange(part: Foreign, path: Path) -> Iterator[tuple[Path, str, Problem | None]]:
    """Every unknown key below a part, with its problem where it is a typo."""
    known = _keys(type(part))
    for key in part.model_extra or {}:
        meant = near(key, known)
        yield (*path, key), key, _typo((*path, key), meant) if meant else None
    for key in type(part).model_fields:
        for step, inner in _inner(getattr(part, key)):
            yield from _strange(inner, (*path, key, *step))


def _inner(value: Any) -> Iterator[tuple[Path, Foreign]]:
    if isinstance(value, Foreign):
        yield (), value
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from (((index, *step), found) for step, found in _inner(inner))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (((name, *step), found) for step, found in _inner(inner))


def _told(error: ValidationError, kind: type[Foreign]) -> Iterator[Problem]:
    """What pydantic found; what is missing because it is misspelt, as the typo that it is."""
    details = error.errors(include_url=False)
    spots = [detail["loc"] for detail in details]
    for detail, problem in zip(details, in_words(error, kind), strict=True):
        loc, parent = detail["loc"], detail["input"]
        if any(len(spot) > len(loc) and spot[: len(loc)] == loc for spot in spots):
            continue  # a list with a bad entry is also called too short
        if detail["type"] == "missing" and isinstance(parent, Mapping):
            strange = [str(key) for key in parent if key not in keys_at(loc[:-1], kind)]
            if meant := near(str(loc[-1]), strange):
                yield _typo((*loc[:-1], meant), str(loc[-1]))
                continue
        yield problem


def _keys(kind: type[Foreign]) -> list[str]:
    """What the fields of a section are called in the file."""
    return [field.alias or name for name, field in kind.model_fields.items()]


def near(key: str, known: list[str]) -> str | None:
    """The one of the known names that was meant, where one is near enough."""
    found = difflib.get_close_matches(key[:64].casefold(), known, n=1, cutoff=_NEAR)
    return found[0] if found else None


def _typo(path: Path, meant: str) -> Problem:
    return Problem(path, f"is no key that stands here; did you mean {meant!r}?")
