"""Accounts: whatever overlaps, and in whatever order it ends, no limit is exceeded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from mom_council.councils.schema import Model, Price
from mom_council.errors import OverBudgetError
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.spending import (
    Account,
    Amount,
    Need,
    Reservation,
    SpendingLimits,
    known_price,
    reserve,
)
from mom_council.records import Usage

LIMITS = st.builds(
    SpendingLimits,
    calls=st.none() | st.integers(0, 12),
    tokens=st.none() | st.integers(0, 20_000),
    usd=st.none() | st.floats(0, 0.2),
)
PRICES = st.builds(Price, input=st.floats(0, 30), output=st.floats(0, 60))
NEEDS = st.builds(
    Need,
    input_tokens=st.integers(1, 3_000),
    most_output=st.integers(64, 4_096),
    least_output=st.just(64),
    price=PRICES,
    fixed=st.booleans(),
)
CALL = st.tuples(
    NEEDS, st.floats(0, 1), st.sampled_from(["answers", "is cancelled", "is not sent"])
)


@settings(max_examples=150)
@given(
    limits=LIMITS,
    day=LIMITS,
    calls=st.lists(CALL, min_size=1, max_size=14),
    order=st.randoms(use_true_random=False),
)
def test_no_order_of_completions_exceeds_a_limit(
    limits: SpendingLimits, day: SpendingLimits, calls: Any, order: Any
) -> None:
    parent = Account(day, owner="the day's budget")
    account = Account(limits, parent=parent)

    def check() -> None:
        for one in (account, parent):
            taken = one.spent.plus(one.reserved)
            assert one.limits.calls is None or taken.calls <= one.limits.calls
            assert one.limits.tokens is None or taken.tokens <= one.limits.tokens
            assert one.limits.usd is None or taken.usd <= one.limits.usd + 1e-12

    async def run() -> None:
        under_way: list[tuple[Reservation, Need, float, str]] = []
        refused = 0

        async def one(need: Need, share: float, end: str) -> None:
            nonlocal refused
            try:
                held = await reserve(account, need)
            except OverBudgetError:
                refused += 1
                return
            under_way.append((held, need, share, end))

        waiting = {asyncio.ensure_future(one(*call)) for call in calls}
        for _ in range(3 * len(calls) + 3):
            for _ in range(3):
                await asyncio.sleep(0)
            check()
            if not under_way:
                break
            held, need, share, end = under_way.pop(order.randrange(len(under_way)))
            if end == "is not sent":
                held.settle(None)
            else:
                part = 1.0 if end == "is cancelled" else share
                output = int(held.output * part)
                held.settle(_usage(need, int(need.input_tokens * part), output))
            check()
        _done, left = await asyncio.wait(waiting, timeout=5)
        assert not left, "a call that nothing can make room for waits for ever"
        assert account.reserved.calls == 0
        assert abs(account.reserved.usd) < 1e-9

    asyncio.run(run())


def _usage(need: Need, read: int, written: int) -> Usage:
    price = need.price or Price(input=0, output=0)
    usd = (read * price.input + written * price.output) / 1_000_000
    return Usage(calls=1, input_tokens=read, output_tokens=written, usd=usd)


async def test_a_request_waits_for_those_under_way_and_takes_what_they_leave() -> None:
    account = Account(SpendingLimits(tokens=1_000))
    need = Need(100, 4_096, 64, None)
    first = await reserve(account, need)
    assert first.output + 100 <= 1_000
    second = asyncio.ensure_future(reserve(account, need))
    await asyncio.sleep(0)
    assert not second.done()
    first.settle(Usage(calls=1, input_tokens=80, output_tokens=20))
    assert (await second).output <= 800
    (await second).settle(None)
    assert account.spent == Amount(1, 100, 0.0)


async def test_a_request_whose_turn_is_cancelled_holds_nothing() -> None:
    account = Account(SpendingLimits(tokens=200))
    first = await reserve(account, Need(100, 100, 64, None))
    second = asyncio.ensure_future(reserve(account, Need(100, 100, 64, None)))
    await asyncio.sleep(0)
    second.cancel()
    first.settle(None)
    await asyncio.wait({second})
    assert account.reserved == Amount()
    assert (await reserve(account, Need(100, 100, 64, None))).output == 100


async def test_what_is_kept_back_is_not_given_away() -> None:
    account = Account(SpendingLimits(calls=2), keep=Amount(1))
    await reserve(account, Need(1, 1, 1, None))
    with pytest.raises(OverBudgetError, match="the question's budget of 2 calls leaves no further"):
        await reserve(account, Need(1, 1, 1, None))


def test_dollars_need_a_price_and_what_sends_no_bill_is_free() -> None:
    paid, free = Model(model="m", provider="openai"), Model(model="m", provider="ollama")
    worst = Price(input=1, output=2)
    assert known_price(paid, None, None) is None
    assert known_price(paid, None, worst) == worst
    assert known_price(free, None, None) == Price(input=0, output=0)


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 20, 200),  # as OpenAI's tokenizers count
        ("1 2 3 4 5 6 7 8 9 0 " * 20, 200),
        ("漢字仮名交じり文" * 20, 200),
        ('{"a": [1, 2], "b": {"c": "d"}}' * 20, 320),
        ("🙂" * 20, 60),
        ("x", 1),
    ],
)
def test_a_prompt_is_never_reckoned_shorter_than_it_is(text: str, least: int) -> None:
    assert most_prompt_tokens([HumanMessage(text)]) >= least
    tools = [{"type": "function", "function": {"name": text[:40], "parameters": {}}}]
    assert most_prompt_tokens([HumanMessage(text)], tools) > most_prompt_tokens(
        [HumanMessage(text)]
    )
    called = AIMessage("", tool_calls=[{"name": "f", "args": {"x": text}, "id": "1"}])
    assert most_prompt_tokens([called]) > least


async def test_an_account_whose_seconds_are_over_takes_no_further_request() -> None:
    need = Need(10, 100, 64, None)
    day = Account(SpendingLimits(seconds=1e-9), owner="the day's budget")
    question = Account(SpendingLimits(calls=5), parent=day)
    with pytest.raises(OverBudgetError, match="the day's budget of 1e-09 seconds is over"):
        await reserve(question, need)
    assert (day.has_refused, question.has_refused, question.refusals) == (True, False, 1)
    assert Account(SpendingLimits(calls=5)).seconds_left == float("inf")
    open_still = Account(SpendingLimits(seconds=3600.0))
    assert 0 < open_still.seconds_left <= 3600
    (await reserve(open_still, need)).settle(Usage(calls=1))
