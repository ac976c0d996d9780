"""moa-llm's template for the aggregation, which may stand in either of two places."""

from __future__ import annotations

from mom_council.councils.importers.findings import Report

QUESTION, ANSWERS, WEIGHTS = "{user_query}", "{responses}", "{response_weights}"


def template_of(said: str, template: str | None, report: Report) -> tuple[str, str]:
    """Who writes, and what it is asked: the system prompt and the template, each in its place.

    A system prompt with places in it is a template. What a template lacks is added at its end, for
    an aggregation that never sees the answers, or the question, cannot aggregate.
    """
    place = "aggregation_layer.aggregation_prompt"
    holds = any(name in said for name in (QUESTION, ANSWERS, WEIGHTS))
    if not template and holds:
        place = "aggregation_layer.system_prompt"
        report.turn(place, "has places to fill, so it is the synthesizer's template")
        said, template = "", said
    elif holds:
        says = "its places are not filled: `aggregation_prompt` is the template"
        report.turn("aggregation_layer.system_prompt", says)
    if not template or not template.strip():
        return said, ""
    filled = template.strip()
    for name in (QUESTION, ANSWERS):
        if name not in filled:
            filled += f"\n\n{name}"
            report.turn(place, f"has no {name}, which is added at its end")
    return said, filled
