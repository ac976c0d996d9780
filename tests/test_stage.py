"""The stage, driven by the clients that the council itself uses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow


@pytest.fixture
def stage() -> Iterator[Stage]:
    """An empty stage."""
    with Stage() as one:
        yield one


OPENED: list[Callable[[], None]] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close what the clients left open, which else the garbage collector complains of."""
    yield
    while OPENED:
        OPENED.pop()()


def far(stage: Stage, model: str = "quick", **more: Any) -> ChatOpenAI:
    """A LangChain client of the OpenAI protocol."""
    http = openai.DefaultHttpxClient()
    OPENED.append(http.close)
    return ChatOpenAI(
        http_client=http,
        model=model,
        base_url=stage.openai_url,
        api_key=SecretStr("a-key"),
        max_retries=0,
        stream_usage=True,
        **more,
    )


def near(stage: Stage, model: str = "quick", **more: Any) -> ChatOllama:
    """A LangChain client of the Ollama protocol."""
    made = ChatOllama(model=model, base_url=stage.ollama_url, **more)
    OPENED.append(made._client._client.close)
    return made


def sdk(stage: Stage) -> openai.OpenAI:
    """OpenAI's own client."""
    made = openai.OpenAI(base_url=stage.openai_url, api_key="a-key", max_retries=0)
    OPENED.append(made.close)
    return made


def ollama_sdk(stage: Stage) -> ollama.Client:
    """Ollama's own client."""
    made = ollama.Client(host=stage.ollama_url)
    OPENED.append(made._client.close)
    return made


@pytest.mark.parametrize("client", [far, near])
def test_a_scripted_answer_comes_whole_with_its_usage(stage: Stage, client: Any) -> None:
    stage.model("quick", reply=Reply("forty two", usage=(7, 3)))
    answer = client(stage).invoke("how many?")
    assert answer.content == "forty two"
    assert answer.usage_metadata["input_tokens"] == 7
    assert answer.usage_metadata["output_tokens"] == 3
    (call,) = stage.calls
    assert call.body["messages"][-1]["content"] == "how many?"
    assert (call.model, call.outcome, call.status) == ("quick", "done", 200)


@pytest.mark.parametrize("client", [far, near])
def test_a_scripted_answer_streams_in_several_chunks_with_its_usage(
    stage: Stage, client: Any
) -> None:
    stage.model("quick", reply=Reply("one two three four five six", usage=(7, 3)))
    chunks = list(client(stage).stream("count"))
    assert "".join(chunk.content for chunk in chunks) == "one two three four five six"
    assert sum(bool(chunk.content) for chunk in chunks) == 4
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usage[-1]["output_tokens"] == 3
    assert stage.calls[0].chunks_sent == 4


def test_latency_is_spread_over_the_chunks_and_the_first_token_has_its_own(stage: Stage) -> None:
    stage.model("quick", reply="a b c d", latency=0.4, first_token=0.1)
    came = [time.monotonic() for chunk in sdk_stream(stage) if chunk]
    call = stage.calls[0]
    # A busy machine is late, never early.
    assert 0.09 <= came[0] - call.started < 0.3
    assert 0.39 <= came[-1] - call.started < 0.6
    assert call.ended is not None
    assert call.first_byte is not None
    assert 0.09 <= call.first_byte - call.started < 0.3
    assert 0.39 <= call.ended - call.started < 0.6


def sdk_stream(stage: Stage, model: str = "quick") -> Iterator[str]:
    """The text of a streamed answer, chunk by chunk."""
    asked = sdk(stage).chat.completions.create(
        model=model, stream=True, messages=[{"role": "user", "content": "go"}]
    )
    for chunk in asked:
        if chunk.choices:
            yield chunk.choices[0].delta.content or ""


def test_tokens_per_second_streams_word_by_word(stage: Stage) -> None:
    stage.model("quick", reply="one two three four five", tokens_per_second=50)
    assert len([text for text in sdk_stream(stage) if text]) == 5
    (call,) = stage.calls
    assert call.ended is not None
    assert 0.09 <= call.ended - call.started < 0.3


def test_a_list_of_replies_is_said_in_order_and_the_last_repeats(stage: Stage) -> None:
    stage.model("quick", reply=["first", Reply("second")])
    said = [far(stage).invoke("go").content for _ in range(3)]
    assert said == ["first", "second", "second"]


def test_a_reply_may_be_a_function_of_the_request(stage: Stage) -> None:
    stage.model("quick", reply=lambda body: body["messages"][-1]["content"].upper())
    assert far(stage).invoke("echo").content == "ECHO"
    assert near(stage).invoke("again").content == "AGAIN"


