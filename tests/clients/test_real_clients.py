"""Real programs, headless and offline, with a council as their model: `make test-clients`.

They are installed into `.clients/`, each in its newest version; without that folder nothing runs
here. With MOM_WRITE_CLIENTS=1 what was tried becomes the table in docs/clients.md.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mom_council.testing.media import picture
from mom_council.tests.graph.desk import desk, seat, voice
from mom_council.tests.server.conftest import KEY, Served, served
from mom_council.tests.stage import Reply, Stage

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".clients"
PAGE = ROOT / "docs" / "clients.md"
COLUMNS = ("chat", "stream", "tools", "images", "structured", "long loop", "cancel")
NOT_THERE: dict[str, tuple[str, ...]] = {"aider": ("tools", "structured", "long loop")}
"""What a client has no way to do: aider writes its edits as text, and never calls a tool."""
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
        head, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- tried -->\n")
        table, _, tail = rest.partition("<!-- end -->")
        # A client that was not run this time keeps its row, with the version that was tried.
        rows = {line.split("|")[1].strip(): line for line in table.splitlines()[2:]}
        for name, (version, done) in found.items():
            lacks = dict.fromkeys(NOT_THERE.get(name, ()), "not in this client")
            cells = ("yes" if column in done else lacks.get(column, "") for column in COLUMNS)
            rows[name] = f"| {name} | {version} | {' | '.join(cells)} |"
        lines = [f"| client | version | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
        lines += [rows[name] for name in sorted(rows, key=str.lower)]
        table = "".join(f"{line}\n" for line in lines)
        written = f"{head}<!-- tried -->\n{table}<!-- end -->{tail}"
        PAGE.write_text(written, encoding="utf-8")


FORM_TOOLS = ("StructuredOutput", "Pet")
"""Tools of Claude Code and instructor that take the form that was asked for."""
PICTURE = picture("a cat")
SHOWN = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
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
    """The synthesizer of an agent: so many calls of the shell, then the answer.

    Where a form is asked for it is met: as the protocol has it, or by a client's own tool.
    """
    if "response_format" in body:
        return '{"kind": "cat"}'
    tools = {tool["function"]["name"] for tool in body.get("tools") or ()}
    if name := next((one for one in FORM_TOOLS if one in tools), None):
        called = any(message["role"] == "tool" for message in body["messages"])
        call = {"name": name, "args": {"kind": "cat"}, "id": "call_form"}
        return "Done." if called else Reply("", tool_calls=[call])
    number = sum(message["role"] == "tool" for message in body["messages"])
    call = shell_call(body, f"echo line {number} >> made.txt") if number < ROUNDS else None
    return call or "All done, says the council."


@pytest.fixture
def council(stage: Stage) -> Iterator[Served]:
    """Two served councils of scripted models, which see; the synthesizer of `slow` is slow."""
    seat(stage)
    stage.model("pen", reply=agent_pen)
    stage.model("slow-pen", reply="A word. " * 400, tokens_per_second=4)
    names = ("ada", "boris", "clara", "pen")
    models = {name: voice(stage, name, vision=True) for name in names}
    models["slow-pen"] = voice(stage, "slow-pen", timeout=600)
    quick = desk(stage, models=models)
    slow = desk(stage, name="slow", models=models, synthesizer={"model": "slow-pen"})
    with served((quick, slow), KEY, True, {"database": "memory:"}) as one:
        yield one


def environment(cwd: Path, env: dict[str, str]) -> dict[str, str]:
    """The variables of a program; its home is its own folder."""
    home = cwd / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1", **env}


def run(command: list[str], cwd: Path, said: str = "", **env: str) -> str:
    """What a program says, which is told something over its standard input."""
    variables = environment(cwd, env)
    done = subprocess.run(
        command,
        cwd=cwd,
        env=variables,
        input=said,
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


Command = tuple[list[str], dict[str, str]]
"""What is run, and with which variables."""


def claude_code(url: str, folder: Path, *more: str, model: str = "desk") -> Command:
    """Claude Code, as docs/clients.md says."""
    command = [program("claude"), "-p", *more, "--allowedTools", "Bash"]
    names = ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL")
    variables = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, **dict.fromkeys(names, model)}
    return command, {**variables, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def codex(url: str, folder: Path, *more: str, model: str = "desk") -> Command:
    """Codex, as docs/clients.md says."""
    (folder / "home" / ".codex").mkdir(parents=True, exist_ok=True)
    (folder / "home" / ".codex" / "config.toml").write_text(
        f'model = "{model}"\nmodel_provider = "mom"\n[model_providers.mom]\nname = "mom"\n'
        f'base_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "MOM_KEY"\n'
    )
    free = "--dangerously-bypass-approvals-and-sandbox"
    return [program("codex"), "exec", "--skip-git-repo-check", free, *more], {"MOM_KEY": KEY}


def opencode(url: str, folder: Path, *more: str, model: str = "desk") -> Command:
    """Opencode, as docs/clients.md says."""
    options = {"baseURL": f"{url}/v1", "apiKey": KEY}
    sees = {"attachment": True, "modalities": {"input": ["text", "image"], "output": ["text"]}}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {model: sees}}
    settings = {"autoupdate": False, "share": "disabled", "provider": {"mom": provider}}
    (folder / "opencode.json").write_text(json.dumps(settings))
    return [program("opencode"), "run", "-m", f"mom/{model}", *more], {}


AGENTS: dict[str, tuple[str, Callable[..., Command]]] = {
    "Claude Code": ("claude", claude_code),
    "Codex": ("codex", codex),
    "opencode": ("opencode", opencode),
}
AGENT = pytest.mark.parametrize("name", sorted(AGENTS))


def note(tried: Tried, name: str, version: str, *columns: str) -> None:
    """Write down what was tried."""
    before = tried.get(name, ("", set()))[1]
    tried[name] = (version, before | {*columns})


def version_of(name: str, folder: Path) -> str:
    """The version that an agent says it has."""
    words = run([program(AGENTS[name][0]), "--version"], folder).split()
    return next(word for word in words if word[0].isdigit())


@AGENT
def test_an_agent_works_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried, name: str
) -> None:
    command, variables = AGENTS[name][1](council.url, tmp_path, "Write the lines.")
    assert "All done, says the council." in run(command, tmp_path, **variables)
    made = (tmp_path / "made.txt").read_text().splitlines()
    assert made == [f"line {number}" for number in range(ROUNDS)]
    working = [call.body for call in stage.calls_to("pen") if shell_call(call.body, "")]
    assert len(working) == ROUNDS + 1
    asked = [body for body in working if not any(m["role"] == "tool" for m in body["messages"])]
    assert len(asked) == 1
    others = len(stage.calls_to("pen")) - len(working)  # a title of the session, say
    assert len(stage.calls_to("ada")) == 2 * (1 + others), "it answers and votes, once a question"
    note(tried, name, version_of(name, tmp_path), "chat", "stream", "tools", "long loop")


@AGENT
def test_an_agent_shows_a_picture(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried, name: str
) -> None:
    stage.model("pen", reply="It is a cat.")
    (tmp_path / "cat.png").write_bytes(PICTURE)
    written = {
        "Claude Code": ("--input-format", "stream-json", "--output-format", "stream-json"),
        "Codex": ("What is this?", "-i", "cat.png"),
        "opencode": ("What is this?", "-f", "cat.png"),
    }
    source = {"type": "base64", "media_type": "image/png", "data": SHOWN.partition(",")[2]}
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    message = {"type": "user", "message": {"role": "user", "content": parts}}
    command, variables = AGENTS[name][1](council.url, tmp_path, *written[name])
    if name == "Claude Code":
        command.append("--verbose")
    said = run(command, tmp_path, f"{json.dumps(message)}\n" * (name == "Claude Code"), **variables)
    assert "It is a cat." in said
    check_picture(stage)
    note(tried, name, version_of(name, tmp_path), "images")


def check_picture(stage: Stage) -> None:
    """A member saw a picture."""
    assert any("data:image/" in json.dumps(call.body) for call in stage.calls_to("ada"))


FORM = {
    "type": "object",
    "properties": {"kind": {"type": "string"}},
    "required": ["kind"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("name", ["Claude Code", "Codex"])
def test_an_agent_asks_for_a_form(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried, name: str
) -> None:
    (tmp_path / "form.json").write_text(json.dumps(FORM))
    written = {
        "Claude Code": ("Which pet?", "--output-format", "json", "--json-schema", json.dumps(FORM)),
        "Codex": ("Which pet?", "--output-schema", "form.json"),
    }
    command, variables = AGENTS[name][1](council.url, tmp_path, *written[name])
    if name == "Codex":
        stage.model("pen", reply='{"kind": "cat"}')
    said = run(command, tmp_path, **variables)
    if name == "Claude Code":
        assert json.loads(said)["structured_output"] == {"kind": "cat"}
    else:
        assert '{"kind": "cat"}' in said
    note(tried, name, version_of(name, tmp_path), "structured")


def test_opencode_asks_for_a_form(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried
) -> None:
    opencode(council.url, tmp_path)
    with subprocess.Popen(
        [program("opencode"), "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = (re.search(r"http://[\w.:]+", line) for line in process.stdout)
            url = next(found[0] for found in lines if found)
            with httpx.Client(base_url=url, timeout=100) as client:
                session = client.post("/session", json={}).json()["id"]
                body = {
                    "model": {"providerID": "mom", "modelID": "desk"},
                    "parts": [{"type": "text", "text": "Which pet?"}],
                    "format": {"type": "json_schema", "schema": FORM},
                }
                answer = client.post(f"/session/{session}/message", json=body).json()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert answer["info"]["structured"] == {"kind": "cat"}, answer
    note(tried, "opencode", version_of("opencode", tmp_path), "structured")


def interrupt(stage: Stage, command: list[str], folder: Path, **env: str) -> None:
    """Stop a program by Ctrl+C while the council answers it: the open call ends at its server."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            stage.wait_for(1, 100, started=True, model="slow-pen")
            os.killpg(process.pid, signal.SIGINT)
            wait_until_left(stage)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_left(stage: Stage) -> None:
    """Wait until no call of the slow synthesizer is open, and see that its client left."""
    while not (calls := stage.calls_to("slow-pen")) or any(one.outcome == "open" for one in calls):
        threading.Event().wait(0.05)
    assert {one.outcome for one in calls} == {"client_left"}


