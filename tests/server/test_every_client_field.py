"""Every field of the official clients x every vendor: sent on, met here, told, or refused by name.

The fields are read from the installed SDKs, so that a new one is red here until somebody says what
becomes of it. The bodies that the synthesizer's model is sent are compared with those of the same
question without the field. With MOM_WRITE_FIELDS=1 the table in docs/server.md is written anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic.types import message_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from mom_council.councils.loader import load_council
from mom_council.tests.graph.desk import seat, voice
from mom_council.tests.server.conftest import Served, served
from mom_council.tests.server.test_drift import fields_of
from mom_council.tests.stage import Reply, Stage
from mom_council.vendors import vendor_of

pytestmark = pytest.mark.slow

WRITES = bool(os.environ.get("MOM_WRITE_FIELDS"))  # later the variables are taken away
PAGE = Path(__file__).parents[2] / "docs" / "server.md"
VENDORS = (
    *("openai", "responses", "azure", "anthropic", "mistralai", "deepseek", "cohere", "ollama"),
    *("gemini", "groq", "xai", "openrouter", "litellm", "vllm", "lmstudio", "llamacpp"),
)
ASKED = [{"role": "user", "content": "How is it in Bern? Answer in JSON."}]
SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
FUNCTION = {"name": "weather", "description": "The weather.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
OTHER_TOOL = {"type": "function", "function": {"name": "clock", "parameters": SCHEMA}}

Samples = dict[str, dict[str, Any]]

CHAT: Samples = {
    "audio": {"audio": {"voice": "alloy", "format": "wav"}, "modalities": ["text", "audio"]},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "function_call": {"function_call": "auto"},
    "functions": {"functions": [FUNCTION]},
    "logit_bias": {"logit_bias": {"50256": -100}},
    "logprobs": {"logprobs": True},
    "max_completion_tokens": {"max_completion_tokens": 77},
    "max_tokens": {"max_tokens": 77},
    "metadata": {"metadata": {"team": "a"}},
    "modalities": {"modalities": ["text"]},
    "moderation": {"moderation": {"model": "omni-moderation-latest"}},
    "n": {"n": 2},
    "parallel_tool_calls": {"tools": [TOOL], "parallel_tool_calls": False},
    "prediction": {"prediction": {"type": "content", "content": "Rain."}},
    "presence_penalty": {"presence_penalty": 0.5},
    "prompt_cache_key": {"prompt_cache_key": "a"},
    "prompt_cache_options": {"prompt_cache_options": {"ttl": "30m"}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "reasoning_effort": {"reasoning_effort": "low"},
    "response_format": {"response_format": {"type": "json_object"}},
    "response_format (schema)": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "town", "schema": SCHEMA},
        }
    },
    "safety_identifier": {"safety_identifier": "a"},
    "seed": {"seed": 7},
    "service_tier": {"service_tier": "flex"},
    "stop": {"stop": ["END"]},
    "store": {"store": True},
    "stream": {"stream": True},
    "stream_options": {"stream": True, "stream_options": {"include_usage": True}},
    "temperature": {"temperature": 0.3},
    "tool_choice": {"tools": [TOOL], "tool_choice": "required"},
    "tool_choice (one)": {
        "tools": [OTHER_TOOL, TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    },
    "tool_choice (allowed)": {
        "tools": [OTHER_TOOL, TOOL],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "weather"}}],
            },
        },
    },
    "tool_choice (none)": {"tools": [TOOL], "tool_choice": "none"},
    "tools": {"tools": [TOOL]},
    "top_logprobs": {"top_logprobs": 2},
    "top_p": {"top_p": 0.8},
    "user": {"user": "a"},
    "verbosity": {"verbosity": "low"},
    "web_search_options": {"web_search_options": {}},
}
FLAT_TOOL = {"type": "function", **FUNCTION}
RESPONSES: Samples = {
    "access_programs": {"access_programs": ["a"]},
    "background": {"background": True},
    "context_management": {"context_management": [{"type": "compaction"}]},
    "conversation": {"conversation": "conv_1"},
    "image": {"image": {"size": "auto"}},
    "include": {"include": ["reasoning.encrypted_content"]},
    "instructions": {"instructions": "Speak of rivers."},
    "max_output_tokens": {"max_output_tokens": 77},
    "max_tool_calls": {"max_tool_calls": 2},
    "metadata": {"metadata": {"team": "a"}},
    "moderation": {"moderation": {"model": "omni-moderation-latest"}},
    "parallel_tool_calls": {"tools": [FLAT_TOOL], "parallel_tool_calls": False},
    "previous_response_id": {"previous_response_id": "resp_of_nobody"},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "prompt_cache_key": {"prompt_cache_key": "a"},
    "prompt_cache_options": {"prompt_cache_options": {"ttl": "30m"}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "reasoning": {"reasoning": {"effort": "low", "summary": "auto"}},
    "safety_identifier": {"safety_identifier": "a"},
    "service_tier": {"service_tier": "flex"},
    "store": {"store": True},
    "stream": {"stream": True},
    "stream_options": {"stream": True, "stream_options": {"include_obfuscation": False}},
    "temperature": {"temperature": 0.3},
    "text": {"text": {"format": {"type": "json_object"}}},
    "text (schema)": {
        "text": {"format": {"type": "json_schema", "name": "town", "schema": SCHEMA}}
    },
    "text (verbosity)": {"text": {"verbosity": "low"}},
    "tool_choice": {"tools": [FLAT_TOOL], "tool_choice": "required"},
    "tool_choice (one)": {
        "tools": [FLAT_TOOL, {**FLAT_TOOL, "name": "clock"}],
        "tool_choice": {"type": "function", "name": "weather"},
    },
    "tool_choice (allowed)": {
        "tools": [FLAT_TOOL, {**FLAT_TOOL, "name": "clock"}],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "weather"}],
        },
    },
    "tools": {"tools": [FLAT_TOOL]},
    "top_logprobs": {"top_logprobs": 2},
    "top_p": {"top_p": 0.8},
    "truncation": {"truncation": "auto"},
    "user": {"user": "a"},
}
CLAUDES_TOOL = {"name": "weather", "input_schema": SCHEMA}
MESSAGES: Samples = {
    "cache_control": {"cache_control": {"type": "ephemeral"}},
    "container": {"container": "a"},
    "diagnostics": {"diagnostics": {"previous_message_id": "a"}},
    "inference_geo": {"inference_geo": "eu"},
    "max_tokens": {"max_tokens": 77},
    "metadata": {"metadata": {"user_id": "a"}},
    "output_config": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "output_config (effort)": {"output_config": {"effort": "low"}},
    "service_tier": {"service_tier": "auto"},
    "speed": {"speed": "standard"},
    "stop_sequences": {"stop_sequences": ["END"]},
    "stream": {"stream": True},
    "system": {"system": "Speak of rivers."},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "tool_choice": {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "any"}},
    "tool_choice (one)": {
        "tools": [CLAUDES_TOOL, {**CLAUDES_TOOL, "name": "clock"}],
        "tool_choice": {"type": "tool", "name": "weather"},
    },
    "tool_choice (alone)": {
        "tools": [CLAUDES_TOOL],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    },
    "tools": {"tools": [CLAUDES_TOOL]},
    "user_profile_id": {"user_profile_id": "a"},
    "workspace_id": {"workspace_id": "a"},
}
DOORS: dict[str, tuple[Any, Samples, dict[str, Any]]] = {
    "/v1/chat/completions": (
        completion_create_params.CompletionCreateParamsBase,
        CHAT,
        {"messages": ASKED},
    ),
    "/v1/responses": (
        response_create_params.ResponseCreateParamsBase,
        RESPONSES,
        {"input": ASKED},
    ),
    "/v1/messages": (
        message_create_params.MessageCreateParamsBase,
        MESSAGES,
        {"messages": ASKED, "max_tokens": 99},
    ),
}
MET = {
    "instructions": "it stands among the messages",
    "metadata": "a thread's name in it is read; /v1/responses gives it back",
    "modalities": "text is what there is",
    "n": "each choice is a deliberation of its own",
    "parallel_tool_calls": "one call of the answer is given",
    "previous_response_id": "the conversation goes on; an id of nobody is refused",
    "response_format": "in words, and the answer is checked",
    "stop": "the answer is cut there",
    "stop_sequences": "the answer is cut there",
    "store": "responses are stored here",
    "stream": "the answer comes as it is written",
    "stream_options": "the last chunk holds the usage",
    "conversation": "it is a thread of ours",
    "output_config": "in words, and the answer is checked",
    "system": "it stands among the messages",
    "text": "in words, and the answer is checked",
    "thinking": "the council thinks aloud",
    "tool_choice": "in words, and the answer is checked",
    "tools": "none is offered",
}
"""What may change nothing in the vendor's body, and how it is met."""


