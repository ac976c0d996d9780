"""Odd requests to `/mcp` and lines to `mom mcp`: no failure, no hang, no word of the inside."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from mom_council.councils.yaml import written
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY, Serve, Served, served
from mom_council.tests.server.test_mcp import COMMAND, tools_of
from mom_council.tests.stage import Stage

pytestmark = pytest.mark.slow

OTHER = f"{KEY}-of-another"
HEADERS = {"accept": "application/json, text/event-stream"}
CLIENT = {"name": "odd", "version": "1"}
BEGIN: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": CLIENT},
}
ASK = {"name": "ask", "arguments": {"question": "Which?", "council": "desk"}}
INSIDE = ("Traceback", "site-packages", "pydantic", "mom_council", 'File "')


@pytest.fixture(scope="module")
def tools() -> Iterator[Served]:
    """The tools of a council that answers."""
    with Stage() as stage:
        seat(stage)
        settings = {"database": "memory:"}
        with served((desk(stage),), f"ann={KEY},bob={OTHER}", True, settings, tools_of) as one:
            yield one


def send(tools: Served, body: Any, how: str = "POST", **headers: str) -> httpx.Response:
    """One request by hand; of a stream that stays open only the head."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {**HEADERS, "content-type": "application/json", "authorization": f"Bearer {KEY}"}
    request = tools.http.build_request(
        how, f"{tools.url}/mcp", content=content, headers={**sent, **headers}
    )
    answer = tools.http.send(request, stream=True)
    if how != "GET" or answer.status_code != 200:
        answer.read()
    answer.close()
    return answer


def begin(tools: Served, key: str = KEY) -> str:
    """The id of a new session."""
    bearer = {"authorization": f"Bearer {key}"}
    session = send(tools, BEGIN, **bearer).headers["mcp-session-id"]
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert send(tools, ready, **{"mcp-session-id": session}, **bearer).status_code == 202
    return session


def check(answer: httpx.Response) -> None:
    """It is no failure of the server's, and says nothing of its inside."""
    assert answer.status_code < 500, answer.text
    if answer.is_stream_consumed:
        assert not [word for word in INSIDE if word in answer.text], answer.text


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", -32700),
    "no JSON": (b"{'a': 1}", -32700),
    "no UTF-8": (b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}', -32700),
    "nested lists": (b"[" * 100_000, -32700),
    "nested objects": (b'{"a":' * 50_000, -32700),
    "nested so that orjson reads it": (b"[" * 1_000 + b"]" * 1_000, -32700),
    "a number of 5000 digits": (b"1" * 5_000, -32700),
    "null": (b"null", -32600),
    "a text": (b'"ping"', -32600),
    "no object": (b"{}", -32600),
    "an empty batch": (b"[]", -32600),
    "a batch": (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
    "another version": (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
    "a method that is a number": (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', -32600),
    "params that are a list": (
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}',
        -32600,
    ),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("has_session", [True, False], ids=["in a session", "without"])
def test_what_is_no_message_is_refused_in_our_words(
    tools: Served, name: str, has_session: bool
) -> None:
    body, code = BODIES[name]
    if name.startswith("nested so"):
        message = '{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": %s}}'
        body = (message % body.decode()).encode()
    headers = {"mcp-session-id": begin(tools)} if has_session else {}
    answer = send(tools, body, **headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    check(answer)


@pytest.mark.parametrize("session", ["none", "0" * 32, "x" * 5_000, "../../x"])
@pytest.mark.parametrize("how", ["POST", "GET", "DELETE"])
def test_a_session_that_does_not_exist_is_a_404_or_400(
    tools: Served, session: str, how: str
) -> None:
    answer = send(
        tools, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, how, **{"mcp-session-id": session}
    )
    assert answer.status_code in (400, 404)
    check(answer)


def test_a_session_belongs_to_the_key_that_began_it(tools: Served) -> None:
    session = begin(tools)
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ASK}
    assert send(tools, asked, **{"mcp-session-id": session}).status_code == 200
    last = {"jsonrpc": "2.0", "id": 2, "method": "resources/read"}
    last["params"] = {"uri": "council://last-verdict"}
    others = {"mcp-session-id": session, "authorization": f"Bearer {OTHER}"}
    for how in ("POST", "GET", "DELETE"):
        assert send(tools, last, how, **others).status_code == 404
    answer = send(tools, last, **{"mcp-session-id": session})
    assert "Ada" in answer.text, "it goes on for its own key"
    assert send(tools, b"", "DELETE", **{"mcp-session-id": session}).status_code == 200
    assert send(tools, last, **{"mcp-session-id": session}).status_code == 404


def test_other_sites_and_other_kinds_of_bodies_are_refused(stage: Stage, serve: Serve) -> None:
    seat(stage)
    open_to_us = serve(desk(stage), make=tools_of)
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ):
        assert send(open_to_us, BEGIN, **headers).status_code in (403, 421), headers
    for kind in ("text/plain", "multipart/form-data", "application/xml", ""):
        assert send(open_to_us, BEGIN, **{"content-type": kind}).status_code in (400, 415), kind
    assert not stage.calls


def test_a_stream_cannot_go_on_where_it_ended(tools: Served) -> None:
    session = begin(tools)
    answer = send(tools, b"", "GET", **{"mcp-session-id": session, "last-event-id": "7"})
    assert answer.status_code == 200


ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**53, 2**64, 10**400, "", "x" * 100_000, [], {}, [[]], {"a": None}),
    *("\0", "\ud800", "1e999", float("inf")),
)
ASKED: dict[str, tuple[dict[str, Any], ...]] = {
    "tools/call": (
        {**ASK, "_meta": {"progressToken": 1}},
        {"name": "explain_last_verdict", "arguments": {"thread": "nobody"}},
        {"name": "nobody"},
    ),
    "resources/read": ({"uri": "council://councils/desk"}, {"uri": "file:///etc/passwd"}),
    "prompts/get": ({"name": "review", "arguments": {"text": "x"}},),
    "completion/complete": (
        {
            "ref": {"type": "ref/prompt", "name": "review"},
            "argument": {"name": "council", "value": "d"},
        },
    ),
    "notifications/cancelled": ({"requestId": 1},),
    "initialize": (BEGIN["params"],),
    "logging/setLevel": ({"level": "debug"},),
    **{name: ({},) for name in ("ping", "tools/list", "sampling/createMessage", "nothing", "")},
}


