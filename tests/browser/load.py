"""What eight streams cost the page: `python -m mom_council.tests.browser.load`.

With `--runs N` instead what whole questions cost, one after another in one conversation, beside the
same question to `mom ask`: CPU seconds of the server, and what goes to the browser.

Eight characters stream a hundred tokens a second each from the stage, in a conversation with few
and with many earlier turns. Told are the server's share of a core, how often a line changes in the
browser, and how long a click takes; with them the machine's load, which is in all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import resource
import subprocess
import sys
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
QUESTION = "What is the best pet?"
_RUN_WORDS = 300
"""Words of an answer where whole questions are measured: three seconds at the stage's pace."""
_SHOWN_RUNS = (1, 2, 5, 10, 20, 30, 40)
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


def council(stage: Stage, words: int = 2000) -> str:
    """The council of eight, as YAML; its script is written down too."""
    text = " ".join(f"word{number}" for number in range(words))
    for name in NAMES:
        PERSONAS.setdefault(name, f"You are {name}.")
        stage.model(name.lower(), reply=character(text), tokens_per_second=100)
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
    tab.ask(QUESTION)
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


def ask_cost(council_file: Path, home: Path) -> float:
    """CPU seconds of one question to `mom ask`, the start of the program included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", "from mom_council.cli import main; main()", "ask"]
    subprocess.run(
        [*command, QUESTION, "-c", str(council_file), "-q"],
        env={**os.environ, "MOM_DATA_DIR": str(home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_runs(chromium: Any, runs: int) -> None:
    """Ask so many questions in one conversation, and print what each took."""
    written_answers = itertools.count(1)
    with tempfile.TemporaryDirectory() as folder, Stage() as stage:
        file = Path(folder) / "council.yaml"
        file.write_text(council(stage, words=_RUN_WORDS))
        asked = min(ask_cost(file, Path(folder) / "ask") for _ in range(3))
        print(f"`mom ask`, the best of three: {asked:.2f} CPU seconds\n")
        print("| question | CPU seconds | of `mom ask` | sent to the browser |\n|---|---|---|---|")
        stage.model("pen", reply=lambda body: f"Answer number {next(written_answers)}.")
        server = Server(Path(folder) / "home", str(file)).start()
        context = chromium.new_context(viewport={"width": 1280, "height": 1000})
        sent: list[int] = []

        def count_frames(socket: Any) -> None:
            socket.on("framereceived", lambda frame: sent.append(len(frame)))

        try:
            context.set_default_timeout(120_000)
            tab = Tab(context)
            tab.page.on("websocket", count_frames)
            tab.open(server.url)
            for number in range(1, runs + 1):
                cpu, sent[:] = server.cpu_seconds, []
                tab.ask(QUESTION)
                tab.answer.get_by_text(f"Answer number {number}.").wait_for()
                tab.answered()
                tab.page.wait_for_timeout(500)
                spent = server.cpu_seconds - cpu
                if number in _SHOWN_RUNS or number == runs:
                    print(
                        f"| {number} | {spent:.2f} | {spent / asked:.2f} "
                        f"| {sum(sent) / 1000:.0f} kB |",
                        flush=True,
                    )
        finally:
            context.close()
            server.stop()


def main() -> None:
    """Measure and print."""
    told = argparse.ArgumentParser(prog="load", description="What eight streams cost the page.")
    told.add_argument("--turns", type=int, nargs="+", default=[1, 30, 1, 30])
    told.add_argument("--seconds", type=float, default=8.0)
    told.add_argument("--runs", type=int, default=0, help="whole questions instead")
    given = told.parse_args()
    from playwright.sync_api import sync_playwright

    print(f"{os.cpu_count()} cores, shared with stage and browser; load {os.getloadavg()[0]:.1f}\n")
    if given.runs:
        with sync_playwright() as started:
            chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            measure_runs(chromium, given.runs)
            chromium.close()
        print(f"\nLoad afterwards: {os.getloadavg()[0]:.1f}.")
        return
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
