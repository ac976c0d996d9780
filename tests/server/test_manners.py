"""Clients that leave, read slowly, or come in crowds: none of them disturbs another."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import Any

import httpx
import pytest

from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import Serve, Served
from mom_council.tests.stage import Reply, Stage

pytestmark = pytest.mark.slow

BODY: Any = {"model": "desk", "messages": [{"role": "user", "content": "Which?"}]}


def raw(served: Served, body: dict[str, Any]) -> socket.socket:
    """A request on a bare socket."""
    return raw_at(served.url, body)


def raw_at(url: str, body: dict[str, Any], **headers: str) -> socket.socket:
    """A request on a bare socket, to a server at `url`, with more headers."""
    text = json.dumps(body).encode()
    address = url.removeprefix("http://").removesuffix("/v1").split(":")
    sock = socket.create_connection((address[0], int(address[1])), 20)
    head = {"Host": ":".join(address), "Content-Type": "application/json"}
    head |= {"Content-Length": str(len(text))} | headers
    lines = ["POST /v1/chat/completions HTTP/1.1", *map(": ".join, head.items()), "", ""]
    sock.sendall("\r\n".join(lines).encode() + text)
    return sock


def counted(served: Served, name: str) -> float:
    """A figure of /metrics."""
    found = re.search(rf"^{name} (\S+)$", served.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def eventually(served: Served, name: str, value: float) -> None:
    """Wait for a figure of /metrics; each look is a request, so it is no busy loop."""
    for _ in range(2000):
        if counted(served, name) == value:
            return
    raise AssertionError(f"{name} is {counted(served, name)}, not {value}")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("when", ["characters", "synthesizer"])
def test_who_hangs_up_ends_the_run_and_its_calls(
    stage: Stage, serve: Serve, streamed: bool, when: str
) -> None:
    seat(stage)
    slow = "pen" if when == "synthesizer" else "clara"
    stage.model(slow, reply="word " * 400, tokens_per_second=20)
    served = serve(desk(stage))
    sock = raw(served, {**BODY, "stream": streamed})
    stage.wait_for(1, 20, started=True, model=slow)
    if streamed and when == "synthesizer":
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    sock.close()
    calls = stage.wait_for(1, 20, model=slow)
    [left] = [call for call in calls if call.model == slow]
    assert left.outcome == "client_left"
    assert left.chunks_sent < 400
    eventually(served, "mom_questions_in_progress", 0)
    assert counted(served, "mom_clients_left_total") == 1
    if when == "characters":
        assert not stage.calls_to("pen")


async def test_one_too_many_is_told_when_to_come_again(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply="one two three four five six", tokens_per_second=6)
    served = serve(desk(stage), at_once=2, waiting=1)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        posts = [
            asyncio.create_task(client.post(f"{served.url}/v1/chat/completions", json=BODY))
            for _ in range(6)
        ]
        answers = await asyncio.gather(*posts)
    status = sorted(answer.status_code for answer in answers)
    assert status == [200, 200, 200, 429, 429, 429]
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert len(stage.calls_to("pen")) == 3
    assert stage.overlap("pen") <= 2
    assert counted(served, "mom_questions_waiting") == 0


def test_who_waits_in_the_row_and_leaves_makes_room(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply="word " * 40, tokens_per_second=20)
    served = serve(desk(stage), at_once=1, waiting=1)
    first = raw(served, {**BODY, "stream": True})
    stage.wait_for(1, 20, started=True, model="pen")
    second = raw(served, BODY)
    eventually(served, "mom_questions_waiting", 1)
    assert served.post(BODY).status_code == 429
    second.close()
    eventually(served, "mom_questions_waiting", 0)
    first.close()
    eventually(served, "mom_questions_in_progress", 0)
    assert served.post({**BODY, "max_tokens": 5}).status_code == 200


def test_a_slow_reader_holds_neither_a_place_nor_anybody_up(stage: Stage, serve: Serve) -> None:
    seat(stage)
    # An answer is bounded in characters; one of four bytes fills the socket with fewer of them.
    part = "🌊" * 20_000
    stage.model("pen", reply=Reply(part * 40, chunks=[part] * 40))
    served = serve(desk(stage), at_once=1, waiting=0)
    slow = raw(served, {**BODY, "stream": True})
    stage.wait_for(1, 20, model="pen")  # the model has said it all, and nobody has read it
    eventually(served, "mom_questions_in_progress", 0)
    stage.model("pen", reply="Quick.")
    assert served.post(BODY).json()["choices"][0]["message"]["content"] == "Quick."
    with slow:
        read = b""
        while b"[DONE]" not in read[-200:]:
            read += slow.recv(1 << 20)
    assert read.count("🌊".encode()) == 800_000, "what was written for it is all there"


def test_the_figures_say_what_was_asked_and_answered(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    served.post(BODY)
    served.post({**BODY, "model": "nobody"})
    text = served.get("/metrics").text
    assert 'mom_answers_total{council="desk",degraded="false"} 1.0' in text
    assert 'mom_requests_total{route="/v1/chat/completions",status="404"} 1.0' in text
    assert 'mom_model_calls_total{council="desk"} 7.0' in text
    assert 'mom_tokens_total{council="desk",direction="output"}' in text
    assert "nobody" not in text
