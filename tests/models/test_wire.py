"""Our own wire: the same requests and replies as the vendors' libraries, by the handful."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from mom_council.councils.schema import Model
from mom_council.models.clients import close_loop_resources, loop_resources
from mom_council.models.providers import open_model
from mom_council.models.providers.chat_completions import read_chunk
from mom_council.models.providers.openai import CompatibleChat
from mom_council.models.wire import SWITCH, Delta, ResponseError, Wire, WireRefusalError, merge
from mom_council.testing.script import Reply as Line
from mom_council.tests.stage import Stage

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
CONVERSATIONS: dict[str, list[BaseMessage]] = {
    "a question": [HumanMessage("What is 17 + 25?")],
    "with a system message": [SystemMessage("You add. “Ж”"), HumanMessage("17 + 25?\n\n\u2028")],
    "a name": [HumanMessage("17 + 25?", name="ada")],
    "a picture": [HumanMessage([{"type": "text", "text": "What is it?"}, PICTURE])],
    "tools": [
        HumanMessage("17 + 25?"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 17, "b": 25}, "id": "1"}]),
        ToolMessage("42", tool_call_id="1"),
        HumanMessage("So?"),
    ],
    "an empty answer": [HumanMessage("Hm."), AIMessage(""), HumanMessage("So?")],
    "thoughts": [
        HumanMessage("Hm."),
        AIMessage("42", additional_kwargs={"reasoning_content": "17 + 25"}),
        HumanMessage("So?"),
    ],
}
ARGUMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "openai": {
        "none": {},
        "a stop": {"stop": ["."]},
        "a form": {"extra_body": {"guided_json": {"type": "object"}}},
        "a tool": {
            "tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}],
            "tool_choice": "auto",
        },
    },
    "ollama": {
        "none": {},
        "a stop": {"stop": ["."]},
        "a form": {"format": {"type": "object", "properties": {}}},
        "a tool": {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "add",
                        "description": "Adds.",
                        "parameters": {"type": "object", "properties": {}},
                    },
                }
            ]
        },
    },
}
PARAMS: dict[str, dict[str, Any]] = {
    "openai": {"temperature": 0.2, "max_tokens": 50, "min_p": 0.1, "seed": 7},
    "ollama": {"temperature": 0.2, "num_predict": 50, "min_p": 0.1, "keep_alive": "5m"},
}


def model(stage: Stage, provider: str, **more: Any) -> Model:
    url = stage.openai_url if provider == "openai" else stage.ollama_url
    return Model(provider=provider, model="m", base_url=url, **more)


async def opened(spec: Model) -> Any:
    return await open_model(await loop_resources(), spec)


async def both_wires(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[], Awaitable[Any]]
) -> tuple[Any, Any]:
    """What comes of a use over our wire, and over the library's own."""
    ours = await use()
    await close_loop_resources()
    monkeypatch.setenv(SWITCH, "0")
    theirs = await use()
    await close_loop_resources()
    return ours, theirs


