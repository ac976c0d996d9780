"""A user's own questions, read from the log formats that people have.

JSON lines, a JSON list, CSV or TSV, gzipped or not; one question a row, under any usual name, alone
or in a chat's messages, with or without its right answer and its options. What a model once
answered (`response`, `completion`, an assistant's message) is never taken for a right answer.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from pydantic import ValidationError

from mom_council.councils.recording import UNREADABLE_FILE, why_unreadable
from mom_council.errors import StorageError
from mom_council.evals.cases import LETTERS, Case, published_row
from mom_council.runs.words import counted

_QUESTION = (
    "question", "prompt", "query", "problem", "input", "instruction", "text", "user", "user_input",
    "message", "content", "request",
)  # fmt: skip
_GOLD = (
    "gold", "answer", "target", "expected", "expected_answer", "expected_output", "ideal", "label",
    "ground_truth", "groundtruth", "gold_answer", "right_answer", "correct_answer", "correct",
    "reference", "reference_answer", "answer_key", "answerkey", "solution",
)  # fmt: skip
_KIND = ("category", "kind", "subject", "topic", "task", "type", "level")
_OPTIONS = ("options", "choices")
_INSIDE = ("request", "body", "input", "inputs", "data", "row")
"""Where logs of gateways and tracers keep what was asked."""
_MESSAGES = ("messages", "conversation", "conversations", "input", "prompt")
_OF_A_BATCH = {"answer", "stop_reason", "degraded"}
"""Columns that `mom batch` writes: its `answer` is a council's, and no right one."""
_LONGEST_GOLD = 40
"""Words of an answer that a model's answer can be compared with."""


class Logs(NamedTuple):
    """The questions of a file, and what there is to say about the reading."""

    cases: tuple[Case, ...]
    notes: tuple[str, ...]