def settings_of(body: dict[str, Any]) -> dict[str, Any]:
    """What a body asks with, beside the conversation, by the names of its fields."""
    flat = {**body, **body.get("options", {})}
    words = ("messages", "input", "system", "options", "instructions")
    return {name: value for name, value in flat.items() if name not in words and value is not None}


def ask(
    server: Served, stage: Stage, path: str, body: dict[str, Any]
) -> tuple[httpx.Response, dict[str, Any]]:
    """Ask the council; the answer, and the settings that the synthesizer's model was sent."""
    stage.clear()
    answer = server.post({"model": "desk", **body}, path)
    calls = stage.calls_to("pen")
    return answer, settings_of(calls[0].body) if calls else {}


def become(
    server: Served,
    stage: Stage,
    path: str,
    extra: dict[str, Any],
    field: str,
    plain_bodies: dict[str, dict[str, Any]],
) -> str:
    """What becomes of a field: refused, sent (as what), told, or met."""
    base = DOORS[path][2]
    plain = {**base, **({"tools": extra["tools"]} if field != "tools" and "tools" in extra else {})}
    about = json.dumps([path, plain])
    if about not in plain_bodies:
        plain_bodies[about] = ask(server, stage, path, plain)[1]
    answer, sent = ask(server, stage, path, {**base, **extra})
    before = plain_bodies[about]
    param = answer.json()["error"].get("param") if answer.status_code == 400 else None
    name = field.partition(" ")[0]
    if answer.status_code in (400, 404):
        assert param is None or param.split(".")[0] in extra, (field, answer.text)
        return "refused"
    assert answer.status_code == 200, (field, answer.text)
    ignored = answer.headers.get("x-mom-ignored", "").split(", ")
    told = any(one.split(".")[0].split("[")[0] == name for one in ignored)
    changed = {key for key in {*before, *sent} if before.get(key) != sent.get(key)}
    if changed:
        assert not told, f"{field} reaches the model as {changed}, and is told as unused"
        return "sent"
    if told:
        return "told"
    assert name in MET, f"{field} is lost: it changes no body, and nobody is told"
    return "met"


