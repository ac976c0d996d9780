"""The painter: a picture, where a model of the council draws.

`paint` asks the model, as `speaking` does for words and with the same policy: a time limit, our own
retries, breakers, fallbacks, turns in a lane. When a filter declines a picture, no other model is
asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.runtime import Runtime
from pydantic import TypeAdapter

from mom_council.councils.schema import Council, Model, Painter, Price
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
from mom_council.errors import (
    CapabilityError,
    MixtureError,
    ModelError,
    ModelUnavailableError,
    OverBudgetError,
)
from mom_council.models.clients import LoopResources, loop_resources, open_in_thread
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.images import PictureError, check_png, picture_reference, save_picture
from mom_council.models.journal import CallRecord, open_record
from mom_council.models.lanes import open_lane
from mom_council.models.model_call import CallLog
from mom_council.models.prices import Meter, charged_account, count_earlier, find_price
from mom_council.models.providers import Drawing, DrawnPicture, ImageOrder, check, opening_of
from mom_council.models.request_budget import metered_request
from mom_council.models.resolved import ResolvedModel, address_of, resolve_model
from mom_council.models.retry import Failure, breaker_of, read_failure, retry_delay
from mom_council.models.spending import Need
from mom_council.prompts import render
from mom_council.records import Attempt, Segment, Status, Usage
from mom_council.vendors import VENDORS, Vendor, load_code, vendor_of

_PICTURE_TOKENS = 8_192
"""Tokens that a picture takes at the most where a vendor counts them: 6,240 for the largest."""


class DeclinedError(ModelUnavailableError):
    """A filter declined to draw the picture."""


@dataclass(frozen=True, slots=True)
class Painting:
    """A picture, and how it came about."""

    content: bytes
    """A PNG file."""
    model: str
    """The key of the model that drew it: the one that was asked, or a fallback."""
    seed: int | None
    """None where the server chose, and did not say."""
    usage: Usage
    attempts: tuple[Attempt, ...]
    declined: bool = False
    """Whether a filter withheld it."""


_PAINTING = TypeAdapter(Painting)


async def paint(
    model: ResolvedModel,
    order: ImageOrder,
    *,
    on_step: Callable[[int, int], None],
    record: CallRecord | None = None,
) -> Painting:
    """Ask a model for a picture, then its fallbacks in order.

    Args:
        model: who is asked, from `resolve_model`.
        order: what is to be drawn.
        on_step: is called with the step that is done, and of how many.
        record: where the call is written down; what an earlier run wrote there is not drawn again.

    Raises:
        DeclinedError: a filter said no.
        ModelUnavailableError: every try at every model failed.
        ProviderNotInstalledError: no model of the chain can be opened here.
        CouncilError: none can be opened as it is written.
    """
    record = record or CallRecord()
    if record.result is not None:
        return await _replay(_PAINTING.validate_python(record.result))
    count_earlier(record.spent)
    here = await loop_resources()
    log = CallLog([*record.attempts], spent=record.spent)
    for one in model.chain:
        lane = open_lane(here.lanes, one.lane)
        price = (await find_price(one.settings, model.prices)).price
        call = _PictureCall(here, one, order, on_step, log, Meter(price), price, record)
        async with lane.turn(one.instance) if lane else nullcontext():
            painting = await call.run()
        if painting is not None:
            return painting
    raise log.error(model.key)


async def _replay(painting: Painting) -> Painting:
    """A picture that came in an earlier run, as if it came now; it is paid already."""
    count_earlier(painting.usage)
    if painting.declined:
        raise _declined_error(painting)
    return replace(painting, content=await asyncio.to_thread(check_png, painting.content))


def _declined_error(painting: Painting) -> DeclinedError:
    words = f"the filter of {painting.model!r} declined to draw this"
    return DeclinedError(words, painting.attempts, painting.usage)


@dataclass(slots=True)
class _PictureCall:
    """One model's tries at one picture."""

    here: LoopResources
    model: ResolvedModel
    order: ImageOrder
    on_step: Callable[[int, int], None]
    log: CallLog
    meter: Meter
    price: Price | None
    record: CallRecord

    async def run(self) -> Painting | None:
        """Ask as often as the model's policy allows; None when it gives no picture.

        Raises:
            DeclinedError: a filter said no.
        """
        now, settings = asyncio.get_running_loop().time, self.model.settings
        breaker = breaker_of(self.here.breakers, settings)
        if refusal := breaker.refusal(settings, now()):
            self.log.not_asked(self.model.key, refusal)
            return None
        if (pictures := vendor_of(settings.provider).pictures) is not None:
            # Importing a library takes a second or more, and is no part of the picture's time.
            with contextlib.suppress(Exception):  # it is imported again below, where it is told
                await open_in_thread(load_code, pictures)
        first = now()
        deadline, tries = first + settings.timeout, 0
        while True:
            began = now()
            try:
                painting, failure = await self._try(settings, deadline)
            except OverBudgetError as error:
                self.log.over_budget(self.model.key, error)
                self.log.charge(self.meter, now() - first)
                return None
            except MixtureError as error:
                self.log.not_opened(self.model.key, error)
                self.log.charge(self.meter, now() - first)
                return None
            self.log.tried(self.model.key, failure, now() - began)
            tries += 1
            if painting is not None:
                breaker.note(None, settings, now())
                if painting.declined:
                    raise _declined_error(painting)
                return painting
            assert failure is not None  # noqa: S101 - one of the two is there
            again = failure.again and tries <= settings.retries
            delay = retry_delay(tries, failure) if again else None
            if delay is None or now() + delay >= deadline:
                breaker.note(failure, settings, now())
                self.log.charge(self.meter, now() - first)
                return None
            await asyncio.sleep(delay)

    async def _try(
        self, settings: Model, deadline: float
    ) -> tuple[Painting | None, Failure | None]:
        limit, now = asyncio.timeout_at(deadline), asyncio.get_running_loop().time
        began = now()
        try:
            async with limit:
                drawn = await self._draw_picture(settings)
                painting = self._painting(drawn, now() - began)
                # Before anybody looks at it: from here on it is paid once and for all.
                await self.record.finish(_PAINTING.dump_python(painting))
            if painting.declined:
                return painting, None
            content = await asyncio.to_thread(check_png, painting.content)
            return replace(painting, content=content), None
        except PictureError as error:
            return None, Failure(str(error))
        except MixtureError:
            raise
        except Exception as error:
            if limit.expired():
                return None, Failure(f"no picture in {settings.timeout:g} s", late=True)
            return None, read_failure(
                error,
                model=settings.model,
                provider=settings.provider,
                where=address_of(settings),
            )

    async def _draw_picture(self, spec: Model) -> DrawnPicture:
        check(spec)
        vendor = vendor_of(spec.provider)
        if vendor.pictures is None:
            able = " or ".join(repr(one.name) for one in VENDORS.values() if one.draws)
            raise CapabilityError(
                f"{spec.provider!r} makes no pictures",
                cure=f"a painter's provider is {able} ('openai': any server with "
                "/v1/images/generations)",
            )
        draw = await open_in_thread(load_code, vendor.pictures)
        drawing = Drawing(opening_of(self.here, spec), self.order, self.meter, self.on_step)
        async with metered_request(spec, self.price, self.meter, self._need(vendor)):
            spent = self.log.spent + self.meter.usage(0.0)
            await self.record.begin(self.model.key, (), self.log.attempts, spent)
            self.meter.begin_request()
            drawn: DrawnPicture = await draw(drawing)
            if self.price is not None and self.price.picture and not drawn.filtered:
                self.meter.add_flat(self.price.picture)
        return drawn

    def _need(self, vendor: Vendor) -> Need:
        """What one picture may take: a flat price, or so many tokens that drawing them takes."""
        prompt = most_prompt_tokens([HumanMessage(f"{self.order.prompt} {self.order.negative}")])
        flat = (self.price and self.price.picture) or 0.0
        tokens = 0 if vendor.free or flat else _PICTURE_TOKENS
        return Need(prompt, tokens, tokens, self.price, flat_usd=flat)

    def _painting(self, drawn: DrawnPicture, seconds: float) -> Painting:
        """The picture as it came."""
        key, log = self.model.key, self.log
        return Painting(
            drawn.content,
            key,
            drawn.seed,
            log.spent + self.meter.usage(seconds),
            (*log.attempts, Attempt(model=key, seconds=seconds)),
            drawn.filtered,
        )


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
            return await _draw_picture(rules, words, state, runtime, council)
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


async def _draw_picture(
    rules: Painter,
    words: _Words,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> CouncilUpdate:
    speaker = Speaker(node="painter", name="picture")
    if vendor_of(council.models[rules.model].provider).heats:
        # Drawing is the hardest work that a GPU at home is given.
        hot = await wait_until_cool(state, runtime, council)
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
