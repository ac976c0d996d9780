"""What a program calls: a question in, a typed answer out; and `what_if`, a changed question.

    answer = ask("What is 17 + 25?", council="demo")
    answer.text, answer.dissent, answer.cost

    with stream("What is 17 + 25?", council="demo") as events:
        for event in events:
            ...                      # typed: events of deliberation/events.py
    events.answer.text

    fork = await what_if(graph, {"configurable": {"thread_id": "cats"}}, method="plurality")
    result = await resume(graph, fork)

`what_if` continues an answered question from a change, in a new thread. What was said before the
change is kept and not paid again. After a changed proposal there is a new vote; a changed vote or
weight needs only a new count; another method asks for ballots only where the stored ones do not say
what it counts. The old thread stays as it is.
"""

from __future__ import annotations

import asyncio
import queue
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from mom_council.councils.refusals import nearest
from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext, QuestionSettings
from mom_council.deliberation.events import Event
from mom_council.errors import DeliberationError, InputError, StorageError
from mom_council.graph.council import NO_MODELS, load_with_models
from mom_council.models.clients import background_loop, run_in_background_loop
from mom_council.models.images import picture_block
from mom_council.records import Ballot, Proposal, Status
from mom_council.runs.ask import OpenCouncil, Run, open_runs
from mom_council.runs.checkpoints import MEMORY
from mom_council.voting.ballot_forms import BallotForm
from mom_council.voting.methods import METHODS
from mom_council.voting.revote import as_ballot_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from langchain_core.language_models import BaseChatModel


Source = Council | str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CouncilAnswer:
    """What a council answered."""

    text: str
    status: Status
    thread: str | None = None
    """The conversation that it belongs to; None where nothing is kept."""

    @property
    def dissent(self) -> tuple[str, ...]:
        """The characters that still disagree after the vote."""
        return self.status.dissent

    @property
    def cost(self) -> float | None:
        """US dollars; None where no price is known."""
        return self.status.usage.usd


async def aask(
    question: str,
    *,
    council: Source = "demo",
    models: Mapping[str, BaseChatModel] = NO_MODELS,
    images: Sequence[str | Path] = (),
    thread: str | None = None,
    context: CouncilContext | None = None,
) -> CouncilAnswer:
    """Ask a council.

    Args:
        question: in words.
        council: a preset's name, a YAML file, a mapping, or a `Council`.
        models: LangChain chat models of yours, by the keys of `models` that they stand for.
        images: paths of pictures that the question is about.
        thread: a conversation to go on with, kept where `mom` keeps its threads; left out, nothing
            is kept.
        context: settings of this question.

    Raises:
        MixtureError: the council cannot sit, or could not answer.
    """
    return await _finish(question, council, models, images, thread, context)


def ask(
    question: str,
    *,
    council: Source = "demo",
    models: Mapping[str, BaseChatModel] = NO_MODELS,
    images: Sequence[str | Path] = (),
    thread: str | None = None,
    context: CouncilContext | None = None,
) -> CouncilAnswer:
    """Ask a council, for callers without an event loop: as `aask`.

    Raises:
        MixtureError: the council cannot sit, or could not answer.
    """
    return run_in_background_loop(_finish, question, council, models, images, thread, context)


class AsyncCouncilStream:
    """A question on its way: iterate for its events, then read its `answer`.

    To leave early and stop the models, use `async with`, or `aclose`.
    """

    def __init__(self, *asked: Any) -> None:
        self._asked = asked
        self._answer: CouncilAnswer | None = None
        self._events = self._run()

    def __aiter__(self) -> AsyncIterator[Event]:
        """The events as they come."""
        return self._events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the question where it is not answered."""
        await self._events.aclose()

    @property
    def answer(self) -> CouncilAnswer:
        """The answer, after the last event.

        Raises:
            DeliberationError: the events were not read to their end.
        """
        return _checked(self._answer)

    async def _run(self) -> AsyncGenerator[Event, None]:
        async with _open_run(*self._asked) as run, aclosing(run.events()) as events:
            async for event in events:
                yield event
            run.refuse_waiting()
            self._answer = _answer(run.values, run.thread)


class CouncilStream:
    """As `AsyncCouncilStream`, for callers without an event loop; to leave early, use `with`."""

    def __init__(self, *asked: Any) -> None:
        self._stream = AsyncCouncilStream(*asked)
        self._came: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._reading: Future[None] | None = None
        self._events = self._read()

    def __iter__(self) -> Iterator[Event]:
        """The events as they come.

        Raises:
            MixtureError: the council cannot sit, or could not answer.
        """
        return self._events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the question where it is not answered; returns when its models are let go."""
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            while self._came.get() is not None:
                pass

    @property
    def answer(self) -> CouncilAnswer:
        """The answer, after the last event.

        Raises:
            DeliberationError: the events were not read to their end.
        """
        return self._stream.answer

    def _read(self) -> Iterator[Event]:
        self._reading = copy_context().run(
            asyncio.run_coroutine_threadsafe, self._pump(), background_loop()
        )
        while (event := self._came.get()) is not None:
            yield event
        self._reading.result()

    async def _pump(self) -> None:
        """Read on the background loop: one task for the whole question, so that it can stop."""
        try:
            async with self._stream as events:
                async for event in events:
                    self._came.put(event)
        finally:
            self._came.put(None)


