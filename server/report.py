"""What a client learns of how its answer came about: usage, and the council's own account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mom_council.councils.records import Usage
from mom_council.server.running import Outcome


def usage_of(outcomes: Sequence[Outcome]) -> Usage:
    """What all models have used for an answer, and for its other choices."""
    return sum((one.answered.status.usage for one in outcomes), Usage())


def chat_usage(outcomes: Sequence[Outcome]) -> dict[str, int] | None:
    """The usage in OpenAI's words; None where no model told it."""
    usage = usage_of(outcomes)
    if usage.tokens is None:
        return None
    read, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def account(outcome: Outcome, *, thread: str | None, candid: bool) -> dict[str, Any]:
    """The council's account of an answer: who spoke, how the vote went, who dissented.

    Without `candid` the words of errors are left out: they name addresses of the owner's network.
    """
    status = outcome.answered.status
    told = status.model_dump(mode="json")
    told["name"] = told.pop("council")
    if not candid:
        told["notes"] = []
        for absence in told["absent"]:
            absence["detail"] = ""
    return {**told, "thread": thread}


def response_usage(outcome: Outcome) -> dict[str, Any] | None:
    """The usage as /v1/responses words it; None where no model told it."""
    usage = usage_of([outcome])
    if usage.tokens is None:
        return None
    return {
        "input_tokens": usage.input_tokens or 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output_tokens or 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.tokens,
    }
