"""A stranger's council or `.env` uses no key, address, code or folder before it was accepted."""

from __future__ import annotations

import json
import os
import pty
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mom_council.tests.cli.conftest import COMMAND, Mom, Processes
from mom_council.tests.graph import desk
from mom_council.tests.stage import Stage

SECRET = "mine-alone-0123456789"


@pytest.fixture
def stranger() -> Iterator[Stage]:
    """The server of whoever wrote the council."""
    with Stage() as opened:
        desk.seat(opened)
        yield opened


@pytest.fixture
def write(stranger: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a stranger's council into the working directory; the machine's owner has keys."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "FAR_KEY", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, SECRET)

    def council(model: dict[str, Any] | None = None, **changes: Any) -> Path:
        values = desk.written(stranger, **changes)
        for one in values["models"].values():
            one.update(model or {})
        path = tmp_path / "theirs.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return council


KEYS: dict[str, dict[str, Any]] = {
    "of another service": {"api_key_env": "AWS_SECRET_ACCESS_KEY"},
    "of another vendor": {"api_key_env": "OPENAI_API_KEY"},
    "of the user's own": {"api_key_env": "FAR_KEY"},
    "of a forge": {"api_key_env": "GITHUB_TOKEN"},
}


@pytest.mark.parametrize("model", KEYS.values(), ids=KEYS)
def test_a_key_does_not_leave_for_a_strangers_address(
    stranger: Stage, write: Callable[..., Path], mom: Mom, model: dict[str, Any]
) -> None:
    write(model)
    asked = mom("ask", "Which pet?", "-c", "theirs.yaml")
    asked.refuses(3, "not trusted", model["api_key_env"], stranger.url, "mom trust theirs.yaml")
    assert SECRET not in asked.err
    assert stranger.calls == []


REACHES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an address": ({"base_url": "http://far.invalid/v1"}, {}, "http://far.invalid/v1"),
    "a proxy": ({"params": {"openai_proxy": "http://far.invalid"}}, {}, "openai_proxy"),
    "headers": ({"params": {"default_headers": {"x-a": "b"}}}, {}, "default_headers"),
    "weights": ({"provider": "embedded", "model": "./w.gguf", "base_url": None}, {}, "w.gguf"),
    "a library": ({"provider": "groq", "base_url": None}, {}, "groq"),
    "a tool": ({}, {"tools": {"a": {"python": "os:getcwd"}}}, "os:getcwd"),
    "a program": ({}, {"tools": {"a": {"mcp": {"command": ["sh", "x"]}}}}, "sh x"),
    "an extension": ({}, {"extensions": [{"use": "transcript"}]}, "transcript"),
    "templates": ({}, {"prompts": "theirs"}, "theirs"),
    "prices": ({}, {"prices": "/etc/passwd"}, "/etc/passwd"),
    "pictures": ({}, {"pictures": {"fetch": True}}, "loads pictures"),
}


@pytest.mark.parametrize(("model", "changes", "told"), REACHES.values(), ids=REACHES)
def test_whatever_reaches_out_is_named_and_refused(
    stranger: Stage,
    write: Callable[..., Path],
    mom: Mom,
    model: dict[str, Any],
    changes: dict[str, Any],
    told: str,
) -> None:
    write(model, **changes)
    mom("ask", "Which pet?", "-c", "theirs.yaml").refuses(3, "not trusted", told)
    assert told in mom("trust", "--show", "theirs.yaml").err
    assert mom("ask", "Which pet?", "-c", "theirs.yaml").code == 3, "to look is not to accept"
    assert stranger.calls == []


def test_on_this_machine_without_a_key_nothing_is_asked(
    stranger: Stage, write: Callable[..., Path], mom: Mom
) -> None:
    write()
    assert mom("ask", "Which pet?", "-c", "theirs.yaml", "-q").code == 0
    assert {call.key_sent for call in stranger.calls} <= {None, "", "none"}


