"""The verdict in words: for the terminal, and as one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mom_council.evals.reports import table
from mom_council.evals.scorecard import MeasuredValue
from mom_council.evals.verdict import Advice, AnswerWay, PaysVerdict
from mom_council.runs.words import counted, inert

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1f2933; --pale: #6b7785; --line: #d5dae0; --bar: #2563eb;
  --ground: #ffffff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e9ed; --pale: #9aa5b1; --line: #3a4450;
  --bar: #7aa2f7; --ground: #14181d; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin: .2rem 0; }} h2 {{ font-size: 1.05rem; margin: 1.4rem 0 .4rem; }}
.first {{ color: var(--pale); margin: 0; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }}
th:first-child, td:first-child {{ text-align: left; overflow-wrap: anywhere; min-width: 7rem; }}
th {{ font-weight: 600; color: var(--pale); }}
svg {{ width: 9rem; height: 1rem; vertical-align: middle; }}
ul {{ padding-left: 1.2rem; }}
@media (max-width: 44rem) {{
  table, tbody, tr {{ display: block; }} tr:first-child, td:empty {{ display: none; }}
  tr {{ border-bottom: 1px solid var(--line); padding: .4rem 0; }}
  td {{ display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; }}
  td::before {{ content: attr(data-name); color: var(--pale); text-align: left; }}
  td:first-child {{ display: block; font-weight: 600; }} }}
@media print {{ body {{ margin: 0; }} }}
</style></head><body>
<p class="first">{first}</p>
<h1>{headline}</h1>
{body}
</body></html>
"""


def _escape(text: str) -> str:
    return escape(inert(text))


def limits_in_words(verdict: PaysVerdict) -> str:
    """What the questions cannot tell: it is said before anything else."""
    number, scored = verdict.questions, verdict.scored
    if verdict.cannot_tell is None:
        return (
            f"{counted(number, 'question')} without right answers: how often the answers "
            "agree is shown, and nothing of who is right."
        )
    which = (
        counted(scored, "question")
        if scored == number
        else f"{scored} of {counted(number, 'question')}"
    )
    scope = "" if scored == number else " have a right answer; they"
    return f"{which}{scope} cannot tell gains below {_points(verdict.cannot_tell)} points."


def headline(verdict: PaysVerdict) -> str:
    """What to do, in a sentence or two."""
    dear = _dear(verdict)
    if verdict.gain is None:
        return _headline_unscored(verdict, dear)
    gain, name = verdict.gain, verdict.member
    size = f"{_points(abs(gain.value))} points ({_write_range(gain)})"
    if verdict.advice == "samples":
        sampled = next(way for way in verdict.ways if way.name == "samples")
        return (
            f"Ask {name} alone, several times, and take its most frequent answer: that is right "
            f"as often as the council or more ({_share(sampled.accuracy)}), for less."
        )
    if verdict.advice == "council":
        return f"The council pays: it gains {size} over {name} alone, at {dear}."
    if verdict.advice == "member":
        return f"Ask {name} alone: the council loses {size} against it, at {dear}."
    words = (
        f"These questions cannot tell: the council's gain over {name} alone lies between "
        f"{100 * gain.low:+.1f} and {100 * gain.high:+.1f} points. It comes at {dear}."
    )
    if verdict.needed:
        words += f" About {verdict.needed:,} questions like these would tell a gain of this size."
    return words


def _headline_unscored(verdict: PaysVerdict, dear: str) -> str:
    nearest = next((one for one in verdict.alike if one.member == verdict.member), None)
    if nearest is None:
        return "These answers cannot be compared: no single answer can be read in them."
    most = f"{100 * nearest.differs_at_most:.0f}"
    same = (
        f"{nearest.member} alone gave the council's answer on {nearest.same} of "
        f"{counted(nearest.questions, 'question')}, so the council can gain "
        f"{most} points over it at most"
    )
    if verdict.advice == "member":
        return f"Ask {nearest.member} alone: {same}, at {dear}."
    return f"{same[0].upper()}{same[1:]}. It comes at {dear}."


def as_text(verdict: PaysVerdict) -> str:
    """The verdict for a terminal."""
    parts = [limits_in_words(verdict), headline(verdict)]
    parts.append(table(_WAYS_HEAD, [_way_row(way) for way in verdict.ways]))
    if verdict.kinds:
        parts.append(table(_KINDS_HEAD, _kind_rows(verdict)))
    parts.append("\n".join(f"- {line}" for line in remarks(verdict)))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_html(verdict: PaysVerdict) -> str:
    """The verdict as one page."""
    body = ["<h2>Ways to answer</h2>", _ways_table(verdict)]
    if verdict.kinds:
        body += ["<h2>By kind of question</h2>", _html_table(_KINDS_HEAD, _kind_rows(verdict))]
    lines = "".join(f"<li>{_escape(line)}</li>" for line in remarks(verdict))
    body += ["<h2>What else these questions say</h2>", f"<ul>{lines}</ul>"]
    return _PAGE.format(
        title=_escape(f"Does {verdict.council} pay?"),
        first=_escape(limits_in_words(verdict)),
        headline=_escape(headline(verdict)),
        body="\n".join(body),
    )


