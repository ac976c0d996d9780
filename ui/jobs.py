"""Runs that outlive the page: each question is a job on the server's loop, for all its viewers.

A run driven inside a page's script would die with the first touch of a slider. Here a job belongs
to its thread: a closed tab leaves it running, a reloaded one finds it again, and stop cancels it,
down to the connections to its models.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Event, Heat
from mom_council.deliberation.people import PersonRequest
from mom_council.errors import MixtureError
from mom_council.runs.ask import OpenCouncil, Run
from mom_council.runs.follow import RunView
from mom_council.ui.history import copy_view, view_of

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


JobState = Literal["running", "answered", "stopped", "failed"]


class PagePeople:
    """The `People` of one job: a run asks, and whichever tab looks shows the form.

    It waits on the loop and is answered from any thread. A closed tab loses nothing: the next one
    to look sees the same form.
    """

    present = True

    def __init__(self) -> None:
        self._open: dict[str, tuple[PersonRequest, asyncio.Future[Any]]] = {}
        self._allowed: set[str] = set()
        """Tools that may be called without asking again, as long as this question runs."""
        self._lock = threading.Lock()

    @property
    def requests(self) -> tuple[PersonRequest, ...]:
        """What nobody has answered yet."""
        with self._lock:
            return tuple(request for request, _ in self._open.values())

    async def answer(self, request: PersonRequest) -> Any:
        """Wait until somebody answers."""
        if self._covers(request):
            return True
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._open[request.id] = request, future
        try:
            return await future
        finally:
            with self._lock:
                self._open.pop(request.id, None)

    def tell(self, request_id: str, answer: Any) -> bool:
        """Answer a request; False where nobody waits for it any more. The first answer counts."""
        with self._lock:
            request_and_future = self._open.pop(request_id, None)
        if request_and_future is None:
            return False
        future = request_and_future[1]

        def set_result() -> None:
            if not future.done():
                future.set_result(answer)

        future.get_loop().call_soon_threadsafe(set_result)
        return True

    def allow_tools(self, tools: Iterable[str]) -> None:
        """Let every member call these tools until this question ends; who waits goes on at once."""
        with self._lock:
            self._allowed.update(tools)
        for request in self.requests:
            if self._covers(request):
                self.tell(request.id, True)

    def _covers(self, request: PersonRequest) -> bool:
        tools = {str(call.get("tool", "")) for call in request.calls}
        return request.kind == "approve" and bool(tools) and tools <= self._allowed


@dataclass
class Job:
    """One question on its way. Written on the loop, read from any thread."""

    thread: str
    council: Council
    context: CouncilContext
    messages: tuple[BaseMessage, ...] = ()
    """What was added to the conversation, the question last; nothing in a resumed run."""
    state: JobState = "running"
    error: MixtureError | None = None
    """Why it failed."""
    trace: str | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    heat_at: float = 0.0
    """When the last temperature came."""
    run: Future[None] | None = None
    """What to cancel."""
    people: PagePeople = field(default_factory=PagePeople)
    """Who answers what it waits for."""
    _view: RunView = field(default_factory=RunView)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def running(self) -> bool:
        """Whether it is still on its way."""
        return self.state == "running"

    @property
    def asks(self) -> tuple[PersonRequest, ...]:
        """What a person is to say for it to go on."""
        return self.people.requests if self.running else ()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return (self.ended or time.monotonic()) - self.began

    @property
    def question(self) -> HumanMessage | None:
        """The question, where this job brought it."""
        last = self.messages[-1] if self.messages else None
        return last if isinstance(last, HumanMessage) else None

    @property
    def removed(self) -> frozenset[str]:
        """The messages that this question takes the place of, by their ids."""
        return frozenset(str(m.id) for m in self.messages if isinstance(m, RemoveMessage))

    def take(self, event: Event) -> None:
        """Lay an event over the view."""
        with self._lock:
            self._view.take(event)
            if isinstance(event, Heat):
                self.heat_at = time.monotonic()

    def begin_with(self, view: RunView) -> None:
        """Begin a resumed run with what it had got to."""
        with self._lock:
            self._view = view

    def fall_silent(self) -> None:
        """Nobody speaks any more, however it ended."""
        with self._lock:
            for one in self._view.rounds:
                for seat in one.seats.values():
                    if seat.state == "speaking":
                        seat.state = "waiting"

    def view(self) -> RunView:
        """The run as far as it has got: a copy, which nobody writes to."""
        with self._lock:
            return copy_view(self._view)


KEPT_SECONDS = 900.0
"""How long a finished job is kept, for the tab that comes back to see how it ended."""
_UNWINDING = 10.0
"""Seconds that a stopped run gets to close its connections."""
_LOOK_AGAIN = 0.2
"""Seconds until work for idle times looks again whether a question runs."""


class BusyError(MixtureError):
    """The thread has a running question."""


class Jobs:
    """The jobs of a server, one a thread.

    Args:
        loop: where they run.
        saver: where their threads are kept.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        saver: BaseCheckpointSaver[Any],
        *,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._loop = loop
        self._saver = saver
        self._kept_seconds = kept_seconds
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._idle_work = threading.Lock()

    def of(self, thread: str) -> Job | None:
        """The thread's job: the running one, or the last one while it is kept."""
        with self._lock:
            self._sweep()
            return self._jobs.get(thread)

    def running(self) -> list[Job]:
        """Every job on its way."""
        with self._lock:
            return [job for job in self._jobs.values() if job.running]

    def do_while_idle(self, act: Callable[[], None]) -> None:
        """Do something that holds up every thread, as soon as no question runs.

        A question that is asked meanwhile begins when it is done.
        """
        while True:
            with self._idle_work:
                if not self.running():
                    act()
                    return
            time.sleep(_LOOK_AGAIN)

    def _wait_for_idle_work(self) -> None:
        with self._idle_work:
            pass

    def ask(
        self,
        thread: str,
        council: Council,
        messages: Sequence[BaseMessage],
        *,
        context: CouncilContext | None = None,
        named: str = "",
    ) -> Job:
        """Put a question.

        Args:
            thread: the conversation.
            council: who is asked.
            messages: what is added to the conversation; its last one is the question.
            context: the settings of this run.
            named: what `mom resume` has to be told of the council; empty: chosen for the machine.

        Raises:
            BusyError: the thread has a running question.
        """
        job = Job(thread, council, context or CouncilContext(), tuple(messages))
        return self._start(job, job.messages, named)

    def resume(
        self,
        thread: str,
        council: Council,
        *,
        context: CouncilContext | None = None,
        named: str = "",
    ) -> Job:
        """Go on with a question that was stopped; finished calls are not made again.

        Raises:
            BusyError: the thread has a running question.
        """
        return self._start(Job(thread, council, context or CouncilContext()), None, named)

    def tell(self, thread: str, ask: str, answer: Any, allowed: Iterable[str] = ()) -> bool:
        """Say what a running question waits for; False where it waits for nothing of the kind.

        `allowed` are tools that nobody is asked about again until this question ends.
        """
        job = self.of(thread)
        if job is None or not job.running or not job.people.tell(ask, answer):
            return False
        job.people.allow_tools(allowed)
        return True

    def stop(self, thread: str) -> bool:
        """Stop a running question and cancel its calls; False where none is running."""
        job = self.of(thread)
        if job is None or not job.running or job.run is None:
            return False
        job.run.cancel()
        deadline = time.monotonic() + _UNWINDING
        while job.running and time.monotonic() < deadline:
            time.sleep(0.01)
        return True

    def forget(self, thread: str) -> None:
        """Stop a thread's job and drop it."""
        self.stop(thread)
        with self._lock:
            self._jobs.pop(thread, None)

    def stop_all(self) -> None:
        """Stop everything: the server closes."""
        running = self.running()
        for job in running:
            if job.run is not None:
                job.run.cancel()
        for job in running:
            self.stop(job.thread)

    def _start(self, job: Job, messages: Sequence[BaseMessage] | None, named: str) -> Job:
        with self._lock:
            self._sweep()
            other = self._jobs.get(job.thread)
            if other is not None and other.running:
                raise BusyError(
                    "this conversation is being answered", cure="stop it first, or wait"
                )
            self._jobs[job.thread] = job
        job.run = asyncio.run_coroutine_threadsafe(self._drive(job, messages, named), self._loop)
        return job

    async def _drive(self, job: Job, messages: Sequence[BaseMessage] | None, named: str) -> None:
        state: JobState = "failed"
        try:
            if self._idle_work.locked():
                await asyncio.to_thread(self._wait_for_idle_work)
            await self._follow(job, messages, named)
            state = "answered"
        except asyncio.CancelledError:
            state = "stopped"
            raise
        except MixtureError as error:
            job.error = error
        except Exception as error:  # a bug of ours must not look like a run without an end
            job.error = MixtureError(f"{type(error).__name__}: {error}")
        finally:
            job.fall_silent()
            job.ended = time.monotonic()
            job.state = state

    async def _follow(self, job: Job, messages: Sequence[BaseMessage] | None, named: str) -> None:
        opened = OpenCouncil(job.council, self._saver)
        run = Run(
            opened,
            messages,
            thread=job.thread,
            context=job.context,
            named=named,
            people=job.people,
        )
        if messages is None:
            values = (await opened.graph.aget_state(run.config)).values
            job.begin_with(view_of(values, job.council))
        try:
            async with contextlib.aclosing(run.events()) as events:
                async for event in events:
                    job.trace = run.trace
                    job.take(event)
        finally:
            job.trace = run.trace
        run.refuse_waiting()

    def _sweep(self) -> None:
        now = time.monotonic()
        for thread, job in list(self._jobs.items()):
            if job.ended is not None and now - job.ended > self._kept_seconds:
                del self._jobs[thread]
