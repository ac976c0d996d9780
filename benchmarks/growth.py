"""How threads grow: on disk, in what a turn costs, in what it takes to open and to list them.

    python -m mom_council.benchmarks.growth --write

prints what a turn costs after many others, and writes it into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from mom_council.benchmarks.councils import sitting, six_that_vote
from mom_council.benchmarks.speed import stage_apart
from mom_council.councils.loader import load_council
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.threads import list_threads, show_thread
from mom_council.tests.graph.long_talk import Prose
from mom_council.tests.stage import Stage

ANSWER = 2000  # characters: the four of a token, 500 times


class Size(NamedTuple):
    """A thread after so many turns."""

    turns: int
    stored: int
    """Bytes on disk, everything included."""
    said: int
    """Bytes of what was said: questions, proposals, reasons of ballots, answers."""
    load_ms: float
    """Milliseconds to read the thread's latest state."""


def measure(turns: Sequence[int]) -> list[Size]:
    """Hold one conversation, and look at the file after each number of `turns`."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_talk(Path(folder) / "threads.db", turns))


async def _talk(file: Path, turns: Sequence[int]) -> list[Size]:
    prose, said, sizes, done = Prose(), 0, [], 0

    def reply(body: dict[str, Any]) -> str:
        nonlocal said
        asked = str(body["messages"][-1]["content"])
        label = re.search(r'<candidate label="(\w+)"', asked)
        reason = prose.say(200)
        text = json.dumps({"reason": reason, "vote": label[1]}) if label else prose.say(ANSWER)
        said += len(reason) if label else len(text)
        return text

    with Stage() as stage:
        stage.model("voice", reply=reply)
        config: Any = {"configurable": {"thread_id": "talk"}}
        for goal in turns:
            async with sitting(six_that_vote(stage.openai_url), str(file)) as graph:
                for _ in range(goal - done):
                    question = prose.say(80)
                    said += len(question)
                    given = {"messages": [{"role": "user", "content": question}]}
                    await graph.ainvoke(given, config)
                done = goal
            async with sitting(six_that_vote(stage.openai_url), str(file)) as graph:
                began = time.perf_counter()
                state = await graph.aget_state(config)
                loaded = time.perf_counter() - began
            assert len(state.values["messages"]) == 2 * goal
            assert len(state.values["ballots"]) == 6
            stored = sum(part.stat().st_size for part in file.parent.iterdir())
            sizes.append(Size(goal, stored, said, loaded * 1000))
    return sizes


TURNS = (10, 100, 1_000)
THREADS = (100, 10_000)
_MEASURED = 10
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_PLACE = re.compile(r"(<!-- turns -->\n).*?(<!-- /turns -->)", re.DOTALL)


class TurnCost(NamedTuple):
    """What a thread costs after so many turns, in milliseconds of our process's CPU."""

    turns: int
    turn_ms: float
    """Of one further turn: the median of ten."""
    open_ms: float
    """Of reading the conversation as `mom threads show` does, in a new connection."""


async def turn_costs(base_url: str, file: Path, turns: Sequence[int]) -> AsyncIterator[TurnCost]:
    """Hold one conversation of two characters with answers of 100 words, and look now and then."""
    voice = {"provider": "openai", "model": "voice", "base_url": base_url}
    council = load_council(
        {
            "name": "two",
            "models": {"voice": voice},
            "characters": [{"name": name, "model": "voice"} for name in ("Ada", "Boris")],
            "synthesizer": {"model": "voice"},
            "deliberation": {"method": "none"},
        }
    )
    config: Any = {"configurable": {"thread_id": "talk"}}
    done = 0
    async with sitting(council, str(file)) as graph:

        async def turn() -> float:
            nonlocal done
            done += 1
            question = {"role": "user", "content": "word " * 100}
            began = time.process_time()
            await graph.ainvoke({"messages": [question]}, config)
            return (time.process_time() - began) * 1000

        for goal in turns:
            while done < goal - _MEASURED:
                await turn()
            costs = [await turn() for _ in range(_MEASURED)]
            async with open_checkpointer(str(file)) as saver:
                began = time.process_time()
                await show_thread(saver, "talk")
                opened = (time.process_time() - began) * 1000
            yield TurnCost(done, median(costs), opened)


async def listing_ms(file: Path, threads: int) -> float:
    """Milliseconds of CPU to list so many threads: copies of the one in the file."""
    async with open_checkpointer(str(file)) as opened:
        saver: Any = opened
        for table in ("checkpoints", "writes"):
            about = await saver.conn.execute_fetchall(f"PRAGMA table_info({table})")
            columns = ", ".join(row[1] for row in about if row[1] != "thread_id")
            await saver.conn.execute(
                "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT INTO {table} (thread_id, {columns}) "
                f"SELECT 'copy ' || i, {columns} FROM n, {table} WHERE thread_id = 'talk'",
                (threads,),
            )
        await saver.conn.commit()
        began = time.process_time()
        listed = await list_threads(saver)
        assert len(listed) == threads
        return (time.process_time() - began) * 1000


def rows(turns: Sequence[int] = TURNS, threads: Sequence[int] = THREADS) -> Iterator[str]:
    """The tables of what turns and threads cost, line by line."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    voice = {"reply": {"text": "word " * 100, "chunks": 1}, "latency": 0}
    with tempfile.TemporaryDirectory() as folder, stage_apart(voice) as url:
        yield "| after so many turns | CPU of a turn | CPU to open the thread |"
        yield "|---|---|---|"
        for cost in asyncio.run(_collected(url, Path(folder) / "turns.db", turns)):
            yield f"| {cost.turns:,} | {cost.turn_ms:.0f} ms | {cost.open_ms:.0f} ms |"
        yield ""
        yield "| threads | CPU to list all of them |"
        yield "|---|---|"
        for many in threads:
            file = Path(folder) / f"{many}.db"
            asyncio.run(_collected(url, file, (1 + _MEASURED,)))
            yield f"| {many:,} | {asyncio.run(listing_ms(file, many)):.0f} ms |"


async def _collected(url: str, file: Path, turns: Sequence[int]) -> list[TurnCost]:
    return [cost async for cost in turn_costs(url, file, turns)]


def main() -> None:
    """Print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser(prog="growth", description="What long threads cost.")
    parser.add_argument("--quick", action="store_true", help="fewer turns and threads")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    lines = []
    for line in rows((10, 30), (100,)) if chosen.quick else rows():
        print(line, flush=True)
        lines.append(line)
    if chosen.write:
        text = "\n".join(lines)
        page = PAGE.read_text("utf-8")
        PAGE.write_text(_PLACE.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page), "utf-8")


if __name__ == "__main__":
    main()
