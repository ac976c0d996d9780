"""The status of an answer: who spoke, who was missing, how the vote went, what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from mom_council.councils.schema import Council, Model
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.context import steady_time
from mom_council.deliberation.schedule import independent_answers
from mom_council.deliberation.state import CouncilState
from mom_council.models.weights import SHIPPED
from mom_council.records import Absence, AnswerFinish, Proposal, Segment, Status, Verdict
from mom_council.vendors import vendor_of
from mom_council.voting.dissent import (
    better_dissenter,
    dissenting,
    joined_leader,
    led,
    minority_report,
    overturned,
)
from mom_council.voting.fitted import confidence, prior_confidence
from mom_council.voting.methods import METHODS
from mom_council.voting.prior import prior_type
from mom_council.voting.reading import are_same, read_value

T = TypeVar("T")


def advise(compute: Callable[[], T], otherwise: T, *, what: str, notes: list[str]) -> T:
    """What an advisory step finds; `otherwise`, with a note, where it fails.

    Comparing proposals, naming dissent and judging confidence help whoever writes or reads the
    answer. A fault in one of them may not cost an answer that every model was already paid for.

    Args:
        compute: the step.
        otherwise: what holds without it.
        what: the step's name, for the note.
        notes: where the note goes, once for each step and fault.
    """
    try:
        return compute()
    except Exception as error:  # any fault: that is the point
        note = f"{what} was left out ({type(error).__name__}: {error})."
        if note not in notes:
            notes.append(note)
        return otherwise


def find_confidence(
    verdict: Verdict, state: CouncilState, council: Council, faults: list[str]
) -> dict[str, Any]:
    """How likely the leading answer is to be right, and what that rests on; unknown at a fault."""
    unknown: dict[str, Any] = {"confidence": None, "interval": None, "basis": ""}
    return unknown | advise(
        lambda: _compute_confidence(verdict, state, council),
        unknown,
        what="The confidence",
        notes=faults,
    )


def _compute_confidence(verdict: Verdict, state: CouncilState, council: Council) -> dict[str, Any]:
    """By what was fitted to this panel; else by how other models' agreement was."""
    trust = state.get("trust")
    leads = verdict.options[0].answer if verdict.leader and verdict.options else None
    if trust is None or leads is None:
        return {}
    own = independent_answers(state, council)
    models = [council.models[council.character(name).model] for name in own]
    is_open = state["annotation"].kind == "open"
    has_prior = bool(own) and not is_open and not any(map(_errs_its_own_way, models))
    is_fitted = trust.fitted is not None or trust.any_panel is not None
    if not (has_prior or is_fitted):
        return {}
    leading = read_value(leads)
    answers = {
        name: leads
        if leading and answer and are_same(read_value(answer) or leading, leading)
        else answer
        for name, answer in own.items()
    }
    if is_fitted:
        value, basis = confidence(trust, answers, leads)
        if value is not None:
            return {"confidence": value, "basis": basis}
    if not has_prior:
        return {}
    listed = any(proposal.options for proposal in state["proposals"])
    type_ = prior_type("choice" if listed else leading.type) if leading else None
    if type_ is None:
        return {}
    chance, basis = prior_confidence(trust, answers, leads, type_)
    if chance is None:
        return {}
    return {"confidence": chance.value, "interval": (chance.low, chance.high), "basis": basis}


def _errs_its_own_way(model: Model) -> bool:
    """Whether other models' agreement says nothing of it: a person, and the package's tiny ones."""
    vendor = vendor_of(model.provider)
    shipped = vendor.from_files and (SHIPPED / f"{model.model}.gguf").is_file()
    return vendor.is_person or shipped


