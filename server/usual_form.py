"""Bodies that say the same in another way, brought into the usual form of their address.

Clients send one vendor's parts to another vendor's address, numbers as text, one object in place of
a list. What such a body means is not in doubt, so nothing is refused and nothing is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo

from mom_council.server.usual_parts import (
    TEXTS,
    Json,
    as_text,
    call_arguments,
    chat_part,
    inner_of,
    is_part,
    kind_of,
    parts_of,
    use_anthropic_tool,
    use_flat_picture,
    use_flat_tool,
    use_image_block,
    use_nested_tool,
    use_picture_source,
    use_text_source,
    use_usual_choice,
)

UNREAD = "(a picture or a file, which is not shown here)"

_ROLES = {
    "human": "user",
    "function": "tool",
    **dict.fromkeys(("ai", "model", "bot"), "assistant"),
}
_USUAL_ROLES = frozenset({"user", "assistant", "system", "developer", "tool"})
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}(\.0*)?")
_NUMBER = re.compile(r"[+-]?(\d{1,18}(\.\d{0,30})?|\.\d{1,30})")


def use_usual_scalars(raw: Json, fields: Mapping[str, FieldInfo]) -> None:
    """Numbers and truth values that are written as text become what they are to be."""
    for name, field in fields.items():
        kinds = set(get_args(field.annotation))
        value = raw.get(name)
        if isinstance(value, str) and str not in kinds:
            raw[name] = _scalar(value.strip(), kinds, value)
        elif isinstance(value, float) and int in kinds and float not in kinds:
            raw[name] = int(value) if value.is_integer() and abs(value) < 2**63 else value


def _scalar(text: str, kinds: set[Any], value: str) -> Any:
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if int in kinds and _WHOLE_NUMBER.fullmatch(text):
        return int(float(text))
    if float in kinds and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return value


def use_usual_chat(raw: Json) -> None:
    """Bring a body of /v1/chat/completions into its usual form."""
    if "messages" not in raw and "input" in raw:
        _use_chat_for_responses(raw)
    messages = raw.get("messages")
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if isinstance(messages, dict):
        messages = [messages]
    if isinstance(messages, list):
        raw["messages"] = [*_chat_messages(messages)]
    for tool in parts_of(raw.get("tools")):
        use_nested_tool(tool)
    use_usual_choice(raw)
    _use_usual_format(raw)
    reasoning = raw.get("reasoning")
    if isinstance(reasoning, dict) and isinstance(reasoning.get("effort"), str):
        raw.setdefault("reasoning_effort", reasoning.pop("effort"))
        raw["reasoning"] = reasoning or None


def use_usual_responses(raw: Json) -> None:
    """Bring a body of /v1/responses into its usual form."""
    if "input" not in raw and "messages" in raw:
        raw["input"] = raw.pop("messages")
    items = raw.get("input")
    if isinstance(items, dict):
        items = [items]
    if isinstance(items, list):
        raw["input"] = items = [_item(item) for item in items]
    for item in parts_of(items):
        if isinstance(item.get("content"), dict):
            item["content"] = [item["content"]]
        output = item.get("output")
        if "output" in item and not isinstance(output, str | list):
            item["output"] = [output] if is_part(output) else as_text(output)
        for field in ("content", "output"):
            for part in parts_of(item.get(field)):
                use_flat_picture(part)
    for tool in parts_of(raw.get("tools")):
        use_flat_tool(tool)
    use_usual_choice(raw)


def use_usual_messages(raw: Json) -> None:
    """Bring a body of /v1/messages into its usual form."""
    if isinstance(raw.get("system"), dict):
        raw["system"] = [raw["system"]]
    for message in parts_of(raw.get("messages")):
        if isinstance(message.get("content"), dict):
            message["content"] = [message["content"]]
        for block in parts_of(message.get("content")):
            _use_usual_block(block)
    for tool in parts_of(raw.get("tools")):
        use_anthropic_tool(tool)
    choice = raw.get("tool_choice")
    kind = choice if isinstance(choice, str) else kind_of(choice)
    if isinstance(choice, dict) and kind == "function":
        raw["tool_choice"] = {"type": "tool", "name": inner_of(choice, "function").get("name")}
    elif kind == "required" or isinstance(choice, str):
        raw["tool_choice"] = {"type": "any" if kind == "required" else kind}


def _use_usual_block(block: Json) -> None:
    match kind_of(block):
        case "tool_use" if not isinstance(block.get("input"), dict):
            block["input"] = call_arguments(block.get("input"))
        case "image_url":
            use_image_block(block)
        case "image":
            use_picture_source(block)
        case "document":
            use_text_source(block)


def _chat_messages(messages: list[Any]) -> Iterator[Any]:
    """The messages in the usual form; what stands in Anthropic's blocks becomes messages."""
    calls: list[str] = []  # those that have no result yet
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            yield message
            continue
        role = _use_usual_role(message)
        if role == "assistant":
            _use_usual_calls(message, place)
            calls = [call["id"] for call in parts_of(message.get("tool_calls")) if call.get("id")]
        elif role == "tool":
            name = message["tool_call_id"] = (
                message.get("tool_call_id") or (calls or [f"call_{place}"])[0]
            )
            calls = [call for call in calls if call != name]
        content = message.get("content")
        if role == "user" and isinstance(content, list):
            rest = [part for part in content if not _is_result(part)]
            yield from (_tool_message(part) for part in content if _is_result(part))
            if not rest and content:
                continue
            message["content"] = rest
        _use_usual_content(message, role)
        yield message


