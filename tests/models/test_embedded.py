"""llama.cpp for real, with the weights that come with the package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mom_council.councils.schema import Model
from mom_council.errors import (
    CouncilError,
    ModelUnavailableError,
    ProviderNotInstalledError,
    UnknownNameError,
)
from mom_council.models.providers.embedded import (
    Endpoint,
    close_embedded,
    find_weights,
    open_embedded,
)
from mom_council.models.weights import SHIPPED

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {"vote": {"enum": ["A", "B", "C"]}},
    "required": ["vote"],
    "additionalProperties": False,
}
ASK_ONCE = """
import contextlib, httpx, os, signal, sys, threading, time
from mom_council.councils.schema import Model
from mom_council.models.providers.embedded import close_embedded, open_embedded
at = open_embedded(Model(provider="embedded", model="tiny-1"))
def ask(**more):
    body = {"messages": [{"role": "user", "content": "17+25"}], **more}
    key = {"authorization": f"Bearer {at.api_key}"}
    return httpx.post(f"{at.base_url}/chat/completions", json=body, headers=key, timeout=30,
                      trust_env=False)
def ask_for_long():
    with contextlib.suppress(httpx.HTTPError):
        ask(n_predict=10**6, ignore_eos=True)
assert ask().status_code == 200
"""
LONG = "threading.Thread(target=ask_for_long, daemon=True).start(); time.sleep(0.2)"


@pytest.fixture(scope="module", autouse=True)
def _closed_in_the_end() -> Iterator[None]:
    yield
    close_embedded()


def voice(model: str = "tiny-1", **more: Any) -> Model:
    return Model(provider="embedded", model=model, **more)


def ask(at: Endpoint, **more: Any) -> httpx.Response:
    return httpx.post(
        f"{at.base_url}/chat/completions",
        json={"messages": [{"role": "user", "content": "17+25"}], "temperature": 0, **more},
        headers={"authorization": f"Bearer {at.api_key}"},
        timeout=60,
        trust_env=False,
    )


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ASK_ONCE + code], capture_output=True, text=True, timeout=60
    )


# What it answers ----------------------------------------------------------------------------------


def test_a_streamed_answer_has_text_and_ends_with_its_usage() -> None:
    answer = ask(open_embedded(voice()), stream=True, stream_options={"include_usage": True})
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    text = "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
    assert text.strip()
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_a_schema_is_kept_by_a_model_that_has_never_seen_one() -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "ballot", "schema": SCHEMA}}
    answer = ask(open_embedded(voice("tiny-2")), max_tokens=64, response_format=asked).json()
    assert json.loads(answer["choices"][0]["message"]["content"])["vote"] in {"A", "B", "C"}


def test_many_ask_at_once_and_all_are_answered() -> None:
    at = open_embedded(voice())
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(at), range(12)))
    assert [answer.status_code for answer in answers] == [200] * 12


def test_a_prompt_beyond_the_slot_is_refused_and_the_next_one_answered() -> None:
    at = open_embedded(voice(context=128, concurrency=2))
    long = [{"role": "user", "content": "17+25 " * 200}]
    assert ask(at, messages=long).status_code == 400
    assert ask(at).status_code == 200


def test_it_goes_by_the_name_that_the_council_gave() -> None:
    assert ask(open_embedded(voice())).json()["model"] == "tiny-1"


# Who may ask --------------------------------------------------------------------------------------


def test_nobody_is_answered_without_the_key() -> None:
    at = open_embedded(voice())
    stranger = Endpoint(at.base_url, "guessed")
    assert ask(stranger).status_code == 401
    assert at.base_url.startswith("http://127.0.0.1:")
    assert at.api_key not in repr(at)


def test_the_key_stands_in_no_command_line_and_no_environment() -> None:
    at = open_embedded(voice())
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            told = place.read_bytes() + place.with_name("environ").read_bytes()
        except OSError:
            continue
        assert at.api_key.encode() not in told


# Which engine -------------------------------------------------------------------------------------


def test_the_same_weights_and_settings_share_one_engine() -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = set(pool.map(lambda _: open_embedded(voice("tiny-3")), range(8)))
    assert len(opened) == 1
    assert open_embedded(voice("tiny-3", context=256)) not in opened


def test_a_file_is_served_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes((SHIPPED / "tiny-1.gguf").read_bytes())
    assert ask(open_embedded(voice(str(file)))).status_code == 200


def test_downloaded_weights_are_served_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.gguf").write_bytes((SHIPPED / "tiny-1.gguf").read_bytes())
    assert ask(open_embedded(voice("mine"))).status_code == 200


def test_an_engine_that_died_is_started_again() -> None:
    at = open_embedded(voice("tiny-1", context=192))
    port = int(at.base_url.split(":")[2].split("/")[0])
    os.kill(_listener(port), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (again := open_embedded(voice("tiny-1", context=192))) == at:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ask(again).status_code == 200


def test_closing_twice_is_once_and_opening_afterwards_works() -> None:
    at = open_embedded(voice())
    close_embedded()
    close_embedded()
    with pytest.raises(httpx.ConnectError):
        ask(at)
    assert ask(open_embedded(voice())).status_code == 200


def test_loading_does_not_hold_up_other_threads() -> None:
    close_embedded()
    ticks: list[float] = []
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.002):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    open_embedded(voice())
    over.set()
    thread.join()
    assert len(ticks) >= 5


# What goes wrong ----------------------------------------------------------------------------------


def test_unknown_weights_are_told_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"no weights 'tiny-l'; did you mean 'tiny-\d'\?"):
        open_embedded(voice("tiny-l"))
    with pytest.raises(UnknownNameError, match=r"known: 'tiny-1', 'tiny-2', 'tiny-3'; give the"):
        find_weights("elephant")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.gguf", "does not exist; look at its path"),
        ("folder.gguf", "is a folder; name the .gguf file in it"),
        ("text.gguf", "is no GGUF file"),
        ("empty.gguf", "is no GGUF file"),
        ("text.gguf/below.gguf", r"cannot be read \(Not a directory\)"),
        ("nul\0.gguf", r"cannot be read \(is no path\)"),
    ],
)
def test_a_file_that_holds_no_weights_is_a_council_error(
    tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "text.gguf").write_text("weights")
    (tmp_path / "empty.gguf").write_text("")
    with pytest.raises(CouncilError, match=says):
        open_embedded(voice(f"{tmp_path}/{name}"))


def test_broken_weights_are_told_in_the_words_of_llama_cpp_and_tried_again(tmp_path: Path) -> None:
    whole = (SHIPPED / "tiny-1.gguf").read_bytes()
    file = tmp_path / "cut.gguf"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelUnavailableError, match=r"not within the file bounds.*get the file"):
        open_embedded(voice(str(file)))
    file.write_bytes(whole)
    assert ask(open_embedded(voice(str(file)))).status_code == 200


def test_without_llama_cpp_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ProviderNotInstalledError, match="`mom download engine`"):
        open_embedded(voice(context=100))


def test_an_interpreter_that_is_gone_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ModelUnavailableError, match="cannot be started"):
        open_embedded(voice(context=100))


def test_a_context_beyond_this_machine_is_an_error_and_not_the_end() -> None:
    with pytest.raises(ModelUnavailableError, match="a smaller 'context'"):
        open_embedded(voice(context=2_000_000_000))


# How it ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("close_embedded()", 0),
        (LONG, 0),
        (f"{LONG}; close_embedded()", 0),
        ("os.fork() or sys.exit(0); os.wait(); assert ask().status_code == 200", 0),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_nothing_is_printed_and_the_exit_code_is_the_programs_own(ending: str, code: int) -> None:
    began = time.monotonic()
    done = run(ending)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", code)
    assert time.monotonic() - began < 30


def test_an_exception_ends_as_an_exception() -> None:
    done = run("raise SystemError('mine')")
    assert done.returncode == 1
    assert done.stderr.endswith("SystemError: mine\n")


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_no_engine_outlives_the_program(end: str) -> None:
    port = int(run(f"print(at.base_url.split(':')[2].split('/')[0], flush=True)\n{end}").stdout)
    deadline = time.monotonic() + 10
    while _listener(port):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_forked_child_has_an_engine_of_its_own() -> None:
    done = run(
        "theirs = at\n"
        "if not (child := os.fork()):\n"
        "    at = open_embedded(Model(provider='embedded', model='tiny-1'))\n"
        "    sys.exit(0 if at != theirs and ask().status_code == 200 else 4)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "assert ask().status_code == 200\n"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def _listener(port: int) -> int:
    """The program that listens on a port of this machine; 0 is nobody."""
    wanted = f"0100007F:{port:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1] == wanted and row[3] == "0A"}
    for link in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        try:
            if os.readlink(link) in sockets:
                return int(link.parts[2])
        except OSError:
            continue
    return 0
