"""One answer of a council for a client: pieces as they come, then the whole of it.

The client's stops end it early. A picture goes into the text, as Markdown: a chat has no other
place. With the answer goes the council's own report of how it came about.
"""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AnyMessage

from mom_council.deliberation.answer_check import json_part
from mom_council.deliberation.context import AnswerForm, CouncilContext
from mom_council.deliberation.events import Answered, Event, ModelAsked, TextSpoken
from mom_council.errors import BudgetError, DeliberationError
from mom_council.models.images import delete_pictures, pictures_in
from mom_council.models.prices import charge_to
from mom_council.models.spending import Account
from mom_council.records import Usage
from mom_council.runs.ask import OpenCouncil, People, Run
from mom_council.server.catalogue import ServedCouncil
from mom_council.server.limits import ServerBudget
from mom_council.server.repeats import RepeatableRequest
from mom_council.server.state import EVERYONE, ServerState

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
        heard = self.text + self._held
        if whole.startswith(heard):
            rest = self._held + whole[len(heard) :]
        elif heard.endswith(whole) or heard.rstrip() == whole:
            rest = self._held  # thoughts were heard before it as if they were said
        else:
            return self.begin_again() + self._pass(whole, last=True)
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
        self.text += text
        return text


def _overlap(text: str, stop: str) -> int:
    """How much of a stop's beginning the text ends with."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0
    )


async def in_text(answered: Answered, *, is_stored: bool) -> str:
    """The answer's text with its pictures in it.

    Args:
        answered: the answer.
        is_stored: whether a thread still names their files; else they are deleted.
    """
    if not answered.pictures:
        return answered.text
    return await asyncio.to_thread(_drawn, answered.text, [*answered.pictures], is_stored)


def _drawn(text: str, blocks: list[dict[str, Any]], is_stored: bool) -> str:
    shown = [
        f"![picture](data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()})"
        for file, _ in pictures_in(blocks)
    ]
    if not is_stored:
        delete_pictures(blocks)
    return "\n\n".join((text, *shown))


@dataclass(frozen=True, slots=True)
class ServedQuestion:
    """What a client asks of a council."""

    served: ServedCouncil
    messages: Sequence[AnyMessage]
    form: AnswerForm
    seed: int | None = None
    thread: str | None = None
    """As the store names it; None: nothing is kept."""
    people: People | None = None
    """Who can answer what the council asks a person. None over HTTP: a request has one answer."""
    owner: str = EVERYONE
    """The name of the key that it came with."""
    repeat: RepeatableRequest | None = None
    """The request, where it may come again."""

    @property
    def store_thread(self) -> str | None:
        """Where the run is kept: in the thread, or in one of the request's own."""
        return self.thread or (self.repeat.thread if self.repeat else None)

    def again(self, choice: int) -> ServedQuestion:
        """The same question for another choice: with another seed."""
        seed = (self.served.council.seed if self.seed is None else self.seed) + choice
        form = self.form
        if form.seed is not None:
            form = form.model_copy(update={"seed": (form.seed + choice) % 2**31})
        repeat = self.repeat.choice(choice) if self.repeat else None
        return replace(self, form=form, seed=seed % 2**32, repeat=repeat)


@dataclass(frozen=True, slots=True)
class WholeAnswer:
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
    server: ServerState, question: ServedQuestion, *, watch: Callable[[Event], None] | None = None
) -> AsyncGenerator[str | WholeAnswer, None]:
    """Have the council answer, or give the answer that the same request was given before.

    Yields pieces of text, and at the end the whole.

    Raises:
        Refusal: as `_run`.
        MixtureError: as `_run`.
    """
    if question.repeat is None:
        followed = _run(server, question, watch)
    else:
        repeats = await server.repeats()
        repeat = await repeats.claim(question.repeat)
        if repeat.answer is not None:
            followed = _pieces(server, question, repeat.answer, StopFilter(question.form.stop))
        else:
            followed = repeats.follow(repeat, lambda: _run(server, question, watch))
    async with aclosing(followed) as parts:
        async for part in parts:
            yield part


async def _run(
    server: ServerState, question: ServedQuestion, watch: Callable[[Event], None] | None
) -> AsyncGenerator[str | WholeAnswer, None]:
    """Have the council answer.

    Whoever stops listening stops the run, and the calls under way.

    Args:
        server: where it is asked.
        question: what.
        watch: is shown everything that the run tells; left out, only the answer is read.

    Raises:
        Refusal: there is no place, or the thread is busy.
        MixtureError: as the council raises it.
    """
    served = question.served
    stops = StopFilter(question.form.stop)
    # What can miss its form is given whole: pieces of it could not be taken back.
    is_whole = question.form.must_call or bool(question.form.json_request)
    first: float | None = None
    answered: Answered | None = None
    budget = server.budget
    account = None if budget is None else await budget.admit(question.owner)
    async with (
        server.alone_in(question.thread),
        server.slots.place(),
        _opened(server, question) as (opened, thread),
    ):
        began = time.monotonic()
        recipe = _recipe(question, opened, thread, reads=_is_for_clients if watch is None else None)
        async with aclosing(_charged_events(recipe, budget, account)) as events:
            async for event in events:
                if watch is not None:
                    watch(event)
                if isinstance(event, Answered):
                    answered = event
                elif not is_whole and (piece := _piece(event, stops)):
                    if first is None:
                        first = time.monotonic() - began
                        server.metrics.first_piece.labels(served.model).observe(first)
                    yield piece
        recipe.refuse_waiting()
        if answered is None:
            raise DeliberationError("the run ended without an answer", cure="ask again")
        server.metrics.answered(served.model, answered.status, time.monotonic() - began)
    async with aclosing(_pieces(server, question, answered, stops)) as parts:
        async for part in parts:
            if question.repeat is not None and isinstance(part, WholeAnswer):
                # As it was streamed; a picture is put into the text each time.
                text = answered.text if answered.pictures else part.text
                given = answered.model_copy(update={"text": text})
                await (await server.repeats()).keep(question.repeat, given)
            yield part


