"""A vendor that gives back the key it was sent: in a place and in a form that the model names."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

WORD = "quillermouth"
"""Stands in every answer and question, and nowhere else."""

FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda key: key,
    "address": lambda key: "".join(f"%{ord(letter):02X}" for letter in key),
    "escaped": lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    "base64": lambda key: base64.b64encode(f"id {key} end".encode()).decode(),
    "hex": lambda key: key.encode().hex(),
    "quoted": lambda key: quote(f"Bearer {key}", safe=""),
}
"""How a key is written."""

PLACES = (
    "text", "letters", "thoughts", "refusal", "arguments", "call_name", "call_id", "unknown_call",
    "bad_arguments", "listed", "blocks", "logprobs", "annotations", "citations", "header", "id",
    "model", "fingerprint", "finish", "usage", "role", "extra", "audio", "error_401", "error_429",
    "error_500_text", "error_in_200", "error_in_stream", "no_json", "redirect", "cut",
)  # fmt: skip
"""Where the key is given back."""


class EchoingVendor:
    """Speaks OpenAI's, Ollama's and Anthropic's protocol; use as a context.

    A model is called PLACE-FORM; what was asked is kept, without the header that held the key.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        """Of each request the model's name, and all that was sent but the key's own header."""
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Desk", (_Desk,), {"vendor": self})
        )
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Its address, without /v1."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> EchoingVendor:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Desk(BaseHTTPRequestHandler):
    vendor: EchoingVendor
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [], "models": [], "version": "0.9"}).encode())

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        held = {"authorization", "x-api-key"}
        sent = {k: v for k, v in self.headers.items() if k.lower() not in held}
        body = json.loads(raw or b"{}")
        self.vendor.requests.append(
            (str(body.get("model")), self.path.encode() + json.dumps(sent).encode() + raw)
        )
        key = self.headers.get("x-api-key") or self.headers.get("Authorization", "")
        if self.path.endswith(("/chat/completions", "/api/chat", "/messages")):
            self._answer(body, key.removeprefix("Bearer "))
        else:
            self._send(200, b'{"capabilities": ["completion", "tools"]}')

    def _answer(self, body: dict[str, Any], key: str) -> None:
        place, _, form = str(body["model"]).partition("-")
        secret = FORMS[form](key)
        headers = {"x-request-id": secret, "x-echo": secret} if place == "header" else {}
        said = f"{WORD} it is, {secret}"
        if place.startswith("error_") and place[6:9].isdigit() and place != "error_in_200":
            if place.endswith("_text"):
                self._send(500, f"<h1>{said}</h1>".encode(), kind="text/html")
                return
            error = {"message": said, "type": secret, "code": secret, "param": secret}
            whole = {"type": "error", "error": error, "request_id": secret}
            self._send(int(place[6:9]), json.dumps(whole).encode())
        elif place == "error_in_200":
            self._send(200, json.dumps({"error": {"message": said}}).encode())
        elif place == "no_json":
            self._send(200, said.encode(), kind="text/plain")
        elif place == "redirect":
            self._send(307, b"", {"Location": f"http://127.0.0.1:9/{secret}?k={secret}"})
        elif "/api/chat" in self.path:
            self._ollama(body, place, secret, headers)
        elif "/messages" in self.path:
            self._anthropic(body, place, secret, headers)
        else:
            self._openai(body, place, secret, headers)

    def _openai(
        self, body: dict[str, Any], place: str, secret: str, headers: dict[str, str]
    ) -> None:
        frames = [*_openai_frames(body, place, secret)]
        if body.get("stream"):
            lines = [f"data: {json.dumps(one)}\n\n" for one in frames]
            end = [] if place == "cut" else ["data: [DONE]\n\n"]
            self._stream([*lines, *end], "text/event-stream", headers)
            return
        whole = {**frames[-1], "object": "chat.completion"}
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        finish, extra = "stop", {}
        for frame in frames:
            for choice in frame.get("choices", ()):
                delta = dict(choice.get("delta") or {})
                message["content"] += delta.pop("content", "") or ""
                message |= delta
                finish = choice.get("finish_reason") or finish
                extra |= {k: v for k, v in choice.items() if k == "logprobs"}
        whole["choices"] = [{"index": 0, "message": message, "finish_reason": finish, **extra}]
        whole.setdefault("usage", {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6})
        self._send(200, json.dumps(whole).encode(), headers)

    def _ollama(
        self, body: dict[str, Any], place: str, secret: str, headers: dict[str, str]
    ) -> None:
        frames = [*_ollama_frames(body, place, secret)]
        lines = [json.dumps(one) + "\n" for one in frames]
        if body.get("stream", True):
            self._stream(lines, "application/x-ndjson", headers)
            return
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        for frame in frames:
            part = dict(frame.get("message") or {})
            message["content"] += part.pop("content", "") or ""
            message |= part
        self._send(200, json.dumps({**frames[-1], "message": message}).encode(), headers)

    def _anthropic(
        self, body: dict[str, Any], place: str, secret: str, headers: dict[str, str]
    ) -> None:
        events = [*_anthropic_events(body, place, secret)]
        lines = [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events]
        self._stream(lines, "text/event-stream", headers)

    def _stream(self, lines: list[str], kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for line in lines:
            part = line.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def _send(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        kind: str = "application/json",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _pieces(place: str, secret: str) -> list[str]:
    """The answer's text, in pieces."""
    if place == "letters":
        return [f"{WORD} ", *secret, " it is."]
    if place == "text":
        return [f"{WORD} it is, {secret} indeed."]
    return [f"{WORD} it is."]


_CALLS = ("arguments", "call_name", "call_id", "unknown_call", "bad_arguments", "listed")


def _call(body: dict[str, Any], place: str, secret: str) -> dict[str, Any] | None:
    """A tool call that holds the key, where the place is one of a call."""
    if place not in _CALLS:
        return None
    if any(message.get("role") == "tool" for message in body.get("messages", ())):
        return None
    if not (tools := body.get("tools")) and place != "unknown_call":
        return None
    name = "nobody"
    if tools:
        name = (tools[0].get("function") or tools[0])["name"]
    ways: dict[str, dict[str, Any]] = {
        "arguments": {"args": {"town": f"{WORD} {secret}", secret: [secret]}},
        "unknown_call": {"args": {"town": secret}, "name": "nobody"},
        "listed": {"args": {"town": [*secret], "bytes": [*secret.encode()]}},
        "call_name": {"name": secret},
        "call_id": {"id": secret},
        "bad_arguments": {"bad": f'{{"town": "{secret}'},
    }
    return {"id": "call_1", "name": name, "args": {"town": "Bern"}, **ways[place]}


def _openai_frames(body: dict[str, Any], place: str, secret: str) -> Iterator[dict[str, Any]]:
    heads: dict[str, dict[str, Any]] = {
        "id": {"id": secret},
        "model": {"model": secret},
        "fingerprint": {
            "system_fingerprint": secret,
            "service_tier": secret,
            "provider": secret,
        },
        "citations": {
            "citations": [f"https://example.org/{secret}"],
            "search_results": [secret],
        },
    }
    head: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body["model"],
        **heads.get(place, {}),
    }

    def frame(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}

    yield frame({"role": secret if place == "role" else "assistant"})
    if place == "error_in_stream":
        yield {"error": {"message": f"{WORD} lost {secret}", "code": secret}}
        return
    call = _call(body, place, secret)
    for delta in _openai_deltas(place, secret, call):
        yield frame(delta, **_openai_logprobs(place, secret))
    usage: dict[str, Any] = {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    if place == "usage":
        usage |= {secret: 7, "details": secret, "cost": secret}
    finish = secret if place == "finish" else "tool_calls" if call is not None else "stop"
    yield {**frame({}, finish), "usage": usage}


def _openai_deltas(
    place: str, secret: str, call: dict[str, Any] | None
) -> Iterator[dict[str, Any]]:
    if place == "thoughts":
        for piece in (f"{WORD} ", *secret):
            yield {"reasoning_content": piece, "reasoning": piece}
    if place == "refusal":
        yield {"refusal": f"{WORD}: no, {secret}"}
        return
    if call is not None:
        written = call.get("bad") or json.dumps(call["args"])
        function = {"name": call["name"], "arguments": written}
        made = {"index": 0, "id": call["id"], "type": "function", "function": function}
        yield {"tool_calls": [made]}
        return
    cited = {"url": f"https://example.org/?k={secret}", "title": secret}
    beside: dict[str, dict[str, Any]] = {
        "annotations": {"annotations": [{"type": "url_citation", "url_citation": cited}]},
        "extra": {"debug": secret, "provider_specific_fields": {"key": secret}},
        "audio": {"audio": {"id": secret, "transcript": secret}},
    }
    for piece in _pieces(place, secret):
        yield {"content": piece, **beside.get(place, {})}


def _openai_logprobs(place: str, secret: str) -> dict[str, Any]:
    if place != "logprobs":
        return {}
    tokens = [
        {"token": part, "logprob": -0.1, "bytes": [*part.encode()]} for part in (secret, *secret)
    ]
    return {"logprobs": {"content": [{**one, "top_logprobs": [one]} for one in tokens]}}


def _ollama_frames(body: dict[str, Any], place: str, secret: str) -> Iterator[dict[str, Any]]:
    head = {"model": secret if place == "model" else body["model"], "created_at": "2026-01-01"}
    if place == "id":
        head["created_at"] = secret
    if place == "error_in_stream":
        yield {**head, "message": {"role": "assistant", "content": WORD}, "done": False}
        yield {"error": f"{WORD} lost {secret}"}
        return
    if place == "thoughts":
        for piece in (f"{WORD} ", *secret):
            message = {"role": "assistant", "content": "", "thinking": piece}
            yield {**head, "message": message, "done": False}
    call = _call(body, place, secret)
    if call is not None:
        function = {"name": call["name"], "arguments": call.get("bad") or call["args"]}
        message = {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}
        yield {**head, "message": message, "done": False}
    for piece in () if call is not None else _pieces(place, secret):
        role = secret if place == "role" else "assistant"
        yield {**head, "message": {"role": role, "content": piece}, "done": False}
    done = secret if place == "finish" else "stop"
    more = {"logprobs": [{"token": secret, "logprob": -1.0}]} if place == "logprobs" else {}
    if place in ("extra", "usage", "fingerprint"):
        more |= {"debug": secret}
    yield {
        **head, **more, "message": {"role": "assistant", "content": ""}, "done": True,
        "done_reason": done, "prompt_eval_count": 3, "eval_count": 3,
    }  # fmt: skip


def _anthropic_events(body: dict[str, Any], place: str, secret: str) -> Iterator[dict[str, Any]]:
    usage: dict[str, Any] = {"input_tokens": 3, "output_tokens": 1}
    if place == "usage":
        usage |= {"service_tier": secret, secret: 3}
    message = {
        "id": secret if place == "id" else "msg_1", "type": "message", "role": "assistant",
        "model": secret if place == "model" else body["model"], "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    yield {"type": "message_start", "message": message}
    if place == "error_in_stream":
        yield {"type": "error", "error": {"type": secret, "message": f"{WORD} lost {secret}"}}
        return
    call = _call(body, place, secret)
    for index, (start, deltas) in enumerate(_anthropic_blocks(place, secret, call)):
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = secret if place == "finish" else "tool_use" if call is not None else "end_turn"
    end = {"stop_reason": stop, "stop_sequence": secret if place == "extra" else None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": 3}}
    if place != "cut":
        yield {"type": "message_stop"}


def _anthropic_blocks(
    place: str, secret: str, call: dict[str, Any] | None
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    text = {"type": "text", "text": ""}
    if place == "thoughts":
        pieces = [{"type": "thinking_delta", "thinking": one} for one in (f"{WORD} ", *secret)]
        pieces.append({"type": "signature_delta", "signature": secret})
        yield {"type": "thinking", "thinking": "", "signature": ""}, pieces
    if call is not None:
        start = {"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}}
        written = call.get("bad") or json.dumps(call["args"])
        yield start, [{"type": "input_json_delta", "partial_json": written}]
        return
    parts: list[dict[str, Any]] = [
        {"type": "text_delta", "text": piece} for piece in _pieces(place, secret)
    ]
    if place in ("annotations", "citations"):
        cited = {
            "type": "char_location", "cited_text": secret, "document_index": 0,
            "document_title": secret, "start_char_index": 0, "end_char_index": 1,
        }  # fmt: skip
        parts.append({"type": "citations_delta", "citation": cited})
    yield text, parts
    if place == "blocks":
        for half in (secret[: len(secret) // 2], secret[len(secret) // 2 :]):
            yield dict(text), [{"type": "text_delta", "text": half}]
