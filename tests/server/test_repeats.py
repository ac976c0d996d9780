"""The same request with the same Idempotency-Key goes on, and is not paid for a second time."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from mom_council.councils.yaml import written
from mom_council.server.limits import read_limits
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY, Serve, Served
from mom_council.tests.server.test_manners import eventually, raw_at
from mom_council.tests.server.test_several import process
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

BODY = {"model": "desk", "messages": [{"role": "user", "content": "Which?"}]}
RESPONSE = {"model": "desk", "input": "Which?"}
FIRST = {"Idempotency-Key": "order-1"}
SLOW: dict[str, Any] = {"reply": "word " * 60, "tokens_per_second": 20}


def text_of(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def heard(answer: httpx.Response, *, streamed: bool) -> str:
    return streamed_text(answer.text) if streamed else text_of(answer)


def streamed_text(body: str) -> str:
    frames = [line[6:] for line in body.splitlines() if line.startswith("data: {")]
    choices = [choice for frame in frames for choice in json.loads(frame)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("seed", range(6))
def test_keys_under_a_days_limit_overshoot_nothing_and_the_ledger_counts_what_was_sent(
    stage: Stage, serve: Serve, tmp_path: Path, seed: int
) -> None:
    dice, most = random.Random(seed), random.Random(seed).randint(1, 40)
    seat(stage)
    faults = [Fault.status(500, retry_after=0), Fault.status(429, retry_after=0), None]
    for script in stage.scripts.values():
        script.latency = dice.uniform(0, 0.05)
        script.faults = [dice.choice(faults) for _ in range(dice.randint(0, 4))]
    place = str(tmp_path / "t.db")
    limits = read_limits([f"server:calls={most}", "each:questions=8"])
    served = serve(desk(stage), limits=limits, database=place)
    tries = []
    for _ in range(12):
        asked = f"Which of {dice.randint(0, 1)}?"
        body = {**BODY, "messages": [{"role": "user", "content": asked}]}
        tries.append((f"key-{dice.randint(0, 2)}", body))

    def put(key: str, body: dict[str, Any]) -> httpx.Response:
        return served.post(body, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(put, *zip(*tries, strict=True)))
    assert {answer.status_code for answer in answers} <= {200, 422, 429, 502, 503}
    given: dict[str, set[str]] = {}
    for (key, _), answer in zip(tries, answers, strict=True):
        if answer.status_code == 200:
            given.setdefault(key, set()).add(answer.json()["id"])
    assert all(len(ids) == 1 for ids in given.values()), "one key, one answer"
    with sqlite3.connect(place) as db:
        told = db.execute("SELECT calls FROM mom_spending WHERE account = 'server'").fetchall()
    assert sum(calls for (calls,) in told) == len(stage.calls) <= most


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("thread", [None, "pets"])
def test_a_repeat_gets_the_stored_answer(
    stage: Stage, serve: Serve, path: str, thread: str | None
) -> None:
    seat(stage)
    served = serve(desk(stage))
    body = RESPONSE if "responses" in path else BODY
    headers = FIRST | ({"X-Thread-Id": thread} if thread else {})
    first = served.post(body, path, headers=headers)
    paid = len(stage.calls)
    second = served.post(body, path, headers=headers)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert len(stage.calls) == paid
    assert first.json()["council"]["thread"] == thread
    other = served.post(body, path, headers=headers | {"Idempotency-Key": "order-2"})
    assert other.json()["id"] != first.json()["id"]
    assert len(stage.calls) > paid


def test_without_a_key_each_request_is_a_new_one(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    ids = {served.post(BODY).json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert len(stage.calls_to("pen")) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": "Which other?"}]},
        {"temperature": 0.1},
        {"stream": True},
        {"metadata": {"thread_id": "pets"}},
    ],
)
def test_another_body_under_the_same_key_is_refused_in_one_line(
    stage: Stage, serve: Serve, change: dict[str, Any]
) -> None:
    seat(stage)
    served = serve(desk(stage))
    assert served.post(BODY, headers=FIRST).status_code == 200
    paid = len(stage.calls)
    refused = served.post(BODY | change, headers=FIRST)
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["code"] == "idempotency_key_reused"
    assert "\n" not in error["message"]
    elsewhere = served.post(BODY, headers=FIRST | {"X-Thread-Id": "pets"})
    assert elsewhere.status_code == 422
    assert len(stage.calls) == paid


def test_the_order_of_fields_makes_no_other_body(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    first = served.post(BODY, headers=FIRST)
    assert served.post(dict(reversed(BODY.items())), headers=FIRST).content == first.content


def test_a_key_is_its_api_keys_own(stage: Stage, serve: Serve) -> None:
    seat(stage)
    other = f"{KEY}-of-another"
    served = serve(desk(stage), keys=f"ann={KEY},bob={other}")
    answers = [
        served.post(BODY, headers=FIRST | {"Authorization": f"Bearer {key}"})
        for key in (KEY, other)
    ]
    assert answers[0].json()["id"] != answers[1].json()["id"]
    assert len(stage.calls_to("pen")) == 2


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e4"])
def test_a_key_that_is_none_is_refused(closed: Served, key: str) -> None:
    answer = closed.post(BODY, headers={"Idempotency-Key": key.encode("latin-1")})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "idempotency-key"


async def test_requests_at_the_same_time_share_one_run(stage: Stage, serve: Serve) -> None:
    seat(stage, latency=0.2)
    stage.model("pen", reply="one two three four five six", tokens_per_second=20)
    served = serve(desk(stage), at_once=1, waiting=0)
    url = f"{served.url}/v1/chat/completions"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        sent = [client.post(url, json=BODY, headers=FIRST) for _ in range(4)]
        answers = await asyncio.gather(*sent)
    assert len({answer.content for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len(stage.calls_to("pen")) == 1
    assert len(stage.calls_to("ada")) == 2, "one proposal and one ballot"


async def test_streams_at_the_same_time_and_later_read_the_same(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply="one two three four five six", tokens_per_second=10)
    served = serve(desk(stage))
    url = f"{served.url}/v1/chat/completions"
    body = BODY | {"stream": True, "stream_options": {"include_usage": True}}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        sent = [client.post(url, json=body, headers=FIRST) for _ in range(3)]
        answers = [*await asyncio.gather(*sent), await client.post(url, json=body, headers=FIRST)]
    assert {streamed_text(answer.text) for answer in answers} == {"one two three four five six"}
    ids = {json.loads(answer.text.split("data: ", 2)[1])["id"] for answer in answers}
    assert len(ids) == 1
    assert all(answer.text.rstrip().endswith("data: [DONE]") for answer in answers)
    assert len(stage.calls_to("pen")) == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("patience", [0.0, 600.0])
def test_who_leaves_and_comes_again_pays_nothing_twice(
    stage: Stage, serve: Serve, streamed: bool, patience: float
) -> None:
    seat(stage)
    stage.model("pen", **SLOW)
    served = serve(desk(stage), patience=patience)
    body = BODY | {"stream": streamed}
    sock = raw_at(served.url, body, **FIRST)
    stage.wait_for(1, 20, started=True, model="pen")
    sock.close()
    if patience:  # the run goes on, and the second one joins it
        stage.model("pen", reply="Another run.")
        answer = served.post(body, headers=FIRST, timeout=60)
        assert len(stage.calls_to("pen")) == 1
        assert heard(answer, streamed=streamed).split() == ["word"] * 60
    else:
        eventually(served, "mom_questions_in_progress", 0)
        stage.model("pen", reply="Gone on with.")
        answer = served.post(body, headers=FIRST, timeout=60)
        assert heard(answer, streamed=streamed) == "Gone on with."
        assert len(stage.calls_to("pen")) == 2
    for name in ("ada", "boris", "clara"):
        assert len(stage.calls_to(name)) == 2, f"{name} proposed once and voted once"


def test_a_request_that_failed_is_tried_again(stage: Stage, serve: Serve) -> None:
    seat(stage)
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.status(500))
    served = serve(desk(stage))
    assert served.post(BODY, headers=FIRST).status_code == 503
    seat(stage)
    answers = [served.post(BODY, headers=FIRST) for _ in range(2)]
    assert [text_of(answer) for answer in answers] == ["What the council says."] * 2
    assert len(stage.calls_to("ada")) == 3, "one call that failed, a proposal and a ballot"


def test_choices_are_repeated_each(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    first = served.post(BODY | {"n": 2}, headers=FIRST)
    paid = len(stage.calls)
    second = served.post(BODY | {"n": 2}, headers=FIRST)
    assert second.json() == first.json()
    assert len(first.json()["choices"]) == 2
    assert len(stage.calls) == paid


def test_a_call_of_the_clients_tool_is_repeated(stage: Stage, serve: Serve) -> None:
    seat(stage)
    call = {"name": "look", "args": {"where": "attic"}, "id": "c1"}
    stage.model("pen", reply=Reply(None, tool_calls=[call]))
    served = serve(desk(stage))
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    answers = [served.post(BODY | {"tools": [tool]}, headers=FIRST) for _ in range(2)]
    assert answers[0].json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "look"
    assert answers[1].content == answers[0].content


def test_stops_hold_in_the_stored_answer(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply="one two three")
    served = serve(desk(stage))
    answers = [served.post(BODY | {"stop": "three"}, headers=FIRST) for _ in range(2)]
    assert [text_of(answer) for answer in answers] == ["one two "] * 2


def test_a_thread_goes_on_and_the_old_request_is_still_answered(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    thread = {"X-Thread-Id": "pets"}
    first = served.post(BODY, headers=thread | FIRST)
    later = {"model": "desk", "messages": [{"role": "user", "content": "And now?"}]}
    assert served.post(later, headers=thread).status_code == 200
    paid = len(stage.calls)
    assert served.post(BODY, headers=thread | FIRST).content == first.content
    assert len(stage.calls) == paid


def test_the_official_client_repeats_a_request(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    client: OpenAI = served.openai
    ask: Any = client.chat.completions.create
    answers = [ask(**BODY, extra_headers=FIRST) for _ in range(2)]
    assert answers[0].id == answers[1].id
    assert len(stage.calls_to("pen")) == 1


def ask_at(url: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    keys = {"Authorization": f"Bearer {KEY}", **FIRST, **headers}
    return httpx.post(
        f"{url}/chat/completions", json=body, headers=keys, timeout=90, trust_env=False
    )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("thread", [None, "pets"])
def test_after_a_kill_the_next_server_goes_on(
    stage: Stage, tmp_path: Path, streamed: bool, thread: str | None
) -> None:
    seat(stage)
    stage.model("pen", **SLOW)
    council = tmp_path / "desk.yaml"
    council.write_text(written(desk(stage)), "utf-8")
    place = ("-c", str(council), "--only", "--db", str(tmp_path / "threads.db"))
    body = BODY | {"stream": streamed}
    headers = {"X-Thread-Id": thread} if thread else {}
    with process(*place, MOM_SERVER_KEYS=f"ann={KEY}") as (url, server):
        sock = raw_at(url, body, Authorization=f"Bearer {KEY}", **FIRST, **headers)
        stage.wait_for(1, 30, started=True, model="pen")
        server.kill()
        sock.close()
    stage.model("pen", reply="Gone on with.")
    with process(*place, MOM_SERVER_KEYS=f"ann={KEY}") as (url, _):
        answers = [ask_at(url, body, **headers) for _ in range(2)]
    for answer in answers:
        assert heard(answer, streamed=streamed) == "Gone on with."
    assert len(stage.calls_to("pen")) == 2
    for name in ("ada", "boris", "clara"):
        assert len(stage.calls_to(name)) == 2, f"{name} proposed once and voted once"


def test_two_servers_share_one_run(stage: Stage, tmp_path: Path, postgres: Any) -> None:
    seat(stage)
    stage.model("pen", reply="word " * 20, tokens_per_second=10)
    name = f"test_{uuid.uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name};")
    council = tmp_path / "desk.yaml"
    council.write_text(written(desk(stage)), "utf-8")
    place = ("-c", str(council), "--only", "--db", postgres.get_uri(name))
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(process(*place, MOM_SERVER_KEYS=f"ann={KEY}"))[0] for _ in "ab"
        )
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(ask_at, one, BODY)
            stage.wait_for(1, 30, started=True, model="pen")
            second = threads.submit(ask_at, two, BODY)
            answers = [first.result(), second.result()]
        assert [answer.status_code for answer in answers] == [200, 200], answers[1].text
        assert text_of(answers[0]).split() == text_of(answers[1]).split() == ["word"] * 20
        assert answers[0].json()["id"] == answers[1].json()["id"]
        assert ask_at(two, BODY | {"seed": 3}).status_code == 422
    assert len(stage.calls_to("pen")) == 1
