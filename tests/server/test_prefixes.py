"""What a model is sent in one turn begins what it is sent in the next: vendors' caches know it."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from mom_council.councils.loader import load_council
from mom_council.tests.graph.desk import desk, seat, voice, written
from mom_council.tests.server.conftest import Serve
from mom_council.tests.stage import Call, Stage

pytestmark = pytest.mark.slow


def bytes_of(call: Call) -> list[bytes]:
    """The messages of a request, each as it went over the wire, without the last: the question."""
    return [orjson.dumps(message) for message in call.body["messages"][:-1]]


def kept(before: Call, after: Call) -> bool:
    """Whether a vendor's cache of the first request serves the second."""
    first, second = bytes_of(before), bytes_of(after)
    return second[: len(first)] == first


def told(stage: Stage) -> Any:
    """A council with everybody who speaks: annotator, characters in two layers, voters, pen."""
    plan = written(stage, ("Ada", "Boris", "Clara", "Dmitri"))
    plan["models"]["reader"] = voice(stage, "reader")
    plan["annotator"] = {"model": "reader"}
    plan["deliberation"] = {"rounds": {"min": 2, "max": 2}, "quorum": 1.0, "ballots": "always"}
    return load_council(plan)


def talk(stage: Stage, serve: Serve, thread: str | None, turns: int) -> list[list[Call]]:
    """A conversation of some turns; the calls of each."""
    seat(stage, ("Ada", "Boris", "Clara", "Dmitri"))
    stage.model("reader", reply='{"restated": "Which pet is best?", "kind": "open"}')
    client = serve(told(stage), database="memory:").openai
    head: Any = [{"role": "system", "content": "Be kind. Über alles: höflich."}]
    messages = list(head)
    calls: list[list[Call]] = []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"  Question {turn}?\n"})
        sent = messages if thread is None else [*head, messages[-1]]
        more = {"X-Thread-Id": thread} if thread else {}
        answer = client.chat.completions.create(model="desk", messages=sent, extra_headers=more)
        messages.append({"role": "assistant", "content": answer.choices[0].message.content})
        calls.append(stage.calls)
        stage.clear()
    return calls


@pytest.mark.parametrize("thread", [None, "long-talk"])
def test_every_speaker_is_sent_the_last_turn_again_byte_by_byte(
    stage: Stage, serve: Serve, thread: str | None
) -> None:
    turns = talk(stage, serve, thread, 3)
    for speaker in ("ada", "boris", "clara", "dmitri", "reader", "pen"):
        asked = [[call for call in turn if call.model == speaker] for turn in turns]
        for before, after in itertools.pairwise(asked):
            assert len(before) == len(after) > 0
            assert all(kept(a, b) for a, b in zip(before, after, strict=True)), speaker
            assert len(bytes_of(after[0])) == len(bytes_of(before[0])) + 2


def test_the_first_turns_question_itself_is_part_of_what_stays(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage)).openai
    messages: Any = [{"role": "user", "content": "What is the best pet?"}]
    client.chat.completions.create(model="desk", messages=messages)
    messages += [
        {"role": "assistant", "content": "What the council says."},
        {"role": "user", "content": "And the worst?"},
    ]
    client.chat.completions.create(model="desk", messages=messages)
    first, second = (call for call in stage.calls_to("ada") if "candidate" not in str(call.body))
    whole = [orjson.dumps(message) for message in first.body["messages"]]
    assert bytes_of(second)[: len(whole)] == whole


def test_a_long_conversation_loses_its_head_by_the_half(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage, history=8, deliberation={"method": "none"})).openai
    messages: Any = []
    sent: list[Call] = []
    for turn in range(14):
        messages.append({"role": "user", "content": f"Question {turn}?"})
        client.chat.completions.create(model="desk", messages=messages)
        messages.append({"role": "assistant", "content": f"Answer {turn}."})
        sent.append(stage.calls_to("ada")[-1])
    lost = [not kept(a, b) for a, b in itertools.pairwise(sent)]
    assert sum(lost) == 5, "every second turn, and not each"
    assert max(len(bytes_of(call)) for call in sent) <= 9
