"""Bodies that are odd, and that some client sends: none is a failure of the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import Serve
from mom_council.tests.stage import Reply, Stage

pytestmark = pytest.mark.slow

ASKED: Any = {"role": "user", "content": "Which?"}
READ = {"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": READ["parameters"]}}]

ARGUMENTS: dict[str, Any] = {
    '{"town": 1}': {"town": 1},
    "": {},
    "null": {},
    **{
        text: {"arguments": text}
        for text in ("[1]", '"town"', "7", "{town", "9" * 5000, "[" * 100_000)
    },
}
"""What a tool was called with, as a client says it, and as the synthesizer's model reads it."""


def test_a_call_with_any_arguments_is_handed_on(stage: Stage, serve: Serve) -> None:
    seat(stage)
    call: Any = {"name": "read", "args": {}, "id": "c"}
    stage.model("pen", reply=[Reply("", tool_calls=[call]), "Done."])
    served = serve(desk(stage))
    asked = {"model": "desk", "messages": [ASKED], "tools": TOOLS}
    assert served.post(asked).status_code == 200, "the council speaks on the question"
    for text, sent in ARGUMENTS.items():
        call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": text}}
        turns = [{"role": "assistant", "content": None, "tool_calls": [call]}]
        turns += [{"role": "tool", "tool_call_id": "c", "content": "done"}]
        item = {"type": "function_call", "call_id": "c", "name": "read", "arguments": text}
        result = {"type": "function_call_output", "call_id": "c", "output": "done"}
        bodies = {"chat/completions": {"messages": [ASKED, *turns], "tools": TOOLS}}
        if text == "[1]":  # a sample: both paths take the same way from there
            bodies["responses"] = {"input": [ASKED, item, result], "tools": [READ], "store": False}
        for path, body in bodies.items():
            answer = served.post({"model": "desk", **body}, f"/v1/{path}")
            assert answer.status_code == 200, (path, text[:20], answer.text)
            *_, called, given = stage.calls_to("pen")[-1].body["messages"]
            [call] = called["tool_calls"]
            assert json.loads(call["function"]["arguments"]) == sent, (path, text[:20])
            assert given["tool_call_id"] == call["id"] == "c"


def test_a_damaged_picture_and_no_words_are_the_clients_fault(stage: Stage, serve: Serve) -> None:
    seat(stage)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"model": "desk", "messages": [{"role": "user", "content": [picture]}]}
    answer = serve(desk(stage)).post(body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_image"
    assert not stage.calls
