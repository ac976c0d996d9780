"""The form in which a caller wants the answer: what the synthesizer is held to, for one run.

An endpoint's clients ask for it (`stop`, `max_tokens`, a JSON schema); the council decides as ever.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from mixture_of_models.councils.records import Record


class AnswerForm(Record):
    """What is asked of the answer's form; what is left out is left to the council."""

    stop: tuple[str, ...] = Field(default=(), description="texts at which the answer ends")
    max_tokens: int | None = Field(default=None, ge=1, description="tokens of the answer alone")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    as_json: bool = Field(default=False, description="one JSON object and nothing around it")
    json_schema: dict[str, Any] | None = Field(default=None, description="that the answer fits")

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
