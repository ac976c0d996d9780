"""The table over several questions: cleared, kept once, and growing no faster than the talk."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from mom_council.graph.council import compile_council
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.tests.graph.desk import (
    ALL,
    desk,
    others,
    proposals,
    question,
    seat,
    speaking,
)
from mom_council.tests.stage import Fault, Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}


async def test_the_table_is_cleared_between_questions(stage: Stage) -> None:
    for name in ("ada", "boris", "clara", "pen"):
        stage.model(name, reply=_echo(name))
    stage.scripts["clara"].faults = [Fault.status(500)]
    rules = {"method": "none", "rounds": {"min": 2, "max": 2}}
    graph = compile_council(desk(stage, deliberation=rules), InMemorySaver())
    for turn in ("One?", "Two?", "Three?"):
        stage.clear()
        status = (await graph.ainvoke(question(turn), CONFIG))["status"]
        assert status.usage.calls == len(stage.calls)
        assert bool(status.absent) == (turn == "One?")
        shown = proposals(stage.calls_to("pen")[0].body)
        assert len(shown) == (2 if turn == "One?" else 3)
        assert all(text.endswith(f"on {turn}") for text in shown)
        for call in speaking(stage.calls):
            assert all(text.endswith(f"on {turn}") for text in others(call.body))
    state = (await graph.aget_state(CONFIG)).values
    assert len(state["messages"]) == 6
    assert {p.round for p in state["proposals"]} == {1, 2}
    assert len(state["proposals"]) == 6
    assert len(state["verdicts"]) == 2


async def test_a_thread_grows_with_the_talk_and_not_with_its_square(
    stage: Stage, tmp_path: Any
) -> None:
    seat(stage, ALL)
    path = tmp_path / "threads.db"
    sizes = []
    async with open_checkpointer(str(path)) as saver:
        graph = compile_council(desk(stage, ALL), saver)
        for turn in range(9):
            await graph.ainvoke(question(f"Question {turn}?"), CONFIG)
            if turn % 4 == 0:
                sizes.append(await _bytes(saver))
    first, second, third = sizes
    assert third - second < 1.3 * (second - first)


async def test_nothing_secret_and_no_client_is_kept(stage: Stage, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")
    seat(stage)
    saver = InMemorySaver()
    graph = compile_council(desk(stage), saver)
    await graph.ainvoke(question(), CONFIG)
    assert stage.calls[0].key_sent
    kept = [str(found) async for found in saver.alist(CONFIG)]
    assert kept
    assert not any("very-secret" in text for text in kept)


async def _bytes(saver: Any) -> int:
    """What is stored of a thread."""
    rows = await saver.conn.execute_fetchall(
        "SELECT (SELECT sum(length(checkpoint) + length(metadata)) FROM checkpoints) "
        "+ (SELECT sum(length(value)) FROM writes)"
    )
    return int(next(iter(rows))[0])


def _echo(name: str) -> Any:
    """A reply that says which question it answers."""

    def reply(body: dict[str, Any]) -> str:
        asked = [turn for turn in ("One?", "Two?", "Three?") if turn in str(body["messages"][-1])]
        return f"{name} on {asked[-1]}"

    return reply
