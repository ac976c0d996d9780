"""What a client asks of the answer reaches the synthesizer's model, in its vendor's words."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.tests.graph.desk import desk, said, seat, written
from mom_council.tests.server.conftest import Serve
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

VENDORS = ("openai", "responses", "ollama", "anthropic", "mistralai", "deepseek", "cohere")
ASKED = [{"role": "user", "content": "How is it in Bern? Answer in JSON."}]
BODY = {"model": "desk", "messages": ASKED}
PARAMETERS = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
CALL = {"name": "weather", "args": {"town": "Bern"}, "id": "call_1"}
CALL_AGAIN = {"name": "weather", "args": {"town": "Biel"}, "id": "call_2"}
ANY: Any = object()
"""Stands for whatever value: the vendor has its own form of it."""

FIELDS: dict[str, dict[str, Any]] = {
    "tool_choice": {"tools": [TOOL], "tool_choice": "required"},
    "one tool": {
        "tools": [TOOL, {"type": "function", "function": {"name": "time"}}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    },
    "parallel_tool_calls": {"tools": [TOOL], "parallel_tool_calls": False},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "town", "schema": PARAMETERS},
        }
    },
    "stop": {"stop": ["END"]},
    "seed": {"seed": 7},
    "temperature": {"temperature": 0.3},
    "top_p": {"top_p": 0.8},
    "max_tokens": {"max_tokens": 77},
    "max_completion_tokens": {"max_completion_tokens": 77},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "presence_penalty": {"presence_penalty": 0.5},
}
WISHES: dict[str, dict[str, Any]] = {
    "reasoning_effort": {"reasoning_effort": "low"},
    "verbosity": {"verbosity": "low"},
    "logit_bias": {"logit_bias": {"50256": -100}},
    "service_tier": {"service_tier": "flex"},
}
"""What only some vendors have: where they have not, the header says so."""

COPIED = {
    "tool_choice": {"tool_choice": "required"},
    "one tool": {"tool_choice": "required"},
    "parallel_tool_calls": {"parallel_tool_calls": False},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {"response_format": ANY},
    "stop": {"stop": ["END"]},
    "seed": {"seed": 7},
    "temperature": {"temperature": 0.3},
    "top_p": {"top_p": 0.8},
    "max_tokens": {"max_tokens": 77},
    "max_completion_tokens": {"max_tokens": 77},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "presence_penalty": {"presence_penalty": 0.5},
}
"""What OpenAI's protocol calls each field; the others' differ in what stands below."""

NOT_TAKEN: dict[str, Any] = {}
"""The vendor has nothing of the kind: it is left out, and the council meets it where it can."""

WORDS: dict[str, dict[str, dict[str, Any]]] = {
    "openai": COPIED,
    "responses": {
        **COPIED,
        "json_object": {"text": {"format": {"type": "json_object"}}},
        "json_schema": {"text": ANY},
        "max_tokens": {"max_output_tokens": 77},
        "max_completion_tokens": {"max_output_tokens": 77},
        **dict.fromkeys(("stop", "seed", "frequency_penalty", "presence_penalty"), NOT_TAKEN),
    },
    "ollama": {
        **COPIED,
        **dict.fromkeys(("tool_choice", "one tool", "parallel_tool_calls"), NOT_TAKEN),
        "json_object": {"format": "json"},
        "json_schema": {"format": ANY},
        "max_tokens": {"num_predict": 77},
        "max_completion_tokens": {"num_predict": 77},
    },
    "anthropic": {
        **COPIED,
        "tool_choice": {"tool_choice": {"type": "any"}},
        "one tool": {"tool_choice": {"type": "any"}},
        "parallel_tool_calls": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        "json_schema": {"output_config": ANY},
        "stop": {"stop_sequences": ["END"]},
        **dict.fromkeys(
            ("json_object", "seed", "frequency_penalty", "presence_penalty"), NOT_TAKEN
        ),
    },
    "mistralai": {
        **COPIED,
        "tool_choice": {"tool_choice": "any"},
        "one tool": {"tool_choice": "any"},
        "seed": {"random_seed": 7},
    },
    "deepseek": {**COPIED, "parallel_tool_calls": NOT_TAKEN, "json_schema": NOT_TAKEN},
    "cohere": {
        **COPIED,
        "tool_choice": {"tool_choice": "REQUIRED"},
        "one tool": {"tool_choice": "REQUIRED"},
        "parallel_tool_calls": NOT_TAKEN,
        "json_schema": NOT_TAKEN,
        "stop": {"stop_sequences": ["END"]},
        "top_p": {"p": 0.8},
    },
}


def council(stage: Stage, vendor: str) -> Council:
    """A desk whose synthesizer is a vendor's model."""
    plan = written(stage)
    pen = {"model": "pen", "retries": 0, "provider": vendor, "base_url": stage.address(vendor)}
    if vendor == "responses":
        pen |= {"provider": "openai", "params": {"use_responses_api": True}}
    return load_council({**plan, "models": {**plan["models"], "pen": pen}})