def test_a_model_without_a_script_is_a_404_in_the_vendors_shape(stage: Stage) -> None:
    with pytest.raises(openai.NotFoundError) as far_error:
        far(stage, "nobody").invoke("go")
    assert far_error.value.code == "model_not_found"
    with pytest.raises(ollama.ResponseError, match="model 'nobody' not found") as near_error:
        near(stage, "nobody").invoke("go")
    assert near_error.value.status_code == 404
    assert [call.status for call in stage.calls] == [404, 404]


def test_a_default_answers_for_every_model() -> None:
    with Stage(default="anyone") as stage:
        assert far(stage, "nobody").invoke("go").content == "anyone"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (402, openai.APIStatusError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_a_status_fault_is_the_clients_own_error_and_the_next_call_goes_well(
    stage: Stage, code: int, kind: type[openai.APIStatusError]
) -> None:
    stage.model("quick", faults=[Fault.status(code, retry_after=0.5), Fault.status(code)])
    with pytest.raises(kind) as first:
        far(stage).invoke("go")
    assert first.value.response.headers["retry-after"] == "0.5"
    with pytest.raises(ollama.ResponseError) as second:
        near(stage).invoke("go")
    assert second.value.status_code == code
    assert far(stage).invoke("go").content == "ok"
    assert [call.outcome for call in stage.calls] == ["fault", "fault", "done"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.bad_gateway(),
        Fault.reset(),
        Fault.reset(after=2),
        Fault.malformed(),
        Fault.malformed(after=2),
        Fault.garbage(),
        Fault.error_in_stream(),
    ],
    ids=lambda fault: f"{fault.kind}_{fault.after}",
)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("protocol", ["openai", "ollama"])
def test_a_broken_answer_breaks_the_client(
    stage: Stage, fault: Fault, streamed: bool, protocol: str
) -> None:
    stage.model("quick", reply="one two three four", latency=0.02, always=fault)
    with pytest.raises(Exception):  # noqa: B017 - each client has its own
        ask(stage, protocol, streamed)
    assert stage.calls[0].outcome == "fault"


def ask(stage: Stage, protocol: str, streamed: bool) -> object:
    """One call with the vendor's own client."""
    if protocol == "openai":
        if streamed:
            return list(sdk_stream(stage))
        return sdk(stage).chat.completions.create(
            model="quick", messages=[{"role": "user", "content": "go"}]
        )
    asked = [{"role": "user", "content": "go"}]
    client = ollama_sdk(stage)
    if streamed:
        return list(client.chat("quick", asked, stream=True))
    return client.chat("quick", asked)


def test_a_truncated_stream_ends_without_a_finish_reason(stage: Stage) -> None:
    stage.model("quick", reply="one two three four", always=Fault.truncated(after=2))
    chunks = list(far(stage).stream("go"))
    assert "".join(str(chunk.content) for chunk in chunks) == "one two "
    assert not any(chunk.response_metadata.get("finish_reason") for chunk in chunks)
    assert not any(chunk.usage_metadata for chunk in chunks)


