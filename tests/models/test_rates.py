"""No minute holds more requests, or more tokens, than a lane allows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Council
from mom_council.models.clients import loop_resources
from mom_council.models.lanes import Lane, RateWindow, open_lane
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import speak
from mom_council.tests.stage import Fault, Reply, Stage

ASKS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=25)


@given(ASKS, st.integers(1, 4), st.integers(20, 60))
def test_no_window_holds_more_than_is_allowed(asks, requests, tokens):
    allowance, now = RateWindow(requests, tokens), 0.0
    sent: list[tuple[float, int]] = []
    for pause, size in asks:
        now += pause
        size = min(size, tokens)
        now += allowance.wait(size, now)
        assert allowance.wait(size, now) == 0
        allowance.send(size, now)
        sent.append((now, size))
        window = [tokens_ for at, tokens_ in sent if now - 60 < at <= now]
        assert len(window) <= requests
        assert sum(window) <= tokens


def test_what_was_estimated_is_put_right():
    allowance = RateWindow(None, 100)
    sent = allowance.send(90, 0.0)
    assert allowance.wait(50, 1.0) == 59.0
    sent.tokens = 10
    assert allowance.wait(50, 1.0) == 0


def test_a_request_larger_than_the_limit_goes_alone():
    allowance = RateWindow(None, 100)
    assert allowance.wait(5000, 0.0) == 0
    allowance.send(5000, 0.0)
    assert allowance.wait(1, 10.0) == 50.0


def council(stage: Stage, **lane: Any) -> Council:
    voice = {"provider": "openai", "base_url": stage.openai_url, "lane": "vendor", "timeout": 5}
    return Council.model_validate(
        {
            "name": "test",
            "models": {"m": {**voice, "model": "m"}, "n": {**voice, "model": "n"}},
            "lanes": {"vendor": lane},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
        }
    )


async def lane(sitting: Council, period: float) -> Lane:
    """The lane of the council, whose minute is short."""
    found = open_lane((await loop_resources()).lanes, resolve_model(sitting, "m").lane)
    assert found is not None
    assert found.allowance is not None
    found.allowance.period = period
    return found


async def test_models_of_one_key_share_its_requests_a_minute(stage):
    stage.model("m", "ok"), stage.model("n", "ok")
    sitting = council(stage, rpm=2)
    await lane(sitting, 0.4)
    told: list[tuple[str, float]] = []
    replies = await asyncio.gather(
        *(
            speak(
                resolve_model(sitting, key),
                [HumanMessage("?")],
                on_wait=lambda *waits: told.append(waits),
            )
            for key in "mnmnm"
        )
    )
    came = [call.started for call in stage.calls]
    assert all(later - first >= 0.35 for first, later in zip(came, came[2:], strict=False))
    assert {name for name, _ in told} == {"vendor"}
    assert sorted(call.model for call in stage.calls) == list("mmmnn")
    assert all(reply.usage.seconds < 0.35 for reply in replies), "waiting is not the model's time"


async def test_who_comes_first_goes_first():
    held, went = Lane(allowance=RateWindow(1, None, period=0.02)), []

    async def go(number: int) -> None:
        await held.admit(1, None)
        went.append(number)

    await asyncio.gather(*map(go, range(6)))
    assert went == [*range(6)]


async def test_a_retry_is_a_request_too(stage, monkeypatch):
    monkeypatch.setattr("mom_council.models.retry.FIRST_WAIT", 0.001)
    stage.model("m", "ok", faults=[Fault.status(500)])
    sitting = council(stage, rpm=1)
    await lane(sitting, 0.3)
    await speak(resolve_model(sitting, "m"), [HumanMessage("?")])
    first, second = stage.calls
    assert second.started - first.started >= 0.28


async def test_tokens_are_counted_as_the_answers_tell(stage):
    stage.model("m", Reply("ok", usage=(30, 40)))
    sitting = council(stage, tpm=1000)
    allowance = (await lane(sitting, 60)).allowance
    await speak(resolve_model(sitting, "m"), [HumanMessage("?")])
    assert allowance is not None
    assert allowance.wait(930, asyncio.get_running_loop().time()) == 0
    assert allowance.wait(931, asyncio.get_running_loop().time()) > 50


async def test_who_is_cancelled_while_waiting_leaves_the_others_their_place(stage):
    stage.model("m", "ok")
    sitting = council(stage, rpm=1)
    held = await lane(sitting, 0.3)
    waiting = asyncio.Event()
    await speak(resolve_model(sitting, "m"), [HumanMessage("?")])
    second, third = (
        asyncio.create_task(
            speak(
                resolve_model(sitting, "m"), [HumanMessage(text)], on_wait=lambda *_: waiting.set()
            )
        )
        for text in ("second", "third")
    )
    await waiting.wait()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await third
    assert len(stage.calls) == 2
    assert held.allowance is not None


@pytest.fixture
def stage():
    with Stage() as stage:
        yield stage
