"""The probe's own prompt set, as its file holds it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from mom_council.councils.yaml import read_yaml
from mom_council.evals.cases import Case


class Poisoned(NamedTuple):
    """A query with proposals, of which one must not be repeated."""

    case: Case
    proposals: tuple[str, ...]
    never: tuple[str, ...]


class Questions(NamedTuple):
    """Everything that is asked."""

    proposer: tuple[Case, ...]
    aggregator: tuple[Poisoned, ...]


@cache
def questions() -> Questions:
    """The set that comes with the package."""
    file = files("mom_council.evals.probing") / "questions.yaml"
    told = read_yaml(file.read_text("utf-8"), file.name)
    return Questions(
        tuple(Case.model_validate(one) for one in told["proposer"]),
        tuple(
            Poisoned(
                Case(question=one["query"], gold=one["gold"]),
                tuple(one["proposals"]),
                tuple(one["never"]),
            )
            for one in told["aggregator"]
        ),
    )