def read_logs(
    path: Path | str,
    *,
    question: str | None = None,
    gold: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Logs:
    """Read somebody's own questions.

    Args:
        path: the file.
        question: the column that holds the question; found by its name if left out.
        gold: the column of the right answer; `none` where there is none; found if left out.
        limit: questions at most; of more, so many are chosen at random.
        seed: of that choice.

    Raises:
        StorageError: the file cannot be read, or has no question in it.
    """
    place = Path(path).expanduser()
    cases: dict[str, Case] = {}
    left_out: Counter[str] = Counter()
    for row in _rows(place):
        if row is None:
            left_out["that cannot be read"] += 1
            continue
        try:
            case = _case(row, question, gold)
        except ValidationError:
            case = None
        if case is None:
            left_out["without a question"] += 1
        elif case.key in cases:
            left_out["whose question stands there twice"] += 1
        else:
            cases[case.key] = case
    if not cases:
        raise StorageError(
            f"{str(place)!r} has no question",
            cure="name the column that holds it with --question, or write lines like "
            '{"question": "What is 17 + 25?", "gold": "42"}',
        )
    notes = [f"Left out: {counted(number, 'row')} {why}." for why, number in left_out.items()]
    listed = list(cases.values())
    if limit is not None and len(listed) > limit:
        notes.append(f"{limit} of {len(listed)} questions were chosen at random (--limit).")
        chosen = sorted(Random(seed).sample(range(len(listed)), limit))
        listed = [listed[at] for at in chosen]
    texts = [case for case in listed if _is_text(case)]
    if texts:
        notes.append(
            f"{len(texts)} right answers are long texts, which cannot be compared with an answer; "
            "mom eval --judge compares such answers by a model."
        )
        listed = [
            case.model_copy(update={"gold": None}) if _is_text(case) else case for case in listed
        ]
    return Logs(tuple(listed), tuple(notes))


def _is_text(case: Case) -> bool:
    if case.check is not None or case.gold is None or case.options:
        return False
    return len(str(case.gold).split()) > _LONGEST_GOLD


def _case(row: Mapping[str, Any], question: str | None, gold: str | None) -> Case | None:
    """A row as a question; None where there is none in it.

    Raises:
        ValidationError: it holds what no question can be.
    """
    if question is None and gold is None:
        row = {**row, **published_row(row)}  # raw rows of GSM8K, MATH, HumanEval, ...
    names = {str(name).strip().casefold().replace(" ", "_"): name for name in row if name}
    if question is not None and question not in row:
        return None
    value = row.get(question) if question is not None else None
    if value is None and question is None:
        value = _first_of_chat(row) or next(
            (row[names[name]] for name in _QUESTION if name in names and _text(row[names[name]])),
            None,
        )
    text = _text(value) or _first_message(value)
    if not text:
        inner = next((row[name] for name in _INSIDE if isinstance(row.get(name), Mapping)), None)
        return None if inner is None else _case({**row, **inner, "row": None}, question, gold)
    case: dict[str, Any] = {"question": text, "options": _options(row, names)}
    case["gold"] = _gold(row, names, gold, case["options"])
    kind = next((row[names[name]] for name in _KIND if names.get(name) is not None), None)
    case["category"] = None if kind in (None, "") or isinstance(kind, list | dict) else str(kind)
    for name in ("id", "dataset"):
        case[name] = "" if row.get(name) is None else str(row[name])
    if row.get("fold") in ("cal", "eval"):
        case["fold"] = row["fold"]
    case |= {name: row[name] for name in ("check", "stub") if isinstance(row.get(name), str)}
    return Case.model_validate(case)


def _gold(
    row: Mapping[str, Any], names: Mapping[str, str], column: str | None, options: Any
) -> str | None:
    """The right answer of a row; None where there is none."""
    if column == "none":
        return None
    if column is not None:
        value = row.get(column)
    else:
        own = {name for name in _GOLD if name in names}
        if row.keys() >= _OF_A_BATCH:
            own.discard("answer")  # a council's
        value = next((row[names[n]] for n in _GOLD if n in own and row[names[n]] is not None), None)
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if not isinstance(value, str | int | float) or not str(value).strip():
        return None
    text = str(value).strip()
    by_number = isinstance(value, int) and options and 0 <= value < len(options)
    if by_number and text not in options:
        return LETTERS[int(text)]  # as MMLU counts its options
    return text.rpartition("####")[2].strip() or text  # GSM8K's form


def _options(row: Mapping[str, Any], names: Mapping[str, str]) -> list[str] | None:
    value = next((row[names[name]] for name in _OPTIONS if names.get(name)), None)
    if isinstance(value, Mapping):  # ARC's form
        value = value.get("text")
    if isinstance(value, list) and value:
        return [str(one) for one in value]
    lettered = [row[names[letter]] for letter in "abcdefgh" if letter in names]
    texts = [str(one) for one in lettered if one not in (None, "")]
    return texts if len(texts) > 1 else None


def _first_of_chat(row: Mapping[str, Any]) -> str:
    for name in _MESSAGES:
        if text := _first_message(row.get(name)):
            return text
    return ""


def _first_message(value: Any) -> str:
    """The first thing that a person says in a chat; empty where it is no chat.

    A later turn cannot be understood without the ones before.
    """
    if not isinstance(value, list):
        return ""
    for message in value:
        if isinstance(message, Mapping):
            role = message.get("role", message.get("from", message.get("type")))
            if role in ("user", "human"):
                return _text(message.get("content", message.get("value")))
    return ""


def _text(value: Any) -> str:
    """The words of a text, or of a message's parts; empty where there are none."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        parts = [one.get("text") for one in value if one.get("type") in ("text", "input_text")]
        return "\n".join(part for part in parts if isinstance(part, str)).strip()
    return ""


def _rows(place: Path) -> Iterator[Mapping[str, Any] | None]:
    """The rows of a file; None for one that is none.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        raw = gzip.decompress(place.read_bytes()) if place.suffix == ".gz" else place.read_bytes()
        text = raw.decode("utf-8-sig")
    except UNREADABLE_FILE as error:
        raise StorageError(f"{str(place)!r} cannot be read: {why_unreadable(error)}") from None
    end = Path(place.stem if place.suffix == ".gz" else place.name).suffix.lower()
    if end in (".csv", ".tsv"):
        csv.field_size_limit(50_000_000)
        head = text.partition("\n")[0]
        delimiter = "\t" if end == ".tsv" else max(",;\t", key=head.count)
        yield from csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        return
    whole = _json(text) if text.lstrip().startswith("[") else None
    if isinstance(whole, list):
        yield from _objects(whole)
        return
    # At line feeds alone: a question may hold U+2028, which is no end of a row.
    yield from _objects(_json(line) for line in text.split("\n") if line.strip())


def _objects(values: Iterable[Any]) -> Iterator[Mapping[str, Any] | None]:
    for value in values:
        yield (
            {"question": value}
            if isinstance(value, str)
            else value
            if isinstance(value, dict)
            else None
        )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
