"""What a run tells while it runs."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import (
    Answered,
    Counted,
    Finished,
    Missed,
    ModelAsked,
    Polled,
    Routed,
    Seated,
    Speaker,
    TextSpoken,
    TokenBatcher,
    Voted,
    read_event,
)
from mom_council.graph.council import compile_council
from mom_council.runs.follow import RunView, follow
from mom_council.tests.graph.desk import desk, question, seat, told
from mom_council.tests.stage import Fault, Reply, Stage

NAMES = ("Ada", "Boris", "Clara")


async def test_what_each_says_adds_up_to_its_proposal(stage: Stage) -> None:
    seat(stage, {name: f"{name} says a great many words, one by one." for name in NAMES})
    for name in NAMES:
        stage.scripts[name.lower()].latency = 0.3
    graph = compile_council(desk(stage, deliberation={"method": "none"}))
    pieces: dict[str, list[str]] = {}
    async for event in follow(graph, question(), {}):
        if isinstance(event, TextSpoken) and event.speaker.node == "character":
            assert (event.speaker.round, event.speaker.layer) == (1, 1)
            pieces.setdefault(event.speaker.name, []).append(event.text)
    assert {name: "".join(said) for name, said in pieces.items()} == {
        name: f"{name} says a great many words, one by one." for name in NAMES
    }
    assert all(len(said) > 1 for said in pieces.values())


async def test_a_run_is_told_from_its_route_to_its_answer(stage: Stage) -> None:
    seat(stage)
    stage.model("clara", reply="I think so.", faults=[None], always=Fault.status(500))
    events = await told(desk(stage))
    kinds = [
        type(event) for event in events if not isinstance(event, TextSpoken | ModelAsked | Finished)
    ]
    assert kinds == [Routed, Seated, Polled, Voted, Voted, Missed, Counted, Answered] or kinds == [
        Routed, Seated, Polled, Missed, Voted, Voted, Counted, Answered,
    ] or kinds == [Routed, Seated, Polled, Voted, Missed, Voted, Counted, Answered]  # fmt: skip
    answered = events[-1]
    assert isinstance(answered, Answered)
    assert answered.text == "What the council says."
    asked = [event.speaker for event in events if isinstance(event, ModelAsked)]
    assert len(asked) == len(stage.calls) == 7


async def test_the_answer_streams_before_it_ends(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply="One two three four five six.", latency=0.4)
    events = await told(desk(stage))
    mine = [event for event in events if _node(event) == "synthesizer"]
    assert [type(event) for event in mine][:2] == [ModelAsked, TextSpoken]
    assert sum(isinstance(event, TextSpoken) for event in mine) > 1
    assert isinstance(mine[-1], Finished)


async def test_who_stops_following_stops_the_calls(stage: Stage) -> None:
    seat(stage, latency=60, first_token=0.0)
    events = follow(compile_council(desk(stage)), question(), {})
    async with aclosing(events):  # type: ignore[type-var]
        heard = set()
        async for event in events:
            if isinstance(event, TextSpoken):
                heard.add(event.speaker.name)
            if len(heard) == 3:
                break
    stage.wait_for(3)
    assert {call.outcome for call in stage.calls} == {"client_left"}


async def test_thoughts_are_told_apart(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=Reply("It is so.", reasoning="Is it so?"))
    events = await told(desk(stage, deliberation={"method": "none"}))
    said = [
        event for event in events if isinstance(event, TextSpoken) and event.speaker.name == "Ada"
    ]
    assert "".join(event.text for event in said if event.reasoning) == "Is it so?"
    assert "".join(event.text for event in said if not event.reasoning) == "It is so."


async def test_every_event_survives_json(stage: Stage) -> None:
    seat(stage)
    stage.model("clara", always=Fault.status(500))
    async for part in compile_council(desk(stage)).astream(question(), stream_mode="custom"):
        event = read_event(part)
        assert event is not None
        assert read_event(json.loads(json.dumps(part))) == event


@pytest.mark.parametrize("part", [None, "text", {}, {"kind": "else"}, {"kind": "said"}, [1]])
def test_what_others_wrote_is_no_event(part: Any) -> None:
    assert read_event(part) is None


async def test_prompts_are_told_in_debug_runs_alone(stage: Stage) -> None:
    seat(stage)
    plain = [event for event in await told(desk(stage)) if isinstance(event, ModelAsked)]
    assert not any(event.prompt for event in plain)
    events = await told(desk(stage), context=CouncilContext(debug=True))
    asked = [event for event in events if isinstance(event, ModelAsked)]
    assert all([role for role, _ in event.prompt] == ["system", "human"] for event in asked)
    assert all(event.reply for event in events if isinstance(event, Finished))


async def messages_of(stage: Stage, **settings: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """The texts of LangGraph's stream of messages, and the tags of their calls, by nodes."""
    seat(stage)
    text: dict[str, str] = {}
    tags: dict[str, Any] = {}
    context = CouncilContext(**settings)
    async for message, metadata in compile_council(desk(stage)).astream(
        question(), stream_mode="messages", context=context
    ):
        assert isinstance(message, AIMessageChunk)
        node = metadata["langgraph_node"]
        assert node in (metadata["character"], "synthesizer", f"{metadata['character']} votes")
        text[node] = text.get(node, "") + str(message.text)
        tags[node] = metadata["tags"]
    return text, tags


