"""The form in which a caller wants the answer: what the synthesizer is held to, for one run.

An endpoint's clients ask for it (`stop`, `max_tokens`, a JSON schema); the council decides as ever.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from mom_council.councils.records import Record


class AnswerForm(Record):
    """What is asked of the answer's form; what is left out is left to the council."""

    stop: tuple[str, ...] = Field(default=(), description="texts at which the answer ends")
    max_tokens: int | None = Field(default=None, ge=1, description="tokens of the answer alone")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    as_json: bool = Field(default=False, description="one JSON object and nothing around it")
    json_schema: dict[str, Any] | None = Field(default=None, description="that the answer fits")
    tools: tuple[dict[str, Any], ...] = Field(
        default=(), description="the caller's own tools, as OpenAI describes them"
    )
    must_call: bool = Field(default=False, description="a call is wanted, and no answer")

    @property
    def params(self) -> dict[str, Any]:
        """What the synthesizer's model is asked with."""
        named = {name: getattr(self, name) for name in ("max_tokens", "temperature", "top_p")}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def wanted(self) -> str:
        """What the prompt says of a JSON answer; empty for prose."""
        if self.json_schema is not None:
            schema = json.dumps(self.json_schema, ensure_ascii=False)
            return f"one JSON value that fits this JSON schema: {schema}"
        return "one JSON object" if self.as_json else ""

    @property
    def for_the_writer(self) -> str:
        """What the synthesizer is told of the caller's tools."""
        if not self.tools:
            return ""
        if self.must_call:
            return "Call one of the tools that you were given; do not answer in words."
        return (
            "Where one of the tools that you were given is needed for the answer, call it instead "
            "of answering; you will be asked again with what it gave."
        )

    @property
    def for_the_council(self) -> str:
        """What everybody else is told of them: nobody but the synthesizer can call one."""
        if not self.tools:
            return ""
        told = [tool["function"] for tool in self.tools]
        lines = [
            f"- {tool['name']}: {' '.join(str(tool.get('description') or '').split())[:500]}"
            for tool in told
        ]
        return (
            "Whoever asks can run these tools. Where one is needed, say which, and with which "
            "arguments:\n" + "\n".join(lines)
        )
