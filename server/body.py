"""Parts of requests: how strictly each is read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A part of a request that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Part(BaseModel):
    """A part of a message. Clients send back what they got, with fields of all sorts."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)
