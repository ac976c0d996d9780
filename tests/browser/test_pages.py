"""The other pages as a person has them: a council edited, a vote counted anew, a trace read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.evals.verdict import judge
from mom_council.evals.verdict_page import as_html
from mom_council.tests.browser.conftest import PICTURES, Server, Tab
from mom_council.tests.evals.test_verdict import panel
from mom_council.tests.graph import desk
from mom_council.tests.graph.desk import seat
from mom_council.tests.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

Serve = Callable[[str], Server]
Open = Callable[..., Tab]
Desk = Callable[..., str]

LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 1000}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 1000}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(2)</script> [go](javascript:alert(3)) "
    "![far](http://192.0.2.1/far.png)"
)


def turn_to(tab: Tab, page: str) -> None:
    settled(tab)
    tab.page.get_by_role("link", name=page).click()
    tab.page.get_by_role("heading", name=page, level=1).wait_for()
    settled(tab)


def ask(tab: Tab, question: str) -> None:
    settled(tab)
    tab.ask(question)
    tab.answered(90)


def settled(tab: Tab) -> None:
    """Wait until the page is drawn to its end: before, parts of two pages may stand there."""
    tab.page.wait_for_timeout(250)
    done = "[data-testid=stApp][data-test-script-state=notRunning]"
    tab.page.locator(done).wait_for(state="attached", timeout=60_000)


def whole_shot(tab: Tab, name: str) -> None:
    """A picture of the page down to its end."""
    settled(tab)
    size = tab.page.viewport_size
    assert size is not None
    inner = "document.querySelector('[data-testid=stMain]').scrollHeight"
    height = min(4000, int(tab.page.evaluate(inner)) + 20)
    tab.page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
    tab.page.wait_for_timeout(600)
    PICTURES.mkdir(exist_ok=True)
    tab.page.screenshot(path=str(PICTURES / f"{name}.png"))
    tab.page.set_viewport_size(size)


def test_a_council_is_edited_and_asked_without_being_saved(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage)
    one = tab(serve(desk_file()).url)
    turn_to(one, "Council")
    one.page.locator(".st-key-edit-1 button:visible").click()
    settled(one)
    form = one.page.locator(".st-key-character")
    form.get_by_role("textbox", name="Name").fill("Eve")
    form.get_by_role("textbox", name="Persona").fill("You collect stamps.")
    form.get_by_role("textbox", name="Speaking style").click()
    one.page.locator(".st-key-seat-1").get_by_text("Eve").wait_for()
    form.get_by_role("spinbutton", name="Weight").fill("-3")
    form.get_by_role("spinbutton", name="Temperature").click()
    one.page.get_by_text("must be at least 0").first.wait_for()
    whole_shot(one, "editor-fault")
    assert one.page.get_by_role("button", name="Try it").is_disabled()
    one.page.get_by_role("button", name="Undo").click()
    one.page.get_by_text("must be at least 0").first.wait_for(state="detached")
    one.page.get_by_role("button", name="Try it").click()
    one.page.get_by_test_id("stChatInputTextArea").wait_for()
    ask(one, "What is the best pet?")
    spoken = desk.said(desk.speaking(stage.calls_to("boris"))[0].body)
    assert "You collect stamps." in spoken
    assert "Eve" in spoken
    assert one.errors == []


def test_layers_are_made_and_undone_with_the_board(serve: Serve, tab: Open) -> None:
    one = tab(serve("demo").url)
    turn_to(one, "Council")
    one.page.locator(".st-key-edit-2 button:visible").click()
    one.page.locator(".st-key-right-2 button:visible").click()
    one.page.get_by_text("Layer 2").wait_for()
    settled(one)
    one.page.locator(".st-key-edit-0 button:visible").click()
    one.page.locator(".st-key-copy-0 button:visible").click()
    one.page.locator(".st-key-seat-1").get_by_text("Ada 2").wait_for()
    whole_shot(one, "editor-layers")
    settled(one)
    one.page.locator(".st-key-remove-1 button:visible").click()
    one.page.get_by_text("Ada 2").first.wait_for(state="detached")
    one.page.get_by_role("tab", name="YAML").click()
    assert one.page.get_by_text("layers:").first.is_visible()
    with one.page.expect_download() as told:
        one.page.get_by_role("button", name="Download").click()
    assert told.value.suggested_filename == "demo.yaml"
    assert one.errors == []


def test_a_trace_is_read_with_its_timeline_and_its_messages(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, latency=0.2)
    one = tab(serve(desk_file()).url)
    ask(one, "What is the best pet?")
    turn_to(one, "Traces")
    one.page.get_by_text("at most 3 at once").wait_for()
    one.page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first.wait_for()
    chosen = one.page.get_by_role("combobox", name="Question")
    assert "What is the best pet?" in str(chosen.get_attribute("aria-label")) + chosen.input_value()
    one.page.get_by_role("textbox", name="Words").fill("nobody said this")
    one.page.get_by_role("textbox", name="Words").press("Enter")
    one.page.get_by_text("No trace is like that").wait_for()
    assert one.abroad() == []
    assert one.errors == []


def test_a_model_is_called_to_hear_it(serve: Serve, tab: Open) -> None:
    one = tab(serve("demo").url)
    turn_to(one, "Models")
    one.page.get_by_role("textbox", name="What to ask").fill("What is 2 + 3?")
    one.page.get_by_role("textbox", name="What to ask").press("Enter")
    settled(one)
    one.page.get_by_role("button", name="Ask", exact=True).click()
    # A number, whether or not so small a model adds up.
    number = re.compile(r"^\d+$")
    one.page.locator(".st-key-test-answer").get_by_text(number).wait_for(timeout=60_000)
    assert one.page.get_by_text(re.compile(r"\d\.\d\d s · ")).is_visible()
    assert one.errors == []


def test_hostile_names_and_answers_are_inert_on_every_page(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    desk.PERSONAS.setdefault(hostile, HOSTILE)
    names = (hostile, "Boris", "Clara")
    for name in names:
        stage.model(name.lower(), reply=desk.character(HOSTILE))
    stage.model("pen", reply=HOSTILE)
    one = tab(serve(desk_file(names)).url)
    ask(one, HOSTILE)
    for page in ("Council", "Models", "Traces", "Re-vote"):
        turn_to(one, page)
        settled(one)
        one.page.wait_for_timeout(700)
        assert one.page.locator("img[src='x'], img[src*='192.0.2.1']").count() == 0
        assert one.page.locator("a[href^='javascript']").count() == 0
    assert one.abroad() == []
    assert one.errors == []


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_pictured_and_none_asks_the_network(
    serve: Serve, tab: Open, look: str
) -> None:
    server = serve("demo")
    one = tab(server.url, **LOOKS[look])
    ask(one, "What is 17 + 25?")
    for page in ("Council", "Models", "Traces", "Re-vote"):
        settled(one)
        menu = one.page.get_by_test_id("stExpandSidebarButton")
        if menu.is_visible():
            menu.click()
        turn_to(one, page)
        if look == "phone":  # the menu lies over the page until it is folded
            one.page.get_by_test_id("stSidebarCollapseButton").locator("button").click()
        one.page.wait_for_timeout(800)
        whole_shot(one, f"{page.lower()}-{look}")
        wide = "document.querySelector('[data-testid=stMain]').scrollWidth"
        assert one.page.evaluate(wide) <= one.page.evaluate("window.innerWidth"), page
    assert one.abroad() == []
    assert one.errors == []


@pytest.mark.parametrize("look", LOOKS)
def test_the_verdict_of_pays_fits_every_screen(chromium: Any, tmp_path: Path, look: str) -> None:
    """It is a file that is opened, sent and printed: no server, no width of its own."""
    place = tmp_path / "verdict.html"
    place.write_text(as_html(judge(panel([0.8, 0.7, 0.6], 60))), encoding="utf-8")
    context = chromium.new_context(**LOOKS[look])
    page = context.new_page()
    page.goto(place.as_uri())
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=str(PICTURES / f"verdict-{look}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look]["viewport"]["width"]
    names = page.locator("td:first-child")
    assert names.count() >= 4
    for cell in names.all():
        box = cell.bounding_box()
        assert box is not None
        assert box["height"] <= 90, "a name stands in a line or two, not letter under letter"
    context.close()
