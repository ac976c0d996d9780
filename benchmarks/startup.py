"""What starting costs: CPU from the shell's prompt to the first request, beside bare imports.

    python -m mom_council.benchmarks.startup --write

A stage answers nobody: with the first request `mom ask` is killed, and the operating system says
how much CPU it and its children took until then. The rows of a round are measured one after the
other, so that a busy machine is busy for all of them; CPU time, too, is dearer on one.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from mom_council.testing import Stage

ROUNDS = 9
FLOOR = "`import langgraph.graph`"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_PLACE = re.compile(r"(<!-- startup -->\n).*?(<!-- /startup -->)", re.DOTALL)
_PATIENCE = 120.0
_MOM = [sys.executable, "-m", "mom_council"]
COMMANDS = {
    "`import mom_council`": [sys.executable, "-c", "import mom_council"],
    "`mom --help`": [*_MOM, "--help"],
    FLOOR: [sys.executable, "-c", "import langgraph.graph"],
}
"""What is run to its end. The floor is what every program on LangGraph pays."""
ASK = "`mom ask`, to its first request"


def main() -> None:
    """Measure, print, and write the page where that is wanted."""
    parser = argparse.ArgumentParser(prog="startup", description="What starting costs.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", action="store_true", help="write it into docs/benchmarks.md")
    chosen = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in (*COMMANDS, ASK)}
    with tempfile.TemporaryDirectory() as home, Stage(default="ok") as stage:
        env = _environment(home, stage)
        for name in seconds:  # compiles what is not compiled yet
            _cpu(name, env, stage)
        for _ in range(chosen.rounds):
            for name, costs in seconds.items():
                costs.append(_cpu(name, env, stage))
    lines = list(_table(seconds, chosen.rounds))
    print("\n".join(lines))
    if chosen.write:
        text = "\n".join(lines)
        page = PAGE.read_text("utf-8")
        PAGE.write_text(_PLACE.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page), "utf-8")


def _environment(home: str, stage: Stage) -> dict[str, str]:
    """A home where nothing has been asked before, and three models on the stage."""
    stage.model("voice", reply="ok", latency=_PATIENCE)
    council = Path(home) / "desk.yaml"
    model = f"{{provider: openai, model: voice, base_url: {stage.openai_url!r}}}"
    names = ("Ada", "Bob", "Cleo")
    seats = "".join(f"  - {{name: {name}, model: voice, personality: calm}}\n" for name in names)
    parts = (f"name: desk\nmodels:\n  voice: {model}\n", f"characters:\n{seats}")
    council.write_text("".join((*parts, "synthesizer: {model: voice}\n")), "utf-8")
    kept = ("PATH", "LANG", "SYSTEMROOT")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env |= {"HOME": home, "NO_PROXY": "127.0.0.1", "MOM_COUNCIL": str(council)}
    return {**env, "PYTHONPYCACHEPREFIX": str(Path(home) / "bytecode")}


def _cpu(name: str, env: dict[str, str], stage: Stage) -> float:
    """Seconds of CPU of one command, its children included."""
    command = COMMANDS.get(name) or [*_MOM, "ask", "What is 17 + 25?"]
    before = len(stage.calls)
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    started = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, **silent)  # type: ignore[call-overload]
    if name == ASK:
        deadline = time.monotonic() + _PATIENCE
        while len(stage.calls) == before:
            if started.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"nothing was asked: {started.stderr.read().decode()}")
            time.sleep(0.002)
        os.kill(started.pid, signal.SIGKILL)
    _, _, used = os.wait4(started.pid, 0)
    started.returncode = 0
    started.stderr.close()
    return used.ru_utime + used.ru_stime


def _table(seconds: dict[str, list[float]], rounds: int) -> list[str]:
    load = os.getloadavg()[0]
    floor = median(seconds[FLOOR])
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load after: {load:.1f}"
    return [
        f"{machine}; the median of {rounds} rounds, and the least.",
        "",
        "| | CPU | least | of the floor |",
        "|---|---|---|---|",
        *(
            f"| {name} | {median(costs):.2f} s | {min(costs):.2f} s "
            f"| {median(costs) / floor:.2f} x |"
            for name, costs in seconds.items()
        ),
    ]


if __name__ == "__main__":
    main()
