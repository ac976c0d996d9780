"""/v1/messages: a council as a model of Anthropic's protocol, over the same run."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mom_council.server.answer import (
    ServedQuestion,
    WholeAnswer,
    client_usage,
    council_report,
    run,
    whole,
)
from mom_council.server.body import read_body
from mom_council.server.chat_request import conversation, refuse_results_without_calls
from mom_council.server.errors import dumps, to_error_response
from mom_council.server.messages_request import (
    CountRequest,
    MessagesRequest,
    refuse_without_length,
)
from mom_council.server.requests import Visitor, checked, read_question, state_of, stream_failures
from mom_council.server.state import ServerState
from mom_council.server.streams import EarlyFrame, EventStream, Thought, event, unless_gone

PING = event(dumps({"type": "ping"}), "ping")
_STOP_REASONS = {"tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}


async def messages(request: Request, visitor: Visitor) -> Response:
    """Answer, in one piece or event by event."""
    server = state_of(request)
    body = await read_body(request, MessagesRequest, server)
    refuse_without_length(body, strict=server.settings.strict)
    body.refuse_what_cannot_be_done()
    if visitor.thread is None:
        refuse_results_without_calls(body.tool_steps)
    question = await read_question(
        server,
        visitor,
        body.model,
        conversation(body.chat_messages),
        form=body.form,
        request=request,
        thread=visitor.thread,
        aloud=body.thinks_aloud,
    )
    message = MessageBuilder(server, question, body, visitor)
    if not body.stream:
        return await unless_gone(request.receive, message.whole())
    more = stream_failures(server, visitor)
    more |= {"refuse": message.refused, "broken": message.broken, "beat": PING}
    return EventStream(message.events(), **more)


async def count_tokens(request: Request, visitor: Visitor) -> Response:
    """About how many tokens a conversation has; every model of a council counts its own way."""
    server = state_of(request)
    body = await read_body(request, CountRequest, server)
    await server.catalogue.find(body.model)
    return Response(dumps({"input_tokens": _tokens_of(body)}), media_type="application/json")


def _tokens_of(body: CountRequest) -> int:
    """A quarter of the characters; a picture counts as Anthropic says of an average one."""
    pictures, characters = 0, 0
    for message in body.chat_messages:
        content = message.content
        parts = [content] if isinstance(content, str) else content or ()
        texts = [part if isinstance(part, str) else getattr(part, "text", None) for part in parts]
        pictures += texts.count(None)
        characters += sum(len(text) for text in texts if text)
        for call in getattr(message, "tool_calls", None) or ():
            characters += len(call.function.name) + len(call.function.arguments)
    for tool in body.tools or ():
        characters += len(tool.model_dump_json(exclude_none=True))
    return max(1, -(-characters // 4)) + 1500 * pictures + 4 * len(body.messages)


class MessageBuilder:
    """One message in the making."""

    def __init__(
        self,
        server: ServerState,
        question: ServedQuestion,
        body: MessagesRequest,
        visitor: Visitor,
    ) -> None:
        self._server, self._question, self._body, self._visitor = server, question, body, visitor
        repeat = question.repeat
        self._id = f"msg_{repeat.id[:24] if repeat else secrets.token_hex(12)}"
        self._block = -1
        self._open = ""
        """The kind of the block that is being written."""
        self._thought = ""

    async def whole(self) -> Response:
        """The message in one piece."""
        outcome = await whole(self._server, self._question)
        text = checked(outcome, self._question.form)
        blocks = [_thinking(outcome.thoughts)] if outcome.thoughts else []
        if text or not outcome.answered.calls:
            blocks.append({"type": "text", "text": text})
        blocks += self._calls(outcome)
        message = {**self._head(blocks), **self._ending(outcome), "usage": self._usage(outcome)}
        message["council"] = self._report(outcome)
        return Response(dumps(message), media_type="application/json")

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The message as a stream of events."""
        yield EarlyFrame(self._begin())
        async with aclosing(run(self._server, self._question)) as parts:
            async for part in parts:
                if isinstance(part, Thought):
                    thinks = self._think(part.text)
                    yield EarlyFrame(thinks) if part.is_early else thinks
                elif isinstance(part, str):
                    yield self._say(part)
                else:
                    checked(part, self._question.form)
                    yield self._end(part)

    def refused(self, error: BaseException) -> Response:
        """The response where nothing was sent yet."""
        refusal = to_error_response(error, candid=self._server.settings.candid)
        return refusal.response(anthropic=True)

    def broken(self, error: BaseException) -> bytes:
        """The last event of a stream that breaks off."""
        refusal = to_error_response(error, candid=self._server.settings.candid)
        return event(dumps(refusal.anthropic_body), "error")

    def _begin(self) -> bytes:
        usage = {"input_tokens": _tokens_of(self._body), "output_tokens": 0, **_NO_CACHE}
        head = {**self._head([]), "stop_reason": None, "stop_sequence": None, "usage": usage}
        return self._event("message_start", message=head) + PING

    def _think(self, text: str) -> bytes:
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        self._thought += text
        delta = {"type": "thinking_delta", "thinking": text}
        return self._open_block("thinking", empty) + self._delta(delta)

    def _say(self, text: str) -> bytes:
        begun = self._open_block("text", {"type": "text", "text": ""})
        return begun + self._delta({"type": "text_delta", "text": text})

    def _end(self, outcome: WholeAnswer) -> bytes:
        calls = self._calls(outcome)
        parts = []
        if self._open != "text" and not calls:
            parts.append(self._open_block("text", {"type": "text", "text": ""}))
        for call in calls:
            parts.append(self._close_block())
            parts.append(self._open_block("tool_use", {**call, "input": {}}))
            written = json.dumps(call["input"], ensure_ascii=False)
            parts.append(self._delta({"type": "input_json_delta", "partial_json": written}))
        parts.append(self._close_block())
        ending = {"delta": self._ending(outcome), "usage": self._usage(outcome)}
        parts.append(self._event("message_delta", **ending, council=self._report(outcome)))
        parts.append(self._event("message_stop"))
        return b"".join(parts)

    def _open_block(self, kind: str, empty: dict[str, Any]) -> bytes:
        """The beginning of a block; nothing where one of the kind is being written."""
        if self._open == kind:
            return b""
        closed = self._close_block()
        self._block += 1
        self._open = kind
        return closed + self._event("content_block_start", index=self._block, content_block=empty)

    def _close_block(self) -> bytes:
        if not self._open:
            return b""
        signed = b""
        if self._open == "thinking":
            signed = self._delta({"type": "signature_delta", "signature": _sign(self._thought)})
        self._open = ""
        return signed + self._event("content_block_stop", index=self._block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._event("content_block_delta", index=self._block, delta=delta)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return event(dumps({"type": kind, **fields}), kind)

    def _head(self, blocks: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._question.served.model,
            "content": blocks,
        }

    def _calls(self, outcome: WholeAnswer) -> list[dict[str, Any]]:
        names = self._body.tool_names
        return [
            {
                "type": "tool_use",
                "id": call.id,
                "name": names.get(call.tool, call.tool),
                "input": call.arguments or {},
            }
            for call in outcome.answered.calls
        ]

    def _ending(self, outcome: WholeAnswer) -> dict[str, Any]:
        if outcome.stop is not None and not outcome.answered.calls:
            return {"stop_reason": "stop_sequence", "stop_sequence": outcome.stop}
        return {
            "stop_reason": _STOP_REASONS.get(outcome.finish, "end_turn"),
            "stop_sequence": None,
        }

    def _usage(self, outcome: WholeAnswer) -> dict[str, int]:
        usage = client_usage([outcome])
        if usage is None:
            return {"input_tokens": _tokens_of(self._body), "output_tokens": 0, **_NO_CACHE}
        return {"input_tokens": usage.prompt, "output_tokens": usage.completion, **_NO_CACHE}

    def _report(self, outcome: WholeAnswer) -> dict[str, Any]:
        thread = self._visitor.client_name(self._question.thread)
        return council_report(outcome, thread=thread, candid=self._server.settings.candid)


_NO_CACHE = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def _thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": _sign(text)}


def _sign(text: str) -> str:
    """What stands for a signature: clients send it back, and nobody here reads it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