@pytest.mark.parametrize("provider", ["openai", "ollama"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("arguments", ["none", "a stop", "a form", "a tool"])
async def test_the_request_is_the_librarys_own(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    conversation: str,
    arguments: str,
) -> None:
    stage.model("m", reply="42")

    async def use() -> tuple[dict[str, Any], Any, Any]:
        chat = await opened(model(stage, provider, params=PARAMS[provider]))
        given_arguments = ARGUMENTS[provider][arguments]
        async for _ in chat.astream(CONVERSATIONS[conversation], **given_arguments):
            pass
        call = stage.calls[-1]
        headers = {name: call.headers.get(name) for name in ("authorization", "content-type")}
        return call.body, headers, call.path

    ours, theirs = await both_wires(monkeypatch, use)
    assert ours == theirs


@pytest.mark.parametrize("provider", ["openai", "ollama"])
@pytest.mark.parametrize(
    "reply",
    [
        Line("It is 42, I think.", usage=(11, 4)),
        Line("42", reasoning="17 + 25 is 42.", usage=(11, 4)),
        Line("cut", finish="length"),
        Line("", finish="stop"),
        Line("é 🦉 \u2028 中", chunks=["é ", "🦉", " \u2028 ", "中"]),
        Line(None, tool_calls=[{"name": "add", "args": {"a": 1}, "id": "1"}], finish="tool_calls"),
    ],
    ids=["text", "thoughts", "cut", "empty", "signs", "a tool"],
)
async def test_whoever_follows_it_gets_langchains_message(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, provider: str, reply: Line
) -> None:
    stage.model("m", reply=reply)

    async def use() -> AIMessageChunk:
        chat = await opened(model(stage, provider))
        whole = None
        async for chunk in chat.astream([HumanMessage("?")]):
            whole = chunk if whole is None else whole + chunk
        return whole

    ours, theirs = await both_wires(monkeypatch, use)
    for message in (ours, theirs):
        message.id = None  # of each call its own
        for measured in ("created_at", "total_duration", "load_duration", "eval_duration"):
            message.response_metadata.pop(measured, None)
        message.response_metadata.pop("prompt_eval_duration", None)
        for call in [*message.tool_calls, *message.tool_call_chunks]:
            if provider == "ollama":
                call["id"] = None  # made up by LangChain
    assert ours == theirs


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_a_reply_read_as_deltas_says_what_langchains_message_says(
    stage: Stage, provider: str
) -> None:
    stage.model("m", reply=Line("It is 42.", reasoning="17 + 25.", usage=(11, 4)))
    chat = await opened(model(stage, provider))
    deltas = [one async for some in chat.deltas([HumanMessage("?")]) for one in some]
    assert "".join(str(one.content) for one in deltas) == "It is 42."
    assert "".join(one.thought for one in deltas) == "17 + 25."
    assert [one.finish for one in deltas if one.finish] == ["stop"]
    [usage] = [one.usage for one in deltas if one.usage]
    assert (usage["input_tokens"], usage["output_tokens"]) == (11, 4)


@pytest.mark.parametrize("provider", ["openai", "ollama"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("arguments", ["none", "a stop", "a form"])
@pytest.mark.parametrize("params", ["few", "many"])
async def test_a_reply_read_as_deltas_is_asked_for_with_the_same_request(
    stage: Stage, provider: str, conversation: str, arguments: str, params: str
) -> None:
    stage.model("m", reply="42")
    few = {"temperature": 0.2}
    chat = await opened(
        model(stage, provider, params=PARAMS[provider] if params == "many" else few)
    )
    messages, more = CONVERSATIONS[conversation], ARGUMENTS[provider][arguments]
    async for _ in chat.deltas(messages, **more):
        pass
    async for _ in chat.astream(messages, **more):
        pass
    ours, langchains = stage.calls
    assert ours.body == langchains.body
    assert ours.key_sent == langchains.key_sent


COUNTS = st.none() | st.integers(0, 9)
USAGES = st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS, "total_tokens": COUNTS},
    optional={
        "prompt_tokens_details": st.none()
        | st.fixed_dictionaries({"cached_tokens": COUNTS, "audio_tokens": COUNTS}),
        "completion_tokens_details": st.none()
        | st.fixed_dictionaries({"reasoning_tokens": COUNTS, "audio_tokens": COUNTS}),
    },
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "index": st.integers(0, 2),
            "id": st.sampled_from([None, "1"]),
            "function": st.fixed_dictionaries(
                {"name": st.sampled_from([None, "add"]), "arguments": st.sampled_from(["", "{"])}
            ),
        }
    ),
    max_size=2,
)
CHUNKS = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {
                    "index": st.just(0),
                    "delta": st.fixed_dictionaries(
                        {"content": st.sampled_from([None, "", "42"])},
                        optional={
                            "role": st.just("assistant"),
                            "reasoning_content": st.sampled_from([None, "", "17"]),
                            "refusal": st.sampled_from([None, "no"]),
                            "tool_calls": st.none() | CALLS,
                        },
                    ),
                    "finish_reason": st.sampled_from([None, "stop", "length"]),
                },
                optional={"logprobs": st.sampled_from([None, {"content": []}])},
            ),
            max_size=1,
        ),
        "model": st.just("m-1"),
    },
    optional={
        "usage": st.none() | USAGES,
        "service_tier": st.sampled_from([None, "flex", "default"]),
        "system_fingerprint": st.just("f"),
    },
)


@given(CHUNKS)
def test_a_chunk_is_read_as_langchain_reads_it(chunk: dict[str, Any]) -> None:
    theirs = CompatibleChat(model="m", api_key="none")._convert_chunk_to_generation_chunk(
        deepcopy(chunk), AIMessageChunk, {}
    )
    ours = read_chunk(chunk)
    assert theirs is not None
    assert ours.message == theirs.message
    assert (ours.generation_info or {}) == (theirs.generation_info or {})


async def test_a_plain_question_imports_no_vendors_library() -> None:
    program = """
import asyncio, sys
from langchain_core.messages import HumanMessage
from mom_council.councils.schema import Model
from mom_council.models.clients import loop_resources
from mom_council.models.providers import open_model
from mom_council.tests.stage import Stage

async def main():
    with Stage() as stage:
        stage.model("m", reply="42")
        spec = Model(provider="openai", model="m", base_url=stage.openai_url)
        chat = await open_model(await loop_resources(), spec)
        async for _ in chat.deltas([HumanMessage("?")]):
            pass
        async for _ in chat.astream([HumanMessage("?")]):  # whoever follows it needs none either
            pass
        print(stage.calls[0].body["messages"])

asyncio.run(main())
print([name for name in ("openai", "langchain_openai") if name in sys.modules])
"""
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE
    )
    written, _ = await run.communicate()
    assert written.decode().splitlines() == ["[{'role': 'user', 'content': '?'}]", "[]"]