def fallback_notes(segments: Iterable[Segment]) -> tuple[str, ...]:
    """One line for each seat that a fallback filled: which model did not answer, why, which did.

    The synthesizer's is left out: the node says that itself, since it is about the answer.
    """
    notes: dict[tuple[str, str, str], str] = {}
    for segment in segments:
        failed = {one.model: one.error for one in segment.attempts if one.model != segment.model}
        if not failed or segment.attempts[-1].model != segment.model:
            continue
        if segment.node == "synthesizer":
            continue
        chain = "; ".join(f"{model!r} did not answer ({why})" for model, why in failed.items())
        key = (segment.name, segment.model, next(iter(failed)))
        notes.setdefault(key, f"{segment.name}: the fallback {segment.model!r} answered; {chain}.")
    return tuple(notes.values())


def missing_price_notes(segments: Iterable[Segment], council: Council) -> tuple[str, ...]:
    """One line where a sum of dollars stands for only some of the models, or is to bound them."""
    answered = [one for one in segments if one.usage.calls and one.attempts and not one.cached]
    unknown = dict.fromkeys(
        one.model for one in answered if one.usage.usd is None and one.attempts[-1].error is None
    )
    any_price = any(one.usage.usd is not None for one in answered)
    if not unknown or not (any_price or council.budget.usd is not None):
        return ()
    names = ", ".join(map(repr, unknown))
    return (f"No price is known for {names}: the dollars are counted without.",)


class LabelledAnswer(Protocol):
    """What the label is put on."""

    @property
    def by(self) -> str:
        """The model that wrote it, or `vote`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What its reader should know of how it was written."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What writing it took."""

    @property
    def finish(self) -> AnswerFinish:
        """How it ended."""


def build_status(
    written: LabelledAnswer,
    standing: Sequence[Proposal],
    verdict: Verdict,
    state: CouncilState,
    council: Council,
) -> Status:
    """The status of an answer."""
    opposition = _opposition(standing, verdict, state)
    unheard = _without_answer(standing, verdict)
    unread = conversation.unread_attachments(state, council)
    partly = conversation.partly_read_attachments(state, council)
    absent = tuple(state["absences"])
    spoke = {p.character for p in state["proposals"]}
    return Status(
        council=council.name,
        spoke=tuple(c.name for c in council.characters if c.name in spoke),
        absent=absent,
        verdict=verdict,
        stop_reason=verdict.stop_reason,
        dissent=opposition.dissent,
        joined=opposition.joined,
        minority_report=opposition.report,
        rounds=selectors.current_turn(state).round,
        degraded=bool(written.notes or unheard or unread)
        or conversation.has_unseen_pictures(state)
        or any(one.prompt_cut for one in (*state["segments"], *written.segments))
        or not all(_in_order(a) for a in absent)
        or selectors.a_step_failed(state),
        notes=(
            *(note.text for note in selectors.notes_of(state)),
            *_of_calls(state["segments"], written.segments),
            *fallback_notes(state["segments"]),
            *_few(standing, spoke, verdict, council),
            *unheard,
            *(note for note in (unread, partly) if note),
            *opposition.notes,
            *written.notes,
            *missing_price_notes([*state["segments"], *written.segments], council),
            *_note_estimates([*state["segments"], *written.segments]),
        ),
        written_by=written.by,
        finish=written.finish,
        usage=sum((s.usage for s in written.segments), selectors.total_usage(state)),
        writing=written.segments[-1].usage if written.segments else None,
        seconds=round(max(0.0, steady_time() - state["asked_at"]), 3),
    )


class _Opposition(NamedTuple):
    """Who stands against the leading answer, and what there is to say about it."""

    dissent: tuple[str, ...]
    joined: tuple[str, ...]
    report: str
    notes: tuple[str, ...]


