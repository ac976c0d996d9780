"""Parts of bodies in the usual form of their address: content, pictures, tools and their calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

TEXTS = frozenset({"text", "input_text", "output_text"})
_DATA_ADDRESS = re.compile(r"\s*data:\s*([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_WEB_ADDRESS = re.compile(r"\s*https?://", re.IGNORECASE)
_PICTURES = {"iVBORw0KGgo": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}
"""How the base64 of a picture begins, and what kind it is."""
_ANY_TYPE = ("", "application/octet-stream")
"""Media types that say nothing: the bytes do."""
_PICTURE_PARTS = frozenset({"image", "image_url", "input_image"})


def parts_of(value: Any) -> list[Json]:
    """The objects in a list."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def kind_of(part: Any) -> str:
    """The type that a part says; empty: none."""
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def inner_of(value: Json, key: str) -> Json:
    """The object under a key; the whole where there is none."""
    inner = value.get(key)
    return inner if isinstance(inner, dict) else value


def is_part(value: Any) -> bool:
    """Whether it is an object that says its type."""
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def as_text(value: Any) -> str:
    """A value as text: what is no text becomes JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def call_arguments(value: Any) -> Json:
    """What a tool was called with; where it is no object, what it is stands as the one argument."""
    if isinstance(value, str):
        try:
            read = json.loads(value or "{}") or {}
        except (ValueError, RecursionError):
            read = value
        value = read if isinstance(read, dict) else value
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"arguments": value}


def chat_part(part: Any) -> Any:
    """A part of a message as a chat has it; one of an unknown kind stays as it is."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    match kind_of(part):
        case kind if kind in TEXTS:
            part["type"] = "text"
        case "image_url" | "input_image":
            address = part.get("image_url")
            if isinstance(address, str):
                part["image_url"] = {"url": address, "detail": part.pop("detail", None)}
            part["type"] = "image_url"
            _use_usual_address(part.get("image_url"), "url")
        case "image" | "document" if isinstance(part.get("source"), dict):
            return _part_of_source(part, part["source"])
        case "input_file":
            names = ("filename", "file_data")
            return {"type": "file", "file": {name: part[name] for name in names if name in part}}
        case _:
            pass
    return part


def _part_of_source(part: Json, source: Json) -> Json:
    """A picture or a document as a chat has it, from one of Anthropic's."""
    data, media_type = source.get("data"), source.get("media_type")
    if source.get("type") == "text" and isinstance(data, str):
        return {"type": "text", "text": data}
    if source.get("type") == "url" and part["type"] == "image":
        return {"type": "image_url", "image_url": {"url": source.get("url")}}
    if source.get("type") != "base64" or not isinstance(media_type, str):
        return part
    address = f"data:{media_type.lower()};base64,{data}"
    if part["type"] == "image":
        return {"type": "image_url", "image_url": {"url": usual_address(address)}}
    name = part.get("title") or "document.pdf"
    return {"type": "file", "file": {"filename": name, "file_data": address}}


def use_image_block(block: Json) -> None:
    """Make a chat's picture one of Anthropic's."""
    address = inner_of(block, "image_url").get("url", block.get("image_url"))
    if isinstance(address, str):
        del block["image_url"]
        block.update(type="image", source={"type": "url", "url": usual_address(address)})


def use_picture_source(block: Json) -> None:
    """Say the media type of one of Anthropic's pictures, where the client says none."""
    source = block.get("source")
    if not isinstance(source, dict):
        return
    media_type = picture_type(str(source.get("data")))
    if media_type and source.get("media_type") in (None, *_ANY_TYPE):
        source["media_type"] = media_type
    _use_usual_address(source, "url")


def unread_pictures(value: Any, path: str) -> Iterator[str]:
    """The places of pictures in a conversation that are of no kind that we read."""
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from unread_pictures(one, f"{path}[{number}]")
    elif isinstance(value, dict):
        for key in ("content", "output"):
            yield from unread_pictures(value.get(key), f"{path}.{key}")
        for key in ("image_url", "source") if kind_of(value) in _PICTURE_PARTS else ():
            inner, way = value.get(key), f"{path}.{key}"
            if isinstance(inner, dict):
                names = [name for name in ("url", "data") if _is_unread(inner.get(name), name)]
                yield from (f"{way}.{name}" for name in names)
            elif _is_unread(inner, "url"):
                yield way


def _is_unread(text: Any, name: str) -> bool:
    """Whether it holds a picture's bytes, of a kind that we do not read."""
    if not isinstance(text, str) or (name == "url" and not text.startswith("data:")):
        return False
    begin = text.find(",") + 1 if name == "url" else 0
    return not picture_type(text[begin : begin + 64])


