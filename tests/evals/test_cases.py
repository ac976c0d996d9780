"""The questions of an evaluation."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mom_council.cli.evals import allow_checks
from mom_council.councils.recording import load_recording
from mom_council.councils.trust import UntrustedError
from mom_council.errors import StorageError
from mom_council.evals.cases import read_cases
from mom_council.evals.logs import read_logs
from mom_council.evals.sandbox import may_be_open
from mom_council.evals.scorers import SCORERS, suits
from mom_council.tests.evals.recorded import kept, sums


def data(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_case_is_a_line_and_may_be_named_otherwise(tmp_path: Path):
    one, other = read_cases(
        data(
            tmp_path / "data.jsonl",
            '{"question": "What is 17 + 25?", "gold": 42}',
            "",
            '{"text": "Which is it?", "answer": "B", "choices": ["no", "yes"], "kind": "yes-no"}',
        )
    )
    assert (one.prompt, one.gold, one.kind) == ("What is 17 + 25?", 42, "general")
    assert (other.prompt, other.gold, other.kind) == ("Which is it?\nA. no\nB. yes", "B", "yes-no")
    assert one.key != other.key


def test_a_recording_is_data_by_fold_and_number(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl.gz", sums(10))
    assert [case.id for case in read_cases(path, fold="cal", limit=2)] == ["sum-1", "sum-3"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"question": "What?"}', "{"], "line 2"),
        (['{"question": ""}'], "line 1: question"),
        (['{"gold": "42"}'], "line 1: question"),
        (['{"question": "What?"}', '{"question": "What?"}'], "stands twice"),
        ([""], "holds no question"),
    ],
)
def test_a_file_that_is_no_data_is_refused_by_its_line(tmp_path: Path, lines: list[str], says: str):
    with pytest.raises(StorageError, match=says):
        read_cases(data(tmp_path / "data.jsonl", *lines))


def test_a_missing_or_broken_file_is_named(tmp_path: Path):
    with pytest.raises(StorageError, match=r"nowhere\.jsonl"):
        read_cases(tmp_path / "nowhere.jsonl")
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(b'{"question": "What?"}')[:-8])
    with pytest.raises(StorageError, match="cannot be read"):
        read_cases(torn)


@pytest.mark.parametrize("read", [read_cases, load_recording, read_logs])
def test_a_file_with_flipped_bits_or_no_text_says_what_to_do(tmp_path: Path, read: Any):
    packed = bytearray(gzip.compress(b'{"question": "What?"}' * 99, mtime=0))
    packed[10:20] = b"\xff" * 10
    (tmp_path / "flipped.jsonl.gz").write_bytes(packed)
    with pytest.raises(StorageError, match="damaged or cut off; get it anew"):
        read(tmp_path / "flipped.jsonl.gz")
    (tmp_path / "pictures.jsonl").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(StorageError, match="no UTF-8; save it as UTF-8"):
        read(tmp_path / "pictures.jsonl")
    with pytest.raises(StorageError, match="cannot be read: Is a directory"):
        read(tmp_path)


GSM8K = r"""{"question": "Tom has 1,200 eggs and sells 134. How many are left?",
 "answer": "He has 1,200 - 134 = <<1200-134=1066>>1,066 left.\n#### 1,066"}"""
MATH = r"""{"problem": "Simplify $\\frac{2}{4}$.", "level": "Level 1", "type": "Algebra",
 "solution": "We get $\\frac{1}{2}$, so the answer is $\\boxed{\\frac{1}{2}}$."}"""
MATH_500 = r"""{"problem": "What is $3^2$?", "solution": "It is $\\boxed{9}$.", "answer": "9",
 "subject": "Algebra", "level": 1, "unique_id": "test/algebra/1.json"}"""
MMLU_PRO = """{"question_id": 70, "question": "Which is red?", "options": ["sky", "grass", "blood"],
 "answer": "C", "answer_index": 2, "cot_content": "", "category": "biology", "src": "x"}"""
MMLU = """{"question": "Which is green?", "subject": "botany", "choices": ["sky", "grass", "snow",
 "blood"], "answer": 1}"""
ARC = """{"id": "Mercury_7", "question": "Which is white?", "choices": {"text": ["coal", "snow"],
 "label": ["1", "2"]}, "answerKey": "2"}"""


@pytest.mark.parametrize(
    ("row", "gold", "kind", "id_", "right", "wrong"),
    [
        (GSM8K, "1066", "general", "", "#### 1066", "#### 134"),
        (MATH, r"\frac{1}{2}", "Algebra", "", r"So it is \boxed{0.5}.", r"\boxed{2}"),
        (MATH_500, "9", "Algebra", "test/algebra/1.json", "Answer: 9", "Answer: 6"),
        (MMLU_PRO, "C", "biology", "70", "The answer is (C).", "The answer is (A)."),
        (MMLU, "B", "botany", "", "Answer: B", "Answer: A"),
        (ARC, "B", "general", "Mercury_7", "Answer: B", "Answer: A"),
    ],
)
def test_raw_rows_of_published_sets_are_read_as_they_are(
    tmp_path: Path, row: str, gold: str, kind: str, id_: str, right: str, wrong: str
):
    (case,) = read_cases(data(tmp_path / "data.jsonl", row.replace("\n", " ")))
    assert (str(case.gold), case.kind, case.id) == (gold, kind, id_)
    score = SCORERS[suits(case)]
    assert score(right, case).ok
    assert not score(wrong, case).ok


def test_a_json_array_is_read_too(tmp_path: Path):
    path = data(tmp_path / "data.json", "[", GSM8K, ",", MATH, "]")
    assert [case.gold for case in read_cases(path)] == ["1066", r"\frac{1}{2}"]
    with pytest.raises(StorageError, match=r"data\.json"):
        read_cases(data(tmp_path / "data.json", "[", GSM8K))


def test_a_number_that_is_an_option_is_no_index(tmp_path: Path):
    row = '{"question": "What is 1 + 1?", "options": ["1", "2", "3"], "answer": 2}'
    (case,) = read_cases(data(tmp_path / "data.jsonl", row))
    assert SCORERS["choice"]("Answer: B", case).ok


HUMAN_EVAL = {
    "task_id": "HumanEval/0",
    "prompt": "from typing import List\n\n\ndef half(x: int) -> int:\n    return x // 2\n\n\n"
    'def halves(numbers: List[int]) -> List[int]:\n    """ Half of each.\n'
    '    >>> halves([2, 4])\n    [1, 2]\n    """\n',
    "entry_point": "halves",
    "canonical_solution": "    return [half(number) for number in numbers]\n",
    "test": "METADATA = {'author': 'us'}\n\n\ndef check(candidate):\n"
    "    assert candidate([2, 4]) == [1, 2]\n    assert candidate([]) == []\n",
}
MBPP = {
    "task_id": 11,
    "text": "Write a function to double a number.",
    "code": "def double(n):\n  return 2 * n",
    "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
_WHOLE = "def halves(numbers: List[int]) -> List[int]:\n    return [half(n) for n in numbers]"


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (f"```python\n{_WHOLE}\n```", True),
        (
            f"So:\n\n```python\n{HUMAN_EVAL['prompt']}    return [n // 2 for n in numbers]\n```",
            True,
        ),
        (HUMAN_EVAL["canonical_solution"], True),
        (
            "    made = []\n    for n in numbers:\n        made.append(half(n))\n    return made",
            True,
        ),
        ("```python\nreturn [half(number) for number in numbers]\n```", True),
        (f"```python\n{_WHOLE.replace('half(n)', 'n')}\n```", False),
        ("I do not know.", False),
    ],
)
def test_human_eval_is_checked_in_the_sandbox(tmp_path: Path, answer: str, ok: bool):
    (case,) = read_cases(data(tmp_path / "data.jsonl", json.dumps(HUMAN_EVAL)))
    assert (case.id, case.gold, suits(case)) == ("HumanEval/0", None, "code")
    assert "def halves" in case.prompt
    token = may_be_open.set(True)
    try:
        mark = SCORERS["code"](answer, case)
    finally:
        may_be_open.reset(token)
    assert mark.ok is ok, mark.note


