"""What everyone reads of the conversation, and the throws of the dice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from mom_council.councils.loader import load_council
from mom_council.deliberation import conversation, selectors
from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.records import Note
from mom_council.tests.graph.desk import (
    ALL,
    desk,
    question,
    roles,
    said,
    seat,
    speaking,
    texts,
    voting,
)
from mom_council.tests.stage import Stage


async def test_the_second_turn_holds_the_first_question_and_its_answer(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage), InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke(question("Who painted it?"), config)
    stage.clear()
    await graph.ainvoke(question("And when?"), config)
    for call in speaking(stage.calls):
        assert roles(call.body) == ["system", "user", "assistant", "user"]
        assert texts(call.body, "user")[0] == "Who painted it?"
        assert texts(call.body, "assistant") == ["What the council says."]
        assert "And when?" in texts(call.body, "user")[1]
    assert len(voting(stage.calls)) == 3
    for call in voting(stage.calls):
        assert texts(call.body, "assistant") == ["What the council says."]


async def test_the_callers_instructions_reach_everyone_in_one_system_message(
    stage: Stage,
) -> None:
    seat(stage)
    messages = [SystemMessage("Answer in Latin."), HumanMessage("Why?"), SystemMessage("Be kind.")]
    await compile_council(desk(stage)).ainvoke({"messages": messages})
    assert len(stage.calls) == 7
    for call in stage.calls:
        assert roles(call.body).count("system") == 1
        assert roles(call.body)[0] == "system"
        assert "Answer in Latin.\n\nBe kind." in texts(call.body, "system")[0]


async def test_the_tool_traffic_of_a_parent_is_not_sent(stage: Stage) -> None:
    seat(stage)
    called = {"name": "search", "args": {"q": "secret query"}, "id": "1"}
    messages = [
        HumanMessage("Hello."),
        AIMessage("", tool_calls=[called]),
        ToolMessage("secret result", tool_call_id="1"),
        AIMessage("I looked it up.", tool_calls=[{**called, "id": "2"}]),
        ToolMessage("secret result", tool_call_id="2"),
        HumanMessage("And?"),
    ]
    await compile_council(desk(stage)).ainvoke({"messages": messages})
    for call in stage.calls:
        assert "secret" not in str(call.body)
        assert "I looked it up." in said(call.body)


async def test_only_so_much_of_the_conversation_is_read(stage: Stage) -> None:
    seat(stage)
    past = [{"role": "user", "content": f"Line {n}."} for n in range(9)]
    await compile_council(desk(stage, history=2)).ainvoke({"messages": past})
    body = stage.calls_to("ada")[0].body
    assert texts(body, "user") == ["Line 6.", "Line 7.", "Line 8."]
    stage.clear()
    await compile_council(desk(stage, history=0)).ainvoke({"messages": past})
    assert texts(stage.calls_to("ada")[0].body, "user") == ["Line 8."]


async def test_commands_are_no_part_of_what_is_read(stage: Stage) -> None:
    seat(stage)
    messages = [HumanMessage("/text draw it"), AIMessage("No."), HumanMessage("/TEXT why?")]
    await compile_council(desk(stage)).ainvoke({"messages": messages})
    assert texts(stage.calls_to("ada")[0].body, "user") == ["draw it", "why?"]


async def test_dropout_is_seeded_and_leaves_somebody(stage: Stage) -> None:
    seat(stage, ALL)
    graph = compile_council(desk(stage, ALL, synthesizer={"dropout": 0.6}, seed=3))
    spoke = [(await graph.ainvoke(question()))["status"].spoke for _ in range(2)]
    assert spoke[0] == spoke[1]
    assert 1 <= len(spoke[0]) < 6


@given(seed=st.integers(0, 2**32 - 1), chance=st.floats(0, 0.999), asked=st.text(min_size=1))
def test_dropout_never_drops_everyone(seed: int, chance: float, asked: str) -> None:
    council = _council(seed=seed, synthesizer={"model": "m", "dropout": chance})
    state: Any = {"messages": [HumanMessage("Q" + asked)]}
    for round_ in (1, 2):
        out = selectors.dropout_names(state, council, round_, 1)
        assert len(out) < 3
        assert out == selectors.dropout_names(state, council, round_, 1)
        assert selectors.waiting_characters(state, council, round_, 1)


@pytest.mark.parametrize("messages", [[], [AIMessage("Hello.")], [HumanMessage([])]])
def test_without_a_question_it_says_what_is_missing(messages: list[Any]) -> None:
    with pytest.raises(CouncilError, match="no question"):
        conversation.question_text({"messages": messages})  # type: ignore[typeddict-item]


def test_a_picture_alone_is_a_question() -> None:
    block = {"type": "image_url", "image_url": {"url": "data:,"}}
    state: Any = {"messages": [HumanMessage([block])]}
    assert conversation.question_images(state) == [block]
    assert conversation.question_text(state) == "What is in the picture?"


def _council(**changes: Any) -> Any:
    names = ("Ada", "Boris", "Clara")
    return load_council(
        {
            "name": "desk",
            "models": {"m": {"provider": "openai", "model": "m"}},
            "characters": [{"name": name, "model": "m"} for name in names],
            "synthesizer": {"model": "m"},
            **changes,
        }
    )


def test_notes_of_version_0_1_were_texts_alone_and_are_read() -> None:
    typed = Note(kind="extension_failed", about="facts", text="It failed.")
    assert selectors.notes_of({"notes": ["an old one", typed]}) == (Note(text="an old one"), typed)
    assert selectors.notes_of({}) == ()
