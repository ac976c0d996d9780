"""The image reader: describes a question's pictures for models that cannot see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation.ask_model import (
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
    proposal_fault,
)
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.conversation import (
    COMMAND,
    Pictures,
    picture_blocks,
    pictures_to_read,
    question_message,
    question_text,
)
from mom_council.deliberation.events import Noted, Speaker, emit
from mom_council.deliberation.selectors import exceeded_budget, reader_seconds, remaining_seconds
from mom_council.deliberation.state import CouncilState, CouncilUpdate, Sight
from mom_council.errors import ModelError
from mom_council.models.capabilities import can_see
from mom_council.models.images import (
    MOST,
    PictureError,
    fetch_picture,
    is_picture,
    picture_block,
    read_picture_block,
)
from mom_council.models.resolved import resolve_model
from mom_council.prompts import render
from mom_council.records import Note, Segment

BLIND = (
    "Nobody in this council can see pictures, so the answer rests on the text alone; give a model "
    "that can `vision: true`."
)


async def image_reader(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Draw the pictures anew, find out who sees, and have them described for who does not.

    They are described once, before anybody speaks: proposals of those who see would come too late
    for the others of the same round, and would be answers where a description is wanted.
    """
    question = question_message(state)
    message = pictures_to_read(state, council) or question
    blocks, notes = await _take(picture_blocks(message), council)
    if not blocks and not COMMAND.sub("", question.text).strip():
        raise PictureError(f"there is nothing to answer. {' '.join(notes)}")
    changed = blocks != picture_blocks(message)
    seconds = reader_seconds(state, council, context_of(runtime))
    seers, blind = await _who_sees(council, seconds)
    sight = Sight(of=str(message.id), pictures=len(blocks), seers=tuple(seers))
    segments: list[Segment] = []
    failed: list[str] = []
    if blocks and not seers:
        notes.append(BLIND)
    elif blocks and blind:
        sight, segments, failed = await _describe_pictures(sight, blocks, state, runtime, council)
    for note in (*notes, *failed):
        emit(runtime, Noted(text=note))
    update: CouncilUpdate = {"sight": sight, "segments": segments}
    update["notes"] = [Note(text=note) for note in notes]
    update["notes"] += [Note(text=note, kind="step_failed") for note in failed]
    if changed:
        update["messages"] = [_replace_pictures(message, blocks)]
    return update


async def _take(
    blocks: list[dict[str, Any]], council: Council
) -> tuple[list[dict[str, Any]], list[str]]:
    """The pictures drawn anew, and what there is to say about those that cannot be taken."""
    taken, notes = [], []
    if len(blocks) > MOST:
        notes.append(f"{len(blocks)} pictures came, and the first {MOST} are looked at.")
    for number, block in enumerate(blocks[:MOST], 1):
        try:
            taken.append(await _picture(block, f"picture {number}", council))
        except PictureError as error:
            notes.append(f"A picture was left out: {error}.")
    return taken, notes


async def _picture(block: dict[str, Any], name: str, council: Council) -> dict[str, Any]:
    content, url = read_picture_block(block)
    if url:
        if not council.pictures.fetch:
            raise PictureError(
                "it was given by its address, and this council fetches none",
                cure="attach the picture, or write `pictures: {fetch: true}`",
            )
        content = await fetch_picture(url)
    return await asyncio.to_thread(picture_block, content, name, side=council.pictures.side)


def _replace_pictures(message: HumanMessage, blocks: list[dict[str, Any]]) -> AnyMessage:
    """The question with its pictures as they are now, everything else as it was."""
    parts = message.content if isinstance(message.content, list) else []
    rest = [part for part in parts if not is_picture(part)]
    return message.model_copy(update={"content": [*rest, *blocks]})


async def _who_sees(council: Council, seconds: float | None) -> tuple[list[str], bool]:
    """The models that see, in the order they are asked to describe; whether anyone does not.

    One that has not said so after as many seconds does not see.
    """
    # Asked all at once: a server that does not answer is waited for only once.
    tasks = {key: asyncio.ensure_future(can_see(one)) for key, one in council.models.items()}
    try:
        await asyncio.wait(tasks.values(), timeout=seconds)
        able = {key: task.done() and task.result() for key, task in tasks.items()}
    finally:
        for task in tasks.values():
            task.cancel()
    listening = [
        (who.model, able[who.model] if who.vision is None else who.vision)
        for who in council.characters
    ]
    listening += [(key, able[key]) for key in _listeners(council)]
    # A model that sits nowhere may be there for its eyes alone.
    seers = [key for key, seeing in (*listening, *able.items()) if seeing]
    return [*dict.fromkeys(seers)], not all(seeing for _, seeing in listening)


def _listeners(council: Council) -> Iterator[str]:
    yield council.synthesizer.model
    if council.annotator is not None:
        yield council.annotator.model


async def _describe_pictures(
    sight: Sight,
    blocks: list[dict[str, Any]],
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> tuple[Sight, list[Segment], list[str]]:
    """What the first of those who see says of the pictures; the next is asked where one fails.

    The last value is what went wrong, for a reader of the answer.
    """
    prompt = render(
        "image_reader", style=council.prompts, question=question_text(state), number=len(blocks)
    )
    messages = compose_messages(prompt, pictures=Pictures(blocks))
    speaker = Speaker(node="image_reader", name="image_reader")
    segments: list[Segment] = []
    # One call is left for a proposal, and one for the answer.
    if spent := exceeded_budget(state, council, more_calls=2):
        return sight, segments, [f"The budget is spent ({spent}): nobody described the pictures."]
    left = remaining_seconds(state, council, context_of(runtime))
    key, began, faults = sight.seers[0], time.monotonic(), []
    try:
        async with asyncio.timeout(left):
            for key in sight.seers:
                text, fault, segment = await _ask(key, messages, speaker, runtime, council)
                segments.append(segment)
                if text:
                    cut = [f"The description of the pictures broke off ({fault})."] if fault else []
                    described = sight.model_copy(update={"description": text, "by": key})
                    return described, segments, cut
                faults.append(fault)
    except TimeoutError:
        segments.append(cancelled_segment(speaker, key, began))
        faults.append("the question's time was over")
    why = "; ".join(faults)
    note = f"The pictures could not be described ({why}): who cannot see them answered without."
    return sight, segments, [note]


async def _ask(
    key: str,
    messages: Sequence[AnyMessage],
    speaker: Speaker,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> tuple[str, str, Segment]:
    """What one model says of the pictures, nothing where it fails; and what went wrong."""
    model = resolve_model(council, key).alone().with_vision(True)
    try:
        reply, segment = await ask_model(runtime, speaker, model, messages)
    except ModelError as error:
        return "", str(error), failed_segment(speaker, key, error)
    if reply.finish in ("broken", "length") and reply.text.strip():
        why = reply.detail or "it met its length limit"
        return reply.text.strip(), f"model {key!r}: {why}", segment
    if fault := proposal_fault(reply):
        return "", f"model {key!r}: {fault[1]}", segment
    return reply.text.strip(), "", segment
