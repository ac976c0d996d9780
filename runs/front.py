"""The front door of a program: a question in, a typed answer out, without a word of LangGraph.

answer = ask("What is 17 + 25?", council="demo")
answer.text, answer.dissent, answer.cost

with stream("What is 17 + 25?", council="demo") as events:
    for event in events:
        ...                      # typed: events of deliberation/events.py
events.answer.text
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Event
from mom_council.errors import DeliberationError, InputError
from mom_council.graph.council import NO_MODELS, load_with_models
from mom_council.models.clients import background_loop, run_in_background_loop
from mom_council.models.images import picture_block
from mom_council.records import Status
from mom_council.runs.ask import OpenCouncil, Run, open_runs
from mom_council.runs.checkpoints import MEMORY

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
