"""/v1/responses: OpenAI's newer protocol, over the same run.

A response can be read again, and gone on from: until the server stops, or for 30 days where the
client says `store: true`. With `store: false` nothing is kept.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from mom_council.redaction import quote
from mom_council.server.answer import (
    ServedQuestion,
    WholeAnswer,
    council_report,
    response_usage,
    run,
    whole,
)
from mom_council.server.body import in_chat, in_responses, read_body
from mom_council.server.chat_request import (
    AssistantMessage,
    Message,
    conversation,
    refuse_results_without_calls,
)
from mom_council.server.errors import Refusal, dumps, to_error_response, wrong
from mom_council.server.requests import Visitor, checked, read_question, state_of, stream_failures
from mom_council.server.responses_request import ResponsesRequest
from mom_council.server.state import ServerState, StoredResponse
from mom_council.server.streams import EarlyFrame, EventStream, Thought, event, unless_gone


async def responses(request: Request, visitor: Visitor) -> Response:
    """Answer, in one piece or event by event."""
    server = state_of(request)
    body = await read_body(request, ResponsesRequest, server)
    body.refuse_what_cannot_be_done()
    before = await _earlier_messages(server, visitor, body.previous_response_id)
    thread = visitor.thread or body.thread or (body.metadata or {}).get("thread_id")
    if thread is None:
        refuse_results_without_calls(body.tool_steps, before)
    question = await read_question(
        server,
        visitor,
        body.model,
        conversation(body.messages_after(before), "input"),
        form=body.form,
        request=request,
        aloud=body.reasoning is None or body.reasoning.effort != "none",
        thread=thread,
    )
    builder = ResponseBuilder(server, question, body, visitor, before)
    if not body.stream:
        return await unless_gone(request.receive, builder.whole())
    more = stream_failures(server, visitor)
    return EventStream(builder.events(), **{**more, "broken": builder.broken})


async def stored_response(request: Request, visitor: Visitor) -> Response:
    """Give a response again, or delete it."""
    responses = state_of(request).responses
    name = request.path_params["name"]
    stored = await responses.find(visitor.owner, name)
    if stored is None:
        raise Refusal(404, f"Response with id {quote(name)} not found.", code="not_found")
    if request.method == "DELETE":
        await responses.delete(visitor.owner, name)
        deletion = {"id": name, "object": "response", "deleted": True}
        return Response(dumps(deletion), media_type="application/json")
    return Response(stored.response, media_type="application/json")


async def _earlier_messages(
    server: ServerState, visitor: Visitor, previous: str | None
) -> list[Message]:
    """The conversation that a response goes on with.

    Raises:
        Refusal: there is no such response.
    """
    if previous is None:
        return []
    stored = await server.responses.find(visitor.owner, previous)
    if stored is None:
        raise wrong(
            f"Previous response with id {quote(previous)} not found.",
            "previous_response_id",
            "previous_response_not_found",
        )
    return _MESSAGES.validate_json(stored.messages)


_MESSAGES: TypeAdapter[list[Message]] = TypeAdapter(list[Message])


class ResponseBuilder:
    """One response in the making."""

    def __init__(
        self,
        server: ServerState,
        question: ServedQuestion,
        body: ResponsesRequest,
        visitor: Visitor,
        before: Sequence[Message] = (),
    ) -> None:
        self._before = before
        self._server, self._question, self._body, self._visitor = server, question, body, visitor
        repeat = question.repeat
        name = repeat.id if repeat else secrets.token_hex(16)
        self._id, self._message = f"resp_{name}", f"msg_{name}"
        self._created = repeat.created if repeat else int(time.time())
        self._number = 0
        self._thought = f"rs_{name}"
        self._thoughts = ""
        self._has_thought = False
        self._place: dict[str, Any] = {
            "item_id": self._message,
            "output_index": 0,
            "content_index": 0,
        }

    async def whole(self) -> Response:
        """The response in one piece."""
        outcome = await whole(self._server, self._question)
        text = checked(outcome, self._question.form)
        state = self._ended(outcome, text)
        await self._keep(state, outcome, text)
        return Response(dumps(state), media_type="application/json")

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The response as a stream of events."""
        begun = speaks = False
        async with aclosing(run(self._server, self._question)) as parts:
            async for part in parts:
                is_early = isinstance(part, Thought) and part.is_early
                if not begun:
                    begun = True
                    opening = self._opening()
                    yield EarlyFrame(opening) if is_early else opening
                if isinstance(part, Thought):
                    thinks = self._thinks(part.text)
                    yield EarlyFrame(thinks) if is_early else thinks
                    continue
                if isinstance(part, str):
                    if not speaks:
                        speaks = True
                        yield self._thought_ends() + self._message_begins()
                    delta = {**self._place, "delta": part, "logprobs": []}
                    yield self._event("response.output_text.delta", **delta)
                    continue
                checked(part, self._question.form)
                state = self._ended(part, part.text)
                await self._keep(state, part, part.text)
                yield self._closing(state, part.text, speaks=speaks)

    async def _keep(self, state: dict[str, Any], outcome: WholeAnswer, text: str) -> None:
        """Keep the response, unless the client does not want it, or a thread keeps it."""
        if not state["store"]:
            return
        calls = in_chat(outcome.answered.calls, {})
        answer = {"role": "assistant", "content": text, "tool_calls": calls or None}
        talk = [*self._before, *self._body.own_messages, AssistantMessage.model_validate(answer)]
        stored = StoredResponse(dumps(state).decode(), _MESSAGES.dump_json(talk).decode())
        lasting = self._body.store is True
        await self._server.responses.keep(self._visitor.owner, self._id, stored, lasting=lasting)

    def broken(self, error: BaseException) -> bytes:
        """The last event of a stream that breaks off."""
        refusal = to_error_response(error, candid=self._server.settings.candid)
        failed = self._state("failed", [])
        failed["error"] = {
            "code": "server_error" if refusal.status >= 500 else "invalid_prompt",
            "message": refusal.body["error"]["message"],
        }
        return self._event("response.failed", response=failed)

    def _opening(self) -> bytes:
        begun = self._state("in_progress", [])
        return self._event("response.created", response=begun) + self._event(
            "response.in_progress", response=begun
        )

    def _thinks(self, text: str) -> bytes:
        begun = b""
        place = {"item_id": self._thought, "output_index": 0, "summary_index": 0}
        if not self._thoughts:
            item = {**self._thought_item(), "summary": []}
            begun = self._event("response.output_item.added", output_index=0, item=item)
            part = {"type": "summary_text", "text": ""}
            begun += self._event("response.reasoning_summary_part.added", **place, part=part)
            self._place["output_index"] = 1
        self._thoughts += text
        return begun + self._event("response.reasoning_summary_text.delta", **place, delta=text)

    def _thought_ends(self) -> bytes:
        """The end of the thoughts; nothing where there were none, or they had ended."""
        if not self._thoughts or self._has_thought:
            return b""
        self._has_thought = True
        place = {"item_id": self._thought, "output_index": 0, "summary_index": 0}
        item, text = self._thought_item(), self._thoughts
        part = {"type": "summary_text", "text": text}
        return b"".join(
            (
                self._event("response.reasoning_summary_text.done", **place, text=text),
                self._event("response.reasoning_summary_part.done", **place, part=part),
                self._event("response.output_item.done", output_index=0, item=item),
            )
        )

    def _thought_item(self) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": self._thoughts}]
        return {"type": "reasoning", "id": self._thought, "summary": summary}

    def _message_begins(self) -> bytes:
        item, index = self._item("in_progress", []), self._place["output_index"]
        added = self._event("response.output_item.added", output_index=index, item=item)
        return added + self._event("response.content_part.added", **self._place, part=_text(""))

    def _closing(self, state: dict[str, Any], text: str, *, speaks: bool) -> bytes:
        parts = [self._thought_ends()]
        for index, item in enumerate(state["output"]):
            if item["type"] == "reasoning":
                continue
            if item["type"] == "message":
                parts.append(b"" if speaks else self._message_begins())
                parts.append(self._message_ends(text))
            else:
                parts.append(self._call(index, item))
            parts.append(self._event("response.output_item.done", output_index=index, item=item))
        over = "incomplete" if state["status"] == "incomplete" else "completed"
        return b"".join((*parts, self._event(f"response.{over}", response=state)))

    def _message_ends(self, text: str) -> bytes:
        done = self._event("response.output_text.done", **self._place, text=text, logprobs=[])
        return done + self._event("response.content_part.done", **self._place, part=_text(text))

    def _call(self, index: int, item: dict[str, Any]) -> bytes:
        place = {"item_id": item["id"], "output_index": index}
        begun = {**item, "arguments": "", "status": "in_progress"}
        kind, written = "response.function_call_arguments", item["arguments"]
        return b"".join(
            (
                self._event("response.output_item.added", output_index=index, item=begun),
                self._event(f"{kind}.delta", **place, delta=written),
                self._event(f"{kind}.done", **place, arguments=written, name=item["name"]),
            )
        )

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event(dumps(data), kind)

    def _ended(self, outcome: WholeAnswer, text: str) -> dict[str, Any]:
        """The response as it is at its end."""
        why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(
            outcome.finish
        )
        status = "incomplete" if why else "completed"
        calls = in_responses(outcome.answered.calls, self._body.tool_names)
        message = [] if calls and not text else [self._item(status, [_text(text)])]
        self._thoughts = self._thoughts or outcome.thoughts
        thoughts = [self._thought_item()] if self._thoughts else []
        state = self._state(status, [*thoughts, *message, *calls])
        state["incomplete_details"] = {"reason": why} if why else None
        state["usage"] = response_usage(outcome)
        state["council"] = council_report(
            outcome,
            thread=self._visitor.client_name(self._question.thread),
            candid=self._server.settings.candid,
        )
        return state

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "message",
            "id": self._message,
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _state(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        body = self._body
        format_ = body.text.format if body.text else None
        form = format_.model_dump(by_alias=True, exclude_none=True) if format_ else {"type": "text"}
        thread = self._visitor.client_name(self._question.thread)
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "model": self._question.served.model,
            "output": output,
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "store": body.store is not False and thread is None,
            "temperature": body.temperature,
            "text": {"format": form},
            "tool_choice": body.tool_choice or "auto",
            "tools": [
                {**tool.model_dump(), "name": body.tool_names.get(tool.name, tool.name)}
                for tool in body.tools or ()
            ],
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": None,
            "metadata": body.metadata or {},
            "conversation": {"id": thread} if thread else None,
        }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
