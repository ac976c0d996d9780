"""Odd bodies at the three doors: never a failure of the server's, and refusals name the field."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import Served, served
from mom_council.tests.server.test_every_client_field import (
    CHAT,
    CLAUDES_TOOL,
    DOORS,
    FLAT_TOOL,
    MESSAGES,
    RESPONSES,
    SCHEMA,
    TOOL,
)
from mom_council.tests.stage import Reply, Stage

pytestmark = pytest.mark.slow

TIMES = int(os.environ.get("MOM_FUZZ", "40"))
"""Requests at each door; more of them with the variable."""
USER = {"role": "user", "content": "Which?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "Rain."}
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
    "DwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 2**31, 2**53, 2**63, 2**64, -(10**30), 10**400, 1e308),
    *(float("nan"), float("inf"), "", " ", "x", "1", "NaN", "\0", "\ud83e", "é" * 300, "x" * 5000),
    *([], {}, [[]], [None], [1], ["a"], [{}], {"a": None}, {"type": "x"}, {"type": None}),
    *({"role": "user"}, [{"type": "text", "text": "t"}], {"type": "text"}, {"url": "x"}),
    *("data:image/tiff;base64,AAAA", "data:application/x-odd;base64,AAAA", "file:///etc/passwd"),
    *("data:image/png;base64,!!!!", "data:image/svg+xml;base64,PHN2Zy8+", "ftp://x.example/y"),
]
SEEN: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        {"messages": [USER, CALLS, RESULT], "tools": [TOOL], "tool_choice": "auto"},
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What?"},
                        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                        {
                            "type": "file",
                            "file": {
                                "filename": "a.txt",
                                "file_data": "data:text/plain;base64,aGk=",
                            },
                        },
                    ],
                },
            ]
        },
    ],
    "/v1/responses": [
        {
            "input": [
                USER,
                {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
                {"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]},
                {"role": "user", "content": [{"type": "input_text", "text": "What?"}]},
            ],
            "tools": [FLAT_TOOL],
        },
    ],
    "/v1/messages": [
        {
            "max_tokens": 50,
            "system": [{"type": "text", "text": "Be kind."}],
            "tools": [CLAUDES_TOOL],
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "Rain."},
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": PICTURE[22:],
                            },
                        },
                        {"type": "text", "text": "What?"},
                    ],
                },
            ],
        },
    ],
}
"""Conversations with tools, pictures and files."""
REFUSED_ALL_THE_SAME = {
    *("audio", "functions", "function_call", "logprobs", "top_logprobs", "web_search_options"),
    *("background", "prompt", "previous_response_id", "conversation"),
}
"""Samples that are no question which can be answered as it is."""


def valid(path: str) -> list[dict[str, Any]]:
    """Bodies that are answered."""
    _, samples, base = DOORS[path]
    usual = [more for name, more in samples.items() if name not in REFUSED_ALL_THE_SAME]
    return [*({**base, **more} for more in usual), *SEEN[path] * 4]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a body."""
    yield place
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for step, inner in inside:
        yield from places(inner, (*place, step))


def change(body: dict[str, Any], rng: random.Random) -> tuple[Any, ...]:
    """Make one place of a body odd; the place."""
    place = rng.choice([one for one in places(body) if one])
    holder: Any = body
    for step in place[:-1]:
        holder = holder[step]
    way = rng.random()
    if way < 0.75:
        holder[place[-1]] = copy.deepcopy(rng.choice(ODD))
    elif way < 0.85:
        del holder[place[-1]]
    elif isinstance(holder, list):
        holder.insert(place[-1], copy.deepcopy(holder[place[-1]]))
    else:
        holder[rng.choice(["extra", "type", "id", "name", " ", "role"])] = rng.choice(ODD)
    return place


