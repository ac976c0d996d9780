"""The council that comes along, on its own models: it does not lose to plain counting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from mom_council.councils.loader import load_council
from mom_council.evals.cases import Case, read_cases
from mom_council.evals.run import mark
from mom_council.evals.sheet import SHIPPED
from mom_council.graph.council import compile_council
from mom_council.models.providers.embedded import close_embedded
from mom_council.records import Proposal, Status
from mom_council.tests.graph.desk import question
from mom_council.voting.reading import same_answer

pytestmark = pytest.mark.slow

SUMS = [
    Case(question=f"What is {one} + {other}?", gold=str(one + other))
    for one in range(10)
    for other in range(one, 10)
]


@pytest.fixture(scope="module", autouse=True)
def _closed_in_the_end() -> Iterator[None]:
    yield
    close_embedded()


class Demo:
    """The demo council."""

    def __init__(self) -> None:
        self._graph = compile_council(load_council("demo"), InMemorySaver())

    async def ask(self, case: Case) -> tuple[str, Status, list[str]]:
        """What people read, its status, and what the three answered at first."""
        config = {"configurable": {"thread_id": case.question}}
        result = await self._graph.ainvoke(question(case.question), config)
        state = await self._graph.aget_state(config)
        proposals: list[Proposal] = state.values["proposals"]
        first = [one.text for one in proposals if one.round == 1]
        return result["messages"][-1].text, result["status"], first


def majority(texts: list[str]) -> str:
    """The most frequent answer, the first at a tie."""
    behind = [sum(text == other or same_answer(text, other) for other in texts) for text in texts]
    return texts[behind.index(max(behind))]


async def is_right(text: str, case: Case) -> bool:
    return bool((await mark(text, case)).ok)


async def test_every_sum_of_two_digits_is_right_in_the_text_that_people_read() -> None:
    demo, seen = Demo(), 0
    for case in SUMS:
        text, status, _ = await demo.ask(case)
        assert text == case.gold, case.question
        assert status.written_by != "vote", f"{case.question}: no synthesizer wrote it"
        assert status.notes == ()
        assert not status.verdict.ballots, "equal answers are counted"
        seen += 1
    assert seen == 55


async def test_held_out_questions_are_right_at_least_as_often_as_by_plain_majority() -> None:
    demo, council, counted = Demo(), 0, 0
    cases = [case for case in read_cases(SHIPPED) if case.fold == "eval"]
    assert len(cases) == 138
    for case in cases:
        text, _, first = await demo.ask(case)
        assert len(first) == 3
        council += await is_right(text, case)
        counted += await is_right(majority(first), case)
    assert council >= counted > 90
