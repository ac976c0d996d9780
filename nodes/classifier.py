"""The classifier: is text or a picture wanted?"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Overwrite

from mom_council.councils.schema import Council
from mom_council.deliberation.ask_model import (
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
)
from mom_council.deliberation.context import CouncilContext, context_of, steady_time
from mom_council.deliberation.conversation import (
    explicit_route,
    question_text,
    refuse_begun_answer,
)
from mom_council.deliberation.events import Noted, Routed, Speaker, emit
from mom_council.deliberation.selectors import reader_seconds
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import ModelError
from mom_council.models.resolved import resolve_model
from mom_council.prompts import render
from mom_council.records import Annotation, Note, Segment

DRAWING = re.compile(
    r"^\W*(please\s+|can you\s+|could you\s+)*"
    r"(draw|paint|sketch|illustrate|"
    r"(make|create|generate|show|give)\b[^.?!]{0,30}\b(picture|image|drawing|photo|illustration))",
    re.IGNORECASE,
)
Route = Literal["image", "text"]
LABEL = {
    "title": "Route",
    "type": "object",
    "properties": {"route": {"type": "string", "enum": ["image", "text"]}},
    "required": ["route"],
    "additionalProperties": False,
}


_CLEARED: tuple[Literal["proposals", "ballots", "absences", "verdicts", "judgements"], ...] = (
    *("proposals", "ballots", "absences", "verdicts", "judgements"),
)


async def classifier(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Clear the table for a new question and choose its route.

    An explicit command decides; then the model, whose label is checked again here; then keywords;
    then text. A council without a painter only listens for the command.
    """
    refuse_begun_answer(state)
    text = question_text(state)
    state = {**state, "asked_at": steady_time()}
    cleared: CouncilUpdate = {
        "asked_at": state["asked_at"],
        "annotation": Annotation(),
        "seating": None,
        "settings": None,
        "trust": None,
        "comparison": "",
        "status": None,
    }
    for key in _CLEARED:
        if state.get(key):  # what is empty needs no row in the store
            cleared[key] = Overwrite([])
    segments: list[Segment] = []
    notes: list[str] = []
    if explicit := explicit_route(state):
        routed = Routed(route="image" if explicit == "image" else "text", how="command")
    elif council.painter is None:
        routed = Routed(route="text", how="default")
    else:
        label, segments, notes = await _ask(text, state, runtime, council)
        drawing: Route = "image" if DRAWING.search(text) else "text"
        routed = Routed(route=label or drawing, how="model" if label else "keywords")
    emit(runtime, routed)
    for note in notes:
        emit(runtime, Noted(text=note))
    if notes or state.get("notes"):
        cleared["notes"] = Overwrite([Note(text=note, kind="step_failed") for note in notes])
    if segments or state.get("segments"):
        cleared["segments"] = Overwrite(segments)
    return {**cleared, "route": routed.route}


async def _ask(
    text: str, state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> tuple[Route | None, list[Segment], list[str]]:
    """The model's label, what it cost, and what there is to say where it gave none."""
    key = council.classifier.model
    if key is None:
        return None, [], []
    speaker = Speaker(node="classifier", name="classifier")
    # The head of a long message says what it wants; a small model has a small window.
    prompt = render("classifier", style=council.prompts, question=text[:2000])
    began = time.monotonic()
    try:
        async with asyncio.timeout(reader_seconds(state, council, context_of(runtime))):
            reply, segment = await ask_model(
                runtime,
                speaker,
                resolve_model(council, key),
                compose_messages(prompt),
                schema=LABEL,
                params={"temperature": 0.01},
            )
    except TimeoutError:
        note = (
            "The classifier took half of the question's time; the question's words chose its route."
        )
        return None, [cancelled_segment(speaker, key, began)], [note]
    except ModelError as error:
        note = f"The classifier did not answer ({error}); the question's words chose its route."
        return None, [failed_segment(speaker, key, error)], [note]
    label = read_label(reply.text)
    unread = "The classifier's reply could not be read; the question's words chose its route."
    return label, [segment], [] if label else [unread]


def read_label(reply: str) -> Route | None:
    """The label in a reply: the JSON that was asked for, or a reply that is the label alone.

    A label in passing ("not an image", `{"image": false}`) is none.
    """
    if match := re.search(r"\{.*\}", reply, re.DOTALL):
        try:
            label = json.loads(match[0]).get("route")
        except (ValueError, RecursionError):
            return None
        return "image" if label == "image" else "text" if label == "text" else None
    alone = re.fullmatch(r"\W*(?:route\W+(?:is\W+)?)?(image|text)\W*", reply, re.IGNORECASE)
    if alone is None:
        return None
    return "image" if alone[1].lower() == "image" else "text"
