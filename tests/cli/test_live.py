"""The live picture fits its window, and what is over is printed whole and stays."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from mom_council.cli.live import Live
from mom_council.cli.screen import Ending
from mom_council.councils.loader import load_council
from mom_council.deliberation import events
from mom_council.nodes.synthesizer import ASKED_AGAIN
from mom_council.records import Absence, Ballot, Option, Segment, Status, Verdict
from mom_council.tests.graph.desk import PERSONAS, seat
from mom_council.tests.stage import Stage

from .conftest import Processes

NAMES = (*PERSONAS, "Greta", "Hugo")
LONG = "\n\n".join(f"Paragraph {n}: " + "a cat needs little room. " * 9 for n in range(40))
HOSTILE = "\x1b[2J\x1b]0;owned\x07 [bold red]42[/bold red] [/nonsense] :smile:"


class Window:
    """A terminal of some size, the live view in it, and all that was written."""

    def __init__(self, width: int = 80, height: int = 24, *, full: bool = True) -> None:
        self.written = io.StringIO()
        self.console = Console(
            file=self.written, force_terminal=True, width=width, height=height, color_system=None,
            highlight=False, _environ={"TERM": "xterm"},
        )  # fmt: skip
        self.live = Live(load_council("demo"), self.console, full=full)

    def tell(self, *told: Any) -> None:
        """Have events happen."""
        for event in told:
            self.live.take(event)

    def picture(self) -> list[str]:
        """What is drawn again and again, line by line."""
        rows = self.console.render_lines(self.live._draw(), pad=False)
        return ["".join(part.text for part in row) for row in rows]

    def history(self) -> str:
        """What was printed to stay, without what moves the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.written.getvalue())


def speaker(name: str, node: str = "character", layer: int = 1) -> events.Speaker:
    return events.Speaker(node=node, name=name, round=1, layer=layer)


def seated(names: Any = NAMES, **changes: Any) -> events.Seated:
    told = {"round": 1, "rounds": 2, "layer": 1, "layers": 1, "seated": tuple(names), **changes}
    return events.Seated(**told)


def speak(name: str, text: str, done: bool = True, layer: int = 1) -> list[Any]:
    who = speaker(name, layer=layer)
    told: list[Any] = [
        events.ModelAsked(speaker=who, model="m"),
        events.TextSpoken(speaker=who, text=text),
    ]
    if done:
        told.append(events.Finished(speaker=who, segment=Segment(**who.model_dump(), model="m")))
    return told


def write(text: str) -> list[Any]:
    pen = events.Speaker(node="synthesizer", name="synthesizer")
    return [events.ModelAsked(speaker=pen, model="pen"), events.TextSpoken(speaker=pen, text=text)]


def ending(answer: str) -> Ending:
    from langchain_core.messages import AIMessage

    values = {"messages": [AIMessage(answer)], "status": Status(council="desk")}
    return Ending(values, thread="t", trace=None)


@pytest.mark.parametrize("seats", [1, 3, 8])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (40, 8), (200, 50), (20, 5)])
def test_the_picture_fits_its_window_at_every_moment(seats: int, width: int, height: int) -> None:
    window = Window(width, height)
    told: list[Any] = [seated(NAMES[:seats])]
    for name in NAMES[:seats]:
        told += speak(name, LONG, done=False)
    told.append(events.Polled(round=1, voters=NAMES[:seats]))
    told += [events.Voted(ballot=Ballot(voter=n, choice="Ada", reason=LONG)) for n in NAMES[:seats]]
    told += write(LONG)
    with window.live:
        for event in told:
            window.tell(event)
            picture = window.picture()
            assert len(picture) < height
            assert all(len(line) <= width for line in picture)


def test_the_newest_words_of_everybody_are_in_the_picture() -> None:
    window = Window()
    with window.live:
        window.tell(seated(NAMES[:3]))
        for name in NAMES[:3]:
            window.tell(*speak(name, LONG + f" newest of {name}", done=False))
        picture = "\n".join(window.picture())
    for name in NAMES[:3]:
        assert name in picture
        assert f"newest of {name}" in re.sub(r"\s+", " ", picture.replace("│", " "))


