"""The README's picture of the chat: `python -m mom_council.tests.browser.screenshot OUT.png`.

A council on the stage is asked a question on the real page, in a real chromium. What it says is
written down here, so that the picture is the same every time; who votes for what is voted, counted
and drawn by the page itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mom_council.councils.loader import load_council, to_yaml
from mom_council.tests.browser.conftest import CHROMIUM, FLAGS, Server, Tab
from mom_council.tests.graph.desk import candidates, own
from mom_council.tests.stage import Stage

QUESTION = "We are four people and one product. Should we split it into microservices?"
ANSWER = """\
**Not yet.** Keep one application, and draw the borders of its modules now, so that a part can move
out later without a rewrite.

- **Split** when a part has to scale, be released or fail apart, and you can measure that.
- **Until then** every call over a network is a new way to fail, and one more reason to be woken.
"""
WIDE, HIGH = 1280, 1310
LARGEST = 300_000
"""Bytes; a README loads on a phone."""


class Part(NamedTuple):
    """What a character says, round by round, and whom it votes for and why."""

    name: str
    persona: str
    model: str
    answers: tuple[str, str]
    likes: tuple[str, str]
    reasons: tuple[str, str]


COUNCIL = (
    Part(
        "Architect",
        "You think in boundaries and in years.",
        "qwen3:8b",
        (
            (
                "Start with one application and clear borders between its modules. Borders cost "
                "little to move inside a process, and much once a network runs through them.\n\n"
                "Answer: one application, with borders"
            ),
            (
                "One application, with borders between its modules that a test enforces. Split the "
                "first part out when its load or its releases differ from the rest, not before."
                "\n\nAnswer: one application"
            ),
        ),
        ("take the whole site", "Uploads eat memory"),
        ("It starts from what fails today.", "It names the one part that hurts today."),
    ),
    Part(
        "Operator",
        "You are the one who is called at night.",
        "llama3.1:8b",
        (
            (
                "Every service is one more thing to deploy, to watch, to be called for at night. "
                "With four people you would run a platform instead of a product.\n\n"
                "Answer: one application"
            ),
            (
                "Keep one application until two people can be on call for a second. A border costs "
                "a review; a service costs a pipeline, a dashboard and a night's sleep."
                "\n\nAnswer: one application"
            ),
        ),
        ("cost little to move", "a test enforces"),
        ("Borders first is the order that can be undone.", "It says when to split, and when not."),
    ),
    Part(
        "Advocate",
        "You look for the case that the others miss.",
        "mistral:7b",
        (
            (
                "Split out the one part that already hurts: uploads that take the whole site down. "
                "One second service is no zoo, and you learn the craft while it is cheap.\n\n"
                "Answer: split uploads"
            ),
            (
                "Uploads eat memory until everything else stands still, so they belong in a "
                "process of their own. The rest can stay one application.\n\nAnswer: split uploads"
            ),
        ),
        ("called for at night", "a test enforces"),
        ("Nobody wants ten services here, me neither.", "A tested border can move out later."),
    ),
)


def written(stage: Stage) -> dict[str, Any]:
    """The council as its file says it."""
    voices = {
        _key(one): {"provider": "openai", "model": one.model, "base_url": stage.openai_url}
        for one in COUNCIL
    }
    pen = {"provider": "openai", "model": "gpt-oss:20b", "base_url": stage.openai_url}
    return {
        "name": "sounding board",
        "models": {**voices, "pen": pen},
        "characters": [
            {"name": one.name, "model": _key(one), "personality": one.persona}
            for one in COUNCIL
        ],
        "synthesizer": {"model": "pen"},
        "thermal": None,
        "deliberation": {
            "method": "plurality", "rounds": {"min": 2, "max": 3}, "threshold": 0.6, "quorum": 1.0,
        },
    }  # fmt: skip


def _key(one: Part) -> str:
    return one.model.partition(":")[0].replace(".", "-")


def rehearse(stage: Stage) -> None:
    """Write down what everyone says."""
    for place, one in enumerate(COUNCIL):
        stage.model(one.model, reply=_spoken(one), tokens_per_second=34 + 9 * place)
    stage.model("gpt-oss:20b", reply=ANSWER, tokens_per_second=60)


def _spoken(part: Part) -> Callable[[dict[str, Any]], str]:
    def reply(body: dict[str, Any]) -> str:
        shown = candidates(body)
        if not shown:
            return part.answers[bool(own(body))]
        again = any(one.answers[1] in shown.values() for one in COUNCIL)
        best = next(label for label, text in shown.items() if part.likes[again] in text)
        return json.dumps({"reason": part.reasons[again], "vote": best})

    return reply


def take(server: Server, chromium: Any, out: Path) -> None:
    """Ask, wait, and take the picture."""
    context = chromium.new_context(
        viewport={"width": WIDE, "height": HIGH}, color_scheme="light", reduced_motion="reduce"
    )
    context.set_default_timeout(120_000)
    tab = Tab(context).open(server.url)
    tab.ask(QUESTION)
    tab.answered()
    tab.page.locator(".mom-verdict").last.wait_for()
    tab.page.wait_for_timeout(1500)
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.evaluate("document.querySelector('.stMain').scrollTo(0, 0)")
    tab.page.wait_for_timeout(500)
    tab.page.screenshot(path=str(out))
    context.close()


def shrink(out: Path) -> None:
    """Fewer colours: what a page of text needs."""
    from PIL import Image

    with Image.open(out) as picture:
        small = picture.convert("RGB").quantize(200, dither=Image.Dither.NONE)
    small.save(out, optimize=True)


def main() -> None:
    """Take the picture."""
    told = argparse.ArgumentParser(prog="screenshot", description="The README's picture.")
    told.add_argument("out", type=Path, help="a PNG file")
    out = told.parse_args().out
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, Stage() as stage, sync_playwright() as started:
        rehearse(stage)
        file = Path(folder) / "sounding-board.yaml"
        file.write_text(to_yaml(load_council(written(stage))))
        server = Server(Path(folder) / "home", str(file)).start()
        try:
            chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            take(server, chromium, out)
            chromium.close()
        finally:
            server.stop()
    shrink(out)
    size = out.stat().st_size
    print(f"{out}: {size / 1000:.0f} kB")
    if size > LARGEST:
        raise SystemExit(f"that is more than {LARGEST / 1000:.0f} kB")


if __name__ == "__main__":
    main()
