"""The finished rows of an evaluation, one a line: what a run that broke off goes on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mom_council.councils.schema import Council
from mom_council.errors import StorageError
from mom_council.paths import refuse_newer
from mom_council.records import Usage

VERSION = 1
"""Of the file's form; version 0.1 wrote none, which means 1."""
COUNCIL, SELF, MAJORITY, ORACLE = "council", "self", "majority", "oracle"


def member(name: str) -> str:
    """What the rows of a member on its own are called."""
    return f"member: {name}"


class EvalRow(BaseModel):
    """One system's answer to one case, marked."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    case: str = Field(description="the case's key")
    system: str = Field(description="council, self, or member: NAME")
    ok: bool
    answer: str | None = Field(default=None, description="the final answer in one form")
    text: str = Field(default="", description="the whole answer")
    by: str = Field(default="", description="provider/model that answered; empty: not known")
    confidence: float | None = Field(default=None, description="that was reported with it, 0..1")
    calibrated: bool = Field(
        default=False, description="the confidence was fitted; else it is the share of the vote"
    )
    agrees: bool | None = Field(
        default=None,
        description="council: the final text gives the answer that the verdict led with",
    )
    stop_reason: str | None = None
    usage: Usage = Field(default=Usage(), description="calls, tokens, dollars; work in seconds")
    seconds: float = Field(default=0.0, description="critical path: the slowest call of each step")
    error: str = Field(default="", description="why there is no answer")
    note: str = ""


class EvalJournal:
    """The rows in a file, or in memory where there is none.

    Raises:
        StorageError: the file is no journal, is of another council, or cannot be written.
    """

    def __init__(self, path: Path | str | None, council: Council, **settings: Any) -> None:
        self._path = None if path is None else Path(path).expanduser()
        self.rows: dict[tuple[str, str], EvalRow] = {}
        head = {"evaluation": council.name, "fingerprint": _fingerprint(council, settings)}
        if self._path is None:
            return
        if self._path.exists() and self._path.stat().st_size:
            self._read(head)
        else:
            self._write([json.dumps({"version": VERSION, **head})])

    def add(self, rows: Iterable[EvalRow]) -> None:
        """Keep rows; on disk before this returns."""
        fresh = list(rows)
        self.rows |= {(row.system, row.case): row for row in fresh}
        if self._path is not None:
            self._write([row.model_dump_json(exclude_defaults=True) for row in fresh])

    def has(self, system: str, case: str) -> bool:
        """Whether a row is there."""
        return (system, case) in self.rows

    def of(self, system: str) -> dict[str, EvalRow]:
        """A system's rows by their cases."""
        return {case: row for (name, case), row in self.rows.items() if name == system}

    def _read(self, head: dict[str, Any]) -> None:
        assert self._path is not None  # noqa: S101 - for the type checker
        try:
            # At line feeds alone: an answer may hold U+2028 or U+0085, which are no ends of rows.
            text = self._path.read_text(encoding="utf-8")
            first, *lines = text.removesuffix("\n").split("\n")
            begun = json.loads(first)
            refuse_newer(str(self._path), int(begun.pop("version", VERSION)), VERSION)
            if begun != head:
                raise StorageError(
                    (
                        f"{str(self._path)!r} holds an evaluation of another council, or under "
                        "other settings"
                    ),
                    cure="name another file, or delete it",
                )
            for at, line in enumerate(lines):
                try:
                    row = EvalRow.model_validate_json(line)
                except ValidationError:
                    if at == len(lines) - 1:
                        # The run was killed while it wrote this line: it is done again.
                        self._path.write_text("\n".join([first, *lines[:-1]]) + "\n", "utf-8")
                        break
                    raise
                self.rows[row.system, row.case] = row
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StorageError(
                f"{str(self._path)!r} cannot be gone on with ({type(error).__name__})",
                cure="name another file, or delete it",
            ) from None

    def _write(self, lines: Iterable[str]) -> None:
        assert self._path is not None  # noqa: S101 - for the type checker
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise StorageError(
                f"rows cannot be written to {str(self._path)!r}: {error.strerror}"
            ) from None


def _fingerprint(council: Council, settings: dict[str, Any]) -> str:
    told = council.model_dump_json(exclude=_not_in_use(council)) + json.dumps(
        settings, sort_keys=True
    )
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _not_in_use(council: Council) -> dict[str, Any]:
    """Settings that came after the first journals: they count only where a council uses them.

    Every setting that a council gains belongs here, or no older journal is gone on with.
    """
    later = {
        "unsure": "answer",
        "ask_doubtful": False,
        "cluster_open": False,
        "escalation": "reads",
    }
    rules = {name for name, usual in later.items() if getattr(council.deliberation, name) == usual}
    models = {
        name: {
            **({"files": True} if model.files is None else {}),
            **({"price": {"picture"}} if model.price and model.price.picture is None else {}),
        }
        for name, model in council.models.items()
    }
    budget = {"worst_price"} if council.budget.worst_price is None else set()
    synthesizer = {
        name
        for name in ("after_tools", "reads", "omit")
        if getattr(council.synthesizer, name)
        == type(council.synthesizer).model_fields[name].default
    }
    return {"deliberation": rules, "models": models, "budget": budget, "synthesizer": synthesizer}
