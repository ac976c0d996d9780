"""Rows in the form of vendors' batches: OpenAI's (Azure's, Mistral's), and Anthropic's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import ValidationError

from mom_council.deliberation.context import AnswerForm

REQUEST_KEYS = frozenset({"custom_id", "method", "url", "body"})
"""The columns of a row in the form of OpenAI's batches."""
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
_FORM = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    **{name: name for name in ("temperature", "top_p", "seed", "top_k")},
    **{name: name for name in ("frequency_penalty", "presence_penalty")},
}
"""Fields of a request's body that the answer is asked with; others are left aside."""


def looks_like_request(columns: dict[str, Any], column: str) -> bool:
    """Whether a row is meant as a request, though a key may be missing.

    Other vendors' batches leave `method` and `url` out; a table of articles has `url` and `body`
    too, so that a body that is no object needs a `custom_id` beside it.
    """
    if columns.keys() >= REQUEST_KEYS:
        return True
    if "custom_id" in columns and isinstance(columns.get("params"), dict):
        return True
    keys = columns.keys() & REQUEST_KEYS
    if column in columns or len(keys) < len(REQUEST_KEYS) // 2:
        return False
    return "custom_id" in keys or isinstance(columns.get("body"), dict)


class BatchRequest(NamedTuple):
    """A row in the form of a vendor's batches."""

    columns: dict[str, Any]
    """With `custom_id`, `method`, `url` and `body`, whatever was left out."""
    fault: str = ""
    """Why it cannot be answered; empty: it can."""
    messages: tuple[dict[str, Any], ...] = ()
    form: Mapping[str, Any] = MappingProxyType({})
    """What its body asks of the answer's form, as `AnswerForm` names it."""


def read_request(columns: dict[str, Any]) -> BatchRequest:
    """Read such a row: its conversation, and what it asks of the answer."""
    is_anthropics = "body" not in columns and isinstance(columns.get("params"), dict)
    body: Any = columns["params"] if is_anthropics else columns.get("body")
    if isinstance(body, str):  # as a table holds it
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(body)
    method, url, custom_id = (columns.get(name) for name in ("method", "url", "custom_id"))
    if url is None:
        url = RESPONSES if isinstance(body, dict) and "input" in body else CHAT
        url = MESSAGES if is_anthropics else url
    columns = {
        **columns,
        "custom_id": custom_id,
        "method": "POST" if method is None else method,
        "url": _path(url),
        "body": body,
    }
    if fault := _request_fault(columns):
        return BatchRequest(columns, fault)
    conversation = _conversation(columns["url"], body)
    messages = tuple(_plain_message(message) for message in conversation)
    return BatchRequest(columns, "", messages, _form(body))


def _request_fault(columns: dict[str, Any]) -> str:
    """Why such a row cannot be answered; empty: it can."""
    url, body, custom_id = columns["url"], columns["body"], columns["custom_id"]
    if not isinstance(custom_id, str) or not custom_id:
        return "'custom_id' holds no text"
    if str(columns["method"]).upper() != "POST" or url not in (CHAT, RESPONSES, MESSAGES):
        return f"only POST {CHAT}, POST {RESPONSES} and POST {MESSAGES} can be answered"
    if not isinstance(body, dict):
        return "'body' is no JSON object"
    conversation = _conversation(url, body)
    where = "body.input" if url == RESPONSES else "body.messages"
    if not isinstance(conversation, list):
        return f"{where} is no list of messages with role and content"
    added = len(conversation) - len(_written_messages(url, body))
    for at, message in enumerate(conversation):
        if fault := _message_fault(message):
            return f"{where}[{at - added}]: {fault}"
    if not any(message["role"] == "user" for message in conversation):
        return "there is no message of the role 'user'"
    return _body_fault(body)


