"""The equality check: whether answers that are written differently mean the same."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.ask_model import (
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
)
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.events import Noted, Speaker, emit
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import ModelError
from mom_council.models.resolved import resolve_model
from mom_council.prompts import render
from mom_council.records import EqualityJudgement, Note, Segment
from mom_council.voting.counting import compare_off_the_loop
from mom_council.voting.reading import json_values


async def equality_check(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Have one cheap model judge the pairs of answers that are in doubt, each once a question.

    Where it fails, or there is no budget for it, they count as different, and a note says so.
    """
    turn = selectors.current_turn(state)
    spoken = selectors.proposals_at(state, turn.round, turn.layer)
    await compare_off_the_loop(spoken, kind=state["annotation"].kind)
    pairs = selectors.doubtful_pairs(spoken, state, council)
    if not pairs:
        return {"step": "no answers are in doubt"}
    key = selectors.judge_model(council)
    if key is None or (spent := selectors.exceeded_budget(state, council, more_calls=1)):
        why = f"the budget is spent ({spent})" if key else "there is no model to ask"
        return _different(pairs, why, runtime)
    speaker = Speaker(
        node="equality_check", name="equality_check", round=turn.round, layer=turn.layer
    )
    prompt = render(
        "equality_check",
        style=council.prompts,
        question=conversation.question_with_results(state),
        pairs=pairs,
    )
    began = time.monotonic()
    try:
        async with asyncio.timeout(selectors.reader_seconds(state, council, context_of(runtime))):
            reply, segment = await ask_model(
                runtime,
                speaker,
                resolve_model(council, key),
                compose_messages(prompt),
                schema=judgement_schema(len(pairs)),
                params={"temperature": 0.0},
            )
    except TimeoutError:
        cut = cancelled_segment(speaker, key, began)
        return _different(pairs, "it took half of the time that was left", runtime, cut)
    except ModelError as error:
        return _different(pairs, str(error), runtime, failed_segment(speaker, key, error))
    same = read_judgement(reply.text, len(pairs))
    if same is None:
        return _different(pairs, "its reply could not be read", runtime, segment)
    judged = [
        EqualityJudgement(one=one, other=other, same=equal)
        for (one, other), equal in zip(pairs, same, strict=True)
    ]
    notes = [_in_words(one, reply.model) for one in judged]
    for note in notes:
        emit(runtime, Noted(text=note))
    return {
        "judgements": judged,
        "segments": [segment],
        "notes": [Note(text=note) for note in notes],
    }


def judgement_schema(pairs: int) -> dict[str, Any]:
    """The schema of what is replied: true or false for each pair."""
    same = {"type": "array", "items": {"type": "boolean"}, "minItems": pairs, "maxItems": pairs}
    return {
        "title": "Judgement",
        "type": "object",
        "properties": {"same": same},
        "required": ["same"],
        "additionalProperties": False,
    }


def read_judgement(reply: str, pairs: int) -> list[bool] | None:
    """Which pairs mean the same; None where the reply does not say it of each."""
    for value in reversed(json_values(reply)):
        same = value.get("same") if isinstance(value, dict) else value
        if isinstance(same, list) and len(same) == pairs:
            return same if all(isinstance(one, bool) for one in same) else None
    return None


def _in_words(judged: EqualityJudgement, model: str) -> str:
    verdict = "the same answer" if judged.same else "different answers"
    return f"{model!r} judged {judged.one!r} and {judged.other!r} to be {verdict}."


def _different(
    pairs: list[tuple[str, str]], why: str, runtime: Runtime[CouncilContext], *spent: Segment
) -> CouncilUpdate:
    listed = "; ".join(f"{one!r} and {other!r}" for one, other in pairs)
    note = f"Whether these answers mean the same was not judged, so they differ: {listed} ({why})."
    emit(runtime, Noted(text=note))
    return {
        "judgements": [EqualityJudgement(one=one, other=other, same=False) for one, other in pairs],
        "segments": [*spent],
        "notes": [Note(text=note, kind="step_failed")],
    }