def change(value: Any, chance: Random) -> Any:
    """A value with something odd in it, or in its place."""
    if chance.random() < 0.2:
        return chance.choice(ODD)
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if chance.random() > 0.1}
        return {name: change(one, chance) for name, one in kept.items()}
    return value


def odd_message(chance: Random) -> Any:
    """A message with something odd in it."""
    method = chance.choice([*ASKED])
    message = {**BEGIN, "id": chance.choice([1, "a", 2**60]), "method": method}
    message["params"] = copy.deepcopy(chance.choice(ASKED[method]))
    return change(message, chance)


@pytest.mark.parametrize("seed", range(4))
def test_messages_with_anything_in_them_get_an_answer(tools: Served, seed: int) -> None:
    chance, session = Random(seed), begin(tools)
    for _ in range(50):
        message = odd_message(chance)
        headers = {"mcp-session-id": session} if chance.random() < 0.8 else {}
        check(send(tools, message, **headers))
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ASK}
    answer = send(tools, asked, **{"mcp-session-id": begin(tools)})
    assert "What the council says." in answer.text, "it still answers"


class Piped:
    """`mom mcp` over its stdin and stdout, by hand."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._sent = 0
        self.answers: list[dict[str, Any]] = []

    def write(self, line: bytes) -> None:
        """One line; what is in it is no other's."""
        self._in.write(line.replace(b"\n", b" ") + b"\n")
        self._in.flush()

    def call(self, method: str, params: Any = None) -> dict[str, Any]:
        """Ask something with a new id, and read until its answer comes."""
        self._sent += 1
        name = f"ours {self._sent}"
        asked = {"jsonrpc": "2.0", "id": name, "method": method, "params": params or {}}
        self.write(json.dumps(asked).encode())
        while True:
            answer = json.loads(self._out.readline())
            if answer.get("id") == name:
                return dict(answer)
            self.answers.append(answer)

    def end(self) -> None:
        """Leave, as a client does."""
        self._in.close()


@pytest.fixture
def piped(tmp_path: Path) -> Iterator[Piped]:
    """A client of a council that answers."""
    with Stage() as stage:
        seat(stage)
        file = tmp_path / "desk.yaml"
        file.write_text(written(desk(stage)), "utf-8")
        with subprocess.Popen(
            [sys.executable, "-c", COMMAND, "mcp", "-c", str(file), "--only", "--db", "memory:"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        ) as process:
            one = Piped(process)
            try:
                one.call("initialize", BEGIN["params"])
                one.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
                yield one
                one.end()
                assert process.wait(60) == 0
            finally:
                process.kill()


def test_over_stdio_what_is_no_message_is_answered(piped: Piped) -> None:
    no_messages: dict[str, Any] = {
        "params that are a list": {"jsonrpc": "2.0", "method": "tools/call", "params": [1]},
        "another version": {"jsonrpc": "1.0", "method": "ping"},
        "a method that is a number": {"jsonrpc": "2.0", "method": 7},
        "nothing else": {},
    }
    for name, body in no_messages.items():
        piped.write(json.dumps({**body, "id": name}).encode())
    for name in (None, True, [1]):
        piped.write(json.dumps({"jsonrpc": "2.0", "method": 7, "id": name}).encode())
    # Bytes that are no text are read as marks: then it is a message, whose method nobody knows.
    bodies = [body for name, body in BODIES.items() if name not in ("nothing", "no UTF-8")]
    for raw, _ in bodies:
        piped.write(raw)
    assert "result" in piped.call("ping")
    codes = [(one["id"], one["error"]["code"]) for one in piped.answers]
    wanted = [*((name, -32600) for name in no_messages), *((None, -32600) for _ in range(3))]
    assert codes[: len(wanted)] == wanted
    assert [code for _, code in codes[len(wanted) :]] == [code for _, code in bodies]
    assert not [one for one in piped.answers if any(w in json.dumps(one) for w in INSIDE)]


def test_over_stdio_odd_lines_leave_the_tools_answering(piped: Piped) -> None:
    chance = Random(16)
    for _ in range(10):
        for _ in range(50):
            raw = bytearray(json.dumps(odd_message(chance)).encode())
            for _ in range(chance.choice([0, 0, 0, 1, 5])):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            piped.write(bytes(raw))
        assert "result" in piped.call("ping")
    answer = piped.call("tools/call", ASK)
    assert answer["result"]["structuredContent"]["answer"]
    # What the library says of wrong arguments names pydantic's page about the fault.
    inside = [word for word in INSIDE if word != "pydantic"]
    assert not [one for one in piped.answers if any(w in json.dumps(one) for w in inside)]
