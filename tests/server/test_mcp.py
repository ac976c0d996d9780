"""The MCP tools, driven by an MCP client: over stdio as agents start them, and over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult

from mom_council.councils.loader import load_council
from mom_council.councils.yaml import written as yaml_of
from mom_council.server.mcp_guard import GuardedApp
from mom_council.server.mcp_tools import make_mcp
from mom_council.server.state import ServerState
from mom_council.tests.graph.desk import candidates, desk, proposals, said, seat, texts, written
from mom_council.tests.server.conftest import KEY, Serve, Served
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

COMMAND = "from mom_council.cli import main; main()"


def tools_of(server: ServerState) -> Any:
    """The application that `mom mcp --http` serves."""
    return GuardedApp(make_mcp(server).streamable_http_app(), server)


@asynccontextmanager
async def session_at(
    served: Served, key: str = "", headers: dict[str, str] | None = None, **callbacks: Any
) -> AsyncIterator[ClientSession]:
    headers = {**(headers or {}), **({"Authorization": f"Bearer {key}"} if key else {})}
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as client,
        streamable_http_client(f"{served.url}/mcp", http_client=client) as (read, write, _),
        ClientSession(read, write, **callbacks) as session,
    ):
        await session.initialize()
        yield session


async def test_over_stdio_an_agent_lists_asks_and_has_it_explained(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage, {"Ada": "Cats.", "Boris": "Cats.", "Clara": "Dogs."}, likes="Cats")
    # Whoever votes with the others dissents no more.
    stage.model("clara", reply=lambda body: "I abstain." if candidates(body) else "Dogs.")
    file = tmp_path / "desk.yaml"
    file.write_text(yaml_of(desk(stage)), "utf-8")
    started = StdioServerParameters(
        command=sys.executable,
        args=["-c", COMMAND, "mcp", "-c", str(file), "--only", "--db", "memory:"],
        env=dict(os.environ),
        cwd=tmp_path,
    )
    steps: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    async with stdio_client(started) as (read, write), ClientSession(read, write) as session:
        told = await session.initialize()
        assert "does not see" in (told.instructions or "")
        named = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(named) == {"ask", "list_councils", "explain_last_verdict"}
        assert set(named["ask"].inputSchema["properties"]) == {"question", "council", "thread"}
        early = await session.call_tool("explain_last_verdict", {})
        assert early.isError
        [listed] = (await session.call_tool("list_councils", {})).structuredContent["result"]  # type: ignore[index]
        assert listed["name"] == "desk"
        assert listed["characters"] == ["Ada", "Boris", "Clara"]
        answer = await session.call_tool(
            "ask", {"question": "Which pet?", "thread": "pets"}, progress_callback=progress
        )
        assert not answer.isError, answer
        assert answer.structuredContent is not None
        assert answer.structuredContent["answer"] == "What the council says."
        assert answer.structuredContent["council"]["dissent"] == ["Clara"]
        for where in ({}, {"thread": "pets"}):
            found = await session.call_tool("explain_last_verdict", where)
            assert found.structuredContent is not None
            why = found.structuredContent["explanation"]
            assert "Ada, Boris led with" in why
            assert "Not in agreement: Clara" in why
            assert "Dogs." in why
    assert any("answer" in step for step in steps)
    assert "Which pet?" in said(stage.calls_to("ada")[0].body)


async def test_over_http_each_key_has_its_own_threads(stage: Stage, serve: Serve) -> None:
    seat(stage)
    other = f"{KEY}-of-another"
    served = serve(desk(stage), keys=f"ann={KEY},bob={other}", database="memory:", make=tools_of)
    for key in (KEY, other):
        async with session_at(served, key) as session:
            answer = await session.call_tool("ask", {"question": "Which?", "thread": "pets"})
            assert not answer.isError, answer
    assert texts(stage.calls_to("ada")[-1].body, "assistant") == []
    async with session_at(served, KEY) as session:
        await session.call_tool("ask", {"question": "And?", "thread": "pets"})
        assert texts(stage.calls_to("ada")[-1].body, "assistant") == ["What the council says."]
        nobody = await session.call_tool("explain_last_verdict", {"thread": "nobody"})
        assert nobody.isError


async def test_what_goes_wrong_is_an_error_with_its_cure(stage: Stage, serve: Serve) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.status(401))
    served = serve(desk(stage), make=tools_of)
    async with session_at(served) as session:
        for given, says in (
            ({"question": " "}, "empty"),
            ({"question": "Which?", "council": "../desk"}, "does not exist"),
            ({"question": "Which?", "council": "desk:nothing"}, "does not exist"),
            ({"question": "Which?", "thread": "../x"}, "thread's name"),
            ({"question": "Which?"}, "Ada"),
        ):
            answer = await session.call_tool("ask", given)
            assert answer.isError
            text = "".join(getattr(part, "text", "") for part in answer.content)
            assert says in text
            assert "Traceback" not in text


WRONG_ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "no question": ("ask", {}),
    "a question of another type": ("ask", {"question": 7}),
    "a question as a list": ("ask", {"question": ["Which?"]}),
    "null": ("ask", {"question": None}),
    "a council as a list": ("ask", {"question": "Which?", "council": ["desk"]}),
    "a thread as a number": ("explain_last_verdict", {"thread": 5}),
}


@pytest.mark.parametrize(("tool", "arguments"), WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
async def test_a_wrong_argument_is_named_in_plain_words(
    stage: Stage, serve: Serve, tool: str, arguments: dict[str, Any]
) -> None:
    name = next((name for name in ("council", "thread") if name in arguments), "question")
    async with session_at(serve(desk(stage), make=tools_of)) as session:
        answer = await session.call_tool(tool, arguments)
    assert answer.isError
    [part] = answer.content
    words = str(getattr(part, "text", ""))
    assert f"'{name}'" in words
    for foreign in ("http", "pydantic", "validation error", "Arguments", "\n"):
        assert foreign not in words
    assert not stage.calls


@pytest.mark.parametrize(
    ("keys", "headers", "status"),
    [
        (KEY, {}, 401),
        (KEY, {"Authorization": "Bearer wrong"}, 401),
        ("", {"Host": "evil.example"}, 403),
    ],
)
def test_strangers_do_not_come_in(
    stage: Stage, serve: Serve, keys: str, headers: dict[str, str], status: int
) -> None:
    served = serve(desk(stage), keys=keys, make=tools_of)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert served.post(call, "/mcp", headers=headers).status_code == status
    assert not stage.calls


@pytest.mark.parametrize("thread", ["", "pets"])
async def test_the_person_at_the_client_speaks_votes_and_approves(
    stage: Stage, serve: Serve, thread: str
) -> None:
    seat(stage)
    made = written(stage)
    made["models"]["clara"] = {"provider": "human", "model": "Ms K.", "timeout": 60}
    made["tools"] = {"calculator": {"bundled": "calculator", "approve": True}}
    made["characters"][0]["tools"] = ["calculator"]
    call = {"name": "calculator", "args": {"expression": "6 * 7"}, "id": "c1"}
    stage.model("ada", reply=[Reply(None, tool_calls=[call]), "It is 42.", "BALLOT: A"])
    served = serve(load_council(made), make=tools_of, database="memory:")
    messages: list[str] = []

    async def elicited(context: Any, request: ElicitRequestParams) -> ElicitResult:
        messages.append(request.message)
        content: Any = {"allow": True} if "Allow it?" in request.message else {"text": "A parrot."}
        return ElicitResult(action="accept", content=content)

    async with session_at(served, elicitation_callback=elicited) as session:
        arguments = {"question": "Which pet?", "thread": thread}
        answer = await session.call_tool("ask", arguments)
    assert not answer.isError, answer
    assert answer.structuredContent is not None
    assert answer.structuredContent["council"]["spoke"] == ["Ada", "Boris", "Clara"]
    assert any("Ms K., it is your turn to speak" in one for one in messages)
    assert any("Ms K., it is your turn to vote" in one for one in messages)
    [approval] = [one for one in messages if "Allow it?" in one]
    assert approval == 'Ada wants to call calculator with {"expression": "6 * 7"}. Allow it?'
    assert "42" in said(stage.calls_to("ada")[1].body)
    assert "A parrot." in proposals(stage.calls_to("pen")[0].body)
    assert not served.server.memory.storage  # type: ignore[attr-defined]