def test_what_was_accepted_is_asked_until_it_changes_or_is_revoked(
    stranger: Stage, write: Callable[..., Path], mom: Mom
) -> None:
    path = write({"api_key_env": "FAR_KEY"})
    accepted = mom("trust", "theirs.yaml")
    assert accepted.code == 0
    assert f"sends the key in FAR_KEY to {stranger.openai_url}" in accepted.err
    assert mom("ask", "Which pet?", "-c", "theirs.yaml", "-q").code == 0
    assert {call.key_sent for call in stranger.calls} == {SECRET}
    before = len(stranger.calls)

    listed = mom("trust")
    assert "accepted" in listed.out
    assert str(path) in listed.out
    assert "FAR_KEY" in listed.out
    text = path.read_text("utf-8")
    with Stage() as other:
        desk.seat(other)
        path.write_text(text.replace(stranger.openai_url, other.openai_url), "utf-8")
        mom("ask", "Which pet?", "-c", "theirs.yaml").refuses(3, "not trusted", other.openai_url)
        assert other.calls == []
    assert "changed since" in mom("trust").out
    path.write_text(text, "utf-8")
    assert mom("ask", "Which pet?", "-c", "theirs.yaml", "-q").code == 0
    assert mom("trust", "--revoke", "theirs.yaml").code == 0
    seen = len(stranger.calls)
    assert seen > before
    assert mom("ask", "Which pet?", "-c", "theirs.yaml").code == 3
    assert len(stranger.calls) == seen


def test_an_odd_variable_is_accepted_by_its_name_alone(
    stranger: Stage, write: Callable[..., Path], mom: Mom
) -> None:
    write({"api_key_env": "AWS_SECRET_ACCESS_KEY"})
    refused = mom("trust", "theirs.yaml")
    assert refused.code == 3
    assert "mom trust theirs.yaml --key AWS_SECRET_ACCESS_KEY" in refused.err
    assert mom("trust", "theirs.yaml", "--key", "OTHER").code == 3
    assert mom("ask", "Which pet?", "-c", "theirs.yaml").code == 3
    assert mom("trust", "theirs.yaml", "--key", "AWS_SECRET_ACCESS_KEY").code == 0
    assert mom("ask", "Which pet?", "-c", "theirs.yaml", "-q").code == 0


@pytest.mark.parametrize("usual", ["https://api.openai.com:443/v1", "https://API.openai.com/v1"])
@pytest.mark.parametrize(
    "other",
    ["https://api.openai.com:8443/v1", "http://api.openai.com/v1", "https://api.openai.com./v1"],
)
def test_a_vendors_key_belongs_to_its_own_server(
    write: Callable[..., Path], mom: Mom, usual: str, other: str
) -> None:
    write({"api_key_env": "OPENAI_API_KEY", "provider": "openai", "base_url": other})
    refused = mom("trust", "theirs.yaml")
    assert refused.code == 3
    assert "does not look like a key of where it would go" in refused.err
    write({"api_key_env": "OPENAI_API_KEY", "provider": "openai", "base_url": usual})
    assert mom("trust", "theirs.yaml").code == 0


def test_every_command_that_asks_models_looks_first(
    stranger: Stage, write: Callable[..., Path], mom: Mom, tmp_path: Path
) -> None:
    write({"api_key_env": "FAR_KEY"})
    (tmp_path / "rows.csv").write_text("question\nWhich pet?\n")
    (tmp_path / "set.jsonl").write_text('{"id": "1", "question": "1+1?", "gold": "2"}\n')
    for arguments in (
        ["chat", "-c", "theirs.yaml"],
        ["batch", "rows.csv", "out.csv", "-c", "theirs.yaml"],
        ["eval", "theirs.yaml", "set.jsonl"],
        ["record", "theirs.yaml", "r.jsonl", "--data", "set.jsonl"],
        ["keeps", "theirs.yaml"],
        ["probe", "-c", "theirs.yaml"],
        ["serve", "-c", "theirs.yaml", "--port", "0"],
        ["councils", "draw", "theirs.yaml"],
    ):
        refused = mom(*arguments, stdin=b"Which pet?\n")
        assert refused.code == 3, (arguments, refused.err)
        assert "not trusted" in refused.err, arguments
    checked = mom("councils", "check", "theirs.yaml")
    assert checked.code == 0
    assert "not trusted" in checked.out
    assert mom("councils", "show", "theirs.yaml").code == 0
    assert stranger.calls == []


# -- .env -----------------------------------------------------------------------------------------


