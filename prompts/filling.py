"""A template in a council's own words: three names in braces, and every other brace is a brace."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mom_council.prompts import within

_PLACE = re.compile(r"\{(user_query|responses|response_weights)\}")


def fill(
    template: str, question: str, restated: str, proposals: Sequence[tuple[str, float]]
) -> str:
    """Fill a synthesizer's template with the question and the proposals (text, weight).

    All places are filled at once, so what a question or a proposal holds in braces stays as it is.
    """
    asked = question
    if restated:
        asked += f"\n\n(In the light of the conversation this means: {restated})"
    numbered = list(enumerate(proposals, 1))
    filled = {
        "user_query": asked,
        "responses": "\n\n".join(
            f'<proposal number="{n}">\n{within(text, "proposal")}\n</proposal>'
            for n, (text, _) in numbered
        ),
        "response_weights": ", ".join(f"proposal {n}: {weight:g}" for n, (_, weight) in numbered),
    }
    return _PLACE.sub(lambda found: filled[found[1]], template).strip()