def test_long_answers_scroll_into_history_whole() -> None:
    window = Window()
    with window.live:
        window.tell(seated(("Ada", "Boris")), *speak("Ada", LONG), *speak("Boris", "short"))
        window.tell(*write(LONG))
        window.live.finish(ending(LONG))
    history = window.history()
    for n in range(40):
        assert history.count(f"Paragraph {n}: ") >= 2  # the proposal, and the answer
    assert "thread" not in history


def test_what_is_over_is_printed_once_round_by_round() -> None:
    window = Window()
    verdict = Verdict(method="plurality", options=(Option(members=("Ada",), share=1.0),))
    with window.live:
        window.tell(seated(("Ada", "Boris"), layers=2), *speak("Ada", "a first thought"))
        window.tell(*speak("Boris", "b first thought"))
        assert "a first thought" not in window.history()
        window.tell(seated(("Clara",), layer=2, layers=2), *speak("Clara", "second", layer=2))
        assert window.history().count("a first thought") == 1
        window.tell(events.Polled(round=1, voters=("Ada",)))
        window.tell(events.Voted(ballot=Ballot(voter="Ada", choice="Boris", reason="It is so.")))
        window.tell(events.Counted(verdict=verdict, why="All agree."))
        window.tell(seated(("Ada",), round=2), *speak("Ada", "again"))
        window.live.finish(ending("Done."))
    history = window.history()
    order = ["Round 1 of at most 2 · layer 1 of 2", "a first thought", "layer 2 of 2", "second"]
    order += ["Ada votes", "It is so.", "All agree.", "Round 2", "again", "Answer", "Done."]
    places = [history.index(part) for part in order]
    assert places == sorted(places)
    assert history.count("All agree.") == 1


@pytest.mark.parametrize("seats", [1, 3, 8])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 8), (20, 5)])
def test_by_default_each_member_has_one_line_that_fits(seats: int, width: int, height: int) -> None:
    window = Window(width, height, full=False)
    with window.live:
        window.tell(seated(NAMES[:seats]))
        assert "waiting" in "\n".join(window.picture())
        for name in NAMES[:seats]:
            window.tell(*speak(name, f"I, {name}, say: {LONG}", done=False))
            picture = window.picture()
            assert len(picture) < height
            assert all(len(line) <= width for line in picture)
        window.tell(*write(LONG))
    assert len(window.picture()) < height


def test_by_default_the_answer_is_long_and_the_rest_short() -> None:
    window = Window(full=False)
    verdict = Verdict(method="plurality", options=(Option(members=("Ada",), share=1.0),))
    with window.live:
        window.tell(seated(("Ada", "Boris", "Clara")), *speak("Ada", f"First words. {LONG}"))
        window.tell(*speak("Boris", "short", done=False))
        lines = window.picture()
        assert lines[0].startswith("✓ Ada    First words.")
        assert lines[1].startswith("… Boris  short")
        assert lines[2].startswith("· Clara  waiting")
        lost = Absence(character="Clara", reason="failed", detail="HTTP 500")
        window.tell(*speak("Boris", "short"), events.Missed(absence=lost))
        window.tell(events.Polled(round=1, voters=("Ada", "Boris")))
        window.tell(events.Voted(ballot=Ballot(voter="Ada", choice="Boris", reason="It is so.")))
        assert "votes: Ada Boris · still to vote: Boris" in "\n".join(window.picture())
        window.tell(events.Counted(verdict=verdict, why="All agree."))
        window.live.finish(ending(LONG))
    history = window.history()
    before, _, answer = history.partition("Answer")
    assert "Paragraph 1: " not in before
    assert "Paragraph 39: " in answer
    for part in ("✗ Clara", "HTTP 500", "votes: Ada Boris", "All agree."):
        assert before.count(part) >= 1
    assert "It is so." not in before


