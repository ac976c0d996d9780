"""Mistral's chat interface: OpenAI's but for its errors, its thoughts, and where usage stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import openai_wire
from .openai_wire import END, STREAM_TYPE, streams
from .wire import Turn

__all__ = ["STREAM_TYPE", "streams"]

CHAT = "/mistral/v1/chat/completions"
EMBEDDINGS = "/mistral/v1/embeddings"
_KINDS = {401: "unauthorized", 404: "invalid_model", 422: "invalid_request_error"}


def error(status: int, message: str, code: str = "") -> bytes:
    """A flat object with the words in it."""
    kind = _KINDS.get(status, "error")
    body = {"object": "error", "message": message, "type": kind, "param": None}
    return json.dumps({**body, "code": code or None}).encode()


def error_frame(message: str) -> bytes:
    """An event that carries an error."""
    return b"data: " + error(500, message) + b"\n\n"


def unknown(model: str) -> bytes:
    """The vendor's words for a model it does not have."""
    return error(400, f"Invalid model: {model}", "1500")


def whole(turn: Turn) -> bytes:
    """A chat completion, or embeddings, by the path."""
    if turn.path == EMBEDDINGS:
        turn = replace(turn, path=openai_wire.EMBEDDINGS)
    return openai_wire.whole(turn)


def chunks(turn: Turn) -> list[bytes]:
    """The events of a streamed completion; a thought is a part of the content."""
    reply = turn.reply
    thought: list[bytes] = []
    if reply.reasoning:
        for piece in type(reply)(reply.reasoning).pieces(turn.by_token):
            part = {"type": "thinking", "thinking": [{"type": "text", "text": piece}]}
            thought.append(_frame(turn, {"role": "assistant", "content": [part]}))
    plain = replace(turn, reply=replace(reply, reasoning="", refusal=""))
    return thought + openai_wire.chunks(plain)


def closing(turn: Turn) -> bytes:
    """The last event has the finish reason and the usage both."""
    finish = "tool_calls" if turn.reply.tool_calls else turn.reply.finish
    more: dict[str, Any] = {}
    if (tokens := turn.reply.tokens(turn.body)) is not None:
        read, written = tokens
        total = {"total_tokens": read + written}
        more["usage"] = {"prompt_tokens": read, "completion_tokens": written, **total}
    return _frame(turn, {"content": ""}, finish, **more) + END


def _frame(turn: Turn, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": f"stage-{turn.number}", "object": "chat.completion.chunk", "model": turn.model}
    return b"data: " + json.dumps({**head, "choices": [choice], **more}).encode() + b"\n\n"
