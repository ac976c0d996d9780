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
from mom_council.vendors import vendor_of

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
UNMET = ("seed", "frequency_penalty", "presence_penalty")
"""What no council can meet by itself: there the header tells that it is not used."""

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
        wanted = WORDS[vendor][name]
        unmet = name if wanted == NOT_TAKEN and name in UNMET else None
        sent = fields_of(_sent_by(served, stage, asked, ignored=unmet))
        for field, value in wanted.items():
            assert field in sent, (vendor, name)
            assert value is ANY or sent[field] == value, (vendor, name)
        usual = {"tools", "tool_choice"} if "tools" in asked else set()
        more = {field for field in sent if sent[field] not in (None, [])} - plain - usual
        assert more <= {*wanted}, f"{vendor} is sent nothing else for {name}"


FORMS_WITH_TOOLS: dict[str, tuple[str, str]] = {
    "openai": ("response_format", "response_format"),
    "responses": ("text", "text"),
    "mistralai": ("response_format", "response_format"),
    "deepseek": ("response_format", ""),
    "cohere": ("response_format", ""),
    "anthropic": ("", "output_config"),
    "ollama": ("", ""),
    "groq": ("response_format", ""),
    "xai": ("response_format", "response_format"),
    "gemini": ("response_format", "response_format"),
    "openrouter": ("response_format", "response_format"),
    "litellm": ("response_format", "response_format"),
    "vllm": ("", ""),
    "lmstudio": ("", ""),
    "llamacpp": ("", ""),
}
"""Where a vendor that takes a form beside tools keeps it: a JSON object, and a schema. Ollama and
the local servers would write the form by a grammar, and could call nothing."""
DOORS: dict[str, tuple[str, Any]] = {
    "chat": ("/v1/chat/completions", {**BODY, "tools": [TOOL], **FIELDS["json_schema"]}),
    "responses": (
        "/v1/responses",
        {
            "model": "desk",
            "input": ASKED,
            "tools": [{"type": "function", "name": "weather", "parameters": PARAMETERS}],
            "text": {"format": {"type": "json_schema", "name": "town", "schema": PARAMETERS}},
        },
    ),
    "output_config": (
        "/v1/messages",
        {
            **BODY,
            "max_tokens": 90,
            "tools": [{"name": "weather", "input_schema": PARAMETERS}],
            "output_config": {"format": {"type": "json_schema", "schema": PARAMETERS}},
        },
    ),
    "output_format": (
        "/v1/messages",
        {
            **BODY,
            "max_tokens": 90,
            "tools": [{"name": "weather", "input_schema": PARAMETERS}],
            "output_format": {"type": "json_schema", "schema": PARAMETERS},
        },
    ),
}
"""A schema beside tools, as each protocol asks for it."""


@pytest.mark.parametrize("vendor", FORMS_WITH_TOOLS)
def test_a_form_beside_tools_reaches_the_model_in_its_vendors_way(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    if key := vendor_of(vendor).key_env:
        monkeypatch.setenv(key, "key-of-the-test")
    seat(stage)
    stage.model("pen", reply='{"town": "Bern"}')
    served = serve(council(stage, vendor))
    for form in ("json_object", "json_schema"):
        sent = _sent_by(served, stage, {"tools": [TOOL], **FIELDS[form]})
        assert sent["tools"]
        where = FORMS_WITH_TOOLS[vendor][form == "json_schema"]
        fields = {"response_format", "text", "output_config", "format"}
        assert {name for name in fields if sent.get(name)} == ({where} if where else set()), form
        assert "JSON" in json.dumps(sent), "and in words"


@pytest.mark.parametrize("door", DOORS)
def test_each_door_hands_on_a_form_beside_tools_and_has_it_mended_once(
    stage: Stage, serve: Serve, door: str
) -> None:
    seat(stage)
    stage.model("pen", reply=['{"city": "Bern"}', '{"town": "Bern"}'])
    path, body = DOORS[door]
    answer = serve(desk(stage)).post(body, path)
    assert answer.status_code == 200, answer.text
    assert '{\\"town\\": \\"Bern\\"}' in answer.text
    assert "city" not in answer.text
    first, second = [call.body for call in stage.calls_to("pen")]
    for sent in (first, second):
        held = sent["response_format"]["json_schema"]["schema"]
        assert held["required"] == ["town"]
        assert [tool["function"]["name"] for tool in sent["tools"]] == ["weather"]
    assert "Your answer cannot be used: " in said(second)
    assert len(stage.calls_to("ada")) == 2, "it answers and votes, once each"


@pytest.mark.parametrize("door", DOORS)
def test_a_call_is_no_answer_that_misses_its_form(stage: Stage, serve: Serve, door: str) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("", tool_calls=[CALL]))
    path, body = DOORS[door]
    answer = serve(desk(stage)).post(body, path)
    assert answer.status_code == 200, answer.text
    assert "weather" in answer.text
    assert len(stage.calls_to("pen")) == 1


