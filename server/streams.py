"""How answers reach a client that may read slowly or leave, and the council's thoughts as a text.

When a client leaves, the work for it ends. A client that reads slowly delays nobody: the answer
waits in memory, where it is small, and the council's place is free again. At a client's own stop
sequence its text ends.

A client shows the council's thoughts as it shows a model's reasoning. Members answer at the same
time, so one of them is written as it speaks, and the others' words follow when it has finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mom_council.deliberation.events import (
    Counted,
    Event,
    Finished,
    Heat,
    Missed,
    Noted,
    Painted,
    Polled,
    Seated,
    TextSpoken,
    Voted,
    Waited,
)
from mom_council.runs import words

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that the status waits for the first piece, so that a failure has the right one."""
BEAT = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy thinks we are dead."""
STALL = 60.0
"""Seconds that a client may take to read what fits into its socket."""

Refuse = Callable[[BaseException], Response]


CORRECTED = "\n\n(corrected)\n\n"
"""Closes a text in a stream that is not the answer after all; the answer comes behind it."""


class StopFilter:
    """Passes an answer's pieces on up to the first stop.

    A stop can come in two pieces, so as much is held back as may be its beginning. Models are sent
    the stops too; this holds for those that do not listen, and for proposals.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.text = ""
        """What was passed on of the answer, without a text whose place it took."""
        self.stopped = False
        self.stop: str | None = None
        """At which of the stops the text ends."""

    def begin_again(self) -> str:
        """Another text takes the place of what was heard; what closes that for its reader."""
        rest = "" if self.stopped else self._pass(self._held, last=True)
        was_heard = bool(self.text)
        self._held, self.text, self.stopped = "", "", False
        return rest + CORRECTED if was_heard else ""

    def hear(self, text: str) -> str:
        """Take in some text; what can be passed on."""
        if self.stopped:
            return ""
        if not self.text:
            text = (self._held + text).lstrip()
            self._held = ""
        return self._pass(self._held + text)

    def end(self, whole: str, *, anew: bool = False) -> str:
        """The answer is over, and reads like this as a whole; what is still to be passed on.

        `anew`: it is another text than the one that was heard.
        """
        if anew:
            return self.begin_again() + self._pass(whole, last=True)
        if self.stopped:
            return ""
        so_far = self.text + self._held
        if whole.startswith(so_far):
            rest = self._held + whole[len(so_far) :]
        elif so_far.endswith(whole) or so_far.rstrip() == whole:
            rest = self._held  # thoughts were heard before it as if they were said
        else:
            return self.begin_again() + self._pass(whole, last=True)
        self._held = ""
        return self._pass(rest, last=True)

    def _pass(self, text: str, *, last: bool = False) -> str:
        stops = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if stops:
            self.stopped = True
            place, self.stop = min(stops)
            text, self._held = text[:place], ""
        elif not last:
            keep = max((_overlap(text, stop) for stop in self._stops), default=0)
            text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        self.text += text
        return text


