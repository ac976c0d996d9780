"""A session of the `mom` command: one event loop, one council, one store, one thread.

After an error it says what the thread keeps of the open question, and how to continue it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shlex
import sys
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mom_council.cli import failure
from mom_council.cli import failure as exits
from mom_council.cli.failure import Stopping
from mom_council.cli.options import Show, no_thread, place, whole_path
from mom_council.cli.screen import AnswerAlone, Ending, Screen, TerminalPeople
from mom_council.errors import CouncilError, MixtureError, ProviderNotInstalledError, QuorumError
from mom_council.runs.words import counted, one_line

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    Graph = CompiledStateGraph[Any, Any, Any, Any]
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.types import StateSnapshot

    from mom_council.councils.schema import Council
    from mom_council.deliberation.context import CouncilContext
    from mom_council.deliberation.events import Answered
    from mom_council.runs.ask import Run


T = TypeVar("T")
_NOBODY = "Nobody answered; ask in other words, or ask another council with {}"
_TINY = (
    "Nobody answered: these three tiny models only know small sums and simple facts. "
    "`mom models` says how to get real ones"
)


def going_on(command: str, thread: str, db: str | None) -> str:
    """The command line that goes on with a thread."""
    words = ["mom", *command.split(), thread]
    if db and "@" not in db:  # a URL may hold a password
        words += ["--db", db]
    return shlex.join(words)


async def describe_kept(graph: Graph, config: RunnableConfig) -> str | None:
    """What there is of the open question; None where nothing is open."""
    from mom_council.runs.follow import is_open

    snapshot = await graph.aget_state(config)
    if not is_open(snapshot):
        return None
    spoken = len(snapshot.values.get("proposals", []))
    if not spoken:
        return "the question is kept"
    return f"the question and {counted(spoken, 'answer')} are kept"


async def open_question(graph: Graph, config: RunnableConfig) -> str | None:
    """The beginning of the thread's open question; None where nothing is open."""
    from mom_council.runs.follow import is_open

    snapshot = await graph.aget_state(config)
    if not is_open(snapshot):
        return None
    messages = snapshot.values.get("messages", [])
    return one_line(messages[-1].text, 60) if messages else ""