async def test_the_switch_leaves_the_library_to_ask(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "0")
    stage.model("m", reply="42")
    for provider in ("openai", "ollama"):
        chat = await opened(model(stage, provider))
        assert chat.deltas([HumanMessage("?")]) is None
        assert type(chat).__name__ != "ChatCompletions"
        assert (await chat.ainvoke([HumanMessage("?")])).content == "42"


# The bytes themselves.

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def read(
    answer: Answer, *, form: str = "events", speaking: bool = False
) -> tuple[list[list[Any]], BaseException | None]:
    """What a reply is read as: its values by the handful, and the error at its end."""
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    sessions = (await loop_resources()).sessions
    url = f"http://127.0.0.1:{port}/"
    handfuls: list[list[Any]] = []
    fault: BaseException | None = None
    try:
        stream = Wire(sessions, url, {}, form).ask({"q": 1})  # type: ignore[arg-type]
        stream.is_speaking = speaking
        async for values in stream.read():
            handfuls.append(values)  # noqa: PERF401  (what came before an error counts)
    except Exception as error:
        fault = error
    finally:
        await close_loop_resources()
        await runner.cleanup()
    return handfuls, fault


def sends(*parts: bytes, headers: dict[str, str] | None = None, drop: bool = False) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream", **(headers or {})}
        )
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0.005)
        if drop:
            request.transport.abort()  # type: ignore[union-attr]
        return response

    return answer


EVENTS = b'data: {"a": 1}\n\n: a comment\n\nevent: x\ndata: {"a":\ndata: 2}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("speaking", [True, False])
async def test_events_are_read_as_the_standard_says(ending: bytes, speaking: bool) -> None:
    written = EVENTS.replace(b"\n", ending)
    handfuls, fault = await read(sends(written), speaking=speaking)
    assert [one for some in handfuls for one in some] == [{"a": 1}, {"a": 2}]
    assert fault is None


@given(cuts=st.sets(st.integers(1, len(EVENTS) - 1)), ending=st.sampled_from([b"\n", b"\r\n"]))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: set[int], ending: bytes) -> None:
    written = EVENTS.replace(b"\n", ending)
    places = [0, *sorted(cuts), len(written)]
    stream = Wire(None, "", {}, "events").ask({})  # type: ignore[arg-type]
    values = [
        value for start, end in pairwise(places) for value in stream._decode(written[start:end])
    ]
    assert values == [{"a": 1}, {"a": 2}]


PLAIN = [b'data: {"a": 1}', b'data: {"b": [2, {}]}', b"data: {}", b"data: [DONE]"]
ODD = [
    b": a comment",
    b'data:{"c": 3}',
    b'data: {"d":\ndata: 4}',
    b"event: x",
    b"data: 5",
    b"data: {",
]
ODD += [
    b'data: {"e": 6},{"f": 7}',
    b'data: {"error": {"message": "no"}}',
    b"",
    b'data: {"g": "\xff"}',
]


@given(st.lists(st.sampled_from(PLAIN) | st.sampled_from(PLAIN + ODD), max_size=6))
def test_events_that_come_together_are_read_like_those_that_come_alone(parts: list[bytes]) -> None:
    def read_in(size: int) -> tuple[list[Any], str | None]:
        stream = Wire(None, "", {}, "events").ask({})  # type: ignore[arg-type]
        values: list[Any] = []
        for start in range(0, len(written), size):
            values += stream._decode(written[start : start + size])
            if stream._fault or stream._over:
                break
        return values, None if stream._fault is None else type(stream._fault).__name__

    written = b"".join(part + b"\n\n" for part in parts)
    assert read_in(max(1, len(written))) == read_in(1)


async def test_a_line_without_an_end_is_the_last_value() -> None:
    handfuls, fault = await read(sends(b'{"a": 1}\n{"a"', b": 2}"), form="lines")
    assert ([one for some in handfuls for one in some], fault) == ([{"a": 1}, {"a": 2}], None)


@pytest.mark.parametrize("speaking", [True, False])
async def test_what_came_before_an_error_is_kept(speaking: bool) -> None:
    written = b'data: {"a": 1}\n\ndata: {"error": {"message": "no memory"}}\n\n'
    handfuls, fault = await read(sends(written), speaking=speaking)
    assert handfuls == [[{"a": 1}]]
    assert isinstance(fault, ResponseError)
    assert str(fault) == "no memory"