def _use_usual_role(message: Json) -> str:
    """Who speaks; a role that nobody knows stays as it is."""
    role = message.get("role")
    if not isinstance(role, str):
        return ""
    small = role.strip().lower()
    usual = _ROLES.get(small, small)
    message["role"] = usual if usual in _USUAL_ROLES else role
    return usual


def _is_result(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_result"


def _tool_message(part: Json) -> Json:
    message = {
        "role": "tool",
        "tool_call_id": part.get("tool_use_id"),
        "content": part.get("content"),
    }
    _use_usual_content(message, "tool")
    return message


def _use_usual_calls(message: Json, place: int) -> None:
    """The calls of a message, each with an id, a type and its arguments as text."""
    old = message.pop("function_call", None)
    calls = message.get("tool_calls")
    if isinstance(old, dict) and not calls:
        message["tool_calls"] = calls = [{"function": old}]
    content = message.get("content")
    uses = [part for part in parts_of(content) if part.get("type") == "tool_use"]
    if uses and not calls:
        message["content"] = [part for part in content or () if kind_of(part) != "tool_use"]
        message["tool_calls"] = calls = [
            {
                "id": use.get("id"),
                "function": {"name": use.get("name"), "arguments": use.get("input")},
            }
            for use in uses
        ]
    for number, call in enumerate(parts_of(calls)):
        custom = call.pop("custom", None) if call.get("type") == "custom" else None
        if isinstance(custom, dict):
            arguments = {"input": custom.get("input")}
            call["function"] = {"name": custom.get("name"), "arguments": arguments}
        function = call.get("function")
        if not isinstance(function, dict):
            continue
        call["type"] = "function"
        call["id"] = call.get("id") or f"call_{place}_{number}"
        if not isinstance(function.get("arguments"), str):
            function["arguments"] = as_text(function.get("arguments")) or "{}"


def _use_usual_content(message: Json, role: Any) -> None:
    """The content of a message as a text, or as parts that a chat has."""
    content = message.get("content")
    if content is None and role in ("user", "tool"):
        message["content"] = ""
    elif role == "tool" and not isinstance(content, str | list) and not is_part(content):
        message["content"] = as_text(content)
    elif isinstance(content, dict):
        message["content"] = [content]
    if not isinstance(message.get("content"), list):
        return
    parts = [chat_part(part) for part in message["content"]]
    if role == "assistant":
        parts = [part for part in parts if kind_of(part) not in _THOUGHTS]
    elif role in ("system", "developer", "tool"):
        parts = [
            {"type": "text", "text": UNREAD} if kind_of(part) in ("image_url", "file") else part
            for part in parts
        ]
    message["content"] = parts


def _item(item: Any) -> Any:
    """An item of /v1/responses: a text, or a part of a message, is the user's."""
    if isinstance(item, str):
        return {"role": "user", "content": item}
    if kind_of(item) in (*TEXTS, "input_image", "input_file"):
        return {"role": "user", "content": [item]}
    return item


def _use_chat_for_responses(raw: Json) -> None:
    """Make a body of /v1/responses one of a chat: Cursor sends the one to the other's address."""
    use_usual_responses(raw)
    items = raw.pop("input")
    messages: list[Any] = [{"role": "user", "content": items}] if isinstance(items, str) else []
    if raw.get("instructions"):
        messages.insert(0, {"role": "system", "content": raw.pop("instructions")})
    for item in items if isinstance(items, list) else ():
        match kind_of(item):
            case "function_call" | "custom_tool_call":
                arguments = item.get("arguments", {"input": item.get("input")})
                function = {"name": item.get("name"), "arguments": arguments}
                call = {"id": item.get("call_id"), "function": function}
                if messages and messages[-1].get("tool_calls"):
                    messages[-1]["tool_calls"].append(call)
                else:
                    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case "function_call_output" | "custom_tool_call_output":
                result = {"tool_call_id": item.get("call_id"), "content": item.get("output")}
                messages.append({"role": "tool", **result})
            case "message" | "":
                messages.append(item)
            case _:
                pass  # thoughts, and what tools did that are no functions
    raw["messages"] = messages
    text = raw.pop("text", None)
    if isinstance(text, dict):
        renamed = {"response_format": text.get("format"), "verbosity": text.get("verbosity")}
        raw.update({name: value for name, value in renamed.items() if value is not None})
    if "max_output_tokens" in raw:
        raw["max_completion_tokens"] = raw.pop("max_output_tokens")


def _use_usual_format(raw: Json) -> None:
    """The form of the answer as a chat has it: the schema in it, with a name that can be one."""
    form = raw.get("response_format")
    if isinstance(form, str):
        raw["response_format"] = form = {"type": form}
    if not isinstance(form, dict):
        return
    names = ("name", "schema", "strict", "description")
    if "schema" in form and form.get("type") in ("json_schema", "json_object"):
        inner = {name: form.pop(name) for name in names if name in form}
        if isinstance(inner["schema"], dict):
            form.update(type="json_schema", json_schema=inner)
    schema = form.get("json_schema")
    if isinstance(schema, dict):
        name = schema.get("name")
        usual = _NOT_IN_NAMES.sub("_", name)[:64] if isinstance(name, str) else ""
        schema["name"] = usual or "reply"
        if isinstance(schema.get("strict"), str):
            schema["strict"] = schema["strict"].lower() == "true"
