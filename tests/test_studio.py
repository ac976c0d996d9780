"""LangGraph Studio's server, run as `langgraph dev` runs it, and asked over HTTP.

The page itself is hosted by its vendor and is not tried here; all that it asks the server for is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command

from mom_council.councils.loader import preset_names
from mom_council.councils.yaml import as_yaml, written
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import read_event
from mom_council.tests.cli.conftest import trust_file
from mom_council.tests.dev_server import ASKED, ROOT, Studio, run_studio
from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One server for this module."""
    with run_studio(tmp_path_factory) as running:
        yield running


def test_the_first_question_of_a_fresh_server_may_come_by_the_endpoint(studio: Studio) -> None:
    body = {"model": "demo", "messages": ASKED["messages"]}
    answer = httpx.post(f"{studio.url}/v1/chat/completions", json=body, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text


def test_an_assistant_shows_the_settings_as_a_form(studio: Studio) -> None:
    schemas = studio.client.assistants.get_schemas(studio.assistant())
    fields = (schemas["context_schema"] or {})["properties"]
    assert set(fields) == set(CouncilContext.model_fields) - {"resumed_at", "form"}
    assert {"council", "max_rounds", "threshold", "quorum", "method", "max_usd"} <= set(fields)
    assert all(field["description"] for field in fields.values())
    assert fields["method"]["anyOf"][0]["enum"][:2] == ["plurality", "approval"]
    assert set(fields["council"]["anyOf"][0]["enum"]) == set(preset_names())
    drawn = {node["id"] for node in studio.client.assistants.get_graph(studio.assistant())["nodes"]}
    assert all(field["langgraph_nodes"] for field in fields.values())
    assert {name for field in fields.values() for name in field["langgraph_nodes"]} <= drawn
    assert fields["threshold"]["langgraph_nodes"] == ["consensus"]


def test_its_input_is_a_conversation_and_its_output_the_answer_and_its_status(
    studio: Studio,
) -> None:
    schemas = studio.client.assistants.get_schemas(studio.assistant())
    assert [*(schemas["input_schema"] or {})["properties"]] == ["messages"]
    assert [*(schemas["output_schema"] or {})["properties"]] == ["messages", "status"]
    assert {"proposals", "ballots", "verdicts"} <= set(
        (schemas["state_schema"] or {})["properties"]
    )


def test_the_picture_names_every_character(studio: Studio) -> None:
    drawn = studio.client.assistants.get_graph(studio.assistant())
    names = {node["id"] for node in drawn["nodes"]}
    assert {"Ada", "Boris", "Clara", "quorum", "consensus", "synthesizer"} <= names
    deep = studio.client.assistants.get_graph(studio.assistant(), xray=True)
    assert names <= {node["id"] for node in deep["nodes"]}


def test_a_thread_is_created_and_a_run_in_it_is_streamed(studio: Studio) -> None:
    thread = studio.client.threads.create()["thread_id"]
    parts: dict[str, list[Any]] = {}
    for part in studio.client.runs.stream(
        thread,
        studio.assistant(),
        input=ASKED,
        context={"max_rounds": 1},
        stream_mode=["values", "custom", "messages-tuple"],
    ):
        parts.setdefault(part.event, []).append(part.data)
    assert "error" not in parts
    answer = parts["values"][-1]
    assert answer["messages"][-1]["type"] == "ai"
    assert answer["messages"][-1]["content"]
    assert answer["status"]["spoke"] == ["Ada", "Boris", "Clara"]
    assert answer["status"]["rounds"] == 1
    events = [read_event(written) for written in parts["custom"]]
    assert [event.kind for event in events if event][:: len(events) - 1] == ["routed", "answered"]
    spoke = {metadata["langgraph_node"] for _, metadata in parts["messages"]}
    assert spoke == {"synthesizer"}


def test_a_thread_is_kept_and_goes_on(studio: Studio) -> None:
    thread = studio.client.threads.create()["thread_id"]
    for _ in range(2):
        studio.client.runs.wait(thread, studio.assistant(), input=ASKED)
    state = studio.client.threads.get_state(thread)
    values: Any = state["values"]
    assert [message["type"] for message in values["messages"]] == ["human", "ai"] * 2
    assert state["next"] == []


def test_an_assistant_chooses_its_council(studio: Studio, stage: Stage, tmp_path: Path) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, reply="It is 42.\nAnswer: 42")
    stage.model("pen", reply="Together: 42.")
    file = tmp_path / "desk.yaml"
    file.write_text(written(desk(stage)), "utf-8")
    chosen = studio.assistant(council=str(file))
    assert studio.ask(chosen)["messages"][-1]["content"] == "Together: 42."
    assert "What is 17 + 25?" in said(stage.calls_to("ada")[0].body)
    older = studio.client.assistants.create(
        "council", config={"configurable": {"council": str(file)}}
    )
    assert studio.ask(older["assistant_id"])["status"]["council"] == "desk"
    assert studio.ask(studio.assistant())["status"]["council"] == "demo"


