"""How long conversations take against their critical path, and what a call costs in CPU."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from mom_council.benchmarks.ways import WAYS
from mom_council.cli import ALLOCATIONS

LATENCY = 0.2
CALLS = 13
TOKENS = (10, 100, 400)
"""How long the answers are; each token is a chunk of its own."""
CRITICAL_PATH = 3 * LATENCY  # two layers and the synthesizer
PATIENCE = 10.0  # seconds; a crowd that takes longer is measured once


class Cost(NamedTuple):
    """What one way cost with so many conversations at once."""

    way: str
    at_once: int
    ratio: float
    """Seconds until the last of them was over, over the critical path; the median."""
    cpu_ms: float
    """Milliseconds of our process's CPU for each model call; the median."""
    spread_ms: float
    """The difference between the dearest and the cheapest repeat."""


def voice_of(tokens: int) -> dict[str, Any]:
    """A model whose answers have so many tokens and take `LATENCY`."""
    return {"reply": {"text": "word " * tokens, "chunks": tokens}, "latency": LATENCY}


@contextmanager
def stage_apart(
    voice: dict[str, Any] | None = None,
    models: dict[str, Any] | None = None,
    log: Path | None = None,
) -> Iterator[str]:
    """A stage in its own process; gives its OpenAI address.

    Args:
        voice: the script of the one model that speaks.
        models: in place of it, scripts of several models, by name.
        log: a file for one JSON line a request.
    """
    reply = "The second one, because it covers the same distance in less time. " * 3
    script = {"models": models or {"voice": voice or {"reply": reply, "latency": LATENCY}}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.json"
        file.write_text(json.dumps(script), "utf-8")
        command = [sys.executable, "-m", "mom_council.testing", "--script", str(file)]
        if log is not None:
            command += ["--log", str(log)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                yield server.stdout.readline().strip() + "/v1"
            finally:
                server.terminate()


def measure(way: str, base_url: str, crowds: Sequence[int], repeats: int) -> list[Cost]:
    """Measure one way in a process of its own, so that no way pays for another's memory."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(_measure, (way, base_url, tuple(crowds), repeats))


def _measure(way: str, base_url: str, crowds: Sequence[int], repeats: int) -> list[Cost]:
    os.environ["NO_PROXY"] = "127.0.0.1"
    for name in [name for name in os.environ if name.startswith(("LANGSMITH", "LANGCHAIN"))]:
        del os.environ[name]
    with like_the_command() as runner:
        return runner.run(_converse(way, base_url, crowds, repeats))


@contextmanager
def like_the_command() -> Iterator[asyncio.Runner]:
    """What runs an event loop as `mom` and its doors do, garbage collector and all."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    usual = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS)
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            yield runner
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


async def _converse(way: str, base_url: str, crowds: Sequence[int], repeats: int) -> list[Cost]:
    async with WAYS[way](base_url) as conversation:

        async def crowd(size: int) -> tuple[float, float]:
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(conversation() for _ in range(size)))
            return time.perf_counter() - wall, time.process_time() - cpu

        costs = []
        await crowd(1)
        gc.freeze()  # what was imported for it
        for size in crowds:
            seen = [await crowd(size)]  # opens the connections
            if seen[0][0] < PATIENCE:
                times = repeats if size == 1 else 2
                seen = [await crowd(size) for _ in range(times)]
            ratio = median(wall for wall, _ in seen) / CRITICAL_PATH
            cpus = [cpu / (size * CALLS) * 1000 for _, cpu in seen]
            costs.append(Cost(way, size, ratio, median(cpus), max(cpus) - min(cpus)))
        return costs
