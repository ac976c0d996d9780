"""The models page: what is there, what is not, and a call to hear it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from mom_council.councils.loader import to_yaml
from mom_council.runs.installed import AvailableModels
from mom_council.tests.graph.desk import desk
from mom_council.tests.stage import Fault, Stage
from mom_council.ui.pages.models import AvailableModel, ModelSurvey, survey_models

KEY = "sk-test-0123456789abcdefghijkl"
HOSTILE = "<b>x</b> [y](javascript:alert(1))"


def opened(found: ModelSurvey | None = None) -> AppTest:
    def script() -> None:
        from mom_council.ui.pages import models

        models.page()

    app = AppTest.from_function(script, default_timeout=30)
    app.session_state["kept"] = {}
    if found is not None:
        app.session_state["survey"] = found
    app.run()
    assert not app.exception
    return app


def on_stage(stage: Stage, model: str = "quick") -> ModelSurvey:
    voice = AvailableModel(
        "ollama", "ollama", model, stage.ollama_url, 2_000_000_000, True, None, 4096
    )
    return ModelSurvey(
        AvailableModels(ollama_url=stage.ollama_url), stage.ollama_url, (voice,), engine=True
    )


def said(app: AppTest) -> str:
    return "\n".join(one.value for one in (*app.markdown, *app.caption, *app.info))


def answered(app: AppTest) -> AppTest:
    app.button(key="test-ask").click().run()
    deadline = time.monotonic() + 20
    while app.session_state["test-call"].running and time.monotonic() < deadline:
        time.sleep(0.02)
    app.run()
    assert not app.exception
    return app


async def test_ollama_tells_what_its_models_can(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model("seer", capabilities=("completion", "vision"), context=4096)
    monkeypatch.setenv("OLLAMA_HOST", stage.url)
    found = await survey_models()
    (seer,) = [voice for voice in found.voices if voice.place == "ollama"]
    assert (seer.vision, seer.tools, seer.context) == (True, False, 4096)
    assert found.real


async def test_a_key_is_known_by_its_variable_and_never_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = await survey_models()
    assert "openai" in found.available.keys
    assert KEY not in repr(found)
    page = opened(found)
    assert "OPENAI\\_API\\_KEY" in said(page)
    assert KEY not in said(page)
    lines = [one.value for one in page.markdown]
    assert any("set" in line and "OPENAI" in line for line in lines)
    assert any('export ANTHROPIC_API_KEY="your key"' in line for line in lines)


def test_a_key_that_the_council_needs_and_that_is_missing_has_the_line_that_sets_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    council = desk(stage)
    far = council.models["ada"].model_copy(update={"api_key_env": "FAR_KEY"})
    needs = council.model_copy(update={"models": {**council.models, "ada": far}})
    monkeypatch.setattr("mom_council.ui.pages.models._council", lambda: needs)
    monkeypatch.delenv("FAR_KEY", raising=False)
    page = opened(on_stage(stage))
    assert [one.value for one in page.code] == ['export FAR_KEY="your key"']
    assert "missing" in next(one.value for one in page.markdown if "needed by ada" in one.value)
    monkeypatch.setenv("FAR_KEY", KEY)
    page = opened(on_stage(stage))
    assert [one.value for one in page.code] == []
    assert KEY not in said(page)


async def test_a_strange_server_on_ollamas_port_is_no_reason_to_fail(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"{stage.url}/nowhere")
    assert (await survey_models()).available.ollama_url is None


def test_where_nothing_is_reachable_the_page_says_how_to_get_models() -> None:
    app = opened(ModelSurvey(AvailableModels(), "http://127.0.0.1:11434", (), engine=False))
    assert "ollama pull" in app.info[0].value
    assert "does not answer" in said(app)
    assert "is not installed" in said(app)
    assert app.button(key="test-ask").disabled


def test_what_is_not_known_is_called_unknown(stage: Stage) -> None:
    app = opened(on_stage(stage))
    row = app.dataframe[0].value.iloc[0]
    assert (row["Vision"], row["Tools"], row["Context"]) == ("yes", "unknown", "4,096 tokens")


def test_a_test_call_shows_the_answer_and_its_time(stage: Stage) -> None:
    stage.model("quick", reply="Five.", latency=0.05)
    app = answered(opened(on_stage(stage)))
    assert app.text[0].value == "Five."
    assert " s · " in said(app)
    assert len(stage.calls_to("quick")) == 1


def test_a_test_call_that_fails_shows_one_line(stage: Stage) -> None:
    stage.model("quick", faults=[Fault.status(500)])
    app = answered(opened(on_stage(stage)))
    assert "500" in app.error[0].value
    assert "\n" not in app.error[0].value


def test_a_test_call_can_be_stopped(stage: Stage) -> None:
    stage.model("quick", reply="late", latency=30)
    app = opened(on_stage(stage))
    app.button(key="test-ask").click().run()
    app.button(key="test-stop").click().run()
    assert app.session_state["test-call"].error() == "stopped"


def test_another_model_is_asked_by_its_name(stage: Stage) -> None:
    stage.model("quick", reply="Yes.")
    app = opened(ModelSurvey(AvailableModels(), stage.url, (), engine=True))
    app.selectbox(key="test-provider").set_value("ollama").run()
    app.text_input(key="test-model").set_value("quick").run()
    app.text_input(key="test-address").set_value(stage.ollama_url).run()
    assert answered(app).text[0].value == "Yes."


def test_hostile_names_are_shown_as_they_stand(stage: Stage) -> None:
    app = opened(on_stage(stage, HOSTILE))
    assert app.dataframe[0].value.iloc[0]["Model"] == HOSTILE
    assert "](javascript" not in said(app)


def test_the_councils_say_what_they_lack() -> None:
    app = opened(ModelSurvey(AvailableModels(), "", (), engine=True))
    assert "layers" in said(app)
    assert "OPENROUTER" in said(app)


def test_the_models_of_the_council_that_answers_come_first_and_can_be_called(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model("ada", reply="Five.")
    file = tmp_path / "own.yaml"
    file.write_text(to_yaml(desk(stage, ("Ada",))))
    monkeypatch.setenv("MOM_COUNCIL", str(file))
    app = opened(ModelSurvey(AvailableModels(), "http://127.0.0.1:11434", (), engine=False))
    assert "Only the tiny models" not in said(app)
    assert not app.info, "there is something to ask"
    assert "ada" in said(app)
    assert app.selectbox(key="test-which").options[0] == "ada (of this council)"
    app.button(key="test-ask").click().run()
    stage.wait_for(1, 30, model="ada")
