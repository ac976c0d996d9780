"""A run as it happens, in a terminal: who speaks, how they vote, why it stopped, the answer.

What is over is printed once and scrolls away whole; only what is still under way is drawn again and
again, in no more lines than the window has.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.markdown import Markdown
from rich.rule import Rule
from rich.text import Text

from mom_council.cli import cards, words
from mom_council.cli.inert import inert, one_line
from mom_council.cli.screen import Ending, Screen
from mom_council.councils.schema import Council
from mom_council.graph.events import Event, Noted, Planned, Waited
from mom_council.graph.follow import RoundView, RunView, SpeakerView

FRAME = 0.1
"""Seconds from one picture to the next, at the least."""


class Live(Screen):
    """Draws what is under way, and prints what is over."""

    def __init__(self, council: Council, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._council = council
        self._view = RunView()
        self._printed: set[tuple[str, int, int]] = set()
        self._began = time.monotonic()
        self._live = RichLive(
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

    def abandon(self) -> None:
        """Show the cursor again."""
        self._console.show_cursor(True)

    def take(self, event: Event) -> None:
        """Show an event in the next picture; what it ends is printed."""
        self._view.take(event)
        self._settle()
        if isinstance(event, Noted):
            self.note(event.text)
        elif isinstance(event, Planned) and event.unplanned > event.loads:
            self._console.print(Text(words.plan(event), "dim"))
        elif isinstance(event, Waited):
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
            cost = words.cost(status.usage, status.seconds)
            out.print(Text(f"{cost} · thread {ending.thread}", "dim"))

    def _settle(self, *, all_of_it: bool = False) -> None:
        for a_round in self._view.rounds:
            over = all_of_it or a_round is not self._view.rounds[-1] or bool(a_round.counted)
            self._settle_layers(a_round, over or bool(a_round.voters) or self._writing is not None)
            if over and (a_round.counted or a_round.ballots or a_round.unvoted):
                votes = cards.ballots(a_round)
                parts = [votes] if a_round.ballots or a_round.unvoted else []
                self._once(("count", a_round.number, 0), Group(*parts, cards.count(a_round)))

    def _settle_layers(self, a_round: RoundView, over: bool) -> None:
        layers = _layers(a_round)
        for layer, seats in layers.items():
            if not over and layer == max(layers):
                continue
            if not any(seat.began or seat.absence for seat in seats):
                continue
            spoken = cards.when_they_have_spoken(seats, self._console.width)
            self._once(("layer", a_round.number, layer), self._head(a_round, layer), spoken)

    def _once(self, name: tuple[str, int, int], *parts: RenderableType) -> None:
        if name not in self._printed:
            self._printed.add(name)
            self._console.print(Group(*parts))

    def _head(self, a_round: RoundView, layer: int) -> RenderableType:
        view = self._view
        said = [f"Round {a_round.number} of at most {view.most_rounds}"] * (view.most_rounds > 1)
        said += [f"layer {layer} of {view.layers}"] * (view.layers > 1)
        said += [f"left out: {', '.join(a_round.dropped)}"] * bool(a_round.dropped)
        title = Text(" · ".join(said) or "The council speaks", "bold")
        return Rule(title, align="left", style="dim")

    @property
    def _writing(self) -> SpeakerView | None:
        return next(
            (v for v in self._view.voices.values() if v.speaker.node in ("synthesizer", "painter")),
            None,
        )

    def _draw(self) -> RenderableType:
        width, room = self._console.width, self._console.height - 2
        foot = self._foot()
        if self._view.status is not None:
            return foot  # the answer is about to be printed, whole
        if (writing := self._writing) is not None:
            text = writing.text or writing.reasoning or "..."
            body = cards.tail(Markdown(inert(text)), self._console, width, room - 1)
            title = "For the painter" if writing.speaker.node == "painter" else "Answer"
            return Group(Rule(Text(title, "bold green"), align="left", style="green"), body, foot)
        rounds = self._view.rounds
        if not rounds:
            return foot
        a_round, layers = rounds[-1], _layers(rounds[-1])
        if a_round.voters and not a_round.counted:
            return Group(
                cards.tail(cards.ballots(a_round, short=True), self._console, width, room), foot
            )
        layer = max(layers, default=0)
        if not layer or ("layer", a_round.number, layer) in self._printed:
            return foot
        speaking = cards.while_they_speak(layers[layer], width, room - 1)
        return Group(self._head(a_round, layer), speaking, foot)

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
            said = [one_line(self._council.name), what or "listening", took, "Ctrl-C stops"]
            line = Text(" · ".join(said), "dim")
        line.truncate(self._console.width - 1, overflow="ellipsis")
        return line


def _layers(a_round: RoundView) -> dict[int, list[SpeakerView]]:
    layers: dict[int, list[SpeakerView]] = {}
    for (layer, _), seat in a_round.seats.items():
        layers.setdefault(layer, []).append(seat)
    return dict(sorted(layers.items()))
