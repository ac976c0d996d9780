"""The painter: a picture, where the council has somebody who draws."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from mom_council.councils.schema import Council, Painter
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.ask_model import (
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
)
from mom_council.deliberation.context import CouncilContext, context_of, steady_time
from mom_council.deliberation.events import (
    Answered,
    Finished,
    ModelAsked,
    Noted,
    Painted,
    Speaker,
    emit,
)
from mom_council.deliberation.fan_out import wait_until_cool
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import MixtureError, ModelError, ModelUnavailableError
from mom_council.models.images import picture_reference, save_picture
from mom_council.models.journal import open_record
from mom_council.models.painting import DeclinedError, Painting, paint
from mom_council.models.prices import charged_account
from mom_council.models.providers import ImageOrder
from mom_council.models.resolved import resolve_model
from mom_council.prompts import render
from mom_council.records import Segment, Status
from mom_council.vendors import vendor_of

LONGEST = 1500
"""Characters of a prompt; image models read fewer."""
INSTEAD = "Begin the message with /text to have it answered in words."


class _Words(NamedTuple):
    """The prompt for the image model, or why there is none."""

    prompt: str
    notes: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    refused: str = ""


async def painter(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Have the prompt written, and the picture drawn; say honestly what came of it."""
    rules = council.painter
    if rules is None:
        text = f"The council {council.name!r} has no painter, so it cannot draw a picture."
        return _without(text, _Words(""), state, runtime, council)
    seconds = selectors.remaining_seconds(state, council, context_of(runtime))
    began, words = time.monotonic(), _Words("")
    try:
        async with asyncio.timeout(seconds):
            words = await _words(rules, state, runtime, council)
            for note in words.notes:
                emit(runtime, Noted(text=note))
            if words.refused:
                return _without(words.refused, words, state, runtime, council)
            return await _drawn(rules, words, state, runtime, council)
    except TimeoutError:
        text = f"The picture was not finished within the question's {council.budget.seconds:g} s."
        cut = cancelled_segment(Speaker(node="painter", name="picture"), rules.model, began)
        words = words._replace(segments=(*words.segments, cut))
        return _without(text, words, state, runtime, council)


async def _words(
    rules: Painter, state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> _Words:
    """What the image model is asked for; where nobody writes it, the wish as it stands."""
    wish = conversation.question_text(state)
    if spent := selectors.exceeded_budget(state, council, more_calls=1):
        return _Words(wish, (f"The budget is spent ({spent}): the wish was drawn as it stands.",))
    key = rules.writer or council.synthesizer.model
    model = resolve_model(council, key)
    speaker = Speaker(node="painter", name="painter")
    messages = compose_messages(
        render("painter", style=council.prompts, question=wish),
        instructions=conversation.caller_instructions(state),
        conversation=conversation.earlier_messages(state, council),
    )
    try:
        reply, segment = await ask_model(runtime, speaker, model, messages)
    except ModelError as error:
        note = f"Nobody wrote the prompt ({error}): the wish was drawn as it stands."
        return _Words(wish, (note,), (failed_segment(speaker, key, error),))
    if reply.finish in ("refused", "filtered") and not reply.text.strip():
        why = reply.detail or "its provider withheld the answer"
        return _Words("", (), (segment,), f"{reply.model!r} declined to describe this: {why}")
    prompt = tidy(reply.text)
    if not prompt:
        return _Words(
            wish, ("The prompt came out empty: the wish was drawn as it stands.",), (segment,)
        )
    cut = {
        "broken": f"The prompt broke off ({reply.detail}): it was drawn as far as it came.",
        "length": "The prompt met its model's length limit: it was drawn as far as it came.",
    }
    return _Words(prompt, (cut[reply.finish],) if reply.finish in cut else (), (segment,))


def tidy(reply: str) -> str:
    """The prompt in a reply, without the heading and the quotes that models put around it."""
    text = re.sub(r"^\s*\W*(image |picture )?prompt\W*:\W*\s*", "", reply, flags=re.IGNORECASE)
    return " ".join(text.split()).strip("\"'`* “”")[:LONGEST]


async def _drawn(
    rules: Painter,
    words: _Words,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> CouncilUpdate:
    speaker = Speaker(node="painter", name="picture")
    if vendor_of(council.models[rules.model].provider).heats:
        # Drawing is the hardest work that a GPU at home is given.
        hot = await wait_until_cool(runtime, council, [], first=True)
        words = words._replace(notes=(*words.notes, *([hot.text] if hot else [])))
    emit(runtime, ModelAsked(speaker=speaker, model=rules.model))
    if (account := charged_account()) is not None:
        account.release_kept()
    order = ImageOrder(
        words.prompt, rules.negative, rules.pixels, rules.steps, rules.guidance, rules.seed
    )

    def stepped(step: int, steps: int) -> None:
        emit(runtime, Painted(step=step, steps=steps))

    try:
        record = await open_record("picture")
        model = resolve_model(council, rules.model)
        painting = await paint(model, order, on_step=stepped, record=record)
        file = await asyncio.to_thread(save_picture, painting.content)
    except MixtureError as error:
        lost = error if isinstance(error, ModelError) else ModelUnavailableError(str(error))
        segments = (*words.segments, failed_segment(speaker, rules.model, lost))
        what = "was declined" if isinstance(error, DeclinedError) else "could not be drawn"
        text = f"The picture {what}: {error}"
        return _without(text, words._replace(segments=segments), state, runtime, council)
    segment = _segment(speaker, painting)
    emit(runtime, Finished(speaker=speaker, segment=segment))
    words = words._replace(segments=(*words.segments, segment))
    if painting.model != rules.model:
        note = f"The fallback {painting.model!r} drew it; {rules.model!r} did not."
        words = words._replace(notes=(*words.notes, note))
    block = picture_reference(file, prompt=words.prompt, seed=painting.seed, model=painting.model)
    text = f"Drawn from these words: {words.prompt}"
    return _answer(text, [block], words, painting.model, state, runtime, council)


def _segment(speaker: Speaker, painting: Painting) -> Segment:
    return Segment(
        **speaker.model_dump(),
        model=painting.model,
        usage=painting.usage,
        attempts=painting.attempts,
    )


def _without(
    why: str,
    words: _Words,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> CouncilUpdate:
    """The honest answer where there is no picture."""
    line = why if why.endswith(".") else f"{why}."
    words = words._replace(notes=(*words.notes, line))
    return _answer(f"{line} {INSTEAD}", [], words, "", state, runtime, council)


def _answer(
    text: str,
    pictures: list[dict[str, Any]],
    words: _Words,
    by: str,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> CouncilUpdate:
    status = Status(
        council=council.name,
        route="image",
        degraded=bool(words.notes) or selectors.a_step_failed(state),
        notes=(*(note.text for note in selectors.notes_of(state)), *words.notes),
        written_by=by,
        usage=sum((one.usage for one in words.segments), selectors.total_usage(state)),
        seconds=round(max(0.0, steady_time() - state["asked_at"]), 3),
    )
    emit(runtime, Answered(text=text, status=status, pictures=tuple(pictures)))
    content: Any = [{"type": "text", "text": text}, *pictures] if pictures else text
    label = {
        "name": council.name,
        "route": "image",
        "written_by": by,
        "rounds": 0,
        "degraded": status.degraded,
    }
    message = AIMessage(content=content, response_metadata={"council": label})
    return {"messages": [message], "segments": list(words.segments), "status": status}