async def test_what_came_before_the_connection_broke_is_kept() -> None:
    handfuls, fault = await read(sends(b'data: {"a": 1}\n\n', drop=True), speaking=True)
    assert [one for some in handfuls for one in some] == [{"a": 1}]
    assert fault is not None


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (b"data: {nonsense\n\n", "JSONDecodeError"),
        (b'data: {"a": "\xff"}\n\n', "UnicodeDecodeError"),
        (b"", "ValueError"),
        (b"<html>busy</html>\n", "ValueError"),
    ],
)
async def test_what_is_no_stream_of_json_is_refused(written: bytes, kind: str) -> None:
    _, fault = await read(sends(written))
    assert type(fault).__name__ == kind


async def test_half_a_surrogate_pair_does_not_end_a_reply() -> None:
    written = b'data: {"a": "\\ud83d"}\n\ndata: {"a": "\\uDE00 b"}\n\n'
    handfuls, fault = await read(sends(written))
    assert ([one for some in handfuls for one in some], fault) == (
        [{"a": "\ud83d"}, {"a": "\ude00 b"}],
        None,
    )


async def test_an_answer_in_one_piece_is_read_too() -> None:
    whole = {"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]}

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(whole)

    assert await read(answer) == ([[whole]], None)


async def test_an_error_that_comes_with_a_success_keeps_its_words() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "upstream is down"}})

    _, fault = await read(answer)
    assert isinstance(fault, ResponseError)
    assert str(fault) == "upstream is down"


async def test_a_refusal_carries_its_status_headers_and_body() -> None:
    async def answer(request: web.Request) -> web.Response:
        said = {"error": {"message": "slow down"}}
        return web.json_response(said, status=429, headers={"Retry-After": "7"})

    _, fault = await read(answer)
    assert isinstance(fault, WireRefusalError)
    assert (fault.status_code, fault.body) == (429, {"message": "slow down"})
    assert fault.headers["retry-after"] == "7"


async def test_a_redirect_is_not_followed() -> None:
    async def answer(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("http://127.0.0.2:1/")

    _, fault = await read(answer)
    assert isinstance(fault, WireRefusalError)
    assert "base_url" in fault.body


@pytest.mark.parametrize(("packing", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_packed_reply_is_unpacked(packing: str, pack: Callable[[bytes], bytes]) -> None:
    answer = sends(pack(EVENTS), headers={"content-encoding": packing})
    handfuls, fault = await read(answer)
    assert ([one for some in handfuls for one in some], fault) == ([{"a": 1}, {"a": 2}], None)


async def test_the_first_piece_comes_at_once_and_the_next_together() -> None:
    pieces = [b'data: {"a": %d}\n\n' % number for number in range(40)]
    slow, _ = await read(sends(*pieces))
    gathered, _ = await read(sends(*pieces), speaking=True)
    assert [one for some in gathered for one in some] == [{"a": number} for number in range(40)]
    assert len(gathered) < len(slow)
    assert gathered[0] == [{"a": 0}] or len(gathered[0]) < 40


async def test_a_connection_is_used_again_after_a_reply() -> None:
    ports: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        ports.append(request.transport.get_extra_info("peername")[1])  # type: ignore[union-attr]
        return await sends(EVENTS)(request)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    wire = Wire((await loop_resources()).sessions, f"http://127.0.0.1:{port}/", {}, "events")
    for _ in range(3):
        async for _ in wire.ask({}).read():
            pass
    await close_loop_resources()
    await runner.cleanup()
    assert len(set(ports)) == 1


async def test_a_reader_that_leaves_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b'data: {"a": 1}\n\n')
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            closed.set()
            raise

    app = web.Application(handler_args={"handler_cancellation": True})
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    wire = Wire((await loop_resources()).sessions, f"http://127.0.0.1:{port}/", {}, "events")
    stream: AsyncGenerator[list[Any], None] = wire.ask({}).read()
    assert await anext(stream) == [{"a": 1}]
    await stream.aclose()
    await asyncio.wait_for(closed.wait(), 30)
    await close_loop_resources()
    await runner.cleanup()


DELTAS = st.builds(
    Delta,
    content=st.sampled_from(["", "a", "b "]),
    thought=st.sampled_from(["", "t", "u "]),
    finish=st.sampled_from(["", "", "stop"]),
    usage=st.sampled_from([None, None, {"input_tokens": 1}]),
)


@given(st.lists(DELTAS))
def test_joining_deltas_loses_nothing_and_keeps_their_order(deltas: list[Delta]) -> None:
    def signs(some: list[Delta]) -> list[str]:
        written = []
        for one in some:
            written += [f"t{sign}" for sign in one.thought]
            written += [f"c{sign}" for sign in str(one.content)]
            written += [json.dumps(one.usage)] if one.usage else []
            written += [one.finish] if one.finish else []
        return written

    assert signs(merge(deltas)) == signs(deltas)
    only_speak = [one.content if one == Delta(one.content) else one for one in deltas]
    assert merge(only_speak) == merge(deltas)  # type: ignore[arg-type]