@contextmanager
def serving(vendor: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stage, Served]]:
    """A council of one, whose synthesizer is a vendor's model."""
    with Stage() as stage:
        pen = {"provider": vendor, "model": "pen", "retries": 0}
        pen["base_url"] = stage.url if vendor == "azure" else stage.address(vendor)
        if vendor == "responses":
            pen |= {"provider": "openai", "params": {"use_responses_api": True}}
        key = vendor_of(str(pen["provider"])).key_env
        if vendor == "azure":
            key = pen["api_key_env"] = "AZURE_KEY"
        if key:
            monkeypatch.setenv(key, "key-of-the-vendor")
        council = load_council(
            {
                "name": "desk",
                "models": {"ada": voice(stage, "ada"), "pen": pen},
                "characters": [{"name": "Ada", "model": "ada"}],
                "synthesizer": {"model": "pen"},
                "thermal": None,
            }
        )
        seat(stage)
        call = {"name": "weather", "args": {"town": "Bern"}, "id": "call_1"}
        stage.model(
            "pen",
            reply=lambda body: (
                Reply("", tool_calls=[call]) if body.get("tools") else '{"town": "Bern"}'
            ),
        )
        with served((council,), "", True, {}) as server:
            yield stage, server


@pytest.mark.parametrize("path", DOORS)
def test_every_field_of_the_client_has_a_sample(path: str) -> None:
    params, samples, base = DOORS[path]
    known = {name.partition(" ")[0] for name in samples} | {*base, "model"}
    assert sorted(fields_of(params) - known) == []
    assert sorted(known - fields_of(params) - {"stream"}) == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_field_is_lost_on_the_way_to_a_vendors_model(
    monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    found: dict[str, str] = {}
    plain: dict[str, dict[str, Any]] = {}
    with serving(vendor, monkeypatch) as (stage, server):
        for path in DOORS if vendor in ("openai", "anthropic", "ollama") else [*DOORS][:1]:
            for field, extra in DOORS[path][1].items():
                found[f"{path} {field}"] = become(server, stage, path, extra, field, plain)
    print(json.dumps(found, indent=0))
    if WRITES:
        write(vendor, found)
    assert column(vendor) == {name: found[f"/v1/chat/completions {name}"] for name in CHAT}


MARKS = ("<!-- fields -->\n", "\n<!-- end -->")
FATES = ("sent", "met", "told", "refused")
Table = dict[str, dict[str, str]]
"""By field, what becomes of it at each vendor."""


def table() -> Table:
    """What the page says."""
    text = PAGE.read_text("utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    return {
        field.strip("`"): {
            vendor: fate
            for fate, cell in zip(FATES, cells, strict=True)
            for vendor in (VENDORS if cell == "all" else cell.replace("`", "").split(", "))
            if vendor
        }
        for field, *cells in rows
    }


def column(vendor: str) -> dict[str, str | None]:
    """What the page says of a vendor, by field."""
    return {field: fates.get(vendor) for field, fates in table().items()}


def cell_of(fates: dict[str, str], fate: str) -> str:
    """The vendors at which a field has a fate."""
    vendors = [vendor for vendor in VENDORS if fates.get(vendor) == fate]
    return "all" if len(vendors) == len(VENDORS) else ", ".join(f"`{one}`" for one in vendors)


def write(vendor: str, found: dict[str, str]) -> None:
    """Lay what was found of a vendor over the table on the page."""
    before = table()
    lines = ["| field | " + " | ".join(FATES) + " |", "|---" * (1 + len(FATES)) + "|"]
    for field in CHAT:
        fates = {**before.get(field, {}), vendor: found[f"/v1/chat/completions {field}"]}
        cells = [cell_of(fates, fate) for fate in FATES]
        lines.append(f"| `{field}` | " + " | ".join(cells) + " |")
    head, _, rest = PAGE.read_text("utf-8").partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    PAGE.write_text(head + MARKS[0] + "\n".join(lines) + MARKS[1] + tail, encoding="utf-8")
