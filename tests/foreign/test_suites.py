"""Conformance suites that others wrote, run against us: `make test-foreign`.

They are installed into `.foreign/`; without that folder nothing runs here. What they ask for and we
leave out on purpose stands in docs/clients.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mom_council.server.mcp_tools import GuardedApp, make_mcp
from mom_council.server.state import ServerState
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import Serve, serve  # noqa: F401 - a fixture
from mom_council.tests.stage import Stage

INSTALLED = Path(__file__).parents[2] / ".foreign"
PROGRAMS = INSTALLED / "python" / "bin"
NODE = INSTALLED / "node_modules" / ".bin"

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not INSTALLED.is_dir(), reason="`make test-foreign` installs the suites"),
]

BASE = {"put", "put_writes", "get_tuple", "list", "delete_thread"}
"""What every checkpointer must do; the rest is optional, and no council uses it."""

PASSED_BY_MCP = {
    *("server-initialize", "ping", "completion-complete", "tools-list", "tools-call-simple-text"),
    *("tools-call-error", "server-sse-multiple-streams", "resources-list", "prompts-list"),
    "dns-rebinding-protection",
}
"""The other scenarios call tools, prompts and resources of the suite's own example server, or what
we do not offer: log levels and subscriptions. Their answers are looked at below."""


def run(command: list[str], cwd: Path, *, codes: tuple[int, ...] = (0,)) -> str:
    """What a program says."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "NO_COLOR": "1", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode in codes, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("url", ["memory:", "sqlite:///threads.db"])
def test_langgraphs_suite_of_checkpointers(url: str, tmp_path: Path) -> None:
    program = Path(__file__).with_name("checkpointers.py")
    said = run([str(PROGRAMS / "python"), str(program), url], tmp_path)
    results = json.loads(said.splitlines()[-1])["results"]
    failed = {name: one["failures"] for name, one in results.items() if one["failures"]}
    assert not failed
    assert {name for name, one in results.items() if one["passed"]} == BASE


def tools_of(server: ServerState) -> Any:
    """The application that `mom mcp --http` serves."""
    return GuardedApp(make_mcp(server).streamable_http_app(), server)


def test_the_suite_of_mcp(stage: Stage, serve: Serve, tmp_path: Path) -> None:  # noqa: F811
    seat(stage)
    served = serve(desk(stage), make=tools_of, database="memory:")
    command = [str(NODE / "node"), str(NODE / "conformance"), "server", "--url"]
    said = run([*command, f"{served.url}/mcp", "-o", str(tmp_path / "out")], tmp_path, codes=(0, 1))
    summary = said.partition("=== SUMMARY ===")[2]
    passed = {*re.findall(r"^✓ ([\w-]+):", summary, re.MULTILINE)}
    assert passed >= PASSED_BY_MCP, summary
    checks = [
        check
        for file in (tmp_path / "out").rglob("checks.json")
        for check in json.loads(file.read_text("utf-8"))
    ]
    assert len(checks) >= len(PASSED_BY_MCP)
    wrong = [check["errorMessage"] for check in checks if "MCP error 0" in str(check)]
    assert not wrong, "an error of JSON-RPC has a code"
