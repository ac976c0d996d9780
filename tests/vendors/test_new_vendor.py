"""A vendor is added by one file and one line, as docs/layout.md says, and then works everywhere."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from mom_council.councils.importers import import_council
from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council, Model, Price
from mom_council.doctor.council import keys
from mom_council.graph.council import compile_council
from mom_council.models.capabilities import can_see
from mom_council.models.prices import price_of
from mom_council.models.providers import missing
from mom_council.models.resolved import key_of
from mom_council.runs.discovery import choose_council, find_models
from mom_council.tests.councils.importers.written import as_json
from mom_council.tests.graph.desk import question, seat, written
from mom_council.tests.stage import Stage
from mom_council.vendors import VENDORS

PAGE = (Path(__file__).parents[2] / "docs" / "layout.md").read_text("utf-8")
KEY = "acme-key-0123456789"


def paragraph(heading: str) -> str:
    """The page's part under a heading."""
    return PAGE.split(f"### {heading}\n")[1].split("\n#")[0]


@pytest.fixture
def acme(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """The page's file and the page's line, with the stage in the place of the vendor's servers."""
    file, line = re.findall(r"```\w+\n(.*?)```", paragraph("A new vendor"), re.DOTALL)
    monkeypatch.setenv("ACME_API_KEY", KEY)
    module = ModuleType("mom_council.vendors.acme")
    text = file.replace("https://api.acme.example/v1", stage.openai_url)
    assert text != file
    exec(compile(text, "vendors/acme.py", "exec"), vars(module))
    [(name, value)] = re.findall(r'^\s*"(\w+)": (\w+),$', line, re.MULTILINE)
    monkeypatch.setitem(VENDORS, name, vars(module)[value])
    for variable in ("MOM_CONFIG_DIR", "MOM_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    return stage


def council(stage: Stage) -> Council:
    """The desk of three, every model of which is Acme's."""
    values = written(stage)
    params = {"temperature": 0.4, "seed": 7, "top_k": 40}
    values["models"] = {
        key: {"provider": "acme", "model": key, "params": params, "retries": 0}
        for key in values["models"]
    }
    return load_council(values)


async def test_a_whole_question_goes_to_it_in_its_own_words(acme: Stage) -> None:
    seat(acme, likes="Ada")
    result = await compile_council(council(acme)).ainvoke(question("Why?"))
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert not result["status"].degraded
    assert {call.model for call in acme.calls} == {"ada", "boris", "clara", "pen"}
    assert {call.path for call in acme.calls} == {"/v1/chat/completions"}
    for call in acme.calls:
        assert call.key_sent == KEY
        assert call.body["random_seed"] == 7, "`names` says what it calls the seed"
        assert "seed" not in call.body
        assert "top_k" not in call.body, "`excludes` says what it refuses"
    votes = [call.body for call in acme.calls if "response_format" in call.body]
    assert len(votes) == 3, "`schema` says how a ballot is held to its form"
    assert all(body["response_format"]["type"] == "json_schema" for body in votes)


async def test_its_key_stays_with_it(acme: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    near = Model(provider="acme", model="m")
    far = near.model_copy(update={"base_url": f"{acme.url}/elsewhere/v1"})
    assert (key_of(near), key_of(far)) == (KEY, None)
    assert missing(council(acme).models.values()) == []
    monkeypatch.delenv("ACME_API_KEY")
    [error] = missing(council(acme).models.values())
    assert "ACME_API_KEY" in str(error)


async def test_a_council_is_made_of_it_where_only_its_key_is_found(acme: Stage) -> None:
    env = {"ACME_API_KEY": KEY, "OLLAMA_HOST": "127.0.0.1:9"}
    assert (await find_models(env)).keys == ("acme",)
    choice = await choose_council(None, env)
    assert choice.costs_money
    assert "acme-large" in str(choice.notice)
    assert {(one.provider, one.model) for one in choice.council.models.values()} == {
        ("acme", "acme-large")
    }
    acme.model("acme-large", reply="Because.")
    await compile_council(choice.council).ainvoke(question("Why?"))
    assert {call.key_sent for call in acme.calls} == {KEY}


def test_the_doctor_knows_its_key(acme: Stage) -> None:
    [finding] = keys({"ACME_API_KEY": KEY})
    assert "ACME_API_KEY" in finding.says
    quoted, _ = keys({"ACME_API_KEY": f'"{KEY}"'})
    assert quoted.state == "warn"


async def test_what_its_models_see_and_cost_is_known(acme: Stage) -> None:
    assert await can_see(Model(provider="acme", model="acme-see-2"))
    assert not await can_see(Model(provider="acme", model="acme-large"))
    prices: Mapping[str, Mapping[str, Price]] = {"acme": {"*": Price(input=1, output=2)}}
    assert price_of(Model(provider="acme", model="acme-large"), prices) is not None


def test_a_foreign_file_means_it_by_its_other_name(acme: Stage, tmp_path: Path) -> None:
    config = {"max_length": 300, "temperature": 0.2, "top_k": 9}
    models = {"big": {"name": "acme-large", "provider": "acme-ai", "config": config}}
    file = tmp_path / "model_config.json"
    file.write_text(as_json({"models": models}), "utf-8")
    [model] = import_council(file).council.models.values()
    assert (model.provider, model.model) == ("acme", "acme-large")
    assert model.params == {"max_tokens": 300, "temperature": 0.2}


def _page(name: str, **state: Any) -> AppTest:
    def script(name: str) -> None:
        from importlib import import_module

        import_module(f"mom_council.ui.pages.{name}").page()

    app = AppTest.from_function(script, default_timeout=30, kwargs={"name": name})
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception
    return app


def test_the_page_asks_it(acme: Stage) -> None:
    from mom_council.runs.installed import AvailableModels
    from mom_council.ui.pages.models import ModelSurvey

    acme.model("acme-large", reply="Five.")
    survey = ModelSurvey(AvailableModels(), "http://127.0.0.1:9", (), engine=False)
    app = _page("models", kept={}, survey=survey)
    app.selectbox(key="test-provider").set_value("acme").run()
    app.text_input(key="test-model").set_value("acme-large").run()
    app.button(key="test-ask").click().run()
    deadline = time.monotonic() + 20
    while app.session_state["test-call"].running and time.monotonic() < deadline:
        time.sleep(0.02)
    app.run()
    assert app.text[0].value == "Five."
    [call] = acme.calls_to("acme-large")
    assert call.key_sent == KEY


@pytest.mark.slow
def test_the_editor_offers_it(acme: Stage) -> None:
    from mom_council.ui.council_choice import DraftSession
    from mom_council.ui.draft import draft_of

    work = DraftSession(draft_of(council(acme)))
    app = _page("editor", kept={}, reader="a" * 32, editing=work)
    offered = [box for box in app.selectbox if box.label == "Provider"]
    assert offered
    assert all("acme" in box.options for box in offered)
