"""How Anthropic's messages interface writes answers, events and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .wire import Turn

STREAM_TYPE = "text/event-stream; charset=utf-8"
CHAT = "/v1/messages"
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
}


def streams(path: str, body: Mapping[str, Any]) -> bool:
    """Only where the body says so."""
    return bool(body.get("stream"))


def error(status: int, message: str, code: str = "") -> bytes:
    """The vendor's error object."""
    kind = code or _KINDS.get(status, "api_error")
    body = {"type": kind, "message": message}
    return json.dumps({"type": "error", "error": body, "request_id": "req_stage"}).encode()


def error_frame(message: str) -> bytes:
    """An event that carries an error object."""
    return b"event: error\ndata: " + error(529, message) + b"\n\n"


def unknown(model: str) -> bytes:
    """The vendor's words for a model it does not have."""
    return error(404, f"model: {model}")


def whole(turn: Turn) -> bytes:
    """A message in one piece."""
    read, written = turn.reply.tokens(turn.body) or (0, 0)
    usage = {"input_tokens": read, "output_tokens": written}
    ending = {"stop_reason": _stop(turn), "stop_sequence": None, "usage": usage}
    return json.dumps({**_head(turn), "content": _blocks(turn), **ending}).encode()


def chunks(turn: Turn) -> list[bytes]:
    """The events of a streamed message; one piece of text is one chunk."""
    read, _ = turn.reply.tokens(turn.body) or (0, 0)
    empty = {"stop_reason": None, "stop_sequence": None}
    head = {**_head(turn), "content": [], **empty}
    opened = {"message": {**head, "usage": {"input_tokens": read, "output_tokens": 1}}}
    ready = _event("message_start", **opened) + _event("ping")
    frames: list[bytes] = []
    for index, block in enumerate(_blocks(turn)):
        begin, deltas = _parts(block, turn)
        ready += _event("content_block_start", index=index, content_block=begin)
        for delta in deltas:
            frames.append(ready + _event("content_block_delta", index=index, delta=delta))
            ready = b""
        ready += _event("content_block_stop", index=index)
    if not frames:
        return [ready]
    frames[-1] += ready
    return frames


def closing(turn: Turn) -> bytes:
    """Why it stopped, the usage, and the end."""
    read, written = turn.reply.tokens(turn.body) or (0, 0)
    delta = {"stop_reason": _stop(turn), "stop_sequence": None}
    usage = {"input_tokens": read, "output_tokens": written}
    return _event("message_delta", delta=delta, usage=usage) + _event("message_stop")


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _head(turn: Turn) -> dict[str, Any]:
    return {
        "id": f"msg_{turn.number}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
    }


def _blocks(turn: Turn) -> list[dict[str, Any]]:
    """What it says, block by block: thoughts, text, calls of tools."""
    reply = turn.reply
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": "c2lnbmVk"})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for index, call in enumerate(reply.tool_calls):
        name = call.get("id") or f"toolu_{turn.number}_{index}"
        function = {"name": call["name"], "input": call.get("args", {})}
        blocks.append({"type": "tool_use", "id": name, **function})
    return blocks


def _parts(block: Mapping[str, Any], turn: Turn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as a stream gives it: how it begins, and its pieces."""
    if block["type"] == "thinking":
        thought = type(turn.reply)(block["thinking"]).pieces(turn.by_token)
        pieces = [{"type": "thinking_delta", "thinking": piece} for piece in thought]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*pieces, signed]
    if block["type"] == "text":
        texts = turn.reply.pieces(turn.by_token)
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": one} for one in texts]
    written = json.dumps(block["input"])
    halves = [written[: len(written) // 2], written[len(written) // 2 :]]
    return {**block, "input": {}}, [
        {"type": "input_json_delta", "partial_json": half} for half in halves
    ]


def _stop(turn: Turn) -> str:
    reply = turn.reply
    if reply.refusal:
        return "refusal"
    if reply.tool_calls and reply.finish == "stop":
        return "tool_use"
    return _STOPS.get(reply.finish, reply.finish)
