"""Rows out of, and into, three kinds of files."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.batch.job import write_rows
from mom_council.batch.rows import COLUMNS, RowOutcome, free_column_names, read_rows
from mom_council.errors import StorageError
from mom_council.records import Usage

ROWS: list[dict[str, Any]] = [
    {"question": "Zeile 1 – „so“?", "n": 1, "f": 0.5, "yes": True, "mixed": 1, "deep": {"a": [1]}},
    {"question": 'two\nlines, "quoted"', "n": None, "f": 2, "yes": False, "mixed": "x", "late": 1},
]


def _written(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    source = path.with_name("in.jsonl")
    source.write_text(text, encoding="utf-8")
    read = list(read_rows(source, "question"))
    outcomes = [
        RowOutcome(index=0, answer="=A1+1", usage=Usage(calls=3), share=0.5),
        RowOutcome(index=1, error="why not"),
    ]
    write_rows(path, lambda: iter(zip(read, outcomes[: len(rows)], strict=True)))
    return path


def test_json_lines_come_back_with_every_value_as_it_was(tmp_path: Path) -> None:
    rows = list(read_rows(_written(tmp_path / "out.jsonl"), "question"))
    assert [row.columns["question"] for row in rows] == [row["question"] for row in ROWS]
    assert rows[0].columns["deep"] == {"a": [1]}
    assert (rows[0].columns["answer"], rows[1].columns["error"]) == ("=A1+1", "why not")
    assert "late" not in rows[0].columns


def test_csv_comes_back_with_every_cell_as_it_was(tmp_path: Path) -> None:
    rows = list(read_rows(_written(tmp_path / "out.csv"), "question"))
    assert [row.question for row in rows] == [row["question"] for row in ROWS]
    assert rows[0].columns["deep"] == '{"a": [1]}'
    assert (rows[0].columns["yes"], rows[0].columns["late"]) == ("true", "")
    assert rows[0].columns["answer"] == "'=A1+1", "an answer is no formula of whoever opens it"


@pytest.mark.parametrize(
    ("answer", "acts"),
    [
        *(("=1+1", True), ("@SUM(1)", True), ("+cmd|' /C calc'!A0", True), ("+A1", True)),
        *(("\t=1", True), ("\uff1dA1", True), ("- cmd|' '!A", True), ("-2+3+cmd|' '!A", True)),
        *(
            ("-5", False),
            ("+3.5e2", False),
            ("- one\n- two", False),
            ("42 = x", False),
            ("", False),
        ),
    ],
)
def test_an_answer_in_csv_is_no_formula(tmp_path: Path, answer: str, acts: bool) -> None:
    source = tmp_path / "in.csv"
    source.write_text("question\n=mine\n", encoding="utf-8")
    [row] = read_rows(source, "question")
    out = tmp_path / "out.csv"
    write_rows(out, lambda: iter([(row, RowOutcome(index=0, answer=answer))]))
    with out.open(encoding="utf-8", newline="") as file:
        [written] = csv.DictReader(file)
    assert written["answer"] == ("'" if acts else "") + answer
    assert written["question"] == "=mine", "the input's own columns stay"


def test_parquet_comes_back_with_every_column_of_one_kind(tmp_path: Path) -> None:
    path = _written(tmp_path / "out.parquet")
    schema = pyarrow.parquet.read_schema(path)
    kinds = {name: str(schema.field(name).type) for name in ("n", "f", "yes", "mixed", "deep")}
    assert kinds == {
        "n": "int64",
        "f": "double",
        "yes": "bool",
        "mixed": "string",
        "deep": "string",
    }
    rows = list(read_rows(path, "question"))
    assert [row.question for row in rows] == [row["question"] for row in ROWS]
    assert (rows[0].columns["mixed"], rows[1].columns["mixed"]) == ("1", "x")
    assert (rows[0].columns["calls"], rows[0].columns["late"]) == (3, None)


def test_an_empty_file_of_each_kind_gives_an_empty_output(tmp_path: Path) -> None:
    for name in ("out.jsonl", "out.csv", "out.parquet"):
        assert list(read_rows(_written(tmp_path / name, []), "question")) == []


def test_a_byte_order_mark_and_a_short_line_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"\xef\xbb\xbfquestion,n\nWhy?,1\nWhat?\n")
    first, second = read_rows(path, "question")
    assert (first.question, first.columns) == ("Why?", {"question": "Why?", "n": "1"})
    assert (second.question, second.columns["n"]) == ("What?", None)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.parquet", b"no parquet", "cannot be read as Parquet"),
        ("in.csv", b"question\n\xff\xfe\n", "no UTF-8"),
        ("in.txt", b"Why?", "a batch is .jsonl"),
        ("in.csv", b"question,n\nWhy?,1\nWhat?,1,2,3\n", r"row 2 \(line 3\) has more cells"),
        ("in.csv", b"question,n,n\nWhy?,1,2\n", "two columns are called 'n'"),
        ("in.jsonl", b'{"question": "Why?"}\n{"question": "a", "question": "b"}\n', "line 2 has"),
        ("in.jsonl", b'{"question": "Why?", "x": {"y": 1, "y": 2}}\n', "line 1 has 'y' twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StorageError, match=says):
        list(read_rows(tmp_path / name, "question"))
    with pytest.raises(StorageError, match="No such file"):
        list(read_rows(tmp_path / "none.jsonl", "question"))


@given(st.lists(st.sampled_from([*COLUMNS, *(f"council_{c}" for c in COLUMNS), "x"])))
def test_no_added_column_takes_the_name_of_another(taken: list[str]) -> None:
    names = free_column_names(taken)
    assert len({*names.values()} | {*taken}) == len(COLUMNS) + len({*taken})


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(
                st.characters(exclude_categories=["Cs"]), max_size=5
            ) | st.lists(st.integers(), max_size=2),
            max_size=3,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_any_rows_can_be_written_in_any_format(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    read = [_row(index, columns) for index, columns in enumerate(rows)]
    pairs = [(row, RowOutcome(index=row.index, answer="x")) for row in read]
    for name in ("out.jsonl", "out.csv", "out.parquet"):
        write_rows(folder / name, lambda: iter(pairs))
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert pyarrow.parquet.read_table(folder / "out.parquet").num_rows == len(rows)
    answers = [row.columns for row in read_rows(folder / "out.jsonl", "x")]
    assert [
        {k: v for k, v in got.items() if k in src} for got, src in zip(answers, rows, strict=True)
    ] == rows


def _row(index: int, columns: dict[str, Any]) -> Any:
    from mom_council.batch.rows import Row

    return Row(index, columns, "Why?")


USER = [{"role": "user", "content": "Which?"}]
REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "no limit": ({"body": {"messages": USER, "max_tokens": -1}}, ""),
    "numbers as text": ({"body": {"messages": USER, "temperature": "0.5"}}, ""),
    "a body as text": ({"body": json.dumps({"messages": USER})}, ""),
    "a whole address": ({"url": "https://api.example/v1/chat/completions/"}, ""),
    "small letters": ({"method": "post"}, ""),
    "a role in capitals": ({"body": {"messages": [{**USER[0], "role": "User"}]}}, ""),
    "content as an object": (
        {"body": {"messages": [{"role": "user", "content": {"type": "text", "text": "Which?"}}]}},
        "",
    ),
    "an empty answer": (
        {"body": {"messages": [*USER, {"role": "assistant", "content": None}, *USER]}},
        "",
    ),
    "a form as a word": ({"body": {"messages": USER, "response_format": "text"}}, ""),
    "a text that is no form": ({"body": {"messages": USER, "text": "x"}}, ""),
    "too hot": ({"body": {"messages": USER, "temperature": 9}}, "body.temperature: "),
    "not a number": ({"body": {"messages": USER, "top_p": math.nan}}, "body.top_p: "),
    "a stop that is no text": ({"body": {"messages": USER, "stop": 5}}, "body.stop: "),
    "two answers": ({"body": {"messages": USER, "n": 2}}, "body.n: "),
    "another address": ({"url": "/v1/embeddings"}, "only POST"),
    "a null body": ({"body": None}, "'body' is no JSON object"),
    "an earlier call": (
        {"body": {"messages": [*USER, {"role": "tool", "content": "7"}]}},
        "body.messages[1]: a batch has nobody who runs tools",
    ),
    "a message that is none": (
        {"body": {"system": "Be kind.", "messages": [*USER, None]}},
        "body.messages[1]: is no message",
    ),
    "content that is none": (
        {"body": {"messages": [{"role": "user", "content": None}]}},
        "body.messages[0]: its content is no text",
    ),
}


@pytest.mark.parametrize(("changes", "fault"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_read_as_it_is_meant_or_says_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    url = "/v1/chat/completions"
    row = {"custom_id": "a", "method": "POST", "url": url, "body": {"messages": USER}, **changes}
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(row).encode() + b"\r\n\r\n")
    [found] = read_rows(file, "question")
    assert found.fault.startswith(fault)
    assert bool(found.fault) == bool(fault), found.fault
    if not fault:
        assert found.messages[-1]["role"] == "user"
        assert "max_tokens" not in found.form
        assert found.columns["url"] == url
        assert isinstance(found.columns["body"], dict)


KIND = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}}


@pytest.mark.parametrize(
    "row",
    [
        {"custom_id": "a", "method": "POST", "url": "/v1/messages", "body": {}},
        {"custom_id": "a", "params": {}},
    ],
)
def test_a_request_in_the_form_of_anthropic_is_asked_and_answered_in_it(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    content = [{"type": "text", "text": "Which?"}, PICTURE]
    body = row.get("body", row.get("params"))
    body |= {"model": "m", "max_tokens": 50, "system": KIND, "stop_sequences": ["X"]}
    body["messages"] = [{"role": "user", "content": content}]
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text(f"{json.dumps(row)}\n" * 2, "utf-8")
    rows = list(read_rows(file, "question"))
    assert [bool(one.fault) for one in rows] == [False, True], "the second has the same custom_id"
    first, second = rows[0].messages
    assert first == {"role": "system", "content": [{"type": "text", "text": "Be kind."}]}
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}
    assert second["content"] == [{"type": "text", "text": "Which?"}, shown]
    assert rows[0].form == {"max_tokens": 50, "stop": ["X"]}
    outcomes = [RowOutcome(index=0, answer="Yes."), RowOutcome(index=1, error="x", unasked=True)]
    write_rows(out, lambda: iter(zip(rows, outcomes, strict=True)))
    good, bad = map(json.loads, out.read_text("utf-8").splitlines())
    message = good["result"]["message"] if "params" in row else good["response"]["body"]
    assert message["content"] == [{"type": "text", "text": "Yes."}]
    assert (message["type"], message["stop_reason"]) == ("message", "end_turn")
    fault = bad["result"]["error"]["error"] if "params" in row else bad["error"]
    assert fault["message"] == "x"


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("in.csv", 'question,a\n"Q?,1\nR?,2\n', "row 1 has a quote that is never closed"),
        ("in.csv", "question,a\nQ?,1\nR?,1,2\n", "row 2 (line 3) has more cells"),
        ("in.csv", "question,question\nQ?,1\n", "two columns are called 'question'"),
        ("in.jsonl", '[\n{"question": "Q?"}\n]\n', "it is one JSON array"),
        ("in.jsonl", '\ufeff\n [{"question": "Q?"}]', "it is one JSON array"),
        ("in.jsonl", '{"question": "Q?", "question": "R?"}\n', "line 1 has 'question' twice"),
    ],
)
def test_a_file_of_which_something_would_be_lost_is_refused(
    tmp_path: Path, name: str, text: str, part: str
) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    with pytest.raises(StorageError) as refused:
        list(read_rows(file, "question"))
    assert part in str(refused.value)


def test_quotes_over_lines_and_ten_thousand_rows_are_read(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    rows = [[f'line one\r\n"{at}", line two', "x"] for at in range(10_000)]
    with file.open("w", encoding="utf-8-sig", newline="") as opened:
        csv.writer(opened).writerows([["question", "a"], *rows])
    assert [row.question for row in read_rows(file, "question")] == [row[0] for row in rows]
