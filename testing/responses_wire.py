"""How OpenAI's newer interface, `/v1/responses`, writes answers and events."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from .openai_wire import error, unknown
from .wire import Turn

__all__ = ["error", "unknown"]

STREAM_TYPE = "text/event-stream; charset=utf-8"
RESPONSES = "/v1/responses"


def streams(path: str, body: Mapping[str, Any]) -> bool:
    """Only where the body says so."""
    return bool(body.get("stream"))


def error_frame(message: str) -> bytes:
    """An event that carries an error."""
    event = {"type": "error", "code": "server_error", "message": message, "param": None}
    return f"event: error\ndata: {json.dumps({**event, 'sequence_number': 0})}\n\n".encode()


def whole(turn: Turn) -> bytes:
    """A response in one piece."""
    return json.dumps(_response(turn, "completed", _items(turn))).encode()


def chunks(turn: Turn) -> list[bytes]:
    """The events of a streamed response; one piece of text is one chunk."""
    reply = turn.reply
    ready = _event("response.created", response=_response(turn, "in_progress", []))
    frames: list[bytes] = []
    for index, item in enumerate(_items(turn)):
        at = {"item_id": item["id"], "output_index": index}
        if item["type"] == "reasoning":
            begun, kind = {**item, "summary": []}, "response.reasoning_summary_text"
            at["summary_index"] = 0
            pieces = type(reply)(reply.reasoning).pieces(turn.by_token)
        elif item["type"] == "function_call":
            begun, kind = {**item, "arguments": ""}, "response.function_call_arguments"
            half = len(item["arguments"]) // 2
            pieces = [item["arguments"][:half], item["arguments"][half:]]
        else:
            begun, kind = {**item, "content": []}, "response.output_text"
            at["content_index"] = 0
            pieces = reply.pieces(turn.by_token)
        ready += _event("response.output_item.added", output_index=index, item=begun)
        for piece in pieces:
            frames.append(ready + _event(f"{kind}.delta", **at, delta=piece))
            ready = b""
        if reply.refusal and item["type"] == "message":
            ready += _event("response.refusal.done", **at, refusal=reply.refusal)
        ready += _event("response.output_item.done", output_index=index, item=item)
    if not frames:
        return [ready]
    frames[-1] += ready
    return frames


def closing(turn: Turn) -> bytes:
    """The whole response once more, with its status and its usage."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(turn.reply.finish)
    if cut is None:
        return _event("response.completed", response=_response(turn, "completed", _items(turn)))
    ended = _response(turn, "incomplete", _items(turn), incomplete_details={"reason": cut})
    return _event("response.incomplete", response=ended)


def _event(kind: str, **more: Any) -> bytes:
    event = {"type": kind, "sequence_number": 0, **more}
    return f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode()


def _response(turn: Turn, status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    ended = status != "in_progress"
    usage = None
    if ended and (tokens := turn.reply.tokens(turn.body)) is not None:
        read, written = tokens
        usage = {
            "input_tokens": read,
            "output_tokens": written,
            "total_tokens": read + written,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
    return {
        "id": f"resp_{turn.number}",
        "object": "response",
        "created_at": int(time.time()),
        "model": turn.model,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": output,
        "usage": usage,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }


def _items(turn: Turn) -> list[dict[str, Any]]:
    """What it put out: thoughts, a message, calls of functions."""
    reply = turn.reply
    items: list[dict[str, Any]] = []
    if reply.reasoning:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        items.append({"type": "reasoning", "id": f"rs_{turn.number}", "summary": summary})
    part = {"type": "output_text", "text": reply.text or "", "annotations": []}
    body: dict[str, Any] = {"type": "refusal", "refusal": reply.refusal} if reply.refusal else part
    if reply.text is not None or reply.refusal:
        head = {"type": "message", "id": f"msg_{turn.number}", "role": "assistant"}
        items.append({**head, "status": "completed", "content": [body]})
    for index, call in enumerate(reply.tool_calls):
        name = call.get("id") or f"call_{turn.number}_{index}"
        arguments = json.dumps(call.get("args", {}))
        head = {"type": "function_call", "id": f"fc_{turn.number}_{index}", "call_id": name}
        items.append({**head, "name": call["name"], "arguments": arguments})
    return items
