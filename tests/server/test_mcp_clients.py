"""What clients of MCP do besides asking: leave, cancel, watch, lend their model, browse."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import (
    CancelledNotification,
    CancelledNotificationParams,
    ClientNotification,
    CreateMessageRequestParams,
    CreateMessageResult,
    LoggingMessageNotificationParams,
    PromptReference,
    TextContent,
)
from pydantic import AnyUrl

from mom_council.cli.mcp import PROGRAMS, install
from mom_council.cli.trust import trust
from mom_council.councils.loader import load_council
from mom_council.councils.yaml import written as yaml_of
from mom_council.errors import CouncilError
from mom_council.tests.graph.desk import candidates, desk, seat, written
from mom_council.tests.server.conftest import KEY, Serve
from mom_council.tests.server.test_mcp import COMMAND, session_at, tools_of
from mom_council.tests.stage import Fault, Stage

pytestmark = pytest.mark.slow


def _started(file: Path, *more: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-c", COMMAND, "mcp", "-c", str(file), "--only", "--db", "memory:", *more],
        env=dict(os.environ),
        cwd=file.parent,
    )


@asynccontextmanager
async def _over_stdio(stage: Stage, folder: Path, **callbacks: Any) -> AsyncIterator[ClientSession]:
    file = folder / "desk.yaml"
    file.write_text(yaml_of(desk(stage)), "utf-8")
    async with (
        stdio_client(_started(file)) as (read, write),
        ClientSession(read, write, **callbacks) as session,
    ):
        await session.initialize()
        yield session


async def _until(stage: Stage, outcome: str, count: int) -> None:
    """Wait until so many calls have ended (or begun) like this."""
    async with asyncio.timeout(60):
        while sum(call.outcome == outcome for call in stage.calls) < count:
            await asyncio.sleep(0.01)


async def _cancel(session: ClientSession, request: int) -> None:
    params = CancelledNotificationParams(requestId=request, reason="the user pressed Esc")
    await session.send_notification(
        ClientNotification(CancelledNotification(method="notifications/cancelled", params=params))
    )


async def _ask_and_cancel(session: ClientSession, stage: Stage) -> None:
    request = session._request_id
    asking = asyncio.create_task(session.call_tool("ask", {"question": "Which?"}))
    await _until(stage, "open", 3)
    await _cancel(session, request)
    with pytest.raises(McpError, match="cancelled"):
        await asking
    await _until(stage, "client_left", 3)
    assert len(stage.calls) == 3, "nobody else is asked"


async def test_over_stdio_a_cancelled_question_cuts_the_paid_streams(
    stage: Stage, tmp_path: Path
) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.stall(after=1))
    async with _over_stdio(stage, tmp_path) as session:
        await _ask_and_cancel(session, stage)
        seat(stage)
        again = await session.call_tool("ask", {"question": "And now?"})
        assert not again.isError, "the session goes on"


async def test_over_http_a_cancelled_question_cuts_the_paid_streams(
    stage: Stage, serve: Serve
) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.stall(after=1))
    served = serve(desk(stage), make=tools_of)
    async with session_at(served) as session:
        await _ask_and_cancel(session, stage)
        seat(stage)
        again = await session.call_tool("ask", {"question": "And now?"})
        assert not again.isError, "the session goes on"


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    },
}
ASK = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "ask", "arguments": {"question": "Which?"}},
}


async def _start(file: Path) -> asyncio.subprocess.Process:
    """`mom mcp` as a program starts it, with the session open."""
    started = _started(file)
    process = await asyncio.create_subprocess_exec(
        started.command,
        *started.args,
        cwd=file.parent,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _send(process, INITIALIZE)
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["result"]["serverInfo"]
    _send(process, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    return process


def _send(process: asyncio.subprocess.Process, message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")


@pytest.mark.parametrize("how", ["stdin", "both", "SIGINT", "SIGTERM"])
@pytest.mark.parametrize("is_asking", [False, True])
async def test_a_client_that_leaves_ends_it_quietly_and_cuts_the_paid_streams(
    stage: Stage, tmp_path: Path, how: str, is_asking: bool
) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.stall(after=1))
    file = tmp_path / "desk.yaml"
    file.write_text(yaml_of(desk(stage)), "utf-8")
    process = await _start(file)
    assert process.stdin is not None
    if is_asking:
        _send(process, ASK)
        await _until(stage, "open", 3)
    if how.startswith("SIG"):
        process.send_signal(getattr(signal, how))
    else:
        process.stdin.close()
        if how == "both":
            process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    assert process.stderr is not None
    async with asyncio.timeout(60):
        stderr = await process.stderr.read()
        code = await process.wait()
    assert b"Traceback" not in stderr, stderr
    assert b"rror" not in stderr, stderr
    if not how.startswith("SIG"):
        assert (code, stderr) == (0, b"")
    if is_asking:
        await _until(stage, "client_left", 3)


async def test_what_a_client_leaves_out_may_be_null(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage), make=tools_of, database="memory:")
    async with session_at(served) as session:
        for arguments in (
            {"question": "Which?", "council": None, "thread": None},
            {"question": "Which?", "council": None},
            {"question": "Which?", "council": "", "thread": ""},
            {"question": "Which?", "council": "desk:borda", "thread": None},
        ):
            answer = await session.call_tool("ask", arguments)
            assert not answer.isError, answer
        why = await session.call_tool("explain_last_verdict", {"thread": None})
        assert not why.isError, why


async def test_the_tools_say_what_they_take_give_and_change(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    served = serve(desk(stage), make=tools_of)
    async with session_at(served) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        answers = {
            "ask": await session.call_tool("ask", {"question": "Which?"}),
            "list_councils": await session.call_tool("list_councils", {}),
            "explain_last_verdict": await session.call_tool("explain_last_verdict", {}),
        }
    for name, tool in tools.items():
        for argument in tool.inputSchema["properties"].values():
            assert argument["description"], f"{name}: {argument}"
        assert tool.title
        assert tool.annotations is not None
        assert tool.annotations.readOnlyHint
        assert tool.annotations.destructiveHint is False
        assert tool.outputSchema is not None
        structured = answers[name].structuredContent
        jsonschema_rs.validate(tool.outputSchema, structured)
    assert [part.text for part in answers["ask"].content] == ["What the council says."]  # type: ignore[union-attr]
    assert answers["ask"].structuredContent["council"]["spoke"] == ["Ada", "Boris", "Clara"]  # type: ignore[index]
    monkeypatch.setenv("MOM_TOOLS", "shop_tools")
    tools_may_change = serve(desk(stage), make=tools_of)
    async with session_at(tools_may_change) as session:
        hints = {tool.name: tool.annotations for tool in (await session.list_tools()).tools}
    assert hints["ask"].readOnlyHint is False  # type: ignore[union-attr]
    assert hints["list_councils"].readOnlyHint is True  # type: ignore[union-attr]


async def test_progress_says_who_answered_and_how_they_voted(stage: Stage, serve: Serve) -> None:
    seat(stage, {"Ada": "Cats.", "Boris": "Cats.", "Clara": "Dogs."}, likes="Cats")
    stage.model("clara", reply=lambda body: "I abstain." if candidates(body) else "Dogs.")
    served = serve(
        desk(stage, deliberation={"method": "borda", "ballots": "always"}), make=tools_of
    )
    steps: list[tuple[float, str]] = []
    logged: list[dict[str, Any]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append((done, message or ""))

    async def log(params: LoggingMessageNotificationParams) -> None:
        assert params.logger == "council"
        logged.append(params.data)

    async with session_at(served, logging_callback=log) as session:
        await session.call_tool("ask", {"question": "Which?"}, progress_callback=progress)
        told = len(logged)
        await session.call_tool("ask", {"question": "And?"})
        assert len(logged) == told, "who wants no progress is told nothing"
    assert [done for done, _ in steps] == [*range(1, len(steps) + 1)]
    texts = [text for _, text in steps]
    assert "Round 1: Ada, Boris, Clara answer" in texts
    assert "Clara answered: Dogs." in texts
    assert "Round 1: Ada, Boris, Clara vote" in texts
    assert "Clara abstains" in texts
    assert any(text.startswith("Ada votes ") for text in texts)
    assert texts[-1] == "The answer is written"
    assert {one["speaker"]["name"] for one in logged if one["kind"] == "finished"} >= {"Ada"}
    assert {"Dogs."} <= {one.get("reply") for one in logged}
    assert any(one["kind"] == "counted" and one["verdict"]["leader"] for one in logged)


async def test_the_hosts_model_sits_in_the_council_without_a_key(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    council = written(stage)
    council["models"]["clara"] = {
        "provider": "mcp_host",
        "model": "claude",
        "params": {"temperature": 0.3, "max_tokens": 300},
    }
    served = serve(load_council(council), make=tools_of)
    requests: list[CreateMessageRequestParams] = []

    async def sample(context: Any, params: CreateMessageRequestParams) -> CreateMessageResult:
        requests.append(params)
        content = TextContent(type="text", text="A parrot.")
        return CreateMessageResult(
            role="assistant", content=content, model="claude-x", stopReason="endTurn"
        )

    async with session_at(served, sampling_callback=sample) as session:
        answer = await session.call_tool("ask", {"question": "Which pet?"})
    assert not answer.isError, answer
    assert answer.structuredContent is not None
    assert answer.structuredContent["council"]["spoke"] == ["Ada", "Boris", "Clara"]
    first = requests[0]
    assert "You think in pictures." in (first.systemPrompt or "")
    assert "Which pet?" in first.messages[-1].content.text  # type: ignore[union-attr]
    assert first.messages[-1].role == "user"
    assert (first.maxTokens, first.temperature) == (300, 0.3)
    assert first.modelPreferences is not None
    assert [hint.name for hint in first.modelPreferences.hints or ()] == ["claude"]
    assert not [call for call in stage.calls if call.model == "claude"]
    async with session_at(served) as session:  # a client that lends no model
        answer = await session.call_tool("ask", {"question": "Which pet?"})
        assert answer.structuredContent is not None, answer
        [absence] = answer.structuredContent["council"]["absent"]
        assert absence["character"] == "Clara"
        assert "sampling" in absence["detail"]


async def test_a_hosts_model_that_fails_is_absent(stage: Stage, serve: Serve) -> None:
    seat(stage)
    council = written(stage)
    council["models"]["clara"] = {"provider": "mcp_host", "model": "any", "retries": 0}
    served = serve(load_council(council), make=tools_of)

    async def sample(context: Any, params: CreateMessageRequestParams) -> CreateMessageResult:
        assert params.modelPreferences is None
        raise RuntimeError("the user said no")

    async with session_at(served, sampling_callback=sample) as session:
        answer = await session.call_tool("ask", {"question": "Which pet?"})
    assert answer.structuredContent is not None, answer
    assert [one["character"] for one in answer.structuredContent["council"]["absent"]] == ["Clara"]


async def test_resources_prompts_and_completions(stage: Stage, serve: Serve) -> None:
    seat(stage)
    other = f"{KEY}-of-another"
    served = serve(desk(stage), keys=f"ann={KEY},bob={other}", make=tools_of)
    async with session_at(served, KEY) as session:
        uris = {str(one.uri) for one in (await session.list_resources()).resources}
        assert uris == {"council://councils", "council://last-verdict"}
        [template] = (await session.list_resource_templates()).resourceTemplates
        assert template.uriTemplate == "council://councils/{name}"

        async def read(uri: str) -> Any:
            [part] = (await session.read_resource(AnyUrl(uri))).contents
            assert part.mimeType == "application/json"
            return json.loads(part.text)  # type: ignore[union-attr]

        assert [one["name"] for one in await read("council://councils")] == ["desk"]
        assert (await read("council://councils/desk"))["characters"] == ["Ada", "Boris", "Clara"]
        with pytest.raises(McpError, match="does not exist") as refused:
            await read("council://councils/nobody")
        assert refused.value.error.code == -32002
        with pytest.raises(McpError, match="Unknown resource") as refused:
            await read("other://place")
        assert refused.value.error.code == -32002
        with pytest.raises(McpError, match="Unknown prompt") as refused:
            await session.get_prompt("nobody", {})
        assert refused.value.error.code == -32602
        assert await read("council://last-verdict") == {}
        await session.call_tool("ask", {"question": "Which?"})
        assert (await read("council://last-verdict"))["council"]["name"] == "desk"
        prompts = {one.name: one for one in (await session.list_prompts()).prompts}
        assert set(prompts) == {"second_opinion", "review"}
        for prompt in prompts.values():
            assert all(argument.description for argument in prompt.arguments or ())
        got = await session.get_prompt("second_opinion", {"question": "Tabs?", "council": "desk"})
        text = got.messages[0].content.text  # type: ignore[union-attr]
        assert "Tabs?" in text
        assert "'desk'" in text
        reference = PromptReference(type="ref/prompt", name="review")
        found = await session.complete(reference, {"name": "council", "value": "desk:b"})
        assert "desk:borda" in found.completion.values
    async with session_at(served, other) as session:
        [part] = (await session.read_resource(AnyUrl("council://last-verdict"))).contents
        assert json.loads(part.text) == {}, "each session has its own"  # type: ignore[union-attr]


async def test_install_prints_an_entry_that_starts_the_council(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESK_KEY", "a-key-of-the-desk-1234")
    seat(stage)
    council = written(stage)
    council["models"]["ada"]["api_key_env"] = "DESK_KEY"
    Path("desk.yaml").write_text(yaml_of(load_council(council)), "utf-8")
    with pytest.raises(CouncilError, match="not trusted"):  # no program could ask for leave
        install("codex", ["desk.yaml"])
    trust(["desk.yaml"], keys=["DESK_KEY"])
    capsys.readouterr()
    commands: dict[str, list[str]] = {}
    for program in PROGRAMS:
        install(program, ["desk.yaml"], only=True)
        entry, about = capsys.readouterr()
        assert "DESK_KEY" in about
        assert "a-key-of" not in entry + about
        commands[program] = _command_in(program, entry)
    assert len({tuple(command) for command in commands.values()}) == 1
    command = commands["codex"]
    assert command[-2:] == ["-c", str(tmp_path / "desk.yaml")]
    started = StdioServerParameters(
        command=command[0], args=[*command[1:], "--db", "memory:"], env=dict(os.environ), cwd="/"
    )
    async with stdio_client(started) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        answer = await session.call_tool("ask", {"question": "Which?"})
        assert not answer.isError, answer
    install()
    everything, _ = capsys.readouterr()
    assert all(title in everything for title, _, _ in PROGRAMS.values())


def _command_in(program: str, entry: str) -> list[str]:
    """The command in an entry, read as the program reads it."""
    if program == "claude-code":
        words = shlex.split(entry)
        assert words[:5] == ["claude", "mcp", "add", "council", "--"]
        return words[5:]
    if program == "codex":
        server = tomllib.loads(entry)["mcp_servers"]["council"]
        return [server["command"], *server["args"]]
    [servers] = json.loads(entry).values()
    command = servers["council"]["command"]
    return command if program == "opencode" else [command, *servers["council"]["args"]]
