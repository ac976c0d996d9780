"""What eight streams cost the page: `python -m mom_council.tests.browser.load`.

Eight characters stream a hundred tokens a second each from the stage, in a conversation with few
and with many earlier turns. Told are the server's share of a core, how often a line changes in the
browser, and how long a click takes; with them the machine's load, which is in all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from mom_council.councils.loader import load_council, to_yaml
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.page_store import PageStore
from mom_council.tests.browser.conftest import CHROMIUM, FLAGS, Server, Tab
from mom_council.tests.graph.desk import PERSONAS, character, written
from mom_council.tests.stage import Stage
from mom_council.ui import session
from mom_council.ui.history import copy_conversation

NAMES = ("Ada", "Boris", "Clara", "Dmitri", "Elena", "Farid", "Gita", "Hugo")
TEXT = " ".join(f"word{number}" for number in range(2000))
THREAD = "0123456789abcdef"
READER = "a" * session.LENGTH
PARAGRAPH = "An earlier answer, of some **sixty words** in a list or two, as answers are:\n\n" + (
    "- because it was asked, and somebody had to say something about it in a sentence or so;\n" * 4
)

_COUNT = """() => {
  window.changes = 0;
  const cards = document.querySelectorAll('.mom-member');
  new MutationObserver(() => { window.changes += 1; })
    .observe(cards[0], {characterData: true, childList: true, subtree: true});
}"""


class Cost(NamedTuple):
    """What was measured."""

    turns: int
    server: float
    """Of one core."""
    redraws: float
    """Of one member's line, a second."""
    click: float
    """Seconds from a click in the sidebar until its fold is open."""


def council(stage: Stage) -> str:
    """The council of eight, as YAML; its script is written down too."""
    for name in NAMES:
        PERSONAS.setdefault(name, f"You are {name}.")
        stage.model(name.lower(), reply=character(TEXT), tokens_per_second=100)
    stage.model("pen", reply="What the council says.")
    return to_yaml(load_council(written(stage, NAMES)))


def keep_turns(home: Path, yaml: str, path: str, turns: int) -> None:
    """Write a conversation of so many turns into a server's home."""
    said: list[AnyMessage] = []
    for number in range(turns):
        said.append(HumanMessage(f"What about number {number}?", id=f"q{number}"))
        said.append(AIMessage(f"{number}. {PARAGRAPH}", id=f"a{number}"))

    async def write() -> None:
        async with open_checkpointer(str(home / "threads.db")) as saver:
            await copy_conversation(saver, THREAD, load_council(path), said)

    home.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as pool:  # playwright has a loop in this thread
        pool.submit(asyncio.run, write()).result()
    PageStore(home).put(THREAD, reader=READER, title="Many questions", council=yaml)


def measure(server: Server, tab: Tab, turns: int, seconds: float) -> Cost:
    """Ask, and watch for so many seconds."""
    tab.ask("What is the best pet?")
    tab.page.get_by_text("word9", exact=False).first.wait_for()
    tab.page.wait_for_timeout(1500)
    tab.page.evaluate(_COUNT)
    cpu, began = server.cpu_seconds, time.monotonic()
    tab.page.wait_for_timeout(seconds * 1000)
    share = (server.cpu_seconds - cpu) / (time.monotonic() - began)
    redraws = tab.page.evaluate("window.changes") / seconds
    began = time.monotonic()
    tab.page.get_by_text("Settings").click()
    tab.page.get_by_text("Deep thinking").wait_for()
    return Cost(turns, share, redraws, time.monotonic() - began)


def measured(chromium: Any, turns: int, seconds: float) -> Cost:
    """One measurement on a server and a stage of its own."""
    with tempfile.TemporaryDirectory() as folder, Stage() as stage:
        home, file = Path(folder) / "home", Path(folder) / "council.yaml"
        yaml = council(stage)
        file.write_text(yaml)
        keep_turns(home, yaml, str(file), turns)
        server = Server(home, str(file)).start()
        context = chromium.new_context(viewport={"width": 1280, "height": 1000})
        try:
            context.set_default_timeout(120_000)
            context.add_cookies([{"name": session.COOKIE, "value": READER, "url": server.url}])
            tab = Tab(context).open(f"{server.url}/?thread={THREAD}")
            tab.page.get_by_text(f"What about number {turns - 1}?").first.wait_for()
            return measure(server, tab, turns, seconds)
        finally:
            context.close()
            server.stop()


def main() -> None:
    """Measure and print."""
    told = argparse.ArgumentParser(prog="load", description="What eight streams cost the page.")
    told.add_argument("--turns", type=int, nargs="+", default=[1, 30, 1, 30])
    told.add_argument("--seconds", type=float, default=8.0)
    given = told.parse_args()
    from playwright.sync_api import sync_playwright

    print(f"{os.cpu_count()} cores, shared with stage and browser; load {os.getloadavg()[0]:.1f}\n")
    print("| earlier turns | server, of a core | redraws of a line | a click |\n|---|---|---|---|")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for turns in given.turns:
            cost = measured(chromium, turns, given.seconds)
            print(
                f"| {cost.turns} | {cost.server:.0%} | {cost.redraws:.1f} /s "
                f"| {cost.click * 1000:.0f} ms |",
                flush=True,
            )
        chromium.close()
    print(f"\nLoad afterwards: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
