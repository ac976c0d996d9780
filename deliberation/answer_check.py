"""Whether an answer has the form that its caller asked for: JSON, or a call of a tool."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from mom_council.deliberation.context import AnswerForm
from mom_council.models.tool_offer import ToolCall

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


def json_part(text: str) -> str:
    """The JSON in an answer: without the fence that models like to put around it."""
    text = text.strip()
    fenced = _FENCED.fullmatch(text)
    return fenced[1].strip() if fenced else text


def json_fault(text: str, form: AnswerForm) -> str:
    """What is wrong with an answer that is to be JSON; empty where nothing is.

    Raises:
        ValueError: the caller's schema is no JSON schema.
    """
    if not form.json_request:
        return ""
    try:
        value = orjson.loads(json_part(text))
    except ValueError:
        return "it is no JSON"
    if form.json_schema is None:
        return "" if isinstance(value, dict) else "it is no JSON object"
    return _misfit(value, form.json_schema)


def call_fault(calls: Iterable[ToolCall], form: AnswerForm) -> str:
    """What is wrong with the calls in an answer; empty where nothing is."""
    functions = {tool["function"]["name"]: tool["function"] for tool in form.tools}
    for call in calls:
        if call.tool not in functions:
            return f"there is no tool {call.tool[:64]!r}; there are {[*functions]}"
        if call.arguments is None:
            return f"the arguments of {call.tool!r} are no JSON object"
        function = functions[call.tool]
        if not function.get("strict"):
            continue
        try:
            misfit = _misfit(call.arguments, function.get("parameters") or {})
        except ValueError:
            continue  # its own schema cannot be read
        if misfit:
            return f"the arguments of {call.tool!r} do not fit: {misfit}"
    return ""


def make_validator(schema: dict[str, Any]) -> Any:
    """What checks values against a schema, without asking anybody for a part of it.

    Raises:
        ValueError: it is no JSON schema.
    """
    import jsonschema_rs

    # Rust's `regex` cannot be made to run for ever by a pattern.
    return jsonschema_rs.validator_for(
        schema, retriever=_not_fetched, pattern_options=jsonschema_rs.RegexOptions()
    )


def _not_fetched(uri: str) -> Any:
    raise ValueError("a schema is taken whole; references lead to its own $defs")


def _misfit(value: Any, schema: dict[str, Any]) -> str:
    fault = next(iter(make_validator(schema).iter_errors(value)), None)
    if fault is None:
        return ""
    place = "".join(f"[{step!r}]" for step in fault.instance_path)
    return f"{fault.message[:300]}{' at ' if place else ''}{place}"
