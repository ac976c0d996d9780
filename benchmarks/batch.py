"""A large batch that is killed on the way: `python -m mom_council.benchmarks.batch`."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

from mom_council.tests.batch.killing import (
    asked_again_though_kept,
    council,
    questions,
    repeated,
    run_and_kill,
)
from mom_council.tests.stage import Stage


def main() -> None:
    """Run it, check it, print it."""
    told = argparse.ArgumentParser(prog="bench.batch", description="A batch under kills.")
    told.add_argument("--rows", type=int, default=2000)
    told.add_argument("--kills", type=int, default=5)
    told.add_argument("--concurrency", type=int, default=16)
    told.add_argument("--latency", type=float, default=0.1, help="seconds of each call")
    told.add_argument("--seed", type=int, default=1)
    given = told.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, shared with the models. "
        f"Load before: {os.getloadavg()[0]:.1f}."
    )
    with tempfile.TemporaryDirectory() as folder, Stage() as stage:
        here = Path(folder)
        rules = {"method": "none", "rounds": {"min": 1, "max": 1}, "quorum": 1.0}
        seated = council(stage, here / "desk.json", given.latency, deliberation=rules)
        source, output = questions(here / "in.jsonl", given.rows), here / "out.jsonl"
        found = run_and_kill(
            stage,
            seated,
            source,
            output,
            kills=given.kills,
            seed=given.seed,
            concurrency=given.concurrency,
            env={"MOM_DATA_DIR": str(here / "data")},
        )
        answered = [row for row in found.rows if row["answer"] == "What the council says."]
        again = repeated(stage)
        print(
            f"{given.rows} rows of 4 calls of {given.latency * 1000:.0f} ms, "
            f"{given.concurrency} at a time, killed {found.kills} times.\n"
            f"rows answered once, in order: {len(answered)} of {given.rows}\n"
            f"finished calls made again: {len(asked_again_though_kept(stage, found))}\n"
            f"calls in the air at a kill, made again: {sum(again.values()) - len(again)} "
            f"of {len(stage.calls)}\n"
            f"seconds, starts and kills included: {found.seconds:.1f} "
            f"({given.rows / found.seconds:.1f} rows/s)\n"
            f"most memory of a process: {found.peak_kb / 1024:.0f} MB\n"
            f"last words: {found.last_words.splitlines()[-1]}"
        )
        assert [row["id"] for row in found.rows] == [f"q{n}" for n in range(given.rows)]
        assert len(answered) == given.rows
        assert not asked_again_though_kept(stage, found)


if __name__ == "__main__":
    main()