def fields_of(body: dict[str, Any]) -> dict[str, Any]:
    """What a request asks with, wherever the vendor keeps it."""
    return {**body, **body.get("options", {})}


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_field_reaches_the_synthesizers_model(stage: Stage, serve: Serve, vendor: str) -> None:
    seat(stage)
    stage.model(
        "pen",
        reply=lambda body: (
            Reply("", tool_calls=[CALL]) if body.get("tools") else '{"town": "Bern"}'
        ),
    )
    served = serve(council(stage, vendor))
    plain = {*fields_of(_sent_by(served, stage, {}))}
    for name, asked in FIELDS.items():
        sent = fields_of(_sent_by(served, stage, asked))
        wanted = WORDS[vendor][name]
        for field, value in wanted.items():
            assert field in sent, (vendor, name)
            assert value is ANY or sent[field] == value, (vendor, name)
        usual = {"tools", "tool_choice"} if "tools" in asked else set()
        more = {field for field in sent if sent[field] not in (None, [])} - plain - usual
        assert more <= {*wanted}, f"{vendor} is sent nothing else for {name}"


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", WISHES)
def test_a_further_field_reaches_the_model_or_is_told(
    stage: Stage, serve: Serve, vendor: str, name: str
) -> None:
    seat(stage)
    answer = serve(council(stage, vendor)).post({**BODY, **WISHES[name]})
    assert answer.status_code == 200, answer.text
    sent = json.dumps(fields_of(stage.calls_to("pen")[0].body))
    words = {"reasoning_effort": "effort"}.get(name, name)
    if vendor == "openai" or (vendor == "responses" and name != "logit_bias"):
        assert words in sent
        assert "x-mom-ignored" not in answer.headers
    elif vendor != "responses":
        assert words not in sent
        assert answer.headers["x-mom-ignored"] == name


def test_a_further_field_that_the_server_refuses_costs_no_answer(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    says = {"error": {"message": "Unsupported parameter.", "param": "reasoning_effort"}}
    stage.model("pen", reply="Blue.", faults=[Fault.status(400, body=json.dumps(says))])
    served = serve(council(stage, "openai"))
    for _ in range(2):
        answer = served.post({**BODY, "reasoning_effort": "low"})
        assert answer.status_code == 200, answer.text
    sent = ["reasoning_effort" in call.body for call in stage.calls_to("pen")]
    assert sorted(sent) == [False, False, True], "refused once, and not sent again"


def _sent_by(served: Any, stage: Stage, asked: dict[str, Any]) -> dict[str, Any]:
    stage.clear()
    answer: httpx.Response = served.post({**BODY, **asked})
    assert answer.status_code == 200, answer.text
    assert "x-mom-ignored" not in answer.headers
    [call] = stage.calls_to("pen")
    return call.body


@pytest.mark.parametrize("vendor", VENDORS)
def test_one_call_at_a_time_is_one_call_whatever_the_vendor_does(
    stage: Stage, serve: Serve, vendor: str
) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("", tool_calls=[CALL, CALL_AGAIN]))
    served = serve(council(stage, vendor))
    body = {**BODY, "tools": [TOOL]}
    both = served.post(body).json()["choices"][0]["message"]["tool_calls"]
    assert len(both) == 2
    one = served.post({**body, "parallel_tool_calls": False}).json()["choices"][0]["message"]
    assert [json.loads(call["function"]["arguments"]) for call in one["tool_calls"]] == [
        {"town": "Bern"}
    ]


