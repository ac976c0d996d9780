"""A council as the model of an agent's loop: it speaks once, then its synthesizer goes on alone."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.server.conftest import Serve, Served
from mom_council.tests.stage import Reply, Stage

pytestmark = pytest.mark.slow

TOOL: Any = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}


def reads(number: int) -> Reply:
    """The pen asks for a file."""
    call = {"name": "read", "args": {"file": f"{number}.py"}, "id": f"call_{number}"}
    return Reply("", tool_calls=[call])


def turn(served: Served, messages: list[Any], tools: Any = (TOOL,)) -> Any:
    """One request of an agent; the answer's message, which its conversation goes on with."""
    body = {"model": "desk", "messages": messages, "tools": [*tools]}
    answer = served.post(body)
    assert answer.status_code == 200, answer.text
    message = answer.json()["choices"][0]["message"]
    messages.append({name: message.get(name) for name in ("role", "content", "tool_calls")})
    return message


def result(messages: list[Any], text: str) -> None:
    """The agent's tool gives something."""
    call = messages[-1]["tool_calls"][0]
    messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})


def loop(served: Served, messages: list[Any], rounds: int) -> str:
    """So many calls of a tool, and the answer."""
    for number in range(rounds):
        turn(served, messages)
        result(messages, f"text of {number}")
    return str(turn(served, messages)["content"])


def test_the_council_speaks_once_in_a_turn(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply=[*(reads(number) for number in range(3)), "Done."])
    served = serve(desk(stage))
    messages: list[Any] = [
        {"role": "system", "content": "You are an agent."},
        {"role": "user", "content": "Repair it."},
    ]
    assert loop(served, messages, 3) == "Done."
    assert len(stage.calls_to("ada")) == 2, "it answers and votes, once"
    bodies = [call.body for call in stage.calls_to("pen")]
    assert len(bodies) == 4
    for before, after in pairwise(bodies):
        old, new = before["messages"], after["messages"]
        assert json.dumps(new[: len(old)]) == json.dumps(old), "its beginning stays as it was"
        assert before["tools"] == after["tools"]
        asked, given = new[len(old) :]
        assert asked["tool_calls"][0]["id"] == given["tool_call_id"]
    assert "text of 2" in bodies[-1]["messages"][-1]["content"]
    assert "The view of" in said(bodies[-1]), "what the members said stays with it"


def test_the_next_question_is_the_councils_again(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply=[reads(0), "Done.", reads(1), "Done too."])
    served = serve(desk(stage))
    messages: list[Any] = [{"role": "user", "content": "Repair it."}]
    loop(served, messages, 1)
    messages.append({"role": "user", "content": "And now test it."})
    loop(served, messages, 1)
    assert len(stage.calls_to("ada")) == 4
    last = stage.calls_to("pen")[-1].body["messages"]
    kept = [one["tool_call_id"] for one in last if one["role"] == "tool"]
    assert kept == ["call_0", "call_1"], "what was read for the first question is still there"
    called = [call["id"] for one in last for call in one.get("tool_calls") or ()]
    assert called == kept


def test_a_turn_that_nobody_remembers_is_deliberated(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply=[reads(0), "Done."])
    messages: list[Any] = [{"role": "user", "content": "Repair it."}]
    turn(serve(desk(stage)), messages)
    result(messages, "text of 0")
    turn(serve(desk(stage)), messages)  # another server
    assert len(stage.calls_to("ada")) == 4
    assert "text of 0" in said(stage.calls_to("ada")[-1].body)


def test_workers_of_one_server_know_each_others_turns(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    seat(stage)
    stage.model("pen", reply=[*(reads(number) for number in range(3)), "Done."])
    shared: Any = {"workers": 2, "database": str(tmp_path / "threads.db")}
    one, other = serve(desk(stage), **shared), serve(desk(stage), **shared)
    messages: list[Any] = [{"role": "user", "content": "Repair it."}]
    for number, served in enumerate((one, other, one)):
        turn(served, messages)
        result(messages, f"text of {number}")
    assert turn(other, messages)["content"] == "Done."
    assert len(stage.calls_to("ada")) == 2, "it answers and votes, once"
    assert "The view of" in said(stage.calls_to("pen")[-1].body)
    response = one.openai.responses.create(model="desk", input="Who?")
    again = other.get(f"/v1/responses/{response.id}")
    assert again.json()["id"] == response.id
    response = one.openai.responses.create(model="desk", input="Who?", store=False)
    assert other.get(f"/v1/responses/{response.id}").status_code == 404


def test_a_council_may_want_to_speak_each_time(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply=[reads(0), reads(1), "Done."])
    served = serve(desk(stage, synthesizer={"after_tools": "council"}))
    loop(served, [{"role": "user", "content": "Repair it."}], 2)
    assert len(stage.calls_to("ada")) == 6


def test_a_model_without_tools_goes_on_in_words(stage: Stage, serve: Serve) -> None:
    seat(stage)
    call = '{"tool": "read", "arguments": {"file": "0.py"}}'
    stage.model("pen", reply=[call, '{"answer": "Done."}'])
    plan = desk(stage)
    wordy = plan.models["pen"].model_copy(update={"tools": False})
    served = serve(plan.model_copy(update={"models": {**plan.models, "pen": wordy}}))
    assert loop(served, [{"role": "user", "content": "Repair it."}], 1) == "Done."
    assert len(stage.calls_to("ada")) == 2
    assert "text of 0" in said(stage.calls_to("pen")[-1].body)


def test_a_long_loop_asks_the_synthesizer_alone(stage: Stage, serve: Serve) -> None:
    """200 messages of 100,000 tokens reach the synthesizer whole; nobody else is asked again."""
    seat(stage)
    stage.model("pen", reply=lambda body: reads(len(body["messages"])))
    served = serve(desk(stage))
    messages: list[Any] = [{"role": "user", "content": "Repair it."}]
    turns = 0
    while len(messages) < 200:
        turn(served, messages)
        turns += 1
        result(messages, "word " * 800)
    assert sum(len(str(one["content"])) for one in messages) > 390_000
    assert len(stage.calls_to("ada")) == 2
    assert len(stage.calls_to("pen")) == turns
    sent = stage.calls_to("pen")[-1].body["messages"]
    assert [one["tool_call_id"] for one in sent if one["role"] == "tool"] == [
        one["tool_call_id"] for one in messages[:-1] if one["role"] == "tool"
    ]


REMINDER = {"type": "text", "text": "<system-reminder>Keep a list.</system-reminder>"}


@pytest.mark.parametrize("role", ["user", "system"])
def test_a_reminder_of_claude_code_is_no_new_question(
    stage: Stage, serve: Serve, role: str
) -> None:
    seat(stage)
    stage.model("pen", reply=[reads(0), "Done."])
    served = serve(desk(stage))
    tool = {"name": "read", "input_schema": {"type": "object"}}
    messages: list[Any] = [{"role": "user", "content": "Repair it."}]
    body = {"model": "desk", "max_tokens": 99, "tools": [tool], "messages": messages}
    first = served.post(body, "/v1/messages").json()
    messages += [
        {"role": "assistant", "content": first["content"]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "call_0", "content": "text of 0"}],
        },
        {"role": role, "content": [REMINDER]},
    ]
    assert served.post(body, "/v1/messages").json()["content"][-1]["text"] == "Done."
    assert len(stage.calls_to("ada")) == 2, "the council spoke once"
    last = stage.calls_to("pen")[-1].body["messages"][-1]
    assert last["role"] == "tool"
    assert "Keep a list." in last["content"]
