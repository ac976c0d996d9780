"""One call of a model, as often as its policy allows: open, wait, send, read, judge, try again.

A `CallLog` keeps every attempt at a model and its fallbacks: for the answer, and for the error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from mom_council.councils.schema import Price
from mom_council.errors import MixtureError, ModelUnavailableError, OverBudgetError
from mom_council.models.capabilities import accepts, remember_rejection, with_met_wishes
from mom_council.models.clients import LoopResources
from mom_council.models.context_window import prompt_cut_note, with_window_for
from mom_council.models.journal import CallRecord
from mom_council.models.lanes import Lane, SentRequest, estimate_tokens
from mom_council.models.prices import Meter, charged_account, count_request
from mom_council.models.providers import open_model
from mom_council.models.resolved import ResolvedModel, address_of
from mom_council.models.retry import (
    Failure,
    Wait,
    breaker_of,
    read_failure,
    retry_delay,
    wait_teller,
)
from mom_council.models.stream_parser import (
    Finish,
    ListenerError,
    StreamParser,
    message_as_chunk,
)
from mom_council.models.tool_offer import ReplyRules, ToolCall, ToolDefinition, ToolOffer
from mom_council.models.wire import FRAME, QUIET_FRAME
from mom_council.records import NO_USAGE, Attempt, Note, Usage
from mom_council.redaction import redact
from mom_council.seams.clients import bound_unfinished_arguments
from mom_council.seams.langgraph import is_quiet
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk, BaseMessage
    from langchain_core.runnables import RunnableConfig

    from mom_council.models.request_budget import RequestBudget

_TOO_MANY = 429
"""The HTTP status of a rate limit."""


@dataclass(slots=True)
class CallLog:
    """The tries of one question, over a whole chain of models."""

    attempts: list[Attempt] = field(default_factory=list)
    unopened: list[MixtureError] = field(default_factory=list)
    """Why models could not be asked at all: no package, no key, no such file."""
    spent: Usage = NO_USAGE
    refused: OverBudgetError | None = None
    """Why the last request was not sent, where a budget had no room for it."""

    def not_asked(self, key: str, reason: str) -> None:
        """A model was passed over."""
        self.attempts.append(Attempt(model=key, error=reason))

    def not_opened(self, key: str, error: MixtureError) -> None:
        """A model could not be opened, so no request was sent."""
        self.not_asked(key, redact(str(error)))
        self.unopened.append(error)

    def over_budget(self, key: str, error: OverBudgetError) -> None:
        """A budget had no room for a request."""
        self.not_asked(key, error.what)
        self.refused = error

    def tried(self, key: str, failure: Failure | None, seconds: float) -> None:
        """A request was sent, and came to this."""
        self.attempts.append(
            Attempt(
                model=key,
                error=failure and failure.reason,
                status=failure and failure.status,
                timed_out=failure is not None and failure.late,
                seconds=seconds,
            )
        )

    def charge(self, meter: Meter, seconds: float) -> None:
        """Add what a model has used, over so many seconds."""
        self.spent += meter.usage(seconds)

    def error(self, key: str) -> MixtureError:
        """The error that says what became of every model of the chain of `key`."""
        if self.unopened and len(self.unopened) == len(self.attempts):
            return self.unopened[0]
        if self.refused is not None and not self.spent.calls:
            what = f"model {key!r} was not asked: {self.refused.what}"
            return OverBudgetError(what, self.attempts, self.spent, cure=self.refused.cure)
        tries: dict[str, list[str]] = {}
        for attempt in self.attempts:
            tries.setdefault(attempt.model, []).append(attempt.error or "")
        reasons = {
            name: errors[-1] + (f" (after {len(errors)} tries)" if errors[1:] else "")
            for name, errors in tries.items()
        }
        if [*reasons] == [key]:
            message = f"model {key!r} did not answer: {reasons[key]}"
        else:
            each = "; ".join(f"{name!r}: {reason}" for name, reason in reasons.items())
            message = f"neither model {key!r} nor a fallback answered: {each}"
        return ModelUnavailableError(message, self.attempts, self.spent)


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
    notes: tuple[Note, ...] = ()
    """What a reader of the answer should know, such as that the prompt was shortened."""
    detail: str = ""
    """Why it is broken, or the words of the refusal."""
    id: str = ""
    """LangChain's own of the message whose chunks were streamed."""
    calls: tuple[ToolCall, ...] = ()
    """The tools that it asks for before it goes on."""
    message: dict[str, Any] | None = None
    """What asked for them, as its provider wants it sent back; see `offering.call_message`."""
    pieces: int = 0
    """In how many pieces the text and the thoughts came."""


