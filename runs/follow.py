"""Follow a run: its events one by one, and the view of the run that they add up to.

The terminal and the chat page draw a `RunView`; neither knows how LangGraph streams.

Going on with a run that was killed, interrupted, or had no quorum.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite, StateSnapshot
from pydantic import ValidationError

from mom_council.deliberation.context import CouncilContext, steady_time
from mom_council.deliberation.events import (
    Answered,
    Called,
    Counted,
    Event,
    Finished,
    Heat,
    Missed,
    ModelAsked,
    Noted,
    Painted,
    Planned,
    Polled,
    Read,
    Returned,
    Routed,
    Seated,
    Speaker,
    TextSpoken,
    Voted,
    Waited,
    read_event,
)
from mom_council.errors import StorageError, ThreadBusyError
from mom_council.models.images import is_picture
from mom_council.models.tool_offer import tool_calls_in
from mom_council.records import Absence, Annotation, Ballot, Segment, Status
from mom_council.seams.langgraph import as_only_writer


async def follow(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    graph_input: Any,
    config: RunnableConfig,
    *,
    context: CouncilContext | None = None,
    reads: Callable[[Any], bool] | None = None,
    silent: bool = False,
    keep_state: Callable[[dict[str, Any]], None] | None = None,
    state_keys: Sequence[str] | None = None,
) -> AsyncGenerator[Event, None]:
    """Run a council and yield its events.

    Args:
        graph: the compiled council.
        graph_input: `{"messages": [...]}` for a question, None to go on with an open one.
        config: holds `configurable.thread_id` where the graph has a checkpointer.
        context: the settings of this run.
        reads: says of an event as it was written whether to read it; left out, all are read.
        silent: have the graph write no events at all.
        keep_state: takes the state after each step, for a graph without a checkpointer.
        state_keys: the parts of the state that `keep_state` takes.

    Raises:
        MixtureError: as the graph raises it.
    """
    modes: list[Any] = [] if silent else ["custom"]
    if silent or keep_state is not None:
        modes.append("values")
    stream = graph.astream(
        graph_input,
        as_only_writer(config),
        context=context,
        stream_mode=modes,
        output_keys=list(state_keys) if state_keys else None,
        # Otherwise what a step's nodes say may be kept before the step itself is, and a kill
        # between the two would have them asked again.
        durability="sync" if graph.checkpointer else None,
        version="v2",
    )
    # Whoever stops following stops the run, and the calls under way.
    async with aclosing(stream):  # type: ignore[type-var]
        async for part in stream:
            if part["type"] == "values":
                if keep_state is not None:
                    keep_state(part["data"])
                continue
            if reads is not None and not reads(part["data"]):
                continue
            event = read_event(part["data"])
            if event is not None:
                yield event


@dataclass
class SpeakerView:
    """One speaking: a character's turn, a ballot, the synthesizer."""

    speaker: Speaker
    model: str = ""
    text: str = ""
    reasoning: str = ""
    state: Literal["waiting", "speaking", "done", "absent"] = "waiting"
    began: float = 0.0
    wait: Waited | None = None
    """What it waits for, beside its model: its own clock stands still."""
    wait_began: float = 0.0
    segment: Segment | None = None
    earlier: tuple[Segment, ...] = ()
    """Of calls whose text was asked for anew, and is not the one shown."""
    absence: Absence | None = None
    prompt: tuple[tuple[str, str], ...] = ()
    calls: dict[str, Called | Returned] = field(default_factory=dict)
    """Of tools: each as it was asked for, then as it ended."""

    @property
    def seconds(self) -> float:
        """Its own time so far, without the waits."""
        return (self.wait_began if self.wait else time.monotonic()) - self.began

    def take_wait(self, event: Waited) -> None:
        """Take note of a wait, or of its end."""
        if event.over and self.wait is not None:
            self.began += time.monotonic() - self.wait_began
            self.wait = None
        elif not event.over:
            self.wait_began = self.wait_began if self.wait else time.monotonic()
            self.wait = event


@dataclass
class RoundView:
    """One round: who spoke, who voted, what came of it."""

    number: int
    seats: dict[tuple[int, str], SpeakerView] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()
    ballots: list[Ballot] = field(default_factory=list)
    unvoted: list[Absence] = field(default_factory=list)
    counted: Counted | None = None


