"""The race of a fan-out: who is waited for, and who is let go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

from mom_council.councils.schema import Deliberation
from mom_council.deliberation.fan_out import OutOfTime, Race, Races, TooLate
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import (
    ALL,
    ask,
    desk,
    proposals,
    question,
    seat,
    speaking,
    voting,
)
from mom_council.tests.stage import Stage

RACED = {"quorum": 0.6, "grace": 0.05}


async def test_a_straggler_is_let_go_and_its_connection_closed(stage: Stage) -> None:
    seat(stage, ALL[:4])
    stage.model("ada", reply=["Slow.", "B"], latency=60)
    status = (await ask(desk(stage, ALL[:4], deliberation=RACED)))["status"]
    assert [(a.character, a.reason, a.stage) for a in status.absent] == [
        ("Ada", "late", "character")
    ]
    assert status.degraded
    stage.wait_for(len(stage.calls))
    assert [call.outcome for call in stage.calls_to("ada")] == ["client_left"]
    assert {call.model for call in voting(stage.calls)} == {"boris", "clara", "dmitri"}
    assert len(proposals(stage.calls_to("pen")[0].body)) == 3


async def test_a_request_that_was_cancelled_is_counted(stage: Stage) -> None:
    seat(stage, ALL[:4])
    stage.model("ada", reply="Slow.", latency=60)
    status = (await ask(desk(stage, ALL[:4], deliberation=RACED)))["status"]
    assert status.usage.calls == len(stage.calls)


async def test_who_was_late_is_asked_again_in_the_next_round(stage: Stage) -> None:
    seat(stage, ALL[:4])
    stage.scripts["ada"].latency = 60
    rules = {**RACED, "method": "none", "rounds": {"min": 2, "max": 2}}
    await ask(desk(stage, ALL[:4], deliberation=rules))
    assert len(speaking(stage.calls_to("ada"))) == 2


async def test_a_full_quorum_waits_for_everyone(stage: Stage) -> None:
    seat(stage)
    stage.scripts["ada"].latency = 0.4
    status = (await ask(desk(stage, deliberation={"quorum": 1.0, "grace": 0})))["status"]
    assert status.spoke == ("Ada", "Boris", "Clara")


async def test_an_empty_answer_does_not_count_towards_the_quorum(stage: Stage) -> None:
    seat(stage, ALL[:4])
    for name in ("boris", "clara"):
        stage.model(name, reply="")
    stage.scripts["ada"].latency = 0.3
    status = (await ask(desk(stage, ALL[:4], deliberation={"quorum": 0.5, "grace": 0})))["status"]
    assert status.spoke == ("Ada", "Dmitri")


async def test_stragglers_of_a_vote_are_let_go(stage: Stage) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "pictures", "Clara": "twice"})
    prompt = stage.scripts["clara"].reply

    def slow_to_vote(body: dict[str, Any]) -> Any:
        if "<candidate" in str(body):
            stage.scripts["clara"].latency = 60
        return prompt(body)  # type: ignore[operator]

    stage.scripts["clara"].reply = slow_to_vote
    status = (await ask(desk(stage, deliberation=RACED)))["status"]
    assert [(a.character, a.reason, a.stage) for a in status.absent] == [("Clara", "late", "vote")]
    assert status.verdict.ballots == 2


async def test_two_races_of_one_graph_do_not_meet(stage: Stage) -> None:
    seat(stage, ALL[:4])
    stage.scripts["ada"].latency = 0.3
    graph = compile_council(desk(stage, ALL[:4], deliberation={"quorum": 0.75, "grace": 60}))
    results = await asyncio.gather(*(graph.ainvoke(question(f"Question {n}?")) for n in range(5)))
    assert all(result["status"].spoke == ALL[:4] for result in results)
    assert len(speaking(stage.calls_to("ada"))) == 5


async def test_a_race_holds_with_one_branch_at_a_time(stage: Stage) -> None:
    seat(stage, ALL[:4])
    graph = compile_council(desk(stage, ALL[:4], deliberation={"quorum": 0.5, "grace": 0}))
    status = (await graph.ainvoke(question(), {"max_concurrency": 1}))["status"]
    assert len(status.spoke) == 2
    assert {a.reason for a in status.absent} == {"late"}
    assert len(speaking(stage.calls)) == 2 + 1


async def test_races_that_are_through_are_forgotten() -> None:
    races = Races()

    async def node(_: Any, runtime: Runtime[Any]) -> dict[str, Any]:
        assert await races.join(runtime, Deliberation(), 3).run(_says("yes")) == "yes"
        return {}

    graph: Any = StateGraph(MessagesState)
    for name in ("a", "b", "c"):
        graph.add_node(name, node)
        graph.add_edge(START, name)
    compiled = graph.compile()
    await asyncio.gather(*(compiled.ainvoke(question()) for _ in range(5)))
    assert len(races) == 0


async def test_a_race_ends_after_its_grace() -> None:
    race = Race(1, 0.01)
    assert await race.run(_says("first")) == "first"
    with pytest.raises(TooLate):
        await race.run(asyncio.sleep(60))


async def test_a_race_without_a_quorum_never_ends_by_itself() -> None:
    race = Race(None, 0)
    await race.run(_says("first"))
    assert await race.run(_says("second")) == "second"


async def test_who_comes_after_the_end_of_a_race_does_not_even_begin() -> None:
    race = Race(1, 0)
    await race.run(_says("first"))
    begun: list[str] = []

    async def call() -> None:
        begun.append("second")

    with pytest.raises(TooLate):
        await race.run(call())
    assert begun == []


async def test_a_race_that_is_settled_ends_without_grace() -> None:
    race = Race(3, 60)
    slow = asyncio.ensure_future(race.run(asyncio.sleep(60)))
    await race.run(_says("yes"), settles=lambda said: said == ["yes"])
    with pytest.raises(TooLate):
        await slow


async def test_a_race_keeps_to_the_time_that_is_left() -> None:
    with pytest.raises(OutOfTime):
        await Race(None, 0).run(asyncio.sleep(60), seconds=0.01)


async def test_a_failure_is_passed_on_and_counts_for_nothing() -> None:
    async def fails() -> None:
        raise ValueError("no")

    race = Race(1, 0)
    with pytest.raises(ValueError, match="no"):
        await race.run(fails())
    assert await race.run(_says("second")) == "second"


async def test_cancelling_a_branch_cancels_its_call() -> None:
    ended = asyncio.Event()

    async def call() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    branch = asyncio.ensure_future(Race(None, 0).run(call()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    branch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await branch
    assert ended.is_set()


async def _says(what: str) -> str:
    return what