def test_a_env_file_chooses_nothing_before_it_is_accepted(
    stranger: Stage, write: Callable[..., Path], mom: Mom, tmp_path: Path
) -> None:
    write()
    env = tmp_path / ".env"
    env.write_text(f"MOM_COUNCIL=theirs.yaml\nHTTPS_PROXY={stranger.url}\nOTHER_KEY={SECRET}x\n")
    asked = mom("ask", "What is 2 + 2?", "-q")
    assert "'.env' is not read: it is not trusted yet; mom trust .env" in asked.err
    assert stranger.calls == []
    assert "HTTPS_PROXY" not in os.environ

    accepted = mom("trust", ".env")
    assert accepted.code == 0
    assert "sets MOM_COUNCIL to 'theirs.yaml'" in accepted.err
    assert f"sets HTTPS_PROXY to '{stranger.url}'" in accepted.err
    assert "sets OTHER_KEY\n" in accepted.err
    assert SECRET not in accepted.err
    try:
        assert mom("ask", "Which pet?", "-q").code == 0
        assert stranger.calls
        env.write_text(env.read_text() + "LANGSMITH_TRACING=true\n")
        assert "not trusted yet" in mom("ask", "Which pet?", "-q").err
        assert os.environ.get("LANGSMITH_TRACING") != "true"
    finally:
        for name in ("MOM_COUNCIL", "HTTPS_PROXY", "OTHER_KEY"):
            os.environ.pop(name, None)


def test_no_env_file_brings_accepted_files_along(
    stranger: Stage, write: Callable[..., Path], processes: Processes, tmp_path: Path
) -> None:
    write({"api_key_env": "FAR_KEY"})
    there = str(tmp_path / "there")
    assert processes.call("trust", "theirs.yaml", env={"MOM_DATA_DIR": there}).code == 0
    (tmp_path / ".env").write_text(f"MOM_DATA_DIR={there}\n")
    own = {"XDG_DATA_HOME": str(tmp_path / "xdg")}
    os.environ.pop("MOM_DATA_DIR")  # set for each test, and put back after it
    assert processes.call("trust", ".env", env=own).code == 0
    asked = processes.call("ask", "Which pet?", "-c", "theirs.yaml", env=own)
    assert asked.code == 3, asked.err
    assert stranger.calls == []


# -- on a terminal --------------------------------------------------------------------------------


def on_terminal(*arguments: str, says: str) -> tuple[int, str]:
    """Call the command on a terminal, and answer its question."""
    pid, screen = pty.fork()
    if not pid:
        os.environ["TERM"] = "dumb"
        os.execv(COMMAND[0], [*COMMAND, *arguments])
    shown, answered, end = "", False, time.monotonic() + 120
    while time.monotonic() < end:
        if not select.select([screen], [], [], 1)[0]:
            continue
        try:
            shown += os.read(screen, 65536).decode("utf-8", "replace")
        except OSError:  # it has ended
            break
        if "Trust it?" in shown and not answered:
            os.write(screen, f"{says}\n".encode())
            answered = True
    _, status = os.waitpid(pid, 0)
    os.close(screen)
    return os.waitstatus_to_exitcode(status), shown


@pytest.mark.slow
def test_on_a_terminal_it_is_shown_and_asked_once(
    stranger: Stage, write: Callable[..., Path]
) -> None:
    write({"api_key_env": "FAR_KEY"})
    code, shown = on_terminal("ask", "Which pet?", "-c", "theirs.yaml", says="n")
    assert (code, stranger.calls) == (3, [])
    assert f"sends the key in FAR_KEY to {stranger.openai_url}" in shown
    code, shown = on_terminal("ask", "Which pet?", "-c", "theirs.yaml", says="y")
    assert code == 0, shown
    assert {call.key_sent for call in stranger.calls} == {SECRET}
    code, shown = on_terminal("ask", "Which pet?", "-c", "theirs.yaml", says="y")
    assert code == 0
    assert "Trust it?" not in shown


def test_what_is_decided_is_told_as_json(write: Callable[..., Path], mom: Mom) -> None:
    write({"api_key_env": "FAR_KEY"})
    told = json.loads(mom("trust", "theirs.yaml", "--json").out)
    assert told["files"][0]["kind"] == "council"
    assert mom("trust", "--json").object["decisions"][0]["accepted"] is True