def _overlap(text: str, stop: str) -> int:
    """How much of a stop's beginning the text ends with."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0
    )


class ClientGone(Exception):  # noqa: N818 - said, not raised at a programmer
    """The client has hung up."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, unless the client leaves: then it is cancelled, and has unwound.

    Raises:
        ClientGone: it has left.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_leaves(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EarlyFrame(bytes):
    """Events after which the whole may still fail: the status waits for what comes next."""


class EventStream(Response):
    """Server-sent events.

    Args:
        frames: the events as bytes.
        refuse: makes the response that says what went wrong, where nothing was sent yet.
        broken: makes the last event of a stream that breaks off.
        left: is called when the client hangs up first.
        beat: is sent where nothing else is for a while.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        *,
        refuse: Refuse,
        broken: Callable[[BaseException], bytes],
        left: Callable[[], None],
        beat: bytes = b": the council is deliberating\n\n",
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._frames, self._refuse, self._broken, self._left = frames, refuse, broken, left
        self._beat = beat
        self._ready: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        writing = asyncio.create_task(self._write())
        try:
            await unless_gone(receive, self._send(scope, receive, send))
        except (ClientGone, TimeoutError):
            self._left()
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self) -> None:
        """Listen to the council, at its own pace."""
        try:
            async with aclosing(self._frames) as frames:
                async for frame in frames:
                    self._ready.put_nowait(frame)
            self._ready.put_nowait(None)
        except Exception as error:
            self._ready.put_nowait(error)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await self._first()
        if isinstance(first, BaseException):
            await self._refuse(first)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        part: bytes | BaseException | None = first
        while part is not None:
            over = isinstance(part, BaseException)
            await self._put(send, self._broken(part) if isinstance(part, BaseException) else part)
            if over:
                break
            part = await self._next(BEAT)
        await self._put(send, b"", more=False)

    async def _first(self) -> bytes | BaseException | None:
        """What the status is decided by, with what came before it."""
        early = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while isinstance(part := await self._ready.get(), EarlyFrame):
                    early += part
        except TimeoutError:
            return early or self._beat
        if isinstance(part, BaseException):
            return part
        if part is None:
            self._ready.put_nowait(None)
            return early or None
        return early + part

    async def _next(self, seconds: float) -> bytes | BaseException | None:
        """The next piece, with all that have come since; a comment where none comes in time."""
        if self._ready.empty():
            try:
                async with asyncio.timeout(seconds):
                    part = await self._ready.get()
            except TimeoutError:
                return self._beat
        else:
            part = self._ready.get_nowait()
        while isinstance(part, bytes) and not self._ready.empty():
            more = self._ready.get_nowait()
            if not isinstance(more, bytes):
                self._ready.put_nowait(more)  # it is the last one
                break
            part += more
        return part

    @staticmethod
    async def _put(send: Callable[..., Awaitable[None]], body: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(STALL):
            await send({"type": "http.response.body", "body": body, "more_body": more})


def event(body: bytes, name: str = "") -> bytes:
    """One event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + body + b"\n\n"


_LINES = frozenset(
    {"seated", "polled", "voted", "counted", "missed", "finished", "heat", "waited", "painted"}
)


class Thought(NamedTuple):
    """Some of what the council thinks."""

    text: str
    is_early: bool
    """Whether no model has answered yet: the whole run may still come to nothing."""


def is_thought(event: Mapping[str, Any], *, candid: bool) -> bool:
    """Whether an event, in its plain form, is a part of the council's thoughts."""
    kind = event.get("kind")
    if kind == "said":
        node = event["speaker"]["node"]
        return bool(node == "character" or (node == "synthesizer" and event.get("reasoning")))
    return kind in _LINES or (candid and kind == "noted")


class ThinkingAloud:
    """Turns a run's events into thoughts.

    Args:
        candid: whether the reader may know the words of errors.
    """

    def __init__(self, *, candid: bool) -> None:
        self._candid = candid
        self._has_heard = False
        self._speaking: str | None = None
        """Who is heard as it speaks."""
        self._waiting: dict[str, str] = {}
        """What the others have said so far."""
        self._finished: set[str] = set()
        self.text = ""
        """Everything so far."""

    def take(self, event: Event) -> Thought | None:
        """What an event adds; None where it adds nothing."""
        added = self._words(event)
        if not added:
            return None
        if not self.text:
            added = added.lstrip("\n")
        self.text += added
        return Thought(added, not self._has_heard)

    def _words(self, event: Event) -> str:
        match event:
            case TextSpoken() if event.speaker.node == "synthesizer":
                return event.text if event.reasoning else ""
            case TextSpoken() if event.speaker.node == "character":
                return "" if event.reasoning else self._hear(event.speaker.name, event.text)
            case Finished() if event.speaker.node == "character":
                return self._finish(event.speaker.name)
            case _:
                line = self._line(event)
                return f"\n\n{line}" if line else ""

    def _line(self, event: Event) -> str:  # noqa: C901 - one line an event
        match event:
            case Seated():
                return f"Round {event.round}: {', '.join(event.seated)}"
            case Missed():
                absence = event.absence
                if not self._candid:
                    absence = absence.model_copy(update={"detail": ""})
                return words.absent(absence)
            case Polled():
                return f"Vote: {', '.join(event.voters)}"
            case Voted():
                reason = f": {event.ballot.reason}" if event.ballot.reason else ""
                return f"{event.ballot.voter} votes {words.ballot(event.ballot)}{reason}"
            case Counted():
                return event.why
            case Heat() if event.state == "waiting":
                return words.heat(event)
            case Waited():
                return words.held_back(event)
            case Painted():
                return words.painted(event)
            case Noted() if self._candid:
                return event.text
            case _:
                return ""

    def _hear(self, name: str, text: str) -> str:
        self._has_heard = True
        if self._speaking is None:
            self._speaking = name
            return f"\n\n{name}: {text}"
        if self._speaking == name:
            return text
        self._waiting[name] = self._waiting.get(name, "") + text
        return ""

    def _finish(self, name: str) -> str:
        if self._speaking != name:
            self._finished.add(name)
            return ""
        self._speaking = None
        text = ""
        for other in [*self._waiting]:
            is_over = other in self._finished
            if not is_over and self._speaking is not None:
                continue
            text += f"\n\n{other}: {self._waiting.pop(other)}"
            self._finished.discard(other)
            if not is_over:
                self._speaking = other
        return text