async def _charged_events(
    recipe: Run, budget: ServerBudget | None, account: Account | None
) -> AsyncGenerator[Event, None]:
    """The run's events, its calls charged to an account.

    Raises:
        Refusal: a limit of the day left no room for an answer.
        MixtureError: as the run raises it.
    """
    try:
        with charge_to(account):
            async with aclosing(recipe.events()) as events:
                async for event in events:
                    yield event
    except BudgetError:
        if budget is not None and (refusal := budget.spent_refusal(account)):
            raise refusal from None
        raise


def _recipe(question: ServedQuestion, opened: OpenCouncil, thread: str | None, reads: Any) -> Run:
    """The run of a question."""
    repeat = question.repeat
    return Run(
        opened,
        question.messages,
        thread=thread,
        context=CouncilContext(form=question.form, seed=question.seed),
        named=question.served.model,
        # A client is told at once that the thread is busy, and asks again; who asks for the
        # second time waits for the first.
        wait=0 if repeat is None else None,
        request=repeat.id if repeat else "",
        people=question.people,
        reads=reads,
        # A client that names no thread has nothing kept, a trace included.
        traced=question.thread is not None,
    )


async def _pieces(
    server: ServerState, question: ServedQuestion, answered: Answered, stops: StopFilter
) -> AsyncGenerator[str | WholeAnswer, None]:
    """What is still to be passed on of an answer that is complete, and the whole of it."""
    text = await _text(answered, question, candid=server.settings.candid)
    if rest := stops.end(text, anew=answered.status.written_by == "vote"):
        yield rest
    yield WholeAnswer(stops.text, answered, stops.stopped)


@asynccontextmanager
async def _opened(
    server: ServerState, question: ServedQuestion
) -> AsyncIterator[tuple[OpenCouncil, str | None]]:
    """The council and the thread to ask in.

    A person is asked in a thread; where the client named none, one that lives as long as the
    question.
    """
    if question.store_thread is not None or question.people is None:
        yield question.served.opened, question.store_thread
        return
    thread = f"question-{uuid.uuid4().hex}"
    try:
        yield OpenCouncil(question.served.council, server.memory), thread
    finally:
        await server.memory.adelete_thread(thread)


async def whole(server: ServerState, question: ServedQuestion) -> WholeAnswer:
    """The whole answer at once."""
    outcome: WholeAnswer | None = None
    async with aclosing(run(server, question)) as parts:
        async for part in parts:
            if isinstance(part, WholeAnswer):
                outcome = part
    assert outcome is not None  # noqa: S101 - `run` ends with it
    return outcome


async def several(
    server: ServerState, question: ServedQuestion, choices: int
) -> AsyncGenerator[tuple[int, str | WholeAnswer], None]:
    """Several choices: as many runs of the council, side by side, each with other dice."""
    heard: asyncio.Queue[tuple[int, str | WholeAnswer] | None] = asyncio.Queue()

    async def listen(choice: int) -> None:
        async with aclosing(run(server, question.again(choice))) as parts:
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


def _is_for_clients(event: Mapping[str, Any]) -> bool:
    """What a client is shown: the synthesizer's words, when it begins, and the whole answer."""
    if event.get("kind") in ("said", "asked"):
        return bool(event["speaker"]["node"] == "synthesizer" and not event.get("reasoning"))
    return event.get("kind") == "answered"


def _piece(event: Event, stops: StopFilter) -> str:
    """What an event gives the client to read: the synthesizer's words, as far as they are new."""
    if not isinstance(event, ModelAsked | TextSpoken) or event.speaker.node != "synthesizer":
        return ""
    if isinstance(event, ModelAsked):
        return stops.begin_again()
    return "" if event.reasoning else stops.hear(event.text)


async def _text(answered: Answered, question: ServedQuestion, *, candid: bool) -> str:
    """The answer as its client may read it."""
    status = answered.status
    if status.route == "image" and status.degraded and not answered.pictures and not candid:
        return "The picture could not be drawn; the server's log says more."
    if question.form.must_call and not answered.calls:
        return ""
    text = await in_text(answered, is_stored=question.store_thread is not None)
    return json_part(text) if question.form.json_request else text


def usage_of(outcomes: Sequence[WholeAnswer]) -> Usage:
    """What all models have used for an answer, and for its other choices."""
    return sum((one.answered.status.usage for one in outcomes), Usage())


def chat_usage(outcomes: Sequence[WholeAnswer]) -> dict[str, int] | None:
    """The usage in OpenAI's words; None where no model said it."""
    usage = usage_of(outcomes)
    if usage.tokens is None:
        return None
    read, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def council_report(outcome: WholeAnswer, *, thread: str | None, candid: bool) -> dict[str, Any]:
    """The council's council_report of an answer: who spoke, how the vote went, who dissented.

    Without `candid` the words of errors are left out: they name addresses of the owner's network.
    """
    status = outcome.answered.status
    report = status.model_dump(mode="json")
    report["name"] = report.pop("council")
    if not candid:
        report["notes"] = []
        for absence in report["absent"]:
            absence["detail"] = ""
    return {**report, "thread": thread}


def response_usage(outcome: WholeAnswer) -> dict[str, Any] | None:
    """The usage as /v1/responses words it; None where no model said it."""
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
