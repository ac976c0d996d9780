"""A model that keeps failing is left alone for a while, and comes back by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Council, Model
from mom_council.errors import ModelUnavailableError
from mom_council.models.resolved import resolve_model
from mom_council.models.retry import Breaker, Failure, breaker_of
from mom_council.models.speaking import Reply, speak
from mom_council.tests.graph.desk import ask as ask_all
from mom_council.tests.graph.desk import desk, seat, voice
from mom_council.tests.stage import Fault, Stage

DOWN = Failure("HTTP 503, the server is overloaded", 503, again=True)
LATE = Failure("no answer in 5 s", late=True)
NO = Failure("HTTP 401, the key was not accepted", 401)


def model(**more: Any) -> Model:
    return Model.model_validate({"provider": "openai", "model": "m", **more})


TWICE = model(breaker={"after": 2, "pause": 10})


def opened() -> Breaker:
    """A breaker that two failures opened at the time 100, until 110."""
    breaker = Breaker()
    breaker.note(DOWN, TWICE, 90)
    assert breaker.refusal(TWICE, 95) is None
    breaker.note(LATE, TWICE, 100)
    return breaker


def test_so_many_failures_in_a_row_open_it_and_it_says_which_and_until_when() -> None:
    told = opened().refusal(TWICE, 104)
    assert told == (
        "not asked, for its last 2 calls failed (no answer in 5 s); it is tried again in 6.0 s"
    )


def test_after_the_pause_one_call_is_let_through_and_the_others_wait_for_it() -> None:
    breaker = opened()
    assert breaker.refusal(TWICE, 110) is None
    assert breaker.refusal(TWICE, 110) is not None


def test_an_answer_closes_it() -> None:
    breaker = opened()
    assert breaker.refusal(TWICE, 110) is None
    breaker.note(None, TWICE, 111)
    assert [breaker.refusal(TWICE, 111) for _ in range(3)] == [None] * 3


def test_another_failure_opens_it_for_another_pause() -> None:
    breaker = opened()
    assert breaker.refusal(TWICE, 110) is None
    breaker.note(DOWN, TWICE, 112)
    assert breaker.refusal(TWICE, 121) is not None
    assert breaker.refusal(TWICE, 122) is None


def test_a_call_that_was_cancelled_keeps_it_open_for_one_more_pause_only() -> None:
    breaker = opened()
    assert breaker.refusal(TWICE, 110) is None  # and nothing is heard of it again
    assert breaker.refusal(TWICE, 119) is not None
    assert breaker.refusal(TWICE, 120) is None


@pytest.mark.parametrize("end", [NO, None])
def test_a_definite_word_of_the_server_ends_the_row(end: Failure | None) -> None:
    breaker = Breaker()
    for failure in (DOWN, end, DOWN):
        breaker.note(failure, TWICE, 0)
    assert breaker.refusal(TWICE, 0) is None


def test_a_voice_without_one_is_always_asked() -> None:
    always = model(breaker=None)
    breaker = Breaker()
    for _ in range(50):
        breaker.note(DOWN, always, 0)
    assert breaker.refusal(always, 0) is None


def test_voices_share_one_where_they_ask_the_same_model_with_the_same_key() -> None:
    breakers: dict[Any, Breaker] = {}
    one = breaker_of(breakers, model())
    assert breaker_of(breakers, model(timeout=5, params={"seed": 1})) is one
    for other in ({"api_key_env": "MY_KEY"}, {"model": "n"}, {"base_url": "http://127.0.0.1:9"}):
        assert breaker_of(breakers, model(**other)) is not one


# On the stage.


def council(stage: Stage, pause: float = 30, **changes: Any) -> Council:
    first = voice(stage, "m", breaker={"after": 2, "pause": pause}, **changes)
    return Council.model_validate(
        {
            "name": "test",
            "models": {"m": first, "spare": voice(stage, "spare")},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
        }
    )


async def ask(council: Council) -> Reply:
    return await speak(resolve_model(council, "m"), [HumanMessage("What is 6 x 7?")])


async def test_an_open_breaker_sends_no_request_and_costs_no_call(stage: Stage) -> None:
    stage.model("m", always=Fault.status(503))
    for _ in range(3):
        with pytest.raises(ModelUnavailableError) as caught:
            await ask(council(stage))
    assert len(stage.calls) == 2
    assert "its last 2 calls failed (HTTP 503, the server is overloaded" in str(caught.value)
    assert caught.value.usage is not None
    assert caught.value.usage.calls == 0


async def test_an_open_breaker_leads_to_the_fallback_at_once(stage: Stage) -> None:
    stage.model("m", always=Fault.hang())
    stage.model("spare", reply="42")
    both = council(stage, timeout=0.2, fallbacks=["spare"])
    replies = [await ask(both) for _ in range(3)]
    assert [reply.model for reply in replies] == ["spare"] * 3
    assert [reply.usage.calls for reply in replies] == [2, 2, 1]
    assert [call.model for call in stage.calls] == ["m", "spare", "m", "spare", "spare"]
    assert "not asked" in (replies[-1].attempts[0].error or "")


async def test_a_model_that_recovers_is_asked_again(stage: Stage) -> None:
    stage.model("m", reply="42", faults=[Fault.reset(), Fault.reset()])
    here = council(stage, pause=0.3)
    for _ in range(2):
        with pytest.raises(ModelUnavailableError):
            await ask(here)
    async with asyncio.timeout(30):
        while True:
            try:
                reply = await ask(here)
                break
            except ModelUnavailableError:
                await asyncio.sleep(0.02)
    assert reply.text == (await ask(here)).text == "42"
    assert len(stage.calls) == 4


async def test_text_that_broke_off_is_an_answer(stage: Stage) -> None:
    stage.model("m", reply="one two three four", always=Fault.truncated(after=2))
    assert [(await ask(council(stage))).text for _ in range(4)] == ["one two "] * 4


async def test_a_seat_behind_an_open_breaker_is_absent_at_once_and_its_absence_says_why(
    stage: Stage,
) -> None:
    seat(stage)
    stage.model("m", always=Fault.status(500))
    sitting = desk(stage, models={"clara": voice(stage, "m", breaker={"after": 1})})
    first, second = [(await ask_all(sitting))["status"] for _ in range(2)]
    assert len(stage.calls_to("m")) == 1
    [missed, *_] = second.absent
    assert (missed.character, missed.reason) == ("Clara", "failed")
    assert "not asked, for its last call failed (HTTP 500, server error" in missed.detail
    assert second.degraded
    assert second.usage.calls == first.usage.calls - 1
