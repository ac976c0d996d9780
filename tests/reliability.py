"""docs/reliability.md: what was broken on purpose, how often, and what was lost.

    python -m mom_council.tests.reliability                  # the parts that tests measure
    python -m mom_council.tests.reliability sandbox soak     # these parts
    python -m mom_council.tests.reliability --all            # every part, which takes hours

Each part has a line with its own date and numbers, and the table at the top of the page holds them
all. A part that is not measured keeps the line of its last time.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
_HEAD = "# Reliability\n\nWhat was broken on purpose, and what was lost.\n"
_LINE = re.compile(r"\*Last run ([\d-]+): (.+); lost: (.+)\.\*\n\n")


@dataclass(frozen=True)
class Part:
    """One kind of fault."""

    name: str
    title: str
    """Its heading on the page."""
    promise: str
    tests: tuple[str, ...] = ()
    """What pytest is given; empty: a make target of the part's name."""

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"pytest {' '.join(self.tests)}" if self.tests else f"make {self.name}"


PARTS = (
    Part("strangers", "Files of strangers", "no key and no request before a file was accepted",
         ("tests/cli/test_trust.py", "tests/prompts/test_bounded.py")),
    Part("sandbox", "Code that models or data files wrote", "code reads, changes, reaches nothing",
         ("tests/evals/test_escapes.py", "tests/evals/test_sandbox.py")),
    Part("sites", "Servers on this machine", "no web page asks or reads",
         ("tests/server/test_sites.py", "tests/ui/test_gate.py")),
    Part("budgets", "Budgets", "a limit is never exceeded"),
    Part("limits", "Limits of a day, and repeated requests",
         "no limit is exceeded on any number of servers; the same request is not paid twice",
         ("tests/server/test_limits.py", "tests/server/test_repeats.py",
          "tests/cli/test_budget_flags.py", "tests/models/test_spending.py")),
    Part("leaks", "Secrets and switches", "no key leaves, is stored or printed"),
    Part("foreign", "Foreign text", "what others wrote does not act",
         ("tests/prompts/test_attacks.py",)),
    Part("hostile", "Servers that misbehave", "one server harms neither memory nor others",
         ("tests/models/test_hostile_servers.py",)),
    Part("faults", "Faults at each stage", "each fault at each stage is answered or named"),
    Part("fields", "Every field of a council", "each field changes what it says",
         ("tests/councils/test_every_field.py",)),
    Part("damage", "Damaged and foreign files", "a damaged value is one line with a way out",
         ("tests/runs/test_storage.py", "tests/cli/test_storage.py",
          "tests/test_stored_versions.py")),
    Part("soak", "Soak", "nothing grows, nothing is lost or comes twice"),
    Part("kills", "Kills and two writers", "nothing is paid twice, nothing is lost"),
)  # fmt: skip


def write_section(name: str, title: str, text: str, tried: str, lost: int = 0) -> None:
    """Put a section into the page, in the place of an earlier one of that name.

    Args:
        name: of the part.
        title: its heading.
        text: what stands under it.
        tried: how often, in words.
        lost: how much was lost.
    """
    page = PAGE.read_text() if PAGE.exists() else _HEAD
    section = f"<!-- {name}: begin -->\n## {title}\n\n{text.strip()}\n<!-- {name}: end -->\n"
    earlier = re.compile(rf"<!-- {name}: begin -->.*?<!-- {name}: end -->\n", re.DOTALL)
    found = earlier.search(page)
    page = page[: found.start()] + section + page[found.end() :] if found else f"{page}\n{section}"
    PAGE.write_text(with_figures(page, title, tried, str(lost)))
    PAGE.write_text(with_summary(PAGE.read_text()))


def with_figures(page: str, title: str, tried: str, lost: str) -> str:
    """The page with a part's line under its heading."""
    heading = f"## {title}\n\n"
    if heading not in page:
        page = f"{page}\n{heading}"
    before, _, after = page.partition(heading)
    earlier = _LINE.match(after)
    after = after[earlier.end() :] if earlier else after
    line = f"*Last run {datetime.now(UTC):%Y-%m-%d}: {tried}; lost: {lost}.*"
    return f"{before}{heading}{line}\n\n{after}"


def with_summary(page: str) -> str:
    """The page with all parts' lines in one table at its top."""
    rows = ["| fault | promise | again | last run | tried | lost |", "|---|---|---|---|---|---|"]
    for part in PARTS:
        _, _, after = page.partition(f"## {part.title}\n\n")
        found = _LINE.match(after)
        date, tried, lost = found.groups() if found else ("", "", "")
        anchor = re.sub(r"[^\w -]", "", part.title).lower().replace(" ", "-")
        rows.append(
            f"| [{part.title}](#{anchor}) | {part.promise} | `{part.command}` | {date} | {tried} "
            f"| {lost} |"
        )
    table = "\n".join(["<!-- summary -->", *rows, "<!-- /summary -->", ""])
    page = re.sub(r"<!-- summary -->.*?<!-- /summary -->\n", "", page, flags=re.DOTALL)
    head, _, rest = page.partition("\n## ")
    return f"{head.rstrip()}\n\n{table}\n## {rest}"


def measure(part: Part) -> bool:
    """Measure a part, and write its line; whether nothing was lost."""
    if not part.tests:
        ended_well = not subprocess.run(["make", part.name], cwd=ROOT).returncode
        if part.name == "budgets":
            _count_budgets(part)
        return ended_well
    command = [sys.executable, "-m", "pytest", *part.tests, "-q", "-n", "0", "-m", "not browser"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    counts = {
        what: number for number, what in re.findall(r"(\d+) (passed|failed|error)", ended.stdout)
    }
    lost = int(counts.get("failed", 0)) + int(counts.get("error", 0))
    page = with_figures(PAGE.read_text(), part.title, f"{counts.get('passed', 0)} tests", str(lost))
    PAGE.write_text(with_summary(page))
    print(f"{part.title}: {counts}")
    if lost:
        print(ended.stdout[-4000:])
    return not lost


def _count_budgets(part: Part) -> None:
    """Write the line of the budgets, whose table is written by a benchmark."""
    page = PAGE.read_text()
    _, _, block = page.partition("<!-- budgets -->")
    block = block.partition("<!-- /budgets -->")[0]
    asked = re.search(r"(\d+) questions, (\d+) requests", block)
    assert asked is not None
    rows = [line.split("|") for line in block.splitlines() if re.match(r"\| \w+ \| \d", line)]
    lost = sum(int(row[4]) + int(row[5]) for row in rows)
    page = with_figures(page, part.title, asked[0], str(lost))
    PAGE.write_text(with_summary(page))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="reliability", description=__doc__)
    names = ", ".join(part.name for part in PARTS)
    parser.add_argument("parts", nargs="*", help=f"which: {names}; none: those that tests measure")
    parser.add_argument("--all", action="store_true", help="the long ones too")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - {part.name for part in PARTS}:
        parser.error(f"there is no part {sorted(unknown)}; there are {names}")
    chosen = [
        part
        for part in PARTS
        if part.name in given.parts or (not given.parts and (part.tests or given.all))
    ]
    results = [measure(part) for part in chosen]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
