"""What `speak` does about models that are slow, broken, rude or gone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import HumanMessage, SystemMessage

from mom_council.councils.schema import Council
from mom_council.errors import (
    CouncilError,
    ModelUnavailableError,
    ProviderNotInstalledError,
    UnknownNameError,
)
from mom_council.models.clients import close_loop_resources
from mom_council.models.journal import CallRecord
from mom_council.models.providers import chat_completions
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.tests.stage import Fault, Stage
from mom_council.tests.stage import Reply as Line

pytestmark = pytest.mark.slow

QUESTION = [SystemMessage("Be brief."), HumanMessage("What is 6 x 7?")]
SCHEMA = {"title": "Vote", "type": "object", "properties": {"choice": {"type": "string"}}}
BOTH = pytest.mark.parametrize("provider", ["openai", "ollama"])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No key of this machine takes part, and a retry does not take half a second."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_ORG_ID", "_TOKEN")) or name.startswith("OPENAI_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("mom_council.models.retry.FIRST_WAIT", 0.02)


@pytest.fixture
def stage():
    with Stage() as stage:
        yield stage


def council(**models: dict[str, Any]) -> Council:
    first = next(iter(models))
    return Council.model_validate(
        {
            "name": "test",
            "models": models,
            "characters": [{"name": "A", "model": first}],
            "synthesizer": {"model": first},
        }
    )


def voice(stage: Stage, provider: str = "openai", model: str = "m", **more: Any) -> dict[str, Any]:
    url = stage.ollama_url if provider == "ollama" else stage.openai_url
    return {"provider": provider, "model": model, "base_url": url, **more}


async def ask(stage: Stage, provider: str = "openai", **more: Any) -> Reply:
    calling = {name: more.pop(name) for name in ("on_text", "schema", "params") if name in more}
    return await speak(
        resolve_model(council(m=voice(stage, provider, **more)), "m"), QUESTION, **calling
    )


# What is sent, what comes back.


DOCUMENT = {"type": "file", "file": {"filename": "b.pdf", "file_data": "data:application/pdf;,"}}


@pytest.mark.parametrize(
    ("content", "schema", "needs"),
    [
        ("What is 6 x 7?", None, []),
        ("What is 6 x 7?", SCHEMA, []),
        ([{"type": "text", "text": "What stands in it?"}, DOCUMENT], None, ["library"]),
    ],
)
async def test_a_library_is_imported_before_the_time_of_a_call_begins(
    stage, monkeypatch, content, schema, needs
):
    steps: list[str] = []
    load = chat_completions._open_langchain

    def open_library(opening):
        steps.append("library")
        return load(opening)

    async def write(_: int, line: Any) -> None:
        steps.append("reply" if line.get("result") else "request")

    monkeypatch.setattr(chat_completions, "_open_langchain", open_library)
    stage.model("m", reply='{"choice": "42"}')
    model = resolve_model(council(m=voice(stage, files=["pdf"])), "m")
    messages = [HumanMessage(content)]
    await speak(model, messages, schema=schema, record=CallRecord(write))
    assert steps == [*needs, "request", "reply"]


@BOTH
async def test_the_answer_is_streamed_whole_and_counted(stage, provider):
    stage.model("m", reply=Line("It is 42.", usage=(11, 4)), latency=0.6)
    heard = []
    reply = await ask(
        stage,
        provider,
        price={"input": 1.0, "output": 10.0},
        on_text=lambda piece, thought: heard.append((piece, thought)),
    )
    assert (reply.text, reply.model, reply.finish, reply.reasoning) == (
        "It is 42.",
        "m",
        "stop",
        "",
    )
    assert "".join(piece for piece, _ in heard) == "It is 42."
    assert len(heard) > 1
    assert (reply.usage.calls, reply.usage.input_tokens, reply.usage.output_tokens) == (1, 11, 4)
    assert reply.usage.usd == pytest.approx(51e-6)
    assert 0 < reply.first_token <= reply.usage.seconds
    assert [(one.model, one.error) for one in reply.attempts] == [("m", None)]
    [call] = stage.calls
    assert call.body["stream"] is True
    assert [one["role"] for one in call.body["messages"]] == ["system", "user"]


@BOTH
async def test_what_is_not_told_is_unknown_and_not_zero(stage, provider):
    stage.model("m", reply=Line("42", usage=None))
    usage = (await ask(stage, provider, price={"input": 1, "output": 1})).usage
    assert (usage.calls, usage.input_tokens, usage.output_tokens, usage.usd) == (
        1,
        None,
        None,
        None,
    )


async def test_parameters_reach_an_openai_server_unknown_ones_too(stage):
    stage.model("m")
    params = {"temperature": 0.3, "max_tokens": 7, "min_p": 0.1, "seed": 5}
    await speak(
        resolve_model(council(m=voice(stage, params=params)), "m"),
        QUESTION,
        params={"temperature": 0.9},
    )
    body = stage.calls[0].body
    assert (body["temperature"], body["max_tokens"], body["min_p"], body["seed"]) == (
        0.9,
        7,
        0.1,
        5,
    )
    assert "max_completion_tokens" not in body


async def test_parameters_reach_ollama_under_its_own_names(stage):
    stage.model("m")
    spec = voice(stage, "ollama", context=2048, params={"max_tokens": 7, "min_p": 0.1})
    await speak(resolve_model(council(m=spec), "m"), QUESTION, params={"temperature": 0.9})
    body = stage.calls[0].body
    assert body["options"] == {"num_predict": 7, "num_ctx": 2048, "min_p": 0.1, "temperature": 0.9}
    assert "think" not in body


@BOTH
async def test_a_schema_is_sent_in_the_providers_own_way(stage, provider):
    stage.model("m", reply='{"choice": "A"}')
    reply = await ask(stage, provider, schema=SCHEMA)
    assert reply.text == '{"choice": "A"}'
    body = stage.calls[0].body
    if provider == "ollama":
        assert body["format"] == SCHEMA
    else:
        wanted = {"name": "Vote", "schema": SCHEMA, "strict": True}
        assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}


@BOTH
async def test_a_model_that_is_asked_only_in_words_gets_no_schema(stage, provider):
    stage.model("m")
    await ask(stage, provider, schema=SCHEMA, structured="text")
    assert not {"format", "response_format"} & {
        name for name, value in stage.calls[0].body.items() if value
    }


async def test_a_server_that_refuses_the_schema_is_asked_without_it_and_remembered(stage):
    stage.model("plain-one", reply="A", faults=[Fault.status(400)])
    reply = await ask(stage, model="plain-one", schema=SCHEMA, retries=0)
    assert (reply.text, reply.usage.calls) == ("A", 2)
    assert [one.status for one in reply.attempts] == [400, None]
    await ask(stage, model="plain-one", schema=SCHEMA)
    assert ["response_format" in call.body for call in stage.calls] == [True, False, False]


async def test_a_400_that_has_another_cause_blames_no_schema(stage):
    stage.model("strict-one", reply="A", faults=[Fault.status(400), Fault.status(400)])
    with pytest.raises(ModelUnavailableError):
        await ask(stage, model="strict-one", schema=SCHEMA)
    await ask(stage, model="strict-one", schema=SCHEMA)
    assert ["response_format" in call.body for call in stage.calls] == [True, False, True]


@BOTH
async def test_thoughts_in_their_own_field_are_kept_apart(stage, provider):
    stage.model("m", reply=Line("42", reasoning="six sevens are"))
    heard = []
    reply = await ask(stage, provider, on_text=lambda *piece: heard.append(piece))
    assert (reply.text, reply.reasoning) == ("42", "six sevens are")
    assert "".join(piece for piece, thought in heard if thought) == "six sevens are"


@BOTH
async def test_thoughts_in_the_text_are_kept_apart(stage, provider):
    pieces = ["<th", "ink>six ", "sevens</", "think>", "\n\n4", "2"]
    stage.model("m", reply=Line("".join(pieces), chunks=pieces))
    reply = await ask(stage, provider)
    assert (reply.text, reply.reasoning) == ("42", "six sevens")


# What goes wrong: fault -> outcome, exact number of requests.


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(429),
        Fault.status(408),
        Fault.status(500),
        Fault.status(503),
        Fault.bad_gateway(),
        Fault.reset(),
        Fault.garbage(),
        Fault.malformed(),
        Fault.truncated(after=0),
        Fault.error_in_stream(after=0),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_what_may_pass_is_tried_again(stage, provider, fault):
    stage.model("m", reply="42", faults=[fault])
    reply = await ask(stage, provider)
    assert (reply.text, reply.finish) == ("42", "stop")
    assert len(stage.calls) == reply.usage.calls == 2
    assert reply.attempts[0].error
    assert reply.attempts[1].error is None


@BOTH
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
async def test_what_will_not_pass_is_not_tried_again(stage, provider, status):
    stage.model("m", reply="42", always=Fault.status(status))
    with pytest.raises(ModelUnavailableError) as caught:
        await ask(stage, provider)
    assert len(stage.calls) == 1
    assert [one.status for one in caught.value.attempts] == [status]


@BOTH
async def test_retries_end(stage, provider):
    stage.model("m", always=Fault.status(503))
    with pytest.raises(ModelUnavailableError, match="HTTP 503, the server is overloaded") as caught:
        await ask(stage, provider, retries=3)
    assert str(caught.value).count("'m'") == 1, "it is named once"
    assert len(stage.calls) == len(caught.value.attempts) == 4


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        Fault.reset(after=2),
        Fault.truncated(after=2),
        Fault.error_in_stream(after=2),
        Fault.malformed(after=2),
    ],
    ids=lambda fault: fault.kind,
)
async def test_text_that_broke_off_is_kept_and_not_paid_twice(stage, provider, fault):
    stage.model("m", reply="one two three four", faults=[fault])
    reply = await ask(stage, provider)
    assert (reply.text, reply.finish) == ("one two ", "broken")
    assert reply.detail == reply.attempts[-1].error
    assert len(stage.calls) == 1


async def test_a_quota_that_is_used_up_is_not_waited_for(stage):
    stage.model("m", always=Fault.status(429, error="insufficient_quota"))
    with pytest.raises(ModelUnavailableError, match="quota is used up"):
        await ask(stage)
    assert len(stage.calls) == 1


@BOTH
async def test_retry_after_is_honoured(stage, provider):
    stage.model("m", faults=[Fault.status(429, retry_after=0.3)])
    await ask(stage, provider)
    first, second = stage.calls
    assert 0.29 < second.started - first.ended < 3


@BOTH
async def test_nobody_waits_beyond_the_models_own_time(stage, provider):
    stage.model("m", always=Fault.status(429, retry_after=30))
    began = time.monotonic()
    with pytest.raises(ModelUnavailableError):
        await ask(stage, provider, timeout=5)
    assert time.monotonic() - began < 4.5
    assert len(stage.calls) == 1


@BOTH
@pytest.mark.parametrize("fault", [Fault.empty(), Fault.null()], ids=lambda fault: fault.kind)
async def test_an_empty_answer_is_an_answer(stage, provider, fault):
    stage.model("m", reply="42", faults=[fault])
    reply = await ask(stage, provider)
    assert (reply.text, reply.finish, reply.usage.calls) == ("", "stop", 1)


async def test_refusals_and_filters_are_told_apart(stage):
    stage.model(
        "m", reply="42", faults=[Fault.refusal("I would rather not."), Fault.content_filter()]
    )
    refused, filtered = await ask(stage), await ask(stage)
    assert (refused.text, refused.finish, refused.detail) == ("", "refused", "I would rather not.")
    assert (filtered.text, filtered.finish) == ("", "filtered")


@BOTH
async def test_a_cut_answer_says_so(stage, provider):
    stage.model("m", reply="one two three four", faults=[Fault.length()])
    assert (await ask(stage, provider)).finish == "length"


# Time.


@BOTH
async def test_a_model_that_never_answers_is_given_up_and_hung_up_on(stage, provider):
    stage.model("m", always=Fault.hang())
    with pytest.raises(ModelUnavailableError, match=r"no answer in 0\.3 s") as caught:
        await ask(stage, provider, timeout=0.3)
    assert caught.value.attempts[-1].timed_out
    [call] = await asyncio.to_thread(stage.wait_for, 1)
    assert call.outcome == "client_left"


@BOTH
async def test_a_slow_start_has_a_limit_of_its_own(stage, provider):
    stage.model("m", first_token=5, latency=6)
    with pytest.raises(ModelUnavailableError, match=r"no first token in 0\.2 s") as caught:
        await ask(stage, provider, first_token=0.2, timeout=60)
    assert caught.value.attempts[-1].timed_out
    assert len(await asyncio.to_thread(stage.wait_for, 1)) == 1


@BOTH
async def test_a_long_answer_may_take_longer_than_its_first_token(stage, provider):
    stage.model("m", reply="one two three four", first_token=0.1, latency=0.8)
    reply = await ask(stage, provider, first_token=0.4)
    assert (reply.text, reply.finish) == ("one two three four", "stop")
    assert reply.first_token < 0.4


@BOTH
async def test_text_that_stalls_is_kept(stage, provider):
    stage.model("m", reply="one two three four", faults=[Fault.stall(after=2)])
    reply = await ask(stage, provider, timeout=0.4)
    assert (reply.text, reply.finish) == ("one two ", "broken")
    assert reply.detail == "no end of the answer in 0.4 s"
    assert (await asyncio.to_thread(stage.wait_for, 1))[0].outcome == "client_left"


@BOTH
async def test_cancelling_hangs_up_at_once(stage, provider):
    stage.model("m", reply="one two three four", first_token=0.05, latency=20)
    begun = asyncio.Event()
    task = asyncio.create_task(ask(stage, provider, on_text=lambda *_: begun.set()))
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [call] = stage.wait_for(1, timeout=1)
    assert call.outcome == "client_left"


async def test_an_error_of_the_listeners_own_is_not_the_models_fault(stage):
    stage.model("m", reply="one two three four")

    def listen(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask(stage, on_text=listen)
    assert len(stage.calls) == 1


async def test_not_even_at_the_very_end(stage):
    stage.model("m", reply="ends in </thi")

    def listen(piece, _):
        if "<" in piece:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask(stage, on_text=listen)


# Fallbacks.


async def test_fallbacks_are_asked_in_order_each_once(stage):
    for name in "abc":
        stage.model(name, always=Fault.status(500))
    stage.model("d", reply="42")
    models = {
        "a": voice(stage, model="a", retries=0, fallbacks=["b", "d"]),
        "b": voice(stage, "ollama", model="b", retries=1, fallbacks=["c", "a"]),
        "c": voice(stage, model="c", retries=0),
        "d": voice(stage, model="d"),
    }
    reply = await speak(resolve_model(council(**models), "a"), QUESTION)
    assert (reply.text, reply.model) == ("42", "d")
    assert [call.model for call in stage.calls] == ["a", "b", "b", "c", "d"]
    assert [one.model for one in reply.attempts] == ["a", "b", "b", "c", "d"]
    assert reply.usage.calls == 5
    assert reply.first_token <= reply.usage.seconds


async def test_when_all_fail_the_error_names_each_and_why(stage):
    stage.model("a", always=Fault.status(503))
    models = {
        "a": voice(stage, model="a", retries=1, fallbacks=["b"]),
        "b": voice(stage, "ollama", model="not-pulled"),
    }
    with pytest.raises(ModelUnavailableError) as caught:
        await speak(resolve_model(council(**models), "a"), QUESTION)
    told = str(caught.value)
    assert "'a': HTTP 503" in told
    assert "after 2 tries" in told
    assert "`ollama pull not-pulled`" in told


async def test_nobody_at_the_address_is_said_plainly():
    for provider in ("openai", "ollama"):
        spec = {"provider": provider, "model": "m", "base_url": "http://127.0.0.1:9"}
        with pytest.raises(
            ModelUnavailableError, match=r"connection refused at http://127.0.0.1:9"
        ):
            await speak(resolve_model(council(m=spec), "m"), QUESTION)


async def test_a_model_that_cannot_be_opened_is_passed_over(stage, monkeypatch):
    stage.model("m", reply="42")
    near = voice(stage)
    far = {"provider": "openai", "model": "x", "api_key_env": "NOT_SET", "fallbacks": ["near"]}
    reply = await speak(resolve_model(council(far=far, near=near), "far"), QUESTION)
    assert (reply.model, reply.usage.calls) == ("near", 1)
    assert "'NOT_SET'" in reply.attempts[0].error


async def test_when_none_can_be_opened_the_error_says_what_to_do():
    far = {"provider": "openai", "model": "x"}
    with pytest.raises(ProviderNotInstalledError, match="OPENAI_API_KEY"):
        await speak(resolve_model(council(far=far), "far"), QUESTION)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", "hot"), ("top_p", [1]), ("frequency_penalty", {"by": 1})),
        *(("max_tokens", "many"), ("seed", 1.5), ("stop", 3), ("stop", ["a", 3])),
    ],
)
async def test_a_voice_that_is_written_wrongly_is_passed_over_or_told(stage, name, value):
    stage.model("m", reply="42")
    models = {
        "odd": voice(stage, params={name: value}, fallbacks=["m"]),
        "lost": {"provider": "embedded", "model": "no-such-weights"},
        "m": voice(stage),
    }
    reply = await speak(resolve_model(council(**models), "odd"), QUESTION)
    assert reply.model == "m"
    assert name in reply.attempts[0].error
    assert len(stage.calls) == 1
    with pytest.raises(CouncilError, match="no-such-weights"):
        await speak(resolve_model(council(**models), "lost"), QUESTION)


async def test_a_name_that_stands_for_no_model_is_refused(stage):
    with pytest.raises(UnknownNameError, match="'other'"):
        await speak(resolve_model(council(m=voice(stage)), "other"), QUESTION)


# Keys.


@BOTH
async def test_a_key_goes_to_its_owner_and_to_nobody_else(stage, provider, monkeypatch):
    monkeypatch.setenv("FIRST_KEY", "first-key-123456")
    for name in ("OPENAI_API_KEY", "OLLAMA_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "sk-environment-1234")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: sk-custom-1234")
    stage.model("a", always=Fault.status(500))
    stage.model("b", reply="42")
    models = {
        "a": voice(stage, provider, "a", retries=0, api_key_env="FIRST_KEY", fallbacks=["b"]),
        "b": voice(stage, provider, "b"),
    }
    await speak(resolve_model(council(**models), "a"), QUESTION)
    first, second = stage.calls
    assert first.key_sent == "first-key-123456"
    assert second.key_sent in (None, "none")
    for call in (first, second):
        assert not {"openai-organization", "openai-project", "x-mine"} & set(call.headers)


async def test_no_key_shows_in_an_error(stage, monkeypatch):
    monkeypatch.setenv("FAR_KEY", "quite-secret-value")
    said = "bad key quite-secret-value, or sk-abcdefghijkl1234"
    stage.model("m", always=Fault.status(401, message=said))
    with pytest.raises(ModelUnavailableError) as caught:
        await ask(stage, api_key_env="FAR_KEY")
    told = str(caught.value) + repr(caught.value.attempts)
    assert "quite-secret" not in told
    assert "abcdefghijkl" not in told
    assert "HTTP 401, the key was not accepted" in told


# Sharing.


async def test_a_lane_takes_as_many_as_it_is_wide_and_waiting_costs_no_time(stage):
    stage.model("a", latency=0.3)
    stage.model("b", latency=0.3)
    both = council(
        a=voice(stage, model="a", lane="gpu", concurrency=1, timeout=0.6),
        b=voice(stage, model="b", lane="gpu", timeout=0.6),
    )
    replies = await asyncio.gather(*(speak(resolve_model(both, key), QUESTION) for key in "abab"))
    assert [reply.finish for reply in replies] == ["stop"] * 4
    assert stage.overlap() == 1
    assert max(reply.usage.seconds for reply in replies) < 0.6


@BOTH
async def test_more_than_a_hundred_speak_at_once(stage, provider):
    stage.model("m", latency=1.5)
    await ask(stage, provider)
    stage.clear()
    await asyncio.gather(*(ask(stage, provider) for _ in range(150)))
    assert stage.overlap() == 150


@BOTH
def test_a_second_event_loop_works_like_the_first(stage, provider):
    stage.model("m", reply="42")
    for _ in range(3):
        assert asyncio.run(ask(stage, provider)).text == "42"


async def test_closed_voices_open_again(stage):
    stage.model("m", reply="42")
    for _ in range(2):
        assert (await ask(stage)).text == "42"
        await close_loop_resources()


async def test_the_callers_callbacks_see_the_call(stage):
    class Watch(AsyncCallbackHandler):
        started = 0

        async def on_chat_model_start(self, *_: Any, **more: Any) -> None:
            self.started += 1
            self.tags = more["tags"]

    stage.model("m", reply="42")
    watch = Watch()
    spec = council(m=voice(stage))
    await speak(resolve_model(spec, "m"), QUESTION, config={"callbacks": [watch], "tags": ["mine"]})
    assert (watch.started, watch.tags) == (1, ["mine"])


async def test_the_shipped_models_speak_without_a_server():
    spec = {"provider": "embedded", "model": "tiny-1", "params": {"max_tokens": 8}}
    reply = await speak(resolve_model(council(m=spec), "m"), [HumanMessage("2 + 2 =")])
    assert reply.finish in ("stop", "length")
    assert reply.usage.output_tokens


@pytest.mark.slow
def test_importing_it_loads_no_provider():
    code = (
        "import sys; import mom_council.models.speaking; "
        "print([m for m in ('openai', 'ollama', 'aiohttp', 'langchain') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
