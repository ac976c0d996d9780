"""The JSON schema of a ballot, for models whose output can be constrained.

The reason comes first and the ballot last, so that a model thinks before it decides. Abstaining
is always possible: nobody is made to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ABSTAIN = "abstain"


def ballot_schema(method: str, labels: Sequence[str]) -> dict[str, Any]:
    """The schema for one ballot; strict: every key is required, and no other is allowed.

    Args:
        method: plurality, approval, borda (or another that ranks) or score.
        labels: of the candidates, in the order they are shown.
    """
    names = {"type": "string", "enum": list(labels)}
    listed = {"type": "array", "items": names}
    if method == "score":
        points = {"type": "number", "minimum": 0, "maximum": 10}
        ballot = {"scores": _closed({label: dict(points) for label in labels})}
    elif method == "approval":
        ballot = {"approved": listed}
    elif method == "plurality":
        ballot = {"vote": {"type": "string", "enum": [*labels, ABSTAIN]}}
    else:
        ballot = {"ranking": listed}
    return _closed({"reason": {"type": "string"}, **ballot})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