def astream(
    question: str,
    *,
    council: Source = "demo",
    models: Mapping[str, BaseChatModel] = NO_MODELS,
    images: Sequence[str | Path] = (),
    thread: str | None = None,
    context: CouncilContext | None = None,
) -> AsyncCouncilStream:
    """Ask a council and follow it: its typed events as they come, then its answer.

    The arguments are those of `aask`, which raises the same errors.
    """
    return AsyncCouncilStream(question, council, models, images, thread, context)


def stream(
    question: str,
    *,
    council: Source = "demo",
    models: Mapping[str, BaseChatModel] = NO_MODELS,
    images: Sequence[str | Path] = (),
    thread: str | None = None,
    context: CouncilContext | None = None,
) -> CouncilStream:
    """Ask a council and follow it, for callers without an event loop: as `astream`."""
    return CouncilStream(question, council, models, images, thread, context)


@asynccontextmanager
async def _open_run(
    question: str,
    council: Source,
    models: Mapping[str, BaseChatModel],
    images: Sequence[str | Path],
    thread: str | None,
    context: CouncilContext | None,
) -> AsyncIterator[Run]:
    """The run of one question, with everything around it."""
    content: Any = question
    if images:
        pictures = await asyncio.to_thread(_read_pictures, [Path(image) for image in images])
        content = [{"type": "text", "text": question}, *pictures]
    rules = load_with_models(council, models)
    async with open_runs(MEMORY if thread is None else None) as saver:
        yield Run(
            OpenCouncil(rules, None if thread is None else saver),
            [{"role": "user", "content": content}],
            thread=thread,
            context=context or CouncilContext(),
            state_keys=("messages", "status"),
        )


async def _finish(*asked: Any) -> CouncilAnswer:
    """The arguments are those of `_open_run`."""
    async with _open_run(*asked) as run:
        return _answer(await run.finish(), run.thread)


def _answer(values: Mapping[str, Any], thread: str | None) -> CouncilAnswer:
    status = values.get("status")
    if status is None:
        raise DeliberationError("the council gave no answer")
    return CouncilAnswer(values["messages"][-1].text, status, thread)


def _checked(answer: CouncilAnswer | None) -> CouncilAnswer:
    if answer is None:
        raise DeliberationError("there is no answer yet", cure="read the events to their end")
    return answer


def _read_pictures(files: Sequence[Path]) -> list[dict[str, Any]]:
    try:
        return [picture_block(file.read_bytes(), file.name) for file in files]
    except OSError as error:
        raise InputError(f"a picture cannot be read: {error}") from error


_FAN_IN = {"quorum", "equality_check"}