def test_mbpp_is_checked_in_the_sandbox(tmp_path: Path):
    (case,) = read_cases(data(tmp_path / "data.jsonl", json.dumps(MBPP)))
    assert (case.id, suits(case)) == ("11", "code")
    assert "assert double(2) == 4" in case.prompt
    token = may_be_open.set(True)
    try:
        assert SCORERS["code"](f"```python\n{MBPP['code']}\n```", case).ok
        assert not SCORERS["code"]("```python\ndef double(n): return n\n```", case).ok
    finally:
        may_be_open.reset(token)


def test_code_of_a_raw_row_runs_with_consent_only(tmp_path: Path):
    path = data(tmp_path / "data.jsonl", json.dumps(HUMAN_EVAL))
    with pytest.raises(UntrustedError):
        allow_checks(path, read_cases(path), "auto")


GSM = {"question": "Q?", "answer": "steps\n#### 1,234"}
CHOICE = {"question": "Q?", "options": ["a", "b"], "answer_index": 1}
HUMAN = {"task_id": "HumanEval/0", "prompt": None, "entry_point": "f", "test": "x"}


@pytest.mark.parametrize(
    ("row", "gold"),
    [
        (GSM, "1234"),
        ({**GSM, "answer": "x\n#### $5,000"}, "5000"),
        ({"problem": "P?", "answer": 0}, 0),
        ({"problem": "P?", "solution": r"so \boxed 3."}, "3"),
        ({**CHOICE, "answer": "(B)"}, "B"),
        ({"question": "Q?", "choices": ["2", "1", "0", "3"], "answer": 0}, "A"),
        ({"question": "Q?", "choices": ["a", "b", "c", "d"], "answer": "3"}, "D"),
        ({"question": "Q?", "options": ["2", "1", "0", "3"], "answer": 0}, 0),
        ({"question": "Is it?", "answer": True}, "true"),
    ],
)
def test_a_raw_row_is_read_as_its_data_set_means_it(
    tmp_path: Path, row: dict[str, Any], gold: object
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(row).encode() + b"\r\n")
    viewer = tmp_path / "viewer.json"
    viewer.write_text(json.dumps({"features": [], "rows": [{"row_idx": 0, "row": row}]}), "utf-8")
    tidy = tmp_path / "tidy.json"
    tidy.write_text(json.dumps({"rows": [{"row_idx": 0, "row": row}]}, indent=1), "utf-8")
    for path in (file, viewer, tidy):
        [case] = read_cases(path)
        assert case.gold == gold


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({**GSM, "answer": "x\n####"}, "`answer` holds nothing after its last ####"),
        ({"problem": "P?", "solution": "so it is 3"}, "`solution` holds no"),
        ({**CHOICE, "answer": "F"}, "`answer` is 'F', and there are 2 options"),
        ({"question": "Q?", "choices": ["a", "b"], "answer": 5}, "there are 2 choices"),
        (HUMAN, "must be texts"),
    ],
)
def test_a_raw_row_without_its_answer_is_refused_with_its_line(
    tmp_path: Path, row: dict[str, Any], part: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{json.dumps(GSM)}\n\n{json.dumps(row)}\n", "utf-8")
    with pytest.raises(StorageError, match="line 3: ") as refused:
        read_cases(file)
    assert part in str(refused.value)