@AGENT
def test_an_agent_is_interrupted(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried, name: str
) -> None:
    command, variables = AGENTS[name][1](council.url, tmp_path, "At length.", model="slow")
    interrupt(stage, command, tmp_path, **variables)
    note(tried, name, version_of(name, tmp_path), "cancel")


SCRIPTS = {
    "openai": """
from openai import OpenAI
from pydantic import BaseModel
class Pet(BaseModel):
    kind: str
client = OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
ask = dict(model="desk", messages=[{"role": "user", "content": "Which?"}])
say("chat", "council" in client.chat.completions.create(**ask).choices[0].message.content)
chunks = client.chat.completions.create(stream=True, **ask)
say("stream", "council" in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
parsed = client.chat.completions.parse(response_format=Pet, **ask).choices[0].message.parsed
say("structured", parsed.kind == "cat")
seen = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
client.chat.completions.create(model="desk", messages=[{"role": "user", "content": seen}])
say("images", True)
messages = [{"role": "user", "content": "Which?"}]
for number in range(ROUNDS):
    asked = client.chat.completions.create(model="desk", messages=messages, tools=[TOOL])
    call = asked.choices[0].message.tool_calls[0]
    done = {"role": "tool", "tool_call_id": call.id, "content": "done"}
    messages += [asked.choices[0].message, done]
end = client.chat.completions.create(model="desk", messages=messages, tools=[TOOL])
say("tools", call.function.name == "bash")
say("long loop", "council" in end.choices[0].message.content)
stream = client.chat.completions.create(model="slow", messages=ask["messages"], stream=True)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        break
stream.close()
wait_until_cut()
""",
    "anthropic": """
from anthropic import Anthropic
client = Anthropic(base_url=URL, api_key=KEY, max_retries=0)
ask = dict(model="desk", max_tokens=500, messages=[{"role": "user", "content": "Which?"}])
say("chat", "council" in client.messages.create(**ask).content[-1].text)
with client.messages.stream(**ask) as stream:
    say("stream", "council" in "".join(stream.text_stream))
source = {"type": "base64", "media_type": "image/png", "data": PICTURE.partition(",")[2]}
seen = [{"type": "text", "text": "What?"}, {"type": "image", "source": source}]
client.messages.create(model="desk", max_tokens=500, messages=[{"role": "user", "content": seen}])
say("images", True)
tool = {"name": "bash", "input_schema": TOOL["function"]["parameters"]}
messages = [{"role": "user", "content": "Which?"}]
for number in range(ROUNDS):
    asked = client.messages.create(model="desk", max_tokens=500, messages=messages, tools=[tool])
    use = next(block for block in asked.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "done"}
    messages += [{"role": "assistant", "content": asked.content},
                 {"role": "user", "content": [result]}]
end = client.messages.create(model="desk", max_tokens=500, messages=messages, tools=[tool])
say("tools", use.name == "bash")
say("long loop", "council" in end.content[-1].text)
from pydantic import BaseModel
class Pet(BaseModel):
    kind: str
say("structured", client.messages.parse(output_format=Pet, **ask).parsed_output.kind == "cat")
with client.messages.stream(model="slow", max_tokens=5000, messages=ask["messages"]) as stream:
    for text in stream.text_stream:
        break
wait_until_cut()
""",
    "litellm": """
import litellm
from pydantic import BaseModel
class Pet(BaseModel):
    kind: str
ask = dict(model="openai/desk", api_base=URL + "/v1", api_key=KEY,
           messages=[{"role": "user", "content": "Which?"}])
say("chat", "council" in litellm.completion(**ask).choices[0].message.content)
parts = [part.choices[0].delta.content or "" for part in litellm.completion(stream=True, **ask)]
say("stream", "council" in "".join(parts))
tool = {"type": "function", "function": {"name": "bash", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}}}}
call = litellm.completion(tools=[tool], **ask).choices[0].message.tool_calls[0]
say("tools", call.function.name == "bash")
pet = litellm.completion(response_format=Pet, **ask).choices[0].message.content
say("structured", Pet.model_validate_json(pet).kind == "cat")
seen = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
litellm.completion(**{**ask, "messages": [{"role": "user", "content": seen}]})
say("images", True)
messages = list(ask["messages"])
for number in range(ROUNDS):
    message = litellm.completion(tools=[tool], **{**ask, "messages": messages}).choices[0].message
    done = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "done"}
    messages += [message, done]
end = litellm.completion(tools=[tool], **{**ask, "messages": messages}).choices[0].message
say("long loop", "council" in end.content)
stream = litellm.completion(stream=True, **{**ask, "model": "openai/slow"})
for part in stream:
    if part.choices[0].delta.content:
        break
stream.completion_stream.close()
wait_until_cut()
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
seen = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
client.chat.completions.create(model="desk", response_model=Pet, max_retries=0,
                               messages=[{"role": "user", "content": seen}])
say("images", True)
tools = instructor.from_openai(openai.OpenAI(base_url=URL + "/v1", api_key=KEY),
                               mode=instructor.Mode.TOOLS)
pet = tools.chat.completions.create(model="desk", response_model=Pet, max_retries=0,
                                    messages=[{"role": "user", "content": "Which?"}])
say("tools", pet.kind == "cat")
parts = [*client.chat.completions.create_partial(model="desk", response_model=Pet, max_retries=0,
                                                 messages=[{"role": "user", "content": "Which?"}])]
say("stream", parts[-1].kind == "cat")
plain = dict(model="desk", response_model=None, messages=[{"role": "user", "content": "Which?"}])
ask = client.chat.completions.create
say("chat", "council" in ask(**plain).choices[0].message.content)
messages = list(plain["messages"])
for number in range(ROUNDS):
    asked = ask(**{**plain, "messages": messages, "tools": [TOOL]}).choices[0].message
    done = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "done"}
    messages += [asked.model_dump(), done]
end = ask(**{**plain, "messages": messages, "tools": [TOOL]}).choices[0].message
say("long loop", "council" in end.content)
stream = ask(**{**plain, "model": "slow", "stream": True})
for part in stream:
    if part.choices and part.choices[0].delta.content:
        break
stream.close()
wait_until_cut()
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
import asyncio, base64
from pydantic_ai import BinaryContent
seen = BinaryContent(base64.b64decode(PICTURE.partition(",")[2]), media_type="image/png")
Agent(model).run_sync(["What?", seen])
say("images", True)
slow = OpenAIChatModel("slow", provider=OpenAIProvider(base_url=URL + "/v1", api_key=KEY))
async def stream():
    async with Agent(model).run_stream("Which?") as result:
        parts = [part async for part in result.stream_text(delta=True)]
    say("stream", "council" in "".join(parts))
async def cancel():
    async with Agent(slow).run_stream("Which?") as result:
        async for part in result.stream_text(delta=True, debounce_by=None):
            break
        await result.cancel()
    await asyncio.to_thread(wait_until_cut)
asyncio.run(stream())
asyncio.run(cancel())
""",
    "openai-agents": """
import asyncio
from pydantic import BaseModel
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
class Pet(BaseModel):
    kind: str
pet = Runner.run_sync(Agent("a", model=model, output_type=Pet), "Which?").final_output
say("structured", pet.kind == "cat")
seen = [{"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": PICTURE, "detail": "auto"}]
Runner.run_sync(Agent("a", model=model), [{"role": "user", "content": seen}])
say("images", True)
async def stream():
    result = Runner.run_streamed(Agent("a", model=model), "Which?")
    async for event in result.stream_events():
        pass
    say("stream", "council" in result.final_output)
async def cancel():
    slow = OpenAIChatCompletionsModel("slow", AsyncOpenAI(base_url=URL + "/v1", api_key=KEY))
    result = Runner.run_streamed(Agent("a", model=slow), "Which?")
    async for event in result.stream_events():
        if getattr(getattr(event, "data", None), "type", "") == "response.output_text.delta":
            break
    result.cancel()
    await asyncio.to_thread(wait_until_cut)
asyncio.run(stream())
asyncio.run(cancel())
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
seen = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
model.invoke([("user", seen)])
say("images", True)
slow = ChatOpenAI(model="slow", base_url=URL + "/v1", api_key=KEY, max_retries=0)
parts = slow.stream("Which?")
for part in parts:
    if part.text:
        break
parts.close()
wait_until_cut()
""",
    "llama-index-llms-openai-like": """
from llama_index.llms.openai_like import OpenAILike
model = OpenAILike(model="desk", api_base=URL + "/v1", api_key=KEY, is_chat_model=True)
say("chat", "council" in model.complete("Which?").text)
say("stream", "council" in [*model.stream_complete("Which?")][-1].text)
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
seen = ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(url=PICTURE)])
model.chat([seen])
say("images", True)
def bash(command: str) -> str:
    return "done"
calls = OpenAILike(model="desk", api_base=URL + "/v1", api_key=KEY, is_chat_model=True,
                   is_function_calling_model=True)
messages = [ChatMessage(role="user", content="Which?")]
for number in range(ROUNDS):
    answer = calls.chat_with_tools([FunctionTool.from_defaults(bash)], chat_history=messages)
    call = calls.get_tool_calls_from_response(answer)[0]
    named = {"tool_call_id": call.tool_id}
    done = ChatMessage(role="tool", content="done", additional_kwargs=named)
    messages += [answer.message, done]
say("tools", call.tool_name == "bash")
end = calls.chat_with_tools([FunctionTool.from_defaults(bash)], chat_history=messages)
say("long loop", "council" in end.message.content)
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel
class Pet(BaseModel):
    kind: str
say("structured", calls.structured_predict(Pet, PromptTemplate("Which?")).kind == "cat")
import asyncio
slow = OpenAILike(model="slow", api_base=URL + "/v1", api_key=KEY, is_chat_model=True)
async def cancel():
    begun = asyncio.Event()
    async def read():
        async for part in await slow.astream_complete("Which?"):
            if part.delta:
                begun.set()
    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.to_thread(wait_until_cut)
asyncio.run(cancel())
""",
}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_library_works_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried, name: str
) -> None:
    head = (
        f"URL, KEY, ROUNDS, PICTURE = {council.url!r}, {KEY!r}, {ROUNDS}, {SHOWN!r}\n"
        f"TOOL = {BASH!r}\n"
        "def say(what, is_so):\n    assert is_so, what\n    print('did', what, flush=True)\n"
        "def wait_until_cut():\n"
        "    import pathlib, time\n"
        "    while not pathlib.Path('cut').exists():\n        time.sleep(0.05)\n"
        "    say('cancel', True)\n"
    )
    tail = f"\nfrom importlib.metadata import version\nprint('version', version({name!r}))\n"
    place = "llama" if name.startswith("llama") else "python"
    python = str(INSTALLED / place / "bin" / "python")
    said = run_and_cut(stage, [python, "-c", head + SCRIPTS[name] + tail], tmp_path)
    note(tried, name, *read_columns(said))


