"""What a vendor refuses is not sent, and what a vendor is found to refuse is not sent again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Council, Model
from mom_council.errors import ModelUnavailableError
from mom_council.models.capabilities import LearnedLimits, adapt_params
from mom_council.models.clients import loop_resources
from mom_council.models.providers import open_model
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.tests.stage import Fault, Stage

ALL = {"temperature": 0.0, "top_p": 0.9, "top_k": 40, "max_tokens": 500}
THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


def sent(provider: str, model: str, params: dict[str, Any], **more: Any) -> set[str]:
    return {
        *adapt_params(
            Model.model_validate({"provider": provider, "model": model, **more}),
            params,
            LearnedLimits(),
        )
    }


@pytest.mark.parametrize(
    ("model", "params", "arrive"),
    [
        ("claude-sonnet-4-6", ALL, {"temperature", "top_k", "max_tokens"}),
        ("claude-sonnet-4-6", {"top_p": 0.9}, {"top_p"}),
        ("claude-sonnet-4-6", {**ALL, **THINKS}, {"thinking", "max_tokens"}),
        ("claude-sonnet-4-6", {"top_p": 0.97, **THINKS}, {"thinking", "top_p"}),
        ("claude-opus-4-1-20250805", ALL, {"temperature", "top_k", "max_tokens"}),
        ("claude-opus-4-7", ALL, {"max_tokens"}),
        ("claude-sonnet-5", ALL, {"max_tokens"}),
        ("claude-haiku-5-5", ALL, {"max_tokens"}),
        ("claude-fable-5", ALL, {"max_tokens"}),
        ("claude-sonnet-4-20250514", ALL, {"temperature", "top_k", "max_tokens"}),
    ],
)
def test_anthropic_gets_one_sampling_parameter_or_none(
    model: str, params: dict[str, Any], arrive: set[str]
) -> None:
    assert sent("anthropic", model, params) == arrive


@pytest.mark.parametrize(
    ("model", "params", "arrive"),
    [
        ("gpt-4.1", {"temperature": 0, "top_p": 0.9}, {"temperature", "top_p"}),
        ("o3-mini", {"temperature": 0, "top_p": 0.9, "stop": ["x"]}, set()),
        ("gpt-5-mini", {"temperature": 0, "reasoning_effort": "low"}, {"reasoning_effort"}),
        ("gpt-5-chat-latest", {"temperature": 0}, {"temperature"}),
        ("gpt-5.4", {"temperature": 0}, {"temperature"}),
        ("gpt-4.1", {"seed": 5, "use_responses_api": True}, {"use_responses_api"}),
        ("gpt-5.4", {"temperature": 0, "reasoning": {"effort": "high"}}, {"reasoning"}),
        (
            "gpt-5.4",
            {"temperature": 0, "reasoning_effort": "none"},
            {"temperature", "reasoning_effort"},
        ),
    ],
)
def test_a_reasoning_model_of_openai_gets_no_temperature(
    model: str, params: dict[str, Any], arrive: set[str]
) -> None:
    assert sent("openai", model, params) == arrive


def test_another_server_that_speaks_openais_protocol_has_its_own_terms() -> None:
    there = "http://127.0.0.1:9/v1"
    assert sent("openai", "o3-mini", {"temperature": 0}, base_url=there) == {"temperature"}
    home = "https://api.openai.com/v1/"
    assert sent("openai", "o3-mini", {"temperature": 0}, base_url=home) == set()


async def test_a_length_limit_is_called_what_openai_calls_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-usual-0123456789")
    spec = Model.model_validate(
        {"provider": "openai", "model": "o3-mini", "params": {"max_tokens": 9, "temperature": 0}}
    )
    chat: Any = await open_model(await loop_resources(), spec)
    payload = chat._get_request_payload([HumanMessage("hi")])
    assert payload["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature"} & {*payload}


@pytest.mark.parametrize(
    ("provider", "params", "arrive"),
    [
        ("mistralai", {"temperature": 0, "top_p": 0.9}, {"temperature"}),
        ("mistralai", {"temperature": 0.1, "top_p": 0.9, "top_k": 3}, {"temperature", "top_p"}),
        ("cohere", {"top_p": 1, "top_k": 0, "stop": ["x"]}, {"k", "stop_sequences"}),
        ("ollama", {"temperature": 0, "top_p": 0.9, "top_k": 3}, {"temperature", "top_p", "top_k"}),
    ],
)
def test_other_vendors_terms_are_kept(
    provider: str, params: dict[str, Any], arrive: set[str]
) -> None:
    assert sent(provider, "any", params) == arrive


# On the stage.

QUESTION = [HumanMessage("What is 6 x 7?")]


def seated(stage: Stage, model: str) -> Council:
    spec = {"provider": "openai", "model": model, "base_url": stage.openai_url, "retries": 0}
    return Council.model_validate(
        {
            "name": "test",
            "models": {"m": spec},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
        }
    )


async def ask(
    stage: Stage, model: str, schema: dict[str, Any] | None = None, **params: Any
) -> Reply:
    return await speak(
        resolve_model(seated(stage, model), "m"), QUESTION, params=params, schema=schema
    )


@pytest.mark.parametrize(
    "says",
    [
        "Unsupported value: 'temperature' does not support 0 with this model.",
        "`temperature` is deprecated for this model.",
        "temperature: Extra inputs are not permitted",
    ],
)
async def test_a_parameter_that_the_vendor_names_as_refused_is_left_out_and_stays_out(
    stage: Stage, says: str
) -> None:
    stage.model("m", reply="42", faults=[Fault.status(400, message=says)])
    reply = await ask(stage, "m", temperature=0, max_tokens=50)
    assert reply.text == "42"
    assert says.split()[0] in (reply.attempts[0].error or "")
    await ask(stage, "m", temperature=0)
    assert ["temperature" in call.body for call in stage.calls] == [True, False, False]
    assert stage.calls[1].body["max_tokens"] == 50


REFUSALS = {
    "openai, parameter": {
        "error": {
            "message": "Unsupported parameter: 'top_k' is not supported with this model.",
            "type": "invalid_request_error",
            "param": "top_k",
            "code": "unsupported_parameter",
        }
    },
    "openai, value": {
        "error": {
            "message": "This value may not be set here.",
            "param": "top_k",
            "code": "unsupported_value",
        }
    },
    "openai, argument": {
        "error": {
            "message": "Unrecognized request argument supplied: top_k",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    },
    "fastapi": {
        "detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"], "msg": "Extra inputs"}]
    },
    "mistral": {
        "object": "error",
        "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"], "msg": "No"}]},
    },
    "groq": {"error": {"message": "property 'top_k' is unsupported", "type": "invalid_request"}},
    "xai": {"code": "invalid-argument", "error": "Argument not supported on this model: topK"},
    "google": {"error": {"code": 400, "message": 'Unknown name "topK": Cannot find field.'}},
    "cohere": {"message": "unknown field: parameter 'top_k' is not a valid field"},
    "schema": {"error": {"message": "Additional properties ('top_k' was unexpected)"}},
    "anthropic": {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "`top_k` may only be unset here"},
    },
}


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("name", sorted(REFUSALS))
async def test_a_refused_parameter_is_read_from_its_field_or_its_name(
    stage: Stage, name: str, status: int
) -> None:
    refused = Fault.status(status, body=json.dumps(REFUSALS[name]))
    stage.model("m", reply="42", faults=[refused])
    assert (await ask(stage, "m", top_k=5, temperature=0)).text == "42"
    assert ["top_k" in call.body for call in stage.calls] == [True, False]
    assert "temperature" in stage.calls[-1].body


async def test_a_value_out_of_range_is_no_lesson_about_its_parameter(stage: Stage) -> None:
    error = {
        "message": "Invalid 'temperature': decimal above maximum value. Expected a value <= 2.",
        "param": "temperature",
        "code": "decimal_above_max_value",
    }
    stage.model("m", always=Fault.status(400, body=json.dumps({"error": error})))
    with pytest.raises(ModelUnavailableError, match="above maximum"):
        await ask(stage, "m", temperature=3)
    assert len(stage.calls) == 1


async def test_texts_that_end_an_answer_are_left_out_where_they_are_refused(stage: Stage) -> None:
    refused = Fault.status(400, message="Unsupported parameter: 'stop' is not supported")
    stage.model("m", reply="42", faults=[refused])
    council = seated(stage, "m")
    assert (await speak(resolve_model(council, "m"), QUESTION, stop=["END"])).text == "42"
    assert ["stop" in call.body for call in stage.calls] == [True, False]


async def test_a_schema_is_not_blamed_for_a_parameter(stage: Stage) -> None:
    stage.model("m", reply="{}", faults=[Fault.status(400, message="`temperature` is deprecated")])
    schema = {"title": "Any", "type": "object"}
    await ask(stage, "m", schema, temperature=0)
    assert ["response_format" in call.body for call in stage.calls] == [True, True]


async def test_of_two_that_exclude_each_other_the_temperature_stays(stage: Stage) -> None:
    says = "`temperature` and `top_p` cannot both be specified for this model."
    stage.model("m", reply="42", faults=[Fault.status(400, message=says)])
    assert (await ask(stage, "m", temperature=0, top_p=0.9)).text == "42"
    last = stage.calls[-1].body
    assert "temperature" in last
    assert "top_p" not in last


@pytest.mark.parametrize(
    "says", ["temperature must be between 0 and 2", "max_tokens is not supported", "no credit"]
)
async def test_any_other_refusal_is_told_and_not_argued_with(stage: Stage, says: str) -> None:
    stage.model("m", always=Fault.status(400, message=says))
    with pytest.raises(ModelUnavailableError, match=says):
        await ask(stage, "m", temperature=0, max_tokens=50)
    assert len(stage.calls) == 1