async def test_a_chat_client_sees_the_answer_alone(stage: Stage) -> None:
    text, tags = await messages_of(stage)
    assert text == {"synthesizer": "What the council says."}
    assert tags == {"synthesizer": ["answer"]}
    assert len(stage.calls) == 7


async def test_who_wants_them_gets_the_members_tokens_with_names_and_tags(stage: Stage) -> None:
    text, tags = await messages_of(stage, stream_members=True)
    assert text["Ada"] == "The view of You count twice."
    assert text["synthesizer"] == "What the council says."
    assert {"Ada votes", "Boris votes", "Clara votes"} <= set(text)
    assert (tags["Ada"], tags["Ada votes"]) == (["proposal"], ["ballot"])


async def test_a_view_adds_the_events_up(stage: Stage) -> None:
    seat(stage, likes="doubt")
    stage.model("clara", always=Fault.status(500))
    stage.model("dmitri", reply="The view of Dmitri")
    view = RunView()
    names = (*NAMES, "Dmitri")
    async for event in follow(compile_council(desk(stage, names)), question(), {}):
        view.take(event)
    assert view.answer == "What the council says."
    assert view.status is not None
    states = {name: seat.state for (_, name), seat in view.round.seats.items()}
    assert states == {"Ada": "done", "Boris": "done", "Clara": "absent", "Dmitri": "done"}
    assert view.round.seats[1, "Ada"].text == "The view of You count twice."
    assert {ballot.voter for ballot in view.round.ballots} == {"Ada", "Boris", "Dmitri"}
    assert view.round.counted is not None


def test_tokens_are_told_in_pieces() -> None:
    class Runtime:
        def __init__(self) -> None:
            self.parts: list[Any] = []
            self.stream_writer = self.parts.append

    now = [0.0]
    runtime: Any = Runtime()
    telling = TokenBatcher(runtime, Speaker(node="character", name="Ada"), clock=lambda: now[0])
    now[0] = 1.0
    for token in ("a", "b", "c"):
        telling(token)
    telling("d", reasoning=True)
    now[0] = 2.0
    telling("e", reasoning=True)
    telling.close()
    said = [read_event(part) for part in runtime.parts]
    assert [(event.text, event.reasoning) for event in said if isinstance(event, TextSpoken)] == [
        ("a", False),
        ("bc", False),
        ("de", True),
    ]


def _node(event: Any) -> str:
    speaker = getattr(event, "speaker", None)
    return speaker.node if speaker else ""
