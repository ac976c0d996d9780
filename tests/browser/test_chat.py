"""The chat as a person has it: asked, watched, stopped, resumed, reloaded, shared with nobody."""

from __future__ import annotations

import io
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from mom_council.tests.browser.conftest import Server, Tab
from mom_council.tests.graph.desk import seat, speaking
from mom_council.tests.stage import Fault, Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

Serve = Callable[[str], Server]
Open = Callable[..., Tab]
Desk = Callable[..., str]

TALK = " ".join(f"word{number}" for number in range(400))


def picture(mode: str = "RGBA", form: str = "PNG") -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new(mode, (64, 48), (200, 30, 30, 90)[: len(mode)]).save(out, form)
    return out.getvalue()


def upload(tab: Tab, *files: dict[str, Any]) -> None:
    with tab.page.expect_file_chooser() as chooser:
        tab.page.get_by_test_id("stChatInputFileUploadButton").click()
    chooser.value.set_files(list(files))
    wait_for_files(tab, len(files))


def wait_for_files(tab: Tab, count: int) -> None:
    """Until the field holds so many files; Enter does nothing while one is on its way."""
    tab.page.wait_for_function(
        "count => document.querySelectorAll('[data-testid=stFileChip]').length === count"
        " && !document.querySelector('[data-testid=stFileChipIconSpinner]')",
        arg=count,
    )


def test_the_demo_answers_a_suggested_question_without_any_network(serve: Serve, tab: Open) -> None:
    server = serve("demo")
    one = tab(server.url)
    one.shot("empty-light")
    one.page.get_by_role("button", name="What is 17 + 25?").click()
    one.answered()
    assert one.answer.inner_text().strip() == "42"
    one.page.get_by_text("2 of 3 chose '42'").wait_for()
    one.shot("answered-light")
    for name in ("Ada", "Boris", "Clara"):
        assert one.page.get_by_role("button", name=f"{name}, has answered").is_visible()
    assert "thread=" in one.page.url
    assert one.abroad() == []
    assert one.errors == []


def test_the_browser_itself_refuses_other_addresses(serve: Serve, tab: Open) -> None:
    one = tab(serve("demo").url)
    one.page.wait_for_function("document.getElementById('mom-fence') !== null")
    told = one.page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'refused')")
    assert told == "refused"


def test_lines_fill_and_stop_hangs_up_and_resume_goes_on(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), TALK), tokens_per_second=40)
    one = tab(serve(desk_file()).url)
    one.ask("What is the best pet?")
    card = one.page.locator(".mom-member").first
    card.get_by_text(re.compile(r"word\d")).wait_for()
    grows = "before => document.querySelector('.mom-member').innerText !== before"
    one.page.wait_for_function(grows, arg=card.inner_text())
    one.shot("running-light")
    one.page.get_by_role("button", name=re.compile("^Stop")).click()
    one.page.get_by_role("button", name="Resume").wait_for()
    assert {call.outcome for call in stage.wait_for(3, 60)} == {"client_left"}
    one.shot("stopped-light")
    seat(stage)
    one.page.get_by_role("button", name="Resume").click()
    one.answered()
    assert "What the council says." in one.answer.inner_text()


def test_a_tab_follows_when_another_one_resumes_its_stopped_question(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, latency=60)
    server = serve(desk_file())
    one = tab(server.url)
    one.ask("What is the best pet?")
    stage.wait_for(3, 60, started=True)
    one.page.get_by_role("button", name=re.compile("^Stop")).click()
    one.page.get_by_role("button", name="Resume").wait_for()
    seat(stage)
    two = tab(one.page.url, beside=one)
    two.page.get_by_role("button", name="Resume").click()
    one.answered()
    assert "What the council says." in one.answer.inner_text()


def test_a_reloaded_tab_finds_the_running_question_and_a_slider_leaves_it_alone(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), TALK), tokens_per_second=12)
    one = tab(serve(desk_file()).url)
    one.ask("What is the best pet?")
    one.page.get_by_text(re.compile(r"word\d")).first.wait_for()
    one.page.get_by_text("Settings").click()
    one.page.get_by_role("slider").first.press("ArrowRight")
    one.page.reload()
    one.page.get_by_role("button", name=re.compile("^Stop")).wait_for()
    assert one.page.get_by_text("What is the best pet?").first.is_visible()
    one.answered()
    assert len(speaking(stage.calls_to("ada"))) == 1, "nothing was asked twice"


