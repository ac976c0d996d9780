"""One GPU on which one model fits: loads and seconds, first come, first served and planned.

`python -m mom_council.benchmarks.one_gpu`. The stage charges two seconds for a load, as a
small model on a fast disk takes, and 0.2 s for an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.graph.council import compile_council
from mom_council.models.clients import close_loop_resources
from mom_council.tests.graph.desk import character, question
from mom_council.tests.stage import Stage

MODELS = ("llama", "qwen", "gemma")


def nine(stage: Stage, *, rounds: int, order: str) -> Council:
    """Nine characters, three on each of three models, seated as they come."""
    voice = {"provider": "ollama", "base_url": stage.ollama_url, "timeout": 600, "lane": "gpu"}
    return load_council(
        {
            "name": "nine",
            "models": {name: {**voice, "model": name} for name in MODELS},
            "lanes": {"gpu": {"concurrency": 1, "order": order}},
            "characters": [{"name": f"C{n}", "model": MODELS[n % 3]} for n in range(9)],
            "deliberation": {
                "method": "none",
                "rounds": {"min": rounds, "max": rounds},
                "quorum": 1.0,
            },
            "synthesizer": {"model": "gemma"},
            "thermal": None,
        }
    )


def measure(load_seconds: float, latency: float, rounds: int, order: str) -> tuple[int, float]:
    """Loads and seconds of one question."""
    with Stage(slots=1) as stage:
        for name in MODELS:
            stage.model(
                name,
                reply=character(f"As {name} sees it."),
                latency=latency,
                load_seconds=load_seconds,
            )

        async def ask() -> float:
            graph = compile_council(nine(stage, rounds=rounds, order=order))
            began = time.monotonic()
            await graph.ainvoke(question())
            took = time.monotonic() - began
            await close_loop_resources()
            return took

        took = asyncio.run(ask())
        return len(stage.loads), took


def main() -> None:
    """Measure and print a table."""
    told = argparse.ArgumentParser(prog="one_gpu", description="Loads on one GPU.")
    told.add_argument("--load", type=float, default=2.0, metavar="SECONDS")
    told.add_argument("--latency", type=float, default=0.2, metavar="SECONDS")
    given = told.parse_args()
    print("| rounds | as they come: loads | seconds | planned: loads | seconds |")
    print("|---|---|---|---|---|")
    for rounds in (1, 2, 3):
        both = [measure(given.load, given.latency, rounds, o) for o in ("arrival", "planned")]
        cells = [f"{loads} | {took:.1f}" for loads, took in both]
        print(f"| {rounds} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
