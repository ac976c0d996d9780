"""/v1/responses: OpenAI's newer form of the same. Nothing is kept unless a thread is named."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mom_council.server.answer import (
    ServedQuestion,
    WholeAnswer,
    council_report,
    response_usage,
    run,
    whole,
)
from mom_council.server.body import in_responses, read_body
from mom_council.server.chat_request import conversation
from mom_council.server.errors import dumps, to_error_response
from mom_council.server.requests import Visitor, checked, read_question, state_of, stream_failures
from mom_council.server.responses_request import ResponsesRequest
from mom_council.server.state import ServerState
from mom_council.server.streams import EventStream, event, unless_gone


async def responses(request: Request, visitor: Visitor) -> Response:
    """Answer, in one piece or event by event."""
    server = state_of(request)
    body = await read_body(request, ResponsesRequest, server)
    body.refuse_what_cannot_be_done()
    question = await read_question(
        server,
        visitor,
        body.model,
        conversation(body.messages),
        form=body.form,
        request=request,
        thread=visitor.thread or body.thread or (body.metadata or {}).get("thread_id"),
    )
    made = ResponseBuilder(server, question, body, visitor)
    if not body.stream:
        return await unless_gone(request.receive, made.whole())
    more = stream_failures(server, visitor)
    return EventStream(made.events(), **{**more, "broken": made.broken})


class ResponseBuilder:
    """One response in the making."""

    def __init__(
        self,
        server: ServerState,
        question: ServedQuestion,
        body: ResponsesRequest,
        visitor: Visitor,
    ) -> None:
        self._server, self._question, self._body, self._visitor = server, question, body, visitor
        repeat = question.repeat
        name = repeat.id if repeat else secrets.token_hex(16)
        self._id, self._message = f"resp_{name}", f"msg_{name}"
        self._created = repeat.created if repeat else int(time.time())
        self._number = 0
        self._place = {"item_id": self._message, "output_index": 0, "content_index": 0}

    async def whole(self) -> Response:
        """The response in one piece."""
        outcome = await whole(self._server, self._question)
        text = checked(outcome, self._question.form)
        return Response(dumps(self._ended(outcome, text)), media_type="application/json")

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The response as a stream of events."""
        begun = speaks = False
        async with aclosing(run(self._server, self._question)) as parts:
            async for part in parts:
                if not begun:
                    begun = True
                    yield self._opening()
                if isinstance(part, str):
                    if not speaks:
                        speaks = True
                        yield self._message_begins()
                    delta = {**self._place, "delta": part, "logprobs": []}
                    yield self._event("response.output_text.delta", **delta)
                    continue
                checked(part, self._question.form)
                yield self._closing(part, speaks=speaks)

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

    def _message_begins(self) -> bytes:
        item = self._item("in_progress", [])
        return self._event("response.output_item.added", output_index=0, item=item) + self._event(
            "response.content_part.added", **self._place, part=_text("")
        )

    def _closing(self, outcome: WholeAnswer, *, speaks: bool) -> bytes:
        state = self._ended(outcome, outcome.text)
        parts = []
        for index, item in enumerate(state["output"]):
            if item["type"] == "message":
                parts.append(b"" if speaks else self._message_begins())
                parts.append(self._message_ends(outcome.text))
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
        made = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event(dumps(made), kind)

    def _ended(self, outcome: WholeAnswer, text: str) -> dict[str, Any]:
        """The response as it is at its end."""
        why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(
            outcome.finish
        )
        status = "incomplete" if why else "completed"
        calls = in_responses(outcome.answered.calls, self._body.tool_names)
        message = [] if calls and not text else [self._item(status, [_text(text)])]
        state = self._state(status, [*message, *calls])
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
        wanted = body.text.format if body.text else None
        form = wanted.model_dump(by_alias=True, exclude_none=True) if wanted else {"type": "text"}
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
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
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