def use_text_source(block: Json) -> None:
    """Make a document of text blocks one whose text is one piece."""
    source = block.get("source")
    content = source.get("content") if isinstance(source, dict) else None
    texts = [part.get("text") for part in parts_of(content)]
    words = content if isinstance(content, str) else None
    if texts and all(isinstance(text, str) for text in texts):
        words = "\n\n".join(str(text) for text in texts)
    if words is not None:
        block["source"] = {"type": "text", "data": words}


def use_flat_picture(part: Json) -> None:
    """Make a chat's picture one of /v1/responses."""
    if part.get("type") not in ("image_url", "input_image"):
        return
    address = part.get("image_url")
    if isinstance(address, dict):
        part["image_url"] = address.get("url")
        if "detail" in address:
            part.setdefault("detail", address["detail"])
    part["type"] = "input_image"
    _use_usual_address(part, "image_url")


def _use_usual_address(holder: Any, key: str) -> None:
    if not isinstance(holder, dict):
        return
    if isinstance(holder.get(key), str):
        holder[key] = usual_address(holder[key])
    if "detail" in holder and holder["detail"] not in ("auto", "low", "high"):
        del holder["detail"]


def usual_address(address: str) -> str:
    """An address with its scheme and media type in small letters, without further parameters."""
    if match := _DATA_ADDRESS.match(address):
        kind, parameters = match[1].strip().lower(), match[2].lower()
        data = address[match.end() :]
        encoding = ";base64" if "base64" in parameters.replace(" ", "").split(";") else parameters
        if kind in _ANY_TYPE and encoding == ";base64":
            kind = picture_type(data) or kind
        return f"data:{kind}{encoding},{data}"
    if match := _WEB_ADDRESS.match(address):
        return match[0].strip().lower() + address[match.end() :]
    if media_type := picture_type(address):
        return f"data:{media_type};base64,{address}"
    return address


def picture_type(text: str) -> str:
    """The media type of a picture in base64, by its first bytes; empty: of no kind that we read."""
    begins = text[:64].lstrip()
    kinds = (kind for beginning, kind in _PICTURES.items() if begins.startswith(beginning))
    return next((f"image/{kind}" for kind in kinds), "")


def _is_function(tool: Json) -> bool:
    """Whether it is a function of the client's, in whichever vendor's form."""
    kind = tool.get("type")
    if kind == "custom":
        return "input_schema" in tool
    return kind in (None, "function") and isinstance(inner_of(tool, "function").get("name"), str)


def _described(tool: Json) -> Json:
    """A function in no vendor's form."""
    inner = inner_of(tool, "function")
    names = ("name", "description", "strict")
    described = {name: inner[name] for name in names if name in inner}
    schema = inner.get("parameters", inner.get("input_schema"))
    return {**described, "parameters": schema} if schema is not None else described


def use_nested_tool(tool: Json) -> None:
    """Make a function one of a chat."""
    if isinstance(tool.get("function"), dict):
        tool.setdefault("type", "function")
    elif _is_function(tool):
        described = _described(tool)
        tool.clear()
        tool.update(type="function", function=described)


def use_flat_tool(tool: Json) -> None:
    """Make a function one of /v1/responses."""
    if _is_function(tool) and ("function" in tool or "type" not in tool or "input_schema" in tool):
        described = _described(tool)
        tool.clear()
        tool.update(type="function", **described)


def use_anthropic_tool(tool: Json) -> None:
    """Make a function one of /v1/messages."""
    if _is_function(tool) and "input_schema" not in tool:
        described = _described(tool)
        tool.clear()
        schema = described.pop("parameters", None) or {"type": "object", "properties": {}}
        tool.update(**described, input_schema=schema)


def use_usual_choice(raw: Json) -> None:
    """The choice of a tool as OpenAI has it; of tools that are allowed the others are left out."""
    choice = raw.get("tool_choice")
    kind = choice if isinstance(choice, str) else kind_of(choice)
    if kind in ("auto", "none", "required", "any"):
        raw["tool_choice"] = "required" if kind == "any" else kind
    elif not isinstance(choice, dict):
        return
    elif kind == "tool":
        raw["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif kind == "allowed_tools" and isinstance(raw.get("tools"), list):
        allowed = inner_of(choice, "allowed_tools")
        names = [inner_of(tool, "function").get("name") for tool in parts_of(allowed.get("tools"))]
        raw["tools"] = [
            tool
            for tool in raw["tools"]
            if isinstance(tool, dict) and inner_of(tool, "function").get("name") in names
        ]
        raw["tool_choice"] = allowed.get("mode", "auto")
