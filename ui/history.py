"""A stored conversation: its turns, the state of the last question, and its export as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage

from mom_council.councils.schema import Council
from mom_council.deliberation.events import Counted, Speaker
from mom_council.deliberation.selectors import notes_of
from mom_council.errors import MixtureError
from mom_council.extensions.transcript import inert_markdown, markdown_line
from mom_council.graph.council import compile_council
from mom_council.records import Segment, Status, Verdict
from mom_council.runs.follow import RoundView, RunView, SpeakerView, is_open
from mom_council.runs.leases import ThreadLease
from mom_council.ui import words
from mom_council.voting.stopping import explain

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver


@dataclass(frozen=True)
class PastTurn:
    """A question, and its answer where there is one."""

    question: HumanMessage
    answer: AIMessage | None = None


@dataclass(frozen=True)
class Conversation:
    """A thread as it is kept."""

    thread: str
    turns: tuple[PastTurn, ...] = ()
    view: RunView = field(default_factory=RunView)
    """Of the last turn."""
    is_open: bool = False
    """Whether the last question was begun and not finished."""
    head: str = ""
    """The checkpoint that it was read from."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Everything that is stored of the last turn."""

    @property
    def text(self) -> str:
        """Everything that was asked and answered."""
        return text_of(message for turn in self.turns for message in (turn.question, turn.answer))


async def read_conversation(
    saver: BaseCheckpointSaver[Any], thread: str, council: Council
) -> Conversation:
    """Read a thread; an empty conversation where there is none of that name.

    Raises:
        StorageError: it cannot be read.
    """
    graph = compile_council(council, saver)
    snapshot = await graph.aget_state(_config(thread))
    turns = turns_of(snapshot.values.get("messages", []))
    view = view_of(snapshot.values, council)
    head = str(snapshot.config["configurable"].get("checkpoint_id", ""))
    return Conversation(
        thread, turns, view, is_open=is_open(snapshot), head=head, values=snapshot.values
    )


async def copy_conversation(
    saver: BaseCheckpointSaver[Any], thread: str, council: Council, messages: Sequence[AnyMessage]
) -> None:
    """Begin a thread with what was said in another.

    Raises:
        StorageError: it cannot be written.
    """
    graph = compile_council(council, saver)
    await graph.aupdate_state(_config(thread), {"messages": list(messages)}, as_node="synthesizer")


async def replace_answer(
    saver: BaseCheckpointSaver[Any],
    thread: str,
    council: Council,
    answer: AIMessage,
    status: Status,
) -> None:
    """Put another answer in the place of the stored one with the same id.

    Raises:
        MixtureError: a question of this thread is not finished.
        StorageError: it cannot be written.
    """
    graph = compile_council(council, saver)
    async with ThreadLease(saver, thread, wait=0):
        snapshot = await graph.aget_state(_config(thread))
        if is_open(snapshot):
            raise MixtureError(
                "the last question of this conversation is not finished", cure="finish it first"
            )
        values: dict[str, Any] = {"messages": [answer]}
        messages = snapshot.values.get("messages") or []
        if messages and messages[-1].id == answer.id:
            values["status"] = status
        await graph.aupdate_state(_config(thread), values, as_node="synthesizer")


async def keep_comparison(
    saver: BaseCheckpointSaver[Any],
    thread: str,
    council: Council,
    text: str,
    segments: Sequence[Segment],
) -> None:
    """Store with the last question what a model says of its proposals, and what that cost.

    Raises:
        StorageError: it cannot be written.
    """
    values = {"comparison": text, "segments": list(segments)}
    await compile_council(council, saver).aupdate_state(
        _config(thread), values, as_node="synthesizer"
    )


def text_of(messages: Iterable[BaseMessage | None]) -> str:
    """What messages say, for a search."""
    return "\n".join(str(one.text) for one in messages if one is not None)


def turns_of(messages: Sequence[AnyMessage]) -> tuple[PastTurn, ...]:
    """The turns of a conversation."""
    turns: list[PastTurn] = []
    for message in messages:
        if isinstance(message, HumanMessage):
            turns.append(PastTurn(message))
        elif isinstance(message, AIMessage) and turns and message.text:
            turns[-1] = PastTurn(turns[-1].question, message)
    return tuple(turns)


def messages_before(turns: Sequence[PastTurn], place: int) -> list[AnyMessage]:
    """The messages of the turns before one."""
    messages: list[AnyMessage] = []
    for turn in turns[:place]:
        messages.append(turn.question)
        if turn.answer is not None:
            messages.append(turn.answer)
    return messages


def _config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def copy_view(view: RunView) -> RunView:
    """A copy that stays as it is while the run goes on; texts and records are shared."""
    return replace(
        view,
        rounds=[_copy_round(one) for one in view.rounds],
        voices={name: _one(voice) for name, voice in view.voices.items()},
        plans=list(view.plans),
        notes=list(view.notes),
    )


def _copy_round(one: RoundView) -> RoundView:
    return replace(
        one,
        seats={place: _one(seat) for place, seat in one.seats.items()},
        ballots=list(one.ballots),
        unvoted=list(one.unvoted),
    )


def _one(voice: SpeakerView) -> SpeakerView:
    return replace(voice, calls=dict(voice.calls))