def _opposition(standing: Sequence[Proposal], verdict: Verdict, state: CouncilState) -> _Opposition:
    ballots = state["ballots"]
    faults: list[str] = []
    leader = led(verdict)
    nobody: tuple[str, ...] = ()
    no_report: Proposal | None = None
    report = advise(
        lambda: minority_report(standing, verdict, ballots) if leader else None,
        no_report,
        what="The minority report",
        notes=faults,
    )
    against = advise(
        lambda: dissenting(standing, verdict, ballots), nobody, what="The dissent", notes=faults
    )
    joined = advise(
        lambda: joined_leader(standing, verdict, ballots) if leader else nobody,
        nobody,
        what="Who joined the leader",
        notes=faults,
    )
    overturn = advise(
        lambda: overturned(standing, verdict, kind=state["annotation"].kind),
        "",
        what="The comparison of ballots and answers",
        notes=faults,
    )
    trust = state.get("trust")
    better = advise(
        lambda: better_dissenter(standing, verdict, trust.records) if leader and trust else "",
        "",
        what="The dissenter's record",
        notes=faults,
    )
    notes = (*([overturn] if overturn else ()), *([better] if better else ()), *faults)
    return _Opposition(against, joined, report.text if report else "", notes)


def _note_estimates(segments: Sequence[Segment]) -> tuple[str, ...]:
    """What to say where replies did not say how many tokens they took."""
    models = dict.fromkeys(one.model or one.name for one in segments if one.usage.estimated)
    if not models:
        return ()
    names = ", ".join(map(repr, models))
    return (f"{names} did not say how many tokens were used: the most that can be is counted.",)


NOBODY = "Nobody answered"
NOBODY_NOTES = (
    f"{NOBODY}: the one reply declines, or says that it does not know.",
    f"{NOBODY}: every reply declines, or says that it does not know.",
)
"""Of one reply, and of several."""


def nobody_answered(verdict: Verdict) -> bool:
    """Whether every reply that was counted declines, or says that it does not know."""
    counts = not METHODS[verdict.method].counts_nothing
    return counts and verdict.leader is None and bool(verdict.options)


def message_label(status: Status) -> dict[str, Any]:
    """The status as it stays with the message: who and how, without the long texts."""
    return {
        "name": status.council,
        "spoke": list(status.spoke),
        "absent": [{"character": a.character, "reason": a.reason} for a in status.absent],
        "stop_reason": status.stop_reason,
        "share": status.verdict.share if status.verdict else None,
        "confidence": status.verdict.confidence if status.verdict else None,
        "dissent": list(status.dissent),
        "joined": list(status.joined),
        "rounds": status.rounds,
        "degraded": status.degraded,
        "written_by": status.written_by,
    }


def _of_calls(*segments: Sequence[Segment]) -> Iterator[str]:
    """What is said of calls, each thing once, and of a model's cut prompts the first."""
    notes: dict[tuple[str, str], str] = {}
    for one in (segment for some in segments for segment in some):
        for note in one.notes:
            notes.setdefault((one.model, "cut") if one.prompt_cut else ("", note), note)
    yield from notes.values()


def _in_order(absence: Absence) -> bool:
    """Whether nothing was lost: it was settled before this answer or ballot came."""
    return absence.reason == "settled" or (absence.stage, absence.reason) == ("vote", "late")


def _without_answer(standing: Sequence[Proposal], verdict: Verdict) -> tuple[str, ...]:
    """Whose reply broke off, and that nobody answered, where that is so."""
    notes = [
        f"The reply of {one.character!r} broke off, so no answer was counted for it."
        for one in standing
        if one.truncated
    ]
    if nobody_answered(verdict):
        of_one, of_all = NOBODY_NOTES
        notes.append(of_one if len(standing) == 1 else of_all)
    return tuple(notes)


def _few(
    standing: Sequence[Proposal], spoke: set[str], verdict: Verdict, council: Council
) -> tuple[str, ...]:
    """What to say when there were not voices enough for a vote."""
    if len(standing) == 1 and len(spoke) > 1:
        return ("The last layer gave one proposal: there was nothing to vote on.",)
    if len(standing) == 1:
        return (f"Only {standing[0].character!r} answered: there was nothing to vote on.",)
    replaced = verdict.method != council.deliberation.method
    if len(standing) == 2 and replaced and METHODS[verdict.method].counts_answers:
        return (
            "There were two proposals: nobody votes for itself, so only equal answers counted.",
        )
    return ()