REPLY = TypeAdapter(Reply)
"""Writes a reply as plain values, and reads it again."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every model of a chain; see `speaking.speak` for its parts."""

    messages: Sequence[BaseMessage]
    on_text: Callable[[str, bool], None] | None = None
    schema: dict[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    stop: Sequence[str] = ()
    config: RunnableConfig | None = None
    on_wait: Callable[[str, float], None] | None = None
    tools: Sequence[ToolDefinition] = ()
    record: CallRecord = field(default_factory=CallRecord)
    rules: ReplyRules = field(default_factory=ReplyRules)

    @property
    def own_params(self) -> dict[str, Any]:
        """The parameters of this question alone."""
        stop = {"stop": [*self.stop]} if self.stop else {}
        return {**(self.params or {}), **stop}

    def params_for(self, model: ResolvedModel) -> dict[str, Any]:
        """What a model is asked with, in the council's words."""
        return {**model.settings.params, **with_met_wishes(model.settings, self.own_params)}


@dataclass(slots=True)
class _Response:
    """What came of one request."""

    parser: StreamParser
    deadline: float
    """When it must have ended."""
    chunks: list[AIMessageChunk] = field(default_factory=list)
    failure: Failure | None = None
    first_token: float | None = None
    """Seconds from asking the first model to the first piece."""

    @property
    def has_answer(self) -> bool:
        """Whether there is something to give: whole, or the part that came."""
        return self.failure is None or bool(self.parser.text and not self.parser.calling)


class ModelCall:
    """One model's tries at one question."""

    def __init__(
        self,
        here: LoopResources,
        model: ResolvedModel,
        question: Question,
        messages: Sequence[BaseMessage],
        log: CallLog,
        lane: Lane | None,
        price: Price | None,
    ) -> None:
        """Prepare the tries.

        Args:
            here: the loop's clients and breakers.
            model: who is asked.
            question: what is asked of the whole chain.
            messages: the question's messages, as this model can take them.
            log: of the whole chain.
            lane: whose rate limits hold.
            price: of the model, where it is known.
        """
        self._here = here
        self._model = model
        self._settings = model.settings
        self._question = question
        self._messages = messages
        self._log = log
        self._lane = lane
        account = charged_account()
        is_recording = vendor_of(model.settings.provider).is_recording
        if is_recording and account is not None and not account.limits.are_set:
            account = None  # nothing is sent: it counts for a question's own budget alone
        if account is not None:
            price = account.price_of(model.settings, price)
        self._meter = Meter(price)
        self._budget: RequestBudget | None = None
        if account is not None:
            from mom_council.models.request_budget import RequestBudget

            self._budget = RequestBudget(account, model.settings, self._meter, price, here)
        self._offer = ToolOffer(
            model.key,
            model.settings,
            question.tools,
            question.schema,
            here.limits,
            rules=question.rules,
        )
        self._breaker = breaker_of(here.breakers, model.settings)
        self._now = asyncio.get_running_loop().time
        self.loads = False
        """Whether the model has to be loaded first; then its own time begins with its words."""
        self._began = 0.0
        self._deadline: float | None = None
        """None until the first request is about to be sent."""

    async def run(self) -> Reply | None:
        """Ask until there is an answer or no further try; None when there is no answer."""
        if refusal := self._breaker.refusal(self._settings, self._now()):
            self._log.not_asked(self._model.key, refusal)
            return None
        failed_tries = 0
        failure: Failure | None = None
        while True:
            try:
                response = await self._ask_within_budget()
            except OverBudgetError as error:
                self._log.over_budget(self._model.key, error)
                self._give_up(failure)
                return None
            except MixtureError as error:
                self._log.not_opened(self._model.key, error)
                self._give_up(None)
                return None
            if response.has_answer:
                self._settle(None)
                self._offer.answered()
                reply = self._reply(response)
                # Before anything else is waited for: from here on it is paid once and for all.
                await self._question.record.finish(REPLY.dump_python(reply, mode="json"))
                return reply
            failure = response.failure
            if failure is None or self._adapt(failure):
                continue
            failed_tries += 1
            delay = self._delay(failure, failed_tries)
            if delay is None:
                self._settle(failure)
                return None
            tell = wait_teller()
            if failure.status == _TOO_MANY:
                tell(Wait("rate limit", self._model.key, seconds=delay))
            await asyncio.sleep(delay)
            tell(None)

    async def _ask_within_budget(self) -> _Response:
        """One request: reserved before it leaves and settled after, however it ends.

        Raises:
            OverBudgetError: a budget has no room for it.
            MixtureError: the model cannot be opened.
        """
        question, meter, reservation = self._question, self._meter, None
        params = question.params_for(self._model)
        own = with_met_wishes(self._settings, question.params or {})
        if self._budget is not None:
            tools = [*question.tools]  # in words they stand in the form of the reply as well
            reservation = await self._budget.reserve(
                self._messages, params, tools, tools, question.schema
            )
        calls, response = meter.calls, None
        try:
            if self._budget is not None and reservation is not None:
                limit = self._budget.length_limit(reservation, params)
                params, own = {**params, **limit}, {**own, **limit}
            settings = await with_window_for(self._settings, self._messages, params, self._here)
            chat = await open_model(self._here, settings, own)
            if self._question.tools and (prepare := getattr(chat, "open_langchain", None)):
                await prepare()  # its library is imported in a thread
            self._offer.meets(chat)
            messages, arguments = (
                self._offer.messages(self._messages),
                self._arguments(chat, params),
            )
            if prepare := getattr(chat, "open_for_request", None):
                await prepare(messages, arguments)
            response = await self._try(chat, messages, arguments)
            return response
        finally:
            if meter.calls > calls:
                meter.take_back_unsent()
            sent = meter.calls > calls
            if self._budget is not None and reservation is not None:
                failure, ended = (response.failure, True) if response else (None, False)
                self._budget.settle(reservation, failure, sent=sent, ended=ended)
            if sent:
                count_request(meter.request_usage)

    def _give_up(self, failure: Failure | None) -> None:
        """No further request is sent, though the model's policy would allow one."""
        if failure is not None:
            self._settle(failure)
        elif self._meter.calls:
            self._log.charge(self._meter, self._now() - self._began)

    async def _try(
        self, chat: BaseChatModel, messages: Sequence[BaseMessage], arguments: dict[str, Any]
    ) -> _Response:
        """Wait for the rate limit, send one request, and take down what came of it."""
        sent, began = await self._admit()
        before = self._meter.tokens
        log, spent = self._log, self._log.spent
        if self._meter.calls:
            spent += self._meter.usage(0.0)
        most = None if self._budget is None else self._budget.reserved
        await self._question.record.begin(
            self._model.key, self._messages, log.attempts, spent, most
        )
        response = await self._request(chat, messages, arguments, self._deadline or began)
        if sent is not None and self._meter.tokens > before:
            sent.tokens = self._meter.tokens - before
        self._log.tried(self._model.key, response.failure, self._now() - began)
        return response

    async def _admit(self) -> tuple[SentRequest | None, float]:
        """Wait until the lane's rate limits allow a request; when it was, on the loop's clock.

        The time limit begins with the first request: importing the model's library, or loading its
        weights, does not count, nor does waiting for a rate limit later.
        """
        ready = self._now()
        sent = None
        if self._lane is not None:
            tokens = estimate_tokens(self._messages, self._settings)
            sent = await self._lane.admit(tokens, self._question.on_wait)
        began = self._now()
        if self._deadline is None:
            account = charged_account()
            left = self._settings.timeout if account is None else account.seconds_left
            self._began = began
            self._deadline = began + min(self._settings.timeout, max(0.0, left))
        else:
            self._began += began - ready
            self._deadline += began - ready
        return sent, began

    async def _request(
        self,
        chat: BaseChatModel,
        messages: Sequence[BaseMessage],
        arguments: dict[str, Any],
        deadline: float,
    ) -> _Response:
        """Send one request and read the stream to its end, or to where it breaks."""
        parser = StreamParser(self._offer.listener(self._question.on_text), self._meter)
        response = _Response(parser, deadline)
        limit = asyncio.timeout_at(self._first_token_by(deadline))
        self._meter.begin_request()
        try:
            async with limit:
                await self._read(chat, messages, arguments, response, limit)
        except ListenerError:
            raise
        except Exception as error:
            if limit.expired():
                response.failure = self._too_late(
                    response, is_over=self._now() >= response.deadline
                )
            else:
                response.failure = read_failure(
                    error,
                    model=self._settings.model,
                    provider=self._settings.provider,
                    where=address_of(self._settings),
                )
        response.parser.close()
        response.failure = response.failure or self._fault_of_ending(response.parser.finish)
        return response

    async def _read(
        self,
        chat: BaseChatModel,
        messages: Sequence[BaseMessage],
        arguments: dict[str, Any],
        response: _Response,
        limit: asyncio.Timeout,
    ) -> None:
        """Read the reply piece by piece.

        Chunks of LangChain's are made where somebody follows them, or where tools are called.
        """
        config, parser = self._question.config, response.parser
        handfuls = None
        if not self._question.tools and not _is_followed(chat, config):
            frame = QUIET_FRAME if self._question.on_text is None else FRAME
            handfuls = getattr(chat, "deltas", _no_deltas)(messages, frame=frame, **arguments)
        if handfuls is not None:
            async with aclosing(handfuls):
                async for deltas in handfuls:
                    for delta in deltas:
                        parser.feed_delta(delta)
                    if parser.has_begun:
                        self._begin(response, limit)
                    if parser.overflows:
                        break
            return
        from mom_council.models.providers.langchain import with_redacted_replies

        chunks = with_redacted_replies(chat).astream(messages, config, **arguments)
        await self._read_chunks(chunks, response, limit)

    async def _read_chunks(
        self, stream: AsyncIterator[BaseMessage], response: _Response, limit: asyncio.Timeout
    ) -> None:
        """The same from LangChain's chunks."""
        parser = response.parser
        with bound_unfinished_arguments():
            async with aclosing(stream):  # type: ignore[type-var]
                async for message in stream:
                    chunk = message_as_chunk(message)
                    if self._question.tools:
                        response.chunks.append(chunk)
                    if parser.feed(chunk):
                        self._begin(response, limit)
                    if parser.overflows:
                        break

    def _begin(self, response: _Response, limit: asyncio.Timeout) -> None:
        """The answer has begun; the time that a load took is not the model's own."""
        if response.first_token is not None:
            return
        response.first_token = self._log.spent.seconds + self._now() - self._began
        if self.loads:
            self.loads = False
            wait_teller()(None)
            self._deadline = response.deadline = self._now() + self._settings.timeout
        limit.reschedule(response.deadline)

    def _first_token_by(self, deadline: float) -> float:
        if self.loads:
            return deadline + self._settings.timeout
        first = self._settings.first_token
        return deadline if first is None else min(deadline, self._now() + first)

    def _arguments(self, chat: BaseChatModel, params: Mapping[str, Any]) -> dict[str, Any]:
        """What `astream` is given besides the messages."""
        arguments = self._offer.arguments(chat)
        question = self._question
        if question.stop and accepts(self._settings, params, "stop", self._here.limits):
            arguments["stop"] = [*question.stop]
        return arguments

    def _too_late(self, response: _Response, *, is_over: bool) -> Failure:
        if not is_over:
            return Failure(f"no first token in {self._settings.first_token:g} s", late=True)
        what = "no answer" if response.first_token is None else "no end of the answer"
        return Failure(f"{what} in {self._settings.timeout:g} s", late=True)

    def _fault_of_ending(self, finish: Finish | None) -> Failure | None:
        """What is wrong with a stream that ended without an error."""
        if finish == "broken":
            return Failure("the server broke off with an error", again=True)
        if finish is None and vendor_of(self._settings.provider).says_end:
            return Failure("the answer was cut off", again=True)
        return None

    def _adapt(self, failure: Failure) -> bool:
        """Whether the next request leaves out what this one was refused for."""
        params = self._question.params_for(self._model)
        if remember_rejection(self._settings, params, failure, self._here.limits):
            return True
        if self._budget is not None and self._budget.shortens(failure):
            return True
        return self._offer.refused_by(failure)

    def _delay(self, failure: Failure, failed_tries: int) -> float | None:
        """Seconds until the next try; None where there is none."""
        if not failure.again or failed_tries > self._settings.retries:
            return None
        delay = retry_delay(failed_tries, failure)
        if delay is None or self._deadline is None or self._now() + delay >= self._deadline:
            return None
        return delay

    def _settle(self, failure: Failure | None) -> None:
        """The model's part is over: tell its breaker, and charge what it used."""
        self._breaker.note(failure, self._settings, self._now())
        self._log.charge(self._meter, self._now() - self._began)

    def _notes(self, parser: StreamParser) -> tuple[Note, ...]:
        """What a reader should know of the answer: that its prompt was not read whole."""
        notes = [Note(text=text, kind="prompt_cut", about=self._model.key) for text in parser.notes]
        cut = prompt_cut_note(self._model.key, self._messages, self._meter.request_input_tokens)
        return (*notes, cut) if cut and not notes else tuple(notes)

    def _reply(self, response: _Response) -> Reply:
        parser, failure = response.parser, response.failure
        text, calls, message = self._offer.read(parser.text, response.chunks)
        finish, detail = parser.finish or "stop", ""
        if failure is not None:
            finish, detail = "broken", failure.reason
        elif parser.refusal:
            finish, detail = "refused", parser.refusal
        if finish != "stop":
            calls, message = (), None  # what was cut off is not to be carried out
        return Reply(
            text=text,
            reasoning=parser.reasoning,
            model=self._model.key,
            usage=self._log.spent,
            first_token=response.first_token,
            finish=finish,
            attempts=tuple(self._log.attempts),
            whole=parser.finish is not None,
            notes=self._notes(parser),
            detail=detail,
            id=parser.id,
            calls=calls,
            message=message,
            pieces=parser.pieces,
        )


def _no_deltas(*_messages: Any, **_arguments: Any) -> None:
    """A model that has no wire of ours."""


def _is_followed(chat: BaseChatModel, config: RunnableConfig | None) -> bool:
    """Whether any of LangChain's callbacks hear of this model's calls: a trace, a stream."""
    if is_quiet() and not (chat.callbacks or chat.verbose or (config or {}).get("callbacks")):
        return False
    from langchain_core.callbacks import AsyncCallbackManager
    from langchain_core.runnables import ensure_config

    manager = AsyncCallbackManager.configure(
        ensure_config(config).get("callbacks"), chat.callbacks, chat.verbose
    )
    return bool(manager.handlers)
