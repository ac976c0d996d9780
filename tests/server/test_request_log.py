"""What the log says of a request: who, what, how long; never a key, never what was asked."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from mom_council.councils.yaml import written
from mom_council.server.request_log import RequestLog, _JsonFormatter, _TextFormatter
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY, Serve
from mom_council.tests.server.operated import operated, until
from mom_council.tests.server.test_mcp import session_at, tools_of
from mom_council.tests.stage import Fault, Stage
from mom_council.tracing.local import wait_for_traces
from mom_council.tracing.store import TraceStore

BODY = {"model": "desk", "messages": [{"role": "user", "content": "Which?"}]}
SECRET = "Does the heron of Wetherby sleep standing, or does it lie down in the reeds at night?"


def access(server: Any) -> list[dict[str, Any]]:
    return [line for line in server.lines if line["logger"] == "mom_council.access"]


@pytest.mark.slow
def test_each_request_has_a_line_and_no_line_tells_a_key_or_what_was_asked(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    (tmp_path / "desk.yaml").write_text(written(desk(stage)), "utf-8")
    arguments = ("-c", "desk.yaml", "--only", "--log", "json", "--db", str(tmp_path / "t.db"))
    with operated(tmp_path, *arguments, MOM_SERVER_KEYS=f"ann={KEY}") as server:
        asked = {"X-Request-Id": "ours-17", "X-Thread-Id": "cats"}
        answer = server.ask(SECRET, KEY, asked)
        assert answer.headers["x-request-id"] == "ours-17"
        until(lambda: len(access(server)) == 1)
        [line] = access(server)
        assert line.pop("seconds") > 0
        assert line.pop("time").endswith("Z")
        assert line.pop("message").startswith("POST /v1/chat/completions 200 ")
        assert line == {
            "level": "info",
            "logger": "mom_council.access",
            "request_id": "ours-17",
            "method": "POST",
            "path": "/v1/chat/completions",
            "status": 200,
            "key": "ann",
            "council": "desk",
            "thread": "cats",
        }
        # A stream has its line when it has ended; a stranger has none of our names.
        stream = server.ask(SECRET, KEY, stream=True)
        assert stream.text.rstrip().endswith("[DONE]")
        stranger = server.ask(SECRET, "some-other-key-of-nobody")
        nowhere = server.get(f"/v1/{KEY}?token={KEY}", KEY)
        until(lambda: len(access(server)) == 4)
        [_, streamed, refused, lost] = access(server)
        assert streamed["request_id"] == stream.headers["x-request-id"]
        assert (refused["status"], "key" in refused) == (401, False)
        assert refused["request_id"] == stranger.json()["request_id"]
        assert (lost["status"], lost["path"]) == (404, "/v1/[redacted]")
        assert nowhere.json()["request_id"] == lost["request_id"]

        # An error of a vendor may repeat what it was sent.
        echo = Fault(kind="status", code=400, message=f"bad: {SECRET}")
        for name in ("ada", "boris", "clara"):
            stage.model(name, faults=[echo] * 3)
        failed = server.ask(SECRET, KEY)
        assert failed.status_code == 503
        until(lambda: len(access(server)) == 5)
        [why] = [line for line in server.lines if line["level"] == "warning"]
        assert why["request_id"] == failed.json()["request_id"] == access(server)[-1]["request_id"]
        assert KEY not in server.text
        assert "heron" not in server.text
        assert server.get("/health").status_code == 200
        assert len(access(server)) == 5, "a line a probe would bury the others"


@pytest.mark.slow
def test_the_text_log_is_one_line_a_request(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    (tmp_path / "desk.yaml").write_text(written(desk(stage)), "utf-8")
    with operated(tmp_path, "-c", "desk.yaml", "--only") as server:
        server.ask("Which?", headers={"X-Request-Id": "mine"})
        until(lambda: "request=mine" in server.text)
        [line] = server.text.splitlines()
        assert " info    POST /v1/chat/completions 200 " in line
        assert line.endswith(" s council=desk request=mine")
    with operated(tmp_path, "-c", "desk.yaml", "--only", "--log-level", "warning") as server:
        server.ask("Which?")
    assert server.text == ""


@pytest.mark.parametrize(
    ("path", "anthropic"), [("/v1/chat/completions", False), ("/v1/messages", True)]
)
def test_an_error_names_its_request_in_the_header_and_the_body(
    closed: Any, path: str, anthropic: bool
) -> None:
    answer = closed.post({"model": "nobody"}, path, headers={"X-Request-Id": "a-1"})
    assert answer.status_code == 400
    assert answer.json()["request_id"] == "a-1" == answer.headers["x-request-id"]
    assert answer.headers.get("request-id") == ("a-1" if anthropic else None)


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "é", f"sk-{'a1' * 24}"])
def test_an_id_that_cannot_be_one_is_replaced(closed: Any, sent: str) -> None:
    answer = httpx.get(f"{closed.url}/health", headers={b"X-Request-Id": sent.encode("latin-1")})
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_trace_names_the_request(stage: Stage, serve: Serve, tmp_path: Path) -> None:
    seat(stage)
    served = serve(desk(stage), database=str(tmp_path / "threads.db"))
    served.post(BODY, headers={"X-Request-Id": "r-1", "X-Thread-Id": "cats"})
    wait_for_traces()
    [summary] = TraceStore().summaries()
    view = TraceStore().load(summary.id)
    assert view is not None
    [run] = [span for span in view.spans if span.kind == "run"]
    assert run.about["request_id"] == "r-1"


async def test_a_call_over_mcp_has_an_id_in_the_log_the_answer_the_errors_and_the_trace(
    stage: Stage, serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seat(stage)
    make = lambda server: RequestLog(tools_of(server))  # noqa: E731
    database = str(tmp_path / "threads.db")
    served = serve(desk(stage), keys=f"ann={KEY}", database=database, make=make)
    caplog.set_level("INFO", "mom_council.access")
    async with session_at(served, KEY, {"X-Request-Id": "ours-18"}) as session:
        asked = {"question": SECRET, "thread": "cats"}
        answer = await session.call_tool("ask", asked)
        assert (answer.meta or {})["request_id"] == "ours-18"
        wrong = await session.call_tool("ask", {"question": SECRET, "council": "nobody"})
        assert wrong.isError
        assert "(request ours-18)" in str(wrong.content)
    fields = [vars(one)["request"] for one in caplog.records if "MCP ask" in one.message]
    assert all(one.pop("seconds") > 0 for one in fields)
    assert fields == [
        {"method": "MCP", "path": "ask", "key": "ann", **more}
        for more in (
            {"status": "ok", "council": "desk", "thread": "cats"},
            {"status": "failed"},
        )
    ]
    wait_for_traces()
    [summary] = TraceStore().summaries()
    view = TraceStore().load(summary.id)
    assert view is not None
    [run] = [span for span in view.spans if span.kind == "run"]
    assert run.about["request_id"] == "ours-18"
    assert KEY not in caplog.text
    assert "heron" not in caplog.text


@pytest.mark.slow
async def test_over_stdio_each_call_has_its_own_id(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    (tmp_path / "desk.yaml").write_text(written(desk(stage)), "utf-8")
    arguments = ["mcp", "-c", "desk.yaml", "--only", "--log", "json", "--log-level", "info"]
    started = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from mom_council.cli import main; main()", *arguments, "--db", "memory:"],
        env=dict(os.environ),
        cwd=tmp_path,
    )
    with (tmp_path / "log").open("w") as log:
        async with (
            stdio_client(started, errlog=log) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            ids = []
            for _ in range(2):
                answer = await session.call_tool("ask", {"question": SECRET})
                ids.append((answer.meta or {})["request_id"])
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["request_id"] for line in lines] == ids
    assert len({*ids}) == 2
    assert all(line["message"].startswith("MCP ask ok ") for line in lines)


def test_no_word_of_an_error_acts_on_who_reads_the_log_or_passes_for_a_line_of_it() -> None:
    words = "lost \x1b]52;c;eA==\x07 \x9b1m \u202e\n2026-01-01T00:00:00.000Z INFO forged"
    record = logging.LogRecord("mom_council", logging.ERROR, "", 0, "a request failed", (), None)
    record.exc_text = f"Traceback (most recent call last):\nValueError: {words}"
    record.request = {"thread": "a\nb \x1b[1m"}
    for formatter in (_TextFormatter(), _JsonFormatter()):
        text = formatter.format(record)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        assert [line for line in text.splitlines() if not line.startswith("  ")] == [
            text.splitlines()[0]
        ]
