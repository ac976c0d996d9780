"""Asking a model, as the council's nodes do: one call of `speak`, whatever happens on the way.

Here, and nowhere else, stands what is done about slow, broken and missing models: time limits,
retries, breakers, fallbacks, taking turns in a lane. An answer is always streamed, because only a
cancelled stream makes the server stop working, and stop costing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Council, Model
from mom_council.errors import MixtureError, ModelUnavailableError, UnknownNameError
from mom_council.models import cache, capabilities
from mom_council.models.addresses import address_of
from mom_council.models.calls import ToolCall
from mom_council.models.capabilities import messages_for
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.lanes import Lane, lane_of
from mom_council.models.offering import ToolDefinition, ToolOffer
from mom_council.models.prices import Prices, price_of, prices_of
from mom_council.models.rates import estimate_tokens
from mom_council.models.registry import open_model
from mom_council.models.retry import Failure, breaker_of, read_failure, retry_delay
from mom_council.models.stream_parser import Finish, ListenerError, StreamParser
from mom_council.models.terms import accepts, remember_rejection
from mom_council.models.usage import Meter
from mom_council.models.voices import instance_of, settled
from mom_council.records import Attempt, Usage
from mom_council.redaction import redact
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk, BaseMessage
    from langchain_core.runnables import RunnableConfig

__all__ = ["Reply", "speak"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered, and how it came about."""

    text: str
    reasoning: str
    model: str
    """The key of the model that answered: the one that was asked, or a fallback."""
    usage: Usage
    """Of every model that was tried; the seconds leave out waiting for a lane."""
    first_token: float | None
    """Seconds from asking to the first piece of text or reasoning, failed tries included."""
    finish: Finish
    attempts: tuple[Attempt, ...]
    """Every try at every model in order; the last one is the answer's own."""
    cached: bool = False
    whole: bool = True
    """Whether the model itself said that this is all."""
    notes: tuple[str, ...] = ()
    """What a reader of the answer should know, such as that the prompt was shortened."""
    detail: str = ""
    """Why it is broken, or the words of the refusal."""
    id: str = ""
    """LangChain's own of the message whose chunks were streamed."""
    calls: tuple[ToolCall, ...] = ()
    """The tools that it asks for before it goes on."""
    message: dict[str, Any] | None = None
    """What asked for them, as its provider wants it sent back; see `offering.recalled`."""


async def speak(
    council: Council,
    key: str,
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
) -> Reply:
    """Ask the model `key`, then its fallbacks in order, until one answers.

    `on_text(piece, is_reasoning)` is called as the answer comes. What it heard of a try that broke
    off before any text (thoughts alone) comes again with the next try, and a lone closing tag may
    show afterwards that what it heard as text was thought: `Reply.text` is what counts. `schema`
    is a JSON schema that the reply is held to where the model can be; the text comes back as it
    is. `params` override the council's. At a text of `stop` the reply ends. `seat` says whose
    sample of the model this is: where the council has a cache, the same request from the same seat
    is answered out of it, and without a seat neither looked up nor kept. `on_wait(lane, seconds)`
    is called before a lane's rate limit is waited for. `tools` are offered as each model can take
    them, and a reply may then ask for calls instead of being an answer (`models.tools.using` sees
    to them); no `schema` goes with them. Cancelling closes the stream at once.

    Raises:
        ModelUnavailableError: every try at every model failed.
        ProviderNotInstalledError: no model of the chain can be opened here.
        CouncilError: none can be opened as it is written (its file, its provider, its params), or
            the table of prices cannot be read.
        UnknownNameError: the council has no such model.
    """
    here = await loop_resources()
    prices = await prices_of(council)
    await capabilities.refresh()
    asking = _Asking(messages, on_text, schema, params, config, on_wait, prices, stop, tools)
    try:
        for name in chain(council, key):
            spec, lane = settled(council, name), lane_of(here.lanes, council, name)
            asking.sent = await messages_for(spec, messages)
            request = None if seat is None else asking.request(spec, seat)
            if (
                council.cache
                and request
                and (kept := await cache.find_answer(council.cache, request))
            ):
                if lane is not None and name == key:
                    lane.withdraw(instance_of(spec))
                return asking.recall(name, spec, kept)
            async with _turn(here, lane, spec, announced=name == key):
                reply = await asking.ask(here, name, spec, lane)
            if reply is not None:
                if council.cache and request and reply.finish == "stop" and reply.whole:
                    await cache.keep_answer(council.cache, request, _kept(reply))
                return reply
    except ListenerError as error:
        raise error.__cause__ or error from None
    raise asking.in_vain(key)