def test_two_people_see_nothing_of_each_other(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, latency=1.0)
    server = serve(desk_file())
    one, other = tab(server.url), tab(server.url)
    one.ask("What is the secret of the first?")
    other.ask("What is the riddle of the second?")
    one.answered()
    other.answered()
    assert one.page.get_by_text("riddle").count() == 0
    assert other.page.get_by_text("secret").count() == 0
    other.page.goto(one.page.url)
    other.page.get_by_text("no conversation of yours").wait_for()
    assert other.page.get_by_text("secret").count() == 0


def test_two_tabs_of_one_person_hold_two_conversations(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage, latency=1.0)
    server = serve(desk_file())
    one = tab(server.url)
    one.page.wait_for_timeout(500)
    two = tab(server.url, beside=one)
    one.ask("What is the first?")
    two.ask("What is the second?")
    one.answered()
    two.answered()
    main = two.page.locator(".stMain")
    assert main.get_by_text("What is the second?").count() >= 1
    assert main.get_by_text("What is the first?").count() == 0
    assert two.page.get_by_test_id("stSidebar").get_by_text("What is the first?").count() == 1


def test_a_killed_server_keeps_the_thread_and_offers_to_resume(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage)
    stage.model("pen", reply="late", latency=60)
    server = serve(desk_file())
    one = tab(server.url)
    one.ask("What is the best pet?")
    stage.wait_for(1, 60, started=True, model="pen")
    one.page.wait_for_timeout(1000)
    server.stop(signal.SIGKILL)
    stage.model("pen", reply="What the council says.")
    server.start()
    one.open(one.page.url)
    one.page.get_by_role("button", name="Resume").click()
    one.answered()
    assert "What the council says." in one.answer.inner_text()
    assert len(stage.calls_to("ada")) == 2


def test_pictures_reach_the_models_small_and_upright(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage)
    voices = {
        name: {"provider": "openai", "model": name, "base_url": stage.openai_url, "vision": True}
        for name in ("ada", "boris", "clara", "pen")
    }
    one = tab(serve(desk_file(models=voices)).url)
    name = "../../etc/passwd.png"
    upload(one, {"name": name, "mimeType": "image/png", "buffer": picture()})
    one.ask("What is in the picture?")
    one.answered()
    assert one.page.get_by_alt_text("Picture 1 of the question").is_visible()
    [asked, *_] = stage.calls_to("ada")
    [_, shown] = asked.body["messages"][-1]["content"]
    assert shown["image_url"]["url"].startswith("data:image/png;base64,")
    assert "passwd" not in str(asked.body)
    one.shot("picture-light")


HOSTILE = "\n\n".join(
    [
        "<script>alert('script')</script><img src=x onerror=alert('img')>",
        "[a link](javascript:alert('link')) and ![beacon](http://evil.example/pixel.png)",
        "![by reference][r]\n\n[r]: http://evil.example/reference.png",
        "| a | b |\n|---|---|\n" + "| x | y |\n" * 800,
        "endless" * 3000,
        "\u202etxet desrever \u200b\u200b\u200b שלום עולם and مرحبا",
        "It costs $5 or $6. :red[not red] and $x^2$.",
        "An icon :material/delete: or :streamlit: is text.",
        "```\nunclosed ![code](http://evil.example/code.png)",
    ]
)


def test_hostile_answers_stay_text(serve: Serve, tab: Open, stage: Stage, desk_file: Desk) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), HOSTILE))
    stage.model("pen", reply=HOSTILE)
    one = tab(serve(desk_file()).url)
    one.ask(HOSTILE[:400])
    one.answered()
    one.page.wait_for_timeout(1500)
    one.shot("hostile-light")
    assert one.errors == []
    assert one.abroad() == []
    assert one.page.locator("a[href^='javascript']").count() == 0
    assert one.page.locator(".stMain").locator("img[src*=evil]").count() == 0
    assert ":\u2060material/delete: or :\u2060streamlit: is text." in one.answer.inner_text()
    wide = "document.querySelector('.stMain').scrollWidth"
    assert one.page.evaluate(wide) <= 1281


