"""A voter: a character judging the others' proposals."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from langchain_core.messages import AnyMessage
from langgraph.runtime import Runtime

from mom_council.councils.schema import Character, Council
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.ask_model import (
    absence_reason,
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
    make_absence,
    proposal_fault,
)
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.events import Missed, Noted, Speaker, Voted, emit
from mom_council.deliberation.fan_out import OutOfTime, Race, Races, TooLate
from mom_council.deliberation.schedule import is_vote_settled, next_voters
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import ModelError
from mom_council.models.context_window import pack_prompt
from mom_council.models.prices import count_request
from mom_council.models.resolved import resolve_character, resolve_model
from mom_council.models.speaking import Reply
from mom_council.prompts import render
from mom_council.records import AbsenceReason, Ballot, Note, Proposal, Segment
from mom_council.voting.ballots import (
    Candidate,
    ballot_schema,
    prompt_values,
    read_ballot,
    says_that_it_abstains,
)
from mom_council.voting.counting import answer_of


def vote(name: str, races: Races) -> Any:
    """Make the node of one voter."""

    async def votes(
        state: CouncilState, runtime: Runtime[CouncilContext], council: Council
    ) -> CouncilUpdate:
        """Vote for the best proposal that is not one's own; when in doubt, abstain."""
        turn = selectors.current_turn(state)
        who = council.character(name)
        speaker = Speaker(node="vote", name=name, round=turn.round, layer=turn.layer)

        def miss(reason: AbsenceReason, detail: str, *segments: Segment) -> CouncilUpdate:
            missed = make_absence(speaker, reason, detail)
            emit(runtime, Missed(absence=missed))
            return {"absences": [missed], "segments": [*segments]}

        left = selectors.remaining_seconds(state, council, context_of(runtime))
        if left == 0:
            return miss("budget", "the question's time was over")
        voters = next_voters(state, council)
        race = races.join(runtime, council.deliberation, len(voters))
        began = time.monotonic()
        try:
            vote = await race.run(
                _cast_ballot(who, speaker, state, runtime, council),
                settles=lambda cast: _can_let_go(cast, race, state, council),
                seconds=left,
            )
        except ModelError as error:
            return miss(*absence_reason(error), failed_segment(speaker, who.model, error))
        except TooLate:
            return miss("late", "enough had voted", cancelled_segment(speaker, who.model, began))
        except OutOfTime:
            cut = cancelled_segment(speaker, who.model, began)
            return miss("budget", "the question's time was over", cut)
        if vote.fault is not None:
            return miss(*vote.fault, vote.segment)
        emit(runtime, Voted(ballot=vote.ballot))
        update: CouncilUpdate = {"ballots": [vote.ballot], "segments": [vote.segment]}
        if vote.ballot.unread and not says_that_it_abstains(vote.ballot.unread):
            note = f"No vote could be read in the reply of {name!r}: it counts as abstaining."
            emit(runtime, Noted(text=note))
            update["notes"] = [Note(text=note, kind="step_failed", about=name)]
        return update

    return votes


class _Vote(NamedTuple):
    """A ballot, what it cost, and why it is none, where the reply is no answer."""

    ballot: Ballot
    segment: Segment
    fault: tuple[AbsenceReason, str] | None


async def _cast_ballot(
    who: Character,
    speaker: Speaker,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> _Vote:
    """Ask one voter, and read its ballot."""
    method = council.deliberation.method
    candidates = _candidates(who, state, council)

    def compose(texts: list[str]) -> list[AnyMessage]:
        pairs = zip(candidates, texts, strict=True)
        return compose_messages(
            _prompt(who, [one._replace(text=text) for one, text in pairs], state, council),
            instructions=conversation.caller_instructions(state),
            conversation=conversation.earlier_messages(state, council),
            pictures=conversation.question_pictures(state),
        )

    model = resolve_character(council, who)
    prompt = await pack_prompt(model, [one.text for one in candidates], compose)
    reply, segment = await ask_model(
        runtime,
        speaker,
        model,
        prompt.messages,
        notes=prompt.notes,
        schema=ballot_schema(method, candidates),
        params={"temperature": 0.0},
    )
    broke_off = reply.finish in ("length", "broken")
    options = conversation.question_options(state)
    # Reading prose takes up to 100 ms, in which other voters' answers would stay unheard.
    try:
        read = await asyncio.to_thread(
            read_ballot, reply.text, candidates, method, complete=not broke_off, options=options
        )
    except asyncio.CancelledError:
        # Nobody waits for this ballot any more, but its call was made: whoever cancelled counts it.
        count_request(segment.usage.model_copy(update={"seconds": 0.0}))
        raise
    ballot = read.ballot(
        who.name,
        round=speaker.round,
        weight=who.weight,
        order=[candidate.character for candidate in candidates],
    )
    return _Vote(
        ballot, segment, _fault(reply) if ballot.abstained and not model.is_person else None
    )


def _fault(reply: Reply) -> tuple[AbsenceReason, str] | None:
    """Why a reply without a vote is no abstention: its voter did not come to decide."""
    fault = proposal_fault(reply)
    if fault is None and reply.finish in ("length", "broken"):
        return "garbled", "its ballot broke off before the vote"
    return fault


def _can_let_go(votes: list[_Vote], race: Race, state: CouncilState, council: Council) -> bool:
    """Whether the ballots still out can be let go.

    They are where they can change neither the leader nor the agreement, in a race or where the
    council's stopping rule says so; a rule that stops earlier may let go of more.
    """
    if race.waits_for_all and council.deliberation.stop == "all":
        return False
    return is_vote_settled(state, council, [vote.ballot for vote in votes])


def _candidates(who: Character, state: CouncilState, council: Council) -> list[Candidate]:
    """Everyone's proposal but one's own, each voter's list turned by one place.

    Models favour a place in the list, so over the electorate each proposal stands in each place
    about as often as any other; the seeded shuffle keeps seats from mattering.
    """
    standing = _shuffle_candidates(state, council, selectors.current_turn(state).round)
    place = selectors.voters_this_round(state, council).index(who.name)
    turned = standing[place % len(standing) :] + standing[: place % len(standing)]
    others = [(p, answer) for p, answer in turned if p.character != who.name]
    # Where the answers are letters themselves, "B" must not mean two things.
    options = conversation.question_options(state)
    lettered = bool(options) or any(len(answer) == 1 for _, answer in others)
    return [
        Candidate(label=f"P{i + 1}" if lettered else _label(i), character=p.character, text=p.text)
        for i, (p, _) in enumerate(others)
    ]


@selectors.once_a_table
def _shuffle_candidates(
    state: CouncilState, council: Council, round_: int
) -> list[tuple[Proposal, str]]:
    """What stands, in the order of a round's ballots, each with its bare answer."""
    standing = selectors.candidates(state, council)
    selectors.seeded_random(state, council, "ballots", round_).shuffle(standing)
    return [(proposal, answer_of(proposal).bare or "") for proposal in standing]


def _label(place: int) -> str:
    """A, B, ... Z, P27, P28, ..."""
    return chr(ord("A") + place) if place < 26 else f"P{place + 1}"


def _prompt(
    who: Character, candidates: list[Candidate], state: CouncilState, council: Council
) -> Any:
    return render(
        "vote",
        style=council.prompts,
        name=who.name,
        personality=who.personality,
        question=conversation.question_with_results(state, files_apart=True),
        restated=state["annotation"].restated,
        **prompt_values(council.deliberation.method, candidates),
        person=resolve_model(council, who.model).is_person,
    )
