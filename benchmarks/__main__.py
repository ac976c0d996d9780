"""The benchmark as a command: `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mom_council.benchmarks import growth, speed
from mom_council.benchmarks.ways import FLOOR, WAYS

FIGURES = Path(__file__).parent / "figures.json"
"""What each way costs in CPU a call, as a multiple of the floor in the same run."""
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
MORE = 1.15
"""How much dearer a way may have become before `--check` fails."""
_PLACE = re.compile(r"(<!-- speed -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Measure and print; give the exit code: 1 where `--check` finds something dearer."""
    parser = argparse.ArgumentParser(prog="bench", description="What orchestration costs.")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, smaller crowds")
    parser.add_argument(
        "--way", choices=WAYS, action="append", help="measure the speed of this alone"
    )
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md and the figures to check by"
    )
    parser.add_argument(
        "--check", action="store_true", help="fail where a way costs 15 %% more than was written"
    )
    chosen = parser.parse_args()
    crowds, repeats = ((1,), 3) if chosen.quick else ((1, 20, 100), 9)
    rows = [_machine()]
    print(rows[0], flush=True)
    ratios: dict[str, dict[str, float]] = {}
    for tokens in speed.TOKENS:
        table = list(_table(tokens, crowds, repeats, _ways(chosen.way), ratios))
        rows += table
    if not chosen.way and not chosen.quick:
        rows += list(_growth((1, 10, 100)))
    if chosen.write:
        FIGURES.write_text(json.dumps(ratios, indent=1) + "\n", "utf-8")
        page = PAGE.read_text("utf-8")
        text = "\n".join(rows)
        PAGE.write_text(_PLACE.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page), "utf-8")
    return int(chosen.check and not _holds(ratios))


def _ways(chosen: Iterable[str] | None) -> list[str]:
    """The floor first: everything else is compared with it."""
    return [FLOOR, *(way for way in WAYS if way != FLOOR and (not chosen or way in chosen))]


def _machine() -> str:
    load = f"; load before: {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores shared with the models{load}. "
        f"One conversation: 6 proposers x 2 layers + a synthesizer = {speed.CALLS} calls of "
        f"{speed.LATENCY * 1000:.0f} ms; the critical path is {speed.CRITICAL_PATH * 1000:.0f} ms."
    )


def _table(
    tokens: int,
    crowds: tuple[int, ...],
    repeats: int,
    ways: Iterable[str],
    ratios: dict[str, dict[str, float]],
) -> Iterable[str]:
    """The rows of one length of answers, printed as they are measured."""
    heads = "".join(
        f" CPU a call, {size} at once | of the floor | wall |"
        if size == 1
        else f" {size}: CPU | wall |"
        for size in crowds
    )
    columns = sum(3 if size == 1 else 2 for size in crowds)
    for line in (
        f"\n**Answers of {tokens} tokens**\n",
        f"| |{heads}",
        "|---" * (columns + 1) + "|",
    ):
        print(line)
        yield line
    floor = 0.0
    with speed.stage_apart(speed.voice_of(tokens)) as url:
        for way in ways:
            cells = []
            for cost in speed.measure(way, url, crowds, repeats):
                if cost.at_once == 1:
                    floor = floor or cost.cpu_ms
                    ratio = cost.cpu_ms / floor
                    ratios.setdefault(way, {})[str(tokens)] = round(ratio, 2)
                    spread = f"{cost.cpu_ms:.2f} ms (± {cost.spread_ms / 2:.2f})"
                    cells += [spread, f"{ratio:.1f} x", f"{cost.ratio:.2f} x"]
                else:
                    cells += [f"{cost.cpu_ms:.2f} ms", f"{cost.ratio:.1f} x"]
            line = f"| {way} | {' | '.join(cells)} |"
            print(line, flush=True)
            yield line


def _growth(turns: tuple[int, ...]) -> Iterable[str]:
    head = "\n**One thread in SQLite**: six answers of 500 tokens, six ballots, one answer a turn\n"
    for line in (
        head,
        "| turns | on disk | what was said | to load the thread |",
        "|---|---|---|---|",
    ):
        print(line)
        yield line
    for size in growth.measure(turns):
        line = (
            f"| {size.turns} | {size.stored / 1e6:.2f} MB | {size.said / 1e6:.2f} MB "
            f"| {size.load_ms:.0f} ms |"
        )
        print(line, flush=True)
        yield line


def _holds(ratios: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether no way costs much more than was written, as a multiple of the floor."""
    before = json.loads(FIGURES.read_text("utf-8"))
    dearer = [
        f"{way}, {tokens} tokens: {ratio} x the floor, it was {before[way][tokens]} x"
        for way, by_tokens in ratios.items()
        for tokens, ratio in by_tokens.items()
        if ratio > MORE * before.get(way, {}).get(tokens, ratio)
    ]
    print("\n" + ("\n".join(dearer) or "nothing became dearer"))
    return not dearer


if __name__ == "__main__":
    raise SystemExit(main())