def _turn(
    here: LoopResources, lane: Lane | None, spec: Model, *, announced: bool
) -> AbstractAsyncContextManager[Any]:
    """What a call holds of its lane: a turn, or nothing where it will not ask."""
    if lane is None:
        return nullcontext()
    if breaker_of(here.breakers, spec).is_shut(spec, asyncio.get_running_loop().time()):
        # Nobody is taken out of memory for a model that is not asked.
        if announced:
            lane.withdraw(instance_of(spec))
        return nullcontext()
    return lane.turn(instance_of(spec), announced=announced)


def chain(council: Council, key: str) -> Iterator[str]:
    """The model and its fallbacks, theirs included, each once and in the order they are asked.

    Raises:
        UnknownNameError: a name in it stands for no model.
    """
    seen: set[str] = set()
    rest = [key]
    while rest:
        name = rest.pop(0)
        if name in seen:
            continue
        if name not in council.models:
            raise UnknownNameError(
                f"council {council.name!r} has no model {name!r}; it has {[*council.models]}"
            )
        seen.add(name)
        yield name
        rest = [*council.models[name].fallbacks, *rest]


@dataclass(slots=True)
class _Asking:
    """One question on its way through a chain of models."""

    messages: Sequence[BaseMessage]
    on_text: Callable[[str, bool], None] | None
    schema: dict[str, Any] | None
    params: Mapping[str, Any] | None
    config: RunnableConfig | None
    on_wait: Callable[[str, float], None] | None
    prices: Prices
    stop: Sequence[str] = ()
    tools: Sequence[ToolDefinition] = ()
    attempts: list[Attempt] = field(default_factory=list)
    missing: list[MixtureError] = field(default_factory=list)
    spent: Usage = field(default_factory=Usage)
    began: float = 0.0
    sent: list[BaseMessage] = field(default_factory=list)
    """The messages as the model whose turn it is can take them."""

    async def ask(
        self, here: LoopResources, name: str, spec: Model, lane: Lane | None
    ) -> Reply | None:
        """Ask one model, as often as its policy allows; None when it does not answer."""
        now = asyncio.get_running_loop().time
        deadline: float | None = None
        meter = Meter(price_of(spec, self.prices))
        offer = ToolOffer(name, spec, self.tools, self.schema)
        breaker = breaker_of(here.breakers, spec)
        if shut := breaker.refusal(spec, now()):
            self.attempts.append(Attempt(model=name, error=shut))
            return None
        tries = 0
        while True:
            try:
                chat = await open_model(here, spec, self.params)
            except MixtureError as error:
                # No package, no key, no such file: no request was sent.
                self.attempts.append(Attempt(model=name, error=redact(str(error))))
                self.missing.append(error)
                return None
            offer.meets(chat)
            ready = now()
            admitted = lane and await lane.admit(estimate_tokens(self.sent, spec), self.on_wait)
            began = now()
            if deadline is None:
                # Importing its library, or loading its weights, does not count.
                self.began, deadline = began, began + spec.timeout
            else:  # nor does waiting for a rate limit
                self.began, deadline = self.began + began - ready, deadline + began - ready
            before = meter.tokens
            heard = await self._try(chat, spec, meter, deadline, offer)
            if admitted and meter.tokens > before:
                admitted.tokens = meter.tokens - before
            failure = heard.failure
            self.attempts.append(
                Attempt(
                    model=name,
                    error=failure and failure.reason,
                    status=failure and failure.status,
                    timed_out=failure is not None and failure.late,
                    seconds=now() - began,
                )
            )
            if failure is None or (heard.ear.text and not heard.ear.calling):
                offer.answered()
                breaker.note(None, spec, now())
                self.spent += meter.usage(now() - self.began)
                return self._reply(name, heard, offer)
            if remember_rejection(spec, self._params(spec), failure) or offer.refused_by(failure):
                continue
            tries += 1
            wait = retry_delay(tries, failure) if failure.again and tries <= spec.retries else None
            if wait is None or now() + wait >= deadline:
                breaker.note(failure, spec, now())
                self.spent += meter.usage(now() - self.began)
                return None
            await asyncio.sleep(wait)

    async def _try(
        self,
        chat: BaseChatModel,
        spec: Model,
        meter: Meter,
        deadline: float,
        offer: ToolOffer,
    ) -> _Heard:
        """Send one request and listen to the end of it, or to where it breaks."""
        now = asyncio.get_running_loop().time
        heard = _Heard(StreamParser(offer.listener(self.on_text), meter))
        first_by = deadline if spec.first_token is None else min(deadline, now() + spec.first_token)
        limit = asyncio.timeout_at(first_by)
        more = offer.arguments(chat)
        if self.stop and accepts(spec, self._params(spec), "stop"):
            more["stop"] = [*self.stop]
        sent = offer.messages(self.sent)
        meter.calls += 1
        try:
            async with (
                limit,
                aclosing(chat.astream(sent, self.config, **more)) as stream,  # type: ignore[type-var]
            ):
                async for chunk in stream:
                    if self.tools:
                        heard.chunks.append(chunk)
                    if heard.ear.hear(chunk) and heard.first is None:
                        heard.first = self.spent.seconds + now() - self.began
                        limit.reschedule(deadline)
        except ListenerError:
            raise
        except Exception as error:
            if limit.expired():
                heard.failure = _late(spec, heard, out_of_time=now() >= deadline)
            else:
                heard.failure = read_failure(
                    error, model=spec.model, provider=spec.provider, where=address_of(spec)
                )
        heard.ear.close()
        if heard.failure is None and heard.ear.finish == "broken":
            heard.failure = Failure("the server broke off with an error", again=True)
        elif (
            heard.failure is None and heard.ear.finish is None and vendor_of(spec.provider).says_end
        ):
            heard.failure = Failure("the answer was cut off", again=True)
        return heard

    def _params(self, spec: Model) -> dict[str, Any]:
        """What the model is asked with, in the council's words."""
        stop = {"stop": [*self.stop]} if self.stop else {}
        return {**spec.params, **(self.params or {}), **stop}

    def request(self, spec: Model, seat: str) -> cache.CacheRequest:
        """What decides the answer of a model to this."""
        params = {**(self.params or {}), **({"stop": [*self.stop]} if self.stop else {})}
        address = address_of(spec)
        return cache.CacheRequest(spec, address, self.sent, params, self.schema, self.tools, seat)

    def recall(self, name: str, spec: Model, kept: cache.CachedAnswer) -> Reply:
        """Tell an answer that was kept as if it came; it costs nothing."""
        for piece, thought in ((kept.reasoning, True), (kept.text, False)):
            if piece and self.on_text:
                self.on_text(piece, thought)
        free = None if price_of(spec, self.prices) is None else 0.0
        nothing = Usage(input_tokens=0, output_tokens=0, usd=free)
        return Reply(
            text=kept.text,
            reasoning=kept.reasoning,
            model=name,
            usage=self.spent + nothing,
            first_token=None,
            finish="stop",
            attempts=tuple(self.attempts),
            cached=True,
            calls=tuple(ToolCall.model_validate(call) for call in kept.calls),
            message=kept.message,
        )

    def _reply(self, name: str, heard: _Heard, offer: ToolOffer) -> Reply:
        ear = heard.ear
        text, calls, message = offer.read(ear.text, heard.chunks)
        finish, detail = ear.finish or "stop", ""
        if heard.failure is not None:
            finish, detail = "broken", heard.failure.reason
        elif ear.refusal:
            finish, detail = "refused", ear.refusal
        if finish != "stop":
            calls, message = (), None  # what was cut off is not to be carried out
        return Reply(
            text=text,
            reasoning=ear.reasoning,
            model=name,
            usage=self.spent,
            first_token=heard.first,
            finish=finish,
            attempts=tuple(self.attempts),
            whole=ear.finish is not None,
            notes=tuple(ear.notes),
            detail=detail,
            id=ear.id,
            calls=calls,
            message=message,
        )

    def in_vain(self, key: str) -> MixtureError:
        """The error that says what became of every model of the chain."""
        if self.missing and len(self.missing) == len(self.attempts):
            return self.missing[0]
        tries: dict[str, list[str]] = {}
        for attempt in self.attempts:
            tries.setdefault(attempt.model, []).append(attempt.error or "")
        told = {
            name: errors[-1] + (f" (after {len(errors)} tries)" if errors[1:] else "")
            for name, errors in tries.items()
        }
        if [*told] == [key]:
            whom, why = f"model {key!r} did not answer", told[key]
        else:
            whom = f"neither model {key!r} nor a fallback answered"
            why = "; ".join(f"{name!r}: {said}" for name, said in told.items())
        return ModelUnavailableError(f"{whom}: {why}", self.attempts, self.spent)


@dataclass(slots=True)
class _Heard:
    """What came of one request."""

    ear: StreamParser
    chunks: list[AIMessageChunk] = field(default_factory=list)
    failure: Failure | None = None
    first: float | None = None


def _kept(reply: Reply) -> cache.CachedAnswer:
    return cache.CachedAnswer(
        text=reply.text,
        reasoning=reply.reasoning,
        calls=tuple(call.model_dump() for call in reply.calls),
        message=reply.message,
    )


def _late(spec: Model, heard: _Heard, *, out_of_time: bool) -> Failure:
    if not out_of_time:
        return Failure(f"no first token in {spec.first_token:g} s", late=True)
    what = "no answer" if heard.first is None else "no end of the answer"
    return Failure(f"{what} in {spec.timeout:g} s", late=True)
