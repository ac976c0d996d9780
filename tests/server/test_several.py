"""`mom serve` as a process: what it refuses to do, and two of them on one database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import mom_council
from mom_council.councils.yaml import written
from mom_council.tests.cli.help_texts import help_of
from mom_council.tests.graph.desk import desk, seat, texts
from mom_council.tests.server.conftest import KEY
from mom_council.tests.stage import Stage

pytestmark = pytest.mark.slow

ROOT = Path(mom_council.__file__).parent
COMMAND = [sys.executable, "-c", "from mom_council.cli import main; main()", "serve"]


@contextmanager
def process(*arguments: str, **env: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of its own; its address, and it."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith("The council answers at http://127.0.0.1:"), line
            yield line.split()[4], server
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            _, told = server.communicate(timeout=60)
            assert "Traceback" not in told, told


def ask(url: str, text: str, thread: str, **more: Any) -> httpx.Response:
    body = {"model": "desk", "messages": [{"role": "user", "content": text}], **more}
    headers = {"Authorization": f"Bearer {KEY}", "X-Thread-Id": thread}
    return httpx.post(
        f"{url}/chat/completions", json=body, headers=headers, timeout=60, trust_env=False
    )


@pytest.fixture
def council(stage: Stage, tmp_path: Path) -> str:
    """A file with a council on the stage."""
    seat(stage)
    file = tmp_path / "desk.yaml"
    file.write_text(written(desk(stage)), "utf-8")
    return str(file)


@pytest.mark.slow
def test_two_servers_on_one_database_continue_each_others_threads(
    stage: Stage, council: str, postgres: Any
) -> None:
    name = f"test_{uuid.uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name};")
    place = ("-c", council, "--only", "--db", postgres.get_uri(name))
    with ExitStack() as stack:
        (one, first), (two, _) = (
            stack.enter_context(process(*place, MOM_SERVER_KEYS=f"ann={KEY}")) for _ in "ab"
        )
        for number, url in enumerate((one, two, one, two)):
            assert ask(url, f"Question {number}?", "talk").status_code == 200
        sent = stage.calls_to("ada")[-1].body
        assert texts(sent, "user")[:3] == [
            "Question 0?",
            "Question 1?",
            "Question 2?",
        ]
        assert texts(sent, "assistant") == ["What the council says."] * 3

        # One dies in the middle of an answer; the other goes on in the same thread.
        stage.model("pen", reply="word " * 400, tokens_per_second=20)
        stage.clear()
        with httpx.stream(
            "POST",
            f"{one}/chat/completions",
            json={
                "model": "desk",
                "messages": [{"role": "user", "content": "Lost?"}],
                "stream": True,
            },
            headers={"Authorization": f"Bearer {KEY}", "X-Thread-Id": "talk"},
            timeout=60,
            trust_env=False,
        ):
            stage.wait_for(1, 30, started=True, model="pen")
            first.kill()
        stage.model("pen", reply="Here again.")
        answer = ask(two, "Question 5?", "talk")
        assert answer.json()["choices"][0]["message"]["content"] == "Here again."
        assert "Question 3?" in texts(stage.calls_to("ada")[-1].body, "user")


def test_the_compose_file_starts_servers_that_exist() -> None:
    plan = yaml.safe_load((ROOT / "examples" / "compose.yaml").read_text("utf-8"))
    told = help_of("mom serve")
    for name in ("first", "second"):
        service = plan["services"][name]
        assert service["command"][:2] == ["mom", "serve"]
        options = [word for word in service["command"] if word.startswith("-")]
        assert all(option in told for option in options)
        assert {"MOM_SERVER_KEYS", "MOM_DATABASE"} <= set(service["environment"])
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        assert {"server", "postgres"} <= set(extras["optional-dependencies"])
    assert plan["services"]["front"]["ports"] == ["127.0.0.1:8000:8000"]


@pytest.mark.slow
def test_a_server_answers_until_it_is_told_to_stop(stage: Stage, council: str) -> None:
    with process("-c", council, "--only") as (url, server):
        body = {"model": "desk", "messages": [{"role": "user", "content": "Which?"}]}
        answer = httpx.post(f"{url}/chat/completions", json=body, timeout=60, trust_env=False)
        assert answer.json()["choices"][0]["message"]["content"] == "What the council says."
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM, 143)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "keys", "says"),
    [
        (["--host", "0.0.0.0"], "", "MOM_SERVER_KEYS"),
        (["--host", "::"], "", "MOM_SERVER_KEYS"),
        ([], "short", "fewer than 16"),
        (["-c", "nobody"], "", "nobody"),
        (["--db", "nonsense://x"], "", "nonsense"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    arguments: list[str], keys: str, says: str
) -> None:
    ended = subprocess.run(
        [*COMMAND, "--port", "0", *arguments],
        env={**os.environ, "MOM_SERVER_KEYS": keys, "MOM_COUNCIL": "demo"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert "short" not in ended.stderr.replace("shorter", "") or says != "fewer than 16"