@dataclass
class RunView:
    """A run as far as it has got. `take` an event, then draw."""

    route: Literal["text", "image"] = "text"
    annotation: Annotation = field(default_factory=Annotation)
    most_rounds: int = 1
    layers: int = 1
    rounds: list[RoundView] = field(default_factory=list)
    voices: dict[str, SpeakerView] = field(default_factory=dict)
    heat: Heat | None = None
    plans: list[Planned] = field(default_factory=list)
    painted: Painted | None = None
    notes: list[str] = field(default_factory=list)
    active: str = ""
    answer: str = ""
    status: Status | None = None

    @property
    def round(self) -> RoundView:
        """The round in progress; a first one, before anybody is seated."""
        if not self.rounds:
            self.rounds.append(RoundView(1))
        return self.rounds[-1]

    def take(self, event: Event) -> None:  # noqa: C901 - one line an event
        """Lay an event over the view."""
        match event:
            case Routed():
                self.route = event.route
            case Read():
                self.annotation = event.annotation
            case Seated():
                self._seat(event)
            case Polled():
                self.round.voters = event.voters
                self.active = "vote"
            case Heat():
                self.heat = event
            case Planned():
                self.plans.append(event)
            case ModelAsked():
                one = self._voice(event.speaker)
                one.text = one.reasoning = ""  # asked anew after an interruption: it begins again
                one.calls = {}
                if one.segment is not None:
                    one.earlier, one.segment = (*one.earlier, one.segment), None
                one.state, one.model, one.prompt = "speaking", event.model, event.prompt
                one.began, one.wait = time.monotonic(), None
                self.active = event.speaker.node
            case Waited():
                self._voice(event.speaker).take_wait(event)
            case TextSpoken():
                one = self._voice(event.speaker)
                one.state = "speaking"
                if event.reasoning:
                    one.reasoning += event.text
                else:
                    one.text += event.text
            case Called():
                one = self._voice(event.speaker)
                one.text = ""  # what it said before a call is no answer
                one.calls[event.id] = event
            case Returned():
                self._voice(event.speaker).calls[event.id] = event
            case Finished():
                one = self._voice(event.speaker)
                one.wait = None
                one.state, one.segment, one.model = "done", event.segment, event.segment.model
            case Missed():
                self._miss(event.absence)
            case Voted():
                self.round.ballots.append(event.ballot)
            case Counted():
                self.round.counted = event
            case Painted():
                self.painted = event
            case Noted():
                self.notes.append(event.text)
            case Answered():
                self.answer, self.status = event.text, event.status

    def _seat(self, event: Seated) -> None:
        if not self.rounds or self.rounds[-1].number != event.round:
            self.rounds.append(RoundView(event.round))
        self.most_rounds, self.layers = event.rounds, event.layers
        self.round.dropped = event.dropped
        for name in event.seated:
            speaker = Speaker(node="character", name=name, round=event.round, layer=event.layer)
            self._voice(speaker)

    def _voice(self, speaker: Speaker) -> SpeakerView:
        if speaker.node == "character":
            return self.round.seats.setdefault((speaker.layer, speaker.name), SpeakerView(speaker))
        name = f"{speaker.node}:{speaker.name}:{speaker.round}"
        return self.voices.setdefault(name, SpeakerView(speaker))

    def _miss(self, absence: Absence) -> None:
        if absence.stage == "vote":
            self.round.unvoted.append(absence)
            return
        speaker = Speaker(
            node="character", name=absence.character, round=absence.round, layer=absence.layer
        )
        one = self._voice(speaker)
        one.state, one.absence, one.wait = "absent", absence, None


async def resume(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    config: RunnableConfig,
    *,
    context: CouncilContext | None = None,
) -> dict[str, Any]:
    """Finish the thread's open question; calls that had finished are not made again.

    Args:
        graph: the council, compiled with the thread's checkpointer.
        config: holds `configurable.thread_id`.
        context: the settings of this run.

    Returns:
        The output of the run: `messages` and `status`.

    Raises:
        StorageError: there is no such thread, or nothing in it is open.
        DeliberationError: it cannot go on again, and waits in its thread as before.
    """
    config, context = await ready(graph, config, context)
    result: dict[str, Any] = await graph.ainvoke(
        None,
        config,
        context=awake(context),
        # Otherwise what a step's nodes say may be kept before the step itself is.
        durability="sync" if graph.checkpointer else None,
    )
    for one in result.get("__interrupt__", ()):
        from mom_council.deliberation.interrupts import is_pause, paused_error

        if is_pause(one.value):
            raise paused_error(one.value)
    return result


