"""What is not told is unknown, and unknown is not zero."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Price
from mom_council.errors import ModelUnavailableError
from mom_council.models.journal import CallRecord
from mom_council.models.prices import Meter, begin_count, charge_to, take_counted
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import speak
from mom_council.models.spending import Account, SpendingLimits
from mom_council.tests.graph import fault_server as breaks
from mom_council.tests.graph.fault_server import Break, Exchange, FaultServer
from mom_council.tests.models.test_vendors import council as vendor_council
from mom_council.tests.stage import Reply, Stage

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


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ({"input_tokens": 20, "output_tokens": 5, "total_tokens": 900}, 880),  # thoughts apart
        ({"input_tokens": 20, "output_tokens": 5, "total_tokens": 7}, 5),
        ({"input_tokens": -500, "output_tokens": -700}, None),
        ({"input_tokens": 20, "output_tokens": -700}, None),
        ({"input_tokens": float("nan"), "output_tokens": 5}, None),
        ({"input_tokens": "20", "output_tokens": 5}, None),
        ({"input_tokens": 10**30, "output_tokens": 5}, None),
    ],
)
def test_counts_that_cannot_be_are_not_told_and_thoughts_in_the_sum_are_billed(told, written):
    meter = Meter(PRICE)
    meter.begin_request()
    meter.read(told)
    assert meter.usage(0).output_tokens == written


async def _errs_in_stream(exchange: Exchange) -> None:
    """An error with a number in place of the rest, as OpenRouter writes one."""
    end = b"data: " + breaks.said("No upstream.", code=502).encode() + b"\n\n"
    await exchange.send(exchange.beginning + end)


async def _writes_a_line_without_end(exchange: Exchange) -> None:
    await exchange.send(exchange.beginning + b"data: " + b"x" * 17_000_000)


_ODD = {"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 20}
_BELOW = {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("vendor", "how"),
    [
        ("openai", _errs_in_stream),
        ("openai", _writes_a_line_without_end),
        ("openai", breaks.packs_a_bomb),
        ("openai", breaks.usage(_ODD)),
        ("ollama", breaks.packs_a_bomb),
        ("anthropic", breaks.packs_a_bomb),
        ("mistralai", breaks.usage(_BELOW)),
        ("deepseek", breaks.usage(_BELOW)),
    ],
)
async def test_what_was_worked_on_counts_as_reserved_where_nobody_says_how_much(
    stage: Stage, vendor: str, how: Break
) -> None:
    stage.model("m-1", reply="A word or two. " * 40)
    async with FaultServer(stage, [how]) as server:
        address = server.address(vendor)
        council = vendor_council(stage, vendor, price=PRICE, retries=0, base_url=address)
        account = Account(SpendingLimits(tokens=3_000, usd=1))
        with charge_to(account), suppress(ModelUnavailableError):
            await speak(resolve_model(council, "m"), [HumanMessage("What is 6 x 7?")])
    assert len(server.calls) == account.spent.calls == 1
    assert 2_000 < account.spent.tokens <= 3_000
    assert account.spent.usd > 0
    assert account.reserved.calls == 0


async def test_an_answer_longer_than_allowed_counts_by_its_length(stage: Stage) -> None:
    text = "A word or two. " * 200
    stage.model("m-1", reply=Reply(text, usage=None))
    account = Account(SpendingLimits(tokens=600))
    with charge_to(account):
        await speak(resolve_model(vendor_council(stage, "openai"), "m"), [HumanMessage("Hm?")])
    assert account.spent.tokens >= len(text) / 4


@pytest.mark.parametrize("how", [breaks.status(400, breaks.said("No.")), breaks.status(500, "")])
async def test_a_refused_request_costs_nothing(stage: Stage, how: Break) -> None:
    async with FaultServer(stage, [how]) as server:
        council = vendor_council(stage, "openai", retries=0, base_url=server.address("openai"))
        account = Account(SpendingLimits(tokens=3_000))
        with charge_to(account), pytest.raises(ModelUnavailableError):
            await speak(resolve_model(council, "m"), [HumanMessage("Hm?")])
    assert account.spent == (1, 0, 0.0)


@pytest.mark.parametrize("vendor", ["openai", "ollama", "mistralai", "cohere"])
async def test_a_request_that_is_given_up_before_it_has_a_connection_is_not_counted(
    stage: Stage, vendor: str
) -> None:
    """As at the end of a race: the server's log does not have it, so the status has not either."""
    asking: asyncio.Task[object]

    async def gives_up(number: int, line: dict[str, object]) -> None:
        asyncio.get_running_loop().call_soon(asking.cancel)

    stage.model("m-1", reply="42")
    model = resolve_model(vendor_council(stage, vendor, retries=0), "m")
    account = Account(SpendingLimits(calls=3, tokens=3_000))
    begin_count()
    with charge_to(account):
        message = [HumanMessage("What is 6 x 7?")]
        asking = asyncio.ensure_future(speak(model, message, record=CallRecord(gives_up)))
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert take_counted().calls == account.spent.calls == account.reserved.calls == 0
        assert (await speak(model, message)).usage.calls == 1
    assert take_counted().calls == 1
    assert len(stage.calls) == account.spent.calls == 1


@pytest.mark.parametrize(
    "vendor", ["openai", "responses", "ollama", "anthropic", "mistralai", "cohere"]
)
async def test_a_server_that_is_not_there_was_not_called(stage: Stage, vendor: str) -> None:
    nowhere = "http://127.0.0.1:9/v1"
    model = resolve_model(vendor_council(stage, vendor, retries=0, base_url=nowhere), "m")
    account = Account(SpendingLimits(calls=3))
    with charge_to(account), pytest.raises(ModelUnavailableError) as raised:
        await speak(model, [HumanMessage("What is 6 x 7?")])
    assert raised.value.usage.calls == account.spent.calls == 0
    assert [one.model for one in raised.value.attempts] == ["m"]
