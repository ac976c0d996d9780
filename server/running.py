"""The answer as its client hears it: where its stops end it, and when the whole differs.

A drawn picture on its way to a client: in the text, as Markdown; a chat has no other place.

One run of a council for a client: pieces of the answer as they come, then the whole of it.

What a client learns of how its answer came about: usage, and the council's own account.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig

from mom_council.deliberation.context import AnswerForm, CouncilContext
from mom_council.deliberation.events import Answered, Event, Said
from mom_council.errors import DeliberationError
from mom_council.models.gallery import delete_pictures, pictures_in
from mom_council.records import Usage
from mom_council.runs.follow import follow
from mom_council.server.house import House
from mom_council.server.offer import Seat


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


async def in_text(answered: Answered, *, kept: bool) -> str:
    """The answer's text with its pictures in it.

    Args:
        answered: the answer.
        kept: whether a thread still names their files; else they are deleted.
    """
    if not answered.pictures:
        return answered.text
    return await asyncio.to_thread(_drawn, answered.text, [*answered.pictures], kept)


def _drawn(text: str, blocks: list[dict[str, Any]], kept: bool) -> str:
    shown = [
        f"![picture](data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()})"
        for file, _ in pictures_in(blocks)
    ]
    if not kept:
        delete_pictures(blocks)
    return "\n\n".join((text, *shown))


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks of a council."""

    seat: Seat
    messages: Sequence[AnyMessage]
    form: AnswerForm
    seed: int | None = None
    thread: str | None = None
    """As the store names it; None: nothing is kept."""

    def again(self, choice: int) -> Question:
        """The same question for another choice: other dice."""
        seed = (self.seat.council.seed if self.seed is None else self.seed) + choice
        return Question(self.seat, self.messages, self.form, seed % 2**32)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole answer."""

    text: str
    answered: Answered
    stopped: bool = False
    """Whether it ends at one of the client's own stops."""

    @property
    def finish(self) -> str:
        """Why it ends, in OpenAI's words."""
        finish = self.answered.status.finish
        if self.answered.calls:
            return "tool_calls"
        if self.stopped or finish == "stop":
            return "stop"
        return "content_filter" if finish == "filtered" else "length"


async def run(
    house: House, asked: Question, *, watch: Callable[[Event], None] | None = None
) -> AsyncGenerator[str | Outcome, None]:
    """Have the council answer; yields pieces of text, and at the end the whole.

    Whoever stops listening stops the run, and the calls under way.

    Args:
        house: where it is asked.
        asked: what.
        watch: is shown everything that the run tells; left out, only the answer is read.

    Raises:
        Refusal: there is no place, or the thread is busy.
        MixtureError: as the council raises it.
    """
    seat = asked.seat
    # Nobody at the other end of a request can be asked to approve a tool.
    context = CouncilContext(form=asked.form, seed=asked.seed, can_ask=False)
    config: RunnableConfig = {"metadata": {"council": seat.council.name, "asked": seat.model}}
    if asked.thread is not None:
        config["configurable"] = {"thread_id": asked.thread}
        config["metadata"]["thread"] = asked.thread
    stops = Stops(asked.form.stop)
    first: float | None = None
    answered: Answered | None = None
    async with house.alone_in(asked.thread), house.places.place():
        began = time.monotonic()
        given = {"messages": [*asked.messages]}
        wanted = _wanted if watch is None else None
        events = follow(seat.graph, given, config, context=context, wanted=wanted)
        async with aclosing(events):
            async for event in events:
                if watch is not None:
                    watch(event)
                if isinstance(event, Answered):
                    answered = event
                elif (
                    isinstance(event, Said) and _heard(event) and (piece := stops.hear(event.text))
                ):
                    if first is None:
                        first = time.monotonic() - began
                        house.metrics.first_piece.labels(seat.model).observe(first)
                    yield piece
        if answered is None:
            raise DeliberationError("the run ended without an answer", cure="ask again")
        house.metrics.answered(seat.model, answered.status, time.monotonic() - began)
    if rest := stops.end(await _text(answered, asked, candid=house.settings.candid)):
        yield rest
    yield Outcome(stops.told, answered, stops.stopped)


async def whole(house: House, asked: Question) -> Outcome:
    """The whole answer at once."""
    outcome: Outcome | None = None
    async with aclosing(run(house, asked)) as parts:
        async for part in parts:
            if isinstance(part, Outcome):
                outcome = part
    assert outcome is not None  # noqa: S101 - `run` ends with it
    return outcome


async def several(
    house: House, asked: Question, choices: int
) -> AsyncGenerator[tuple[int, str | Outcome], None]:
    """Several choices: as many runs of the council, side by side, each with other dice."""
    heard: asyncio.Queue[tuple[int, str | Outcome] | None] = asyncio.Queue()

    async def listen(choice: int) -> None:
        async with aclosing(run(house, asked.again(choice))) as parts:
            async for part in parts:
                heard.put_nowait((choice, part))

    async def listen_to_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for choice in range(choices):
                    group.create_task(listen(choice))
        finally:
            heard.put_nowait(None)

    listening = asyncio.create_task(listen_to_all())
    try:
        while (one := await heard.get()) is not None:
            yield one
        await listening
    except BaseExceptionGroup as errors:
        raise _first(errors) from None
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _wanted(event: Mapping[str, Any]) -> bool:
    """What a client is shown: the synthesizer's words, and the whole answer."""
    if event.get("kind") == "said":
        return bool(event["speaker"]["node"] == "synthesizer" and not event["reasoning"])
    return event.get("kind") == "answered"


def _heard(event: Said) -> bool:
    return event.speaker.node == "synthesizer" and not event.reasoning


async def _text(answered: Answered, asked: Question, *, candid: bool) -> str:
    """The answer as its client may read it."""
    status = answered.status
    if status.route == "image" and status.degraded and not answered.pictures and not candid:
        return "The picture could not be drawn; the server's log says more."
    return await in_text(answered, kept=asked.thread is not None)


def usage_of(outcomes: Sequence[Outcome]) -> Usage:
    """What all models have used for an answer, and for its other choices."""
    return sum((one.answered.status.usage for one in outcomes), Usage())


def chat_usage(outcomes: Sequence[Outcome]) -> dict[str, int] | None:
    """The usage in OpenAI's words; None where no model told it."""
    usage = usage_of(outcomes)
    if usage.tokens is None:
        return None
    read, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def account(outcome: Outcome, *, thread: str | None, candid: bool) -> dict[str, Any]:
    """The council's account of an answer: who spoke, how the vote went, who dissented.

    Without `candid` the words of errors are left out: they name addresses of the owner's network.
    """
    status = outcome.answered.status
    told = status.model_dump(mode="json")
    told["name"] = told.pop("council")
    if not candid:
        told["notes"] = []
        for absence in told["absent"]:
            absence["detail"] = ""
    return {**told, "thread": thread}


def response_usage(outcome: Outcome) -> dict[str, Any] | None:
    """The usage as /v1/responses words it; None where no model told it."""
    usage = usage_of([outcome])
    if usage.tokens is None:
        return None
    return {
        "input_tokens": usage.input_tokens or 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output_tokens or 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.tokens,
    }
