"""The parts of the live picture: who speaks, how they vote, what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mom_council.cli import words
from mom_council.cli.inert import inert, one_line
from mom_council.graph.follow import RoundView, SpeakerView

NARROWEST = 36
"""Columns that a card needs, so that its text can be read."""

TALLEST = 8
"""Lines of a card while its text comes."""

SHORT = 6
"""Lines up to which finished texts stay side by side; longer ones get the whole width."""


def while_they_speak(
    seats: Sequence[SpeakerView], width: int, lines: int
) -> RenderableType:  # as many lines as there are, and no more
    """The seats of a layer, with the newest of what each says."""
    across = _across(len(seats), width)
    tall = min(TALLEST, lines // -(-len(seats) // across))
    if tall < 3:
        return _list(seats, width, lines)
    return _grid([_card(seat, width // across - 5, tall) for seat in seats], across)


def when_they_have_spoken(seats: Sequence[SpeakerView], width: int) -> RenderableType:
    """The seats of a layer with all that they said, to stay."""
    across = _across(len(seats), width)
    inner = width // across - 5
    if all(_lines(seat.text, inner) <= SHORT for seat in seats):
        tallest = max(_lines(_body(seat).plain, inner) for seat in seats) + 2
        return _grid([_card(seat, inner, tallest) for seat in seats], across)
    return Group(*(_whole(seat) for seat in seats))


def ballots(a_round: RoundView, *, short: bool = False) -> RenderableType:
    """Who voted what, why, and who has not."""
    lines = Table.grid(padding=(0, 1))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    lines.add_column(overflow="fold", ratio=1)
    most = 40 if short else 300
    for ballot in a_round.ballots:
        said = Text(one_line(words.ballot(ballot)), "bold")
        lines.add_row(
            Text(f"{ballot.voter} votes"), said, Text(one_line(ballot.reason, most), "dim")
        )
    for absence in a_round.unvoted:
        why = Text(one_line(absence.detail, most), "dim")
        lines.add_row(Text(absence.character), Text(words.REASONS[absence.reason], "red"), why)
    done = {b.voter for b in a_round.ballots} | {a.character for a in a_round.unvoted}
    if waiting := [name for name in a_round.voters if name not in done]:
        return Group(lines, Text(f"still to vote: {', '.join(waiting)}", "dim"))
    return lines


def count(a_round: RoundView) -> RenderableType:
    """What came of a round."""
    counted = a_round.counted
    if counted is None:
        return Text("")
    lines = [Text(one_line(words.tally(counted.verdict)), "cyan")] * bool(counted.verdict.options)
    return Group(*lines, *([Text(one_line(counted.why), "cyan")] if counted.why else []))


def tail(content: RenderableType, console: Console, width: int, lines: int) -> RenderableType:
    """The last lines of something, as it looks at a width."""
    drawn = console.render_lines(content, console.options.update(width=width, height=None))
    rows = []
    for row in drawn[-lines:] if lines > 0 else []:
        line = Text(no_wrap=True, overflow="crop")
        for part in row:
            line.append(part.text, part.style)
        rows.append(line)
    return Group(*rows)


def _across(seats: int, width: int) -> int:
    return max(1, min(seats, 3, width // NARROWEST))


def _grid(cards: Sequence[RenderableType], across: int) -> RenderableType:
    table = Table.grid(expand=True)
    for _ in range(across):
        table.add_column(ratio=1)
    for at in range(0, len(cards), across):
        table.add_row(*cards[at : at + across])
    return table


def _card(seat: SpeakerView, inner: int, tall: int) -> Panel:
    return _framed(seat, Text("\n").join(_newest(_body(seat), inner, tall - 2)), tall)


def _whole(seat: SpeakerView) -> Panel:
    absent = seat.state == "absent"
    return _framed(seat, _body(seat) if absent else Markdown(inert(seat.text), hyperlinks=False))


def _framed(seat: SpeakerView, body: RenderableType, tall: int | None = None) -> Panel:
    style = {"absent": "red", "done": "green", "waiting": "dim"}.get(seat.state, "blue")
    return Panel(
        body,
        title=Text(seat.speaker.name, "bold"),
        subtitle=Text(_foot(seat), "dim"),
        border_style=style,
        height=tall,
    )


def _body(seat: SpeakerView) -> Text:
    if seat.state == "absent" and seat.absence is not None:
        return Text(words.absent(seat.absence), style="red", overflow="fold")
    if seat.text.strip():
        return Text(inert(seat.text.strip()), overflow="fold")
    if seat.reasoning.strip():
        return Text(inert(seat.reasoning.strip()), style="dim italic", overflow="fold")
    return Text("" if seat.state == "done" else "...", style="dim")


def _foot(seat: SpeakerView) -> str:
    if seat.state == "absent" and seat.absence is not None:
        return words.REASONS[seat.absence.reason]
    if seat.segment is not None:
        return one_line(words.segment(seat.segment))
    if not seat.began:
        return "waiting"
    doing = "thinking · " if seat.reasoning and not seat.text else ""
    if under_way := [one.tool for one in seat.calls.values() if one.kind == "called"]:
        doing = f"{one_line(', '.join(under_way), 40)} · "
    return f"{one_line(seat.model)} · {doing}{time.monotonic() - seat.began:.1f} s"


def _newest(text: Text, inner: int, lines: int) -> list[Text]:
    """The last lines that a text is wrapped into; what lies far before them is not even wrapped."""
    reach = 3 * inner * max(lines, 1)
    cut = text[-reach:] if len(text) > reach else text
    return list(cut.wrap(_RULER, max(inner, 1), overflow="fold"))[-lines:]


def _lines(text: str, inner: int) -> int:
    if len(text) > SHORT * inner * 2 or text.count("\n") > SHORT:
        return SHORT + 1
    return len(_newest(Text(inert(text.strip())), inner, 2 * SHORT))


def _list(seats: Sequence[SpeakerView], width: int, lines: int) -> RenderableType:
    """A line for each, where cards find no room."""
    rows: list[RenderableType] = []
    shown = seats if len(seats) <= lines else seats[: max(lines - 1, 0)]
    longest = max((len(seat.speaker.name) for seat in seats), default=0)
    for seat in shown:
        style = {"absent": "red", "done": "green", "waiting": "dim"}.get(seat.state, "blue")
        head = Text(f"{seat.speaker.name:{longest}} ", style, no_wrap=True, overflow="crop")
        room = width - longest - 1
        said = one_line(_body(seat).plain)
        head.append(said if seat.state == "absent" else said[-room:], "default")
        head.truncate(width, overflow="ellipsis")
        rows.append(head)
    if len(shown) < len(seats):
        rows.append(Text(f"and {len(seats) - len(shown)} more", "dim"))
    return Group(*rows)


_RULER = Console(width=80, color_system=None, force_terminal=False)
"""Wraps texts; it writes nothing."""
