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

from mom_council.councils.yaml import written
from mom_council.server.chat_request import ChatRequest
from mom_council.server.leniency import RequestBody
from mom_council.server.mcp_guard import GuardedApp
from mom_council.server.mcp_tools import make_mcp
from mom_council.server.messages_request import CountRequest, MessagesRequest
from mom_council.server.responses_request import ResponsesRequest
from mom_council.server.state import ServerState
from mom_council.tests.graph.desk import desk, said, seat
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


def check_checkpointer(url: str, folder: Path, passed: set[str]) -> None:
    """Run the suite on the checkpointer at an address."""
    program = Path(__file__).with_name("checkpointers.py")
    said = run([str(PROGRAMS / "python"), str(program), url], folder)
    results = json.loads(said.splitlines()[-1])["results"]
    failed = {name: one["failures"] for name, one in results.items() if one["failures"]}
    assert not failed
    assert {name for name, one in results.items() if one["passed"]} == passed


@pytest.mark.parametrize("url", ["memory:", "sqlite:///threads.db"])
def test_langgraphs_suite_of_checkpointers(url: str, tmp_path: Path) -> None:
    check_checkpointer(url, tmp_path, BASE)


def test_langgraphs_suite_on_postgres(postgres: Any, tmp_path: Path) -> None:
    check_checkpointer(postgres.get_uri(), tmp_path, {*BASE, "prune"})


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


ENTRIES = {
    "llm": """
import llm
names = {one.model.model_id for one in llm.get_models_with_aliases()}
assert {"council", "council/home"} <= names, names
talk = llm.get_model("council").conversation()
talk.prompt("Which pet?", file=FILE).text()
print(talk.prompt("And then?", file=FILE, system="Be kind.").text())
""",
    "inspect_ai": """
import asyncio
from inspect_ai.model import ChatMessageUser, get_model
model = get_model(f"council/{FILE}", memoize=False)
told = [ChatMessageUser(content="Which pet?"), ChatMessageUser(content="And then?")]
answer = asyncio.run(model.generate(told))
assert answer.metadata["council"]["spoke"] == ["Ada", "Boris", "Clara"], answer.metadata
assert answer.usage.total_tokens > 0
print(answer.completion)
""",
}


@pytest.mark.parametrize("package", ENTRIES)
def test_another_program_finds_the_councils_by_their_entry_point(
    stage: Stage, tmp_path: Path, package: str
) -> None:
    seat(stage)
    file = tmp_path / "desk.yaml"
    file.write_text(written(desk(stage)), "utf-8")
    script = f"FILE = {str(file)!r}\n{ENTRIES[package]}"
    assert "What the council says." in run([str(PROGRAMS / "python"), "-c", script], tmp_path)
    sent = said(stage.calls_to("pen")[-1].body)
    assert "Which pet?" in sent
    assert "And then?" in sent


def description() -> dict[str, Any]:
    """The server's addresses and bodies in OpenAPI's form, for the council `desk`."""
    error = {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "required": ["message"]}},
    }
    answers = {
        "200": {"description": "an answer"},
        "4XX": {"description": "no", "content": {"application/json": {"schema": error}}},
    }
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for path, kind in BODIES.items():
        reference = f"#/components/schemas/{kind.__name__}_{{model}}"
        schema = kind.model_json_schema(ref_template=reference)
        for name, part in schema.pop("$defs", {}).items():
            schemas[f"{kind.__name__}_{name}"] = part
        schema["properties"]["model"] = {"const": "desk"}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths[path] = {"post": {"requestBody": body, "responses": answers}}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    for path in ("/v1/models/{name}", "/v1/responses/{name}"):
        paths[path] = {"get": {"parameters": [name], "responses": answers}}
    about = {"title": "Mixture of Models", "version": "1"}
    return {"openapi": "3.1.0", "info": about, "paths": paths, "components": {"schemas": schemas}}


BODIES: dict[str, type[RequestBody]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/messages": MessagesRequest,
    "/v1/messages/count_tokens": CountRequest,
    "/v1/responses": ResponsesRequest,
}
EXAMPLES = 60
"""For each address; a question costs about 0.1 s."""


@pytest.mark.parametrize("mode", ["positive", "all"])
@pytest.mark.parametrize("path", [*BODIES, "/v1/models/{name}", "/v1/responses/{name}"])
def test_no_body_that_schemathesis_makes_is_a_failure_of_the_server(
    stage: Stage,
    serve: Serve,  # noqa: F811
    tmp_path: Path,
    path: str,
    mode: str,
) -> None:
    seat(stage)
    served = serve(desk(stage), database="memory:")
    (tmp_path / "openapi.json").write_text(json.dumps(description()), "utf-8")
    # A 502 says that the models did not keep to a form: these here never do.
    expected = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "4xx", 502]\n'
    (tmp_path / "schemathesis.toml").write_text(expected, "utf-8")
    run(
        [
            *(str(PROGRAMS / "schemathesis"), "run", "openapi.json", "--url", served.url),
            *("--include-path", path, "--max-examples", str(EXAMPLES), "--seed", "1"),
            *("--phases", "fuzzing", "--mode", mode, "--request-timeout", "30"),
            *("--checks", "not_a_server_error,response_schema_conformance"),
        ],
        tmp_path,
    )
