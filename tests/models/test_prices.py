"""A price is what somebody wrote down; what nobody wrote is unknown, and unknown is not zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.schema import Model, Price
from mom_council.errors import CouncilError, MixtureError
from mom_council.models.prices import price_of, read_prices
from mom_council.tests.graph.desk import ask, desk, seat
from mom_council.tests.stage import Reply, Stage

TABLE = """
openai:
  small-2: {input: 1, output: 4}
  "small-*": {input: 2, output: 8}
  "*-mini": {input: 3, output: 9}
"http://127.0.0.1:8000/v1/":
  "*": {input: 0, output: 0}
"""


@pytest.fixture
def prices(tmp_path: Path) -> Any:
    file = tmp_path / "prices.yaml"
    file.write_text(TABLE)
    return read_prices(file)


def voice(model: str, **more: Any) -> Model:
    return Model.model_validate({"provider": "openai", "model": model, **more})


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("small-2", Price(input=1, output=4)),
        ("small-3-mini", Price(input=2, output=8)),
        ("large-mini", Price(input=3, output=9)),
        ("large", None),
    ],
)
def test_a_name_counts_before_a_pattern_and_of_patterns_the_first(
    prices: Any, model: str, price: Price | None
) -> None:
    assert price_of(voice(model), prices) == price


def test_the_voices_own_price_counts_before_the_table(prices: Any) -> None:
    assert price_of(voice("small-2", price={"input": 5, "output": 6}), prices) == Price(
        input=5, output=6
    )


def test_a_vendors_prices_are_not_those_of_a_server_that_speaks_its_protocol(prices: Any) -> None:
    assert price_of(voice("small-2", base_url="http://127.0.0.1:9999/v1"), prices) is None
    free = price_of(voice("small-2", base_url="http://127.0.0.1:8000/v1"), prices)
    assert free == Price(input=0, output=0)
    at_home = price_of(voice("small-2", base_url="https://api.openai.com/v1/"), prices)
    assert at_home == Price(input=1, output=4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- openai", "no mapping of providers"),
        ("openai: {m: {input: 1}}", "openai.m.output: is missing"),
        ("openai: {m: {input: -1, output: 1}}", "openai.m.input: must be at least 0"),
        ("openai: {m: {input: cheap, output: 1}}", "must be a number"),
        ("openai: {m: 3}", "openai.m: must be a mapping"),
        ("openai: {m: {input: 1, output: 1, tax: 1}}", "unknown key"),
        ("openai: [", "line 1"),
        ("\xff", "no mapping of providers"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_place(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CouncilError) as caught:
        read_prices(file)
    assert says in str(caught.value)
    assert str(file) in str(caught.value)


async def test_the_table_of_the_council_prices_its_question(stage: Stage, tmp_path: Path) -> None:
    seat(stage, ("Ada", "Boris"))
    for name in ("ada", "boris", "pen"):
        stage.model(name, reply=Reply("It is 42.", usage=(1000, 100)))
    file = tmp_path / "mine.yaml"
    file.write_text(f'"{stage.openai_url}": {{"*": {{input: 1, output: 10}}}}\n')
    status = (await ask(desk(stage, ("Ada", "Boris"), prices=str(file))))["status"]
    assert status.usage.usd == pytest.approx(0.002 * status.usage.calls)


async def test_the_table_in_the_configuration_folder_holds_where_none_is_named(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ada", "pen"):
        stage.model(name, reply=Reply("It is 42.", usage=(1000, 100)))
    sitting = desk(stage, ("Ada",))
    assert (await ask(sitting))["status"].usage.usd is None
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "prices.yaml").write_text(f'"{stage.openai_url}": {{ada: {{input: 1, output: 0}}}}\n')
    monkeypatch.setenv("MOM_CONFIG_DIR", str(folder))
    assert (await ask(sitting))["status"].usage.usd == pytest.approx(0.001)


async def test_a_table_that_is_not_there_is_named_by_whoever_would_have_spoken(
    stage: Stage,
) -> None:
    seat(stage)
    with pytest.raises(MixtureError, match=r"no-such\.yaml.*there is no such file; `prices` names"):
        await ask(desk(stage, prices="no-such.yaml"))
    assert not stage.calls
