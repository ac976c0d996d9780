"""Keeping what a model thinks apart from what it says, while it is still talking.

Some providers send thoughts in a field of their own; others leave `<think> ... </think>` in the
text. Some chat templates put the opening tag into the prompt, so only the closing one arrives:
then what was taken for text turns out to have been thought, and `Thoughts` moves it over.

A block counts only at the beginning of a reply, where models put it. A tag further on is the
model talking about tags.
"""

from __future__ import annotations

from collections.abc import Callable

_TAGS = ("think", "thinking", "thought", "reasoning")
_OPENING = tuple(f"<{tag}>" for tag in _TAGS)
_CLOSING = tuple(f"</{tag}>" for tag in _TAGS)
_LONE = "</think>"
"""The only closing tag that templates are known to leave on its own."""

Tell = Callable[[str, bool], None]
"""Called with a piece and whether it is reasoning."""


class Thoughts:
    """Splits one reply as its pieces arrive; a tag may be cut anywhere between two pieces.

    Attributes:
        text: what was said, complete after `close`.
        reasoning: what was thought, complete after `close`.
    """

    def __init__(self, tell: Tell | None = None) -> None:
        self._tell = tell
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._held = ""
        self._closing = ""
        self._step = self._begin

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """What was thought so far."""
        return "".join(self._reasoning)

    def think(self, piece: str) -> None:
        """A piece that the provider itself marked as reasoning."""
        self._emit(piece, True)

    def hear(self, piece: str) -> None:
        """A piece of the reply's text, tags and all."""
        self._step(self._held + piece if self._held else piece)

    def close(self) -> None:
        """The reply is over: what was held back as a possible tag is none."""
        held, self._held = self._held, ""
        self._emit(held, self._step == self._inside)

    def _begin(self, heard: str) -> None:
        start = heard.lstrip()
        tag = next((tag for tag in _OPENING if start.startswith(tag)), None)
        if tag:
            self._held, self._step = "", self._inside
            self._closing = _CLOSING[_OPENING.index(tag)]
            self._inside(start[len(tag) :])
        elif any(tag.startswith(start) for tag in _OPENING):
            self._held = heard
        else:
            self._held, self._step = "", self._open
            self._open(heard)

    def _inside(self, heard: str) -> None:
        thought, tag, rest = heard.partition(self._closing)
        if tag:
            self._held, self._step = "", self._after
            self._emit(thought, True)
            self._after(rest)
        else:
            self._hold(heard, self._closing, reasoning=True)

    def _after(self, heard: str) -> None:
        """Drop the blank lines between the thought and the answer."""
        said = heard.lstrip()
        if said:
            self._step = self._plain
            self._plain(said)

    def _open(self, heard: str) -> None:
        """Text, unless a lone closing tag shows that it was thought."""
        if "<" not in heard:
            self._held = ""
            self._emit(heard, False)
            return
        thought, tag, rest = heard.partition(_LONE)
        if not tag:
            self._hold(heard, _LONE, reasoning=False)
        elif (thought or self.text)[-1:] == "`":
            # Quoted: the reply is about the tag.
            self._held, self._step = "", self._plain
            self._plain(heard)
        else:
            self._held, self._step = "", self._after
            self._reasoning += [*self._text, thought]
            self._text = []
            self._after(rest)

    def _plain(self, heard: str) -> None:
        self._emit(heard, False)

    def _hold(self, heard: str, tag: str, *, reasoning: bool) -> None:
        """Emit all but a tail that may be the beginning of the tag."""
        keep = next((n for n in range(len(tag) - 1, 0, -1) if heard.endswith(tag[:n])), 0)
        self._held = heard[len(heard) - keep :]
        self._emit(heard[: len(heard) - keep], reasoning)

    def _emit(self, piece: str, reasoning: bool) -> None:
        if not piece:
            return
        (self._reasoning if reasoning else self._text).append(piece)
        if self._tell:
            self._tell(piece, reasoning)
