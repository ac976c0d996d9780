"""/v1/chat/completions: a council as a model."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mom_council.server.answer import (
    Piece,
    ServedQuestion,
    WholeAnswer,
    chat_usage,
    council_report,
    run,
    several,
)
from mom_council.server.body import in_chat, read_body
from mom_council.server.chat_request import ChatRequest, conversation, refuse_results_without_calls
from mom_council.server.errors import dumps
from mom_council.server.requests import Visitor, checked, read_question, state_of, stream_failures
from mom_council.server.state import ServerState
from mom_council.server.streams import EarlyFrame, EventStream, Thought, event, unless_gone

DONE = b"data: [DONE]\n\n"


async def chat(request: Request, visitor: Visitor) -> Response:
    """Answer, in one piece or as it comes."""
    server = state_of(request)
    body = await read_body(request, ChatRequest, server)
    body.refuse_what_cannot_be_done()
    thread = visitor.thread or (body.metadata or {}).get("thread_id")
    if thread is None:
        refuse_results_without_calls(body.tool_steps)
    question = await read_question(
        server,
        visitor,
        body.model,
        conversation(body.messages),
        form=body.form,
        request=request,
        seed=body.seed,
        thread=thread,
        choices=body.n or 1,
        aloud=body.aloud,
    )
    completion = CompletionBuilder(server, question, body, visitor)
    if not body.stream:
        return await unless_gone(request.receive, completion.whole())
    return EventStream(completion.frames(), **stream_failures(server, visitor))


class CompletionBuilder:
    """One completion, with its choices."""

    def __init__(
        self, server: ServerState, question: ServedQuestion, body: ChatRequest, visitor: Visitor
    ) -> None:
        self._server, self._question, self._visitor = server, question, visitor
        self._choices = body.n or 1
        self._tool_names = body.tool_names
        options = body.stream_options
        self._usage_wanted = bool(options and options.include_usage)
        repeat = question.repeat
        self._id = f"chatcmpl-{repeat.id[:24] if repeat else secrets.token_hex(12)}"
        self._created = repeat.created if repeat else int(time.time())

    async def whole(self) -> Response:
        """The completion in one piece."""
        parts = [one async for one in self._parts()]
        outcomes = {choice: part for choice, part in parts if isinstance(part, WholeAnswer)}
        ended = [outcomes[choice] for choice in range(self._choices)]
        texts = [checked(one, self._question.form) for one in ended]
        completion = {
            **self._head("chat.completion"),
            "choices": [
                {
                    "index": choice,
                    "message": _message(one, text, self._tool_names),
                    "logprobs": None,
                    "finish_reason": one.finish,
                }
                for choice, (one, text) in enumerate(zip(ended, texts, strict=True))
            ],
            "usage": chat_usage(ended),
            **self._accounts(ended),
        }
        return Response(dumps(completion), media_type="application/json")

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The completion as a stream of chunks."""
        outcomes: dict[int, WholeAnswer] = {}
        begun: set[int] = set()
        async for choice, part in self._parts():
            is_early = isinstance(part, Thought) and part.is_early
            if choice not in begun:
                begun.add(choice)
                head = self._chunk(choice, {"role": "assistant", "content": "", "refusal": None})
                yield EarlyFrame(head) if is_early else head
            if isinstance(part, Thought):
                thought = self._chunk(choice, {"reasoning_content": part.text})
                yield EarlyFrame(thought) if is_early else thought
                continue
            if isinstance(part, str):
                yield self._chunk(choice, {"content": part})
                continue
            checked(part, self._question.form)
            outcomes[choice] = part
            if part.answered.calls:
                calls = enumerate(in_chat(part.answered.calls, self._tool_names))
                tool_calls = [{"index": number, **call} for number, call in calls]
                yield self._chunk(choice, {"tool_calls": tool_calls})
            yield self._chunk(choice, {}, part)
        if self._usage_wanted:
            ended = [outcomes[choice] for choice in range(self._choices)]
            yield self._frame([], usage=chat_usage(ended))
        yield DONE

    async def _parts(self) -> AsyncIterator[tuple[int, Piece]]:
        if self._choices == 1:
            async with aclosing(run(self._server, self._question)) as parts:
                async for part in parts:
                    yield 0, part
            return
        async with aclosing(several(self._server, self._question, self._choices)) as marked:
            async for one in marked:
                yield one

    def _chunk(self, choice: int, delta: dict[str, Any], ended: WholeAnswer | None = None) -> bytes:
        finish = ended.finish if ended else None
        piece = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._frame([piece], **(self._accounts([ended]) if ended else {}))

    def _frame(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        if self._usage_wanted:
            more.setdefault("usage", None)
        return event(dumps({**self._head("chat.completion.chunk"), "choices": choices, **more}))

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._question.served.model,
        }

    def _accounts(self, ended: list[WholeAnswer]) -> dict[str, Any]:
        candid, thread = (
            self._server.settings.candid,
            self._visitor.client_name(self._question.thread),
        )
        reports = [council_report(one, thread=thread, candid=candid) for one in ended]
        return {"council": reports[0]} if len(reports) == 1 else {"councils": reports}


def _message(outcome: WholeAnswer, text: str, names: Mapping[str, str]) -> dict[str, Any]:
    calls = in_chat(outcome.answered.calls, names)
    return {
        "role": "assistant",
        "content": (text or None) if calls else text,
        "refusal": None,
        "annotations": [],
        **({"reasoning_content": outcome.thoughts} if outcome.thoughts else {}),
        **({"tool_calls": calls} if calls else {}),
    }
