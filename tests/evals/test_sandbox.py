"""Code of models, run with limits."""

from __future__ import annotations

import os
import re
import sys
import time

import pytest

from mom_council.evals.sandbox import run_python

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are Linux's")


def test_code_that_runs_with_its_check_is_right():
    assert run_python("def f(x):\n    return x + 1", "assert f(1) == 2").ok


@pytest.mark.parametrize(
    ("source", "check", "why"),
    [
        ("def f(x):\n    return x", "assert f(1) == 2, 'f(1) is 2'", "AssertionError: f(1) is 2"),
        ("def f(:", "", "SyntaxError"),
        ("raise SystemExit(0)", "", "SystemExit"),
        ("import os; os._exit(0)", "assert False", "it left early"),
    ],
)
def test_code_that_does_not_reach_its_end_is_wrong_and_says_why(source: str, check: str, why: str):
    outcome = run_python(source, check)
    assert not outcome.ok
    assert why in outcome.why


@linux
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = 'a' * 10**10", "MemoryError"),
        ("open('big', 'wb').write(b'x' * 10**8)", "too large"),
        ("[open('/dev/null') for _ in range(1000)]", "Too many open files"),
    ],
)
def test_memory_files_and_file_sizes_are_limited(source: str, why: str):
    assert why in run_python(source).why


@pytest.mark.parametrize("source", ["while True: pass", "import time; time.sleep(60)"])
def test_time_is_limited(source: str):
    began = time.monotonic()
    outcome = run_python(source, seconds=1)
    assert outcome == (False, "it took longer than 1 s", False)
    assert time.monotonic() - began < 10


def test_nothing_of_the_environment_is_handed_down(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAR_KEY", "sk-1234")
    assert run_python("import os; assert 'FAR_KEY' not in os.environ, dict(os.environ)").ok
    assert run_python("import os; assert 'tmp' in os.getcwd() or os.getcwd() != '/'").ok


@linux
def test_a_fenced_code_reaches_no_network():
    outcome = run_python("import socket; socket.create_connection(('127.0.0.1', 9), 1)")
    fenced = run_python("pass").fenced
    assert not outcome.ok
    refused = re.search("unreachable|Permission denied|not permitted", outcome.why)
    assert bool(refused) is fenced  # by its own empty network, by Landlock or by seccomp


@linux
def test_it_starts_nothing_that_could_live_on():
    source = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n"
    )
    outcome = run_python(source)
    if outcome.fenced:
        assert not outcome.ok
        assert "not permitted" in outcome.why


def test_its_folder_is_gone_afterwards(tmp_path, monkeypatch: pytest.MonkeyPatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run_python("open('left', 'w').write('behind')")
    assert os.listdir(tmp_path) == []
