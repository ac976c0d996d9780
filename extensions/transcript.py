"""Transcript: what was asked and answered, as files to keep: Markdown, HTML or JSON."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from mom_council import paths
from mom_council.extensions.protocol import At, Extension
from mom_council.redaction import redact_tree

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 45em; margin: 2em auto; padding: 0 1em }}
section {{ border-top: 1px solid #8886; padding: 1em 0 }}
.text {{ white-space: pre-wrap }} .said {{ margin-left: 1.5em }} .small {{ opacity: .7 }}
</style></head><body>
<h1>{title}</h1>
"""
_LARGEST = 50_000_000
_TAG = re.compile(r"<(?!https?://[^\s<>]*>)[A-Za-z/!?]")
_LIVE = re.compile(
    rf"{_TAG.pattern}|!\["
    r"|\](?:\(|:)\s*<?(?!(?:https?|mailto):)[^\s/?#)>]{0,40}[:&\\]"  # a link that is no address
    r"|(?:```|~~~)[ \t{.]*(?:mermaid|plantuml|dataview|math)"  # drawn or run by some readers
    r"|\\(?:includegraphics|href|url|html\w+|input|include|write|immediate|def|csname)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"(`{3,}|~{3,})([^`]*)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class TranscriptSettings(BaseModel):
    """What is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[Literal["markdown", "html", "json"], ...] = Field(
        default=("markdown",), min_length=1, description="one file of each for every thread"
    )
    details: bool = Field(
        default=True, description="what each character said, who was absent, how the vote went"
    )


class Transcript(Extension):
    """Adds every answered question to its thread's files, in `transcripts/` of the data directory.

    The files are for their owner alone. Another question of the same thread goes below.
    """

    description = "keeps every answered question in a file: Markdown, HTML or JSON"
    Settings = TranscriptSettings
    nodes = ("synthesizer", "painter")
    settings: TranscriptSettings

    def after(self, at: At, wrote: Mapping[str, Any]) -> None:  # type: ignore[override]
        """Add the question and its answer; in a thread, because it writes."""
        if not wrote.get("messages"):
            return
        turn = _turn(at, wrote, details=self.settings.details)
        name = at.thread or f"{at.council.name} {turn['time']}"
        stem = file_stem(name)
        folder = paths.ensure(paths.data_dir() / "transcripts")
        if "markdown" in self.settings.formats:
            _add(folder / f"{stem}.md", f"# {markdown_line(name)}\n", markdown(turn))
        if "html" in self.settings.formats:
            head = _HEAD.format(title=_escape(name))
            _add(folder / f"{stem}.html", head, as_html(turn))
        if "json" in self.settings.formats:
            _add_json(folder / f"{stem}.json", turn)


def file_stem(name: str) -> str:
    """A file's name for a thread's: letters, digits and dashes, and told apart by a digest."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:60] or "thread"
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable}-{mark}"


def markdown(turn: Mapping[str, Any]) -> str:
    """A turn as Markdown that shows what was said and loads nothing from anywhere."""
    lines = [f"\n## {turn['time']}\n", _quote(turn["question"]), ""]
    for one in turn.get("proposals", ()):
        speaker = f"**{markdown_line(one['character'])}** (round {one['round']})"
        lines += [f"- {speaker}:", "", _indent(inert_markdown(one["text"])), ""]
    lines += [f"- *{markdown_line(one)}*" for one in _facts(turn)]
    return "\n".join([*lines, "", inert_markdown(turn["answer"]), ""])


def as_html(turn: Mapping[str, Any]) -> str:
    """A turn as a piece of a page, all that was said as text."""
    proposals = "".join(
        f'<div class="said"><b>{_escape(one["character"])}</b> (round {one["round"]})'
        f'<div class="text">{_escape(one["text"])}</div></div>\n'
        for one in turn.get("proposals", ())
    )
    facts = "".join(f"<li>{_escape(line)}</li>" for line in _facts(turn))
    return (
        f'<section>\n<p class="small">{turn["time"]}</p>\n'
        f'<p class="text"><b>{_escape(turn["question"])}</b></p>\n'
        f'{proposals}<ul class="small">{facts}</ul>\n'
        f'<div class="text">{_escape(turn["answer"])}</div>\n</section>\n'
    )


