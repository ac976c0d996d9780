"""MCP servers: a program of ours over stdio, and the same over HTTP."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Council
from mom_council.errors import CouncilError
from mom_council.models.clients import close_loop_resources, loop_resources
from mom_council.models.resolved import resolve_model
from mom_council.models.tool_offer import ToolCall
from mom_council.models.tools.tool_loop import run_call, speak_with_tools
from mom_council.models.tools.toolset import Toolset, open_toolset
from mom_council.tests.stage import Reply, Stage

PROGRAM = [sys.executable, str(Path(__file__).with_name("mcp_server.py"))]

pytestmark = pytest.mark.slow


def council(server: dict[str, Any], url: str = "http://127.0.0.1:9/v1") -> Council:
    return Council.model_validate(
        {
            "name": "test",
            "models": {"m": {"provider": "openai", "model": "m", "base_url": url}},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
            "tools": {"box": {"mcp": server, "timeout": 60}},
        }
    )


@pytest.fixture
def stdio(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MOM_TOOLS", f"mcp:{shlex.join(PROGRAM)}")
    return {"command": PROGRAM, "env": ["BOX_COLOUR"]}


async def belt_of(server: dict[str, Any]) -> Toolset:
    return await open_toolset(council(server).tools, ["box"], 8, {})


async def do(belt: Toolset, tool: str, **arguments: Any) -> tuple[str, bool]:
    result = await run_call(belt, ToolCall(id="c", tool=tool, arguments=arguments))
    return result.text, result.failed


async def test_a_program_keeps_its_state_sees_what_it_may_and_is_started_anew_when_it_died(
    stdio: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOX_COLOUR", "blue")
    monkeypatch.setenv("BANK_PASSWORD", "correct-horse-battery")
    belt = await belt_of(stdio)
    assert [*belt.held] == ["count", "environment", "die", "fail"]
    assert await do(belt, "count", step=2) == ("counted 2", False)
    belt = await belt_of(stdio)
    assert await do(belt, "count", step=3) == ("counted 5", False)  # the same program
    assert await do(belt, "environment", name="BOX_COLOUR") == ("blue", False)
    assert await do(belt, "environment", name="BANK_PASSWORD") == ("unset", False)
    text, failed = await do(belt, "count", step="much")
    assert failed
    assert "step" in text
    text, failed = await do(belt, "fail")
    assert failed
    assert "it did not work" in text
    text, failed = await do(belt, "die")
    assert failed
    assert await do(await belt_of(stdio), "count", step=1) == ("counted 1", False)
    await close_loop_resources()
    assert not (await loop_resources()).servers


def test_the_program_ends_with_the_loop_that_started_it(stdio: dict[str, Any]) -> None:
    async def run() -> int:
        belt = await belt_of({**stdio, "only": ["environment"]})
        assert [*belt.held] == ["environment"]
        return len(_children())

    before = len(_children())
    assert asyncio.run(run()) == before + 1
    assert len(_children()) == before


async def test_a_model_uses_it_as_any_other_tool(stage: Stage, stdio: dict[str, Any]) -> None:
    stage.model(
        "m", reply=[Reply(None, tool_calls=[{"name": "count", "args": {"step": 4}}]), "Four."]
    )
    sitting = council(stdio, stage.openai_url)
    belt = await open_toolset(sitting.tools, ["box"], 8, {})
    reply, made = await speak_with_tools(
        resolve_model(sitting, "m"), [HumanMessage("Count.")], belt
    )
    assert (reply.text, made) == ("Four.", 1)
    assert "\ncounted 4\n" in stage.calls[1].body["messages"][-1]["content"]
    assert stage.calls[0].body["tools"][0]["function"]["parameters"]["required"] == ["step"]
    await close_loop_resources()


async def test_a_server_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/mcp"
    monkeypatch.setenv("MOM_TOOLS", f"mcp:{url}")
    program = subprocess.Popen([*PROGRAM, "http", str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            await asyncio.sleep(0.1)
        belt = await belt_of({"url": url, "only": ["count"]})
        assert await do(belt, "count", step=2) == ("counted 2", False)
        await close_loop_resources()
    finally:
        program.terminate()
        program.wait(10)


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"command": ["no-such-program-here"]}, "cannot be used"),
        ({"command": [sys.executable, "-c", "pass"]}, "cannot be used"),
        ({"url": "http://127.0.0.1:9/mcp"}, "cannot be used"),
        ({"url": "http://127.0.0.1:9/mcp", "key_env": "BOX_KEY"}, "BOX_KEY"),
        ({"command": PROGRAM, "only": ["fly"]}, "has no ['fly']"),
    ],
)
async def test_a_server_that_cannot_be_used_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch, server: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("MOM_TOOLS", f"mcp:{server.get('url') or shlex.join(server['command'])}")
    with pytest.raises(CouncilError) as refused:
        await belt_of(server)
    assert said in str(refused.value)
    await close_loop_resources()


async def test_a_page_in_place_of_a_server_is_refused_before_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>A page</html>")

        def log_message(self, *about: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{page.server_port}/mcp"
        monkeypatch.setenv("MOM_TOOLS", f"mcp:{url}")
        with pytest.raises(CouncilError, match="content type"):
            await belt_of({"url": url})
        await close_loop_resources()
        page.shutdown()


def _children() -> list[str]:
    me = str(os.getpid())
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", me], capture_output=True, text=True)
    return [line for line in found.stdout.split() if line]
