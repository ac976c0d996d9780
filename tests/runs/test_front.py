"""The front door: a question in, a typed answer out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

import mom_council
from mom_council import aask, ask, astream, council, stream
from mom_council.errors import CouncilError, DeliberationError, InputError, QuorumError
from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.stage import Fault, Stage


def test_a_question_is_answered(stage: Stage) -> None:
    seat(stage)
    answer = ask("What is the best pet?", council=desk(stage))
    assert answer.text == "What the council says."
    assert answer.status.spoke == ("Ada", "Boris", "Clara")
    assert (answer.thread, answer.dissent) == (None, answer.status.dissent)
    assert answer.cost == answer.status.usage.usd


async def test_a_thread_is_gone_on_with(stage: Stage) -> None:
    seat(stage)
    for text in ("First?", "Second?"):
        answer = await aask(text, council=desk(stage), thread="pets")
        assert answer.thread == "pets"
    assert "First?" in said(stage.calls_to("ada")[-1].body)


async def test_what_is_wrong_is_one_of_our_errors(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(CouncilError):
        await aask("Why?", council="no-such-council")
    with pytest.raises(InputError, match="picture"):
        await aask("Why?", council=desk(stage), images=[tmp_path / "none.png"])


async def test_a_compiled_council_takes_texts_and_messages_and_a_checkpointer(stage: Stage) -> None:
    seat(stage)
    graph = council(desk(stage), checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke("First?", thread)
    result = await graph.ainvoke([HumanMessage("Second?")], thread)
    assert [m.text for m in result["messages"]][::2] == ["First?", "Second?"]
    assert result["messages"][-1].name == "desk"


def test_the_module_is_the_command_and_has_a_version() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "mom_council", "--version"], capture_output=True, text=True
    )
    assert ended.returncode == 0
    assert mom_council.__version__ in ended.stdout


async def test_a_question_is_followed_by_its_typed_events(stage: Stage) -> None:
    seat(stage)
    events = astream("What is the best pet?", council=desk(stage))
    with pytest.raises(DeliberationError, match="no answer yet"):
        _ = events.answer
    kinds = [event.kind async for event in events]
    assert (kinds[0], kinds[-1]) == ("routed", "answered")
    assert events.answer.text == "What the council says."
    assert events.answer.status.spoke == ("Ada", "Boris", "Clara")


def test_a_program_without_an_event_loop_follows_it_too(stage: Stage) -> None:
    seat(stage)
    with stream("What is the best pet?", council=desk(stage), thread="pets") as events:
        speakers = {event.speaker.name for event in events if event.kind == "said"}
    assert speakers == {"Ada", "Boris", "Clara", "synthesizer"}
    assert events.answer.thread == "pets"
    ask("And now?", council=desk(stage), thread="pets")
    assert "best pet" in said(stage.calls_to("ada")[-1].body)


def test_who_leaves_early_stops_the_models(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply="Never.", always=Fault.hang())
    with stream("Why?", council=desk(stage)) as events:
        for event in events:
            if event.kind == "asked" and event.speaker.name == "Ada":
                stage.wait_for(1, 60, started=True, model="ada")
                break
    stage.wait_for(1, 60, model="ada")
    [call] = stage.calls_to("ada")
    assert call.outcome == "client_left"
    with pytest.raises(DeliberationError):
        _ = events.answer


def test_an_error_comes_out_of_the_events(stage: Stage) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.status(400))
    kinds = []
    with pytest.raises(QuorumError), stream("Why?", council=desk(stage)) as events:
        kinds += [event.kind for event in events]
    assert stream("Why?", council="no-such").close() is None
    with pytest.raises(CouncilError):
        list(stream("Why?", council="no-such"))
