"""Real programs, headless and offline, with a council as their model: `make test-clients`.

They are installed into `.clients/`, each in its newest version; without that folder nothing runs
here. With MOM_WRITE_CLIENTS=1 what was tried becomes the table in docs/clients.md.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY, Served, served
from mom_council.tests.stage import Reply, Stage

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".clients"
PAGE = ROOT / "docs" / "clients.md"
COLUMNS = ("chat", "stream", "tools", "structured", "long loop")
ROUNDS = 12
"""Calls of tools in one turn of an agent."""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not INSTALLED.is_dir(), reason="`make test-clients` installs the clients"),
]

Tried = dict[str, tuple[str, set[str]]]


@pytest.fixture(scope="module")
def tried() -> Iterator[Tried]:
    """What was tried: by the client's name its version, and the columns of the table."""
    found: Tried = {}
    yield found
    if found and os.environ.get("MOM_WRITE_CLIENTS"):
        lines = [f"| client | version | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
        for name, (version, done) in sorted(found.items()):
            cells = ("yes" if column in done else "" for column in COLUMNS)
            lines.append(f"| {name} | {version} | {' | '.join(cells)} |")
        head, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- tried -->\n")
        _, _, tail = rest.partition("<!-- end -->")
        table = "\n".join(lines)
        written = f"{head}<!-- tried -->\n{table}\n<!-- end -->{tail}"
        PAGE.write_text(written, encoding="utf-8")


SHELLS = ("Bash", "bash", "exec_command", "shell")


def shell_call(body: dict[str, Any], command: str) -> Reply | None:
    """A call of the agent's own shell; None where it offers none."""
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    name = next((name for name in SHELLS if name in tools), None)
    if name is None:
        return None
    fields = tools[name]["parameters"]["properties"]
    written = {"command": command, "cmd": command, "description": "Write a line."}
    args = {field: written[field] for field in fields if field in written}
    if fields.get("command", {}).get("type") == "array":
        args["command"] = ["bash", "-c", command]
    number = sum(message["role"] == "tool" for message in body["messages"])
    return Reply("", tool_calls=[{"name": name, "args": args, "id": f"call_{number}"}])


def agent_pen(body: dict[str, Any]) -> Reply | str:
    """The synthesizer of an agent: so many calls of the shell, then the answer."""
    number = sum(message["role"] == "tool" for message in body["messages"])
    call = shell_call(body, f"echo line {number} >> made.txt") if number < ROUNDS else None
    return call or "All done, says the council."


@pytest.fixture
def council(stage: Stage) -> Iterator[Served]:
    """A served council of scripted models."""
    seat(stage)
    stage.model("pen", reply=agent_pen)
    with served((desk(stage),), KEY, True, {"database": "memory:"}) as one:
        yield one


def run(command: list[str], cwd: Path, **env: str) -> str:
    """What a program says; its home is its own folder."""
    home = cwd / "home"
    home.mkdir(exist_ok=True)
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1", **env}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def program(name: str) -> str:
    """Where a program of npm is."""
    return str(INSTALLED / "node_modules" / ".bin" / name)


def claude_code(url: str, folder: Path) -> str:
    """Run Claude Code, as docs/clients.md says."""
    return run(
        [program("claude"), "-p", "Write the lines.", "--allowedTools", "Bash"],
        folder,
        ANTHROPIC_BASE_URL=url,
        ANTHROPIC_API_KEY=KEY,
        ANTHROPIC_MODEL="desk",
        ANTHROPIC_DEFAULT_HAIKU_MODEL="desk",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )


def codex(url: str, folder: Path) -> str:
    """Run Codex, as docs/clients.md says."""
    (folder / "home" / ".codex").mkdir(parents=True)
    (folder / "home" / ".codex" / "config.toml").write_text(
        'model = "desk"\nmodel_provider = "mom"\n[model_providers.mom]\nname = "mom"\n'
        f'base_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "MOM_KEY"\n'
    )
    free = "--dangerously-bypass-approvals-and-sandbox"
    command = [program("codex"), "exec", "--skip-git-repo-check", free, "Write the lines."]
    return run(command, folder, MOM_KEY=KEY)


def opencode(url: str, folder: Path) -> str:
    """Run opencode, as docs/clients.md says."""
    options = {"baseURL": f"{url}/v1", "apiKey": KEY}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"desk": {}}}
    settings = {"autoupdate": False, "share": "disabled", "provider": {"mom": provider}}
    (folder / "opencode.json").write_text(json.dumps(settings))
    return run([program("opencode"), "run", "-m", "mom/desk", "Write the lines."], folder)


