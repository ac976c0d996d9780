"""A batch: order, errors as rows, budgets, going on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from mom_council.batch.engine import BatchLimits, local_engine
from mom_council.batch.job import BatchJob, BatchProgress, run_batch
from mom_council.councils.loader import load_council
from mom_council.errors import CouncilError, StorageError
from mom_council.tests.graph.desk import desk, said, seat, written
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tracing.local import wait_for_traces
from mom_council.tracing.store import TraceStore

NO_VOTE = {"deliberation": {"method": "none"}}
CALLS = 4
"""Of a row: three answers and the synthesis."""


def _questions(path: Path, *asked: Any) -> Path:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in asked]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _numbered(path: Path, count: int) -> Path:
    return _questions(path, *({"id": n, "question": f"Row {n}?"} for n in range(count)))


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _job(stage: Stage, source: Path, **changes: Any) -> BatchJob:
    council = desk(stage, **{**NO_VOTE, **changes.pop("council", {})})
    return BatchJob(council, source, source.with_name("out.jsonl"), **changes)


async def _run(job: BatchJob) -> BatchProgress:
    return await run_batch(job, local_engine())


async def test_rows_keep_their_order_and_columns_however_they_finish(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    stage.model("pen", reply=lambda body: "Said of " + said(body).split("Row ")[1][0])
    source = _questions(
        tmp_path / "in.jsonl",
        *({"n": n, "question": f"Row {n}?", "answer": "gold", "x": [n]} for n in range(8)),
    )
    progress = await _run(_job(stage, source, concurrency=4))
    rows = _rows(tmp_path / "out.jsonl")
    assert [row["n"] for row in rows] == list(range(8))
    assert [row["council_answer"] for row in rows] == [f"Said of {n}" for n in range(8)]
    assert {row["answer"] for row in rows} == {"gold"}
    assert [row["x"] for row in rows] == [[n] for n in range(8)]
    assert {(row["calls"], row["stop_reason"]) for row in rows} == {(CALLS, "unvoted")}
    assert (progress.done, progress.errors, progress.spent.calls) == (8, 0, 8 * CALLS)
    assert stage.overlap("pen") <= 4
    assert [file.name for file in tmp_path.iterdir() if "out" in file.name] == ["out.jsonl"]


async def test_what_cannot_be_asked_or_answered_is_a_row_with_its_error(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    for name in ("ada", "boris", "clara"):
        stage.scripts[name].faults = [None, Fault.status(500)]
    source = _questions(
        tmp_path / "in.jsonl",
        {"question": "Row 0?"},
        "{broken",
        {"prompt": "other"},
        {"question": "   "},
        {"question": 7},
        "[1]",
        '{"question": "half \\ud800"}',
        "",
        {"question": "Row 6?"},
    )
    progress = await _run(_job(stage, source, concurrency=1))
    rows = _rows(tmp_path / "out.jsonl")
    assert [bool(row["answer"]) for row in rows] == [True, *[False] * 7]
    told = [row["error"] for row in rows]
    assert told[1] == "line 2 is no JSON"
    assert told[2] == "there is no column 'question'; there are: 'prompt'"
    assert told[3] == told[4] == "column 'question' holds no text"
    assert told[5] == "line 6 is no JSON object"
    assert told[6] == "line 7 holds half a character"
    assert told[7].startswith("QuorumError: ")
    assert (progress.done, progress.errors) == (8, 7)

    stage.clear()
    again = await _run(_job(stage, source))
    assert (again.errors, len(stage.calls)) == (7, 0), "nobody is asked unless --retry says so"
    cured = await _run(_job(stage, source, retry=True))
    assert _rows(tmp_path / "out.jsonl")[7]["answer"] == "What the council says."
    assert (cured.errors, len(stage.calls)) == (6, CALLS)
    assert cured.spent.calls == 3 + 2 * CALLS, "the failed try counts once"


async def test_the_calls_of_all_rows_together_stay_within_the_budget(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    source = _numbered(tmp_path / "in.jsonl", 10)
    limits = BatchLimits(calls=3 * CALLS + 1)
    progress = await _run(_job(stage, source, limits=limits, concurrency=4))
    assert len(stage.calls) == progress.spent.calls <= limits.calls  # type: ignore[operator]
    assert (progress.done, progress.left, progress.stopped) == (3, 7, "13 calls")
    rows = _rows(tmp_path / "out.jsonl")
    assert [row["error"] for row in rows] == [None] * 3 + ["not asked yet"] * 7

    progress = await _run(_job(stage, source, limits=BatchLimits(calls=100)))
    assert (progress.left, progress.before, len(stage.calls)) == (0, 3, 10 * CALLS)


async def test_dollars_and_tokens_stop_it_too_and_unpriced_models_are_refused(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    source = _numbered(tmp_path / "in.jsonl", 12)
    with pytest.raises(CouncilError, match=r"price: \{input"):
        await _run(_job(stage, source, limits=BatchLimits(usd=1)))
    assert not stage.calls
    job = _job(stage, source, concurrency=1)
    priced = {
        key: model.model_copy(update={"price": {"input": 1000, "output": 1000}})
        for key, model in job.council.models.items()
    }
    values = job.council.model_dump(mode="json", exclude_defaults=True)
    for key in priced:
        values["models"][key]["price"] = {"input": 300, "output": 300}
    council = desk(stage, **NO_VOTE, models=values["models"])
    job = BatchJob(
        council, source, tmp_path / "usd.jsonl", limits=BatchLimits(usd=1.0), concurrency=1
    )
    progress = await _run(job)
    assert 0 < progress.left < 12
    assert progress.spent.usd is not None
    assert progress.stopped == "$1"
    assert progress.spent.usd <= 1.0
    limits = BatchLimits(tokens=progress.spent.tokens)
    job = BatchJob(council, source, tmp_path / "tokens.jsonl", limits=limits, concurrency=1)
    counted = await _run(job)
    assert 0 < counted.done <= progress.done
    assert (counted.spent.tokens or 0) <= (progress.spent.tokens or 0)


def _takes_more_and_more() -> Any:
    """Answers that take longer and longer, as far as their requests allow."""
    asked = iter(range(1000))

    def reply(body: dict[str, Any]) -> Reply:
        number = next(asked)
        written = min(20 + 60 * (number % 9), body.get("max_tokens") or 10_000)
        return Reply(f"View {number}", usage=(len(said(body)) // 4, written))

    return reply


@pytest.mark.parametrize("concurrency", [1, 3, 8])
@pytest.mark.parametrize("limit", [{"calls": 40}, {"tokens": 7_000}, {"usd": 0.12}])
async def test_no_limit_of_a_batch_is_exceeded_whatever_its_rows_take(
    stage: Stage, tmp_path: Path, limit: dict[str, Any], concurrency: int
) -> None:
    seat(stage)
    for place, script in enumerate(stage.scripts.values()):
        script.reply = _takes_more_and_more()
        script.latency = 0.01 * place
        script.faults = [None, Fault.status(500, retry_after=0)] * 4
    values = _job(stage, tmp_path / "in.jsonl").council.model_dump(exclude_defaults=True)
    for model in values["models"].values():
        model |= {"price": {"input": 3, "output": 15}, "retries": 1}
    council = desk(stage, **NO_VOTE, models=values["models"])
    source = _numbered(tmp_path / "in.jsonl", 14)
    output = tmp_path / "out.jsonl"
    job = BatchJob(council, source, output, limits=BatchLimits(**limit), concurrency=concurrency)
    progress = await _run(job)
    assert progress.done > 1
    assert progress.left
    spent = progress.spent
    assert spent.calls == len(stage.calls)
    for name, most in limit.items():
        assert (getattr(spent, name) or 0) <= most


async def test_a_cancelled_batch_goes_on_without_asking_again(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    stage.scripts["pen"].always = Fault.hang()
    source = _numbered(tmp_path / "in.jsonl", 2)
    running = asyncio.create_task(_run(_job(stage, source)))
    await asyncio.to_thread(stage.wait_for, 2, 20, started=True, model="pen")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stage.scripts["pen"].always = None
    progress = await _run(_job(stage, source))
    assert (progress.done, progress.errors) == (2, 0)
    assert len(stage.calls_to("ada")) == 2
    assert len(stage.calls_to("pen")) == 4


async def test_another_council_other_questions_and_a_second_process_are_refused(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    source = _numbered(tmp_path / "in.jsonl", 3)
    job = _job(stage, source, limits=BatchLimits(calls=CALLS))
    await _run(job)
    with pytest.raises(StorageError, match="of other questions or of another council"):
        await _run(_job(stage, source, council={"seed": 9}))
    from mom_council.batch.journal import Journal, identify_batch

    held = Journal.open(job.output, identify_batch(job.council, source, "question"))
    with pytest.raises(StorageError, match="another mom batch is at work"):
        await _run(job)
    held.close()
    _numbered(source, 4)
    with pytest.raises(StorageError, match="of other questions"):
        await _run(job)


async def test_what_is_there_is_never_written_over(stage: Stage, tmp_path: Path) -> None:
    source = _numbered(tmp_path / "in.jsonl", 1)
    job = _job(stage, source)
    job.output.write_text("mine", encoding="utf-8")
    with pytest.raises(StorageError, match="is there already"):
        await _run(job)
    assert job.output.read_text("utf-8") == "mine"
    with pytest.raises(StorageError, match="holds the questions themselves"):
        await _run(BatchJob(job.council, source, source))
    with pytest.raises(StorageError, match=r"\.jsonl, \.ndjson, \.csv, \.parquet"):
        await _run(BatchJob(job.council, source, tmp_path / "out.xlsx"))
    assert not stage.calls


async def test_a_line_that_a_kill_cut_off_is_answered_from_its_thread(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    source = _numbered(tmp_path / "in.jsonl", 3)
    await _run(_job(stage, source, limits=BatchLimits(calls=2 * CALLS), concurrency=1))
    done = tmp_path / "out.jsonl.batch" / "done.jsonl"
    whole = done.read_bytes()
    done.write_bytes(whole[:-20])
    stage.clear()
    progress = await _run(_job(stage, source))
    assert (progress.before, progress.done) == (1, 3)
    assert [row["answer"] for row in _rows(tmp_path / "out.jsonl")] == [
        "What the council says."
    ] * 3


async def test_nobody_is_asked_to_speak_or_to_approve(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    call = {"name": "calculator", "args": {"expression": "6 * 7"}, "id": "c1"}
    stage.model("ada", reply=[Reply(None, tool_calls=[call]), "Without it: 42."])
    made = written(stage, **NO_VOTE)
    made["models"]["clara"] = {"provider": "human", "model": "Ms K.", "timeout": 60}
    made["tools"] = {"calculator": {"bundled": "calculator", "approve": True}}
    made["characters"][0]["tools"] = ["calculator"]
    source = _numbered(tmp_path / "in.jsonl", 1)
    job = BatchJob(load_council(made), source, tmp_path / "out.jsonl")
    progress = await _run(job)
    [row] = _rows(tmp_path / "out.jsonl")
    assert (progress.errors, row["error"]) == (0, None)
    assert row["absent"] == "Clara: failed"
    assert "nobody is here to allow" in said(stage.calls_to("ada")[1].body)


async def test_rows_leave_traces_without_keys_where_that_is_asked_for(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_NAME", "zebra-crossing-4711")
    seat(stage)
    made = written(stage, **NO_VOTE)
    for spec in made["models"].values():
        spec["api_key_env"] = "ODD_NAME"
    asked = {"question": "Row 0: is zebra-crossing-4711 a key?"}
    source = _questions(tmp_path / "in.jsonl", asked)
    for traced, traces in ((False, 0), (True, 1)):
        job = BatchJob(load_council(made), source, tmp_path / f"{traced}.jsonl")
        assert (await run_batch(job, local_engine(traced=traced))).errors == 0
        wait_for_traces()
        found = TraceStore().summaries()
        assert len(found) == traces
    view = TraceStore().load(found[0].id)
    assert view is not None
    assert "What the council says." in view.model_dump_json()
    assert "zebra-crossing" not in view.model_dump_json()


def _request(custom_id: Any, body: Any, url: str = "/v1/chat/completions") -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


async def test_openais_batch_rows_go_in_and_come_out(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    talk = [
        {"role": "system", "content": "Speak like a pirate."},
        {"role": "user", "content": "Which pet?"},
        {"role": "assistant", "content": "A parrot."},
        {"role": "user", "content": [{"type": "text", "text": "And which ship?"}]},
    ]
    limits = {"max_completion_tokens": 77, "temperature": 0.25, "stop": "END", "user": "me"}
    source = _questions(
        tmp_path / "in.jsonl",
        _request("a", {"model": "any", "messages": talk, **limits}),
        _request("b", {"model": "any", "input": "What is it?"}, "/v1/responses"),
        _request("c", {"model": "any", "input": "x"}, "/v1/embeddings"),
        _request("d", {"messages": []}),
        _request("e", {"messages": talk, "temperature": 9}),
        _request("f", {"messages": talk, "tools": [{"type": "function"}]}),
        _request("", {"messages": talk}),
    )
    progress = await _run(_job(stage, source, concurrency=1))
    rows = _rows(tmp_path / "out.jsonl")
    assert all(list(row) == ["id", "custom_id", "response", "error"] for row in rows)
    assert [row["custom_id"] for row in rows] == [*"abcdef", ""]
    assert len({row["id"] for row in rows}) == 7
    first, second, *others = rows
    assert (first["error"], first["response"]["status_code"]) == (None, 200)
    chat = ChatCompletion.model_validate(first["response"]["body"], strict=True)
    assert (chat.choices[0].message.content, chat.model) == ("What the council says.", "any")
    response = Response.model_validate(second["response"]["body"])
    assert response.output_text == "What the council says."
    assert first["response"]["body"]["council"]["calls"] == CALLS
    for row, says in zip(
        others, ("only POST", "role 'user'", "body.temperature", "tools", "custom_id"), strict=True
    ):
        assert row["response"] is None
        assert row["error"]["code"] == "invalid_request"
        assert says in row["error"]["message"]
    assert (progress.done, progress.errors, len(stage.calls)) == (7, 5, 2 * CALLS)
    pen = stage.calls_to("pen")[0].body
    assert "A parrot." in str(pen["messages"])
    assert "pirate" in str(pen["messages"])
    assert (pen.get("max_completion_tokens") or pen["max_tokens"], pen["temperature"]) == (77, 0.25)


USER = [{"role": "user", "content": "Which?"}]
ASKED = {"model": "any", "messages": USER}
ODD_ROWS: tuple[tuple[Any, str], ...] = (
    (_request("plain", ASKED), ""),
    ({"method": "POST", "url": "/v1/chat/completions", "body": ASKED}, "'custom_id'"),
    (_request("plain", ASKED), "row 1 has the custom_id 'plain' already"),
    (_request("vector", {"input": "x"}, "/v1/embeddings"), "only POST"),
    (_request("Azure", ASKED, "/chat/completions"), ""),
    (_request("no address", ASKED, "http://["), "only POST"),
    ({"custom_id": "Mistral", "body": ASKED}, ""),
    ({"custom_id": "bare", "body": {"input": "Which?"}}, ""),
    ({"custom_id": "bodyless", "method": "POST", "url": "/v1/responses"}, "'body'"),
    (_request("later", {"input": "x", "previous_response_id": "r"}, "/v1/responses"), "earlier"),
    ("{broken", "line 11 is no JSON"),
    ("[1]", "line 12 is no JSON object"),
    ('{"custom_id": "\xff"}', "line 13 is no UTF-8"),
    (_request("deaf", {**ASKED, "tools": [{}], "tool_choice": "none", "stream": True}), ""),
    (_request("\u2028", {**ASKED, "model": None}), ""),
    (_request("long", {"messages": [{"role": "user", "content": "word " * 2_000_000}]}), ""),
    ({"custom_id": 7, "method": "POST", "url": "/v1/responses", "body": None}, "'custom_id'"),
    (_request("last", {**ASKED, "model": "nobody-knows-it"}), ""),
)


# aiohttp warns of each body of more than a megabyte that is sent in one piece.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_every_odd_request_is_answered_or_refused_in_its_own_row(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    lines = [
        json.dumps(row).encode() if isinstance(row, dict) else row.encode("latin-1")
        for row, _ in ODD_ROWS
    ]
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + b"".join(line + b"\r\n" for line in lines) + b"\r\n \n")
    progress = await _run(_job(stage, source, concurrency=3))
    rows = _rows(tmp_path / "out.jsonl")
    assert (progress.total, progress.left, len(rows)) == (len(ODD_ROWS), 0, len(ODD_ROWS))
    assert all(list(row) == ["id", "custom_id", "response", "error"] for row in rows)
    for row, (asked, fault) in zip(rows, ODD_ROWS, strict=True):
        assert row["custom_id"] == (asked.get("custom_id") if isinstance(asked, dict) else None)
        if fault:
            assert row["response"] is None
            assert row["error"]["code"] == "invalid_request"
            assert fault in row["error"]["message"]
        else:
            assert row["error"] is None, row["error"]
            assert "What the council says." in json.dumps(row["response"]["body"])
    assert len(stage.calls) == CALLS * sum(not fault for _, fault in ODD_ROWS)
    assert rows[14]["response"]["body"]["model"] == ""


async def test_a_table_of_articles_is_no_file_of_requests(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    article = {"url": "https://news.example/1", "body": "Once.", "question": "What is it about?"}
    source = _questions(tmp_path / "in.jsonl", article, {**article, "method": "POST"})
    await _run(_job(stage, source))
    for row in _rows(tmp_path / "out.jsonl"):
        assert (row["url"], row["answer"]) == (article["url"], "What the council says.")
    mistyped = _questions(tmp_path / "other.jsonl", {"url": "/1", "body": "Once.", "title": "x"})
    with pytest.raises(StorageError, match="no row has a column 'question'"):
        await _run(_job(stage, mistyped))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.jsonl", '{"question": "Why?"}'.encode("utf-16").decode("latin-1"), "UTF-16"),
        ("in.csv", "question,n\nWhy?,1\nWhat?,1,2\n", r"row 2 \(line 3\)"),
        ("in.csv", "question,n,question\nWhy?,1,What?\n", "two columns are called 'question'"),
        ("in.jsonl", '{"question": "a", "question": "b"}\n', "'question' twice"),
    ],
)
async def test_what_would_be_lost_is_refused_before_anybody_is_asked(
    stage: Stage, tmp_path: Path, name: str, content: str, says: str
) -> None:
    seat(stage)
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(StorageError, match=says):
        await _run(_job(stage, tmp_path / name))
    assert not stage.calls
    assert [file.name for file in tmp_path.iterdir()] == [name]
