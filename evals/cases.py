r"""The questions of an evaluation: one JSON object a line, with what is right.

    {"question", "gold"?, "options"?: [..], "check"?: Python that tests an answer in code,
     "id"?, "category"?, "dataset"?, "fold"?: "cal" | "eval"}

Every recording (`councils.recording`) is such a file too, and so are files that say `prompt` or
`text`, `answer`, `choices` and `kind`.

The raw rows of published data sets are read as they are, also as one JSON array:

| data set | fields |
|---|---|
| GSM8K | `question`, `answer`: a solution whose last line is `#### 42` |
| MATH | `problem`, `solution` with a `\boxed{...}`; or `answer`, as MATH-500 has it |
| MMLU-Pro, MMLU | `question`, `options` or `choices`, `answer` or `answer_index` |
| ARC | `question`, `choices: {text, label}`, `answerKey` |
| HumanEval | `task_id`, `prompt`, `test`, `entry_point` |
| MBPP | `task_id`, `text` or `prompt`, `test_list`, `test_setup_code` or `test_imports` |
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from textwrap import indent
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mom_council.councils.recording import UNREADABLE_FILE, Fold, why_unreadable
from mom_council.errors import StorageError
from mom_council.voting.reading.latex import boxed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OTHER_NAMES = {
    "prompt": "question",
    "text": "question",
    "answer": "gold",
    "choices": "options",
    "kind": "category",
    "subject": "category",
    "question_id": "id",
    "unique_id": "id",
    "task_id": "id",
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
    stub: str | None = Field(
        default=None,
        description="the start of a Python function that the answer completes; what stands before "
        "its last `def` is run before the answer's code",
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
        row = {**value, **published_row(value)}
        renamed = {name: row[other] for other, name in _OTHER_NAMES.items() if other in row}
        case = {**renamed, **row}
        if isinstance(case.get("id"), int):
            case["id"] = str(case["id"])
        return case

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
        with (gzip.open if place.suffix == ".gz" else open)(
            place, "rt", encoding="utf-8-sig"
        ) as file:
            for number, line in _rows(file):
                case = Case.model_validate_json(_with_whole_characters(line))
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
            f"{str(place)!r}, line {number}: {where}: {first['msg'].removeprefix('Value error, ')}",
            cure=(
                'write one JSON object a line, like {"question": "What is 17 + 25?", "gold": "42"}'
            ),
        ) from None
    except UNREADABLE_FILE as error:
        raise StorageError(f"data {str(place)!r} cannot be read: {why_unreadable(error)}") from None
    if not cases:
        which = f" of fold {fold!r}" if fold else ""
        raise StorageError(f"data {str(place)!r} holds no question{which}")
    return tuple(cases.values())


def _rows(file: IO[str]) -> Iterator[tuple[int, str]]:
    """The rows of a file as JSON, numbered from 1: its lines, or the items of one array.

    The array may stand under `rows`, each item under `row`, as the viewer of data sets writes it.
    """
    first = next((line for line in file if line.strip()), "")
    file.seek(0)
    is_whole = first.lstrip().startswith("[") or first.strip() == "{"
    if not is_whole and not re.search(r'"rows"\s*:\s*\[\s*\{\s*"row_idx"', first):
        yield from ((at, line) for at, line in enumerate(file, 1) if line.strip())
        return
    try:
        rows = json.load(file)
    except json.JSONDecodeError as error:
        yield error.lineno, first  # is refused as what it is
        return
    if isinstance(rows, dict) and isinstance(rows.get("rows"), list):
        rows = [one.get("row", one) if isinstance(one, dict) else one for one in rows["rows"]]
    rows = rows if isinstance(rows, list) else [rows]
    yield from ((at, json.dumps(row)) for at, row in enumerate(rows, 1))


_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def _with_whole_characters(line: str) -> str:
    """A line whose escapes may name half a character, as a log that was cut may; it becomes `?`."""
    if not _HALF.search(line):
        return line
    try:
        row = json.loads(line)
    except ValueError:
        return line  # is refused as what it is
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def published_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a raw row of a published data set says, in our fields; empty where it is none."""
    if {"prompt", "test", "entry_point"} <= row.keys():
        return _function_to_complete(row)
    if "test_list" in row:
        return _program_with_tests(row)
    if "problem" in row:
        return _problem_with_solution(row)
    answer, choices = row.get("answer"), row.get("options") or row.get("choices")
    if isinstance(choices, Mapping) and "text" in choices:
        return _labelled_choice(row, choices)
    if isinstance(choices, list) and choices:
        return _listed_choice(row, answer, choices) if "gold" not in row else {}
    if isinstance(answer, str) and "####" in answer:
        gold = answer.rpartition("####")[2].strip().replace(",", "").lstrip("$")
        if not gold:
            raise ValueError("`answer` holds nothing after its last ####")
        return {"gold": gold}
    return {"gold": str(answer).lower()} if isinstance(answer, bool) else {}


