"""Open questions, which have no gold answer: the council against one model, before a judge.

The judge compares two answers twice, once in each order. Models prefer a place as well as an
answer: they keep their verdict on a swapped order only about two times in three. A preference
therefore counts only where both orders agree; else it is a tie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Character, Council
from mom_council.deliberation.ask_model import compose_messages
from mom_council.errors import CouncilError, MixtureError
from mom_council.evals.asking import (
    ask_alone,
    describe_fault,
    map_concurrently,
    refuse_nothing_finished,
)
from mom_council.evals.cases import Case
from mom_council.evals.intervals import bootstrap
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import speak
from mom_council.prompts import render
from mom_council.records import Record, Usage
from mom_council.runs.ask import OpenCouncil, Run
from mom_council.runs.words import counted
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
    # Where the answers are letters themselves, "B" must not mean two things.
    labels = ("P1", "P2") if case.options else ("A", "B")
    candidates = [
        Candidate(label=label, character=name, text=text)
        for label, (name, text) in zip(labels, answers.items(), strict=True)
    ]
    prompt = render(
        "vote",
        style="standard",
        name="the judge",
        personality="",
        question=case.prompt,
        restated="",
        **prompt_values("plurality", candidates),
    )
    schema = ballot_schema("plurality", candidates)
    reply = await speak(
        resolve_model(council, key),
        compose_messages(prompt),
        schema=schema,
        params={"temperature": 0.0},
    )
    read = read_ballot(reply.text, candidates, "plurality", options=case.options or ())
    return read.ballot("the judge").choice, reply.usage


class Duel(Record):
    """How often a judge preferred the council."""

    council: str
    against: str
    judge: str
    questions: int
    won: int
    lost: int
    tied: int
    """Abstentions, and verdicts that turned with the order."""
    score: float
    """Wins and half the ties, of all: above 0.5 the council is preferred."""
    low: float
    high: float
    steady: float
    """How often the judge said the same in both orders."""
    unanswered: int
    fault: str = ""
    """Why the last of the unanswered ones has none."""
    usage: Usage
    """Of the judge."""

    def in_words(self) -> str:
        """The result in a few lines."""
        return (
            f"{self.judge} judged {self.council} against {self.against} alone on "
            f"{counted(self.questions, 'question')}, each in both orders.\n"
            f"won {self.won}, lost {self.lost}, tied {self.tied}: {100 * self.score:.1f} % "
            f"({100 * self.low:.1f} to {100 * self.high:.1f}) of the points; 50 % is even.\n"
            f"The judge was steady on {100 * self.steady:.0f} % of them"
            + (f"; {self.unanswered} had no answer: {self.fault}" if self.unanswered else ".")
        )


async def duel(
    council: Council,
    cases: Sequence[Case],
    *,
    judge: str,
    against: str | None = None,
    concurrency: int = 4,
    progress: Callable[[str, int, int], None] | None = None,
) -> Duel:
    """Play the council against one of its members on its own.

    Args:
        council: which council.
        cases: questions; gold answers are not looked at.
        judge: one of the council's models, by its key; best one that nobody sits on.
        against: the character; the one whose model writes the answers if left out, else the first.
        concurrency: questions under way at a time.
        progress: told after every question.

    Raises:
        CouncilError: there is no such judge or member, or no question was answered by both.
    """
    rival = _rival(council, judge, against)
    opened = OpenCouncil(council)
    points: list[tuple[float, bool]] = []
    unanswered, fault, spent, done = 0, "", Usage(), 0

    async def act(case: Case) -> tuple[float, bool, Usage] | str:
        solo = await ask_alone(council, rival, case)
        try:
            run = Run(opened, [HumanMessage(case.prompt)], state_keys=("messages",), traced=False)
            state = await run.finish()
            if solo.error:
                return solo.error
            answer = str(state["messages"][-1].content)
            judgement = await compare(council, judge, case, answer, solo.text)
        except Exception as error:
            return describe_fault(error)
        return (
            {"one": 1.0, "tie": 0.5, "other": 0.0}[judgement.prefers],
            judgement.steady,
            judgement.usage,
        )

    async for _, outcome in map_concurrently(cases, act, concurrency):
        done += 1
        if isinstance(outcome, str):
            unanswered, fault = unanswered + 1, outcome
        else:
            points.append(outcome[:2])
            spent += outcome[2]
        if progress is not None:
            progress(f"before {judge}", done, len(cases))
    if not points:
        raise _nothing_judged(fault, is_over=done == len(cases))
    summary = _summary(council.name, rival.name, judge, points, unanswered, spent)
    return summary.model_copy(update={"fault": fault})


def _nothing_judged(fault: str, *, is_over: bool) -> MixtureError:
    """The error of a comparison without a verdict; `fault` is of the last question."""
    if not is_over:
        return refuse_nothing_finished()
    why = f": {fault}" if fault else ""
    return CouncilError(
        f"no question was answered by both and judged{why}", cure="see `mom doctor`"
    )


def _rival(council: Council, judge: str, against: str | None) -> Character:
    """The member that the council is compared with."""
    if judge not in council.models:
        raise CouncilError(
            f"judge {judge!r} is no model of the council; it has {[*council.models]}"
        )
    writes = next(
        (who for who in council.characters if who.model == council.synthesizer.model), None
    )
    named = [who for who in council.characters if who.name == against]
    if against is not None and not named:
        raise CouncilError(f"{against!r} is no character of {council.name!r}")
    return named[0] if named else writes or council.characters[0]


def _summary(
    council: str,
    rival: str,
    judge: str,
    points: Sequence[tuple[float, bool]],
    unanswered: int,
    spent: Usage,
) -> Duel:
    values = [value for value, _ in points]
    score = bootstrap(values)
    return Duel(
        council=council,
        against=rival,
        judge=judge,
        questions=len(points),
        won=values.count(1.0),
        lost=values.count(0.0),
        tied=values.count(0.5),
        score=score.value,
        low=score.low,
        high=score.high,
        steady=sum(steady for _, steady in points) / len(points),
        unanswered=unanswered,
        usage=spent,
    )
