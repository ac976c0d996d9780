"""The comparison: what the proposals agree on, where they clash, and what one alone says."""

from __future__ import annotations

import asyncio
import time

from langchain_core.messages import AnyMessage
from langgraph.errors import GraphBubbleUp
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
from mom_council.models.context_window import LONGEST_QUOTE, pack_prompt, without_middle
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply
from mom_council.prompts import render
from mom_council.records import Note, Segment

BY_WORDS = "The proposals were compared by their words alone: "
"""How the note begins where no model has compared them."""


async def comparison(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Have the synthesizer's model compare the proposals before it writes.

    Where it fails, or the budget keeps one call only, the synthesizer is told what the words alone
    tell. The proposals stand in the order in which the synthesizer will read them.
    """
    proposals = selectors.synthesizer_order(state, council)
    if len(proposals) < 2 or selectors.exceeded_budget(state, council, more_calls=1) is not None:
        return {"comparison": ""}
    speaker = Speaker(node="comparison", name="comparison")
    key = council.synthesizer.model
    model = resolve_model(council, key)

    def compose(texts: list[str]) -> list[AnyMessage]:
        prompt = render(
            "comparison",
            style=council.prompts,
            question=conversation.question_with_results(state),
            restated=state["annotation"].restated,
            proposals=texts,
        )
        return compose_messages(
            prompt,
            instructions=conversation.caller_instructions(state),
            conversation=conversation.earlier_messages(state, council),
        )

    def half_of_the_time() -> float | None:
        # So that the answer can still be written.
        return selectors.reader_seconds(state, council, context_of(runtime))

    began = time.monotonic()
    try:
        texts = [without_middle(proposal.text, LONGEST_QUOTE) for proposal in proposals]
        packed = await pack_prompt(model, texts, compose, seconds=half_of_the_time())
        async with asyncio.timeout(half_of_the_time()):
            reply, segment = await ask_model(
                runtime, speaker, model, packed.messages, notes=packed.notes
            )
    except GraphBubbleUp:
        raise  # a question that waits for a person
    except Exception as error:  # any fault: the answer is not worth less for want of a comparison
        spent = (
            failed_segment(speaker, key, error)
            if isinstance(error, ModelError)
            else cancelled_segment(speaker, key, began)
        )
        return _by_words(str(error) or "it took too long", spent, runtime)
    if why := _unusable(reply):
        return _by_words(why, segment, runtime)
    return {"comparison": reply.text.strip(), "segments": [segment]}


def _unusable(reply: Reply) -> str:
    """Why a comparison would mislead whoever reads it; empty where it would not."""
    if reply.finish in ("refused", "filtered"):
        return f"the model declined: {reply.detail or 'its provider withheld the answer'}"
    if not reply.text.strip():
        return "the model said nothing"
    return "its reply broke off" if reply.finish in ("broken", "length") else ""


def _by_words(why: str, spent: Segment, runtime: Runtime[CouncilContext]) -> CouncilUpdate:
    note = f"{BY_WORDS}{why}"
    emit(runtime, Noted(text=note))
    return {"comparison": "", "segments": [spent], "notes": [Note(text=note, kind="step_failed")]}
