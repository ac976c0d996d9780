"""What can be done with an answer, and by the keys alone; what was done is there afterwards."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.browser.conftest import Server, Tab
from mom_council.tests.browser.test_chat import TALK, picture, upload, wait_for_files
from mom_council.tests.graph.desk import seat
from mom_council.tests.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

Serve = Callable[[str], Server]
Open = Callable[..., Tab]
Desk = Callable[..., str]

_PASTE = """([field, text]) => {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
  field.focus();
  field.dispatchEvent(
    new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def seeing(stage: Stage) -> dict[str, Any]:
    """Models that look at pictures."""
    return {
        name: {"provider": "openai", "model": name, "base_url": stage.openai_url, "vision": True}
        for name in ("ada", "boris", "clara", "pen")
    }


def field_of(tab: Tab) -> Any:
    return tab.page.get_by_test_id("stChatInputTextArea")


def test_thumbs_a_new_name_and_another_answer_stay(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage)
    one = tab(serve(desk_file()).url)
    one.ask("What is the best pet?")
    one.answered()
    one.page.get_by_role("radio", name="Thumbs up").click()
    one.page.wait_for_timeout(1500)
    sidebar = one.page.get_by_test_id("stSidebar")
    sidebar.get_by_role("button", name="Rename or delete").click()
    one.page.get_by_label("Name", exact=True).fill("Of pets")
    one.page.get_by_label("Name", exact=True).press("Enter")
    sidebar.get_by_role("button", name="Of pets").wait_for()
    one.open(one.page.url)
    one.answered()
    sidebar.get_by_role("button", name="Of pets").wait_for()
    one.page.get_by_role("radio", name="Thumbs up", checked=True).wait_for()

    stage.model("pen", reply="What the council says now.")
    one.page.get_by_role("button", name="Regenerate").click()
    one.page.locator(".stMain").get_by_text("What the council says now.").wait_for()
    one.answered()
    assert one.page.get_by_text("What the council says.", exact=True).count() == 0

    place = "node => Math.round(node.getBoundingClientRect().top)"
    before = one.answer.evaluate(place)
    one.page.get_by_text("2/2", exact=True).wait_for()
    one.page.get_by_role("button", name="Former answer").click()
    one.page.get_by_text("1/2", exact=True).wait_for()
    one.page.locator(".stMain").get_by_text("What the council says.", exact=True).wait_for()
    assert one.answer.evaluate(place) == before
    one.shot("former-answer-light")
    one.page.get_by_role("radio", name="Thumbs up", checked=True).wait_for()
    one.open(one.page.url)
    one.answered()
    assert one.answer.inner_text().strip() == "What the council says."
    one.page.get_by_role("button", name="Next answer").click()
    one.page.locator(".stMain").get_by_text("What the council says now.").wait_for()
    one.page.get_by_text("2/2", exact=True).wait_for()
    assert one.errors == []


def test_the_keys_are_enough(serve: Serve, tab: Open, stage: Stage, desk_file: Desk) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), TALK), tokens_per_second=8)
    one = tab(serve(desk_file()).url)
    focused = "document.activeElement.dataset.testid === 'stChatInputTextArea'"
    one.page.wait_for_function(focused)
    one.page.keyboard.type("What is the best pet?")
    one.page.keyboard.press("Enter")
    one.page.get_by_text("word3", exact=False).first.wait_for()
    one.page.get_by_text("The graph").click()
    drawn = one.page.get_by_role("img", name="The graph of the council desk")
    drawn.wait_for()
    source = str(drawn.get_attribute("src"))
    if source.startswith("data:"):
        svg = base64.b64decode(source.partition(",")[2]).decode()
    else:
        svg = one.page.request.get(source).text()
    assert svg.count('class="on"') == 3, "the three who speak are lit"
    one.page.keyboard.press("Escape")
    one.page.get_by_role("button", name="Resume").wait_for()
    assert {call.outcome for call in stage.wait_for(3, 60)} == {"client_left"}

    # Letters count only where nobody writes; Esc leaves the field.
    one.page.wait_for_function(focused)
    one.page.keyboard.type("n/?")
    assert field_of(one).input_value() == "n/?"
    one.page.keyboard.press("Escape")
    one.page.wait_for_function(f"!({focused})")
    one.page.keyboard.press("?")
    keys = one.page.get_by_role("dialog", name="Keyboard")
    keys.get_by_text("begins a new conversation").wait_for()
    one.shot("keys-light")
    one.page.keyboard.press("Escape")
    keys.wait_for(state="hidden")
    one.page.keyboard.press("/")
    one.page.wait_for_function(focused)
    one.page.keyboard.press("Escape")
    one.page.keyboard.press("n")
    one.page.get_by_text("Ask the council").wait_for()
    assert one.errors == []


def test_the_answer_never_moves_and_a_line_of_the_panel_opens_the_whole_of_it(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), f"{TALK} and the end."))
    stage.model("pen", reply=f"First words. {TALK}", tokens_per_second=60)
    one = tab(serve(desk_file(deliberation={"rounds": {"min": 2, "max": 2}})).url)
    place = "node => Math.round(node.getBoundingClientRect().top)"
    one.ask("What is the best pet?")
    one.page.locator(".mom-member").first.wait_for()
    before = one.answer.evaluate(place)
    one.answer.get_by_text("First words.").wait_for()
    writing = one.answer.evaluate(place)
    one.answered()
    assert (writing, one.answer.evaluate(place)) == (before, before)

    member = one.page.get_by_role("button", name="Boris, has answered: read the whole answer")
    assert member.evaluate("node => node.getBoundingClientRect().height") < 48, "it is one line"
    member.click()
    one.page.get_by_role("dialog").get_by_text("word399 and the end.").wait_for()
    one.page.keyboard.press("Escape")
    one.page.get_by_role("dialog").wait_for(state="detached")
    steps = [one.page.get_by_role("button", name=f"Round {number}") for number in (1, 2)]
    assert [step.get_attribute("aria-pressed") for step in steps] == ["false", "true"]
    steps[0].click()
    assert [step.get_attribute("aria-pressed") for step in steps] == ["true", "false"]
    with one.page.expect_download() as download:
        one.page.get_by_role("button", name="Export").click()
    text = Path(download.value.path()).read_text()
    assert text.startswith("# What is the best pet?\n\nFirst words.")
    assert {"## Round 1", "## Round 2", "### Boris (boris)"} <= {*text.splitlines()}
    assert text.count("word399 and the end.") == 6, "each answer whole, in both rounds"
    assert one.errors == []


