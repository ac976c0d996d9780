"""What a council is to cost at most, and what it costs: a row for each goal of the benchmark.

The goals are stated as ratios to the critical path, or to the floor of the same run, so that they
mean the same on every machine. They are for two quiet cores that also run the models.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from mom_council.benchmarks import growth, serving
from mom_council.benchmarks.councils import NAMES, QUESTION, sitting
from mom_council.benchmarks.speed import Cost, like_the_command, stage_apart
from mom_council.benchmarks.ways import FLOOR, STEPS, STEPS_SQLITE
from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.runs.follow import follow

SQLITE = "council, SQLite"
_BALLOT = 'I agree with it. {"reason": "It covers the distance in less time.", "vote": "A"}'


class Goal(NamedTuple):
    """One measured figure beside what it is to be at most."""

    what: str
    value: float
    at_most: float
    unit: str
    detail: str = ""

    @property
    def row(self) -> str:
        """Its row in the table."""
        met = "yes" if self.value <= self.at_most else "**no**"
        bound = f"{self.at_most:.3g} {self.unit}"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {bound} | {met} | {self.detail} |"


def of_speed(costs: Mapping[int, Sequence[Cost]]) -> Iterator[Goal]:
    """What the tables of answers of so many tokens say about the goals.

    Args:
        costs: by tokens, of every way and number at once.
    """
    found = {
        (tokens, cost.way, cost.at_once): cost for tokens, each in costs.items() for cost in each
    }
    for tokens, bound in ((10, 3.0), (100, 5.0), (400, 12.0)):
        ours, floor = found.get((tokens, SQLITE, 1)), found.get((tokens, FLOOR, 1))
        if ours and floor:
            what = f"CPU a call over the floor's, {tokens} tokens, SQLite"
            detail = f"{ours.cpu_ms:.2f} ms against {floor.cpu_ms:.2f} ms"
            yield Goal(what, ours.cpu_ms / floor.cpu_ms, bound, "x", detail)
    few, many = min(costs), max(costs)
    if few != many:

        def a_token(way: str) -> float:
            return (found[many, way, 1].cpu_ms - found[few, way, 1].cpu_ms) / (many - few)

        detail = f"the floor's own is {a_token(FLOOR):.4f} ms"
        beyond = a_token(SQLITE) - a_token(FLOOR)
        yield Goal("CPU a streamed token beyond the floor's", beyond, 0.015, "ms", detail)
    if one := found.get((100, SQLITE, 1)):
        plain = found.get((100, "LangGraph + ChatOpenAI, SQLite", 1))
        detail = f"plain LangGraph {plain.ratio:.2f} x" if plain else ""
        yield Goal("one conversation, 100 tokens, SQLite: wall", one.ratio, 1.05, "x", detail)
    for tokens in costs:
        if crowd := found.get((tokens, SQLITE, 100)):
            others = {"without a store": "council", "LangGraph in as many steps": STEPS_SQLITE}
            beside = {words: found.get((tokens, way, 100)) for words, way in others.items()}
            detail = ", ".join(f"{words} {one.ratio:.1f} x" for words, one in beside.items() if one)
            what = f"100 conversations at once, {tokens} tokens, SQLite: wall"
            yield Goal(what, crowd.ratio, 3.0, "x", detail)
    for at_once in (1, 100):
        ways = ("council", SQLITE, STEPS, STEPS_SQLITE)
        costly = [found.get((few, way, at_once)) for way in ways]
        cpus = [one.cpu_ms for one in costly if one is not None]
        if len(cpus) == len(ways):
            without, stored, bare, bare_stored = cpus
            yield Goal(
                f"what durability costs: CPU a call, {at_once} at once",
                stored - without,
                bare_stored - bare,
                "ms",
                "at most what LangGraph's own store costs in as many steps",
            )


def of_shapes() -> Iterator[Goal]:
    """The first token, the straggler, the large council."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    for measure in (first_token, straggler, large_council):
        with like_the_command() as runner:
            yield runner.run(measure())


def of_threads() -> Iterator[Goal]:
    """What a long thread takes on disk, and to be opened."""
    [hundred] = growth.measure((100,))
    detail = "six characters and six ballots a turn"
    yield Goal("a thread of 100 turns on disk", hundred.stored / 1e6, 5.0, "MB", detail)
    voice = {"reply": {"text": "word " * 100, "chunks": 1}, "latency": 0}
    with (
        tempfile.TemporaryDirectory() as folder,
        stage_apart(voice) as url,
        like_the_command() as runner,
    ):
        [last] = runner.run(_last_turn(url, Path(folder) / "turns.db"))
    detail = f"a turn then costs {last.turn_ms:.0f} ms of CPU"
    yield Goal("a thread of 1,000 turns is opened: CPU", last.open_ms, 50.0, "ms", detail)


def of_server(at_once: int = 200, latency: float = 5.0, seconds: float = 45.0) -> Iterator[Goal]:
    """A crowd on `mom serve`: seven calls of so many seconds each, of 84 chunks."""
    script = {"reply": {"text": serving.TEXT, "chunks": 84}, "latency": latency}
    with stage_apart(script) as models, serving.served(models) as server:
        seen = asyncio.run(serving.crowd(server, at_once, seconds, 0.0))
    figures = serving.figures(seen, 3 * latency)
    name = f"`mom serve`, {at_once} at once, calls of {latency:g} s"
    detail = f"{figures.answered} answered, {figures.faults} errors"
    yield Goal(f"{name}: p50", figures.p50, 1.4, "x", detail)
    cpu = f"{figures.cpu_ms:.0f} ms of the server's CPU a conversation"
    yield Goal(f"{name}: p99", figures.p99, 1.8, "x", cpu)
    grew = f"{figures.megabytes_half_way:.0f} MB after half of the run"
    yield Goal(f"{name}: peak memory", figures.megabytes, 250.0, "MB", grew)