def awake(context: CouncilContext | None) -> CouncilContext:
    """The settings of a resumed run: the time that the thread slept is not charged to it."""
    return (context or CouncilContext()).model_copy(update={"resumed_at": steady_time()})


def is_open(snapshot: StateSnapshot) -> bool:
    """Whether a thread's question is still to be finished.

    `snapshot.next` leaves out the steps whose results are written already, so it is empty for a
    thread that was killed after the last of them had finished and before that was put together.
    """
    return bool(snapshot.tasks)


async def ready(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    config: RunnableConfig,
    context: CouncilContext | None = None,
) -> tuple[RunnableConfig, CouncilContext]:
    """Make a thread ready to go on from None.

    After a missed quorum, those who were absent are asked again: otherwise the quorum would be
    missed again without a single call. Proposals that were made are kept. The round begins anew at
    its first layer, which may be the one that failed.

    Returns:
        The configuration to go on with, and the settings: those that the question was asked with,
        but for what `context` says otherwise.

    Raises:
        StorageError: there is no such thread, or nothing in it is open.
    """
    thread = config.get("configurable", {}).get("thread_id")
    snapshot = await graph.aget_state(config)
    if not snapshot.values:
        raise StorageError(f"there is no thread {thread!r}", cure="`mom threads list` shows them")
    if not is_open(snapshot):
        raise StorageError(f"thread {thread!r} is answered: nothing in it is open")
    context = with_kept_settings(context or CouncilContext(), snapshot.metadata or {})
    if any(task.name == "quorum" and task.error for task in snapshot.tasks):
        turn = snapshot.values["seating"].model_copy(update={"layer": 0})
        config = await graph.aupdate_state(
            snapshot.config,
            {"absences": Overwrite([]), "seating": turn},
            as_node="annotator",
        )
    return config, context


def answer_in(snapshot: StateSnapshot) -> Answered | None:
    """The answer that a thread has come to; None: its question is open."""
    if is_open(snapshot) or not snapshot.values.get("status"):
        return None
    message = snapshot.values["messages"][-1]
    pictures = [block for block in message.content if is_picture(block)]
    return Answered(
        text=message.text,
        status=snapshot.values["status"],
        calls=tool_calls_in(message),
        pictures=tuple(pictures),
    )


async def asked_before(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    config: RunnableConfig,
    request: str,
    is_new: bool,
    busy: str,
) -> StateSnapshot | None:
    """Where a question stands in its thread; None: nobody has put it, or nobody answered it.

    Args:
        graph: the council.
        config: holds `configurable.thread_id`.
        request: names the request that puts the question; empty: each is a new question.
        is_new: whether the run has a question of its own.
        busy: whose answer the run had to wait for; who wanted to go on with that is given it.

    Raises:
        ThreadBusyError: another question came after the request's, so it cannot be gone on with.
    """
    if not is_new:
        snapshot = await graph.aget_state(config) if busy else None
        return snapshot if snapshot and answer_in(snapshot) else None
    if not request:
        return None
    async for snapshot in graph.aget_state_history(config, filter={"request": request}, limit=1):
        if answer_in(snapshot) is None:
            latest = await graph.aget_state(config)
            if latest.config != snapshot.config:
                raise ThreadBusyError(
                    "another question came into the thread before this one was answered",
                    cure="ask it as a new request",
                )
        return snapshot
    return None


_OF_THE_DOOR = {"can_ask", "people", "debug", "stream_members", "resumed_at"}
"""Settings that say who is in front of a run; they are not the question's."""


def settings_to_keep(context: CouncilContext) -> dict[str, str]:
    """The settings of a question, as its thread's checkpoints keep them; empty: there are none."""
    text = context.model_dump_json(exclude_defaults=True, exclude=_OF_THE_DOOR)
    return {} if text == "{}" else {"settings": text}


def with_kept_settings(context: CouncilContext, metadata: Mapping[str, Any]) -> CouncilContext:
    """The settings that a question was asked with, under those that are given now."""
    try:
        earlier = CouncilContext.model_validate_json(metadata.get("settings") or "{}")
    except ValidationError:  # of another version
        return context
    names = set(context.model_dump(exclude_defaults=True))
    return earlier.model_copy(update={name: getattr(context, name) for name in names})
