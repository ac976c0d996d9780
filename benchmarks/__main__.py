"""The benchmark as a command: `make bench`."""

from __future__ import annotations

import argparse
import os
import platform

from mom_council.benchmarks import growth, speed
from mom_council.benchmarks.ways import WAYS


def main() -> None:
    """Measure and print."""
    told = argparse.ArgumentParser(prog="bench", description="What orchestration costs.")
    told.add_argument("--quick", action="store_true", help="fewer repeats, smaller crowds")
    told.add_argument(
        "--way", choices=WAYS, action="append", help="measure the speed of this alone"
    )
    given = told.parse_args()
    crowds, repeats = ((1, 20), 3) if given.quick else ((1, 20, 100), 9)

    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, shared with the models.",
        end="",
    )
    print(f" Load before: {os.getloadavg()[0]:.1f}." if hasattr(os, "getloadavg") else "")
    print(
        f"\nOne conversation: 6 proposers x 2 layers + a synthesizer = {speed.CALLS} calls of "
        f"{speed.LATENCY * 1000:.0f} ms; critical path {speed.CRITICAL_PATH * 1000:.0f} ms.\n"
    )
    heads = "".join(f"{f'{size} at once':>22}" for size in crowds)
    print(f"{'':26}{heads}\n{'':26}" + f"{'wall':>12}{'CPU/call':>10}" * len(crowds))
    with speed.stage_apart() as url:
        for way in given.way or WAYS:
            costs = speed.measure(way, url, crowds, repeats)
            cells = "".join(f"{c.ratio:>11.2f}x{c.cpu_ms:>7.2f} ms" for c in costs)
            print(f"{way:26}{cells}", flush=True)
    if given.way:
        return
    turns = (1, 10) if given.quick else (1, 10, 100)
    print("\nOne thread in SQLite: six answers of 500 tokens, six ballots, one answer a turn.\n")
    print(f"{'turns':>7}{'on disk':>12}{'was said':>12}{'to load':>12}")
    for size in growth.measure(turns):
        row = f"{size.stored / 1e6:>9.2f} MB{size.said / 1e6:>9.2f} MB{size.load_ms:>9.1f} ms"
        print(f"{size.turns:>7}{row}", flush=True)


if __name__ == "__main__":
    main()
