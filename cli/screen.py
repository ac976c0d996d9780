"""What every way of showing a run has in common; and the answer alone."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mom_council.runs.words import cost, inert

if TYPE_CHECKING:
    from mom_council.deliberation.events import Event
    from mom_council.records import Status


class Ending:
    """How a question ended: the thread's state after it, and where to find it again."""

    def __init__(
        self,
        values: dict[str, Any],
        *,
        thread: str,
        trace: str | None,
        names_thread: bool = False,
        costs_money: bool = False,
    ) -> None:
        self.values = values
        self.thread = thread
        self.trace = trace
        self._names_thread = names_thread
        self._costs_money = costs_money

    @property
    def answer(self) -> str:
        """The council's answer, as the model wrote it; a picture by its file."""
        return "\n\n".join([self.text, *(one["file"] for one in self.pictures)])

    @property
    def footer(self) -> str:
        """What it cost, and in a talk its thread; empty where nothing is known."""
        status = self.status
        if status is None:
            return ""
        line = cost(status.usage, status.seconds, costs_money=self._costs_money)
        return f"{line} · thread {self.thread}" if self._names_thread else line

    @property
    def text(self) -> str:
        """The answer's words alone."""
        return str(self.values["messages"][-1].text)

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """The pictures that the council drew: where each lies, and how it was made."""
        from mom_council.models.images import pictures_in

        found = pictures_in(self.values["messages"][-1].content)
        return [{"file": str(file), **about} for file, about in found]

    @property
    def status(self) -> Status | None:
        """The label on it."""
        status: Status | None = self.values.get("status")
        return status


class Screen:
    """Takes a run's events and shows them; a context manager. This one shows nothing."""

    QUIET_SECONDS = 3600.0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, however it went."""

    def take(self, event: Event) -> None:
        """Show an event."""

    def note(self, line: str) -> None:
        """Show a line that is no event."""

    def paused(self) -> AbstractContextManager[None]:
        """Leave the terminal to somebody else for a while."""
        return nullcontext()

    def tick(self) -> float:
        """Draw anew; returns the seconds until the next time."""
        return self.QUIET_SECONDS

    def abandon(self) -> None:
        """Put the terminal right: the program ends here."""

    def finish(self, ending: Ending) -> None:
        """Show how it ended."""


class AnswerAlone(Screen):
    """Prints the answer, and nothing else."""

    def finish(self, ending: Ending) -> None:
        """Print it."""
        print(inert(ending.answer), flush=True)
