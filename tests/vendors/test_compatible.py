"""Vendors that speak OpenAI's protocol: each at its own address, with its own key and names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.permissions import permissions
from mom_council.councils.schema import Council
from mom_council.errors import ModelUnavailableError
from mom_council.models.clients import close_loop_resources
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.tests.stage import Fault, Stage
from mom_council.vendors import VENDORS
from mom_council.vendors.compatible import COMPATIBLE

EACH = pytest.mark.parametrize("name", COMPATIBLE)
KEY = "a-key-of-the-vendor-0123456789"
PARAMS: dict[str, Any] = {
    "temperature": 0.4,
    "max_tokens": 90,
    "seed": 7,
    "top_p": 0.9,
    "stop": ["END"],
    "presence_penalty": 0.1,
    "logit_bias": {"1": 1},
    "top_k": 40,
}


def _council(name: str, model: str = "m-1", **more: Any) -> Council:
    return Council.model_validate(
        {
            "name": "test",
            "models": {"m": {"provider": name, "model": model, "retries": 0, **more}},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
        }
    )


@pytest.fixture
def at_stage(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage in the place of each vendor's own address, with a prefix as the vendor has one."""
    for name, vendor in COMPATIBLE.items():
        monkeypatch.setitem(VENDORS, name, replace(vendor, base_url=stage.openai_url))
        if vendor.key_env:
            monkeypatch.setenv(vendor.key_env, f"{KEY}-{name}")
    return stage


async def _ask(name: str, model: str = "m-1", **more: Any) -> Reply:
    council = _council(name, model, **more)
    try:
        return await speak(resolve_model(council, "m"), [HumanMessage("What is 6 x 7?")])
    finally:
        await close_loop_resources()


@EACH
async def test_it_is_sent_its_own_key_and_the_parameters_that_it_takes(
    at_stage: Stage, name: str
) -> None:
    at_stage.model("m-1", reply="42.")
    reply = await _ask(name, params=PARAMS)
    assert reply.text == "42."
    [call] = at_stage.calls
    assert call.path == "/v1/chat/completions"
    # The SDK wants some key; a server without keys reads none.
    assert call.key_sent == (f"{KEY}-{name}" if COMPATIBLE[name].key_env else "none")
    refused = {one for rule in COMPATIBLE[name].excludes if not rule.models for one in rule.params}
    assert call.body["messages"][-1]["content"] == "What is 6 x 7?"
    for param, value in PARAMS.items():
        if param in refused:
            assert param not in call.body
        else:
            assert call.body[param] == value, param


@EACH
@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_its_errors_are_read(at_stage: Stage, name: str, status: int) -> None:
    at_stage.model("m-1", always=Fault.status(status))
    with pytest.raises(ModelUnavailableError) as error:
        await _ask(name)
    assert KEY not in str(error.value)
    assert str(status) in str(error.value) or status == 401, error.value
    assert len(at_stage.calls) == 1


async def test_a_reasoning_model_of_xai_is_sent_no_penalties(at_stage: Stage) -> None:
    for model in ("grok-4", "grok-4-fast-non-reasoning"):
        at_stage.model(model, reply="42.")
        await _ask("xai", model, params=PARAMS)
    reasons, answers = (call.body for call in at_stage.calls)
    assert not {"presence_penalty", "stop"} & reasons.keys()
    assert answers["stop"] == ["END"]


@EACH
def test_a_stranger_can_use_a_key_only_with_leave(name: str) -> None:
    vendor = COMPATIBLE[name]
    texts = [one.text for one in permissions(_council(name))]
    wanted = [f"sends the key in {vendor.key_env} to {vendor.base_url}"] if vendor.key_env else []
    assert texts == wanted
    elsewhere = permissions(_council(name, base_url="https://evil.example/v1"))
    assert [one.text for one in elsewhere] == [
        "sends questions and answers to https://evil.example/v1"
    ]


OTHERS = {
    "Azure OpenAI": ("AZURE_OPENAI_API_KEY", "my-deployment"),
    "Amazon Bedrock": ("AWS_BEARER_TOKEN_BEDROCK", "openai.gpt-oss-120b-1:0"),
}
"""Servers at `/openai/v1`, as docs/models.md says: the variable of the key, and a model's name."""


@pytest.mark.parametrize(("variable", "model"), OTHERS.values(), ids=OTHERS)
async def test_azure_and_bedrock_are_asked_at_their_path_with_their_key(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, variable: str, model: str
) -> None:
    monkeypatch.setenv(variable, KEY)
    stage.model(model, reply="42.")
    at = {"base_url": f"{stage.url}/openai/v1", "api_key_env": variable}
    reply = await _ask("openai", model, params={"temperature": 0.4, "max_tokens": 90}, **at)
    assert reply.text == "42."
    [call] = stage.calls
    assert call.path == "/openai/v1/chat/completions"
    assert call.key_sent == KEY
    assert call.body["model"] == model
    stage.model(model, always=Fault.status(429))
    with pytest.raises(ModelUnavailableError, match="429"):
        await _ask("openai", model, **at)
