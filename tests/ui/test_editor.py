"""The editor's page: what it shows in each state, and what its widgets do to the draft."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from mom_council.councils import loader as saved
from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council, Section
from mom_council.errors import StorageError
from mom_council.runs.page_store import PageStore
from mom_council.ui.council_choice import DraftSession
from mom_council.ui.draft import Draft, draft_of, read_draft, text_of, written
from mom_council.ui.field_shapes import FieldShape, shapes_of

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) :red[no] **b**"


def opened(draft: Draft | None = None, *, fresh: bool = False) -> AppTest:
    def script() -> None:
        from mom_council.ui.pages import editor

        editor.page()

    app = AppTest.from_function(script, default_timeout=30)
    app.session_state["kept"] = {}
    app.session_state["reader"] = "a" * 32
    if not fresh:
        app.session_state["editing"] = DraftSession(draft or draft_of(load_council("layers")))
    app.run()
    assert not app.exception
    return app


def draft_in(app: AppTest) -> Draft:
    work: DraftSession = app.session_state["editing"]
    return work.draft


def field(app: AppTest, kind: str, label: str) -> Any:
    return next(one for one in getattr(app, kind) if one.label == label)


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def captions(app: AppTest) -> str:
    return "\n".join(one.value for one in app.caption)


def test_a_council_is_shown_with_its_layers() -> None:
    app = opened()
    assert "Llama proposes" in app.button(key="edit-0").label
    assert "Layer 1" in captions(app)
    assert "Layer 2" in captions(app)
    assert not app.warning


def test_what_is_typed_goes_into_the_draft_and_a_blank_leaves_the_field_out() -> None:
    app = opened()
    field(app, "text_area", "Persona").set_value("You are exact.").run()
    assert draft_in(app)["characters"][0]["personality"] == "You are exact."
    field(app, "text_area", "Persona").set_value("").run()
    assert "personality" not in draft_in(app)["characters"][0]


def test_a_character_is_added_copied_moved_and_removed_and_undo_takes_it_back() -> None:
    app = opened()
    before = draft_in(app)
    press(app, "copy-0")
    assert draft_in(app)["characters"][1]["name"] == "Llama proposes 2"
    press(app, "right-1")
    assert len(written(draft_in(app))["layers"][1]) == 4
    press(app, "remove-1")
    press(app, "add-1")
    assert draft_in(app)["characters"][-1]["name"] == "New character"
    for _ in range(4):
        press(app, "undo")
    assert draft_in(app) == before
    assert app.button(key="undo").disabled


def test_a_wrong_value_is_told_at_its_field_and_in_one_list() -> None:
    app = opened()
    field(app, "number_input", "Weight").set_value(-3.0).run()
    assert "must be at least 0" in captions(app)
    assert "characters\\[0\\].weight" in app.warning[0].value
    assert app.button(key="try-it").disabled


def test_a_value_of_the_wrong_kind_can_be_mended_in_its_field() -> None:
    draft = draft_of(load_council("demo"))
    draft["characters"][0]["weight"] = "heavy"
    app = opened(draft)
    field(app, "text_input", "Weight").set_value("2.5").run()
    assert draft_in(app)["characters"][0]["weight"] == 2.5
    assert not app.warning


def test_an_unknown_model_is_shown_and_told() -> None:
    draft = draft_of(load_council("demo"))
    draft["characters"][0]["model"] = "nobody"
    app = opened(draft)
    assert field(app, "selectbox", "Model").value == "nobody"
    assert "no key of" in captions(app)


def test_a_text_that_is_no_council_leaves_the_draft_as_it_was() -> None:
    app = opened()
    before = draft_in(app)
    field(app, "text_area", "The council as YAML").set_value("characters: 3").run()
    press(app, "take-yaml")
    assert draft_in(app) == before
    assert "list of mappings" in app.error[0].value
    assert field(app, "text_area", "The council as YAML").value == "characters: 3"


def test_a_text_is_taken_over() -> None:
    app = opened()
    text = (
        "name: new\ncharacters: [{name: Eve, model: m}]\nmodels: {m: {provider: ollama, model: x}}"
    )
    field(app, "text_area", "The council as YAML").set_value(text).run()
    press(app, "take-yaml")
    assert draft_in(app) == read_draft(text)
    assert "synthesizer: is missing" in app.warning[0].value


def test_a_preset_is_opened() -> None:
    app = opened()
    app.selectbox(key="source").set_value("demo").run()
    press(app, "open-source")
    assert draft_in(app)["name"] == "demo"


def test_a_council_is_kept_under_a_safe_name_and_found_again() -> None:
    app = opened(draft_of(load_council("demo")))
    field(app, "text_input", "Name").set_value("Ünser Rat (2)").run()
    press(app, "save-it")
    assert list(saved.saved_councils()) == ["ünser-rat-2"]
    file = saved.saved_councils()["ünser-rat-2"]
    assert load_council(file).name == "Ünser Rat (2)"
    assert file.stat().st_mode & 0o077 == 0
    press(app, "begin-empty")
    app.selectbox(key="source").set_value("mine: ünser-rat-2").run()
    press(app, "open-source")
    assert draft_in(app)["name"] == "Ünser Rat (2)"


def test_an_empty_one_can_sit_at_once() -> None:
    app = press(opened(), "begin-empty")
    assert not app.warning


def test_a_draft_that_was_left_is_there_in_the_next_tab_until_it_is_saved() -> None:
    app = opened()
    field(app, "text_input", "Name").set_value("Eve").run()
    other = opened(None, fresh=True)
    assert "Eve" in text_of(draft_in(other))
    assert "you left here" in captions(other)
    field(other, "text_input", "Name").set_value("").run()
    assert draft_in(opened(None, fresh=True)) == draft_in(other), "wrong values are kept too"
    press(other, "undo")
    press(other, "save-it")
    assert "Eve" not in text_of(draft_in(opened(None, fresh=True)))


def test_a_kept_draft_that_cannot_be_read_is_passed_over() -> None:
    PageStore().keep_draft("a" * 32, "models: [")
    app = opened(None, fresh=True)
    assert "you left here" not in captions(app)
    assert draft_in(app)["name"] == "demo"


def test_the_rules_have_their_fields() -> None:
    app = opened()
    for label, value in (
        ("Voting method", "answers"), ("Early stop", "lossless"), ("Ask first", "price"),
        ("Weights", "learned"),
        ("Comparison", "model"),
    ):  # fmt: skip
        field(app, "selectbox", label).set_value(value).run()
    field(app, "multiselect", "Tools").set_value(["calculator"]).run()
    assert not app.exception
    council = load_council(written(draft_in(app)))
    rules = council.deliberation
    assert (rules.stop, rules.order, rules.weights) == ("lossless", "price", "learned")
    assert council.synthesizer.compare == "model"
    assert council.characters[0].tools == ("calculator",)


def test_an_extension_is_added_set_by_its_own_form_moved_and_removed() -> None:
    app = opened()
    field(app, "selectbox", "Add an extension").set_value("deep_thinking").run()
    press(app, "add-extension")
    assert draft_in(app)["extensions"] == [{"use": "deep_thinking"}]
    assert "thinking again" in captions(app)
    field(app, "number_input", "Rounds").set_value(7).run()
    field(app, "toggle", "Early stop").set_value(False).run()
    field(app, "selectbox", "Method").set_value("borda").run()
    settings = {"rounds": 7, "early_stop": False, "method": "borda"}
    assert draft_in(app)["extensions"] == [{"use": "deep_thinking", "settings": settings}]
    assert load_council(written(draft_in(app))).extensions[0].settings == settings
    press(app, "extension-remove-0")
    assert "extensions" not in draft_in(app)


def test_an_extension_that_is_not_here_is_told_and_stays_written() -> None:
    draft = draft_of(load_council("demo")) | {
        "extensions": [{"use": HOSTILE}, {"use": "deep_thinking"}]
    }
    app = opened(draft)
    assert "no extension's name" in captions(app)
    assert not any("<script>" in one.value.replace("\\<", "") for one in app.markdown)
    press(app, "extension-later-0")
    assert [one["use"] for one in draft_in(app)["extensions"]] == ["deep_thinking", HOSTILE]


def test_hostile_names_are_shown_as_they_stand() -> None:
    draft = draft_of(load_council("demo"))
    draft["characters"][0]["name"] = HOSTILE
    app = opened(draft)
    drawn = [one.value for one in (*app.markdown, *app.caption, *app.warning)]
    drawn += [one.label for one in app.button]
    for text in map(str, drawn):
        assert "<script>" not in text.replace("\\<", "")
        assert "](javascript" not in text
        assert ":red[no]" not in text


def test_a_draft_without_anybody_can_be_begun() -> None:
    app = press(opened({"name": "nobody"}), "add-0")
    assert len(draft_in(app)["characters"]) == 1


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Desk", "desk"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "council-"),
        ("CON", "council-con"),
        ("a" * 200, "a" * 60),
        ("", "council-"),
        ("\x00\n", "council-"),
    ],
)
def test_a_name_never_leaves_the_folder(name: str, safe: str) -> None:
    assert saved.safe_name(name) == safe


def test_a_kept_council_is_replaced_only_when_asked_to() -> None:
    council = load_council("demo")
    saved.save_council(council)
    with pytest.raises(StorageError, match="already"):
        saved.save_council(council)
    file = saved.save_council(council, replace=True)
    assert [one.name for one in file.parent.iterdir()] == [file.name], "no draft is left behind"


def test_a_folder_that_is_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(StorageError):
        saved.save_council(load_council("demo"))
    assert saved.saved_councils() == {}


def test_a_part_that_few_people_need_is_switched_on_set_and_switched_off() -> None:
    app = opened()
    field(app, "toggle", "**Cache**").set_value(True).run()
    assert draft_in(app)["cache"] == {}
    field(app, "number_input", "Megabytes").set_value(8).run()
    assert draft_in(app)["cache"] == {"megabytes": 8}
    field(app, "number_input", "Megabytes").set_value(256).run()
    assert draft_in(app)["cache"] == {}, "a cache with its usual size is still a cache"
    field(app, "toggle", "**Cache**").set_value(False).run()
    field(app, "toggle", "**Temperature**").set_value(False).run()
    council = load_council(written(draft_in(app)))
    assert (council.cache, council.thermal) == (None, None)
    field(app, "toggle", "**Annotator**").set_value(True).run()
    assert load_council(written(draft_in(app))).annotator is not None, "it reads with a model"


def test_a_model_has_every_field_and_its_parameters_are_written_as_lines() -> None:
    app = opened(draft_of(load_council("demo")))
    key = next(iter(draft_in(app)["models"]))
    field(app, "text_area", "Parameters").set_value("temperature: 0.5\nmax_tokens: 9").run()
    field(app, "selectbox", "Calls tools").set_value("no").run()
    field(app, "toggle", "**Pause after failures**").set_value(False).run()
    council = load_council(written(draft_in(app)))
    assert council.models[key].params == {"temperature": 0.5, "max_tokens": 9}
    assert (council.models[key].tools, council.models[key].breaker) == (False, None)
    field(app, "text_area", "Parameters").set_value("temperature").run()
    assert "must be a mapping" in captions(app)
    assert field(app, "text_area", "Parameters").value == "temperature"


def test_a_tool_is_added_named_and_called_by_its_name_everywhere() -> None:
    app = press(opened(), "add-tools")
    field(app, "selectbox", "Bundled").set_value("clock").run()
    field(app, "multiselect", "Tools").set_value(["tool"]).run()
    next(one for one in app.text_input if one.label == "Key" and one.value == "tool").set_value(
        "watch"
    ).run()
    council = load_council(written(draft_in(app)))
    assert [*council.tools] == ["watch"]
    assert council.characters[0].tools == ("watch",)


def test_every_field_of_the_council_has_its_place_in_the_forms() -> None:
    def fields_of(section: type[Section], path: str = "") -> Iterator[tuple[str, FieldShape]]:
        for name, shape in shapes_of(section).items():
            yield f"{path}{name}", shape
            if shape.section is not None:
                yield from fields_of(shape.section, f"{path}{name}.")

    shapes = dict(fields_of(Council))
    assert len(shapes) > 120
    assert {path for path, shape in shapes.items() if shape.kind == "other"} == {"layers"}, (
        "the characters' list draws these"
    )
    assert all(shape.help for shape in shapes.values())
