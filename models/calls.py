"""A tool call that a model asked for, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mom_council.records import Record

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage


class ToolCall(Record):
    """What a model asks for. Its arguments are as it wrote them, and not yet checked."""

    id: str
    tool: str
    arguments: dict[str, Any] | None = Field(
        default_factory=dict, description="None where what it wrote is no JSON object"
    )

    @property
    def wire(self) -> dict[str, Any]:
        """The call as LangChain writes it into a message."""
        return {
            "type": "tool_call",
            "id": self.id,
            "name": self.tool,
            "args": self.arguments or {},
        }

    @property
    def words(self) -> str:
        """The call as a model is taught to write it, where it has no way of its own."""
        return json.dumps({"tool": self.tool, "arguments": self.arguments or {}})


class ToolResult(Record):
    """What came of a call: what the model is told, and what happened."""

    id: str
    tool: str
    text: str = Field(description="bounded, and without any secret")
    failed: bool = False
    seconds: float = 0.0


def tool_calls_in(message: AIMessage) -> tuple[ToolCall, ...]:
    """The calls that a message asks for, readable or not, in their order; ids are made unique."""
    found: Sequence[Mapping[str, Any]] = [
        *message.tool_calls,
        *({**call, "args": None} for call in message.invalid_tool_calls),
    ]
    seen: set[str] = set()
    calls = []
    for place, call in enumerate(found):
        name = call["id"] or f"call_{place}"
        while name in seen:
            name += "_"
        seen.add(name)
        args = call["args"]
        calls.append(
            ToolCall(
                id=name,
                tool=call["name"] or "",
                arguments=dict(args) if isinstance(args, Mapping) else None,
            )
        )
    return tuple(calls)
