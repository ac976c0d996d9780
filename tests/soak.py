"""Soak: many questions with seeded faults; nothing grows, nothing is lost, nothing comes twice.

    python -m mom_council.tests.soak --calls 50000 --seed 7      # what `make soak` runs

Each question has its own random generator, made from the seed and its number, which decides what
goes wrong in each of its calls. So a failing question is repeated alone with the command that is
printed: `--seed S --only N`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psutil

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.errors import DeliberationError
from mom_council.graph.council import compile_council
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.tests.graph.desk import written
from mom_council.tests.reliability import write_section
from mom_council.tests.stage import Fault, Reply, Stage

NAMES = ("Ada", "Boris", "Clara")
MODELS = ("ada", "boris", "clara", "pen")
WARM = 0.2
"""Share of the questions after which the process must not grow any more."""
MOST_GROWTH = 60.0
"""MB of memory that may be added after that."""
_FAULTS: tuple[Fault | None, ...] = (
    *[None] * 14,
    Fault.status(429, retry_after=0.0),
    Fault.status(500),
    Fault.status(401),
    Fault.bad_gateway(),
    Fault.reset(),
    Fault.reset(after=1),
    Fault.truncated(),
    Fault.error_in_stream(),
    Fault.malformed(),
    Fault.garbage(),
    Fault.empty(),
    Fault.null(),
    Fault.refusal(),
    Fault.content_filter(),
    Fault.length(),
)


@dataclass(frozen=True)
class Size:
    """What a process holds at one time."""

    memory: float
    tasks: int
    files: int
    sockets: int

    @classmethod
    def now(cls) -> Size:
        """Of this process."""
        gc.collect()
        process = psutil.Process()
        kinds = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        sockets = sum("socket:" in kind for kind in kinds)
        memory = process.memory_info().rss / 1e6
        return cls(memory, len(asyncio.all_tasks()), len(kinds) - sockets, sockets)


class Soak:
    """One soak."""

    def __init__(self, stage: Stage, seed: int, saver: Any) -> None:
        self._stage = stage
        self._seed = seed
        council: Council = load_council(
            written(
                stage,
                NAMES,
                deliberation={"method": "plurality", "rounds": {"min": 1, "max": 2}, "quorum": 0.3},
                tracing={"local": False, "langsmith": False},
            )
        )
        # A breaker would rest for seconds after a few faults, and the soak would wait with it.
        models = {
            key: model.model_copy(update={"breaker": None, "retries": 1})
            for key, model in council.models.items()
        }
        self._graph = compile_council(council.model_copy(update={"models": models}), saver)
        self.failed = 0

    async def ask(self, number: int) -> int:
        """Ask one question, and look at what came of it; the calls that it took.

        Raises:
            AssertionError: something is lost, or came twice.
        """
        random = Random(f"{self._seed}:{number}")
        self._stage.clear()
        for name in MODELS:
            said = Reply(f"Answer: {random.choice(['42', '41', 'Canberra'])} ({number})")
            faults = [random.choice(_FAULTS) for _ in range(6)]
            self._stage.model(name, reply=said, faults=faults)
        config = {"configurable": {"thread_id": f"soak-{number}"}}
        question = f"What is it, in question {number}?"
        try:
            state = await self._graph.ainvoke({"messages": [("user", question)]}, config)
        except DeliberationError:
            self._look_at_failure((await self._graph.aget_state(config)).values)
        else:
            if state.get("__interrupt__"):  # nobody answered, and the thread waits for a choice
                self._look_at_failure(state)
            else:
                self._look_at(number, question, state)
        calls = self._stage.calls
        assert all(f"question {number}?" in str(call.body) for call in calls), "another's question"
        return len(calls)

    def _look_at_failure(self, state: Any) -> None:
        """Nobody answered: it was said so, and nothing is made up."""
        self.failed += 1
        assert [message.type for message in state["messages"]] == ["human"]

    def _look_at(self, number: int, question: str, state: dict[str, Any]) -> None:
        messages, status = state["messages"], state["status"]
        assert [message.type for message in messages] == ["human", "ai"]
        assert messages[0].text == question
        assert messages[1].text.strip()
        named = {*status.spoke, *(one.character for one in status.absent)}
        assert named >= set(NAMES), "everybody spoke, or is named as absent"
        assert status.usage.calls == len(self._stage.calls), "calls are counted once each"


def _sizes_differ(before: Size, after: Size) -> Iterator[str]:
    if after.memory > before.memory + MOST_GROWTH:
        yield f"memory grew from {before.memory:.0f} to {after.memory:.0f} MB"
    for name, most in (("tasks", 2), ("files", 4), ("sockets", 12)):
        one, other = getattr(before, name), getattr(after, name)
        if other > one + most:
            yield f"{name} grew from {one} to {other}"


async def soak(calls: int, seed: int, only: int | None = None) -> dict[str, Any]:
    """Ask questions until so many calls were made; what was counted.

    Raises:
        AssertionError: with the command that repeats it.
    """
    began = time.monotonic()
    with Stage() as stage, tempfile.TemporaryDirectory() as folder:
        async with open_checkpointer(str(Path(folder, "threads.db"))) as saver:
            run = Soak(stage, seed, saver)
            made = number = 0 if only is None else only
            made, before = 0, None
            while made < calls:
                try:
                    made += await run.ask(number)
                except Exception as error:
                    repeat = f"python -m mom_council.tests.soak --seed {seed} --only {number}"
                    raise AssertionError(
                        f"question {number}: {error!r}; again: {repeat}"
                    ) from error
                number += 1
                if before is None and made >= calls * WARM:
                    before = Size.now()
                if only is not None:
                    break
            after = Size.now()
            faults = [*_sizes_differ(before, after)] if before and only is None else []
            assert not faults, f"{'; '.join(faults)}; seed {seed}"
    return {
        "seed": seed,
        "questions": number,
        "calls": made,
        "unanswered": run.failed,
        "seconds": time.monotonic() - began,
        "before": before,
        "after": after,
    }


def main() -> None:
    """Run a soak, print what was counted, and write its section of docs/reliability.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, default=None, help="one question alone")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    given = parser.parse_args()
    made = asyncio.run(soak(given.calls, given.seed, given.only))
    for name, value in made.items():
        print(f"{name}: {value}")
    before, after = made["before"], made["after"]
    if given.write and before is not None:
        write_section(
            "soak",
            "Soak",
            f"`make soak` (`python -m mom_council.tests.soak --calls {given.calls} --seed "
            f"{given.seed} --write`). Half of all calls fail, in {len(_FAULTS) - 14} ways. "
            "After each question: its own conversation, an answer or a named failure, everybody "
            "spoke or is named as absent, every request counted once.\n\n"
            "| questions | calls | unanswered, and said so | lost or doubled | memory | files | "
            "sockets | tasks |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            f"| {made['questions']:,} | {made['calls']:,} | {made['unanswered']:,} | 0 "
            f"| {before.memory:.0f} to {after.memory:.0f} MB | {before.files} to {after.files} "
            f"| {before.sockets} to {after.sockets} | {before.tasks} to {after.tasks} |",
            f"{made['calls']:,} calls",
        )


if __name__ == "__main__":
    sys.exit(main())