def remarks(verdict: PaysVerdict) -> list[str]:
    """Everything that is said beside the headline and the tables."""
    lines = [
        f"{one.member} can be dropped: without it the vote of the members' own answers loses no "
        f"question and wins {one.won or 'none'} ({_write_signed(one.gain)} points where it was "
        f"chosen on other questions), and {_percent(one.saves)} of the members' price is saved."
        for one in verdict.drop
    ]
    if verdict.gain is not None and not lines and len(verdict.alike) > 2:
        lines.append("These questions name nobody who can surely be dropped.")
    members = [way for way in verdict.ways if way.name.startswith("member: ")]
    never = [
        way.label
        for way in members
        if verdict.scored >= 20 and way.accuracy is not None and way.accuracy.value == 0
    ]
    if never and len(never) == len(members):
        lines.append("Nobody was ever right. Are these the right answers to these questions?")
    elif never:
        lines.append(
            f"{' and '.join(never)} never had a right answer; another model in this place can only "
            "help."
        )
    unpriced = [way.label for way in members if way.usd is None]
    if 0 < len(unpriced) < len(members):
        lines.append(f"No price is known of {', '.join(unpriced)}: the prices here leave it out.")
    if verdict.member is not None and 0 < verdict.chosen < 1:
        lines.append(
            f"Which member is best is not quite clear: {verdict.member} was chosen for "
            f"{_percent(verdict.chosen)} of the questions, by the others."
        )
    if verdict.any_right is not None:
        lines.append(
            f"Some member is right on {_percent(verdict.any_right)} of the questions; who chooses "
            "among their answers cannot be right more often."
        )
    if verdict.gain is None:
        lines += [
            f"{one.member} gave the council's answer on {one.same} of "
            f"{counted(one.questions, 'question')}; it differs on "
            f"{100 * one.differs_at_most:.0f} % of such questions at most."
            for one in verdict.alike
        ]
    else:
        lines.append(
            "The best member, the rule and which to drop were chosen on other questions than those "
            "they are scored on. Intervals are of 95 %."
        )
    if verdict.small_kinds:
        lines.append(
            f"{verdict.small_kinds} kinds have too few questions for a verdict of their own; the "
            "verdict on all questions is the best guess for them."
        )
    if verdict.failed:
        lines.append(f"The council had no answer to {counted(verdict.failed, 'question')}.")
    return [*lines, *verdict.notes]


_WAYS_HEAD = (
    "way to answer",
    "right, %",
    "council's gain, points",
    "calls",
    "US cents",
    "seconds",
    "slowest tenth",
)
_KINDS_HEAD = ("kind", "questions", "council, %", "best member, %", "gain, points", "ask")
_ASK: dict[Advice, str] = {
    "council": "the council",
    "member": "one model",
    "samples": "samples",
    "undecided": "cannot tell",
}


def _way_row(way: AnswerWay) -> tuple[str, ...]:
    return (
        way.label,
        _share(way.accuracy),
        "" if way.gain is None else f"{_write_signed(way.gain)}",
        f"{way.calls:.1f}",
        "" if way.usd is None else f"{100 * way.usd:.4f}",
        f"{way.seconds:.1f}",
        f"{way.slow:.1f}",
    )


def _kind_rows(verdict: PaysVerdict) -> list[tuple[str, ...]]:
    return [
        (
            one.kind,
            str(one.questions),
            f"{100 * one.council:.0f}",
            f"{100 * one.member:.0f}",
            _write_signed(one.gain),
            _ASK[one.advice],
        )
        for one in verdict.kinds
    ]


def _ways_table(verdict: PaysVerdict) -> str:
    head = (*_WAYS_HEAD[:2], "", *_WAYS_HEAD[2:])
    rows = []
    for way in verdict.ways:
        first, right, *rest = (_escape(cell) for cell in _way_row(way))
        bar = "" if way.accuracy is None else _bar(way.accuracy)
        rows.append((first, right, bar, *rest))
    return _table_of(head, rows)


def _bar(one: MeasuredValue) -> str:
    """A share with its interval, drawn."""
    low, high, value = (100 * part for part in (one.low, one.high, one.value))
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{low:.0f} to {high:.0f} %"><line x1="0" x2="100" y1="9" y2="9" '
        'stroke="var(--line)" stroke-width="1"/>'
        f'<rect x="{low:.1f}" y="3" width="{max(high - low, 0.5):.1f}" height="4" '
        'fill="var(--bar)" opacity="0.35"/>'
        f'<rect x="{max(0.0, value - 0.8):.1f}" y="1" width="1.6" height="8" fill="var(--bar)"/>'
        "</svg>"
    )


def _html_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return _table_of(head, [tuple(_escape(cell) for cell in row) for row in rows])


def _table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells in HTML; on a phone each row is a list of the columns' names and cells."""
    names = [_escape(name) for name in head]
    lines = []
    for row in rows:
        first, *others = row
        cells = [
            f'<td data-name="{name}">{cell}</td>'
            for name, cell in zip(names[1:], others, strict=True)
        ]
        lines.append(f"<tr><td>{first}</td>{''.join(cells)}</tr>")
    return (
        f"<table><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>{''.join(lines)}</table>"
    )


def _dear(verdict: PaysVerdict) -> str:
    if verdict.times is None:
        return "a price that is not known"
    what = "price" if verdict.times_of == "price" else "number of calls"
    return f"{verdict.times:.1f} times its {what}"


def _points(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.1f}"


def _write_range(one: MeasuredValue) -> str:
    low, high = sorted((abs(one.low), abs(one.high)))
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _write_signed(one: MeasuredValue) -> str:
    return f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _share(one: MeasuredValue | None) -> str:
    if one is None:
        return ""
    return f"{100 * one.value:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _percent(share: float | None) -> str:
    return "an unknown part" if share is None else f"{100 * share:.0f} %"
