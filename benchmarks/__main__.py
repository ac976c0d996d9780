"""The benchmark as a command: `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mom_council.benchmarks import goals, speed
from mom_council.benchmarks.ways import FLOOR, WAYS

FIGURES = Path(__file__).parent / "figures.json"
"""What each way costs in CPU a call, as a multiple of the floor in the same run."""
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
MORE = 1.15
"""How much dearer a way may have become before `--check` fails."""
LONG = 100
"""Tokens above which no crowd of 100 is measured: it takes a minute for each way."""
ONE_AT_ONCE = "asyncio + httpx"
"""Its pool collapses in a crowd: a minute for a figure that nobody needs twice."""
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
    repeats = 3 if chosen.quick else 7
    rows = [_machine()]
    print(rows[0], flush=True)
    costs: dict[int, list[speed.Cost]] = {}
    for tokens in speed.TOKENS:
        crowds = (1,) if chosen.quick else (1, 20) if tokens > LONG else (1, 20, 100)
        rows += _table(tokens, crowds, repeats, _ways(chosen.way), costs)
    rows += _shown(goals.table(_goals(costs, whole=not chosen.way and not chosen.quick)))
    ratios = _ratios(costs)
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
    costs: dict[int, list[speed.Cost]],
) -> list[str]:
    """The rows of one length of answers, printed as they are measured."""
    heads = "".join(
        f" CPU a call, {size} at once | of the floor | wall |"
        if size == 1
        else f" {size}: CPU | wall |"
        for size in crowds
    )
    columns = sum(3 if size == 1 else 2 for size in crowds)
    lines = _shown(
        [f"\n**Answers of {tokens} tokens**\n", f"| |{heads}", "|---" * (columns + 1) + "|"]
    )
    measured = costs.setdefault(tokens, [])
    with speed.stage_apart(speed.voice_of(tokens)) as url:
        for way in ways:
            sizes = crowds[:1] if way == ONE_AT_ONCE else crowds
            measured += speed.measure(way, url, sizes, repeats)
            floor = measured[0].cpu_ms
            cells = []
            for cost in (one for one in measured if one.way == way):
                if cost.at_once == 1:
                    spread = f"{cost.cpu_ms:.2f} ms (± {cost.spread_ms / 2:.2f})"
                    cells += [spread, f"{cost.cpu_ms / floor:.1f} x", f"{cost.ratio:.2f} x"]
                else:
                    cells += [f"{cost.cpu_ms:.2f} ms", f"{cost.ratio:.1f} x"]
            cells += [""] * (columns - len(cells))
            lines += _shown([f"| {way} | {' | '.join(cells)} |"])
    return lines


def _goals(costs: Mapping[int, list[speed.Cost]], *, whole: bool) -> Iterator[goals.Goal]:
    """Each goal beside what was measured; those that take minutes only in a whole run."""
    yield from goals.of_speed(costs)
    if whole:
        yield from goals.of_shapes()
        yield from goals.of_threads()
        yield from goals.of_server()


def _ratios(costs: Mapping[int, list[speed.Cost]]) -> dict[str, dict[str, float]]:
    """CPU a call of each way as a multiple of the floor's, by the number of tokens."""
    ratios: dict[str, dict[str, float]] = {}
    for tokens, measured in costs.items():
        alone = [cost for cost in measured if cost.at_once == 1]
        for cost in alone:
            ratio = cost.cpu_ms / alone[0].cpu_ms
            ratios.setdefault(cost.way, {})[str(tokens)] = round(ratio, 2)
    return ratios


def _shown(lines: Iterable[str]) -> list[str]:
    """The lines, each printed as it comes."""
    printed = []
    for line in lines:
        print(line, flush=True)
        printed.append(line)
    return printed


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
