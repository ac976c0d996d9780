"""What the installed package genai-prices says of real models, and what a budget makes of it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mom_council.councils.schema import Model, Price
from mom_council.errors import BudgetError
from mom_council.models import prices as price_list
from mom_council.models.prices import ListPrice, Meter, PriceTier, find_price, list_name
from mom_council.models.spending import Account, Need, SpendingLimits
from mom_council.runs.plan import plan_in_words, plan_question
from mom_council.tests.graph.desk import ask, desk, seat, voice
from mom_council.tests.stage import Stage

REAL = {
    "ada": "gpt-4o-mini",
    "boris": "gpt-4.1-nano",
    "clara": "gpt-4.1-mini",
    "pen": "gpt-5.4",
}
LONG = ListPrice(input=3, output=15, tiers=(PriceTier(above=200_000, input=6, output=22.5),))
DEAREST_FIRST = ListPrice(
    input=3,
    output=15,
    tiers=(
        PriceTier(above=1_000, input=9, output=1),
        PriceTier(above=2_000, input=1, output=30),
    ),
)


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the stage's address for the vendor's own."""
    monkeypatch.setattr(price_list, "has_home_address", lambda spec: True)


def entry(provider: str, model: str, **more: Any) -> Model:
    return Model.model_validate({"provider": provider, "model": model, **more})


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-5.4"),
        ("openai", "text-embedding-3-small"),
        ("anthropic", "claude-sonnet-4-6"),
        ("anthropic", "claude-haiku-4-5-20251001"),
        ("mistralai", "mistral-large-latest"),
        ("deepseek", "deepseek-chat"),
        ("cohere", "command-r-plus"),
        ("gemini", "gemini-2.5-pro"),
        ("groq", "llama-3.3-70b-versatile"),
        ("xai", "grok-4"),
        ("openrouter", "openai/gpt-4o"),
    ],
)
async def test_real_models_have_a_price_and_its_source_is_said(provider: str, model: str) -> None:
    found = await find_price(entry(provider, model), None)
    assert found.price is not None
    assert found.price.input > 0
    assert (found.price.output > 0) is ("embedding" not in model)
    assert found.source == list_name()
    assert found.in_words().endswith(f"({list_name()})")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini-nobody-made-it"),
        ("openai", "tts-1"),
        ("openai", "gpt-4o-realtime-preview"),
        ("gemini", "gemini-2.5-flash-image"),
        ("openrouter", "qwen/qwq-32b:nobody"),
        ("ollama", "llama3.3"),
        ("litellm", "gpt-4o-mini"),
        ("vllm", "gpt-4o-mini"),
        ("google_genai", "gemini-2.5-pro"),
    ],
)
async def test_a_price_that_is_not_wholly_known_is_unknown(provider: str, model: str) -> None:
    assert (await find_price(entry(provider, model), None)).price is None


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
async def test_another_address_has_no_price(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    elsewhere = entry("openai", "gpt-4o-mini", base_url="https://proxy.example/v1")
    assert (await find_price(elsewhere, None)).price is None
    written_out = entry("openai", "gpt-4o-mini", base_url="https://api.openai.com/v1/")
    assert (await find_price(written_out, None)).price is not None
    monkeypatch.setenv(variable, "https://proxy.example/v1")
    assert (await find_price(entry("openai", "gpt-4o-mini"), None)).price is None
    monkeypatch.setenv(variable, "https://api.openai.com/v1")
    assert (await find_price(entry("openai", "gpt-4o-mini"), None)).price is not None


async def test_what_the_user_wrote_counts_before_the_list(tmp_path: Any) -> None:
    own = entry("openai", "gpt-4o-mini", price={"input": 7, "output": 8})
    assert await find_price(own, None) == (Price(input=7, output=8), "the council")
    table = tmp_path / "mine.yaml"
    table.write_text("openai: {gpt-4o-mini: {input: 1, output: 2}}")
    found = await find_price(entry("openai", "gpt-4o-mini"), str(table))
    assert found == (Price(input=1, output=2), str(table))


async def test_the_price_is_that_of_the_requests_service_tier() -> None:
    usual = (await find_price(entry("openai", "gpt-5.4"), None)).price
    fast = (await find_price(entry("openai", "gpt-5.4"), None, {"service_tier": "priority"})).price
    flex = entry("openai", "gpt-5.4", params={"service_tier": "flex"})
    slow = (await find_price(flex, None)).price
    assert usual is not None
    assert fast is not None
    assert slow is not None
    assert slow.output < usual.output < fast.output


@pytest.mark.parametrize(
    ("price", "tokens", "dollars"),
    [
        (LONG, 200_000, 0.6 + 0.015),
        (LONG, 200_001, 1.200006 + 0.0225),
        (DEAREST_FIRST, 1_500, 0.0135 + 0.001),
        (DEAREST_FIRST, 2_500, 0.0025 + 0.03),
    ],
)
def test_the_tier_that_the_input_reaches_holds_for_all_tokens(
    price: ListPrice, tokens: int, dollars: float
) -> None:
    assert price.usd_of(tokens, 1_000) == pytest.approx(dollars)
    meter = Meter(price)
    for _ in range(2):
        meter.begin_request()
        meter.read({"input_tokens": tokens, "output_tokens": 1_000})
    assert meter.request_usage.usd == pytest.approx(dollars)
    assert meter.usd == pytest.approx(2 * dollars)


def test_two_short_requests_are_not_one_long_one() -> None:
    meter = Meter(LONG)
    for _ in range(2):
        meter.begin_request()
        meter.read({"input_tokens": 150_000, "output_tokens": 0})
    assert meter.usd == pytest.approx(0.9)


@pytest.mark.parametrize("price", [LONG, DEAREST_FIRST])
@pytest.mark.parametrize("most", [900, 1_500, 2_500, 300_000])
def test_what_is_reserved_is_enough_whatever_the_input_really_is(
    price: ListPrice, most: int
) -> None:
    reserved = Need(most, 1_000, 64, price).amount(1_000).usd
    for tokens in {0, 1_000, 1_001, 2_001, 200_001, most}:
        if tokens <= most:
            assert price.usd_of(tokens, 1_000) <= reserved + 1e-12


def test_the_longest_answer_is_counted_at_the_worst_tier() -> None:
    account = Account(SpendingLimits(usd=1.5))
    need = Need(200_001, 100_000, 64, LONG)
    longest = account.longest_answer(need)
    assert need.amount(int(longest)).usd <= 1.5 < need.amount(int(longest) + 1_000).usd


async def test_the_plan_says_where_a_price_is_from(stage: Stage, at_home: None) -> None:
    seat(stage)
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen")}
    models["ada"] = voice(stage, "gpt-4o-mini")
    models["boris"] = voice(stage, "boris", price={"input": 1, "output": 2})
    plan = await plan_question(desk(stage, models=models), "What is the best pet?")
    lines = [*plan_in_words(plan, "desk")]
    assert f"ada: $0.15 in, $0.6 out per million tokens ({list_name()})" in lines
    assert "boris: $1 in, $2 out per million tokens (the council)" in lines
    assert plan.prices["clara"].price is None
    assert "Dollars are not known" in lines[-1]


async def test_a_budget_of_dollars_takes_a_model_that_only_the_list_knows(
    stage: Stage, at_home: None
) -> None:
    seat(stage)
    for name, real in REAL.items():
        stage.scripts[real] = stage.scripts[name]
    models = {name: voice(stage, real) for name, real in REAL.items()}
    state = await ask(desk(stage, models=models, budget={"usd": 0.5}), "What is the best pet?")
    usage = state["status"].usage
    assert usage.usd is not None
    assert 0.1 * usage.tokens / 1e6 < usage.usd < 15 * usage.tokens / 1e6
    assert {call.body["model"] for call in stage.calls} == {*REAL.values()}


async def test_what_the_list_says_is_too_dear_is_not_asked(stage: Stage, at_home: None) -> None:
    seat(stage)
    models = {name: voice(stage, real) for name, real in REAL.items()}
    with pytest.raises(BudgetError):
        await ask(desk(stage, models=models, budget={"usd": 0.000_01}), "What is the best pet?")
    assert not stage.calls


def test_the_package_is_imported_for_no_question_that_needs_it_not() -> None:
    program = (
        "import asyncio, sys\n"
        "from mom_council.councils.schema import Model\n"
        "from mom_council.models.prices import find_price\n"
        "def entry(**more):\n"
        "    return Model.model_validate({'provider': 'openai', 'model': 'gpt-4o-mini', **more})\n"
        "async def main():\n"
        "    await find_price(entry(price={'input': 1, 'output': 2}), None)\n"
        "    await find_price(entry(base_url='http://127.0.0.1:9/v1'), None)\n"
        "    await find_price(entry(provider='embedded'), None)\n"
        "    assert 'genai_prices' not in sys.modules\n"
        "    assert (await find_price(entry(), None)).price\n"
        "    assert 'genai_prices' in sys.modules\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
