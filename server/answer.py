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
from contextlib import aclosing, asynccontextmanager, nullcontext
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
from mom_council.server.errors import Refusal, error_code
from mom_council.server.limits import ServerBudget
from mom_council.server.repeats import AgentTurn, RepeatableRequest
from mom_council.server.request_log import request_id
from mom_council.server.state import EVERYONE, ServerState
from mom_council.server.streams import StopFilter, ThinkingAloud, Thought, is_thought


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
    images = [
        f"![picture](data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()})"
        for file, _ in pictures_in(blocks)
    ]
    if not is_stored:
        delete_pictures(blocks)
    return "\n\n".join((text, *images))


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
    aloud: bool = False
    """Whether the client is told what the council thinks."""

    @property
    def store_thread(self) -> str | None:
        """Where the run is kept: in the thread, or in one of the request's own."""
        return self.thread or (self.repeat.thread if self.repeat else None)

    @property
    def turn(self) -> AgentTurn | None:
        """The turn of an agent's loop that it is a part of; None: everybody is asked each time.

        In a thread it is none: there the graph itself goes on, and stores what it says.
        """
        goes_on = self.served.council.synthesizer.after_tools == "alone"
        if not goes_on or not self.form.tools or self.store_thread is not None:
            return None
        return AgentTurn(self.owner, self.served.model, self.messages)

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
    stop: str | None = None
    """Which of the client's own stops it ends at."""
    thoughts: str = ""
    """What the council thought, as far as the client was told."""

    @property
    def finish(self) -> str:
        """Why it ends, in OpenAI's words."""
        finish = self.answered.status.finish
        if self.answered.calls:
            return "tool_calls"
        if self.stop or finish == "stop":
            return "stop"
        return "content_filter" if finish == "filtered" else "length"


Piece = str | Thought | WholeAnswer


async def run(
    server: ServerState, question: ServedQuestion, *, watch: Callable[[Event], None] | None = None
) -> AsyncGenerator[Piece, None]:
    """Have the council answer, or give the answer that the same request was given before.

    Yields thoughts, where they are wanted, pieces of text, and at the end the whole.

    Raises:
        Refusal: as `_run`.
        MixtureError: as `_run`.
    """
    if question.repeat is None:
        followed = _counted(server, question, watch)
    else:
        repeats = await server.repeats()
        repeat = await repeats.claim(question.repeat)
        if repeat.answer is not None:
            followed = _stored(server, question, repeat)
        else:
            followed = repeats.follow(repeat, lambda: _counted(server, question, watch))
    async with aclosing(followed) as parts:
        async for part in parts:
            yield part


async def _counted(
    server: ServerState, question: ServedQuestion, watch: Callable[[Event], None] | None
) -> AsyncGenerator[Piece, None]:
    """`_run`, whose failure is counted.

    Raises:
        Refusal: as `_run`.
        MixtureError: as `_run`.
    """
    try:
        async with aclosing(_run(server, question, watch)) as parts:
            async for part in parts:
                yield part
    except Exception as error:
        limit = error.limit if isinstance(error, Refusal) else ""
        model = question.served.model
        server.metrics.failed(model, question.owner, error_code(error), limit)
        raise


async def _run(
    server: ServerState, question: ServedQuestion, watch: Callable[[Event], None] | None
) -> AsyncGenerator[Piece, None]:
    """Have the council answer.

    Whoever stops listening stops the run, and the calls under way.

    Args:
        server: where it is asked.
        question: what.
        watch: is shown all that the run tells; else only the answer and what it took are read.

    Raises:
        Refusal: there is no place, or the thread is busy.
        MixtureError: as the council raises it.
    """
    served = question.served
    stops = StopFilter(question.form.stop)
    # What can miss its form is given whole: pieces of it could not be taken back.
    is_whole = question.form.must_call or bool(question.form.json_request)
    thinking = ThinkingAloud(candid=server.settings.candid)
    first: float | None = None
    answered: Answered | None = None
    budget = server.budget
    async with (
        budget.question(question.owner) if budget else nullcontext() as account,
        server.alone_in(question.thread),
        server.slots.place(),
        _opened(server, question) as (opened, thread),
    ):
        began = time.monotonic()
        reads = _events_for(question, candid=server.settings.candid)
        recipe = _recipe(question, opened, thread, reads=reads if watch is None else None)
        await server.turns.go_on(question.turn, recipe)
        watcher = _count_and_show(server, served, watch)
        async with aclosing(_charged_events(recipe, budget, account, watcher)) as events:
            async for event in events:
                if question.aloud and (thought := thinking.take(event)):
                    yield thought
                if isinstance(event, Answered):
                    answered = event
                elif not is_whole and (piece := _piece(event, stops)):
                    if first is None:
                        first = time.monotonic() - began
                        server.metrics.first_piece.labels(served.model).observe(first)
                    yield piece
        recipe.refuse_waiting()
        spent = time.monotonic() - began
        if answered is None:
            raise DeliberationError("the run ended without an answer", cure="ask again")
        server.metrics.answered(served.model, question.owner, answered.status, spent)
        await server.turns.keep(question.turn, recipe, answered)
    async with aclosing(_pieces(server, question, answered, stops)) as parts:
        async for part in parts:
            if isinstance(part, WholeAnswer):
                outcome = replace(part, thoughts=thinking.text)
                await _keep_for_repeat(server, question, outcome)
                yield outcome
            else:
                yield part