def test_what_was_not_finished_is_left_on_the_screen_when_it_is_stopped() -> None:
    window = Window()
    with window.live:
        window.tell(seated(("Ada", "Boris")), *speak("Ada", "half a tho", done=False))
    assert "half a tho" in window.history()
    assert window.written.getvalue().endswith("\n")
    assert window.written.getvalue().rindex("\x1b[?25h") > 0  # the cursor is back


def test_absences_votes_and_heat_are_told() -> None:
    window = Window()
    with window.live:
        window.tell(seated(("Ada", "Boris"), dropped=("Clara",)), *speak("Ada", "x", done=False))
        lost = Absence(character="Boris", reason="failed", detail="HTTP 500")
        window.tell(events.Missed(absence=lost))
        assert "HTTP 500" in "\n".join(window.picture())
        window.tell(
            events.Heat(
                state="waiting", celsius=81, device="GPU 0", limit=75, resume=68, remaining=60
            )
        )
        assert "GPU 0 is at 81 °C; waiting for 68 °C, at most 60 s" in window.picture()[-1]
        window.tell(events.Polled(round=1, voters=("Ada", "Boris")))
        late = Absence(character="Boris", reason="late", stage="vote")
        window.tell(events.Missed(absence=late))
        assert "still to vote: Ada" in "\n".join(window.picture())
        window.tell(events.Noted(text="A note."))
    history = window.history()
    for part in ("left out: Clara", "Boris failed", "was too slow", "A note."):
        assert part in history


def test_what_others_wrote_is_neither_escape_nor_markup() -> None:
    window = Window()
    with window.live:
        window.tell(seated(("Ada", "Boris")), *speak("Ada", HOSTILE), *speak("Boris", HOSTILE * 9))
        lost = Absence(character="Boris", reason="failed", detail=HOSTILE)
        window.tell(events.Missed(absence=lost), events.Noted(text=HOSTILE), *write(HOSTILE))
        assert "\x1b" not in "".join(window.picture())
        window.live.finish(ending(HOSTILE))
    written = window.written.getvalue()
    assert "\x1b[2J" not in written
    assert "\x07" not in written
    assert "[bold red]42[/bold red]" in window.history()


def test_a_corrected_text_is_gone_from_the_picture_and_the_answer_is_printed_once() -> None:
    window = Window()
    with window.live:
        window.tell(*write("Answer: 11"))
        assert "Answer: 11" in "\n".join(window.picture())
        window.tell(events.Noted(text=ASKED_AGAIN), *write("Answer: 42"))
        shown = "\n".join(window.picture())
        assert "Answer: 42" in shown
        assert "11" not in shown
        window.live.finish(ending("Answer: 42"))
    end = window.history().split(ASKED_AGAIN)[-1]
    assert "Answer: 42" in end
    assert "Answer: 11" not in end


@pytest.mark.slow
def test_in_a_terminal_the_whole_answer_is_drawn_and_colours_can_be_off(
    processes: Processes, stage: Stage, council_file: Callable[..., str]
) -> None:
    seat(stage, latency=0.4)
    stage.model("pen", reply=LONG, latency=1.0)
    for extra, colours in ((["--no-color"], False), ([], True)):
        written = _in_a_terminal(processes, ["ask", "Best?", "-c", council_file(), *extra])
        assert "Paragraph 0: " in written
        assert "Paragraph 39: " in written
        assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # the cursor is back
        assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", written)) is colours
    dumb = _in_a_terminal(processes, ["ask", "Best?", "-c", council_file()], TERM="dumb")
    assert "\x1b" not in dumb
    assert "Round 1: Ada, Boris, Clara" in dumb


def _in_a_terminal(processes: Processes, arguments: list[str], **env: str) -> str:
    ours, theirs = pty.openpty()
    told = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", "NO_COLOR": "", **env}
    begun = processes.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=told)
    os.close(theirs)
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux's way to say that nobody is left
                break
            if not more:
                break
            said += more
    os.close(ours)
    assert begun.wait(10) == 0, said
    return said.decode("utf-8", "replace")
