"""Every vendor's own protocol: what it is sent, what is heard, what is done when it breaks."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from mom_council.councils.schema import Council
from mom_council.errors import ModelUnavailableError, ProviderNotInstalledError
from mom_council.models.clients import loop_resources
from mom_council.models.providers import open_model
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.testing.media import picture
from mom_council.tests.stage import Call, Fault, Stage
from mom_council.tests.stage import Reply as Line

pytestmark = pytest.mark.slow

VENDORS = ("openai", "responses", "ollama", "anthropic", "mistralai", "deepseek", "cohere")
EACH = pytest.mark.parametrize("vendor", VENDORS)
PNG = base64.b64encode(picture("a dot")).decode()
PICTURE = {"type": "image", "base64": PNG, "mime_type": "image/png"}
QUESTION = [SystemMessage("Be brief."), HumanMessage("What is 6 x 7?")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mom_council.models.retry.FIRST_WAIT", 0.02)


def council(stage: Stage, vendor: str, **more: Any) -> Council:
    """A council of one voice; `responses` is OpenAI's newer interface."""
    spec = {"provider": vendor, "model": "m-1", "base_url": stage.address(vendor), **more}
    if vendor == "responses":
        params = {"use_responses_api": True, **more.get("params", {})}
        spec |= {"provider": "openai", "params": params}
    return Council.model_validate(
        {
            "name": "test",
            "models": {"m": {"timeout": 10, **spec}},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
        }
    )


async def ask(stage: Stage, vendor: str, messages: Any = QUESTION, **more: Any) -> Reply:
    return await speak(resolve_model(council(stage, vendor, **more), "m"), messages)


def asked(call: Call) -> dict[str, Any]:
    """A request's parameters, those that are set, wherever the vendor keeps them."""
    body = {**call.body, **call.body.get("options", {})}
    return {name: value for name, value in body.items() if value not in (None, [])}


# What arrives.

NAMES = {
    "ollama": {"max_tokens": "num_predict"},
    "responses": {"max_tokens": "max_output_tokens"},
    "mistralai": {"seed": "random_seed"},
    "cohere": {"top_p": "p"},
}


