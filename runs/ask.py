"""The one recipe of a run, by which every interface puts a question to a council.

    async with open_runs(place) as saver:
        opened = OpenCouncil(council, saver)
        run = Run(opened, messages, thread="cats", people=people)
        async for event in run.events():
            ...                                 # the door shows it
        run.values, run.waiting, run.trace      # how it ended

The trip of one question, the same behind the command, the page, the server, MCP, the batch and the
evaluations:

1. `open_runs` decides about LangSmith, opens the store of threads, and at the end closes both the
   store and the connections to the models.
2. `OpenCouncil` compiles the council's graph, with its extensions and tools.
3. `Run.events` opens the local trace, puts the question (or goes on with an open one), and yields
   each event as the graph writes it.
4. Where the graph stops for a person, `Run.events` asks the door's `people`, within the time that
   the person has, and goes on with what they said.
5. At its end `values` holds the state. `waiting` holds what nobody could answer: the thread keeps
   the question, and a later run without messages asks again.

A door where nobody can answer gives no `people`. Then a person of the council is absent at once,
and a call of a tool that needs approval is declined, which its model is told.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Event, Noted
from mom_council.deliberation.people import PersonRequest, requests_in, seconds_left
from mom_council.errors import DeliberationError
from mom_council.graph.council import compile_council, compile_synthesizer
from mom_council.models.clients import close_loop_resources
from mom_council.runs.checkpoints import MEMORY, open_checkpointer, open_pruned_store
from mom_council.runs.follow import answer_in, asked_before, awake, follow, ready, settings_to_keep
from mom_council.runs.leases import ThreadLease
from mom_council.runs.words import waiting_for
from mom_council.tracing.langsmith import flush_telemetry, settle_langsmith
from mom_council.tracing.local import local_trace

APPROVAL_SECONDS = 3600.0
"""How long a run waits for a person to approve a tool; the thread keeps the question after that."""


class NobodyThereError(Exception):
    """Raised by a door's `People.answer`: nobody can answer here and now."""


class People(Protocol):
    """How a door asks the person in front of it."""

    @property
    def present(self) -> bool:
        """Whether a person who is a character of the council can be asked to speak and to vote."""
        ...

    async def answer(self, request: PersonRequest) -> Any:
        """What the person says.

        A text, or nothing; for `approve` a yes, a no, or a mapping from the calls' ids to such or
        to `{"arguments": {...}}`.

        Raises:
            NobodyThereError: nobody can answer.
        """
        ...


