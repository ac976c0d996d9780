"""A character: a persona on a model, answering the question."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AnyMessage
from langgraph.runtime import Runtime

from mom_council.councils.schema import Character, Council
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.ask_model import (
    ToolAccess,
    absence_reason,
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
    make_absence,
    notes_of_attempt,
    proposal_fault,
    tool_access,
)
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.events import Missed, Speaker, emit
from mom_council.deliberation.fan_out import OutOfTime, Races, TooLate, never
from mom_council.deliberation.schedule import stops_early
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import ModelError
from mom_council.models.context_window import pack_prompt
from mom_council.models.resolved import resolve_character
from mom_council.models.speaking import Reply
from mom_council.models.tools.toolset import NO_TOOLS, CallerTools
from mom_council.prompts import render
from mom_council.records import AbsenceReason, Proposal, Segment
from mom_council.voting.methods import METHODS
from mom_council.voting.reading import stated_confidence


def character(name: str, races: Races, tools: CallerTools = NO_TOOLS) -> Any:
    """Make the node of one character."""

    async def speaks(
        state: CouncilState, runtime: Runtime[CouncilContext], council: Council
    ) -> CouncilUpdate:
        """Answer the question; a failure is an absence with its reason, never an exception."""
        turn = selectors.current_turn(state)
        who = council.character(name)
        speaker = Speaker(node="character", name=name, round=turn.round, layer=turn.layer)
        left = selectors.remaining_seconds(state, council, context_of(runtime))
        if left == 0:
            return _give_up(runtime, speaker, "budget", "the question's time was over", [])
        race = races.join(runtime, council.deliberation, len(turn.seated))

        def settles(spoken: list[tuple[Reply, Segment]]) -> bool:
            fresh = [_proposal(reply, segment, state, council) for reply, segment in spoken]
            return stops_early(state, council, fresh)

        began, access = time.monotonic(), tool_access(who, council, tools)
        try:
            reply, segment = await race.run(
                _answer(who, speaker, state, runtime, council, access),
                counts=lambda spoken: proposal_fault(spoken[0]) is None,
                settles=settles if council.deliberation.stop != "all" else never,
                seconds=left,
            )
        except ModelError as error:
            failed = [failed_segment(speaker, who.model, error)]
            return _give_up(runtime, speaker, *absence_reason(error), failed)
        except (TooLate, OutOfTime) as error:
            cut = cancelled_segment(speaker, who.model, began, access)
            if isinstance(error, OutOfTime):
                return _give_up(runtime, speaker, "budget", "the question's time was over", [cut])
            if race.settled:
                return _give_up(runtime, speaker, "settled", "the others had settled it", [cut])
            return _give_up(runtime, speaker, "late", "a quorum had answered", [cut])
        if fault := proposal_fault(reply):
            return _give_up(runtime, speaker, *fault, [segment])
        proposals = [_proposal(reply, segment, state, council)]
        notes = notes_of_attempt(runtime, name, reply.text)
        return {"proposals": proposals, "segments": [segment], "notes": notes}

    return speaks


async def _answer(
    who: Character,
    speaker: Speaker,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
    access: ToolAccess,
) -> tuple[Reply, Segment]:
    """Ask one character, with what it reads of others as its model can read it."""
    others, own = _earlier(who, state, council)
    form = context_of(runtime).form
    parts = (conversation.caller_instructions(state), form.for_the_council if form else "")
    rules = "\n\n".join(part for part in parts if part)

    def compose(texts: list[str]) -> list[AnyMessage]:
        read = texts[: len(others)]
        return _messages(who, read, "".join(texts[len(read) :]), state, council, rules)

    model = resolve_character(council, who)
    prompt = await pack_prompt(model, [*others, own] if own else others, compose)
    params = {} if who.temperature is None else {"temperature": who.temperature}
    return await ask_model(
        runtime, speaker, model, prompt.messages, notes=prompt.notes, params=params, access=access
    )


def _proposal(reply: Reply, segment: Segment, state: CouncilState, council: Council) -> Proposal:
    return Proposal(
        character=segment.name,
        text=reply.text.strip(),
        reasoning=reply.reasoning,
        model=reply.model,
        round=segment.round,
        layer=segment.layer,
        weight=council.character(segment.name).weight,
        confidence=stated_confidence(reply.text),
        truncated=reply.finish in ("length", "broken"),
        options=dict(conversation.question_options(state)),
    )


def _messages(
    who: Character, earlier: list[str], own: str, state: CouncilState, council: Council, rules: str
) -> list[AnyMessage]:
    turn = selectors.current_turn(state)
    prompt = render(
        "character",
        style=council.prompts,
        name=who.name,
        personality=who.personality,
        speaking_style=who.speaking_style,
        thought_process=who.thought_process,
        interests=who.interests,
        question=conversation.question_with_results(state, files_apart=True),
        restated=state["annotation"].restated,
        earlier=earlier,
        own=own,
        round=turn.round,
        layer=turn.layer,
        method=council.deliberation.method,
        method_instruction=METHODS[council.deliberation.method].character_instruction,
    )
    return compose_messages(
        prompt,
        instructions=rules,
        conversation=conversation.earlier_messages(state, council),
        pictures=conversation.question_pictures(state),
    )


def _earlier(who: Character, state: CouncilState, council: Council) -> tuple[list[str], str]:
    """What this character reads: the layer before it, the round before it, or those before it.

    Never of its own round and layer, unless in sequence. Its own stands apart; others are shuffled.
    """
    turn = selectors.current_turn(state)
    read: Sequence[Proposal] = ()
    if council.deliberation.mode == "sequential":
        read = selectors.proposals_at(state, turn.round, turn.layer)
    if not read and turn.layer > 1 and not selectors.answers_unread(council):
        read = selectors.previous_layer(state, council)
        if council.deliberation.hears == "opposite":
            read = selectors.paired_proposal(who.name, read, council) or read
    if not read and turn.round > 1:
        read = selectors.candidates(state, council)
    others = [p.text for p in read if p.character != who.name]
    if len(others) > 1:
        throw = selectors.seeded_random(state, council, "earlier", turn.round, turn.layer, who.name)
        throw.shuffle(others)
    own = next((p.text for p in read if p.character == who.name), "")
    return others, own


def _give_up(
    runtime: Runtime[CouncilContext],
    speaker: Speaker,
    reason: AbsenceReason,
    detail: str,
    segments: list[Any],
) -> CouncilUpdate:
    missed = make_absence(speaker, reason, detail)
    emit(runtime, Missed(absence=missed))
    return {"absences": [missed], "segments": segments}