def view_of(values: Mapping[str, Any], council: Council | None = None) -> RunView:
    """The view of a thread's last question, from the values that the thread keeps of it."""
    view = RunView()
    for proposal in values.get("proposals", []):
        seat = _seat(view, proposal.round, proposal.layer, proposal.character)
        seat.state, seat.text, seat.reasoning = "done", proposal.text, proposal.reasoning
        seat.model = proposal.model
    for absence in values.get("absences", []):
        if absence.stage == "vote":
            _round(view, absence.round).unvoted.append(absence)
        else:
            seat = _seat(view, absence.round, absence.layer, absence.character)
            seat.state, seat.absence = "absent", absence
    for ballot in values.get("ballots", []):
        _round(view, ballot.round).ballots.append(ballot)
    for verdict in values.get("verdicts", []):
        _round(view, verdict.round).counted = Counted(verdict=verdict, why=_why(verdict, council))
    for segment in values.get("segments", []):
        _lay(view, segment)
    view.rounds.sort(key=lambda one: one.number)
    if council is not None:
        _put_in_council_order(view, council)
    view.layers = max((layer for one in view.rounds for layer, _ in one.seats), default=1)
    view.most_rounds = max((one.number for one in view.rounds), default=1)
    view.notes = [note.text for note in notes_of(values)]
    view.annotation = values.get("annotation") or view.annotation
    view.status = values.get("status")
    if view.status is not None:
        view.route = view.status.route
        messages = values.get("messages") or []
        if messages and isinstance(messages[-1], AIMessage):
            view.answer = messages[-1].text
    return view


def _put_in_council_order(view: RunView, council: Council) -> None:
    """Characters and ballots as the council names them; the stored state has them by name."""
    order = {one.name: place for place, one in enumerate(council.characters)}
    for one in view.rounds:
        one.seats = dict(
            sorted(
                one.seats.items(),
                key=lambda seat: (seat[0][0], order.get(seat[0][1], len(order))),
            )
        )
        one.ballots.sort(key=lambda ballot: order.get(ballot.voter, len(order)))


def _lay(view: RunView, segment: Segment) -> None:
    if segment.node == "character":
        seat = _seat(view, segment.round, segment.layer, segment.name)
        seat.segment, seat.model = segment, segment.model or seat.model
        return
    speaker = Speaker(node=segment.node, name=segment.name, round=segment.round)
    name = f"{segment.node}:{segment.name}:{segment.round}"
    voice = SpeakerView(speaker, model=segment.model, state="done", segment=segment)
    if (before := view.voices.get(name)) is not None and before.segment is not None:
        voice.earlier = (*before.earlier, before.segment)
    view.voices[name] = voice


def _seat(view: RunView, round_: int, layer: int, name: str) -> SpeakerView:
    speaker = Speaker(node="character", name=name, round=round_, layer=layer)
    return _round(view, round_).seats.setdefault((layer, name), SpeakerView(speaker))


def _round(view: RunView, number: int) -> RoundView:
    for one in view.rounds:
        if one.number == number:
            return one
    view.rounds.append(RoundView(number))
    return view.rounds[-1]


def _why(verdict: Verdict, council: Council | None) -> str:
    return explain(verdict, council.deliberation) if council is not None else ""


_LONGEST_HEADING = 120
"""Characters of a question that can be the heading; a longer one stands below a heading."""


def debate_in_markdown(question: str, answer: str, view: RunView) -> str:
    """The question, the answer, how it came about, and what everybody said and voted.

    Texts stand as they were written; what would load or run something stands as code.
    """
    return "\n\n".join(_parts(question, answer, view)) + "\n"


def _parts(question: str, answer: str, view: RunView) -> Iterator[str]:
    if "\n" in question or len(question) > _LONGEST_HEADING:
        yield f"# A question to the council\n\n{inert_markdown(question)}\n\n## Answer"
    else:
        yield f"# {markdown_line(question)}"
    yield inert_markdown(answer)
    if view.status is not None:
        yield from _label(view.status)
    for one in view.rounds:
        yield f"## Round {one.number}"
        yield from _round_markdown(one)
    name = f" “{markdown_line(view.status.council)}”" if view.status is not None else ""
    yield "---"
    yield f"Answered by the council{name} with Mixture of Models."


def _label(status: Status) -> Iterator[str]:
    lines = [words.headline(status), words.missing(status), *words.joined(status)]
    lines.append(words.cost(status.usage, status.seconds))
    yield "\n".join(f"- {markdown_line(line)}" for line in lines if line)


def _round_markdown(one: RoundView) -> Iterator[str]:
    for seat in one.seats.values():
        model = f" ({seat.model})" if seat.model else ""
        yield f"### {markdown_line(seat.speaker.name + model)}"
        if seat.text:
            yield inert_markdown(seat.text)
        elif seat.absence is not None:
            yield markdown_line(words.absent(seat.absence))
    ballots = [
        f"- **{markdown_line(vote.voter)}** → {markdown_line(words.ballot(vote))}"
        + (f": {markdown_line(vote.reason)}" if vote.reason else "")
        for vote in one.ballots
    ]
    ballots += [f"- {markdown_line(words.absent(absence))}" for absence in one.unvoted]
    if ballots:
        yield "### Ballots"
        yield "\n".join(ballots)
    if one.counted is not None and one.counted.why:
        yield markdown_line(words.sentence(one.counted.why))
