"""How Ollama's HTTP interface writes answers, chunks, errors and what it has."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .media import embedding
from .script import Script
from .wire import Turn

STREAM_TYPE = "application/x-ndjson"
VERSION = "0.13.0"
CHAT = "/api/chat"
GENERATE = "/api/generate"
EMBED = "/api/embed"
_LONG = timedelta(days=36500)


def full_name(model: str) -> str:
    """A name with its tag, as Ollama lists it."""
    return model if ":" in model else f"{model}:latest"


def streams(path: str, body: Mapping[str, Any]) -> bool:
    """Always, except where the body says no."""
    return path != EMBED and body.get("stream") is not False


def error(status: int, message: str, code: str = "") -> bytes:
    """Ollama's error body is its words alone."""
    return json.dumps({"error": message}).encode()


def error_frame(message: str) -> bytes:
    """A line that carries an error."""
    return error(500, message) + b"\n"


def unknown(model: str) -> bytes:
    """Ollama's words for a model that was not pulled."""
    return error(404, f"model '{model}' not found")


def asks_nothing(path: str, body: Mapping[str, Any]) -> bool:
    """Whether a call only loads or unloads its model: it has no messages, no prompt."""
    return not body.get({CHAT: "messages", GENERATE: "prompt"}.get(path, "input"))


def whole(turn: Turn) -> bytes:
    """A chat answer, a completion, or embeddings, by the path."""
    reply = turn.reply
    if turn.path == EMBED:
        value = turn.body.get("input", "")
        texts = value if isinstance(value, list) else [value]
        vectors = [embedding(text, turn.body.get("dimensions")) for text in texts]
        return json.dumps(
            {"model": turn.model, "embeddings": vectors, "prompt_eval_count": len(texts)}
        ).encode()
    body = {"content": reply.text if reply.text is not None or not reply.refusal else reply.refusal}
    if reply.reasoning and turn.body.get("think") is not False:
        body["thinking"] = reply.reasoning
    calls = {"tool_calls": _tool_calls(turn)} if reply.tool_calls else {}
    return json.dumps(_line(turn, {**body, **calls}, **_ending(turn))).encode()


def chunks(turn: Turn) -> list[bytes]:
    """The lines of a streamed answer."""
    reply = turn.reply
    messages: list[dict[str, Any]] = []
    if reply.reasoning and turn.body.get("think") is not False:
        thought = type(reply)(reply.reasoning).pieces(turn.by_token)
        messages += [{"content": "", "thinking": piece} for piece in thought]
    messages += [{"content": piece} for piece in reply.pieces(turn.by_token)]
    if reply.refusal:
        messages.append({"content": reply.refusal})
    if reply.tool_calls:
        messages.append({"content": "", "tool_calls": _tool_calls(turn)})
    if reply.text is None and not messages:
        messages.append({"content": None})
    return [json.dumps(_line(turn, one, done=False)).encode() + b"\n" for one in messages]


def closing(turn: Turn) -> bytes:
    """The line that says done, with counts and times."""
    return json.dumps(_line(turn, {"content": ""}, **_ending(turn))).encode() + b"\n"


def tags(scripts: Mapping[str, Script]) -> dict[str, Any]:
    """The answer of /api/tags: every scripted model."""
    return {"models": [_card(name, script) for name, script in scripts.items()]}


def in_memory(
    scripts: Mapping[str, Script],
    residents: Mapping[str, float],
    context_of: Callable[[str], int | None],
) -> dict[str, Any]:
    """The answer of /api/ps: the loaded models, all of them wholly on the GPU."""
    cards = []
    for name, seconds in residents.items():
        script = scripts.get(name, Script())
        stays = _LONG if math.isinf(seconds) else timedelta(seconds=seconds)
        until = (datetime.now(UTC) + stays).isoformat()
        context = context_of(name) or script.context
        on_gpu = script.size if script.on_gpu is None else script.on_gpu
        memory = {"size_vram": on_gpu, "context_length": context, "expires_at": until}
        cards.append({**_card(name, script), **memory})
    return {"models": cards}


def show(script: Script) -> dict[str, Any]:
    """The answer of /api/show."""
    info = {"general.architecture": "llama", "llama.context_length": script.context}
    return {
        "modelfile": "",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(script),
        "model_info": info,
        "capabilities": list(script.capabilities),
        "modified_at": "2026-01-01T00:00:00Z",
    }


def _line(turn: Turn, said: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    head = {"model": turn.model, "created_at": datetime.now(UTC).isoformat()}
    if turn.path == GENERATE:
        rest = {name: value for name, value in said.items() if name != "content"}
        return {**head, "response": said["content"], **rest, **more}
    return {**head, "message": {"role": "assistant", **said}, **more}


def _ending(turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    ending: dict[str, Any] = {"done": True}
    # Ollama has no filter and ends tool calls with a plain stop.
    is_ours = reply.finish in ("stop", "length", "load", "unload")
    ending["done_reason"] = reply.finish if is_ours else "stop"
    ending["total_duration"] = int((turn.loading + turn.speaking) * 1e9)
    ending["load_duration"] = int(turn.loading * 1e9)
    if (tokens := reply.tokens(turn.body)) is not None:
        ending["prompt_eval_count"], ending["eval_count"] = tokens
        ending["prompt_eval_duration"] = 0
        ending["eval_duration"] = int(turn.speaking * 1e9)
    return ending


def _tool_calls(turn: Turn) -> list[dict[str, Any]]:
    return [
        {"function": {"name": call["name"], "arguments": call.get("args", {})}}
        for call in turn.reply.tool_calls
    ]


def _card(name: str, script: Script) -> dict[str, Any]:
    named = full_name(name)
    return {
        "name": named,
        "model": named,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": script.size,
        "digest": hashlib.sha256(named.encode()).hexdigest(),
        "details": _details(script),
    }


def _details(script: Script) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": script.family,
        "families": [script.family],
        "parameter_size": script.parameters,
        "quantization_level": script.quantization,
    }