@asynccontextmanager
async def open_runs(
    place: str | None = MEMORY, *, prunes: bool = False
) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Everything around the runs of one door: LangSmith, the store, the models' connections.

    Args:
        place: where threads are kept, as `open_checkpointer` takes it.
        prunes: whether old data is deleted meanwhile, where the user has set limits.

    Raises:
        StorageError: threads cannot be kept there.
    """
    await asyncio.to_thread(settle_langsmith, os.environ)
    try:
        opened = open_pruned_store(place) if prunes else open_checkpointer(place)
        async with opened as saver:
            yield saver
    finally:
        await close_loop_resources()
        try:
            await asyncio.to_thread(flush_telemetry)
        except RuntimeError:  # at the end of the process no thread is started any more
            flush_telemetry()


class OpenCouncil:
    """A council with its compiled graph, ready for any number of runs.

    Args:
        council: who is asked.
        saver: where threads are kept; left out, nothing is kept and no person can be asked.
        compiled: further arguments of `compile_council`: extensions and tools of the caller's own.

    Raises:
        CouncilError: the council cannot sit as it is written.
    """

    def __init__(
        self, council: Council, saver: BaseCheckpointSaver[Any] | None = None, **compiled: Any
    ) -> None:
        self.council = council
        self.graph: CompiledStateGraph[Any, Any, Any, Any] = compile_council(
            council, saver, **compiled
        )

    def synthesizer_alone(self) -> OpenCouncil:
        """The same council, of which only the synthesizer speaks: it goes on from a known state."""
        alone = copy(self)
        alone.graph = compile_synthesizer(self.council, hooked=True)
        return alone


@dataclass
class Run:
    """One question on its way through a council."""

    opened: OpenCouncil
    messages: Sequence[Any] | None
    """What is added to the conversation, the question last. None: go on with the open question."""
    thread: str | None = None
    context: CouncilContext = field(default_factory=CouncilContext)
    named: str = ""
    """How the council was named, for a later resume; empty: chosen for the machine."""
    people: People | None = None
    reads: Callable[[Mapping[str, Any]], bool] | None = None
    """Which events to read, by their plain form; left out, all of them."""
    state_keys: Sequence[str] = ()
    """What `values` holds where no thread is kept."""
    known: Mapping[str, Any] = field(default_factory=dict)
    """State that the run begins with, beside the messages."""
    traced: bool = True
    """Whether a local trace is written, where the council's rules do not forbid it.

    Off for what keeps nothing (a request without a thread) and for questions by the thousand (a
    batch, an evaluation), which would push out the traces of somebody's own questions.
    """
    wait: float | None = None
    """Seconds to wait for another program that answers in this thread; None: as long as it lives.
    """
    request: str = ""
    """Names the request: another of that name goes on with the question, or gets its answer."""
    request_id: str = ""
    """By which the door's log knows the request; it stands in traces."""

    trace: str | None = field(default=None, init=False)
    """The name of the local trace."""
    values: Mapping[str, Any] = field(default_factory=dict, init=False)
    """The state at the end."""
    waiting: tuple[PersonRequest, ...] = field(default=(), init=False)
    """What the thread waits for, and nobody could answer."""
    _silent: bool = field(default=False, init=False)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Do the run. Whoever stops listening stops it, down to the connections to the models.

        Where another program answers in the thread, this waits for it and says so. Who wanted to go
        on with the question that was answered meanwhile is given that answer.

        Raises:
            ThreadBusyError: it was waited for too long.
            MixtureError: as the council raises it; DeliberationError where nobody approved in time.
        """
        lease = ThreadLease(self.opened.graph.checkpointer, self.thread, self.wait)
        busy = await lease.try_to_take()
        if busy and self.wait is None:
            yield Noted(text=f"{busy}; waiting for it.")
        async with lease:
            is_new, graph = self.messages is not None, self.opened.graph
            if snapshot := await asked_before(graph, self.config, self.request, is_new, busy):
                self.messages = None
                if answered := answer_in(snapshot):
                    self.values = snapshot.values
                    yield answered
                    return
            async with aclosing(self._events()) as events:
                async for event in events:
                    yield event

    async def _events(self) -> AsyncGenerator[Event, None]:
        """Do the run, as the thread's only writer."""
        rules, graph, config = self.opened.council.tracing, self.opened.graph, self.config
        context = self._with_people(self.context)
        with local_trace(
            enabled=self.traced and rules.local,
            content=rules.content,
            council=self.opened.council.name,
        ) as trace:
            self.trace = trace.id
            graph_input: Any = None
            if self.messages is not None:
                graph_input = {**self.known, "messages": list(self.messages)}
            else:
                at, self.context = await ready(graph, config, self.context)
                config = {**self.config, **at}
                context = awake(self._with_people(self.context))
            while True:
                followed = follow(
                    graph,
                    graph_input,
                    config,
                    context=context,
                    reads=self.reads,
                    silent=self._silent,
                    keep_state=None if graph.checkpointer or not self.state_keys else self._keep,
                    state_keys=self.state_keys,
                )
                async with aclosing(followed) as events:
                    async for event in events:
                        yield event
                self.waiting = await self._waiting()
                for paused in (one for one in self.waiting if one.kind == "paused"):
                    from mom_council.deliberation.interrupts import paused_error

                    self.waiting = ()
                    raise paused_error(paused.value)
                if not self.waiting or (answers := await self._answers()) is None:
                    return
                # The time that a person took is not charged to the question.
                graph_input, config, context = Command(resume=answers), self.config, awake(context)

    async def finish(self) -> Mapping[str, Any]:
        """Do the run without looking at its events; returns the state at the end.

        Raises:
            MixtureError: as `events`; DeliberationError where somebody is waited for.
        """
        self._silent = True
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        self.refuse_waiting()
        return self.values

    def refuse_waiting(self) -> None:
        """For a door that cannot wait.

        Raises:
            DeliberationError: the run waits for somebody to say something.
        """
        if self.waiting:
            raise DeliberationError(waiting_for(self.waiting))

    @property
    def config(self) -> RunnableConfig:
        """What LangGraph is told: the thread, and what the thread remembers of its question."""
        about = {"council": self.opened.council.name, "asked": self.named}
        about |= settings_to_keep(self.context)
        if self.request:
            about["request"] = self.request
        if self.request_id:
            about["request_id"] = self.request_id
        if self.thread is None:
            return {"metadata": about}
        return {
            "configurable": {"thread_id": self.thread},
            "metadata": {**about, "thread": self.thread},
        }

    def _with_people(self, context: CouncilContext) -> CouncilContext:
        present = self.people is not None and self.people.present
        can_ask = context.can_ask and self.people is not None
        return context.model_copy(update={"people": present, "can_ask": can_ask})

    async def _waiting(self) -> tuple[PersonRequest, ...]:
        if not self.opened.graph.checkpointer or self.thread is None:
            return ()
        state = await self.opened.graph.aget_state({"configurable": {"thread_id": self.thread}})
        self.values = state.values
        return requests_in(state.interrupts)

    def _keep(self, values: dict[str, Any]) -> None:
        self.values = values

    async def _answers(self) -> dict[str, Any] | None:
        """What people say to all that is waited for; None where one of them cannot be asked."""
        people, requests = self.people, self.waiting
        if people is None or any(one.kind == "other" for one in requests):
            return None
        asking = [asyncio.ensure_future(_in_time(people, one)) for one in requests]
        try:
            texts = await asyncio.gather(*asking)
        except NobodyThereError:
            return None
        finally:
            for one in asking:
                one.cancel()
        self.waiting = ()
        return {request.id: text for request, text in zip(requests, texts, strict=True)}


async def _in_time(people: People, request: PersonRequest) -> Any:
    seconds = seconds_left(request) or APPROVAL_SECONDS
    try:
        async with asyncio.timeout(seconds):
            return await people.answer(request)
    except TimeoutError:
        if request.kind == "person":
            return ""  # an absence, or in a vote an abstention
        raise DeliberationError(
            f"nobody said whether {request.name!r} may call its tools",
            cure="resume the question to be asked again",
        ) from None