class Session:
    """Everything that a question needs, opened once and closed in the right order.

    Args:
        council: a preset's name or a file; None: the thread's, or the best of this machine.
        db: where threads are kept; None: where MOM_DATABASE says, or in the usual file.
        show: how runs are shown.
        thread: the conversation; None: a new one.
        resuming: whether an open question is gone on with.
        newest: go on with the newest conversation.
        talks: whether one question follows another, so that the thread's name is worth knowing.
        forks: what to change, as `what_if` takes it: the session goes on in the new thread.
    """

    def __init__(
        self,
        council: str | None,
        *,
        db: str | None,
        show: Show,
        thread: str | None = None,
        resuming: bool = False,
        newest: bool = False,
        talks: bool = False,
        forks: Mapping[str, Any] | None = None,
    ) -> None:
        self.thread = thread or uuid.uuid4().hex[:8]
        self._begun_before = thread is not None
        self._newest = newest
        self._talks = talks
        self._named = council
        self._db = db
        self._show = show
        self._resuming = resuming
        self._forks = forks
        self._stack = contextlib.AsyncExitStack()
        self._stopping = Stopping()

    def __enter__(self) -> Session:
        """Choose the council, open the store, compile the graph."""
        self._runner = asyncio.Runner(loop_factory=_loop_factory())
        self._stopping.listen()
        try:
            if code := self._runner.run(self._stopping.run(self._open())):
                as_json = self._show is Show.JSON
                line = "interrupted; nothing was asked"
                raise SystemExit(failure.refuse("Interrupted", line, code, as_json=as_json))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        gc.freeze()  # what has been imported stays: no collection needs to walk through it
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the store and the voices."""
        self._stopping.leave()
        try:
            self._runner.run(self._stack.aclose())
        finally:
            self._runner.close()
            self._stopping.rest()

    def ask(
        self, question: str, context: CouncilContext, pictures: Sequence[dict[str, Any]] = ()
    ) -> int:
        """Put a question to the council and show what happens; returns the exit code."""
        text = [{"type": "text", "text": question}] if question else []
        content = [*text, *pictures] if pictures else question
        return self._run([{"role": "user", "content": content}], context)

    def ask_again(self, messages: Sequence[BaseMessage], context: CouncilContext) -> int:
        """Put the last question once more, as `repeat_question` writes it; the exit code."""
        return self._run(messages, context)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the session's event loop."""
        return self._runner.run(work)

    def state(self) -> StateSnapshot:
        """The thread as it is stored."""
        return self.wait_for(self.opened.graph.aget_state(self._config()))

    def resume(self, context: CouncilContext) -> int:
        """Go on with the thread's open question; returns the exit code."""
        return self._run(None, context)

    def transcript(self) -> str:
        """The conversation so far, as Markdown."""
        state = self.state()
        parts = [f"# {self.council.name}, thread {self.thread}"]
        for message in state.values.get("messages", []):
            who = "You" if message.type == "human" else self.council.name
            parts.append(f"**{who}**\n\n{message.text.strip()}")
        return "\n\n".join(parts) + "\n"

    def again(self, command: str) -> str:
        """The command line that goes on with this thread."""
        return going_on(command, self.thread, self._db)

    async def _open(self) -> None:
        from mom_council.runs.ask import OpenCouncil, open_runs
        from mom_council.runs.discovery import choose_council, cost_notice, unread_notice
        from mom_council.runs.plan import usual_seconds

        failure.tell_warnings()
        saver = await self._stack.enter_async_context(open_runs(place(self._db), prunes=True))
        if self._newest:
            await self._go_on_with_newest(saver)
        before = await self._last_question(saver)
        named = self._named or before.get("asked") or os.environ.get("MOM_COUNCIL") or ""
        choice = await choose_council(
            named or None, os.environ, say=failure.tell, consent=failure.may_cost
        )
        if self._show in (Show.LIVE, Show.FULL, Show.PLAIN) and choice.source == "demo":
            from mom_council.cli.demo import offer_models

            if offer_models(choice):
                choice = await choose_council(
                    None, os.environ, say=failure.tell, consent=failure.may_cost
                )
        if choice.source in ("demo", "weights"):
            self._refuse_without_engine()
        notice = None if self._show is Show.QUIET else unread_notice(choice)
        if notice:
            failure.say(notice)
        ruled, more_calls = _under_extensions(choice.council)
        line = cost_notice(replace(choice, council=ruled), more_calls)
        if line:  # what costs money is said, however quiet
            failure.say(line)
        self.council = choice.council
        self._costs_money = choice.costs_money
        self._is_demo = choice.source == "demo"
        # What `mom resume` has to be told; a council chosen for the machine is chosen again.
        self._named_later = whole_path(named)
        usual = asyncio.create_task(asyncio.to_thread(usual_seconds, choice.council))
        self.opened = OpenCouncil(choice.council, saver)
        self._usual = await usual
        if self._resuming or self._forks:
            await self._refuse_misfit(str(before.get("council", "")))
        if self._forks:
            from mom_council.runs.front import what_if

            fork = await what_if(self.opened.graph, self._config(), **self._forks)
            self.thread = fork["configurable"]["thread_id"]
            if self._show not in (Show.QUIET, Show.JSON):
                failure.say(f"what if: thread {self.thread}")

    def _refuse_without_engine(self) -> None:
        """See that models of this machine can be asked; on a terminal the engine is offered."""
        from mom_council.cli.machine import is_engine_ready

        if not is_engine_ready():
            raise ProviderNotInstalledError(
                "no models were found, and the tiny ones need the engine llama.cpp (34 MB)",
                cure="get it with `mom download engine`, or install Ollama, or set a vendor's key",
            )

    async def _go_on_with_newest(self, saver: BaseCheckpointSaver[Any]) -> None:
        from mom_council.runs.threads import list_threads

        threads = await list_threads(saver, 1)
        if not threads:
            import typer

            raise typer.BadParameter('there is no conversation yet; mom ask "..." begins one')
        self.thread, self._begun_before = threads[0].id, True

    async def _last_question(self, saver: BaseCheckpointSaver[Any]) -> dict[str, Any]:
        """What the thread remembers of its last question: the council, and how it was named."""
        if not self._begun_before:
            return {}
        checkpoint = await saver.aget_tuple(self._config())
        if checkpoint is None and self._resuming:
            raise no_thread(self.thread)
        return dict(checkpoint.metadata) if checkpoint else {}

    async def _refuse_misfit(self, council: str) -> None:
        """See that this council can go on where the thread stands."""
        if council and council != self.council.name:
            raise CouncilError(
                (
                    f"thread {self.thread!r} was asked of the council {council!r}, and this "
                    f"is {self.council.name!r}"
                ),
                cure="name that council with --council, or ask again",
            )
        from mom_council.runs.follow import is_open

        if self._resuming and not is_open(await self.opened.graph.aget_state(self._config())):
            import typer

            raise typer.BadParameter(
                f"nothing is open in thread {self.thread!r}: it is answered; "
                f"`{self.again('threads show')}` prints it"
            )

    def _config(self) -> RunnableConfig:
        return {"configurable": {"thread_id": self.thread}}

    def _new_screen(self, *, is_new: bool) -> Screen:
        """The way of showing a question; it says how long a new one will probably take."""
        screen = screen_for(self._show, self.council)
        if self._usual is not None and is_new:
            from mom_council.runs.plan import about

            screen.expected = about(self._usual)
            if self._show in (Show.PLAIN, Show.DEBUG):  # the others show it as they wait
                failure.say(f"This takes about {screen.expected}, as earlier questions did")
        return screen

    def _run(self, messages: Sequence[Any] | None, context: CouncilContext) -> int:
        from mom_council.runs.ask import Run

        screen = self._new_screen(is_new=messages is not None)
        run = Run(
            self.opened,
            messages,
            thread=self.thread,
            context=context,
            named=self._named_later,
            people=TerminalPeople(screen, self._stopping),
        )
        self._answered: Answered | None = None
        try:
            with screen:
                work = self._show_events(run, screen)
                code = self._runner.run(self._stopping.run(work, at_once=screen.abandon))
        except MixtureError as error:
            if self._answered is not None:
                return self._unkept(screen, error, self._answered)
            code = exits.exit_code(error)
            note = self._what_is_kept(code)
            line = f"{error}{note}"
            if isinstance(error, QuorumError) and self._how_to_resume(code) in note:
                is_shown = self._show not in (Show.QUIET, Show.JSON)
                what = error.what.partition(" (")[0] if is_shown else error.what
                line = f"{what}; fix the problem, then: {self._how_to_resume(code)}"
            self._refuse(type(error).__name__, line, code, **failure.details(error))
        else:
            if code:
                if sys.stderr.isatty():
                    failure.say()  # below the ^C
                self._refuse("Interrupted", f"interrupted{self._what_is_kept(code)}", code)
            elif run.waiting:
                code = exits.STOPPED
                from mom_council.runs.words import waiting_for

                line = one_line(waiting_for(run.waiting), 300)
                self._refuse("LeaveNeeded", f"{line}{self._what_is_kept(code)}", code)
            elif self._answered is not None and _declines(self._answered):
                code = exits.NOBODY
                other = _NOBODY.format("/council NAME" if self._talks else "-c NAME")
                failure.tell(_TINY if self._is_demo else other)
        self._stopping.over()
        return code

    def _refuse(self, kind: str, line: str, code: int, **about: Any) -> None:
        as_json = self._show is Show.JSON
        failure.refuse(kind, line, code, as_json=as_json, thread=self.thread, **about)

    async def _show_events(self, run: Run, screen: Screen) -> None:
        if run.messages is not None:
            await self._give_up_open(screen)
        async with contextlib.aclosing(run.events()) as events, _redraw_regularly(screen):
            async for event in events:
                screen.take(event)
                if event.kind == "answered":
                    self._answered = event
        if not run.waiting:
            screen.finish(self._build_ending(dict(run.values), run.trace))

    def _build_ending(self, values: dict[str, Any], trace: str | None) -> Ending:
        return Ending(
            values,
            thread=self.thread,
            trace=trace,
            names_thread=self._talks,
            costs_money=self._costs_money,
        )

    async def _give_up_open(self, screen: Screen) -> None:
        """Say that a new question ends an open one."""
        if self._begun_before:
            given_up = await open_question(self.opened.graph, self._config())
            if given_up is not None:
                screen.note(
                    f"the open question of thread {self.thread!r} ({given_up!r}) is given up for "
                    "this one"
                )
        self._begun_before = True  # from its second question on, in a talk

    def _how_to_resume(self, code: int) -> str:
        """What to type to go on with the open question: a talk that goes on has a command."""
        return "/resume" if self._talks and code != exits.TERMINATED else self.again("resume")

    def _what_is_kept(self, code: int) -> str:
        """What is kept of an open question, and how to go on with it."""
        if place(self._db) == "memory:":
            return "; nothing is kept (--db memory:)"
        try:
            what = self._runner.run(describe_kept(self.opened.graph, self._config()))
        except MixtureError:
            return ""
        return f"; {what}: {self._how_to_resume(code)}" if what else "; nothing of it is kept"

    def _unkept(self, screen: Screen, error: MixtureError, answered: Answered) -> int:
        """The answer came and its thread could not be kept: it is shown all the same."""
        from langchain_core.messages import AIMessage

        values = {"messages": [AIMessage(answered.text)], "status": answered.status}
        screen.finish(self._build_ending(values, None))
        failure.tell(f"{error}; this answer is not kept")
        return exits.FAILED