async def _keep_for_repeat(
    server: ServerState, question: ServedQuestion, outcome: WholeAnswer
) -> None:
    """Keep an answer as it was streamed, where its request may come again."""
    if question.repeat is None:
        return
    answered = outcome.answered
    # A picture is put into the text each time.
    text = answered.text if answered.pictures else outcome.text
    as_sent = answered.model_copy(update={"text": text})
    await (await server.repeats()).keep(question.repeat, as_sent, outcome.thoughts)


async def _stored(
    server: ServerState, question: ServedQuestion, repeat: RepeatableRequest
) -> AsyncGenerator[Piece, None]:
    """The answer that was given to the same request before, with the thoughts before it."""
    assert repeat.answer is not None  # noqa: S101 - who calls this has looked
    if repeat.thoughts:
        yield Thought(repeat.thoughts, is_early=False)
    stops = StopFilter(question.form.stop)
    async with aclosing(_pieces(server, question, repeat.answer, stops)) as parts:
        async for part in parts:
            if isinstance(part, WholeAnswer):
                yield replace(part, thoughts=repeat.thoughts)
            else:
                yield part


def _count_and_show(
    server: ServerState, served: ServedCouncil, watch: Callable[[Event], None] | None
) -> Callable[[Event], None]:
    """Takes each event: for the figures, and for whom it is shown."""

    def take(event: Event) -> None:
        server.metrics.take(event, served.council)
        if watch is not None:
            watch(event)

    return take


async def _charged_events(
    recipe: Run,
    budget: ServerBudget | None,
    account: Account | None,
    watch: Callable[[Event], None],
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
                    watch(event)
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
        request_id=request_id(),
        people=question.people,
        reads=reads,
        # A client that names no thread has nothing kept, a trace included.
        traced=question.thread is not None,
    )


async def _pieces(
    server: ServerState, question: ServedQuestion, answered: Answered, stops: StopFilter
) -> AsyncGenerator[Piece, None]:
    """What is still to be passed on of an answer that is complete, and the whole of it."""
    text = await _text(answered, question, candid=server.settings.candid)
    if rest := stops.end(text, anew=answered.status.written_by == "vote"):
        yield rest
    yield WholeAnswer(stops.text, answered, stops.stop)


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
) -> AsyncGenerator[tuple[int, Piece], None]:
    """Several choices: as many runs of the council, side by side, each with other dice."""
    pieces: asyncio.Queue[tuple[int, Piece] | None] = asyncio.Queue()

    async def listen(choice: int) -> None:
        async with aclosing(run(server, question.again(choice))) as parts:
            async for part in parts:
                pieces.put_nowait((choice, part))

    async def listen_to_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for choice in range(choices):
                    group.create_task(listen(choice))
        finally:
            pieces.put_nowait(None)

    listening = asyncio.create_task(listen_to_all())
    try:
        while (one := await pieces.get()) is not None:
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


def _events_for(question: ServedQuestion, *, candid: bool) -> Callable[[Mapping[str, Any]], bool]:
    """Which events are read for a client, by their plain form."""
    if not question.aloud:
        return _is_for_clients
    return lambda event: _is_for_clients(event) or is_thought(event, candid=candid)


def _is_for_clients(event: Mapping[str, Any]) -> bool:
    """What a client is shown: the synthesizer's words, when it begins, and the whole answer.

    What models took, and who was missing, is counted.
    """
    if event.get("kind") in ("said", "asked"):
        return bool(event["speaker"]["node"] == "synthesizer" and not event.get("reasoning"))
    return event.get("kind") in ("answered", "finished", "missed")


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


@dataclass(frozen=True, slots=True)
class ClientUsage:
    """What answers took, as clients count: what they sent, and all that was made of it.

    The council's own talk is reasoning. What a client sent is what the synthesizer read, so that a
    client sees how full the window of the model is that it speaks to.
    """

    prompt: int
    completion: int
    reasoning: int


def client_usage(outcomes: Sequence[WholeAnswer]) -> ClientUsage | None:
    """The usage of an answer, and of its other choices; None where no model said it."""
    statuses = [one.answered.status for one in outcomes]
    total = sum((one.usage for one in statuses), Usage()).tokens
    if total is None:
        return None
    writing = sum((one.writing or one.usage for one in statuses), Usage())
    prompt = min(writing.input_tokens or 0, total)
    answer = min(writing.output_tokens or 0, total - prompt)
    return ClientUsage(prompt, total - prompt, total - prompt - answer)


def chat_usage(outcomes: Sequence[WholeAnswer]) -> dict[str, Any] | None:
    """The usage in OpenAI's words; None where no model said it."""
    usage = client_usage(outcomes)
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


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
    usage = client_usage([outcome])
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