def test_a_typed_question_is_not_lost_where_a_preset_is_asked(serve: Serve, tab: Open) -> None:
    one = tab(serve("demo").url)
    one.ask("What is 17 + 25?")
    one.answered()


def test_a_pasted_picture_is_sent(serve: Serve, tab: Open, stage: Stage, desk_file: Desk) -> None:
    seat(stage)
    one = tab(serve(desk_file(models=seeing(stage))).url)
    handle = field_of(one).element_handle()
    one.page.evaluate(_PASTE, [handle, base64.b64encode(picture()).decode()])
    wait_for_files(one, 1)
    one.ask("What is in the picture?")
    one.answered()
    [asked, *_] = stage.calls_to("ada")
    [_, shown] = asked.body["messages"][-1]["content"]
    assert shown["image_url"]["url"].startswith("data:image/png;base64,")


def test_what_was_typed_beside_a_refused_picture_is_still_there(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    one = tab(serve(desk_file()).url)
    big = b"\x89PNG\r\n\x1a\n" + bytes(49_000_000)
    upload(one, {"name": "big.png", "mimeType": "image/png", "buffer": big})
    one.ask("What is in the picture?")
    one.page.get_by_text("has 49 MB, and at most 20 MB are taken").wait_for()
    one.page.wait_for_function(
        "document.querySelector('[data-testid=stChatInputTextArea]').value"
        " === 'What is in the picture?'"
    )
    one.shot("too-large-light")
    assert stage.calls == []


def test_the_way_from_an_answer_to_another_count_and_back(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "count", "Clara": "count"})
    one = tab(serve(desk_file()).url)
    for question in ("What is the best pet?", "What is the worst pet?"):
        one.page.get_by_role("button", name="New conversation").click()
        one.page.get_by_text("Ask the council").wait_for()
        one.ask(question)
        one.answered()
    sidebar = one.page.get_by_test_id("stSidebar")
    sidebar.get_by_role("button", name="What is the best pet?").click()
    one.page.locator(".stMain").get_by_text("What is the best pet?").first.wait_for()
    one.answered()
    one.ask("And what of fish?")
    one.page.get_by_role("button", name="Re-vote").nth(1).wait_for()
    one.answered()
    before = len(stage.calls)
    one.page.locator(".stMain").get_by_role("button", name="Re-vote").first.click()
    one.page.get_by_role("heading", name="Re-vote", level=1).wait_for()
    one.page.get_by_text("The same proposal leads").wait_for()
    one.page.get_by_role("spinbutton", name="Ada").wait_for()
    assert one.page.locator(".stMain strong").get_by_text("What is the best pet?").is_visible()
    one.page.get_by_role("spinbutton", name="Ada").fill("5")
    one.page.get_by_role("spinbutton", name="Boris").click()
    one.page.get_by_text("Another proposal leads").wait_for()
    assert len(stage.calls) == before, "counting asks nobody"
    stage.model("pen", reply="What the council says now.")
    one.page.get_by_role("button", name="Rewrite answer").click()
    one.page.get_by_text("What the council says now.").wait_for()
    assert len(stage.calls) == before + 1
    one.shot("revote-light")
    one.page.get_by_role("button", name="Back to the conversation").click()
    one.answered()
    assert "What the council says." in one.answer.inner_text()
    assert re.search(r"thread=\w+", one.page.url)
    assert one.errors == []


def test_an_answer_of_another_count_takes_the_place_of_the_old_one(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "count", "Clara": "count"})
    one = tab(serve(desk_file()).url)
    one.ask("What is the best pet?")
    one.answered()
    url = one.page.url
    one.page.locator(".stMain").get_by_role("button", name="Re-vote").click()
    one.page.get_by_text("The same proposal leads").wait_for()
    ballots = one.page.get_by_role("list", name="Ballots").get_by_role("listitem")
    assert [text.split(" →")[0] for text in ballots.all_inner_texts()] == ["Ada", "Boris", "Clara"]
    stage.model("pen", reply="What the council says now.")
    one.page.get_by_role("button", name="Rewrite answer").click()
    one.page.get_by_text("What the council says now.").wait_for()
    one.page.get_by_role("button", name="Use this answer in the conversation").click()
    one.answered()
    assert one.answer.inner_text().strip() == "What the council says now."
    one.open(url)
    one.answered()
    assert one.answer.inner_text().strip() == "What the council says now."
    assert one.errors == []


def test_a_picture_that_nobody_can_see_is_refused_before_anybody_is_asked(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage)
    one = tab(serve(desk_file()).url)
    upload(one, {"name": "pets.png", "mimeType": "image/png", "buffer": picture()})
    one.ask("What is in the picture?")
    one.page.get_by_text("No model of this council can see pictures.").wait_for()
    one.page.wait_for_function(
        "document.querySelector('[data-testid=stChatInputTextArea]').value"
        " === 'What is in the picture?'"
    )
    assert stage.calls == []
