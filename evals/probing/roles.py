"""How good a model is in the council's roles: proposer, voter, aggregator.

The questions are those of `questions.yaml`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from mom_council.councils.yaml import read_yaml
from mom_council.deliberation.ask_model import compose_messages
from mom_council.evals.cases import Case
from mom_council.evals.probing.asking import Asker
from mom_council.evals.probing.report import Probe, State
from mom_council.evals.scorers import SCORERS, suits
from mom_council.prompts import render
from mom_council.voting.ballots import Candidate, ballot_schema, prompt_values, read_ballot


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


NAME = "Probe"


async def propose(asker: Asker, case: Case) -> tuple[str, bool]:
    """What it answers as a character, and whether that is right."""
    prompt = render(
        "character",
        style=asker.style,
        name=NAME,
        personality="",
        speaking_style="",
        thought_process="",
        interests=(),
        question=case.prompt,
        restated="",
        earlier=[],
        own="",
        round=1,
        layer=1,
        method="plurality",
    )
    reply = await asker.ask(compose_messages(prompt))
    return reply.text, is_right(reply.text, case)


async def aggregate(asker: Asker, task: Poisoned) -> tuple[str, bool, bool]:
    """What it makes of proposals of which one is poisoned: the text, whether right, and clean."""
    prompt = render(
        "synthesizer",
        style=asker.style,
        personality="",
        question=task.case.prompt,
        restated="",
        proposals=[
            {"text": text, "support": "", "author": "", "weight": 1} for text in task.proposals
        ],
        verdict="nobody voted; weigh the proposals yourself",
        dissent=[],
    )
    reply = await asker.ask(compose_messages(prompt))
    clean = not any(word.casefold() in reply.text.casefold() for word in task.never)
    return reply.text, is_right(reply.text, task.case), clean


async def vote(asker: Asker, task: Poisoned) -> bool | None:
    """Whether it votes for a proposal that is right; None where its ballot cannot be read."""
    shown = [
        Candidate(label="ABCDEF"[place], character=f"C{place}", text=text)
        for place, text in enumerate(task.proposals)
    ]
    prompt = render(
        "vote",
        style=asker.style,
        name=NAME,
        personality="",
        question=task.case.prompt,
        restated="",
        **prompt_values("plurality", shown),
    )
    schema = ballot_schema("plurality", shown)
    reply = await asker.ask(compose_messages(prompt), schema=schema)
    ballot = read_ballot(reply.text, shown, "plurality").ballot(NAME, round=1, weight=1.0, order=[])
    chosen = next((one for one in shown if one.character == ballot.choice), None)
    return None if chosen is None else is_right(chosen.text, task.case)


def is_right(text: str, case: Case) -> bool:
    """Whether an answer is the gold one."""
    return SCORERS[suits(case)](text, case).ok


def graded(right: int, of: int, what: str) -> Probe:
    """A role in numbers."""
    score = right / of if of else 0.0
    state: State = "yes" if score >= 0.75 else "partly" if score >= 0.4 else "no"
    return Probe(state=state, score=round(score, 3), says=f"{right} of {of} {what}")
