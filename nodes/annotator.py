"""The annotator: the question in clear words, and the kind of answer that it wants."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from typing import Any, get_args

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation.ask_model import (
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
)
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.conversation import (
    caller_instructions,
    earlier_messages,
    question_pictures,
    question_with_results,
)
from mom_council.deliberation.events import Noted, Read, Speaker, emit
from mom_council.deliberation.selectors import reader_seconds
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import ModelError, StorageError
from mom_council.models.ledger import Ledger
from mom_council.models.resolved import resolve_model
from mom_council.prompts import render
from mom_council.records import Annotation, Depth, Note, Segment

_FIELDS = {
    "restated": {"type": "string"},
    "kind": {"type": "string", "enum": ["closed", "open"]},
}
_DEPTH = {"depth": {"type": "string", "enum": [*get_args(Depth)]}}


_KINDS = 24
"""Kinds of question that are offered at the most."""


def annotation_schema(*, depth: bool, kinds: Sequence[str] = ()) -> dict[str, Any]:
    """The schema of what the annotator says; how deep to go, and of what kind, only if asked."""
    fields: dict[str, Any] = {**_FIELDS, **(_DEPTH if depth else {})}
    if kinds:
        fields["topic"] = {"type": "string", "enum": [*kinds, "other"]}
    return {
        "title": "Annotation",
        "type": "object",
        "properties": fields,
        "required": [*fields],
        "additionalProperties": False,
    }


async def annotator(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Restate the question in the light of the conversation, and say whether its answer is closed.

    Where the council asks for it, also how much of the council the question takes; and where it
    learns its weights or its stop, which of the kinds that the ledger knows the question is of.
    Without an annotator, or when it fails, the question stands as it was asked; it stays in every
    prompt either way.
    """
    if council.annotator is None:
        return {"step": "the question stands as it was asked"}
    speaker = Speaker(node="annotator", name="annotator")
    key = council.annotator.model
    model = resolve_model(council, key)
    deep = council.deliberation.depth == "annotator"
    kinds = await _kinds(council)
    prompt = render(
        "annotator",
        style=council.prompts,
        personality=council.annotator.personality,
        question=question_with_results(state, files_apart=True),
        depth=deep,
        kinds=kinds,
    )
    messages = compose_messages(
        prompt,
        instructions=caller_instructions(state),
        conversation=earlier_messages(state, council),
        pictures=question_pictures(state),
    )
    schema = annotation_schema(depth=deep, kinds=kinds)
    began = time.monotonic()
    try:
        async with asyncio.timeout(reader_seconds(state, council, context_of(runtime))):
            reply, segment = await ask_model(runtime, speaker, model, messages, schema=schema)
    except TimeoutError:
        return _unread(
            runtime, "half of the question's time was over", cancelled_segment(speaker, key, began)
        )
    except ModelError as error:
        return _unread(runtime, str(error), failed_segment(speaker, key, error))
    annotation = read_annotation(reply.text, kinds)
    emit(runtime, Read(annotation=annotation))
    if annotation == Annotation():
        note = "The annotator's reply could not be read; the question stands as it was asked."
        emit(runtime, Noted(text=note))
        return {
            "annotation": annotation,
            "segments": [segment],
            "notes": [Note(text=note, kind="step_failed")],
        }
    return {"annotation": annotation, "segments": [segment]}


def _unread(runtime: Runtime[CouncilContext], why: str, segment: Segment) -> CouncilUpdate:
    note = f"The annotator did not answer ({why}); the question stands as it was asked."
    emit(runtime, Noted(text=note))
    return {"segments": [segment], "notes": [Note(text=note, kind="step_failed")]}


async def _kinds(council: Council) -> tuple[str, ...]:
    """The kinds of question to choose from: none where the council has no use for one."""
    rules = council.deliberation
    if rules.topic or (rules.weights == "written" and not rules.leaves_open("weights")):
        return ()
    try:
        return (await asyncio.to_thread(lambda: Ledger().kinds()))[:_KINDS]
    except StorageError:  # seating says it
        return ()


def read_annotation(reply: str, kinds: Sequence[str] = ()) -> Annotation:
    """The annotation in a reply; what cannot be read is left open rather than guessed."""
    match = re.search(r"\{.*\}", reply, re.DOTALL)
    try:
        read = json.loads(match[0]) if match else {}
    except (ValueError, RecursionError):
        read = {}
    restated, kind, depth, topic = map(read.get, ("restated", "kind", "depth", "topic"))
    return Annotation(
        restated=restated.strip() if isinstance(restated, str) else "",
        kind=kind if kind in ("closed", "open") else "unknown",
        depth=depth if depth in get_args(Depth) else "full",
        topic=str(topic) if topic in kinds else "",
    )