@EACH
async def test_the_model_its_parameters_and_its_key_arrive_under_the_vendors_names(
    stage: Stage, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_VENDOR_KEY", "my-own-key-123")
    stage.model("m-1", reply="42")
    params = {"temperature": 0.25, "max_tokens": 77, "seed": 5, "top_p": 0.9, "odd_one": 3}
    await ask(stage, vendor, api_key_env="MY_VENDOR_KEY", params=params)
    [call] = stage.calls
    if vendor == "anthropic":  # knows no seed, and refuses top_p beside a temperature
        assert not {"seed", "top_p"} & {*asked(call)}
        del params["seed"], params["top_p"]
    if vendor == "responses":
        assert "seed" not in asked(call)
        del params["seed"]
    names = NAMES.get(vendor, {})
    for name, value in params.items():
        assert asked(call)[names.get(name, name)] == value
    assert call.model == call.body["model"] == "m-1"
    assert call.body["stream"] is True
    assert call.key_sent == "my-own-key-123"


@EACH
async def test_the_messages_arrive_with_their_picture(stage: Stage, vendor: str) -> None:
    stage.model("m-1", reply="A dot.")
    content: Any = [{"type": "text", "text": "What is shown?"}, PICTURE]
    await ask(stage, vendor, [SystemMessage("Be brief."), HumanMessage(content)], vision=True)
    [call] = stage.calls
    written = json.dumps(call.body)
    assert PNG in written
    for text in ("Be brief.", "What is shown?"):
        assert text in written
    last = (call.body.get("messages") or call.body["input"])[-1]
    assert last["role"] == "user"
    assert PNG in json.dumps(last)


@tool
def weather(city: str) -> str:
    """Say how the weather is in a city."""
    return f"Rain in {city}."


@EACH
async def test_tools_arrive_and_their_calls_come_back(stage: Stage, vendor: str) -> None:
    called = {"name": "weather", "args": {"city": "Bergen"}, "id": "abcdefghi"}
    stage.model("m-1", reply=[Line("", tool_calls=[called]), "It rains."])
    spec = council(stage, vendor).models["m"]
    chat = (await open_model(await loop_resources(), spec)).bind_tools([weather])
    whole: Any = None
    async for chunk in chat.astream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    [call] = whole.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Bergen"})
    if vendor != "ollama":  # which has no ids
        assert call["id"] == "abcdefghi"
    defined = json.dumps(stage.calls[0].body["tools"])
    for part in ('"weather"', "how the weather is", '"city"'):
        assert part in defined
    result = ToolMessage("Rain in Bergen.", tool_call_id=call["id"])
    said = "".join([c.text async for c in chat.astream([*QUESTION, whole, result])])
    assert said == "It rains."
    assert "Rain in Bergen." in json.dumps(stage.calls[1].body)


async def test_an_older_interface_of_anthropic_is_asked_where_a_temperature_is_set(
    stage: Stage,
) -> None:
    stage.model("m-1", reply="42")
    await ask(stage, "anthropic", params={"temperature": 0})
    await ask(stage, "anthropic")
    sampled, plain = [call.headers["anthropic-version"] for call in stage.calls]
    assert sampled == "2023-06-01" < plain


@pytest.mark.parametrize("vendor", ["openai", "responses", "ollama", "anthropic", "mistralai"])
@pytest.mark.parametrize("said", ['{"choice": "A"}', '{"choice": '], ids=["whole", "cut"])
async def test_a_schema_arrives_and_the_reply_comes_back_as_it_is(
    stage: Stage, vendor: str, said: str
) -> None:
    stage.model("m-1", reply=said)
    fields = {"choice": {"type": "string"}}
    schema = {
        "title": "Vote",
        "type": "object",
        "properties": fields,
        "required": ["choice"],
        "additionalProperties": False,
    }
    reply = await speak(resolve_model(council(stage, vendor), "m"), QUESTION, schema=schema)
    assert (reply.text, reply.usage.calls) == (said, 1)
    assert '"choice": {"type": "string"}' in json.dumps(stage.calls[0].body)


# What is heard.


@EACH
async def test_the_answer_is_streamed_and_counted(stage: Stage, vendor: str) -> None:
    stage.model("m-1", reply=Line("It is 42, I think.", usage=(11, 4)), latency=0.6)
    heard: list[str] = []
    here = council(stage, vendor, price={"input": 1, "output": 10})
    reply = await speak(
        resolve_model(here, "m"), QUESTION, on_text=lambda piece, _: heard.append(piece)
    )
    assert (reply.text, reply.finish, reply.reasoning) == ("It is 42, I think.", "stop", "")
    assert "".join(heard) == reply.text
    assert len(heard) > 1
    usage = reply.usage
    assert (usage.calls, usage.input_tokens, usage.output_tokens) == (1, 11, 4)
    assert usage.usd == pytest.approx(51e-6)


@EACH
async def test_the_vendors_own_thoughts_are_kept_apart(stage: Stage, vendor: str) -> None:
    stage.model("m-1", reply=Line("It is 42.", reasoning="Six sevens are"))
    reply = await ask(stage, vendor)
    assert (reply.text, reply.reasoning) == ("It is 42.", "Six sevens are")


@EACH
@pytest.mark.parametrize("opening", ["field", "block"])
async def test_thoughts_alone_are_no_answer(stage: Stage, vendor: str, opening: str) -> None:
    field = Line("", reasoning="Answer: 42")
    stage.model("m-1", reply=field if opening == "field" else "<think>Answer: 42</think>")
    reply = await ask(stage, vendor)
    assert (reply.text, reply.reasoning, reply.usage.calls) == ("", "Answer: 42", 1)


@EACH
@pytest.mark.parametrize("opening", ["<think>", ""], ids=["block", "closing tag alone"])
async def test_thoughts_in_the_text_are_kept_apart(stage: Stage, vendor: str, opening: str) -> None:
    stage.model("m-1", reply=f"{opening}Six sevens are</think>\nIt is 42.")
    reply = await ask(stage, vendor)
    assert (reply.text, reply.reasoning) == ("It is 42.", "Six sevens are")


@EACH
async def test_an_answer_at_its_length_limit_says_so(stage: Stage, vendor: str) -> None:
    stage.model("m-1", reply="one two three four", faults=[Fault.length()])
    assert (await ask(stage, vendor)).finish == "length"


@pytest.mark.parametrize(
    "vendor", ["openai", "responses", "anthropic", "mistralai", "deepseek", "cohere"]
)
async def test_a_filtered_answer_says_so(stage: Stage, vendor: str) -> None:
    stage.model("m-1", faults=[Fault.content_filter()])
    reply = await ask(stage, vendor)
    assert (reply.text, reply.finish) == ("", "refused" if vendor == "anthropic" else "filtered")


# What breaks.


@EACH
@pytest.mark.parametrize(
    "fault",
    [
        Fault.reset(after=2),
        Fault.truncated(after=2),
        Fault.error_in_stream(after=2),
        Fault.malformed(after=2),
        Fault.stall(after=2),
    ],
    ids=lambda fault: fault.kind,
)
async def test_a_stream_that_broke_midway_keeps_its_text(
    stage: Stage, vendor: str, fault: Fault
) -> None:
    stage.model("m-1", reply="one two three four", faults=[fault])
    reply = await ask(stage, vendor, timeout=2 if fault.kind == "stall" else 10)
    assert (reply.text, reply.finish) == ("one two ", "broken")
    assert reply.detail == reply.attempts[-1].error
    assert len(stage.calls) == reply.usage.calls == 1


@EACH
@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(429, retry_after=0.01),
        Fault.status(500),
        Fault.bad_gateway(),
        Fault.reset(),
        Fault.garbage(),
        Fault.malformed(),
        Fault.truncated(after=0),
        Fault.error_in_stream(after=0),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_what_may_pass_is_tried_again_by_us_alone(
    stage: Stage, vendor: str, fault: Fault
) -> None:
    stage.model("m-1", reply="42", faults=[fault])
    reply = await ask(stage, vendor)
    assert (reply.text, reply.finish) == ("42", "stop")
    assert len(stage.calls) == reply.usage.calls == 2


@EACH
@pytest.mark.parametrize("status", [400, 401, 402, 404])
async def test_a_definite_no_is_told_in_the_vendors_words_and_not_tried_again(
    stage: Stage, vendor: str, status: int
) -> None:
    stage.model("m-1", always=Fault.status(status, message="Not with us."))
    with pytest.raises(ModelUnavailableError) as caught:
        await ask(stage, vendor)
    told = str(caught.value)
    assert len(stage.calls) == 1
    assert f"HTTP {status}" in told or "`ollama pull m-1`" in told
    assert "Not with us." in told or "`ollama pull m-1`" in told
    assert "{" not in told


@EACH
async def test_cancelling_hangs_up_on_the_vendor(stage: Stage, vendor: str) -> None:
    stage.model("m-1", reply="one two three four", first_token=0.05, latency=30)
    begun = asyncio.Event()
    speaking = speak(
        resolve_model(council(stage, vendor), "m"), QUESTION, on_text=lambda *_: begun.set()
    )
    task = asyncio.create_task(speaking)
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stage.wait_for(1)[0].outcome == "client_left"


# Keys.

KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "cohere": "COHERE_API_KEY",
}


@pytest.mark.parametrize("vendor", KEYS)
async def test_a_vendors_key_and_headers_do_not_go_to_another_address(
    stage: Stage, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*KEYS.values(), "CO_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "sk-environment-1234")
    for name in ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "X-Mine: sk-custom-1234")
    stage.model("m-1", reply="42")
    await ask(stage, vendor)
    [call] = stage.calls
    assert call.key_sent in (None, "none")
    assert "x-mine" not in call.headers
    assert "sk-environment-1234" not in json.dumps([dict(call.headers), call.body])


@pytest.mark.parametrize("vendor", KEYS)
async def test_a_missing_key_is_one_line_that_names_its_variable(stage: Stage, vendor: str) -> None:
    home: Any = {"base_url": None}
    with pytest.raises(ProviderNotInstalledError) as caught:
        await ask(stage, vendor, **home)
    told = str(caught.value)
    assert f"set the environment variable {KEYS[vendor]!r}" in told
    assert "\n" not in told