SCHEMAS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "loose": ({"name": "town", "schema": PARAMETERS}, {"name": "town"}, False),
    "told to be strict": (
        {"name": "town", "schema": PARAMETERS, "strict": True},
        {"name": "town"},
        True,
    ),
    "can be strict": (
        {"name": "town", "schema": {**PARAMETERS, "additionalProperties": False}},
        {"name": "town"},
        True,
    ),
    "told not to be": (
        {
            "name": "town",
            "strict": False,
            "schema": {**PARAMETERS, "additionalProperties": False},
        },
        {"name": "town"},
        False,
    ),
    "its own title and description": (
        {"name": "town", "description": "Where.", "schema": {**PARAMETERS, "title": "Place"}},
        {"name": "town", "description": "Where."},
        False,
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_as_strict_as_it_can_be_and_keeps_its_name(
    stage: Stage, serve: Serve, name: str
) -> None:
    given, parts, is_strict = SCHEMAS[name]
    seat(stage)
    stage.model("pen", reply='{"town": "Bern"}')
    asked = {"response_format": {"type": "json_schema", "json_schema": given}}
    sent = _sent_by(serve(desk(stage)), stage, asked)["response_format"]["json_schema"]
    assert {**parts, "strict": is_strict}.items() <= sent.items()
    assert sent["schema"]["properties"] == PARAMETERS["properties"]


def test_a_server_that_takes_a_form_or_tools_is_learnt_and_still_held_to_the_form_alone(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    refused = Fault.status(400, message="json mode cannot be combined with tool/function calling")
    stage.model("pen", reply='{"town": "Bern"}', faults=[refused])
    served = serve(desk(stage))
    both = {"tools": [TOOL], **FIELDS["json_object"]}
    for asked in (both, both, FIELDS["json_object"]):
        answer = served.post({**BODY, **asked})
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == '{"town": "Bern"}'
    bodies = [call.body for call in stage.calls_to("pen")]
    assert [bool(body.get("response_format")) for body in bodies] == [True, False, False, True]
    assert [bool(body.get("tools")) for body in bodies] == [True, True, True, False]


IN_WORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "an envelope": ('{"answer": {"town": "Bern"}}', PARAMETERS),
    "a text": ('{"answer": "{\\"town\\": \\"Bern\\"}"}', PARAMETERS),
    "no envelope": ('{"town": "Bern"}', PARAMETERS),
    "a field of that name": (
        '{"answer": "Bern", "sure": true}',
        {"type": "object", "required": ["answer", "sure"]},
    ),
    "references": (
        '{"answer": "{\\"town\\": \\"Bern\\"}"}',
        {**PARAMETERS, "properties": {"town": {"$ref": "#/$defs/t"}}, "$defs": {"t": {}}},
    ),
}


@pytest.mark.parametrize("name", IN_WORDS)
def test_a_form_beside_tools_in_words(stage: Stage, serve: Serve, name: str) -> None:
    reply, schema = IN_WORDS[name]
    plan = written(stage)
    plan["models"]["pen"] |= {"tools": False}
    seat(stage)
    stage.model("pen", reply=reply)
    form = {"type": "json_schema", "json_schema": {"name": "town", "schema": schema}}
    answer = serve(load_council(plan)).post({**BODY, "tools": [TOOL], "response_format": form})
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.json()["choices"][0]["message"]["content"])
    assert {**found, "answer": "Bern", "town": "Bern"}.keys() >= {*schema["required"]}
    [call] = stage.calls_to("pen")
    ways = call.body["response_format"]["json_schema"]["schema"]["anyOf"]
    held = ways[0]["properties"]["answer"]
    assert (held == {"type": "string"}) is (name == "references")


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
    else:
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


def _sent_by(
    served: Any, stage: Stage, asked: dict[str, Any], ignored: str | None = None
) -> dict[str, Any]:
    stage.clear()
    answer: httpx.Response = served.post({**BODY, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers.get("x-mom-ignored") == ignored
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
