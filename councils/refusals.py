"""Refusals in words: which place of the council is wrong, what is there, what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mom_council.councils.schema import Council, Section
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.redaction import HIDDEN, may_be_a_key, names_a_secret, quote

Path = tuple[str | int, ...]

_MOST = 20
"""Problems told at a time: who has more has mistaken the file, not a line of it."""
_MOST_NEAR = 500
"""Names that are compared for a suggestion; comparing is slow."""

_SAYS = {
    "greater_than": "must be more than {gt:.12g}",
    "greater_than_equal": "must be at least {ge:.12g}",
    "less_than": "must be less than {lt:.12g}",
    "less_than_equal": "must be at most {le:.12g}",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "literal_error": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be one line without / \\ : | and without blanks at its ends",
}
"""What each kind of pydantic's errors means to someone who never heard of pydantic."""


class Problem(NamedTuple):
    """One thing that keeps a council from sitting."""

    path: Path
    says: str
    unknown_name: bool = False
    cure: str = ""

    @property
    def what(self) -> str:
        """Where it is wrong, and how."""
        return f"{where(self.path)}: {self.says}" if self.path else self.says

    @property
    def advice(self) -> str:
        """How it is wrong and what to do, for whoever shows the place itself."""
        return f"{self.says}; {self.cure}" if self.cure else self.says

    def __str__(self) -> str:
        return f"{self.what}; {self.cure}" if self.cure else self.what


def refusal(origin: str, problems: Iterable[Problem]) -> CouncilError:
    """Make the error that tells the first of `problems`, headed once by `origin`."""
    first = list(islice(problems, _MOST + 1))
    kind = UnknownNameError if all(problem.unknown_name for problem in first) else CouncilError
    if len(first) == 1:
        return kind(f"{origin}: {first[0].what}", cure=first[0].cure)
    lines = [str(problem) for problem in first[:_MOST]]
    if len(first) > _MOST:
        lines.append("... and more of the kind")
    return kind(f"{origin}: " + "\n".join(lines))


def where(path: Path) -> str:
    """A place in the YAML as people write it: `models.deep.fallbacks[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif may_be_a_key(step):
            text += f".{HIDDEN}"
        elif re.fullmatch(r"[\w-]{1,64}", step):
            text += f".{step}"
        else:
            text += f"[{quote(step)}]"
    return text.removeprefix(".")


def nearest(name: object, names: Sequence[str]) -> str:
    """Suggest what may have been meant, or list what there is; empty where there is nothing."""
    if suggestion := near_miss(name, names):
        return suggestion
    if not names:
        return ""
    listed = ", ".join(quote(word) for word in names[:20])
    return f"known: {listed}{', ...' if len(names) > 20 else ''}"


def near_miss(name: object, names: Sequence[str]) -> str:
    """Suggest what may have been meant; empty where nothing is near enough."""
    import difflib  # only a refusal needs it

    plain = {word.casefold(): word for word in names[:_MOST_NEAR]}
    near = difflib.get_close_matches(str(name)[:64].casefold(), plain, n=1)
    return f"did you mean {quote(plain[near[0]])}?" if near else ""


def in_words(error: ValidationError, root: type[Section] = Council) -> Iterator[Problem]:
    """Translate what pydantic found in a `root`, each finding with its path.

    One wrong character is one problem: what only follows from another finding is left out.
    """
    details = error.errors(include_url=False)
    return (problem_of(one, root) for one in details if not _is_consequence(one, details, root))


def _is_consequence(
    detail: ErrorDetails, details: Sequence[ErrorDetails], root: type[Section]
) -> bool:
    """Whether another finding explains this one.

    pydantic leaves out an entry that it refuses, and then calls the list too short; a key with a
    misspelt name is unknown, and the right one is missing.
    """
    path = _path(detail)
    if detail["type"] == "too_short":
        others = (_path(one) for one in details)
        return any(len(one) > len(path) and one[: len(path)] == path for one in others)
    if detail["type"] == "missing":
        unknown = [_path(one) for one in details if one["type"] == "extra_forbidden"]
        siblings = [one[-1] for one in unknown if one[:-1] == path[:-1]]
        names = keys_at(path[:-1], root)
        return any(nearest(one, names) == nearest(path[-1], names) for one in siblings)
    return False


def _path(detail: ErrorDetails) -> Path:
    return tuple(step for step in detail["loc"] if step != "[key]")


def problem_of(detail: ErrorDetails, root: type[Section]) -> Problem:
    """One of pydantic's findings in a `root`, in our words."""
    kind, value, facts = detail["type"], detail["input"], detail.get("ctx", {})
    path = _path(detail)
    if kind == "extra_forbidden":
        return _unknown_key(path, keys_at(path[:-1], root))
    if kind == "missing":
        return Problem(path, f"is missing: {_meaning(path, root)}")
    if kind == "value_error":
        return Problem(path, str(facts["error"]))
    if kind in ("too_short", "string_too_short"):
        return Problem(path, "must not be empty")
    if kind == "too_long":
        most, actual = facts["max_length"], facts["actual_length"]
        entries = "1 entry" if most == 1 else f"{most} entries"
        return Problem(path, f"must have at most {entries}, has {actual}")
    says = _SAYS.get(kind, "cannot be read").format(**facts)
    return Problem(path, f"{says}, is {quote(value)}", cure=_cure(kind, value, facts))


def _cure(kind: str, value: object, facts: dict[str, Any]) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put it in quotes"
    if kind == "tuple_type" and isinstance(value, str | int | float):
        return "put it in brackets"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return "write it without quotes" if re.fullmatch(r"[\d.]+", value) else ""
    if kind == "literal_error":
        return near_miss(value, re.findall(r"'([^']*)'", facts["expected"]))
    return ""


def _unknown_key(path: Path, names: Sequence[str]) -> Problem:
    key = str(path[-1])
    if names_a_secret(key) and "api_key_env" in names:
        cure = "name its environment variable in 'api_key_env'"
        return Problem(path, "a key never stands in a council", cure=cure)
    return Problem(path, "unknown key", cure=nearest(key, names))


def _meaning(path: Path, root: type[Section]) -> str:
    *inner, last = path
    section = _section_at(tuple(inner), root)
    field = section.model_fields.get(str(last)) if section else None
    return (field.description if field else None) or "write it"


def keys_at(path: Path, root: type[Section] = Council) -> tuple[str, ...]:
    """The keys that may stand at a place of a `root`."""
    section = _section_at(path, root)
    return tuple(section.model_fields) if section else ()


def _section_at(path: Path, root: type[Section]) -> type[Section] | None:
    section: type[Section] | None = root
    steps = iter(path)
    for step in steps:
        field = section.model_fields.get(str(step)) if section else None
        section = _section_in(field.annotation) if field else None
        if field and get_origin(field.annotation) in (dict, tuple):
            next(steps, None)  # the key or the index within
    return section


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    sections = (_section_in(argument) for argument in get_args(annotation))
    return next((section for section in sections if section), None)
