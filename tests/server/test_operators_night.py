"""What happens to clients that stream while an operator's day goes wrong."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mom_council.councils.yaml import written
from mom_council.tests.graph.desk import desk
from mom_council.tests.server import test_operators_day
from mom_council.tests.server.operated import OperatedServer, operated, until
from mom_council.tests.server.test_operators_day import (
    ADMIN,
    ANN,
    BOB,
    CARL,
    LONG,
    listens,
    write_env,
)
from mom_council.tests.stage import Stage

folder = test_operators_day.folder
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals")]


@contextmanager
def streaming(server: OperatedServer, stage: Stage, **headers: str) -> Iterator[Iterator[str]]:
    """A stream whose first word has come; the lines that come after it."""
    stage.model("pen", reply=LONG, tokens_per_second=8)
    stage.clear()
    body = {"model": "desk", "messages": [{"role": "user", "content": "At length?"}]}
    sent = {"authorization": f"Bearer {ANN}", **headers}
    url = f"{server.url}/chat/completions"
    with (
        httpx.Client(timeout=90, trust_env=False) as client,
        client.stream("POST", url, json={**body, "stream": True}, headers=sent) as answer,
    ):
        assert answer.status_code == 200
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        assert any('"content":"word' in line.replace(" ", "") for line in lines)
        yield lines


def words_of(lines: Iterator[str]) -> tuple[str, list[dict[str, Any]], bool]:
    """What a stream's lines say, the errors in them, and whether it ends as it should."""
    values = [line.removeprefix("data: ") for line in lines]
    is_whole = values[-1:] == ["[DONE]"]
    parts = [json.loads(value) for value in values if value != "[DONE]"]
    choices = [one for part in parts for one in part.get("choices", ())]
    text = "".join(one["delta"].get("content") or "" for one in choices)
    return text, [part for part in parts if "error" in part], is_whole


def test_two_workers_drain_and_whoever_streams_has_the_whole_answer(
    folder: Path, stage: Stage
) -> None:
    arguments = ("-c", "desk.yaml", "--only", "--workers", "2", "--drain", "100")
    place = ("--db", str(folder / "threads.db"))
    with operated(folder, *arguments, *place) as server, streaming(server, stage) as lines:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not listens(server))
        text, errors, is_whole = words_of(lines)
        assert (len(text.split()), errors, is_whole) == (len(LONG.split()) - 1, [], True)
        assert server.process.wait(60) in (-signal.SIGTERM, 143)


def test_a_broken_file_at_a_reload_under_load_changes_nothing(folder: Path, stage: Stage) -> None:
    arguments = ("-c", "desk.yaml", "--only", "--log", "json")
    with operated(folder, *arguments, MOM_ADMIN_KEY=ADMIN) as server:
        for broken in ("characters: [", "name: desk\ncharacters: []\n", "\0\xff", ""):
            (folder / "desk.yaml").write_text(broken, "utf-8")
            with streaming(server, stage) as lines, ThreadPoolExecutor(4) as threads:
                stage.model("pen", reply="Short.")
                asked = [threads.submit(server.ask, "Which?", key) for key in (ANN, BOB) * 4]
                said = server.post(f"{server.root}/admin/reload", {}, ADMIN)
                server.process.send_signal(signal.SIGHUP)
                assert said.status_code == 409
                assert "Traceback" not in said.text
                assert [one.result(90).status_code for one in asked] == [200] * 8
                text, errors, is_whole = words_of(lines)
                assert (len(text.split()), errors, is_whole) == (len(LONG.split()) - 1, [], True)
        (folder / "desk.yaml").write_text(written(desk(stage, name="again")), "utf-8")
        assert server.post(f"{server.root}/admin/reload", {}, ADMIN).status_code == 200
        assert server.ask("Which?", ANN, model="again").status_code == 200


def test_the_database_goes_while_an_answer_is_streamed(
    folder: Path, stage: Stage, postgres: Any
) -> None:
    name = f"test_{uuid.uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name};")
    arguments = ("-c", "desk.yaml", "--only", "--db", postgres.get_uri(name))
    thread = {"X-Thread-Id": "cats"}
    with operated(folder, *arguments) as server:
        with streaming(server, stage, **thread) as lines:
            postgres.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false;")
            postgres.psql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';"
            )
            text, errors, is_whole = words_of(lines)
        assert errors or is_whole, "it ends with the answer, or says that it is lost"
        assert len(text.split()) == len(LONG.split()) - 1 or errors
        assert "password" not in str(errors)
        assert postgres.get_uri(name) not in str(errors)
        assert server.get("/health").status_code == 200
        postgres.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true;")
        until(lambda: server.get("/ready").status_code == 200)
        stage.model("pen", reply="Short.")
        assert server.ask("And now?", ANN, thread).status_code == 200


def test_a_key_that_is_taken_away_while_its_answer_streams(folder: Path, stage: Stage) -> None:
    arguments = ("-c", "desk.yaml", "--only", "--log", "json", "--workers", "2")
    arguments += ("--limit", "each:questions=2", "--db", str(folder / "t.db"))
    with operated(folder, *arguments) as server:
        assert server.ask("Which?", BOB).status_code == 200
        with streaming(server, stage) as lines:
            write_env(folder, BOB, CARL)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: server.text.count("councils and keys were reloaded") == 2)  # each worker
            refused = [server.ask("Still?", ANN) for _ in range(6)]
            assert [one.status_code for one in refused] == [401] * 6
            text, errors, is_whole = words_of(lines)
            assert (len(text.split()), errors, is_whole) == (len(LONG.split()) - 1, [], True)
        stage.model("pen", reply="Short.")
        assert server.ask("Which?", CARL).status_code == 200
        # A reload gives nobody a new day.
        assert [server.ask("Which?", BOB).status_code for _ in range(2)] == [200, 429]
