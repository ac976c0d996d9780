"""An operator's day with `mom serve` as a process: docs/deploying.md, step by step."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.trust import accept, review_file
from mom_council.councils.yaml import written
from mom_council.tests.graph.desk import desk, seat, texts
from mom_council.tests.server.operated import OperatedServer, operated, until
from mom_council.tests.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals")]

ANN, BOB, CARL = (f"{name}-has-this-key-{'0' * 16}" for name in ("ann", "bob", "carl"))
ADMIN = "the-operators-own-key"
STORED = Path(__file__).parents[1] / "fixtures" / "v0_1"


def write_env(folder: Path, *keys: str) -> None:
    """The server's keys, as `.env` holds them, which the operator accepts."""
    names = {ANN: "ann", BOB: "bob", CARL: "carl"}
    line = ",".join(f"{names[key]}={key}" for key in keys)
    (folder / ".env").write_text(f"MOM_SERVER_KEYS={line}\n", "utf-8")
    accept(review_file(folder / ".env"))


@pytest.fixture
def folder(stage: Stage, tmp_path: Path) -> Path:
    """Where the operator's files are: a council on the stage, and two keys."""
    seat(stage)
    (tmp_path / "desk.yaml").write_text(written(desk(stage)), "utf-8")
    write_env(tmp_path, ANN, BOB)
    return tmp_path


LONG = "word " * 40


@contextmanager
def asking(server: OperatedServer, stage: Stage, key: str) -> Iterator[Callable[[], str]]:
    """A question that is being answered, word by word; what gives its answer when it is whole."""
    stage.model("pen", reply=LONG, tokens_per_second=8)
    stage.clear()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(server.ask, "Which, at length?", key)
        stage.wait_for(1, 60, started=True, model="pen")
        yield lambda: str(running.result(90).json()["choices"][0]["message"]["content"])


def test_two_keys_quota_reload_and_drain(folder: Path, stage: Stage) -> None:
    arguments = ("-c", "desk.yaml", "--only", "--log", "json", "--db", str(folder / "t.db"))
    arguments += ("--limit", "bob:questions=1")
    with operated(folder, *arguments, MOM_ADMIN_KEY=ADMIN) as server:
        # Morning: it is ready when it says so, and knows two keys.
        assert server.get("/ready").json() == {"status": "ready", "database": "ok"}
        assert server.ask("Which?", ANN).status_code == 200
        assert server.ask("Which?", BOB).status_code == 200
        assert server.ask("Which?", CARL).status_code == 401

        # Bob has used up his day; he is told what, and when it begins again. Ann has not.
        refused = server.ask("Which?", BOB)
        assert refused.status_code == 429
        message = refused.json()["error"]["message"]
        assert message.startswith("The key bob's limit of 1 questions a day is reached; it begins")
        assert "00:00 UTC" in message
        assert 1 <= int(refused.headers["retry-after"]) <= 86_400
        assert server.ask("Which?", ANN).status_code == 200

        # Noon: a third key, and a council of another name, while a question is being answered.
        with asking(server, stage, ANN) as answer:
            write_env(folder, ANN, BOB, CARL)
            (folder / "desk.yaml").write_text(written(desk(stage, name="table")), "utf-8")
            reload = server.post(f"{server.root}/admin/reload", {}, ADMIN).json()
            assert reload == {
                "reloaded": True,
                "councils": ["table"],
                "keys": ["ann", "bob", "carl"],
            }
            assert answer().split() == LONG.split(), "the run went on as it began"
        stage.model("pen", reply="Short.")
        assert server.ask("Which?", CARL, model="table").status_code == 200
        assert server.ask("Which?", CARL).status_code == 404


def test_who_is_being_answered_when_the_server_stops_is_answered(
    folder: Path, stage: Stage
) -> None:
    arguments = ("-c", "desk.yaml", "--only", "--drain", "100")
    with operated(folder, *arguments) as server, asking(server, stage, ANN) as answer:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not listens(server))
        assert answer().split() == LONG.split()
        assert server.process.wait(60) in (-signal.SIGTERM, 143)


def listens(server: OperatedServer) -> bool:
    """Whether the server takes new connections."""
    host, port = server.root.removeprefix("http://").split(":")
    try:
        with socket.create_connection((host, int(port)), 10):
            return True
    except OSError:
        return False


def test_the_database_goes_and_comes_back(
    folder: Path, stage: Stage, tmp_path_factory: pytest.TempPathFactory, postgres: Any
) -> None:
    name = f"test_{uuid.uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name};")
    arguments = ("-c", "desk.yaml", "--only", "--db", postgres.get_uri(name))
    thread = {"X-Thread-Id": "cats"}
    with operated(folder, *arguments) as server:
        assert server.ask("Question 0?", ANN, thread).status_code == 200
        assert server.get("/ready").json() == {"status": "ready", "database": "ok"}
        # Nobody may connect, and who is connected is thrown out: to the server it is gone.
        postgres.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false;")
        postgres.psql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';"
        )
        until(lambda: server.get("/ready").status_code == 503)
        assert server.get("/ready").json() == {"status": "not ready", "database": "unreachable"}
        assert server.get("/health").status_code == 200, "a restart would not help"
        failed = server.ask("Lost?", ANN, thread)
        assert (failed.status_code, failed.json()["error"]["code"]) == (500, "storage_failed")
        # Without a thread nothing is stored, and the council answers.
        assert server.ask("Without a thread?", ANN).status_code == 200
        postgres.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true;")
        until(lambda: server.get("/ready").status_code == 200)
        assert server.ask("Question 1?", ANN, thread).status_code == 200
        sent = texts(stage.calls_to("ada")[-1].body, "user")
        assert "Question 0?" in sent, "the thread is as it was"


def test_what_version_0_1_has_stored_is_served_and_gone_on_with(folder: Path, stage: Stage) -> None:
    shutil.copy(STORED / "threads.sqlite", folder / "threads.db")
    shutil.copytree(STORED / "data", folder / "data", dirs_exist_ok=True)
    (folder / ".env").unlink()  # without keys a thread's name is the one in the store
    env = {"MOM_DATA_DIR": str(folder / "data")}
    place = ("--db", str(folder / "threads.db"))
    with operated(folder, "-c", "desk.yaml", "--only", *place, **env) as server:
        assert server.get("/ready").json()["database"] == "ok"
        answer = server.ask("And which food?", headers={"X-Thread-Id": "pets"})
        assert answer.status_code == 200
        sent = texts(stage.calls_to("ada")[-1].body, "user")
        assert "A cat?" in sent, "what version 0.1 has stored is read"
        listed = subprocess.run(
            [sys.executable, "-m", "mom_council", "threads", "list", *place],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=110,
        )
        names = {line.split()[0] for line in listed.stdout.splitlines()}
        assert names == {"killed", "picture", "leave", "person", "quorum", "pets"}
        assert "3 turns" in listed.stdout