def table(goals: Iterable[Goal]) -> Iterator[str]:
    """The rows, line by line."""
    yield "\n**The goals**, each measured in this run\n"
    yield "| | measured | at most | met | |"
    yield "|---|---|---|---|---|"
    for goal in goals:
        yield goal.row


async def _last_turn(url: str, file: Path) -> list[growth.TurnCost]:
    return [cost async for cost in growth.turn_costs(url, file, (1_000,))]


def _council(url: str, names: Sequence[str], models: Mapping[str, str], **more: Any) -> Council:
    """Characters on the model of their name, or on `voice`.

    Args:
        url: of the models.
        names: of the characters.
        models: which character or `pen` is on a model of its own, by name.
        more: keys of the council.
    """
    opened = {
        name: {"provider": "openai", "model": name, "base_url": url, "timeout": 120}
        for name in {"voice", *models.values()}
    }
    characters = [{"name": name, "model": models.get(name, "voice")} for name in names]
    pen = {"model": models.get("pen", "voice")}
    base = {"name": "bench", "models": opened, "characters": characters, "synthesizer": pen}
    return load_council({**base, "thermal": None, **more})


@asynccontextmanager
async def _graph_and_log(
    models: dict[str, Any], council: Any
) -> AsyncIterator[tuple[Any, Path, Council]]:
    """A council on these models with its threads in SQLite, and the log of what was asked."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        with stage_apart(models=models, log=log) as url:
            made: Council = council(url)
            async with sitting(made, str(Path(folder) / "threads.db")) as graph:
                yield graph, log, made


def _question(number: int) -> tuple[dict[str, Any], Any]:
    asked = {"messages": [{"role": "user", "content": QUESTION}]}
    return asked, {"configurable": {"thread_id": f"{number}"}}


def _calls(log: Path, model: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return [line for line in lines if line["model"] == model]


async def first_token(times: int = 15) -> Goal:
    """From the model's first byte, by its own clock, to the event that a reader sees."""
    script = {"reply": "word " * 40, "tokens_per_second": 40.0}
    rules = {"method": "none", "quorum": 1.0}

    def council(url: str) -> Council:
        return _council(url, NAMES, {"pen": "pen"}, deliberation=rules)

    async with _graph_and_log({"voice": script, "pen": script}, council) as (graph, log, _):
        heard: list[float] = []
        for number in range(times):
            first = 0.0
            async for event in follow(graph, *_question(number)):
                said = getattr(event, "kind", "") == "said"
                if said and not first and event.speaker.node == "synthesizer":  # type: ignore[union-attr]
                    first = time.monotonic()
            heard.append(first)
        left = [call["first_byte"] for call in _calls(log, "pen")]
    late = [(at - sent) * 1000 for at, sent in zip(heard, left, strict=True)][1:]  # warm
    detail = f"the slowest of {len(late)}: {max(late):.1f} ms"
    return Goal("first synthesizer token after the model's own", median(late), 20.0, "ms", detail)


async def straggler(times: int = 3, latency: float = 1.0) -> Goal:
    """Five of six are enough, and the sixth takes five times as long."""

    def script(seconds: float) -> dict[str, Any]:
        return {"reply": {"text": "word " * 100, "chunks": 100}, "latency": seconds}

    rules = {"method": "none", "quorum": 5 / 6, "grace": 0.2}

    def council(url: str) -> Council:
        return _council(url, NAMES, {NAMES[-1]: "slow"}, deliberation=rules)

    models = {"voice": script(latency), "slow": script(5 * latency)}
    async with _graph_and_log(models, council) as (graph, log, _):
        took: list[float] = []
        for number in range(times):
            began = time.perf_counter()
            result = await graph.ainvoke(*_question(number))
            took.append(time.perf_counter() - began)
            assert [one.reason for one in result["status"].absent] == ["late"]
        ends = [call["outcome"] for call in _calls(log, "slow")]
    share = median(took) / (6 * latency)
    closed = f"{ends.count('client_left')} of {times} requests closed by us"
    what = "a straggler five times as slow, quorum 5 of 6: of the full critical path"
    return Goal(what, share, 0.45, "x", closed)


async def large_council(
    times: int = 3, characters: int = 30, rounds: int = 5, latency: float = 0.2
) -> Goal:
    """Thirty characters in five rounds with ballots: 301 calls, of which eleven in a row."""
    names = [f"Member {number}" for number in range(characters)]
    rules = {"rounds": {"min": rounds, "max": rounds}, "quorum": 1.0, "ballots": "always"}
    script = {"reply": {"text": _BALLOT, "chunks": 12}, "latency": latency}

    def council(url: str) -> Council:
        return _council(url, names, {}, deliberation=rules)

    async with _graph_and_log({"voice": script}, council) as (graph, log, _):
        took: list[float] = []
        for number in range(times):
            began = time.perf_counter()
            result = await graph.ainvoke(*_question(number))
            took.append(time.perf_counter() - began)
            assert result["status"].rounds == rounds
        calls = len(_calls(log, "voice")) // times
    what = f"{characters} characters x {rounds} rounds with ballots: wall"
    share = median(took) / ((2 * rounds + 1) * latency)
    return Goal(what, share, 1.08, "x", f"{calls} calls")
