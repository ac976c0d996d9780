"""Asking a model, as the council's nodes do: one call of `speak`, whatever happens on the way.

Here, and in `models.model_call`, stands what is done about slow, broken and missing models: time
limits, retries, breakers, fallbacks, taking turns in a lane. An answer is always streamed, because
only a cancelled stream makes the server stop working, and stop costing.

A question with pictures is sent to every model in the same form: its pictures, and in the message's
`additional_kwargs` what to tell a model that cannot see. Which of the two goes out is decided here,
for each model of a fallback chain by itself, so that no text is lost with a picture.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Model
from mom_council.models import cache, capabilities
from mom_council.models.capabilities import can_see, kind_of_file, reads_file, unreadable
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.images import is_picture
from mom_council.models.journal import CallRecord
from mom_council.models.lanes import Lane, open_lane
from mom_council.models.model_call import REPLY, CallLog, ModelCall, Question, Reply
from mom_council.models.prices import count_earlier, find_price
from mom_council.models.resolved import ResolvedModel, address_of
from mom_council.models.retry import breaker_of
from mom_council.models.stream_parser import ListenerError
from mom_council.models.tool_offer import ReplyRules, ToolCall, ToolDefinition
from mom_council.records import Usage

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

__all__ = ["Reply", "speak"]


async def speak(
    model: ResolvedModel,
    messages: Sequence[BaseMessage],
    *,
    on_text: Callable[[str, bool], None] | None = None,
    schema: dict[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    stop: Sequence[str] = (),
    config: RunnableConfig | None = None,
    seat: str | None = None,
    on_wait: Callable[[str, float], None] | None = None,
    tools: Sequence[ToolDefinition] = (),
    record: CallRecord | None = None,
    rules: ReplyRules | None = None,
) -> Reply:
    """Ask a model, then its fallbacks, until one answers. Cancelling closes the stream at once.

    Args:
        model: who is asked, from `resolve_model`.
        messages: what it is sent.
        on_text: is called with each piece as it comes, and whether that is reasoning. What it was
            told of a try that broke off before any text (thoughts alone) comes again with the next
            try, and a lone closing tag may show afterwards that what came as text was thought:
            `Reply.text` is what counts.
        schema: a JSON schema that the reply is held to where the model can be; the text comes back
            as it is. It does not go with `tools`.
        params: override the council's.
        stop: texts at which the reply ends.
        config: LangChain's, for the trace.
        seat: whose sample of the model this is. Where the council has a cache, the same request
            from the same seat is answered out of it; without a seat it is neither looked up nor
            kept.
        on_wait: is called with a lane's name and the seconds before its rate limit is waited for.
        tools: are offered as each model can take them; a reply may then ask for calls instead of
            being an answer (`models.tools.tool_loop` sees to them).
        rules: of the form of the reply; a vendor that has no way for one is not told of it.
        record: where the call is written down; what an earlier run wrote there is not asked again.

    Raises:
        ModelUnavailableError: every try at every model failed.
        ProviderNotInstalledError: no model of the chain can be opened here.
        CouncilError: none can be opened as it is written (its file, its provider, its params), or
            the table of prices cannot be read.
    """
    record = record or CallRecord()
    rest = (config, on_wait, tools, record, rules or ReplyRules())
    question = Question(messages, on_text, schema, params, stop, *rest)
    if record.result is not None:
        return await _replay(model, question, REPLY.validate_python(record.result))
    count_earlier(record.spent)
    log = CallLog([*record.attempts], spent=record.spent)
    await capabilities.reload_capabilities()
    try:
        for one in model.chain:
            reply = await _ask_one(one, question, log, seat=seat, is_first=one is model)
            if reply is not None:
                return reply
    except ListenerError as error:
        raise error.__cause__ or error from None
    raise log.error(model.key)


async def _ask_one(
    model: ResolvedModel, question: Question, log: CallLog, *, seat: str | None, is_first: bool
) -> Reply | None:
    """One model of the chain: its kept answer, else its turn in its lane; None: no answer."""
    here = await loop_resources()
    lane = open_lane(here.lanes, model.lane)
    price = (await find_price(model.settings, model.prices, question.params)).price
    sent = await messages_for(model.settings, question.messages)
    request = None
    if model.cache and seat is not None:
        request = _cache_request(model, question, sent, seat)
    if model.cache and request and (cached := await here.answers.find(model.cache, request)):
        if lane is not None and is_first:
            lane.withdraw(model.instance)
        return _recall(model, question, cached, log, is_free=price is not None)
    call = ModelCall(here, model, question, sent, log, lane, price)
    async with _turn(here, lane, model, announced=is_first) as turn:
        call.loads = turn is not None and turn.loads
        reply = await call.run()
    if model.cache and request and reply and reply.finish == "stop" and reply.whole:
        await here.answers.keep(model.cache, request, _to_keep(reply))
    return reply


def _turn(
    here: LoopResources, lane: Lane | None, model: ResolvedModel, *, announced: bool
) -> AbstractAsyncContextManager[Any]:
    """What a call holds of its lane: a turn, or nothing where it will not ask."""
    if lane is None:
        return nullcontext()
    breaker = breaker_of(here.breakers, model.settings)
    if breaker.is_shut(model.settings, asyncio.get_running_loop().time()):
        # Nobody is taken out of memory for a model that is not asked.
        if announced:
            lane.withdraw(model.instance)
        return nullcontext()
    return lane.turn(model.instance, announced=announced)


def _cache_request(
    model: ResolvedModel, question: Question, sent: Sequence[BaseMessage], seat: str
) -> cache.CacheRequest:
    """What decides the answer of a model to this."""
    return cache.CacheRequest(
        model.settings,
        address_of(model.settings),
        sent,
        question.own_params,
        question.schema,
        question.tools,
        seat,
        question.rules.model_dump(exclude_defaults=True),
    )


def _recall(
    model: ResolvedModel,
    question: Question,
    cached: cache.CachedAnswer,
    log: CallLog,
    *,
    is_free: bool,
) -> Reply:
    """Give an answer that was kept as if it came now; it costs nothing."""
    _tell(question, cached.reasoning, cached.text)
    nothing = Usage(input_tokens=0, output_tokens=0, usd=0.0 if is_free else None)
    return Reply(
        text=cached.text,
        reasoning=cached.reasoning,
        model=model.key,
        usage=log.spent + nothing,
        first_token=None,
        finish="stop",
        attempts=tuple(log.attempts),
        cached=True,
        calls=tuple(ToolCall.model_validate(call) for call in cached.calls),
        message=cached.message,
    )


async def _replay(model: ResolvedModel, question: Question, reply: Reply) -> Reply:
    """Give an answer that came in an earlier run, as if it came now; it is paid already."""
    count_earlier(reply.usage)
    here = await loop_resources()
    if lane := open_lane(here.lanes, model.lane):
        lane.withdraw(model.instance)
    _tell(question, reply.reasoning, reply.text)
    return reply


def _tell(question: Question, reasoning: str, text: str) -> None:
    for piece, is_reasoning in ((reasoning, True), (text, False)):
        if piece and question.on_text:
            question.on_text(piece, is_reasoning)


def _to_keep(reply: Reply) -> cache.CachedAnswer:
    return cache.CachedAnswer(
        text=reply.text,
        reasoning=reply.reasoning,
        calls=tuple(call.model_dump() for call in reply.calls),
        message=reply.message,
    )


IN_WORDS = "in_words"
"""The key of a message's `additional_kwargs` under which stands its text for who cannot see."""


