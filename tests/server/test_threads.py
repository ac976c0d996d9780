"""Threads over the endpoint: kept where a client names one, each key's own, never two at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.loader import load_council
from mom_council.tests.graph.desk import desk, seat, texts, written
from mom_council.tests.server.conftest import KEY, Serve, Served
from mom_council.tests.stage import Reply, Stage
from mom_council.tracing.local import wait_for_traces
from mom_council.tracing.store import TraceStore

pytestmark = pytest.mark.slow


def ask(text: str) -> dict[str, Any]:
    return {"model": "desk", "messages": [{"role": "user", "content": text}]}


def test_nothing_is_kept_where_no_thread_is_named(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    seat(stage)
    served = serve(desk(stage))
    assert served.post(ask("Which?")).status_code == 200
    assert not list(tmp_path.rglob("*.db*"))


@pytest.mark.parametrize("by", ["header", "metadata"])
def test_a_named_thread_goes_on(stage: Stage, serve: Serve, by: str) -> None:
    seat(stage)
    served = serve(desk(stage))
    for text in ("I have a cat.", "What have I?"):
        body = ask(text) | ({"metadata": {"thread_id": "pets"}} if by == "metadata" else {})
        headers = {"X-Thread-Id": "pets"} if by == "header" else {}
        answer = served.post(body, headers=headers)
        assert answer.json()["council"]["thread"] == "pets"
    sent = stage.calls_to("ada")[-1].body
    assert texts(sent, "user")[0] == "I have a cat."
    assert texts(sent, "assistant") == ["What the council says."]


def test_a_client_that_sends_everything_again_is_not_heard_twice(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    served = serve(desk(stage))
    head = {"role": "system", "content": "Be kind."}
    messages: list[Any] = [head]
    for text in ("One?", "Two?", "Three?"):
        messages.append({"role": "user", "content": text})
        body = {"model": "desk", "messages": messages, "metadata": {"thread_id": "t"}}
        answer = served.post(body).json()["choices"][0]["message"]
        messages.append({"role": "assistant", "content": answer["content"]})
    sent = stage.calls_to("boris")[-1].body
    assert texts(sent, "assistant") == ["What the council says."] * 2
    assert texts(sent, "system")[0].count("Be kind.") == 1


def test_each_key_has_threads_of_its_own(stage: Stage, serve: Serve) -> None:
    seat(stage)
    other = KEY + "-of-another"
    served = serve(desk(stage), keys=f"ann={KEY},bob={other}")
    for key in (KEY, other):
        headers = {"X-Thread-Id": "pets", "Authorization": f"Bearer {key}"}
        answer = served.post(ask(f"I am {key[-7:]}."), headers=headers)
        assert answer.json()["council"]["thread"] == "pets"
    for call in stage.calls_to("ada")[-1:]:
        assert texts(call.body, "assistant") == []


@pytest.mark.parametrize("name", ["../pets", "/etc/passwd", "a/b", "bob/pets", "x" * 65, ".."])
def test_a_threads_name_is_a_name(closed: Served, name: str) -> None:
    answer = closed.post(ask("Which?"), headers={"X-Thread-Id": name})
    assert answer.status_code == 400
    assert "A thread's name" in answer.json()["error"]["message"]


def test_a_thread_answers_one_question_at_a_time(stage: Stage, serve: Serve) -> None:
    seat(stage)
    released = threading.Event()
    stage.model("pen", tokens_per_second=4, reply="one two three four")
    served = serve(desk(stage))
    first: list[Any] = []

    def go() -> None:
        first.append(served.post(ask("Which?"), headers={"X-Thread-Id": "busy"}))
        released.set()

    thread = threading.Thread(target=go)
    thread.start()
    stage.wait_for(1, 20, started=True, model="pen")
    second = served.post(ask("And?"), headers={"X-Thread-Id": "busy"})
    elsewhere = served.get("/health")
    thread.join()
    assert second.status_code == 409
    assert second.json()["error"]["code"] == "thread_busy"
    assert elsewhere.status_code == 200
    assert first[0].status_code == 200


def test_a_tool_that_needs_leave_is_not_carried_out_where_nobody_can_give_it(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    call = {"name": "sum", "args": {"expression": "1 + 1"}, "id": "c1"}
    stage.model("ada", reply=[Reply(None, tool_calls=[call]), "Ada has counted."])
    names = ("Ada", "Boris", "Clara")
    seats: list[dict[str, Any]] = [{"name": name, "model": name.lower()} for name in names]
    seats[0]["tools"] = ["sum"]
    council = desk(
        stage,
        characters=seats,
        tools={"sum": {"bundled": "calculator", "approve": True}},
        deliberation={"method": "none"},
    )
    served = serve(council, database="memory:")
    answer = served.post(ask("Count."), headers={"X-Thread-Id": "till"})
    assert answer.json()["choices"][0]["message"]["content"] == "What the council says."
    told = stage.calls_to("ada")[1].body["messages"][-1]
    assert told["role"] == "tool"
    assert "nobody is here to allow this call" in told["content"]


def test_a_question_in_a_thread_leaves_a_trace_without_keys(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_NAME", "zebra-crossing-4711")
    seat(stage)
    made = written(stage)
    for spec in made["models"].values():
        spec["api_key_env"] = "ODD_NAME"
    served = serve(load_council(made))
    asked = ask("Is zebra-crossing-4711 a key?")
    answer = served.post(asked, headers={"x-thread-id": "keys"})
    assert answer.status_code == 200
    wait_for_traces()
    [summary] = TraceStore().summaries()
    assert (summary.thread, summary.council) == ("keys", "desk")
    view = TraceStore().load(summary.id)
    assert view is not None
    assert "What the council says." in view.model_dump_json()
    assert "zebra-crossing" not in view.model_dump_json()


def test_a_person_of_the_council_is_absent_over_http(stage: Stage, serve: Serve) -> None:
    seat(stage)
    made = written(stage)
    made["models"]["clara"] = {"provider": "human", "model": "Ms K.", "timeout": 60}
    answer = serve(load_council(made)).post(ask("Which?"), headers={"x-thread-id": "pets"})
    report = answer.json()["council"]
    assert report["spoke"] == ["Ada", "Boris"]
    assert "Clara" in {one["character"] for one in report["absent"]}


def test_a_thread_whose_values_are_damaged_is_an_error_in_one_line_and_others_go_on(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    import sqlite3
    from contextlib import closing

    seat(stage)
    file = tmp_path / "kept.db"
    served = serve(desk(stage), database=str(file))
    for thread in ("hurt", "sound"):
        assert served.post(ask("Which?"), headers={"X-Thread-Id": thread}).status_code == 200
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(
            "UPDATE checkpoints SET checkpoint = substr(checkpoint, 1, 20) WHERE thread_id = 'hurt'"
        )
    answer = served.post(ask("And?"), headers={"X-Thread-Id": "hurt"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (500, "storage_failed")
    assert "thread 'hurt'" in error["message"]
    assert "mom storage check" in error["message"]
    assert "\n" not in error["message"]
    assert served.post(ask("And?"), headers={"X-Thread-Id": "sound"}).status_code == 200