AGENTS: dict[str, tuple[str, Callable[[str, Path], str]]] = {
    "Claude Code": ("claude", claude_code),
    "Codex": ("codex", codex),
    "opencode": ("opencode", opencode),
}


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_an_agent_works_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried, name: str
) -> None:
    command, act = AGENTS[name]
    assert "All done, says the council." in act(council.url, tmp_path)
    made = (tmp_path / "made.txt").read_text().splitlines()
    assert made == [f"line {number}" for number in range(ROUNDS)]
    working = [call.body for call in stage.calls_to("pen") if shell_call(call.body, "")]
    assert len(working) == ROUNDS + 1
    asked = [body for body in working if not any(m["role"] == "tool" for m in body["messages"])]
    assert len(asked) == 1
    others = len(stage.calls_to("pen")) - len(working)  # a title of the session, say
    assert len(stage.calls_to("ada")) == 2 * (1 + others), "it answers and votes, once a question"
    version = run([program(command), "--version"], tmp_path).split()
    number = next(word for word in version if word[0].isdigit())
    tried[name] = (number, {"chat", "stream", "tools", "long loop"})


SCRIPTS = {
    "litellm": """
import litellm
ask = dict(model="openai/desk", api_base=URL + "/v1", api_key=KEY,
           messages=[{"role": "user", "content": "Which?"}])
say("chat", "council" in litellm.completion(**ask).choices[0].message.content)
parts = [part.choices[0].delta.content or "" for part in litellm.completion(stream=True, **ask)]
say("stream", "council" in "".join(parts))
tool = {"type": "function", "function": {"name": "bash", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}}}}
call = litellm.completion(tools=[tool], **ask).choices[0].message.tool_calls[0]
say("tools", call.function.name == "bash")
""",
    "instructor": """
import instructor, openai
from pydantic import BaseModel
class Pet(BaseModel):
    kind: str
client = instructor.from_openai(openai.OpenAI(base_url=URL + "/v1", api_key=KEY),
                                mode=instructor.Mode.JSON_SCHEMA)
pet = client.chat.completions.create(model="desk", response_model=Pet, max_retries=0,
                                     messages=[{"role": "user", "content": "Which?"}])
say("structured", pet.kind == "cat")
""",
    "pydantic-ai-slim": """
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
class Pet(BaseModel):
    kind: str
model = OpenAIChatModel("desk", provider=OpenAIProvider(base_url=URL + "/v1", api_key=KEY))
say("chat", "council" in Agent(model).run_sync("Which?").output)
pet = Agent(model, output_type=NativeOutput(Pet)).run_sync("Which?").output
say("structured", pet.kind == "cat")
agent, calls = Agent(model), []
@agent.tool_plain
def bash(command: str) -> str:
    calls.append(command)
    return "done"
say("tools", "council" in agent.run_sync("Which?").output and len(calls) == ROUNDS)
say("long loop", len(calls) == ROUNDS)
""",
    "openai-agents": """
import asyncio
from agents import (Agent, OpenAIChatCompletionsModel, Runner, function_tool,
                    set_tracing_disabled)
from openai import AsyncOpenAI
set_tracing_disabled(True)
calls = []
@function_tool
def bash(command: str) -> str:
    calls.append(command)
    return "done"
model = OpenAIChatCompletionsModel("desk", AsyncOpenAI(base_url=URL + "/v1", api_key=KEY))
say("chat", "council" in Runner.run_sync(Agent("a", model=model), "Which?").final_output)
agent = Agent("a", model=model, tools=[bash])
say("tools", "council" in Runner.run_sync(agent, "Which?", max_turns=20).final_output)
say("long loop", len(calls) == ROUNDS)
""",
    "langchain-openai": """
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
class Pet(BaseModel):
    kind: str
model = ChatOpenAI(model="desk", base_url=URL + "/v1", api_key=KEY, max_retries=0)
say("chat", "council" in model.invoke("Which?").text)
say("stream", "council" in "".join(part.text for part in model.stream("Which?")))
pet = model.with_structured_output(Pet, method="json_schema").invoke("Which?")
say("structured", pet.kind == "cat")
tool = {"type": "function", "function": {"name": "bash", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}}}}
messages = [("user", "Which?")]
for number in range(ROUNDS):
    answer = model.bind_tools([tool]).invoke(messages)
    call = answer.tool_calls[0]
    messages += [answer, {"role": "tool", "content": "done", "tool_call_id": call["id"]}]
say("tools", call["name"] == "bash")
say("long loop", "council" in model.bind_tools([tool]).invoke(messages).text)
""",
    "llama-index-llms-openai-like": """
from llama_index.llms.openai_like import OpenAILike
model = OpenAILike(model="desk", api_base=URL + "/v1", api_key=KEY, is_chat_model=True)
say("chat", "council" in model.complete("Which?").text)
say("stream", "council" in [*model.stream_complete("Which?")][-1].text)
""",
}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_library_works_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried, name: str
) -> None:
    def pen(body: dict[str, Any]) -> Reply | str:
        return '{"kind": "cat"}' if "response_format" in body else agent_pen(body)

    stage.model("pen", reply=pen)
    head = (
        f"URL, KEY, ROUNDS = {council.url!r}, {KEY!r}, {ROUNDS}\n"
        "def say(what, is_so):\n    assert is_so, what\n    print('did', what)\n"
    )
    tail = f"\nfrom importlib.metadata import version\nprint('version', version({name!r}))\n"
    python = str(INSTALLED / "python" / "bin" / "python")
    said = run([python, "-c", head + SCRIPTS[name] + tail], tmp_path).splitlines()
    done = {line.removeprefix("did ") for line in said if line.startswith("did ")}
    [version] = [line.removeprefix("version ") for line in said if line.startswith("version ")]
    tried[name] = (version, done)


