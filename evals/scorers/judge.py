"""A judge compares two answers, twice: once in each order.

Models prefer a place as well as an answer: they keep their verdict on a swapped order only about
two times in three. A preference therefore counts only where both orders agree; else it is a tie.
"""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple

from mom_council.councils.schema import Council
from mom_council.deliberation.ask_model import compose_messages
from mom_council.evals.cases import Case
from mom_council.models.speaking import speak
from mom_council.prompts import render
from mom_council.records import Usage
from mom_council.voting.ballots import Candidate, ballot_schema, prompt_values, read_ballot

Preference = Literal["one", "other", "tie"]


class Judgement(NamedTuple):
    """What a judge makes of two answers."""

    prefers: Preference
    steady: bool
    """It said the same in both orders."""
    usage: Usage


async def compare(council: Council, key: str, case: Case, one: str, other: str) -> Judgement:
    """Ask the judge which answer is better, in both orders at once.

    The two are nameless, and the judge may abstain: two abstentions are a steady tie.

    Args:
        council: has the judge among its models.
        key: the judge, by its key there.
        case: the question.
        one: an answer.
        other: another.

    Raises:
        ModelError: the judge did not answer.
    """
    (first, spent), (second, more) = await asyncio.gather(
        _ask(council, key, case, {"one": one, "other": other}),
        _ask(council, key, case, {"other": other, "one": one}),
    )
    prefers: Preference = "tie"
    if first == second and first in ("one", "other"):
        prefers = "one" if first == "one" else "other"
    return Judgement(prefers, first == second, spent + more)


async def _ask(
    council: Council, key: str, case: Case, answers: dict[str, str]
) -> tuple[str | None, Usage]:
    """Whom the judge prefers in this order; None where it abstains or cannot be read."""
    shown = [
        Candidate(label=label, character=name, text=text)
        for label, (name, text) in zip("AB", answers.items(), strict=True)
    ]
    prompt = render(
        "vote",
        style="standard",
        name="the judge",
        personality="",
        question=case.asked,
        restated="",
        **prompt_values("plurality", shown),
    )
    schema = ballot_schema("plurality", shown)
    reply = await speak(
        council, key, compose_messages(prompt), schema=schema, params={"temperature": 0.0}
    )
    return read_ballot(reply.text, shown, "plurality").ballot("the judge").choice, reply.usage
