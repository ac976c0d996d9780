"""How OpenAI's HTTP interface writes answers, chunks and errors."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Mapping
from typing import Any

from .media import embedding, picture
from .script import Script
from .wire import Turn

STREAM_TYPE = "text/event-stream; charset=utf-8"
CHAT = "/v1/chat/completions"
DEEPSEEK = "/deepseek/v1/chat/completions"
"""DeepSeek speaks OpenAI's protocol, with its thoughts in a field of their own."""
EMBEDDINGS = "/v1/embeddings"
IMAGES = "/v1/images/generations"
END = b"data: [DONE]\n\n"

_KINDS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_balance", "insufficient_balance"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def streams(path: str, body: Mapping[str, Any]) -> bool:
    """Only where the body says so, and only chat."""
    return path.endswith("/chat/completions") and bool(body.get("stream"))


def error(status: int, message: str, code: str = "") -> bytes:
    """The error object that every OpenAI-compatible vendor copies."""
    kind, usual = _KINDS.get(status, ("server_error", None))
    body = {"message": message, "type": kind, "param": None, "code": code or usual}
    return json.dumps({"error": body}).encode()


def error_frame(message: str) -> bytes:
    """An event that carries an error object."""
    return b"data: " + error(500, message) + b"\n\n"


def unknown(model: str) -> bytes:
    """The vendor's words for a model it does not have."""
    return error(404, f"The model `{model}` does not exist or you do not have access to it.")


def listing(models: Mapping[str, Script]) -> dict[str, Any]:
    """The answer of /v1/models."""
    data: list[dict[str, Any]] = [
        {"id": name, "object": "model", "created": 0, "owned_by": "stage"}
        | ({"max_model_len": script.window} if script.window else {})
        for name, script in models.items()
    ]
    return {"object": "list", "data": data}


def whole(turn: Turn) -> bytes:
    """A chat completion, or embeddings, or pictures, by the path."""
    answer = {EMBEDDINGS: _embeddings, IMAGES: _images}.get(turn.path, _completion)(turn)
    return json.dumps(answer).encode()


def chunks(turn: Turn) -> list[bytes]:
    """The events of a streamed chat completion."""
    reply = turn.reply
    deltas: list[dict[str, Any]] = []
    if reply.reasoning:
        thought = type(reply)(reply.reasoning).pieces(turn.by_token)
        deltas += [{"reasoning_content": piece} for piece in thought]
    deltas += [{"content": piece} for piece in reply.pieces(turn.by_token)]
    if reply.refusal:
        deltas.append({"refusal": reply.refusal})
    for index, call in enumerate(_tool_calls(turn)):
        deltas.append({"tool_calls": [{"index": index, **call}]})
    deltas = deltas or [{"content": reply.text}]
    deltas[0] = {"role": "assistant", **deltas[0]}
    read, written = reply.tokens(turn.body) or (0, 0)
    framed = []
    for number, one in enumerate(deltas, 1):
        so_far = {"prompt_tokens": read, "completion_tokens": written * number // len(deltas)}
        so_far["total_tokens"] = sum(so_far.values())
        more = {"usage": so_far} if reply.counts_every_chunk else {}
        framed.append(_frame(turn, [{"index": 0, "delta": one, "finish_reason": None}], **more))
    return framed


def closing(turn: Turn) -> bytes:
    """The finish reason, the usage where the client asked for it, and the end mark."""
    last = _frame(turn, [{"index": 0, "delta": {}, "finish_reason": _finish(turn)}])
    if (turn.body.get("stream_options") or {}).get("include_usage") and (usage := _usage(turn)):
        last += _frame(turn, [], usage=usage)
    return last + END


def _frame(turn: Turn, choices: list[dict[str, Any]], **more: Any) -> bytes:
    event = _envelope(turn, "chat.completion.chunk", choices, more)
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def _envelope(
    turn: Turn, kind: str, choices: list[dict[str, Any]], more: Mapping[str, Any]
) -> dict[str, Any]:
    head = {"id": f"chatcmpl-{turn.number}", "object": kind, "created": int(time.time())}
    return {**head, "model": turn.model, "choices": choices, **more}


def _completion(turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    message["refusal"] = reply.refusal or None
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = _tool_calls(turn)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(turn)}
    usage = _usage(turn)
    return _envelope(turn, "chat.completion", [choice], {"usage": usage} if usage else {})


def _tool_calls(turn: Turn) -> list[dict[str, Any]]:
    calls = []
    for index, call in enumerate(turn.reply.tool_calls):
        function = {"name": call["name"], "arguments": json.dumps(call.get("args", {}))}
        name = call.get("id") or f"call_{turn.number}_{index}"
        calls.append({"id": name, "type": "function", "function": function})
    return calls


def _finish(turn: Turn) -> str:
    reply = turn.reply
    return "tool_calls" if reply.tool_calls and reply.finish == "stop" else reply.finish


def _usage(turn: Turn) -> dict[str, int] | None:
    tokens = turn.reply.tokens(turn.body)
    if tokens is None:
        return None
    read, written = tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _embeddings(turn: Turn) -> dict[str, Any]:
    value = turn.body.get("input", "")
    # A list of numbers is one text that the client has tokenised already.
    texts = value if isinstance(value, list) and not isinstance(value[0], int) else [value]
    data: list[dict[str, Any]] = []
    for index, text in enumerate(texts):
        vector: Any = embedding(text, turn.body.get("dimensions"))
        if turn.body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": data, "model": turn.model, "usage": usage}


def _images(turn: Turn) -> dict[str, Any]:
    count = int(turn.body.get("n") or 1)
    prompt = str(turn.body.get("prompt", ""))
    image = turn.reply.picture
    drawn = [picture(f"{prompt} {n}") if image is None else image for n in range(count)]
    data: list[dict[str, Any]] = [{"b64_json": base64.b64encode(one).decode()} for one in drawn]
    if turn.reply.text is None:
        data = [{"b64_json": None} for _ in drawn]
    elif not turn.reply.text:
        data = []
    return {"created": int(time.time()), "data": data}
