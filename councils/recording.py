"""Recorded answers: one question a line, with what every model answered. JSONL, gzipped or not.

    {"id", "dataset", "fold": "cal" | "eval", "question", "gold", "options"?: [..], "category"?,
     "models": {"<model>": {"ans": its answer in one form or null, "ok": 0 | 1,
                            "chars": length of the whole reply,
                            "tail"?: the end of the reply, "text"?: all of it,
                            "usd"?: price of the call in dollars,
                            "input_tokens"?, "output_tokens"?, "seconds"?: of the call,
                            "model"?: provider and model, where a council's seat answered}}}

`fold` is `cal` where weights and thresholds may be fitted and `eval` where the result is scored.
Where `gold` is null nobody has judged the answers, and `ok` says nothing. It lies beside the rules,
because the provider `replay` serves it and `evals` measures on it.
Files are read line by line, so their size does not matter; keys that this does not know are kept.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mom_council.errors import StorageError

Fold = Literal["cal", "eval"]


class RecordingError(StorageError):
    """A file of recorded answers, or of panels, cannot be read."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class RecordedAnswer(_Line):
    """What one model answered to one question."""

    ans: str | None = Field(default=None, description="the answer in one form; None: unreadable")
    ok: Literal[0, 1] = Field(default=0, description="1 where it equals the gold answer")
    chars: int = Field(default=0, ge=0, description="length of the whole reply, in characters")
    tail: str | None = Field(default=None, description="the raw end of the reply")
    text: str | None = Field(default=None, description="the whole reply")
    usd: float | None = Field(default=None, ge=0, description="price of the call, in dollars")
    input_tokens: int | None = Field(default=None, ge=0, description="read, where it was told")
    output_tokens: int | None = Field(default=None, ge=0, description="written, where told")
    seconds: float | None = Field(default=None, ge=0, description="wall time of the call")
    model: str | None = Field(default=None, description="provider/model, where a seat answered")


class RecordedQuestion(_Line):
    """One question and everybody's answers to it."""

    id: str = Field(min_length=1)
    dataset: str = ""
    fold: Fold = "eval"
    question: str = ""
    gold: str | None = None
    options: tuple[str, ...] | None = None
    category: str | None = None
    models: dict[str, RecordedAnswer] = Field(min_length=1, description="model -> its answer")


class Panels(BaseModel):
    """Which models of a dataset sit together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    panel: tuple[str, ...] = Field(min_length=1, description="similar models")
    mixed: tuple[str, ...] = Field(default=(), description="unequal models, one dominating")
    strong: str | None = Field(default=None, description="the model a cascade escalates to")


def read_recording(path: Path | str) -> Iterator[RecordedQuestion]:
    """The questions of a file, one after the other.

    Raises:
        RecordingError: the file is missing or no text, or a line of it is wrong; it names the line.
    """
    path = Path(path)
    ids: dict[str, int] = {}
    for number, line in _lines(path):
        try:
            question = RecordedQuestion.model_validate_json(line)
        except ValidationError as error:
            lacks = any(each["type"] == "missing" for each in error.errors())
            raise RecordingError(
                f"{path.name}, line {number}: {_first(error)}",
                cure="`mom pays` and `mom record` make a recording of questions" if lacks else "",
            ) from None
        if question.id in ids:
            raise RecordingError(
                (
                    f"{path.name}, line {number}: id {question.id!r} is that of line "
                    f"{ids[question.id]} too"
                ),
                cure="give every question its own",
            )
        ids[question.id] = number
        yield question


def load_recording(path: Path | str) -> tuple[RecordedQuestion, ...]:
    """All questions of a file, read once for each state of it.

    Raises:
        RecordingError: see `read_recording`.
    """
    path = Path(path).expanduser().absolute()
    try:
        state = path.stat()
    except OSError as error:
        raise RecordingError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    return _load_unchanged(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=8)
def _load_unchanged(path: Path, changed: int, size: int) -> tuple[RecordedQuestion, ...]:
    return tuple(read_recording(path))


def in_fold(
    questions: Sequence[RecordedQuestion], fold: Fold | None
) -> tuple[RecordedQuestion, ...]:
    """The questions of a fold; all of them for None, and where they are of one fold alone.

    Who took no care of folds has them all in one, and means no other questions to be scored.
    """
    if fold is None or len({one.fold for one in questions}) < 2:
        return tuple(questions)
    return tuple(one for one in questions if one.fold == fold)


def write_recording(path: Path | str, questions: Iterable[RecordedQuestion]) -> int:
    """Write questions to a file, gzipped where its name ends in `.gz`; give their number.

    The file is there in whole or not at all, and the same questions make the same bytes.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    number = 0
    try:
        with _open_for_writing(unfinished, packed=path.suffix == ".gz") as file:
            for question in questions:
                row = question.model_dump(mode="json", exclude_unset=True)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                number += 1
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return number


def read_panels(path: Path | str) -> dict[str, Panels]:
    """Dataset -> its panels, from a file such as panels.json.

    Raises:
        RecordingError: the file is missing, or is not of that form.
    """
    path = Path(path)
    try:
        return TypeAdapter(dict[str, Panels]).validate_json(path.read_bytes())
    except OSError as error:
        raise RecordingError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise RecordingError(f"{path.name}: {_first(error)}") from None


def find_recordings(folder: Path | str) -> dict[str, Path]:
    """Dataset -> file, for all recordings of a folder, by name."""
    files = sorted(each for each in Path(folder).iterdir() if ".jsonl" in each.name)
    return {each.name.partition(".")[0]: each for each in files}


UNREADABLE_FILE = (OSError, EOFError, UnicodeDecodeError, zlib.error)
"""What reading a file of text, gzipped or not, raises."""


def why_unreadable(error: Exception) -> str:
    """In a few words, why one of these was raised."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8; save it as UTF-8"
    if isinstance(error, EOFError | zlib.error):
        return "it is damaged or cut off; get it anew"
    return getattr(error, "strerror", None) or str(error)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        opened: IO[str] = (
            gzip.open(path, "rt", encoding="utf-8")  # noqa: SIM115 - closed by the with below
            if path.suffix == ".gz"
            else path.open(encoding="utf-8")
        )
        with opened as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except UNREADABLE_FILE as error:
        raise RecordingError(f"{str(path)!r} cannot be read: {why_unreadable(error)}") from None


@contextmanager
def _open_for_writing(path: Path, *, packed: bool) -> Iterator[IO[str]]:
    with path.open("wb") as raw:
        if not packed:
            with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
                yield file
            return
        # No time and no name in the header: equal questions, equal bytes.
        with (
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped,
            io.TextIOWrapper(zipped, encoding="utf-8", newline="\n") as file,
        ):
            yield file


def _first(error: ValidationError) -> str:
    each = error.errors(include_url=False)[0]
    where = ".".join(map(str, each["loc"])) or "the line"
    return f"{where}: {each['msg']}"