async def messages_for(spec: Model, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages as this model is sent them: with pictures and files, or with words instead."""
    if not any(_has(message, is_picture) or _has(message, kind_of_file) for message in messages):
        return list(messages)
    sees = any(_has(message, is_picture) for message in messages) and await can_see(spec)
    return [_as_it_reads(message, spec, sees=sees) for message in messages]


def all_in_words(message: BaseMessage) -> str:
    """A message for who can look at none of what comes with it."""
    text = str(message.additional_kwargs.get(IN_WORDS, message.text))
    return "\n\n".join(part for part in (_of_files(message, lambda _: False), text) if part)


def _has(message: BaseMessage, kind: Callable[[Any], Any]) -> bool:
    return isinstance(message.content, list) and any(map(kind, message.content))


def _of_files(message: BaseMessage, reads: Callable[[str], bool]) -> str:
    """The words that stand for the files of a message that are not read."""
    blocks = [one for one in message.content if isinstance(one, dict)]
    kinds = [
        (kind_of_file(one), str(one.get("filename") or one.get("mime_type"))) for one in blocks
    ]
    names = [name for kind, name in kinds if kind and not reads(kind)]
    return unreadable(names) if names else ""


def _as_it_reads(message: BaseMessage, spec: Model, *, sees: bool) -> BaseMessage:
    pictures = _has(message, is_picture)
    if not pictures and not _has(message, kind_of_file):
        return message
    blind = pictures and not sees
    text = message.additional_kwargs.get(IN_WORDS, message.text) if blind else message.text
    unread = _of_files(message, lambda kind: reads_file(spec, kind))
    words = "\n\n".join(part for part in (unread, text) if part)
    blocks = [
        block
        for block in message.content
        if (sees and is_picture(block)) or reads_file(spec, kind_of_file(block) or "none")
    ]
    content: Any = (
        [*([{"type": "text", "text": words}] if words else ()), *blocks] if blocks else words
    )
    others = {key: value for key, value in message.additional_kwargs.items() if key != IN_WORDS}
    return message.model_copy(update={"content": content, "additional_kwargs": others})