def test_a_server_without_a_choice_of_tools_is_asked_without_it(stage: Stage, serve: Serve) -> None:
    seat(stage)
    refused = Fault.status(400, message="tool_choice is not supported")
    stage.model("pen", reply=Reply("", tool_calls=[CALL]), faults=[refused])
    served = serve(desk(stage))
    for _ in range(2):
        assert served.post({**BODY, **FIELDS["tool_choice"]}).status_code == 200
    bodies = [call.body for call in stage.calls_to("pen")]
    assert ["tool_choice" in body for body in bodies] == [True, False, False]
    assert all("tools" in body for body in bodies)


BROKEN: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "no call": ("It is fine.", Reply("", tool_calls=[CALL]), FIELDS["tool_choice"]),
    "a tool that is none": (
        Reply("", tool_calls=[{"name": "wether", "args": {}, "id": "c"}]),
        Reply("", tool_calls=[CALL]),
        {"tools": [TOOL]},
    ),
    "strict arguments": (
        Reply("", tool_calls=[{"name": "weather", "args": {"town": 3}, "id": "c"}]),
        Reply("", tool_calls=[CALL]),
        {"tools": [{**TOOL, "function": {**TOOL["function"], "strict": True}}]},  # type: ignore[dict-item]
    ),
    "no JSON": ("Bern, I think.", '{"town": "Bern"}', FIELDS["json_object"]),
    "no object": ("[1]", '```json\n{"town": "Bern"}\n```', FIELDS["json_object"]),
    "another form": ('{"city": "Bern"}', '{"town": "Bern"}', FIELDS["json_schema"]),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", sorted(BROKEN))
def test_the_synthesizer_alone_writes_once_more(
    stage: Stage, serve: Serve, name: str, streamed: bool
) -> None:
    first, second, asked = BROKEN[name]
    seat(stage)
    stage.model("pen", reply=[first, second])
    client = serve(desk(stage)).openai
    if streamed:
        stream: Any = client.chat.completions.create(**BODY, **asked, stream=True)  # type: ignore[call-overload]
        deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
        text = "".join(delta.content or "" for delta in deltas)
        calls = [call for delta in deltas for call in delta.tool_calls or ()]
    else:
        message: Any = client.chat.completions.create(**BODY, **asked).choices[0].message  # type: ignore[call-overload]
        text, calls = message.content or "", message.tool_calls or []
    if "tools" in asked:
        assert [json.loads(call.function.arguments) for call in calls] == [{"town": "Bern"}]
    else:
        assert json.loads(text) == {"town": "Bern"}
    assert len(stage.calls_to("ada")) == 2, "it answers and votes, once each"
    assert len(stage.calls_to("pen")) == 2
    again = said(stage.calls_to("pen")[-1].body)
    assert "Your answer cannot be used: " in again


@pytest.mark.parametrize(
    ("asked", "code"),
    [(FIELDS["tool_choice"], "tool_not_called"), (FIELDS["json_object"], "form_not_met")],
)
def test_it_is_asked_no_third_time(
    stage: Stage, serve: Serve, asked: dict[str, Any], code: str
) -> None:
    seat(stage)
    answer = serve(desk(stage)).post({**BODY, **asked})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, code)
    assert len(stage.calls_to("pen")) == 2


def test_what_the_application_says_alone_is_the_question(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    for role in ("system", "developer"):
        stage.clear()
        messages = [{"role": role, "content": "Be kind."}, {"role": role, "content": "Say hello."}]
        answer = served.post({"model": "desk", "messages": messages})
        assert answer.status_code == 200, answer.text
        told = stage.calls_to("ada")[0].body["messages"]
        assert "Say hello." in told[-1]["content"]
        assert "Be kind." in told[0]["content"]
