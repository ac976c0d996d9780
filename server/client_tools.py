"""The client's own tools: the synthesizer may ask for them, and the client runs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from mom_council.models.calls import ToolCall
from mom_council.server.body import Body
from mom_council.server.errors import Refusal, unsupported, wrong

MOST_TOOLS = 128


class Described(Body):
    """A function, as its client describes it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Body):
    """A tool of the client's, as a chat names it."""

    type: Literal["function"]
    function: Described


class FlatTool(Described):
    """A tool of the client's, as /v1/responses names it."""

    type: Literal["function"]

    @property
    def function(self) -> Described:
        """The function in it."""
        return Described.model_validate(self.model_dump(exclude={"type"}))


def chosen(
    tools: Sequence[Tool | FlatTool] | None, choice: str | dict[str, Any] | None
) -> tuple[tuple[dict[str, Any], ...], bool]:
    """The tools to hand to the synthesizer, and whether it must call one.

    Raises:
        Refusal: there is no such choice, or too many tools.
    """
    if not tools:
        if choice not in (None, "none", "auto"):
            raise wrong("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
        return (), False
    if len(tools) > MOST_TOOLS:
        raise wrong(f"Invalid value for 'tools': at most {MOST_TOOLS}.", "tools", "invalid_value")
    told = [tool.function.model_dump(exclude_none=True, exclude={"strict"}) for tool in tools]
    if choice == "none":
        return (), False
    if isinstance(choice, dict):
        if choice.get("type") != "function":
            raise unsupported("tool_choice", "Choose none, auto, required or a function.")
        inner = choice.get("function", choice)
        name = inner.get("name") if isinstance(inner, dict) else None
        told = [one for one in told if one["name"] == name]
        if not told:
            raise wrong("'tool_choice' names no tool that there is.", "tool_choice")
    elif choice not in (None, "auto", "required"):
        raise wrong("'tool_choice' is none, auto, required or a function.", "tool_choice")
    must = isinstance(choice, dict) or choice == "required"
    return tuple({"type": "function", "function": one} for one in told), must


def arguments_of(call: ToolCall) -> str:
    """What a call is made with, as clients read it: a JSON text."""
    return json.dumps(call.arguments or {}, ensure_ascii=False)


def in_chat(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Calls as a chat's message holds them."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.tool, "arguments": arguments_of(call)},
        }
        for call in calls
    ]


def in_responses(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Calls as items of a response."""
    return [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": call.tool,
            "arguments": arguments_of(call),
            "status": "completed",
        }
        for call in calls
    ]


def not_called() -> Refusal:
    """The refusal of an answer where a call was asked for."""
    return Refusal(
        502,
        "The council answered in words, and a tool call was asked for.",
        code="tool_not_called",
        headers={"x-should-retry": "false"},
    )