def test_a_truncated_answer_is_shorter_than_it_promised(stage: Stage) -> None:
    stage.model("quick", reply="one two three four", always=Fault.truncated())
    with pytest.raises(openai.APIConnectionError):
        ask(stage, "openai", streamed=False)


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.stall(after=1)], ids=["hang", "stall"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_client_that_gives_up_is_seen_leaving(stage: Stage, fault: Fault, streamed: bool) -> None:
    stage.model("quick", reply="one two three", always=fault)
    client = far(stage, timeout=0.2, streaming=streamed)
    with pytest.raises(Exception, match=r"(?i)timed out"):
        client.invoke("go")
    (call,) = stage.wait_for(1)
    assert call.outcome == "client_left"
    assert call.chunks_sent == (1 if streamed and fault.kind == "stall" else 0)


async def test_a_cancelled_task_is_seen_leaving_at_once(stage: Stage) -> None:
    stage.model("quick", reply="one two three", latency=5)
    task = asyncio.create_task(far(stage).ainvoke("go"))
    await asyncio.to_thread(stage.wait_for, 1, 5, started=True)
    assert stage.calls[0].outcome == "open"
    task.cancel()
    began = time.monotonic()
    (call,) = await asyncio.to_thread(stage.wait_for, 1)
    assert call.outcome == "client_left"
    assert time.monotonic() - began < 4


def test_answers_can_be_empty_null_refused_filtered_or_cut(stage: Stage) -> None:
    stage.model(
        "quick",
        reply="one two",
        faults=[
            Fault.empty(),
            Fault.null(),
            Fault.refusal("no"),
            Fault.content_filter(),
            Fault.length(),
        ],
    )
    asked = [
        sdk(stage).chat.completions.create(
            model="quick", messages=[{"role": "user", "content": "go"}]
        )
        for _ in range(5)
    ]
    seen = [(one.choices[0].message.content, one.choices[0].finish_reason) for one in asked]
    assert seen[:2] == [("", "stop"), (None, "stop")]
    assert asked[2].choices[0].message.refusal == "no"
    assert seen[3:] == [("", "content_filter"), ("one", "length")]


def test_reasoning_is_thinking_to_ollama_and_reasoning_content_to_openai(stage: Stage) -> None:
    stage.model("quick", reply=Reply("42", reasoning="six times seven"))
    answer = near(stage, reasoning=True).invoke("go")
    assert answer.additional_kwargs["reasoning_content"] == "six times seven"
    assert stage.calls[0].body["think"] is True
    said = sdk(stage).chat.completions.create(
        model="quick", messages=[{"role": "user", "content": "go"}]
    )
    assert said.choices[0].message.model_extra == {"reasoning_content": "six times seven"}


@pytest.mark.parametrize("client", [far, near])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_tool_calls_arrive_with_their_arguments(stage: Stage, client: Any, streamed: bool) -> None:
    calls = [{"name": "add", "args": {"a": 1, "b": 2}}]
    stage.model("quick", reply=Reply("", tool_calls=calls))
    one = client(stage)
    if streamed:
        answer, *rest = list(one.stream("go"))
        for chunk in rest:
            answer += chunk
    else:
        answer = one.invoke("go")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
        ("add", {"a": 1, "b": 2})
    ]


