"""A batch in processes of their own, killed at random moments; and what was asked twice.

A call is finished when its answer has come back and is kept. What is in the air at a kill is asked
again: nobody can know that it was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mom_council.batch.journal import Journal
from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.graph.council import compile_council
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.tests.graph import desk
from mom_council.tests.stage import Call, Stage

COMMAND = [sys.executable, "-c", "from mom_council.cli import main; main()"]
_ROW = re.compile(r"Row (\d+):")

Spoken = tuple[int, str, bool]
"""Which row, which model, whether it voted."""


@dataclass
class Killed:
    """What came of a batch that was killed on the way."""

    kills: int = 0
    kept: list[tuple[int, set[Spoken]]] = field(default_factory=list)
    """At each kill: how many calls there had been, and which were kept by then."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    last_words: str = ""
    peak_kb: int = 0
    """Most memory that one of the processes held."""


def questions(path: Path, count: int) -> Path:
    """Writes a file of so many numbered questions."""
    lines = (json.dumps({"id": f"q{n}", "question": f"Row {n}: why?"}) for n in range(count))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def council(stage: Stage, path: Path, latency: float, **changes: Any) -> Path:
    """Writes a council whose models all take their time."""
    desk.seat(stage, latency=latency)
    stage.scripts["pen"].latency = latency
    path.write_text(json.dumps(desk.written(stage, **changes)), encoding="utf-8")
    return path


def spoken_by(call: Call) -> Spoken:
    """What a call was for."""
    said = desk.said(call.body)
    found = _ROW.search(said)
    assert found is not None
    return int(found[1]), call.model, bool(desk.candidates(call.body))


def run_and_kill(
    stage: Stage,
    seated: Path,
    source: Path,
    output: Path,
    *,
    kills: int,
    seed: int,
    concurrency: int,
    options: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> Killed:
    """Run `mom batch` until it is through, killing it so many times at random moments."""
    dice, found, began = random.Random(seed), Killed(), time.monotonic()
    rows = source.read_text("utf-8").count("\n")
    command = [*COMMAND, "batch", str(source), str(output), "-c", str(seated)]
    command += ["--concurrency", str(concurrency), *options]
    moments = sorted(dice.sample(range(rows // 20, rows * 9 // 10), kills))
    for moment in [*moments, None]:
        with subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        ) as begun:
            if moment is not None:
                _wait_for_rows(begun, output, moment)
                time.sleep(dice.random() * 0.1)  # anywhere within a row's calls
                begun.kill()
            words = (begun.stderr.read() if begun.stderr else b"").decode()
            _, status, used = os.wait4(begun.pid, 0)
            begun.returncode = os.waitstatus_to_exitcode(status)
        found.peak_kb = max(found.peak_kb, used.ru_maxrss)
        if moment is None:
            assert begun.returncode == 0, words
            found.last_words = words
        else:
            assert begun.returncode == -signal.SIGKILL, words
            found.kills += 1
            found.kept.append((len(stage.calls), asyncio.run(_kept(seated, output))))
    found.seconds = time.monotonic() - began
    found.rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    return found


def repeated(stage: Stage) -> Counter[Spoken]:
    """What was asked more than once."""
    times = Counter(spoken_by(call) for call in stage.calls)
    return Counter({spoken: count for spoken, count in times.items() if count > 1})


def asked_again_though_kept(stage: Stage, found: Killed) -> list[Spoken]:
    """Finished calls that were made again after a kill: there must be none."""
    calls = [spoken_by(call) for call in stage.calls]
    return [one for at, kept in found.kept for one in calls[at:] if one in kept]


def _wait_for_rows(begun: subprocess.Popen[bytes], output: Path, rows: int) -> None:
    done = output.with_name(output.name + ".batch") / "done.jsonl"
    while begun.poll() is None:
        if done.exists() and done.read_bytes().count(b"\n") >= rows:
            return
        time.sleep(0.005)
    raise AssertionError((begun.stderr.read() if begun.stderr else b"").decode())


async def _kept(seated: Path, output: Path) -> set[Spoken]:
    """Every call whose answer is kept: of finished rows, and of rows that were under way."""
    made = load_council(json.loads(seated.read_text("utf-8")))
    folder = output.with_name(output.name + ".batch")
    journal = Journal(folder)
    journal._read()
    voters = made.deliberation.method == "plurality"
    models = {c.name: c.model for c in made.characters} | {"synthesizer": made.synthesizer.model}
    kept = {
        (row, model, vote)
        for row in journal.done
        for name, model in models.items()
        for vote in ((False, True) if voters and name != "synthesizer" else (False,))
    }
    for threads in folder.glob("threads*.db"):
        kept |= await _kept_in(threads, made, models)
    return kept


async def _kept_in(threads: Path, made: Council, models: dict[str, str]) -> set[Spoken]:
    """Of rows that were under way."""
    kept: set[Spoken] = set()
    async with open_checkpointer(str(threads)) as saver:
        graph = compile_council(made, saver)
        for thread, *_ in await saver.thread_rows(10**6):  # type: ignore[attr-defined]
            row = int(str(thread).rpartition("-")[2])
            state = await graph.aget_state({"configurable": {"thread_id": thread}})
            segments = list(state.values.get("segments", []))
            for task in state.tasks:
                written = (task.result or {}).get("segments", [])
                segments += written if isinstance(written, list) else []  # or it clears the table
            kept |= {(row, models[s.name], s.node == "vote") for s in segments if s.name in models}
    return kept
