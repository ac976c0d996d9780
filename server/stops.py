"""The answer as its client hears it: where its stops end it, and when the whole differs."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Passes an answer's pieces on up to the first stop.

    A stop can come in two pieces, so as much is held back as may be its beginning. Models are sent
    the stops too; this holds for those that do not listen, and for proposals.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.told = ""
        """Everything that was passed on."""
        self.stopped = False

    def hear(self, text: str) -> str:
        """Take in some text; what can be passed on."""
        if self.stopped:
            return ""
        if not self.told:
            text = (self._held + text).lstrip()
            self._held = ""
        return self._pass(self._held + text)

    def end(self, whole: str) -> str:
        """The answer is over, and reads like this as a whole; what is still to be passed on."""
        if self.stopped:
            return ""
        heard = self.told + self._held
        if whole.startswith(heard):
            rest = self._held + whole[len(heard) :]
        elif heard.endswith(whole) or heard.rstrip() == whole:
            rest = self._held  # thoughts were heard before it as if they were said
        else:
            rest = f"{self._held}\n\n{whole}"  # another text had to take its place
        self._held = ""
        return self._pass(rest, last=True)

    def _pass(self, text: str, *, last: bool = False) -> str:
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            text, self._held = text[: min(found)], ""
        elif not last:
            keep = max((_overlap(text, stop) for stop in self._stops), default=0)
            text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        self.told += text
        return text


def _overlap(text: str, stop: str) -> int:
    """How much of a stop's beginning the text ends with."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0
    )