async def what_if(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    config: RunnableConfig,
    *,
    proposals: Mapping[str, str] | None = None,
    votes: Mapping[str, str | Sequence[str] | Mapping[str, float]] | None = None,
    method: str | None = None,
    weights: Mapping[str, float] | None = None,
    round: int | None = None,  # noqa: A002 - the council's own word
    thread: str | None = None,
    **settings: Any,
) -> RunnableConfig:
    """Fork the last question of a thread, with a change; returns where to go on.

    Args:
        graph: the council, compiled with the thread's checkpointer.
        config: holds `configurable.thread_id`.
        proposals: other texts, by the names of the characters that are to have said them.
        votes: other votes, by voters: a name, names with the best first, or scores by names.
        method: another way of counting.
        weights: other weights, by the names of characters.
        round: in which round; left out, in the last that was counted.
        thread: the name of the new thread; left out, it gets one.
        settings: further fields of `CouncilContext`, such as `threshold` or `max_rounds`.

    Raises:
        StorageError: the thread, or that round of it, is not there.
        InputError: a name or a value does not fit.
    """
    if method is not None and method not in METHODS:
        raise InputError(
            f"settings.method: there is no {method!r}", cure=nearest(method, [*METHODS])
        )
    name = config.get("configurable", {}).get("thread_id")
    snapshots = [one async for one in graph.aget_state_history(config)]
    counted = next((one for one in snapshots if _stands_at(one, {"consensus"}, round)), None)
    if counted is None:
        when = "no round" if round is None else f"no round {round}"
        raise StorageError(f"thread {name!r} has {when} that was counted")
    chosen = {"method": method, "weights": dict(weights) if weights else None, **settings}
    values, as_node = dict(counted.values), "quorum"
    if proposals:
        changed = [_changed(who, text, counted) for who, text in proposals.items()]
        turn = counted.values["seating"].round, min(one.layer for one in changed)
        values, as_node = _before_the_vote(snapshots, turn), changed[0].character
        values["proposals"] = [*values["proposals"], *(p for p in changed if p.layer == turn[1])]
    else:
        cast = _recast(values["ballots"], method, values["seating"].round)
        edited = [_vote(who, vote, values, method) for who, vote in (votes or {}).items()]
        values["ballots"] = [*cast, *edited]
    if any(value is not None for value in chosen.values()):
        before = values.get("settings") or QuestionSettings()
        values["settings"] = {**before.model_dump(exclude_none=True), **chosen}
    return await _begin_thread(graph, counted, values, as_node, thread)


async def _begin_thread(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    counted: StateSnapshot,
    values: dict[str, Any],
    as_node: str,
    thread: str | None,
) -> RunnableConfig:
    about: Mapping[str, Any] = dict(counted.metadata or {})
    fork: RunnableConfig = {
        "configurable": {"thread_id": thread or uuid.uuid4().hex[:8]},
        "metadata": {key: about.get(key, "") for key in ("council", "asked")},
    }
    if (await graph.aget_state(fork)).values:
        raise StorageError(f"there is a thread {thread!r} already", cure="choose another name")
    # As a question is: lists of threads count them.
    await graph.aupdate_state(fork, {"messages": values["messages"]}, as_node="__input__")
    await graph.aupdate_state(fork, values, as_node=as_node)
    return {"configurable": fork["configurable"]}


def _stands_at(snapshot: StateSnapshot, nodes: set[str], round_: int | None) -> bool:
    if not nodes.intersection(snapshot.next):
        return False
    return round_ is None or snapshot.values["seating"].round == round_


def _before_the_vote(snapshots: Sequence[StateSnapshot], turn: tuple[int, int]) -> dict[str, Any]:
    """The table when a layer had spoken."""
    return next(
        dict(one.values)
        for one in snapshots
        if _stands_at(one, _FAN_IN, turn[0]) and one.values["seating"].layer == turn[1]
    )


def _changed(who: str, text: str, counted: StateSnapshot) -> Proposal:
    """A character's proposal of the round that was counted, with another text."""
    own = [p for p in counted.values["proposals"] if p.character == who]
    here: list[Proposal] = [p for p in own if p.round == counted.values["seating"].round]
    if not here:
        names = ", ".join(sorted({p.character for p in counted.values["proposals"]}))
        raise InputError(f"{who!r} proposed nothing in this round", cure=f"there are {names}")
    return here[-1].model_copy(update={"text": text, "reasoning": "", "confidence": None})


def _recast(ballots: Sequence[Ballot], method: str | None, round_: int) -> list[Ballot]:
    """The ballots in the form that another method counts; who did not say that is asked again."""
    if method is None:
        return [*ballots]
    now = [as_ballot_of(one, method) for one in ballots if one.round == round_]
    earlier = [one for one in ballots if one.round < round_]
    return [*earlier, *(one for one in now if not one.abstained)]


def _vote(who: str, vote: Any, values: Mapping[str, Any], method: str | None) -> dict[str, Any]:
    """A ballot, in plain values, as somebody else writes it, in the form that is counted."""
    round_ = values["seating"].round
    cast = next((one for one in values["ballots"] if (one.voter, one.round) == (who, round_)), None)
    form = METHODS[method].form if method else _form_of(values["ballots"])
    if cast is None or form is None:
        raise InputError(f"{who!r} cast no ballot in this round that counts")
    if form.field in ("ranking", "approved") and isinstance(vote, str):
        vote = [vote]
    common = {"voter": who, "round": round_, "weight": cast.weight, "shown": cast.shown}
    return {**common, form.field: vote}


def _form_of(ballots: Sequence[Ballot]) -> BallotForm | None:
    forms = (method.form for method in METHODS.values() if method.form)
    return next((f for f in forms for one in ballots if f.is_filled(one)), None)
