"""The contract with the inside of vendors' clients: what we changed, and nothing beside it."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from langchain_anthropic import ChatAnthropic
from langchain_cohere import ChatCohere
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from openai import AsyncOpenAI

from mom_council.models.providers.cohere import CohereChat
from mom_council.models.providers.ollama import OllamaChat
from mom_council.models.providers.openai import CompatibleChat, OpenAIChat, PlainOpenAI
from mom_council.models.wire import read_until_end
from mom_council.seams.clients import (
    LONGEST_UNFINISHED,
    bound_unfinished_arguments,
    langchain_packages,
    sdk_user_agent,
    set_anthropic_client,
    set_default_headers,
    uses_responses_api,
)

TALK = [
    SystemMessage("You add."),
    HumanMessage("What is 17 + 25?"),
    AIMessage("", tool_calls=[{"name": "add", "args": {"a": 17, "b": 25}, "id": "1"}]),
    ToolMessage("42", tool_call_id="1"),
    HumanMessage("So?"),
]


def test_langchain_names_the_package_of_each_provider_that_it_opens() -> None:
    packages = langchain_packages()
    assert packages["openai"] == "langchain_openai"
    assert packages["anthropic"] == "langchain_anthropic"


@pytest.mark.parametrize(("newer", "given"), [(True, {"use_responses_api": True}), (False, {})])
def test_openai_says_which_interface_it_is_asked_through(newer: bool, given: Any) -> None:
    chat = ChatOpenAI(model="m", api_key="none", **given)
    assert uses_responses_api(chat) is newer


def test_a_model_that_is_not_openais_has_no_newer_interface() -> None:
    assert not uses_responses_api(ChatOllama(model="m"))


def test_our_client_names_itself_as_the_sdk_does() -> None:
    theirs = AsyncOpenAI(api_key="none")
    assert sdk_user_agent(theirs) == theirs.user_agent
    assert PlainOpenAI(api_key="none").user_agent == theirs.user_agent


def test_only_the_headers_that_were_set_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = AsyncOpenAI(api_key="none", default_headers={"x-old": "1"})
    set_default_headers(sdk, {"x-new": "2"})
    assert sdk.default_headers["x-new"] == "2"
    assert "x-old" not in sdk.default_headers


def test_anthropics_model_uses_the_client_that_it_was_given() -> None:
    from anthropic import AsyncAnthropic

    chat = ChatAnthropic(model_name="m", api_key="none", timeout=None, stop=None)
    sdk = AsyncAnthropic(api_key="none")
    set_anthropic_client(chat, sdk)
    assert chat._async_client is sdk


@pytest.mark.parametrize("kind", [OpenAIChat, CompatibleChat])
def test_openais_request_is_langchains_with_the_messages_beside_it(kind: type[Any]) -> None:
    base = ChatOpenAI if kind is OpenAIChat else BaseChatOpenAI
    theirs = base(model="m", api_key="none")._get_request_payload(TALK, stop=["."])
    ours = kind(model="m", api_key="none")._get_request_payload(TALK, stop=["."])
    extra = ours.pop("extra_body")
    assert ours.pop("messages") == []
    assert {**ours, "messages": extra.pop("messages")} == theirs
    assert extra == {}


def test_a_streamed_chunk_is_langchains_with_the_fields_that_it_drops() -> None:
    delta = {"content": "four", "reasoning_content": "add", "role": "assistant"}
    chunk = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta}]}
    kinds = (BaseChatOpenAI, CompatibleChat)
    theirs, ours = (
        kind(model="m", api_key="none")._convert_chunk_to_generation_chunk(chunk, AIMessage, None)
        for kind in kinds
    )
    assert theirs is not None
    assert ours is not None
    assert "reasoning_content" not in theirs.message.additional_kwargs
    assert ours.message.additional_kwargs.pop("reasoning_content") == "add"
    assert ours == theirs


def test_ollamas_request_is_langchains_with_the_options_that_it_drops() -> None:
    theirs = ChatOllama(model="m", temperature=0.2)._chat_params(TALK, ["."])
    ours = OllamaChat(model="m", temperature=0.2, options={"min_p": 0.1})._chat_params(TALK, ["."])
    assert ours["options"].pop("min_p") == 0.1
    assert ours == theirs


HOOKS = [
    (CohereChat, ChatCohere, "_astream"),
    (CohereChat, ChatCohere, "_get_stream_info_v2"),
    (OllamaChat, ChatOllama, "_chat_params"),
    (OllamaChat, ChatOllama, "_acreate_chat_stream"),
    (OpenAIChat, ChatOpenAI, "_get_request_payload"),
    (OpenAIChat, ChatOpenAI, "_convert_chunk_to_generation_chunk"),
    (PlainOpenAI, AsyncOpenAI, "_process_response_data"),
]


@pytest.mark.parametrize(("ours", "theirs", "hook"), HOOKS)
def test_a_hook_that_we_override_still_takes_what_the_library_hands_it(
    ours: type[Any], theirs: type[Any], hook: str
) -> None:
    expected = inspect.signature(getattr(theirs, hook)).parameters
    assert list(inspect.signature(getattr(ours, hook)).parameters) == list(expected)


@pytest.mark.parametrize("breaks", [False, True])
async def test_what_came_before_the_end_of_a_reply_is_read_at_once(*, breaks: bool) -> None:
    more = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"one ", b"two "):
            await response.write(piece)
        await more.wait()
        await response.write(b"three")
        if breaks:
            await asyncio.sleep(0)
            assert request.transport is not None
            request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(site.name) as reply:
            first = b""
            while first != b"one two ":
                part, fault = await read_until_end(reply.content, 0.01)
                first += part
                assert fault is None
            more.set()
            rest, fault = await read_until_end(reply.content, 60)
            assert rest == b"three"
            assert (fault is not None) == breaks
            again, _ = await read_until_end(reply.content, 60)
            assert again == b""
    finally:
        await runner.cleanup()


def test_arguments_that_are_no_json_yet_are_read_in_a_bounded_time() -> None:
    def chunk(args: str) -> AIMessageChunk:
        call = {"name": "f", "args": args, "id": "1", "index": 0, "type": "tool_call_chunk"}
        return AIMessageChunk("", tool_call_chunks=[call])

    short, whole = chunk('{"a": [1, 2').tool_calls, chunk('{"a": "%s"}' % ("x" * 90_000)).tool_calls
    long = '{"a": [%s' % ("1, " * LONGEST_UNFINISHED)
    completed = chunk(long).tool_calls
    with bound_unfinished_arguments():
        assert chunk('{"a": [1, 2').tool_calls == short != []
        assert chunk('{"a": "%s"}' % ("x" * 90_000)).tool_calls == whole != []
        hostile = '{"a": ' + "[" * 600_000, '{"a" ' * (LONGEST_UNFINISHED // 5 + 1)
        for text in (long, "x" * 600_000, *hostile):
            began = time.thread_time()
            assert chunk(text).tool_calls == []
            assert time.thread_time() - began < 5, "it took minutes"
    # What else a program does with LangChain stays as it is.
    assert chunk(long).tool_calls == completed != []
