"""The parts of the live picture: who speaks, how they vote, what came of it.

A run as it happens, in a terminal: who speaks, how they vote, why it stopped, the answer.

What is over is printed once and scrolls away whole; only what is still under way is drawn again and
again, in no more lines than the window has.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.markdown import Markdown
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mom_council.cli.screen import Ending, Screen
from mom_council.councils.schema import Council
from mom_council.deliberation.events import Event, Noted, Planned, Waited
from mom_council.runs import words
from mom_council.runs.follow import RoundView, RunView, SpeakerView
from mom_council.runs.words import inert, one_line

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


_MARKS = {"waiting": ("·", "dim"), "done": ("✓", "green"), "absent": ("✗", "red")}


def rows(
    seats: Sequence[SpeakerView], width: int, lines: int = 1000, *, is_over: bool = False
) -> RenderableType:
    """A line for each member: how far it is, the first words of what it says, the seconds.

    Of a round that is over nobody is said to think: who did not finish did not finish.
    """
    first = seats if len(seats) <= lines else seats[: max(lines - 1, 0)]
    longest = min(max((len(seat.speaker.name) for seat in seats), default=0), width // 3)
    drawn: list[RenderableType] = []
    for seat in first:
        is_cut = is_over and seat.state in ("waiting", "speaking")
        mark, style = _MARKS["waiting"] if is_cut else _MARKS.get(seat.state, ("…", "blue"))
        seconds = "" if is_cut else _seconds(seat)
        line = Text(f"{mark} ", style, no_wrap=True, overflow="crop")
        line.append(f"{one_line(seat.speaker.name, longest):{longest}}  ", "bold")
        space = width - longest - len(seconds) - 6
        text = one_line(_body(seat).plain) if seat.state != "waiting" else "waiting"
        if seat.state == "speaking" and not seat.text.strip():
            text = _calls_in_words(seat) or "thinking"
        if is_cut:
            text = f"did not finish: {one_line(seat.text)}" if seat.text else "did not finish"
        text = text if len(text) <= space else f"{text[: max(space - 1, 0)]}…"
        line.append(f"{text:{max(space, 0)}}", "default" if seat.text else "dim")
        line.append(f"  {seconds}", "dim")
        line.truncate(width, overflow="crop")
        drawn.append(line)
    if len(first) < len(seats):
        drawn.append(Text(f"and {len(seats) - len(first)} more", "dim"))
    return Group(*drawn)


def _seconds(seat: SpeakerView) -> str:
    if seat.segment is not None:
        return f"{seat.segment.usage.seconds:.1f} s"
    if seat.wait is not None:
        return words.wait_in_words(seat.wait)
    if seat.state == "speaking" and seat.began:
        return f"{seat.seconds:.1f} s"
    return ""


def votes_in_a_line(a_round: RoundView) -> RenderableType:
    """Who voted for what, in as few words as there are."""
    votes = [f"{one.voter} {words.ballot(one)}" for one in a_round.ballots]
    votes += [words.absent(one) for one in a_round.unvoted]
    done = {one.voter for one in a_round.ballots} | {one.character for one in a_round.unvoted}
    waiting = [name for name in a_round.voters if name not in done]
    text = f"votes: {' · '.join(map(one_line, votes))}" if votes else "voting"
    return Text(f"{text} · still to vote: {', '.join(waiting)}" if waiting else text, "dim")


def ballots(a_round: RoundView, *, short: bool = False) -> RenderableType:
    """Who voted what, why, and who has not."""
    lines = Table.grid(padding=(0, 1))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    lines.add_column(overflow="fold", ratio=1)
    most = 40 if short else 300
    for ballot in a_round.ballots:
        vote = Text(one_line(words.ballot(ballot)), "bold")
        lines.add_row(
            Text(f"{ballot.voter} votes"), vote, Text(one_line(ballot.reason, most), "dim")
        )
    for absence in a_round.unvoted:
        why = Text(one_line(absence.detail, most), "dim")
        lines.add_row(Text(absence.character), Text(words.REASONS[absence.reason], "red"), why)
    done = {b.voter for b in a_round.ballots} | {a.character for a in a_round.unvoted}
    if waiting := [name for name in a_round.voters if name not in done]:
        return Group(lines, Text(f"still to vote: {', '.join(waiting)}", "dim"))
    return lines


def count(a_round: RoundView, *, full: bool = True) -> RenderableType:
    """What came of a round: how the answers stand, and why it is so; or only the latter."""
    counted = a_round.counted
    if counted is None:
        return Text("")
    texts = [words.tally(counted.verdict, texts_of(a_round))] if full else []
    texts.append(counted.why)
    return Group(*(Text(one_line(line), "cyan") for line in texts if line))


def texts_of(a_round: RoundView) -> dict[str, str]:
    """What each character said last in a round."""
    return {name: seat.text for (_, name), seat in sorted(a_round.seats.items())}


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
    return _draw_frame(seat, Text("\n").join(_newest(_body(seat), inner, tall - 2)), tall)


def _whole(seat: SpeakerView) -> Panel:
    absent = seat.state == "absent"
    return _draw_frame(
        seat, _body(seat) if absent else Markdown(inert(seat.text), hyperlinks=False)
    )


def _draw_frame(seat: SpeakerView, body: RenderableType, tall: int | None = None) -> Panel:
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
    if seat.wait is not None:
        return f"{one_line(seat.model)} · {words.wait_in_words(seat.wait)}"
    doing = "thinking · " if seat.reasoning and not seat.text else ""
    if under_way := _calls_in_words(seat):
        doing = f"{under_way} · "
    return f"{one_line(seat.model)} · {doing}{seat.seconds:.1f} s"


def _calls_in_words(seat: SpeakerView) -> str:
    """What is done about the calls of tools that are under way; empty where none is."""
    under_way = [words.call_in_words(one) for one in seat.calls.values() if one.kind == "called"]
    return one_line(", ".join(dict.fromkeys(under_way)), 60)


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
    first = seats if len(seats) <= lines else seats[: max(lines - 1, 0)]
    longest = max((len(seat.speaker.name) for seat in seats), default=0)
    for seat in first:
        style = {"absent": "red", "done": "green", "waiting": "dim"}.get(seat.state, "blue")
        head = Text(f"{seat.speaker.name:{longest}} ", style, no_wrap=True, overflow="crop")
        space = width - longest - 1
        text = one_line(_body(seat).plain)
        head.append(text if seat.state == "absent" else text[-space:], "default")
        head.truncate(width, overflow="ellipsis")
        rows.append(head)
    if len(first) < len(seats):
        rows.append(Text(f"and {len(seats) - len(first)} more", "dim"))
    return Group(*rows)


_RULER = Console(width=80, color_system=None, force_terminal=False)
"""Wraps texts; it writes nothing."""

FRAME = 0.1
"""Seconds from one picture to the next, at the least."""


class Live(Screen):
    """Draws what is under way, and prints what is over."""

    def __init__(
        self, council: Council, console: Console | None = None, *, full: bool = False
    ) -> None:
        self._full = full
        self._console = console or Console(highlight=False)
        self._council = council
        self._view = RunView()
        self._printed: set[tuple[str, int, int]] = set()
        self._began = time.monotonic()
        self._saved_loads = 0
        self._live = self._new_picture()

    def _new_picture(self) -> RichLive:
        return RichLive(
            console=self._console,
            auto_refresh=False,
            get_renderable=self._draw,
            vertical_overflow="crop",
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what there was, also of what did not come to its end."""
        self._live.stop()
        self._settle(all_of_it=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Print what is over; draw again below what was typed meanwhile."""
        self._live.stop()
        self._settle()
        try:
            yield
        finally:
            self._live = self._new_picture()
            self._live.start(refresh=True)

    def abandon(self) -> None:
        """Show the cursor again."""
        self._console.show_cursor(True)

    def take(self, event: Event) -> None:
        """Show an event in the next picture; what it ends is printed."""
        self._view.take(event)
        self._settle()
        if isinstance(event, Noted):
            self.note(event.text)
        elif isinstance(event, Planned):
            self._saved_loads += max(0, event.unplanned - event.loads)
        elif isinstance(event, Waited) and event.seconds:
            self._console.print(Text(words.held_back(event), "dim"))

    def note(self, line: str) -> None:
        """Print it among the rest."""
        self._console.print(Text(one_line(line), "yellow"))

    def tick(self) -> float:
        """Draw. A picture that takes long to draw comes less often, so that the run goes on."""
        began = time.monotonic()
        self._live.refresh()
        return max(FRAME, 9 * (time.monotonic() - began))

    def finish(self, ending: Ending) -> None:
        """Print the whole answer, and its label."""
        self._live.stop()
        self._settle(all_of_it=True)
        out, status = self._console, ending.status
        out.print(Rule(Text("Answer", "bold green"), align="left", style="green"))
        out.print(Markdown(inert(ending.text), hyperlinks=False))
        for picture in ending.pictures:
            out.print(Text(picture["file"], "bold"), soft_wrap=True)  # whole, to be copied
        out.print()
        if status is not None:
            for line in words.label(status.model_copy(update={"notes": ()})):
                out.print(Text(line, "yellow"))
            saved = words.saved_loads(self._saved_loads)
            out.print(Text(" · ".join(filter(None, (ending.footer, saved))), "dim"))

    def _settle(self, *, all_of_it: bool = False) -> None:
        for a_round in self._view.rounds:
            over = all_of_it or a_round is not self._view.rounds[-1] or bool(a_round.counted)
            self._settle_layers(a_round, over or bool(a_round.voters) or self._writing is not None)
            if over and (a_round.counted or a_round.ballots or a_round.unvoted):
                show = ballots if self._full else votes_in_a_line
                parts = [show(a_round)] if a_round.ballots or a_round.unvoted else []
                counted = count(a_round, full=self._full)
                self._once(("count", a_round.number, 0), Group(*parts, counted))

    def _settle_layers(self, a_round: RoundView, over: bool) -> None:
        layers = _layers(a_round)
        for layer, seats in layers.items():
            if not over and layer == max(layers):
                continue
            if not any(seat.began or seat.absence for seat in seats):
                continue
            name = ("layer", a_round.number, layer)
            if self._full:
                spoken = when_they_have_spoken(seats, self._console.width)
                self._once(name, self._head(a_round, layer), spoken)
            else:
                self._once(
                    name,
                    *self._short_head(a_round, layer),
                    rows(seats, self._console.width, is_over=True),
                )

    def _once(self, name: tuple[str, int, int], *parts: RenderableType) -> None:
        if name not in self._printed:
            self._printed.add(name)
            self._console.print(Group(*parts))

    def _short_head(self, a_round: RoundView, layer: int) -> list[RenderableType]:
        """Which round and layer it is, where there is more than the first."""
        parts = [f"Round {a_round.number}"] if a_round.number > 1 else []
        parts += [f"layer {layer} of {self._view.layers}"] if self._view.layers > 1 else []
        parts += [f"left out: {', '.join(a_round.dropped)}"] if a_round.dropped else []
        return [Text(" · ".join(parts), "dim")] if parts else []

    def _head(self, a_round: RoundView, layer: int) -> RenderableType:
        view = self._view
        parts = [f"Round {a_round.number} of at most {view.most_rounds}"] * (view.most_rounds > 1)
        parts += [f"layer {layer} of {view.layers}"] * (view.layers > 1)
        parts += [f"left out: {', '.join(a_round.dropped)}"] * bool(a_round.dropped)
        title = Text(" · ".join(parts) or "The council speaks", "bold")
        return Rule(title, align="left", style="dim")

    @property
    def _writing(self) -> SpeakerView | None:
        return next(
            (v for v in self._view.voices.values() if v.speaker.node in ("synthesizer", "painter")),
            None,
        )

    def _draw(self) -> RenderableType:
        width, height = self._console.width, self._console.height - 2
        foot = self._foot()
        if self._view.status is not None:
            return foot  # the answer is about to be printed, whole
        if (writing := self._writing) is not None:
            text = writing.text or writing.reasoning or "..."
            body = tail(Markdown(inert(text)), self._console, width, height - 1)
            title = "For the painter" if writing.speaker.node == "painter" else "Answer"
            return Group(Rule(Text(title, "bold green"), align="left", style="green"), body, foot)
        rounds = self._view.rounds
        if not rounds:
            return foot
        a_round, layers = rounds[-1], _layers(rounds[-1])
        if a_round.voters and not a_round.counted:
            votes = ballots(a_round, short=True) if self._full else votes_in_a_line(a_round)
            return Group(tail(votes, self._console, width, height), foot)
        layer = max(layers, default=0)
        if not layer or ("layer", a_round.number, layer) in self._printed:
            return foot
        if self._full:
            speaking = while_they_speak(layers[layer], width, height - 1)
            return Group(self._head(a_round, layer), speaking, foot)
        head = self._short_head(a_round, layer)
        return Group(*head, rows(layers[layer], width, height - len(head)), foot)

    def _foot(self) -> RenderableType:
        view = self._view
        if view.heat is not None and view.heat.state == "waiting":
            line = Text(words.heat(view.heat), "red")
        else:
            doing = {
                "classifier": "choosing the way",
                "image_reader": "looking at the pictures",
                "annotator": "reading the question",
            }
            what = doing.get(view.active, "")
            if view.painted is not None:
                what = words.painted(view.painted)
            elif "painter:picture:0" in view.voices:
                what = "drawing"
            elif self._writing is not None:
                what = "writing the answer"
            elif view.active == "vote":
                what = "voting"
            elif view.active == "character":
                what = "speaking"
            took = f"{time.monotonic() - self._began:.1f} s"
            if self.expected:
                took += f" of about {self.expected}"
            parts = [one_line(self._council.name), what or "listening", took, "Ctrl-C stops"]
            line = Text(" · ".join(parts), "dim")
        line.truncate(self._console.width - 1, overflow="ellipsis")
        return line


def _layers(a_round: RoundView) -> dict[int, list[SpeakerView]]:
    layers: dict[int, list[SpeakerView]] = {}
    for (layer, _), seat in a_round.seats.items():
        layers.setdefault(layer, []).append(seat)
    return dict(sorted(layers.items()))
