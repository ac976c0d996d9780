"""`mom demo`: three questions, live, on the models that come along; and what to do without models.

Nothing here is written beforehand but the questions. What is said of each answer is read off its
count, so that it is true also where the models should answer otherwise on another machine.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from mom_council.cli import failure

if TYPE_CHECKING:
    from mom_council.councils.schema import Council
    from mom_council.runs.discovery import Choice

QUESTIONS = (
    ("What is 17 + 25?", "answers"),
    ("What is 26 + 9?", "plurality"),
    ("Who wrote Hamlet?", "answers"),
)
"""What is asked, and how the votes are counted: one of three errs; all differ; nobody knows."""

NEXT = """Next, with real models:
  ollama pull gemma3:4b && ollama pull qwen3:4b    then: mom ask "..."     (Ollama, 5.9 GB)
  mom download smollm2-135m-instruct               a real model of 98 MB, on this machine
  export OPENAI_API_KEY=...                        or another vendor's key: docs/models.md
  mom models                                       what is here, and what is missing"""


def demo(
    quick: bool = typer.Option(False, "--quick", help="Do not pause between the questions."),
) -> None:
    """See what a vote is worth: three questions, live, on three tiny models.

    It needs no download and no key. The models have 1 MB each; they know small sums and facts.
    """
    from mom_council.cli.machine import is_engine_ready
    from mom_council.models.providers.embedded import close_embedded

    if not is_engine_ready():
        failure.tell("the tiny models need the engine llama.cpp (34 MB): mom download engine")
        raise typer.Exit(failure.FAILED)
    print("Three tiny models (1 MB each, on this machine) answer three questions. They only know")
    print(
        "small sums and simple facts, and they make real mistakes: see what the vote makes of it."
    )
    try:
        asyncio.run(_play(pauses=not quick and sys.stdin.isatty() and sys.stdout.isatty()))
    finally:
        close_embedded()
    print(f"\n{NEXT}")


async def _play(*, pauses: bool) -> None:
    from langchain_core.messages import HumanMessage

    from mom_council.runs.ask import OpenCouncil, Run, open_runs

    keys = ("messages", "status", "proposals", "ballots")
    async with open_runs():
        for number, (question, method) in enumerate(QUESTIONS, 1):
            if pauses and number > 1:
                await asyncio.to_thread(input, "\n(Enter for the next question) ")
            print(f"\n{number}. {question}", flush=True)
            opened = OpenCouncil(_council(method))
            run = Run(opened, [HumanMessage(question)], state_keys=keys, traced=False)
            for line in _lines(await run.finish()):
                print(f"   {line}")


def _council(method: str) -> Council:
    """The demo council, whose members guess here; where it votes by ballots, the ballots decide.

    Members who say that they are not sure leave a vote nothing to correct.
    """
    from mom_council.councils.loader import load_council

    council = load_council("demo")
    guessing = {
        name: one.model_copy(update={"params": {**one.params, "unsure_below": None}})
        for name, one in council.models.items()
    }
    council = council.model_copy(update={"models": guessing})
    if method == council.deliberation.method:
        return council
    rules = {"method": method, "unsure": "answer"}
    deliberation = council.deliberation.model_copy(update=rules)
    return council.model_copy(update={"deliberation": deliberation})


def _lines(values: Mapping[str, Any]) -> list[str]:
    """Who answered what, who voted for whom, the answer, and what it shows."""
    from mom_council.runs.words import ballot, one_line

    proposals, ballots = values["proposals"], values["ballots"]
    lines = [f"{one.character:6} {one_line(one.text, 60)}" for one in proposals]
    lines += [f"{one.voter:6} votes for {ballot(one)}" for one in ballots]
    return [*lines, f"Answer: {one_line(values['messages'][-1].text, 60)}", what_happened(values)]


def what_happened(values: Mapping[str, Any]) -> str:
    """What the count of a question shows, in a sentence."""
    from mom_council.runs.words import one_line

    verdict, proposals = values["status"].verdict, values["proposals"]
    members = len(proposals)
    if verdict is None or verdict.leader is None:
        return "No member knows it, and the council does not guess."
    leading = next(one for one in verdict.options if verdict.leader in one.members)
    others = [one.character for one in proposals if one.character not in leading.members]
    if values["ballots"]:
        behind = round(verdict.share * verdict.asked)
        return (
            f"All differed, so each voted for another's answer: {verdict.leader}'s won with "
            f"{behind} of {verdict.asked} ballots."
        )
    if not others:
        return f"All {members} agree."
    if "do not know" in values["messages"][-1].text:
        return "They do not agree, so the council says that it does not know."
    alone = [
        f"{one.character} alone would have said {one_line(one.text, 30)}"
        for one in proposals
        if one.character in others
    ]
    return f"{len(leading.members)} of {members} gave this answer; {'; '.join(alone)}."


_CHOICES = """No models were found on this machine. What shall answer?
{downloads}
  {ollama}  Ollama: install it from ollama.com, then: ollama pull gemma3:4b    3300 MB
  {key}  a vendor's API key: export OPENAI_API_KEY=... (or ANTHROPIC_API_KEY, ...)
  {tiny}  three tiny models that are here; they only know small sums and simple facts"""


def offer_models(choice: Choice) -> bool:
    """Ask a person without models what shall answer; True: there are other models now.

    Raises:
        typer.Exit: the person wants to get something first, and is told how.
    """
    from mom_council.cli.machine import fetch
    from mom_council.models.weights import WEIGHTS
    from mom_council.runs.discovery import unread_notice

    if choice.source != "demo" or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    if unread_notice(choice) is None:
        return False  # asked before, and the tiny ones were chosen
    offers = list(WEIGHTS.values())
    rows = [
        f"  {at}  download {one.name}  {one.about}".ljust(74) + f"{one.megabytes:5} MB"
        for at, one in enumerate(offers, 1)
    ]
    ollama, key, tiny = (str(len(offers) + more) for more in (1, 2, 3))
    failure.say(_CHOICES.format(downloads="\n".join(rows), ollama=ollama, key=key, tiny=tiny))
    try:
        typed = input(f"1 to {tiny} [{tiny}]: ").strip() or tiny
    except EOFError:
        typed = tiny
    if typed.isdigit() and 1 <= int(typed) <= len(offers):
        fetch(offers[int(typed) - 1].name)
        return True
    if typed in (ollama, key):
        how = "ollama pull gemma3:4b" if typed == ollama else "export OPENAI_API_KEY=..."
        failure.say(f"Then ask again. The line: {how}")
        raise typer.Exit(failure.ANSWERED)
    return False
