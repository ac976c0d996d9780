"""How the question is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from mom_council.deliberation.events import Read
from mom_council.graph.council import compile_council
from mom_council.models.ledger import Ledger, Outcome
from mom_council.nodes.annotator import read_annotation
from mom_council.tests.graph.desk import ask, desk, said, seat, texts, told, voice, voting
from mom_council.tests.stage import Fault, Stage


def _council(stage: Stage, **changes: Any) -> Any:
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen", "reader")}
    return desk(stage, models=models, annotator={"model": "reader"}, **changes)


async def test_it_reads_the_question_in_the_light_of_the_conversation(stage: Stage) -> None:
    seat(stage)
    stage.model("reader", reply='{"restated": "When was the tower built?", "kind": "closed"}')
    past = [HumanMessage("Which tower?"), AIMessage("The white one."), HumanMessage("When?")]
    await compile_council(_council(stage)).ainvoke({"messages": past})
    body = stage.calls_to("reader")[0].body
    assert texts(body, "assistant") == ["The white one."]
    assert "When?" in texts(body, "user")[-1]
    assert "When was the tower built?" in said(stage.calls_to("pen")[0].body)


async def test_an_open_question_is_voted_on_though_all_say_the_same(stage: Stage) -> None:
    seat(stage, {"Ada": "It is 42.", "Boris": "The answer is 42.", "Clara": "42"})
    stage.model("reader", reply='{"restated": "Why?", "kind": "open"}')
    await ask(_council(stage))
    assert len(voting(stage.calls)) == 3


@pytest.mark.parametrize("fault", [Fault.status(500), Fault.reset()])
async def test_without_it_the_question_stands_and_a_note_says_so(
    stage: Stage, fault: Fault
) -> None:
    seat(stage)
    stage.model("reader", always=fault)
    status = (await ask(_council(stage), "Why?"))["status"]
    assert "The annotator did not answer" in status.notes[0]
    assert texts(stage.calls_to("ada")[0].body, "user") == ["Why?"]
    assert status.usage.calls == len(stage.calls)


async def test_one_that_hangs_leaves_the_council_half_of_the_questions_time(stage: Stage) -> None:
    seat(stage)
    stage.model("reader", always=Fault.hang())
    result = await ask(_council(stage, budget={"seconds": 6}), "Why?")
    assert result["messages"][-1].text == "What the council says."
    assert "half of the question's time" in result["status"].notes[0]
    assert stage.calls_to("reader")[0].outcome == "client_left"


async def test_what_it_read_is_told(stage: Stage) -> None:
    seat(stage)
    stage.model("reader", reply='{"restated": "Why?", "kind": "open"}')
    (read,) = [event for event in await told(_council(stage)) if isinstance(event, Read)]
    assert (read.annotation.restated, read.annotation.kind) == ("Why?", "open")


@pytest.mark.parametrize(
    ("reply", "restated", "kind"),
    [
        ('{"restated": " Why? ", "kind": "open"}', "Why?", "open"),
        ('Here: {"restated": "Why?", "kind": "closed"}.', "Why?", "closed"),
        ('{"restated": 7, "kind": "both"}', "", "unknown"),
        ('{"kind": ["open"]}', "", "unknown"),
        ("Why?", "", "unknown"),
        ("{", "", "unknown"),
        ('{"depth": ["solo"]}', "", "unknown"),
        ('{"depth": "Solo!"}', "", "unknown"),
        ('{"a":' * 100_000 + "}" * 100_000, "", "unknown"),
    ],
)
def test_what_cannot_be_read_is_left_open(reply: str, restated: str, kind: str) -> None:
    read = read_annotation(reply)
    assert (read.restated, read.kind, read.depth) == (restated, kind, "full")


async def test_where_weights_are_learned_it_says_which_kind_of_question_it_is(stage: Stage):
    seat(stage, {"Ada": "Answer: 7", "Boris": "Answer: 7", "Clara": "Answer: 42"})
    record = [Outcome("openai/clara", "sums", True)] * 60
    record += [Outcome(f"openai/{name}", "sums", False) for name in ("ada", "boris")] * 60
    record += [Outcome("openai/clara", "law", False)] * 60
    record += [Outcome(f"openai/{name}", "law", True) for name in ("ada", "boris")] * 60
    Ledger().learn(record)
    rules = {"method": "answers", "weights": "learned"}
    council = desk(stage, annotator={"model": "pen"}, deliberation=rules)
    for topic, wins in (("sums", "42"), ("law", "7"), ("nonsense", "7")):
        told = json.dumps({"restated": "", "kind": "closed", "topic": topic})
        stage.model("pen", reply=lambda body, told=told: told if "restated" in str(body) else "x")
        status = (await ask(council, "What is 17 + 25?"))["status"]
        assert status.verdict.options[0].answer == wins, topic
    asked = said(stage.calls_to("pen")[0].body)
    assert "in one of these words: law, sums, other." in asked