def test_a_single_run_chooses_too(studio: Studio, stage: Stage, tmp_path: Path) -> None:
    stage.model("ada", reply="It is 42.")
    stage.model("pen", reply="Alone: 42.")
    file = tmp_path / "alone.yaml"
    file.write_text(written(desk(stage, ["Ada"])), "utf-8")
    answer = studio.ask(studio.assistant(), context={"council": str(file)})
    assert answer["status"]["spoke"] == ["Ada"]
    assert answer["messages"][-1]["content"] == "Alone: 42."


def test_a_threads_question_stays_with_the_council_it_was_put_to(
    studio: Studio, stage: Stage, tmp_path: Path
) -> None:
    seat(stage, {"Ada": "A cat.", "Boris": "A dog.", "Clara": "A bird."}, likes="cat")
    stage.model("pen", reply="A cat, they say.")
    stage.scripts["clara"].faults = [Fault.status(400)]
    file = tmp_path / "trio.yaml"
    council = desk(stage, ["Ada", "Boris", "Clara"], deliberation={"minimum": 3})
    file.write_text(written(council), "utf-8")
    client, plain = studio.client, studio.assistant()  # the assistant's council is the demo
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, plain, input=ASKED, context={"council": str(file)})
    state = client.threads.get_state(thread)
    assert state["next"] == ["quorum"]
    [pause] = [one for task in state["tasks"] for one in task["interrupts"]]
    assert pause["value"]["action_requests"][0]["name"] == "ask_again"
    places = [one["next"] for one in client.threads.get_history(thread, limit=50)]
    assert sorted(places[1]) == ["Ada", "Boris", "Clara"]
    # Chat clients resume without any context.
    stage.clear()
    result: Any = client.runs.wait(
        thread, plain, command={"resume": {"decisions": [{"type": "approve"}]}}
    )
    assert result["messages"][-1]["content"] == "A cat, they say."
    assert result["status"]["council"] == "desk"
    assert len(stage.calls_to("clara")) == 2  # asked again, and its ballot
    assert len(stage.calls_to("ada")) == 1  # its ballot alone
    assert client.threads.get_state(thread)["next"] == []
    # A fork with an edit goes on as that council too.
    [counted] = [
        one for one in client.threads.get_history(thread, limit=50) if one["next"] == ["consensus"]
    ]
    ballot = {**counted["values"]["ballots"][0], "choice": "Clara"}
    fork = client.threads.update_state(
        thread, {"ballots": [ballot]}, checkpoint=counted["checkpoint"]
    )
    stage.clear()
    again: Any = client.runs.wait(thread, plain, input=None, checkpoint=fork["checkpoint"])
    assert again["status"]["council"] == "desk"
    assert {call.model for call in stage.calls} <= {"pen"}
    with pytest.raises(Exception, match="no character 'Kim'"):
        client.threads.update_state(
            thread, {"ballots": [{**ballot, "choice": "Kim"}]}, checkpoint=counted["checkpoint"]
        )
    # Another question in that thread is the assistant's council's again.
    third: Any = client.runs.wait(thread, plain, input=ASKED)
    assert third["status"]["council"] == "demo"


