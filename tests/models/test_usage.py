"""What is not told is unknown, and unknown is not zero."""

from __future__ import annotations

import pytest

from mom_council.councils.schema import Price
from mom_council.models.prices import Meter

PRICE = Price(input=2.0, output=10.0)


def test_parts_of_one_answer_add_up():
    meter = Meter(PRICE)
    meter.calls += 1
    meter.read({"input_tokens": 100, "output_tokens": 1})
    meter.read({"input_tokens": 0, "output_tokens": 49})
    usage = meter.usage(1.5)
    assert (usage.input_tokens, usage.output_tokens, usage.seconds) == (100, 50, 1.5)
    assert usage.usd == pytest.approx(700e-6)


@pytest.mark.parametrize("told", [None, {}])
def test_nothing_told_is_none(told):
    meter = Meter(PRICE)
    meter.read(told)
    usage = meter.usage(0)
    assert (usage.input_tokens, usage.output_tokens, usage.usd) == (None, None, None)


def test_without_a_price_tokens_are_known_and_dollars_are_not():
    meter = Meter()
    meter.read({"input_tokens": 1, "output_tokens": 1})
    assert meter.usage(0).tokens == 2
    assert meter.usd is None


def test_a_price_of_nothing_is_a_price():
    meter = Meter(Price(input=0, output=0))
    meter.read({"input_tokens": 1, "output_tokens": 1})
    assert meter.usd == 0