def _body_fault(body: dict[str, Any]) -> str:
    if (body.get("tools") or body.get("functions")) and body.get("tool_choice") != "none":
        return "body.tools: a batch has nobody who runs tools"
    if body.get("n") not in (None, 1):
        return "body.n: a row has one answer"
    if body.get("previous_response_id"):
        return "body.previous_response_id: a batch keeps no earlier responses"
    try:
        AnswerForm.model_validate(_form(body))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"body.{first['loc'][0]}: {first['msg']}"
    return ""


def _conversation(url: str, body: dict[str, Any]) -> Any:
    """The messages of a body, each with its role in small letters."""
    conversation = _written_messages(url, body)
    if not isinstance(conversation, list):
        return conversation
    conversation = [*map(_usual_message, conversation)]
    first = body.get("instructions" if url == RESPONSES else "system")  # Anthropic's, outside
    if isinstance(first, str | list) and first:
        conversation = [{"role": "system", "content": first}, *conversation]
    return conversation


def _written_messages(url: str, body: dict[str, Any]) -> Any:
    written = body.get("input" if url == RESPONSES else "messages")
    return [{"role": "user", "content": written}] if isinstance(written, str) else written


def _path(url: Any) -> str:
    """The path of an address, which may be whole, or end with a slash, or name no version."""
    try:
        path = f"/{urlsplit(url).path.strip('/')}" if isinstance(url, str) else ""
    except ValueError:  # such as "http://[", which is no address
        return ""
    for endpoint in (CHAT, RESPONSES, MESSAGES):
        if path.endswith(endpoint.removeprefix("/v1")):
            return endpoint
    return path


def _usual_message(message: Any) -> Any:
    """A message with its role in small letters and its content as a text or a list."""
    if not isinstance(message, dict):
        return message
    role, content = message.get("role"), message.get("content")
    usual = role.lower() if isinstance(role, str) else role
    if content is None and usual == "assistant":
        content = ""
    return {
        **message,
        "role": usual,
        "content": [content] if isinstance(content, dict) else content,
    }


def _message_fault(message: Any) -> str:
    """What a message lacks that can be asked; empty: nothing."""
    if not isinstance(message, dict):
        return "is no message with role and content"
    if message.get("role") in ("tool", "function") or message.get("tool_calls"):
        return "a batch has nobody who runs tools"
    if message.get("role") not in ("system", "developer", "user", "assistant"):
        return "its role is none of system, user and assistant"
    return "" if isinstance(message.get("content"), str | list) else "its content is no text"


def _plain_message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as LangChain reads it, its parts under the names of chat completions."""
    role = "system" if message["role"] == "developer" else message["role"]
    content = message["content"]
    if isinstance(content, list):
        content = [_plain_part(part) for part in content]
    return {"role": role, "content": content}


def _plain_part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text", "")}
    source = part.get("source") if kind == "image" else None
    if isinstance(source, dict):  # as Anthropic has pictures
        data = f"data:{source.get('media_type')};base64,{source.get('data')}"
        url = source.get("url") if source.get("type") == "url" else data
        return {"type": "image_url", "image_url": {"url": url}}
    address = part.get("image_url") if kind in ("input_image", "image_url") else None
    if isinstance(address, str):
        return {"type": "image_url", "image_url": {"url": address}}
    return part


def _form(body: dict[str, Any]) -> dict[str, Any]:
    form = {ours: body[name] for name, ours in _FORM.items() if body.get(name) is not None}
    if form.get("max_tokens") in (-1, 0):  # how some programs write that there is no limit
        del form["max_tokens"]
    if stop := body.get("stop") or body.get("stop_sequences"):
        form["stop"] = [stop] if isinstance(stop, str) else stop
    text = body.get("text")
    shape = body.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    if isinstance(shape, str):
        shape = {"type": shape}
    if not isinstance(shape, dict):
        return form
    if shape.get("type") == "json_object":
        form["as_json"] = True
    if shape.get("type") == "json_schema":
        inner = shape.get("json_schema")
        form["json_schema"] = (inner if isinstance(inner, dict) else shape).get("schema")
    return form