def test_a_chat_client_answers_two_who_ask_for_leave_one_after_the_other(
    studio: Studio, stage: Stage, tmp_path: Path
) -> None:
    for name in ("ada", "boris"):
        asks = Reply(None, tool_calls=[{"name": "calculator", "args": {"expression": "6*7"}}])
        stage.model(name, reply=[asks, f"So says {name}."])
    stage.model("pen", reply="Together: 42.")
    made = desk(
        stage, ["Ada", "Boris"], tools={"calculator": {"bundled": "calculator", "approve": True}}
    )
    made = made.model_copy(
        update={
            "characters": tuple(
                one.model_copy(update={"tools": ("calculator",)}) for one in made.characters
            )
        }
    )
    file = tmp_path / "armed.yaml"
    file.write_text(written(made), "utf-8")
    client, chosen = studio.client, studio.assistant(council=str(file))
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, chosen, input=ASKED)
    for _ in range(2):
        tasks = client.threads.get_state(thread)["tasks"]
        [wanted] = [one for task in tasks for one in task["interrupts"]]
        assert wanted["value"]["action_requests"][0]["args"] == {"expression": "6*7"}
        result: Any = client.runs.wait(
            thread, chosen, command={"resume": {"decisions": [{"type": "approve"}]}}
        )
    assert result["status"]["spoke"] == ["Ada", "Boris"]
    assert [len(stage.calls_to(name)) for name in ("ada", "boris", "pen")] == [2, 2, 1]


def test_a_question_whose_council_is_gone_is_refused_with_a_cure(
    studio: Studio, stage: Stage, tmp_path: Path
) -> None:
    stage.model("ada", reply="It is 42.")
    stage.scripts["ada"].faults = [Fault.status(400)]
    stage.model("pen", reply="Alone: 42.")
    file = tmp_path / "gone.yaml"
    file.write_text(written(desk(stage, ["Ada"])), "utf-8")
    client, plain = studio.client, studio.assistant()
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, plain, input=ASKED, context={"council": str(file)})
    file.unlink()
    refused: Any = client.runs.wait(
        thread, plain, command={"resume": "ask_again"}, raise_error=False
    )
    assert refused["__error__"]["error"] == "CouncilGoneError"
    assert "ask anew with an assistant of another one" in refused["__error__"]["message"]
    assert client.threads.get_state(thread)["values"]["messages"]


@pytest.mark.parametrize("key", ["max_roundz", "nonsense"])
def test_an_unknown_setting_is_refused_as_in_python(studio: Studio, key: str) -> None:
    refused = studio.ask(studio.assistant(), context={key: 1}, raise_error=False)
    assert refused["__error__"]["error"] == "RunSettingsError"
    assert f"unknown key '{key}' in context" in refused["__error__"]["message"]
    if key == "max_roundz":
        assert "did you mean 'max_rounds'?" in refused["__error__"]["message"]
    assistant = studio.assistant(**{key: 1})
    refused = studio.ask(assistant, raise_error=False)
    assert refused["__error__"]["error"] == "RunSettingsError"


