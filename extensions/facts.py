"""Facts: a sheet of what this machine knows for certain, without asking anybody.

The date and time, exact results of the sums, units and dates in the question, and what the owner of
the machine has written into `facts.md` in the data directory.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mom_council.extensions.lexical import Lexicon
from mom_council.extensions.protocol import At, Change, Extension
from mom_council.extensions.reckoning import worked_out
from mom_council.models import paths

_SHORT = 4_000
_LARGEST = 200_000
_LINES = 20


class FactsSettings(BaseModel):
    """What goes onto the sheet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clock: bool = Field(default=True, description="the date, the weekday and the time")
    timezone: str | None = Field(
        default=None, description="such as Europe/Paris; left out: this machine's"
    )
    sums: bool = Field(default=True, description="sums, shares, units and dates in the question")
    machine: bool = Field(default=False, description="the operating system and the processor")
    own: bool = Field(
        default=True, description="facts.md in the data directory, where there is one"
    )

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone; write one like Europe/Paris") from None
        return name


class Facts(Extension):
    """Lays the sheet before everyone who speaks; nothing of it is guessed, nothing fetched."""

    description = "date, time, exact sums and your own facts.md, for everyone who speaks"
    Settings = FactsSettings
    nodes = ("annotator", "character", "vote", "synthesizer")
    settings: FactsSettings

    def before(self, at: At) -> Change | None:  # type: ignore[override]  # a thread's: it reads
        """The sheet, the same for everyone who is asked this question."""
        zone: tzinfo | None = ZoneInfo(self.settings.timezone) if self.settings.timezone else None
        now = datetime.fromtimestamp(at.state["asked_at"], UTC).astimezone(zone)
        lines: list[str] = []
        if self.settings.clock:
            lines.append(f"It is {now:%A}, {now:%Y-%m-%d}, {now:%H:%M} ({now:%Z}).")
        if self.settings.machine:
            lines.append(f"This machine: {platform.system()} on {platform.machine()}.")
        if self.settings.sums:
            lines += [f"Worked out: {line}" for line in worked_out(at.question, now.date())]
        if self.settings.own and (own := own_facts(at.question)):
            lines.append(f"Written down by the owner of this machine:\n{own}")
        return Change(material="\n".join(lines)) if lines else None


def facts_file() -> Path:
    """Where one's own facts are written down."""
    return paths.data_dir() / "facts.md"


def own_facts(question: str) -> str:
    """One's own facts: all of a short file, the lines of a long one that fit the question."""
    try:
        with facts_file().open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(_LARGEST).strip()
    except FileNotFoundError:
        return ""
    if len(text) <= _SHORT:
        return text
    lines = [line for line in text.splitlines() if line.strip()]
    found = sorted(Lexicon(lines).best(question, _LINES))
    return "\n".join(lines[number][:_SHORT] for number in found)