def _escape(text: str) -> str:
    return html.escape(without_acting_signs(text))


def _turn(at: At, wrote: Mapping[str, Any], *, details: bool) -> dict[str, Any]:
    status = wrote.get("status")
    turn: dict[str, Any] = {
        "time": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        "council": at.council.name,
        "question": at.question,
        "answer": wrote["messages"][-1].text,
    }
    if details:
        for key in ("proposals", "ballots", "verdicts"):
            records: Any = at.state.get(key, [])
            turn[key] = [one.model_dump(mode="json") for one in records]
        turn["status"] = status.model_dump(mode="json") if status is not None else None
    cleaned: dict[str, Any] = redact_tree(turn)  # files are handed on
    return cleaned


def _facts(turn: Mapping[str, Any]) -> list[str]:
    """What there is to say about how the answer came about, a line each."""
    status = turn.get("status") or {}
    lines = [f"{one['character']} was absent: {one['reason']}" for one in status.get("absent", ())]
    if verdict := status.get("verdict"):
        by = f"{verdict['method']}, {verdict['share']:.0%} for {verdict['leader']}"
        lines.append(f"vote by {by}" if verdict["leader"] else f"vote by {verdict['method']}")
    return [*lines, *status.get("notes", ())]


def _add(file: Path, head: str, text: str) -> None:
    """Write at the end of a file, which is begun with a head."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8", errors="replace") as opened:
        if opened.tell() > _LARGEST:
            raise OSError(f"{file.name} is full: more than {_LARGEST // 10**6} MB")
        opened.write(text if opened.tell() else head + text)


def _add_json(file: Path, turn: dict[str, Any]) -> None:
    turns: list[Any] = []
    if file.exists():
        if file.stat().st_size > _LARGEST:
            raise OSError(f"{file.name} is full: more than {_LARGEST // 10**6} MB")
        turns = json.loads(file.read_text("utf-8"))
    fresh = file.with_suffix(f".{os.getpid()}.part")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as opened:
        json.dump([*turns, turn], opened, ensure_ascii=False, indent=1)
    fresh.replace(file)


class CodeReading(NamedTuple):
    """Which parts of a text every reader of Markdown takes for code."""

    prose: list[str]
    """The lines beside the code, with the first line of each block."""
    is_sure: bool
    """Whether all readers agree; else nothing counts as code, and `prose` is everything."""
    open_fence: str = ""
    """The fence of a block that the text does not close."""


def read_code(text: str) -> CodeReading:
    """Tell code from prose, where that depends on no reader and on nothing around the code."""
    lines, prose, closing = text.split("\n"), list[str](), ""
    for line in lines:
        fence, bare = _FENCE.fullmatch(line), line.strip()
        if closing:
            if bare.startswith(closing) and not bare.strip(closing[0]):
                if line[:1].isspace():
                    return CodeReading(lines, is_sure=False)
                closing = ""
        elif fence:
            closing = fence[1]
            prose.append(line)
        else:
            rest = _SPAN.sub("", line)
            if "`" in rest or "~~~" in rest or ("`" in line and re.search(r"\$|\\`", line)):
                return CodeReading(lines, is_sure=False)
            prose.append(rest)
    if any("$$" in line or _TAG.search(line) for line in prose):
        return CodeReading(lines, is_sure=False)
    return CodeReading(prose, is_sure=True, open_fence=closing)


def inert_markdown(text: str) -> str:
    """A text as it is; where Markdown might load or run something of it, as a block of code."""
    text = without_acting_signs(text)
    read = read_code(text)
    is_live = _LIVE.search("\n".join(read.prose))
    if not is_live and not read.open_fence and text.count("$$") % 2 == 0:
        return text
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def without_acting_signs(text: str) -> str:
    """A text without what acts on a terminal, or turns the direction of what is read."""
    return _ACTING.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in inert_markdown(text).splitlines())


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def markdown_line(text: str) -> str:
    """A text in one line, in which nothing is a tag, a picture, a link or a formula."""
    line = " ".join(without_acting_signs(text).split())
    return re.sub(r"[<!\[\]`$\\]", r"\\\g<0>", line)