def test_the_servers_council_is_a_node_of_a_graph_elsewhere(studio: Studio) -> None:
    env = {**os.environ, "COUNCIL_URL": studio.url}
    ran = subprocess.run(
        [sys.executable, ROOT / "examples" / "remote.py"], env=env, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^Answer: .+$", ran.stdout, re.MULTILINE)
    assert re.search(r"^Again: .+$", ran.stdout, re.MULTILINE)


def test_a_synchronous_caller_asks_the_server_and_a_person_there_is_waited_for(
    studio: Studio, stage: Stage, tmp_path: Path
) -> None:
    for name in ("ada", "pen"):
        stage.model(name, reply=f"So says {name}.")
    made = desk(stage, ["Ada", "Boris"]).model_dump(mode="json", exclude_defaults=True)
    made["models"]["boris"] = {"provider": "human", "model": "Ms K."}
    file = tmp_path / "mixed.yaml"
    file.write_text(as_yaml(made), "utf-8")
    chosen = studio.assistant(council=str(file), people=True)
    remote = RemoteGraph(chosen, sync_client=studio.client)
    thread: Any = {"configurable": {"thread_id": studio.client.threads.create()["thread_id"]}}
    remote.invoke(ASKED, thread)
    [wanted] = [one for task in remote.get_state(thread).tasks for one in task.interrupts]
    assert wanted.value["name"] == "Ms K."
    result = remote.invoke(Command(resume={wanted.id: "So says a person."}), thread)
    assert result["status"]["spoke"] == ["Ada", "Boris"]
    assert "So says a person." in said(stage.calls_to("pen")[0].body)
    assert len(stage.calls_to("ada")) == 1


def test_a_council_that_does_not_exist_is_refused_with_a_near_miss(studio: Studio) -> None:
    answer = studio.ask(studio.assistant(council="dmeo"), raise_error=False)
    assert answer["__error__"]["error"] == "UnknownNameError"
    # The server hides the messages of errors that are not Python's own; its log has them.
    assert "did you mean 'demo'" in studio.log.read_text("utf-8")


def test_a_council_written_into_the_request_is_refused(studio: Studio, stage: Stage) -> None:
    council = desk(stage).model_dump(mode="json", exclude_defaults=True)
    answer = studio.ask(studio.assistant(council=council), raise_error=False)
    assert answer["__error__"]["error"] == "CouncilError"
    assert not stage.calls


def test_the_endpoint_is_part_of_it(studio: Studio) -> None:
    with httpx.Client(base_url=studio.url, trust_env=False, timeout=60) as client:
        names = [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert names[0] == "demo"
        body = {"model": "demo:borda", "messages": ASKED["messages"]}
        for streamed in (False, True):
            answer = client.post("/v1/chat/completions", json={**body, "stream": streamed})
            assert answer.status_code == 200
            assert '"spoke":["Ada","Boris","Clara"]' in answer.text
        response = client.post("/v1/responses", json={"model": "demo", "input": "What is 2 + 2?"})
        [message] = [one for one in response.json()["output"] if one["type"] == "message"]
        assert message["content"][0]["text"]
        kept = client.post("/v1/chat/completions", json=body, headers={"X-Thread-Id": "t"})
        assert kept.json()["error"]["code"] == "unsupported_parameter"
        assert client.post("/v1/chat/completions", json={}).status_code == 400
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/ok").json()["ok"], "its own addresses are still there"


def test_the_bundled_extensions_work_there(
    studio: Studio, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ada", "pen"):
        stage.model(name, reply=f"So says {name}.")
    ours = studio.log.parent / ".local" / "share" / "mixture-of-models"
    (ours / "documents" / "documents").mkdir(parents=True)
    (ours / "documents" / "documents" / "sums.md").write_text("Old sums: 17 and 25 make 42.")
    names = ("deep_thinking", "summary", "retrieval", "facts", "transcript")
    council = desk(stage, ["Ada"], extensions=[{"use": name} for name in names])
    file = tmp_path / "extended.yaml"
    file.write_text(written(council), "utf-8")
    monkeypatch.setenv("MOM_DATA_DIR", str(ours))
    trust_file(file)
    status = studio.ask(studio.assistant(council=str(file)))["status"]
    assert "Quoted from the documents in 'documents': sums.md, line 1." in status["notes"]
    assert not status["degraded"]
    assert "Worked out: 17 + 25 = 42" in said(stage.calls_to("ada")[0].body)
    [kept] = (ours / "transcripts").iterdir()
    assert "So says pen." in kept.read_text("utf-8")


def test_nothing_blocks_the_servers_loop(studio: Studio) -> None:
    studio.ask(studio.assistant())
    text = re.sub(r"\x1b\[[0-9;]*m", "", studio.log.read_text("utf-8"))
    assert "Application started up" in text
    assert "BlockingError" not in text
    assert "blocking call" not in text.lower()
    assert "slow graph load" not in text.lower()


def test_its_threads_lie_where_git_ignores_them(studio: Studio) -> None:
    assert (studio.folder / ".langgraph_api").is_dir()
    assert "/.langgraph_api/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
