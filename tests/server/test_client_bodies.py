"""Bodies as chat programs send them, written anew from what their public source says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.server.conftest import Served, served
from mom_council.tests.stage import Stage

pytestmark = pytest.mark.slow

ASKED = {"role": "user", "content": "Which pet?"}
TOOL = {
    "type": "function",
    "function": {"name": "read_file", "description": "Reads.", "parameters": {"type": "object"}},
}


def parts(text: str) -> dict[str, Any]:
    """A question in parts."""
    return {"role": "user", "content": [{"type": "text", "text": text}]}


BODIES: dict[str, tuple[dict[str, Any], set[str]]] = {
    # open-webui/open-webui, backend/open_webui/utils/payload.py
    "Open WebUI": (
        {
            "model": "desk",
            "stream": True,
            "messages": [{"role": "system", "content": "Be kind."}, ASKED],
            "temperature": 0.8,
            "top_p": 0.9,
            "max_tokens": 128,
            "frequency_penalty": 1.1,
            "seed": 42,
            "stop": ["END"],
            "min_p": 0.0,
            "chat_id": "c",
            "features": {"web_search": False},
        },
        {"min_p", "chat_id", "features"},
    ),
    # continuedev/continue, core/llm/openaiTypeConverters.ts
    "Continue": (
        {
            "model": "desk",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Which pet?"}]},
                {"role": "assistant", "content": " "},
                ASKED,
            ],
            "max_tokens": 4096,
            "temperature": 0.5,
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "stream": True,
            "stop": ["<a>", "<b>", "<c>", "<d>", "<e>"],
            "tools": [{**TOOL, "function": {**TOOL["function"], "strict": None}}],  # type: ignore[dict-item]
        },
        {"stop"},
    ),
    # cline/cline, src/api/providers/openai.ts
    "Cline": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "You are Cline."}, ASKED],
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        set(),
    ),
    # What LM Studio's own examples send.
    "LM Studio": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "Rhyme."}, ASKED],
            "temperature": 0.7,
            "max_tokens": -1,
            "stream": False,
        },
        {"max_tokens"},
    ),
    # danny-avila/LibreChat, packages/api/src/endpoints/openai/llm.ts, over LangChain's client
    "LibreChat": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "Be kind."}, parts("Which pet?")],
            "temperature": 1,
            "top_p": 1,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "user": "66f1c0ffee",
            "include_reasoning": True,
            "reasoning_effort": "low",
            "stream": True,
            "stream_options": {"include_usage": True},
            "n": 1,
        },
        {"user"},
    ),
    # janhq/jan, web-app/src/lib/predefinedParams.ts: what the assistant's sliders add
    "Jan": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "Be kind."}, ASKED],
            "temperature": 0.7,
            "top_p": 0.95,
            "top_k": 2,
            "frequency_penalty": 0.7,
            "presence_penalty": 0.7,
            "repeat_penalty": 1.12,
            "ctx_len": 8192,
            "max_tokens": 2048,
            "tools": [TOOL],
            "tool_choice": "auto",
            "stream": True,
        },
        {"top_k", "repeat_penalty", "ctx_len"},
    ),
    # Mintplex-Labs/anything-llm, server/utils/AiProviders/genericOpenAi: limits come as text
    # from the environment.
    "AnythingLLM": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "Be kind.\nContext:"}, ASKED],
            "temperature": 0.7,
            "max_tokens": "1024",
            "stream": True,
        },
        set(),
    ),
    # chatboxai/chatbox, src/shared/models/openai-compatible.ts, over the AI SDK
    "Chatbox": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "Be kind."}, parts("Which pet?")],
            "temperature": 0.7,
            "top_p": 1,
            "max_tokens": 4096,
            "stream": True,
        },
        set(),
    ),
    # enricoros/big-AGI, src/modules/aix/server/dispatch/chatGenerate/adapters
    "big-AGI": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "Be kind."}, parts("Which pet?")],
            "tools": [{**TOOL, "function": {**TOOL["function"], "strict": True}}],  # type: ignore[dict-item]
            "tool_choice": "auto",
            "max_tokens": 8192,
            "temperature": 0.5,
            "stream": True,
            "stream_options": {"include_usage": True},
            "plugins": [{"id": "web"}],
            "reasoning": {"enabled": True, "effort": "low"},
        },
        {"plugins", "reasoning"},
    ),
    # zed-industries/zed, crates/open_ai/src/open_ai.rs: a turn after a tool's result
    "Zed": (
        {
            "model": "desk",
            "messages": [
                {"role": "system", "content": "Be kind."},
                parts("Which pet?"),
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "read_file", "arguments": "{}"},
                        }
                    ],
                },
                {
                    "role": "tool",
                    "content": [{"type": "text", "text": "A cat."}],
                    "tool_call_id": "call_1",
                },
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 32768,
            "temperature": 1.0,
            "parallel_tool_calls": False,
            "tools": [TOOL],
            "prompt_cache_key": "thread-1",
        },
        {"prompt_cache_key"},
    ),
    # n8n-io/n8n, packages/@n8n/nodes-langchain/nodes/llms/LMChatOpenAi, over LangChain's client
    "n8n": (
        {
            "model": "desk",
            "messages": [ASKED],
            "temperature": 0.7,
            "top_p": 1,
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "max_tokens": -1,
            "n": 1,
            "stream": False,
            "response_format": {"type": "text"},
        },
        {"max_tokens"},
    ),
    # What Cursor sends to /chat/completions: docs.litellm.ai/docs/proxy/cursor
    "Cursor": (
        {
            "model": "desk",
            "input": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": [{"type": "input_text", "text": "Which pet?"}]},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "read_file",
                    "arguments": "{}",
                },
                {"type": "function_call_output", "call_id": "call_1", "output": "A cat."},
            ],
            "tools": [
                {"type": "function", "strict": False, **TOOL["function"]},  # type: ignore[dict-item]
                {"type": "custom", "name": "ApplyPatch", "format": {"type": "grammar"}},
            ],
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "medium", "summary": "auto"},
            "text": {"verbosity": "low"},
            "max_output_tokens": 4096,
            "prompt_cache_retention": "24h",
            "store": False,
            "truncation": "auto",
            "user": "u",
            "stream": True,
        },
        {
            *("include", "prompt_cache_retention", "reasoning", "store", "truncation", "user"),
            "tools[1] (custom)",
        },
    ),
    # SillyTavern/SillyTavern, src/endpoints/backends/chat-completions.js, a custom source
    "SillyTavern": (
        {
            "model": "desk",
            "messages": [
                {"role": "system", "content": "Write Ada's next reply."},
                {"role": "assistant", "content": "Hello.", "name": "Ada"},
                {"role": "user", "content": "Which pet?", "name": "Bob_"},
                {"role": "system", "content": "[Start a new chat]"},
            ],
            "temperature": 1,
            "max_tokens": 300,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_p": 1,
            "top_k": 0,
            "min_p": 0,
            "repetition_penalty": 1,
            "stop": [],
            "logit_bias": {},
            "n": 1,
            "stream": True,
        },
        {"top_k", "min_p", "repetition_penalty", "messages[].name"},
    ),
}
RESPONSES: dict[str, tuple[dict[str, Any], set[str]]] = {
    # home-assistant/core, homeassistant/components/openai_conversation/entity.py
    "Home Assistant": (
        {
            "model": "desk",
            "input": [
                {"type": "message", "role": "developer", "content": "You run a house."},
                {"type": "message", "role": "user", "content": "Which pet?"},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0"},
                {
                    "type": "function_call",
                    "name": "read_file",
                    "call_id": "call_1",
                    "arguments": "{}",
                },
                {"type": "function_call_output", "call_id": "call_1", "output": '{"a": 1}'},
            ],
            "max_output_tokens": 3000,
            "user": "01J",
            "store": False,
            "stream": True,
            "top_p": 1.0,
            "temperature": 1.0,
            "prompt_cache_retention": "24h",
            "include": ["code_interpreter_call.outputs"],
            "tools": [
                {"type": "function", "strict": False, **TOOL["function"]},  # type: ignore[dict-item]
                {"type": "web_search", "search_context_size": "medium"},
                {"type": "code_interpreter", "container": {"type": "auto"}},
            ],
        },
        {
            *("prompt_cache_retention", "include", "user"),
            *("tools[1] (web_search)", "tools[2] (code_interpreter)"),
        },
    ),
    # zed-industries/zed, crates/open_ai/src/responses.rs
    "Zed": (
        {
            "model": "desk",
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Which?"}],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "A cat.", "annotations": []}],
                },
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Which pet?"}],
                },
            ],
            "stream": True,
            "temperature": 1.0,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [{"type": "function", **TOOL["function"]}],  # type: ignore[dict-item]
            "prompt_cache_key": "thread-1",
            "reasoning": {"effort": "medium", "summary": "auto"},
        },
        {"prompt_cache_key"},
    ),
}
ALL = [
    *(("/v1/chat/completions", name, *BODIES[name]) for name in sorted(BODIES)),
    *(("/v1/responses", name, *RESPONSES[name]) for name in sorted(RESPONSES)),
]


@pytest.fixture(scope="module")
def council() -> Iterator[tuple[Stage, Served]]:
    """A served council; one for all, since each body is answered alone."""
    with Stage() as stage:
        seat(stage)
        with served((desk(stage),), "", True, {}) as one:
            yield stage, one


@pytest.mark.parametrize(("path", "name", "body", "left_out"), ALL)
def test_a_chat_programs_body_is_answered(
    council: tuple[Stage, Served], path: str, name: str, body: dict[str, Any], left_out: set[str]
) -> None:
    stage, server = council
    stage.clear()
    answer = server.post(body, path)
    assert answer.status_code == 200, answer.text
    words = deltas(answer.text) if body["stream"] else answer.json()["choices"][0]["message"]
    assert "the council says" in str(words), answer.text
    assert set(answer.headers.get("x-mom-ignored", "").split(", ")) - {""} == left_out
    sent = stage.calls_to("pen")[0].body
    assert "Which pet?" in said(sent)
    for field in ("temperature", "top_p", "frequency_penalty", "seed"):
        assert sent.get(field) == body.get(field), field
    most = body.get("max_tokens", body.get("max_completion_tokens", body.get("max_output_tokens")))
    assert sent.get("max_tokens") == (int(most) if most and int(most) > 0 else None)
    offered = [tool["function"]["name"] for tool in sent.get("tools", ())]
    assert offered == (["read_file"] if body.get("tools") else [])


def deltas(text: str) -> str:
    """The answer in a stream, of either protocol."""
    found = ""
    for line in text.splitlines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line.removeprefix("data: "))
        assert "error" not in event or event["error"] is None, event
        if event.get("type") == "response.output_text.delta":
            found += event["delta"]
        for choice in event.get("choices", ()):
            found += choice["delta"].get("content") or ""
    return found
