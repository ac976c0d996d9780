"""The report as Markdown, and as files: one of ours, and two in the shape of `checks` elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mom_council.errors import StorageError
from mom_council.evals.probing.found import Probe, Probed, Report
from mom_council.evals.probing.probe import PARTS


def as_markdown(report: Report) -> str:
    """Tables and the recommendation."""
    lines = ["# What the models can do", ""]
    if not report.complete:
        lines += ["Cut short: what was not asked yet is missing.", ""]
    lines += [f"| model | {' | '.join(PARTS)} |", f"|---|{'---|' * len(PARTS)}"]
    for one in report.models:
        cells = [_cell(one.probes.get(part)) for part in PARTS]
        lines.append(f"| {_plain(one.model)} | {' | '.join(cells)} |")
    lines += ["", "| model | first token | tokens a second | longest text | calls | seconds |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [_figures(one) for one in report.models]
    lines += ["", "## Who should sit where", "", *_seats(report), ""]
    lines += ["## In detail", ""]
    for one in report.models:
        lines.append(f"**{_plain(one.model)}** ({one.provider}, `{_plain(one.name)}`)")
        lines += ["", *(f"- {part}: {_plain(p.says)}" for part, p in one.probes.items()), ""]
    return "\n".join(lines)


def write_pages(report: Report, folder: Path) -> list[Path]:
    """Write `report.md`, `report.json`, and who answered what in two files.

    `proposers.json` is {prompt: {model: response}}, `aggregators.json` {query: {model: response}}.

    Raises:
        StorageError: the folder cannot be written to.
    """
    pages = {
        "report.md": as_markdown(report),
        "report.json": report.model_dump_json(indent=2),
        "proposers.json": json.dumps(report.proposers, ensure_ascii=False, indent=2),
        "aggregators.json": json.dumps(report.aggregators, ensure_ascii=False, indent=2),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {str(folder)!r} ({error.strerror})",
            cure="name another folder",
        ) from None
    return [folder / name for name in pages]


def _cell(probe: Probe | None) -> str:
    if probe is None:
        return ""
    return f"{probe.score:.0%}" if probe.score is not None else probe.state


def _figures(one: Probed) -> str:
    first = f"{one.first_token:.2f} s" if one.first_token is not None else ""
    speed = f"{one.tokens_per_second:.0f}" if one.tokens_per_second is not None else ""
    longest = f"{one.context}" if one.context else ""
    cells = (_plain(one.model), first, speed, longest, str(one.calls), f"{one.seconds:.1f}")
    return f"| {' | '.join(cells)} |"


def _seats(report: Report) -> list[str]:
    seats = report.seats
    lines = [f"- synthesizer: {_plain(seats.synthesizer or 'none of them')} ({_plain(seats.why)})"]
    for what, who in (("proposers", seats.proposers), ("voters", seats.voters)):
        lines.append(f"- {what}: {', '.join(map(_plain, who)) or 'none of them'}")
    lines += [f"- left out: {_plain(name)} ({_plain(why)})" for name, why in seats.left_out.items()]
    return lines


def _plain(text: str) -> str:
    """A model's words and names may hold anything; a table's cell may not."""
    return re.sub(r"[|\s<>`*]+", " ", text).strip()[:200]
