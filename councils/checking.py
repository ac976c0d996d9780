"""Everything that keeps a council from sitting, each with its place: what an editor needs.

`loader.load_council` tells the same in one message; a form wants every line at its own field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mom_council.councils import coherence
from mom_council.councils.plain import as_plain
from mom_council.councils.refusals import Problem, in_words
from mom_council.councils.schema import Council

__all__ = ["Problem", "problems_in"]


def problems_in(values: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with a council as it is written; nothing where it can sit.

    Names that meet are looked at once every field is sound on its own, as the loader does.
    """
    found, plain = as_plain(values)
    if found:
        return tuple(found)
    try:
        council = Council.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        return tuple(in_words(error))
    return tuple(coherence.problems(council))
