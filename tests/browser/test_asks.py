"""What a run waits for: leave for a tool, and a person's word, given in the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.loader import load_council, to_yaml
from mom_council.tests.browser.conftest import Server, Tab
from mom_council.tests.graph.desk import said, seat, voting, written
from mom_council.tests.stage import Reply, Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

Serve = Callable[[str], Server]
Open = Callable[..., Tab]
NAMES = ("Ada", "Boris", "Clara")
CALL = {"name": "calculator", "args": {"expression": "6 * 7"}, "id": "c1"}


def kept(made: dict[str, Any], folder: Path) -> str:
    path = folder / "desk.yaml"
    path.write_text(to_yaml(load_council(made)))
    return str(path)


def test_a_tool_is_called_with_leave_and_as_it_was_changed(
    serve: Serve, tab: Open, stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    stage.model("ada", reply=[Reply(None, tool_calls=[CALL]), "It is 12."])
    made = written(stage, NAMES, deliberation={"method": "none"})
    made["tools"] = {"calculator": {"bundled": "calculator", "approve": True}}
    made["characters"][0]["tools"] = ["calculator"]
    one = tab(serve(kept(made, tmp_path)).url)
    one.ask("How many?")
    field = one.page.get_by_role("textbox", name="With these arguments")
    field.wait_for()
    one.page.wait_for_function("document.title === '● Mixture of Models'")
    one.page.get_by_text("2 of 3 have answered · waiting for you").wait_for()
    one.shot("leave-light")
    field.fill('{"expression": "3 * 4"}')
    one.page.wait_for_timeout(1500)  # drawn anew several times, what was typed stays
    assert field.input_value() == '{"expression": "3 * 4"}'
    one.page.get_by_role("button", name="Allow once").click()
    one.answered()
    one.page.wait_for_function("document.title === 'Mixture of Models'")
    results = [m for m in stage.calls_to("ada")[1].body["messages"] if m["role"] == "tool"]
    assert results[0]["content"].splitlines()[-2] == "12"  # the last line closes its fence
    assert one.errors == []


def test_a_person_speaks_and_votes_from_the_page(
    serve: Serve, tab: Open, stage: Stage, tmp_path: Path
) -> None:
    seat(stage, likes="parrot")
    made = written(stage, NAMES, deliberation={"rounds": {"min": 1, "max": 1}})
    made["models"]["clara"] = {"provider": "human", "model": "Ms K.", "timeout": 200}
    one = tab(serve(kept(made, tmp_path)).url)
    one.ask("What is the best pet?")
    one.page.get_by_text("Ms K. answers").wait_for()
    one.shot("person-light")
    one.page.get_by_role("textbox", name="Your answer").fill("A parrot, by far.")
    one.page.get_by_role("button", name="Send", exact=True).click()
    one.page.get_by_text("Ms K. votes").wait_for()
    assert one.page.get_by_text("<candidate").count() == 0, "no model's prompt for a person"
    one.shot("ballot-light")
    one.page.locator('[class*="st-key-candidate-"]').first.get_by_text("A", exact=True).wait_for()
    one.page.get_by_test_id("stRadio").get_by_text("A", exact=True).click()
    one.page.get_by_role("button", name="Vote", exact=True).click()
    one.answered()
    assert any("A parrot, by far." in said(call.body) for call in voting(stage.calls))
    assert one.page.get_by_text("did not answer: Clara").count() == 0
    assert one.errors == []
