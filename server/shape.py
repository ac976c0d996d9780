"""Whether an answer has the form that its client asked for."""

from __future__ import annotations

import re
from typing import Any

from mom_council.graph.form import AnswerForm
from mom_council.server.client_tools import not_called
from mom_council.server.errors import Refusal, wrong
from mom_council.server.json import loads
from mom_council.server.running import Outcome

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


def checked(outcome: Outcome, form: AnswerForm) -> str:
    """The answer's text; of a JSON answer the JSON alone.

    Raises:
        Refusal: it is no such JSON: no model of the council held to the schema.
    """
    if form.must_call and not outcome.answered.calls:
        raise not_called()
    if not form.wanted or outcome.finish != "stop":
        return outcome.text
    text = outcome.text.strip()
    if found := _FENCED.fullmatch(text):
        text = found[1].strip()
    try:
        value = loads(text)
    except ValueError:
        raise _unmet("it is no JSON") from None
    if form.json_schema is None:
        if not isinstance(value, dict):
            raise _unmet("it is no JSON object")
        return text
    if fault := next(iter(validator(form.json_schema).iter_errors(value)), None):
        place = "".join(f"[{step!r}]" for step in fault.instance_path)
        raise _unmet(f"{fault.message[:300]}{' at ' if place else ''}{place}")
    return text


def validator(schema: dict[str, Any]) -> Any:
    """What checks values against a schema, without asking anybody for a part of it.

    Raises:
        Refusal: it is no JSON schema.
    """
    import jsonschema_rs

    try:
        # Rust's `regex` cannot be made to run for ever by a pattern.
        return jsonschema_rs.validator_for(
            schema, retriever=_not_fetched, pattern_options=jsonschema_rs.RegexOptions()
        )
    except ValueError as error:
        raise wrong(
            f"Invalid schema for response_format: {str(error).splitlines()[0][:300]}",
            "response_format",
            "invalid_json_schema",
        ) from None


def _not_fetched(uri: str) -> Any:
    raise ValueError("a schema is taken whole; references lead to its own $defs")


def _unmet(why: str) -> Refusal:
    return Refusal(
        502,
        f"The council's answer does not have the form that was asked for: {why}.",
        code="form_not_met",
        headers={"x-should-retry": "false"},
    )