def test_the_rest_of_a_thread_rename_search_edit_branch_delete(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage)
    one = tab(serve(desk_file()).url)
    one.ask("What is the best pet?")
    one.answered()
    one.page.get_by_role("button", name="Edit").click()
    one.page.get_by_label("Edit question").fill("What is the worst pet?")
    one.page.get_by_label("Edit question").press("Control+Enter")
    one.page.get_by_role("button", name="Ask", exact=True).click()
    one.page.locator(".stMain").get_by_text("What is the worst pet?").first.wait_for()
    one.answered()
    sidebar = one.page.get_by_test_id("stSidebar")
    assert sidebar.get_by_role("button", name="What is the best pet?").count() == 1
    one.page.get_by_role("button", name="Branch").click()
    sidebar.get_by_role("button", name="What is the worst pet? (branch)").wait_for()
    sidebar.get_by_label("Search").fill("best")
    sidebar.get_by_label("Search").press("Enter")
    sidebar.get_by_role("button", name="(branch)").wait_for(state="detached")
    sidebar.get_by_role("button", name="What is the best pet?").click()
    one.page.wait_for_timeout(800)
    sidebar.get_by_role("button", name="Rename or delete").click()
    one.page.get_by_text("Delete conversation").click()
    one.page.get_by_role("button", name="Delete", exact=True).click()
    sidebar.get_by_text("No results").wait_for()


def test_absent_characters_and_a_failed_council_say_why(
    serve: Serve, tab: Open, stage: Stage, desk_file: Desk
) -> None:
    seat(stage)
    stage.model("boris", always=Fault.status(400, message="no such luck"))
    one = tab(serve(desk_file(deliberation={"quorum": 0.5})).url)
    one.ask("What is the best pet?")
    one.answered()
    assert one.page.get_by_text("1 of 3 did not answer: Boris failed").is_visible()
    one.shot("absent-light")
    for name in ("ada", "clara"):
        stage.model(name, always=Fault.status(400))
    one.page.get_by_role("button", name="Regenerate").click()
    one.page.get_by_role("button", name="Resume").wait_for()
    one.shot("failed-light")


def test_dark_and_on_a_phone(serve: Serve, tab: Open, stage: Stage, desk_file: Desk) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), TALK[:1500]), tokens_per_second=25)
    server = serve(desk_file(deliberation={"rounds": {"min": 2, "max": 2}}))
    dark = tab(server.url, color_scheme="dark")
    phone = tab(server.url, viewport={"width": 390, "height": 844}, color_scheme="dark")
    phone.shot("empty-phone")
    dark.ask("What is the best pet?")
    phone.ask("What is the best pet?")
    dark.page.get_by_text("word30", exact=False).first.wait_for()
    dark.shot("running-dark")
    phone.shot("running-phone")
    wide = "document.querySelector('.stMain').scrollWidth"
    assert phone.page.evaluate(wide) <= 391
    dark.answered()
    dark.shot("answered-dark")
    phone.answered()
    phone.shot("answered-phone")
    assert phone.page.evaluate(wide) <= 391


def test_a_server_that_is_gone_is_called_by_its_name(
    serve: Serve, tab: Open, desk_file: Desk
) -> None:
    server = serve(desk_file())
    # Streamlit has two texts: one for a machine of one's own, and one for any other.
    tabs = [tab(server.url), tab(server.url.replace("127.0.0.1", "localhost"))]
    server.stop()
    for number, one in enumerate(tabs):
        one.page.get_by_text("Mixture of Models does not answer any more.").wait_for()
        shown = one.page.get_by_role("dialog").inner_text()
        assert "mom ui" in shown
        assert "streamlit run" not in shown
        assert "internet" not in shown
        one.shot(f"gone-{number}-light")
