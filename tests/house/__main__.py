"""What the house looks like today: `make house`.

Options: `--rooms` adds files and lines of every room, `--demo` the files that the demo question
runs through, `--all` every single finding.
"""

from __future__ import annotations

import sys

from mom_council.tests.house import demo, shape
from mom_council.tests.house.limits import LIMITS, findings, sizes


def main(options: list[str]) -> int:
    """Print every measure beside its limit; 1 where a limit is not kept."""
    found = findings()
    entered = demo.entered_files()
    measured = {**sizes(), "files entered by the demo question": len(entered)}
    measured |= {name: len(items) for name, items in found.items()}
    broken = 0
    print(f"{'':44}{'today':>8}{'ceiling':>9}{'goal':>8}")
    for name, limit in LIMITS.items():
        over = measured[name] > limit.ceiling
        broken += over
        print(f"{name:44}{measured[name]:>8}{limit.ceiling:>9}{limit.goal:>8}{' !' * over}")
        if over or "--all" in options:
            print(*(f"    {item}" for item in found.get(name, [])), sep="\n")
    if "--demo" in options:
        print(f"\n{demo.QUESTION}", *entered, sep="\n    ")
    if "--rooms" in options:
        print(f"\n{'room':24}{'files':>6}{'lines':>8}")
        for room, files, lines in shape.rooms():
            print(f"{room:24}{files:>6}{lines:>8}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