def written(place: tuple[Any, ...]) -> str:
    """A place as refusals name it."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in place]
    return "".join(steps).lstrip(".")


@pytest.fixture(scope="module")
def council() -> Iterator[Served]:
    """A council whose synthesizer calls a tool where it must."""

    def reply(body: dict[str, Any]) -> Any:
        if body.get("tool_choice") in (None, "auto", "none"):
            return '{"town": "Bern"}'
        name = body["tools"][0]["function"]["name"]
        return Reply("", tool_calls=[{"name": name, "args": {"town": "Bern"}, "id": "k"}])

    with Stage() as stage:
        seat(stage)
        stage.model("pen", reply=reply)
        with served((desk(stage),), "", True, {}) as one:
            yield one


@pytest.mark.parametrize("path", DOORS)
def test_no_body_is_a_failure_of_the_servers(council: Served, path: str) -> None:
    rng = random.Random(f"16 {path}")
    bases, answered = valid(path), 0
    for _ in range(TIMES):
        body = copy.deepcopy({"model": "desk", **rng.choice(bases)})
        changed = [change(body, rng) for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))]
        answer = council.post(json.dumps(body).encode(), path)
        assert answer.status_code in (200, 400, 404, 422, 502), (body, answer.text)
        if answer.status_code == 502:
            code = answer.json()["error"]["code"]
            assert code in ("form_not_met", "tool_not_called"), (body, answer.text)
        if not changed:
            assert answer.status_code == 200, (body, answer.text)
        answered += answer.status_code == 200
        param = answer.json()["error"]["param"] if answer.status_code == 400 else ""
        if param and len(changed) == 1:
            place = written(changed[0])
            # A tool that is left out cannot be chosen, a call without its id has no result.
            beside = ("tool_choice", "tool_call_id", "call_id", "tool_use_id")
            assert (
                place.startswith(param)
                or param.startswith(place.rpartition(".")[0])
                or param.rpartition(".")[2] in beside
            ), (body, answer.text)
    assert answered >= TIMES // 4


LONELY = {"role": "tool", "tool_call_id": "c9", "content": "Rain."}
NAMED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a result without a call": (
        "/v1/chat/completions",
        {"messages": [USER, LONELY, USER]},
        "messages[1].tool_call_id",
    ),
    "a result before its call": (
        "/v1/chat/completions",
        {"messages": [USER, RESULT, CALLS, USER]},
        "messages[1].tool_call_id",
    ),
    "an output without a call": (
        "/v1/responses",
        {"input": [USER, {"type": "function_call_output", "call_id": "c9", "output": "Rain."}]},
        "input[1].call_id",
    ),
    "a tool_result without a tool_use": (
        "/v1/messages",
        {
            "max_tokens": 9,
            "messages": [
                USER,
                {"role": "assistant", "content": "A."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "So?"},
                        {"type": "tool_result", "tool_use_id": "t9", "content": "Rain."},
                    ],
                },
            ],
        },
        "messages[2].content[1].tool_use_id",
    ),
    "no schema in a chat": (
        "/v1/chat/completions",
        {
            "messages": [USER],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": 7}},
            },
        },
        "response_format.json_schema.schema",
    ),
    "no schema in a response": (
        "/v1/responses",
        {
            "input": "Which?",
            "text": {"format": {"type": "json_schema", "name": "x", "schema": {"required": [7]}}},
        },
        "text.format.schema",
    ),
    "no schema in output_config": (
        "/v1/messages",
        {
            "max_tokens": 9,
            "messages": [USER],
            "output_config": {"format": {"type": "json_schema", "schema": {"type": 7}}},
        },
        "output_config.format.schema",
    ),
    "function_call": (
        "/v1/chat/completions",
        {"messages": [USER], "function_call": {"name": "f"}},
        "function_call",
    ),
    "top_logprobs": (
        "/v1/chat/completions",
        {"messages": [USER], "top_logprobs": 3},
        "top_logprobs",
    ),
    "audio": ("/v1/chat/completions", {"messages": [USER], "audio": {"voice": "a"}}, "audio"),
    "parameters that are none": (
        "/v1/chat/completions",
        {
            "messages": [USER],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": [SCHEMA]}}],
        },
        "tools[0].function.parameters",
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_refusal_names_the_field(council: Served, name: str) -> None:
    path, body, param = NAMED[name]
    answer = council.post({"model": "desk", **body}, path)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1" + "0" * 400, "-1e999"]


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda number: number[:9])
@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", '{"messages": [%s], "temperature": NUMBER}', "temperature"),
        ("/v1/chat/completions", '{"messages": [%s, {"a": [NUMBER]}]}', "messages[1].a[0]"),
        ("/v1/responses", '{"input": [%s], "metadata": {"a": NUMBER}}', "metadata.a"),
        ("/v1/messages", '{"messages": [%s], "max_tokens": NUMBER}', "max_tokens"),
    ],
)
def test_a_number_that_json_has_not_is_refused_by_its_field(
    council: Served, path: str, body: str, param: str, number: str
) -> None:
    raw = (body % json.dumps(USER)).replace("NUMBER", number).encode()
    answer = council.post(raw, path)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_choice_among_tools_without_a_name_is_no_failure(council: Served) -> None:
    tools = [{"type": "function", "function": {"name": [1], "parameters": SCHEMA}}]
    choice = {"type": "allowed_tools", "tools": [{"name": {}}]}
    body = {"model": "desk", "messages": [USER], "tools": tools, "tool_choice": choice}
    assert council.post(body).status_code in (200, 400)


def test_each_call_has_its_result_behind_it() -> None:
    other = {**CALL, "id": "c2"}
    said: list[dict[str, Any]] = [USER, {**CALLS, "tool_calls": [CALL, other]}, USER, RESULT, USER]
    with Stage() as stage:
        seat(stage)
        with served((desk(stage),), "", True, {}) as one:
            answer = one.post({"model": "desk", "messages": said, "tools": [TOOL]})
            assert answer.status_code == 200, answer.text
            sent = stage.calls_to("pen")[0].body["messages"]
    roles = [message["role"] for message in sent]
    at = roles.index("assistant")
    assert [call["id"] for call in sent[at]["tool_calls"]] == ["c1", "c2"]
    assert [message.get("tool_call_id") for message in sent[at + 1 : at + 3]] == ["c1", "c2"]
    assert "Rain." in sent[at + 1]["content"]
    assert "broken off" in sent[at + 2]["content"]
    assert "tool" not in roles[at + 3 :]


def test_more_stops_than_vendors_take_are_met_here() -> None:
    with Stage() as stage:
        seat(stage)
        stage.model("pen", reply="One. Two! Three? Four; Five: Six")
        with served((desk(stage),), "", True, {}) as one:
            asked = {"max_tokens": 90, "messages": [USER], "stop_sequences": [*"@#$%&", "Five"]}
            answer = one.post({"model": "desk", **asked}, "/v1/messages").json()
            assert len(stage.calls_to("pen")[0].body["stop"]) == 4
    assert answer["content"][0]["text"] == "One. Two! Three? Four; "
    assert answer["stop_sequence"] == "Five"


def test_every_door_has_samples() -> None:
    assert [samples for _, samples, _ in DOORS.values()] == [CHAT, RESPONSES, MESSAGES]