def _declines(answered: Answered) -> bool:
    """Whether every member declined or did not know, and the synthesizer says no more."""
    from mom_council.deliberation.status import nobody_answered
    from mom_council.voting.reading import is_refusal, read_answer

    verdict, text = answered.status.verdict, answered.text
    if verdict is None or not nobody_answered(verdict):
        return False
    return is_refusal(text) or read_answer(text).type == "no answer"


def _under_extensions(council: Council) -> tuple[Council, int]:
    """What a question will cost: by the rules and with the calls of the council's extensions."""
    if not council.extensions:
        return council, 0
    from mom_council.extensions.hook_run import under_extensions

    return under_extensions(council)


def screen_for(show: Show, council: Council) -> Screen:
    """The way of showing that was asked for: live in a terminal, plain in a pipe, JSON, ..."""
    if show is Show.JSON:
        from mom_council.cli.screen import OneObject

        return OneObject()
    if show is Show.QUIET:
        return AnswerAlone()
    if show in (Show.LIVE, Show.FULL):
        from mom_council.cli.live import Live

        return Live(council, full=show is Show.FULL)
    from mom_council.cli.screen import Plain

    return Plain(debug=show is Show.DEBUG)


@contextlib.asynccontextmanager
async def _redraw_regularly(screen: Screen) -> Any:
    """Let the screen draw anew every now and then, also while nothing happens."""

    async def beat() -> None:
        while True:  # noqa: ASYNC110 - it waits for the clock
            await asyncio.sleep(screen.tick())

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