@pytest.mark.parametrize("client", [far, near])
def test_a_schema_reaches_the_model_and_its_words_come_back_as_they_are(
    stage: Stage, client: Any
) -> None:
    schema = {
        "title": "Vote",
        "description": "a vote",
        "type": "object",
        "properties": {"choice": {"type": "integer"}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    stage.model("quick", reply=['{"choice": 2}', "I pick the second"])
    voter = client(stage).with_structured_output(schema, method="json_schema", include_raw=True)
    assert voter.invoke("vote")["parsed"] == {"choice": 2}
    spoiled = voter.invoke("vote")
    assert spoiled["parsed"] is None
    assert spoiled["raw"].content == "I pick the second"
    body = stage.calls[0].body
    sent = body.get("format") or body["response_format"]["json_schema"]["schema"]
    assert sent["properties"]["choice"]["type"] == "integer"


def test_keys_are_kept_apart_from_what_is_printed_and_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Stage(default="ok", log=path) as stage:
        far(stage, "quick").invoke("go")
        (call,) = stage.calls
    assert call.key_sent == "a-key"
    assert "a-key" not in repr(call)
    assert "a-key" not in path.read_text()
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (line["model"], line["outcome"]) == ("quick", "done")


def test_overlap_counts_calls_that_were_under_way_together(stage: Stage) -> None:
    async def until_all_are_there(body: dict[str, Any]) -> None:
        while len(stage.calls) < 3:
            await asyncio.sleep(0.005)

    stage.model("quick", hold=until_all_are_there)
    threads = [threading.Thread(target=lambda: far(stage).invoke("go")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.overlap() == stage.overlap("quick") == 3
    far(stage).invoke("go")
    assert stage.overlap() == 3
    stage.clear()
    assert stage.calls == []
    assert stage.overlap() == 0


def test_waiting_for_calls_that_never_come_says_what_was_there(stage: Stage) -> None:
    stage.model("quick")
    far(stage).invoke("go")
    with pytest.raises(TimeoutError, match="quick"):
        stage.wait_for(2, timeout=0.05)


def test_both_protocols_list_the_models_and_none_of_it_counts_as_a_call(stage: Stage) -> None:
    stage.model("quick", size=5, capabilities=["completion", "vision"])
    stage.model("deep:8b", parameters="8B")
    assert [model.id for model in sdk(stage).models.list()] == ["quick", "deep:8b"]
    client = ollama_sdk(stage)
    listed = client.list().models
    assert next((one.model, one.size) for one in listed) == ("quick:latest", 5)
    assert listed[1].details is not None
    assert listed[1].details.parameter_size == "8B"
    assert client.show("quick").capabilities == ["completion", "vision"]
    with pytest.raises(ollama.ResponseError):
        client.show("nobody")
    assert stage.calls == []
    assert [call.path for call in stage.lookups] == [
        "/v1/models",
        "/api/tags",
        "/api/show",
        "/api/show",
    ]


def test_loading_a_model_takes_its_time_once_and_the_longest_unused_leaves() -> None:
    with Stage(slots=2) as stage:
        for name in ("a", "b", "c"):
            stage.model(name, load_seconds=0.1)
        client = ollama_sdk(stage)
        took = [client.generate(name, "go").load_duration or 0 for name in "aabac"]
        assert [nanoseconds >= 1e8 for nanoseconds in took] == [True, False, True, False, True]
        assert [load.model for load in stage.loads] == ["a:latest", "b:latest", "c:latest"]
        assert stage.loads[-1].evicted == ("b:latest",)
        assert {one.model for one in client.ps().models} == {"a:latest", "c:latest"}
        client.generate("a", keep_alive=0)
        assert [one.model for one in client.ps().models] == ["c:latest"]
        assert len(stage.calls_to("a")) == 4


def test_a_model_waits_for_room_while_every_slot_is_speaking() -> None:
    with Stage(slots=1) as stage:
        stage.model("a", latency=0.3)
        stage.model("b")
        thread = threading.Thread(target=lambda: near(stage, "a").invoke("go"))
        thread.start()
        stage.wait_for(1, started=True)
        near(stage, "b").invoke("go")
        thread.join()
        a, b = stage.calls_to("a")[0], stage.calls_to("b")[0]
        assert a.ended is not None
        assert b.ended is not None
        assert b.ended >= a.ended


def test_embeddings_are_the_same_every_time_and_near_for_shared_words(stage: Stage) -> None:
    stage.model("vectors")
    texts = ["the cat sat", "the cat slept", "tax law"]
    made = sdk(stage).embeddings.create(model="vectors", input=texts).data
    a, b, c = (one.embedding for one in made)
    assert sum(x * y for x, y in zip(a, b, strict=True)) > sum(
        x * y for x, y in zip(a, c, strict=True)
    )
    again = ollama_sdk(stage).embed("vectors", texts).embeddings
    assert list(again[0]) == pytest.approx(a, abs=1e-6)


def test_a_picture_is_a_png(stage: Stage) -> None:
    stage.model("brush", latency=0.05)
    made = sdk(stage).images.generate(model="brush", prompt="a cat", n=2)
    assert made.data is not None
    assert len(made.data) == 2
    assert (made.data[0].b64_json or "").startswith("iVBORw0KGgo")


async def test_a_stage_stays_cheap_when_many_ask_at_once(stage: Stage) -> None:
    import aiohttp

    stage.model("quick", reply="one two three four", latency=1.5)
    body = {"model": "quick", "stream": True, "messages": [{"role": "user", "content": "go"}]}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def once() -> bytes:
            async with session.post(f"{stage.openai_url}/chat/completions", json=body) as response:
                return await response.read()

        answers = await asyncio.gather(*(once() for _ in range(200)))
    assert all(answer.endswith(b"data: [DONE]\n\n") for answer in answers)
    assert stage.overlap() == 200


def test_who_comes_as_it_closes_is_left_with_a_closed_connection() -> None:
    callers: list[socket.socket] = []
    for _ in range(20):
        with Stage() as stage:
            caller = socket.create_connection(("127.0.0.1", stage.port))
            caller.sendall(b"GET /api/tags HTTP/1.1\r\nHost: x\r\n\r\n")
            callers.append(caller)
    for caller in callers:
        caller.settimeout(60)
        with contextlib.suppress(ConnectionResetError):
            while caller.recv(65536):
                pass
        caller.close()


def test_it_runs_as_a_command_that_prints_its_address(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    quick = {"reply": ["41", {"text": "42"}], "faults": [{"kind": "status", "code": 429}]}
    script.write_text(json.dumps({"models": {"quick": quick}}))
    command = [sys.executable, "-m", "mom_council.testing", "--script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            url = running.stdout.readline().strip()
            with openai.OpenAI(base_url=f"{url}/v1", api_key="a-key", max_retries=1) as client:
                answer = client.chat.completions.create(
                    model="quick", messages=[{"role": "user", "content": "go"}]
                )
            assert answer.choices[0].message.content == "42"
        finally:
            running.terminate()
    assert running.returncode == 0


def test_a_picture_counts_as_a_picture_and_not_as_the_letters_of_its_base64() -> None:
    url = "data:image/png;base64," + "A" * 9_000
    picture = {"type": "image_url", "image_url": {"url": url}}
    content = [{"type": "text", "text": "What is it?"}, picture]
    read = [
        Reply("A cat.").tokens({"messages": [{"role": "user", "content": one}]})
        for one in ("What is it?", content)
    ]
    assert read[0] == (3, 2)
    assert read[1] is not None
    assert 300 <= read[1][0] < 400