def _problem_with_solution(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of MATH.

    Raises:
        ValueError: it has a solution, and no answer can be found.
    """
    gold, solution = row.get("answer"), row.get("solution")
    if gold in (None, "") and isinstance(solution, str):
        gold = _last_box(solution)
        if not gold:
            raise ValueError(r"`solution` holds no \boxed{...}, and there is no `answer`")
    kind = row.get("subject") or row.get("type")
    return {"question": row["problem"], "gold": gold, "category": kind}


def _listed_choice(row: Mapping[str, Any], answer: Any, choices: list[Any]) -> dict[str, Any]:
    if named := _named_option(row, answer, choices):
        return {"gold": named}
    index = answer if isinstance(answer, int) else row.get("answer_index")
    letter = isinstance(answer, str) and answer.strip()
    words = str(answer) in map(str, choices)  # the number of an option, or an option's words
    if isinstance(index, int) and 0 <= index < len(choices) and not (letter or words):
        return {"gold": LETTERS[index]}
    return {}


def _named_option(row: Mapping[str, Any], answer: Any, options: list[Any]) -> str:
    """The letter of the right option in a row of MMLU or MMLU-Pro; empty: the row is none of these.

    MMLU's `answer` to `choices` is a place, also where an option has that number as its words.

    Raises:
        ValueError: there are not so many options.
    """
    letter = re.fullmatch(r"\(?([A-Z])[).]?", answer.strip()) if isinstance(answer, str) else None
    if letter and "answer_index" in row:
        if LETTERS.index(letter[1]) >= len(options):
            raise ValueError(f"`answer` is {letter[1]!r}, and there are {len(options)} options")
        return letter[1]
    is_place = isinstance(answer, int) or (isinstance(answer, str) and answer.isdecimal())
    if "choices" not in row or not is_place or isinstance(answer, bool):
        return ""
    if isinstance(answer, str) and answer in map(str, options):
        return ""
    if not 0 <= int(answer) < len(options):
        if answer in options or str(answer) in map(str, options):
            return ""
        raise ValueError(f"`answer` is {answer}, and there are {len(options)} choices")
    return LETTERS[int(answer)]


def _function_to_complete(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of HumanEval: the start of a function, and `check`, which tests it."""
    if not all(isinstance(row[name], str) for name in ("prompt", "test", "entry_point")):
        raise ValueError("`prompt`, `test` and `entry_point` must be texts")
    stub = row["prompt"]
    asks = "Complete this Python function. Answer with the whole function in one code block."
    return {
        "question": f"{asks}\n\n```python\n{stub.strip()}\n```",
        "check": f"{row['test']}\n\ncheck({row['entry_point']})\n",
        "stub": stub,
        "gold": None,
        "category": row.get("category") or "code",
    }


def _program_with_tests(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of MBPP: what a function does, and assertions that name it."""
    tests = "\n".join(map(str, row["test_list"]))
    imports = row.get("test_imports") or []
    setup = "\n".join([*map(str, imports), str(row.get("test_setup_code") or "")]).strip()
    asks = row.get("text") or row.get("prompt") or ""
    return {
        "question": f"{asks}\n\nYour code must pass these tests:\n\n```python\n{tests}\n```",
        "check": f"{setup}\n{tests}\n".lstrip(),
        "gold": None,
        "category": row.get("category") or "code",
    }


def _labelled_choice(row: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ARC: texts, labels (letters or numbers), and the label of the right one."""
    labels = [str(label) for label in choices.get("label", ())]
    right = str(row.get("answerKey", ""))
    gold = LETTERS[labels.index(right)] if right in labels else None
    return {"options": choices["text"], "choices": choices["text"], "gold": gold}


def _last_box(solution: str) -> str | None:
    """What the last box of a solution holds."""
    boxes = boxed(solution)
    return boxes[-1][1].strip() if boxes else None


def defines(source: str, stub: str) -> bool:
    """Whether a source defines the last function that a stub starts."""
    names = re.findall(r"^(?:async )?def (\w+)", stub, re.MULTILINE)
    return bool(names) and re.search(rf"^(?:async )?def {names[-1]}\b", source, re.M) is not None


def completed(source: str, stub: str) -> str:
    """An answer's code as a whole program: what it needs of the stub stands before it.

    Where it defines the stub's last function, that is what stands before that function there;
    otherwise the answer is the rest of the function, and goes on from the stub.
    """
    if defines(source, stub):
        last = [*re.finditer(r"^(?:async )?def \w+", stub, re.MULTILINE)][-1]
        return f"{stub[: last.start()]}\n{source}"
    lines = [line for line in source.splitlines() if line.strip()]
    body = source if lines and lines[0][0].isspace() else indent(source, "    ")
    return f"{stub.rstrip()}\n{body}"