BASH = {
    "type": "function",
    "function": {
        "name": "bash",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
    },
}


def run_and_cut(stage: Stage, command: list[str], folder: Path) -> list[str]:
    """The lines that a script says; it finds a file when its cut stream has ended at its server."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            calls = stage.calls_to("slow-pen")
            if calls and all(one.outcome == "client_left" for one in calls):
                (folder / "cut").touch()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        said = run(command, folder).splitlines()
    finally:
        over.set()
        watcher.join()
    if "did images" in said:
        check_picture(stage)
    return said


def read_columns(said: list[str]) -> list[str]:
    """The version that a script says, and the columns that it did."""
    [version] = [line.removeprefix("version ") for line in said if line.startswith("version ")]
    return [version, *(line.removeprefix("did ") for line in said if line.startswith("did "))]


AI_SDK = """
import { existsSync, readFileSync } from "node:fs";
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
await generateText({ ...ask, prompt: undefined, messages: [
  { role: "user", content: [{ type: "text", text: "What?" }, { type: "image", image: PICTURE }] },
] });
say("images", true);
const stop = new AbortController();
const abortable = { abortSignal: stop.signal, onError: () => {} };
const slow = streamText({ ...ask, model: mom("slow"), ...abortable });
for await (const part of slow.textStream) if (part) break;
stop.abort();
while (!existsSync("cut")) await new Promise((done) => setTimeout(done, 50));
say("cancel", true);
const about = JSON.parse(readFileSync("node_modules/ai/package.json", "utf8"));
console.log("version", about.version);
"""


def test_the_ai_sdk_works_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried
) -> None:
    (tmp_path / "node_modules").symlink_to(INSTALLED / "node_modules")
    head = f"const URL_ = {council.url!r}, KEY = {KEY!r}, ROUNDS = {ROUNDS}, PICTURE = {SHOWN!r};\n"
    (tmp_path / "ask.mjs").write_text(head + AI_SDK, "utf-8")
    said = run_and_cut(stage, ["node", "ask.mjs"], tmp_path)
    note(tried, "Vercel AI SDK", *read_columns(said))


def test_aider_edits_a_file_with_a_council(
    stage: Stage, council: Served, tmp_path: Path, tried: Tried
) -> None:
    stage.model("pen", reply="made.txt\n```\nline 0\n```\n")
    aider = str(INSTALLED / "aider" / "bin" / "aider")
    quiet = ("--no-git", "--no-check-update", "--no-analytics", "--no-show-model-warnings")
    command = [aider, "--model", "openai/desk", "--edit-format", "whole", *quiet, "--yes-always"]
    asks = ("--message", "Write the line.", "made.txt")
    variables = {"OPENAI_API_BASE": f"{council.url}/v1", "OPENAI_API_KEY": KEY}
    said = run([*command, *asks], tmp_path, **variables)
    assert "made.txt" in said
    assert (tmp_path / "made.txt").read_text() == "line 0\n"
    assert len(stage.calls_to("pen")) == 1
    version = run([aider, "--version"], tmp_path).split()[-1]
    stage.model("pen", reply="It is a cat.")
    sees = {"openai/desk": {"supports_vision": True, "mode": "chat", "max_input_tokens": 100_000}}
    (tmp_path / "sees.json").write_text(json.dumps(sees))
    (tmp_path / "cat.png").write_bytes(PICTURE)
    shows = ("--model-metadata-file", "sees.json", "--message", "What is this?", "cat.png")
    assert "It is a cat." in run([*command, *shows], tmp_path, **variables)
    check_picture(stage)
    command[2] = "openai/slow"
    interrupt(stage, [*command, *asks], tmp_path, **variables)
    note(tried, "aider", version, "chat", "stream", "images", "cancel")