AI_SDK = """
import { readFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
const say = (what, isSo) => {
  if (!isSo) throw new Error(what);
  console.log("did", what);
};
const mom = createOpenAICompatible({
  name: "mom", baseURL: URL_ + "/v1", apiKey: KEY, supportsStructuredOutputs: true,
});
const ask = { model: mom("desk"), prompt: "Which?", maxRetries: 0 };
say("chat", (await generateText(ask)).text.includes("council"));
let parts = "";
for await (const part of streamText(ask).textStream) parts += part;
say("stream", parts.includes("council"));
const pet = await generateObject({ ...ask, schema: z.object({ kind: z.string() }) });
say("structured", pet.object.kind === "cat");
let calls = 0;
const bash = tool({
  description: "Runs a command.",
  inputSchema: z.object({ command: z.string() }),
  execute: async () => { calls += 1; return "done"; },
});
const end = await generateText({ ...ask, tools: { bash }, stopWhen: stepCountIs(ROUNDS + 2) });
say("tools", calls > 0);
say("long loop", calls === ROUNDS && end.text.includes("council"));
const about = JSON.parse(readFileSync("node_modules/ai/package.json", "utf8"));
console.log("version", about.version);
"""


def test_the_ai_sdk_works_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried
) -> None:
    def pen(body: dict[str, Any]) -> Reply | str:
        return '{"kind": "cat"}' if "response_format" in body else agent_pen(body)

    stage.model("pen", reply=pen)
    (tmp_path / "node_modules").symlink_to(INSTALLED / "node_modules")
    head = f"const URL_ = {council.url!r}, KEY = {KEY!r}, ROUNDS = {ROUNDS};\n"
    (tmp_path / "ask.mjs").write_text(head + AI_SDK, "utf-8")
    said = run(["node", "ask.mjs"], tmp_path).splitlines()
    done = {line.removeprefix("did ") for line in said if line.startswith("did ")}
    [version] = [line.removeprefix("version ") for line in said if line.startswith("version ")]
    tried["Vercel AI SDK"] = (version, done)


def test_aider_edits_a_file_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried
) -> None:
    stage.model("pen", reply="made.txt\n```\nline 0\n```\n")
    aider = str(INSTALLED / "aider" / "bin" / "aider")
    quiet = ("--no-git", "--no-check-update", "--no-analytics", "--no-show-model-warnings")
    command = [aider, "--model", "openai/desk", "--edit-format", "whole", *quiet, "--yes-always"]
    said = run(
        [*command, "--message", "Write the line.", "made.txt"],
        tmp_path,
        OPENAI_API_BASE=f"{council.url}/v1",
        OPENAI_API_KEY=KEY,
    )
    assert "made.txt" in said
    assert (tmp_path / "made.txt").read_text() == "line 0\n"
    assert len(stage.calls_to("pen")) == 1
    version = run([aider, "--version"], tmp_path).split()[-1]
    tried["aider"] = (version, {"chat", "stream"})
