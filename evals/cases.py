"""The questions of an evaluation: one JSON object a line, with what is right.

    {"question", "gold"?, "options"?: [..], "check"?: Python that tests an answer in code,
     "id"?, "category"?, "dataset"?, "fold"?: "cal" | "eval"}

Every recording (`councils.recording`) is such a file too, and so are files that say `prompt` or
`text`, `answer`, `choices` and `kind`.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mom_council.councils.recording import Fold
from mom_council.errors import StorageError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OTHER_NAMES = {
    "prompt": "question",
    "text": "question",
    "answer": "gold",
    "choices": "options",
    "kind": "category",
}


class Case(BaseModel):
    """One question, and what is right."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question: str = Field(min_length=1)
    gold: str | int | float | None = Field(
        default=None, description="the right answer; of a choice its letter or its words"
    )
    options: tuple[str, ...] | None = Field(default=None, max_length=26)
    check: str | None = Field(
        default=None, description="Python run after the answer's code; it raises when that is wrong"
    )
    id: str = ""
    dataset: str = ""
    category: str | None = None
    fold: Fold = "eval"

    @model_validator(mode="before")
    @classmethod
    def _under_other_names(cls, value: Any) -> Any:
        """Data sets of others call the same things otherwise."""
        if not isinstance(value, Mapping):
            return value
        renamed = {name: value[other] for other, name in _OTHER_NAMES.items() if other in value}
        return {**renamed, **value}

    @property
    def key(self) -> str:
        """Names the case: its id, or a digest of what is asked."""
        return self.id or hashlib.sha256(self.prompt.encode()).hexdigest()[:16]

    @property
    def prompt(self) -> str:
        """What a model reads: the question, and its options, lettered."""
        lines = (
            f"{letter}. {text}" for letter, text in zip(LETTERS, self.options or (), strict=False)
        )
        return "\n".join([self.question.strip(), *lines])

    @property
    def kind(self) -> str:
        """The kind of question that a model's record is kept by: its category, or its dataset."""
        return self.category or self.dataset or "general"


def read_cases(
    path: str | PathLike[str], *, fold: Fold | None = None, limit: int | None = None
) -> tuple[Case, ...]:
    """The cases of a file, gzipped or not.

    Args:
        path: the file.
        fold: only this one.
        limit: the first so many.

    Raises:
        StorageError: the file cannot be read, holds no case, a case twice, or a line of it is none.
    """
    place = Path(path).expanduser()
    cases: dict[str, Case] = {}
    number = 0
    try:
        with (gzip.open if place.suffix == ".gz" else open)(place, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                case = Case.model_validate_json(line)
                if case.key in cases:
                    raise StorageError(f"{str(place)!r}, line {number}: {case.key!r} stands twice")
                if fold in (None, case.fold):
                    cases[case.key] = case
                if limit is not None and len(cases) >= limit:
                    break
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise StorageError(
            f"{str(place)!r}, line {number}: {where}: {first['msg']}",
            cure=(
                'write one JSON object a line, like {"question": "What is 17 + 25?", "gold": "42"}'
            ),
        ) from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"data {str(place)!r} cannot be read: {reason}") from None
    if not cases:
        which = f" of fold {fold!r}" if fold else ""
        raise StorageError(f"data {str(place)!r} holds no question{which}")
    return tuple(cases.values())
