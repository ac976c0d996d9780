"""How Cohere's second chat interface writes answers, events and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .wire import Turn

STREAM_TYPE = "text/event-stream"
CHAT = "/v2/chat"
_STOPS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "content_filter": "ERROR_TOXIC"}


def streams(path: str, body: Mapping[str, Any]) -> bool:
    """Only where the body says so."""
    return bool(body.get("stream"))


def error(status: int, message: str, code: str = "") -> bytes:
    """Cohere's error body is its words and a number for its support."""
    return json.dumps({"id": "stage", "message": message}).encode()


def error_frame(message: str) -> bytes:
    """It has no event for errors: the message ends with one."""
    return _event("message-end", delta={"finish_reason": "ERROR", "error": message})


def unknown(model: str) -> bytes:
    """The vendor's words for a model it does not have."""
    return error(404, f"model '{model}' not found, make sure the correct model ID was used")


def whole(turn: Turn) -> bytes:
    """A chat answer in one piece."""
    content = [{"type": "text", "text": turn.reply.text}] if turn.reply.text else []
    if turn.reply.reasoning:
        content.insert(0, {"type": "thinking", "thinking": turn.reply.reasoning})
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if turn.reply.tool_calls:
        message["tool_calls"] = _tool_calls(turn)
    return json.dumps({"id": f"stage-{turn.number}", "message": message, **_ending(turn)}).encode()


def chunks(turn: Turn) -> list[bytes]:
    """The events of a streamed answer; one piece of text is one chunk."""
    reply = turn.reply
    opened = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    ready = _event("message-start", id=f"stage-{turn.number}", delta={"message": opened})
    frames: list[bytes] = []
    thought = type(reply)(reply.reasoning).pieces(turn.by_token) if reply.reasoning else []
    text = reply.pieces(turn.by_token)
    for index, (kind, pieces) in enumerate((("thinking", thought), ("text", text))):
        if not pieces:
            continue
        ready += _content("content-start", index, {"type": kind, kind: ""})
        for piece in pieces:
            frames.append(ready + _content("content-delta", index, {kind: piece}))
            ready = b""
        ready += _event("content-end", index=index)
    for index, call in enumerate(_tool_calls(turn)):
        function = call["function"]
        named = {**call, "function": {"name": function["name"], "arguments": ""}}
        ready += _tool("tool-call-start", index, named)
        written = {"function": {"arguments": function["arguments"]}}
        frames.append(ready + _tool("tool-call-delta", index, written))
        ready = _event("tool-call-end", index=index)
    if not frames:
        return [ready]
    frames[-1] += ready
    return frames


def closing(turn: Turn) -> bytes:
    """Why it stopped, the usage, and the end mark."""
    return _event("message-end", delta=_ending(turn)) + b"data: [DONE]\n\n"


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _content(kind: str, index: int, content: Mapping[str, Any]) -> bytes:
    return _event(kind, index=index, delta={"message": {"content": content}})


def _tool(kind: str, index: int, call: Mapping[str, Any]) -> bytes:
    return _event(kind, index=index, delta={"message": {"tool_calls": call}})


def _tool_calls(turn: Turn) -> list[dict[str, Any]]:
    calls = []
    for index, call in enumerate(turn.reply.tool_calls):
        function = {"name": call["name"], "arguments": json.dumps(call.get("args", {}))}
        name = call.get("id") or f"{call['name']}_{turn.number}_{index}"
        calls.append({"id": name, "type": "function", "function": function})
    return calls


def _ending(turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    finish = _STOPS.get(reply.finish, reply.finish)
    if reply.tool_calls and reply.finish == "stop":
        finish = "TOOL_CALL"
    ending: dict[str, Any] = {"finish_reason": finish}
    if (tokens := reply.tokens(turn.body)) is not None:
        counted = dict(zip(("input_tokens", "output_tokens"), tokens, strict=True))
        ending["usage"] = {"billed_units": counted, "tokens": counted}
    return ending
