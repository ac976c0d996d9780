"""The equality check through the whole graph: who is asked, what, how often, what it changes."""

from __future__ import annotations

import json
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from mom_council.councils.loader import load_council
from mom_council.graph.council import build_graph, compile_council
from mom_council.tests.graph.desk import ask, desk, question, seat, unfenced, voice, voting, written
from mom_council.tests.stage import Fault, Stage

ANSWERS = {
    "Ada": "Answer: Dr. Marie Curie",
    "Boris": "Answer: Marie Curie",
    "Clara": "Answer: Bohr",
}
ON: dict[str, Any] = {"method": "answers", "ask_doubtful": True}


def council(stage: Stage, same: bool | str = True, **changes: Any) -> Any:
    """A council whose annotator's model judges."""
    rules = {**ON, **changes.pop("deliberation", {})}
    made = written(stage, deliberation=rules, annotator={"model": "reader"}, **changes)
    made["models"]["reader"] = voice(stage, "reader")

    def reads(body: dict[str, Any]) -> str:
        if not judges(body):
            return json.dumps({"restated": "Who was it?", "kind": "closed"})
        return same if isinstance(same, str) else json.dumps({"same": [same]})

    stage.model("reader", reply=reads)
    return load_council(made)


def judges(body: dict[str, Any]) -> bool:
    return "<pair number=" in body["messages"][-1]["content"]


def judged(stage: Stage) -> list[dict[str, Any]]:
    return [call.body for call in stage.calls if judges(call.body)]


async def test_one_cheap_model_judges_once_and_the_two_are_counted_as_one(stage: Stage) -> None:
    seat(stage, ANSWERS)
    stage.model("pen", reply="It was Marie Curie.")
    status = (await ask(council(stage), "Who found radium?"))["status"]
    (body,) = judged(stage)
    asked = body["messages"][-1]["content"]
    assert body["model"] == "reader"
    assert "Who found radium?" in asked
    assert "\nDr. Marie Curie\nMarie Curie\n" in unfenced(asked)
    assert asked.count("<pair ") == 1  # nobody doubts that Bohr is somebody else
    assert status.verdict.options[0].members == ("Ada", "Boris")
    assert status.dissent == ("Clara",)
    assert "to be the same answer" in " ".join(status.notes)
    assert status.usage.calls == len(stage.calls)


async def test_where_it_says_different_they_stay_apart(stage: Stage) -> None:
    seat(stage, ANSWERS)
    status = (await ask(council(stage, same=False), "Who found radium?"))["status"]
    assert len(status.verdict.options) == 3
    assert "to be different answers" in " ".join(status.notes)


async def test_it_is_off_unless_the_council_says_so(stage: Stage) -> None:
    seat(stage, ANSWERS)
    made = council(stage, deliberation={"ask_doubtful": False})
    status = (await ask(made, "Who found radium?"))["status"]
    assert judged(stage) == []
    assert len(status.verdict.options) == 3
    assert "equality_check" not in build_graph(made).nodes


async def test_without_a_doubt_nobody_is_asked(stage: Stage) -> None:
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 41", "Clara": "Answer: 42"})
    await ask(council(stage), "What is 17 + 25?")
    assert judged(stage) == []


async def test_a_second_round_does_not_ask_again(stage: Stage) -> None:
    seat(stage, ANSWERS)
    made = council(stage, same=False, deliberation={"rounds": {"min": 2, "max": 2}})
    status = (await ask(made, "Who found radium?"))["status"]
    assert status.rounds == 2
    assert len(judged(stage)) == 1


async def test_each_question_of_a_thread_is_judged_anew(stage: Stage) -> None:
    seat(stage, ANSWERS)
    graph = compile_council(council(stage), InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    for turn in (1, 2):
        values = await graph.ainvoke(question("Who found radium?"), config)
        assert len(judged(stage)) == turn
        assert values["status"].verdict.options[0].members == ("Ada", "Boris")


async def test_a_judge_that_fails_or_says_nothing_clear_leaves_them_different(
    stage: Stage,
) -> None:
    seat(stage, ANSWERS)
    status = (await ask(council(stage, same="maybe"), "Who found radium?"))["status"]
    assert len(status.verdict.options) == 3
    assert "was not judged" in " ".join(status.notes)
    stage.clear()
    made = council(stage)
    stage.scripts["reader"].faults = [Fault.status(500)] * 9
    status = (await ask(made, "Who found radium?"))["status"]
    assert len(status.verdict.options) == 3
    assert "was not judged" in " ".join(status.notes)


async def test_it_counts_in_the_budgets_calls(stage: Stage) -> None:
    seat(stage, ANSWERS)
    status = (await ask(council(stage, budget={"calls": 5}), "Who found radium?"))["status"]
    assert judged(stage) == []  # the annotator, three characters, and the synthesizer
    assert "the budget is spent" in " ".join(status.notes)
    assert len(status.verdict.options) == 3


async def test_without_an_annotator_the_cheapest_character_judges(stage: Stage) -> None:
    seat(stage, ANSWERS)
    made = written(stage, deliberation=ON)
    made["models"]["ada"]["price"] = {"input": 3, "output": 3}
    made["models"]["boris"]["price"] = {"input": 1, "output": 1}
    await ask(load_council(made), "Who found radium?")
    assert [body["model"] for body in judged(stage)] == ["boris"]


async def test_no_ballots_are_asked_for_where_all_were_judged_the_same(stage: Stage) -> None:
    seat(stage, {**ANSWERS, "Clara": "Answer: Marie Curie"})
    made = council(stage, deliberation={"method": "plurality"})
    status = (await ask(made, "Who found radium?"))["status"]
    assert voting(stage.calls) == []
    assert status.verdict.options[0].members == ("Ada", "Boris", "Clara")


async def test_a_lossless_stop_waits_for_the_judgement(stage: Stage) -> None:
    """Ada and Boris may have said the same: Clara is spared only once that is judged."""
    seat(stage, ANSWERS)
    rules = {"stop": "lossless", "waves": [2, 3]}
    status = (await ask(council(stage, deliberation=rules), "Who found radium?"))["status"]
    assert status.verdict.options[0].members == ("Ada", "Boris")
    assert status.verdict.spared == 1
    models = [call.body["model"] for call in stage.calls]
    assert "clara" not in models
    assert len(judged(stage)) == 1


def test_the_graph_checks_between_the_characters_and_the_quorum(stage: Stage) -> None:
    edges = build_graph(desk(stage, deliberation=ON)).edges
    assert ("Ada", "equality_check") in edges
    assert ("equality_check", "quorum") in edges
    assert ("Ada", "quorum") not in edges


TEXTS = {
    "Ada": "Tea. It keeps one awake for longer, and it is gentler on the stomach.",
    "Boris": "I would drink tea in the morning, because coffee makes many people nervous.",
    "Clara": "Coffee: it works within minutes, and its smell alone wakes people up.",
}
SORTED: dict[str, Any] = {"cluster_open": True, "method": "answers"}


def sorting(stage: Stage, groups: str, **changes: Any) -> Any:
    """A council whose annotator's model sorts open answers."""
    rules = {**SORTED, **changes.pop("deliberation", {})}
    made = written(stage, deliberation=rules, annotator={"model": "reader"}, **changes)
    made["models"]["reader"] = voice(stage, "reader")

    def reads(body: dict[str, Any]) -> str:
        if sorts(body):
            return groups
        return json.dumps({"restated": "Tea or coffee?", "kind": "open"})

    stage.model("reader", reply=reads)
    return load_council(made)


def sorts(body: dict[str, Any]) -> bool:
    return "Number the groups from 1" in body["messages"][-1]["content"]


def sortings(stage: Stage) -> list[dict[str, Any]]:
    return [call.body for call in stage.calls if sorts(call.body)]


async def test_open_answers_that_say_the_same_count_as_one(stage: Stage) -> None:
    seat(stage, TEXTS)
    status = (await ask(sorting(stage, '{"groups": [1, 1, 2]}'), "Tea or coffee?"))["status"]
    (body,) = sortings(stage)
    assert all(text in body["messages"][-1]["content"] for text in TEXTS.values())
    assert body["model"] == "reader"
    assert [one.members for one in status.verdict.options] == [("Ada", "Boris"), ("Clara",)]
    assert status.verdict.leader == "Ada"
    assert "found 2 different answers: Ada and Boris; Clara." in " ".join(status.notes)
    assert status.usage.calls == len(stage.calls)


async def test_groups_that_cannot_be_read_leave_texts_different(stage: Stage) -> None:
    for reply in ("two groups", '{"groups": [1, 1]}', '{"groups": [true, 1, 2]}'):
        stage.clear()
        seat(stage, TEXTS)
        status = (await ask(sorting(stage, reply), "Tea or coffee?"))["status"]
        assert len(status.verdict.options) == 3
        assert "was not judged" in " ".join(status.notes)


async def test_texts_are_sorted_once_a_round_and_the_same_words_never(stage: Stage) -> None:
    seat(stage, TEXTS)
    twice = {"rounds": {"min": 2, "max": 2}}
    await ask(sorting(stage, '{"groups": [1, 1, 2]}', deliberation=twice), "Tea or coffee?")
    assert len(sortings(stage)) == 2
    stage.clear()
    seat(stage, dict.fromkeys(TEXTS, TEXTS["Ada"]))
    status = (await ask(sorting(stage, '{"groups": [1, 2]}'), "Tea or coffee?"))["status"]
    assert sortings(stage) == []
    assert status.verdict.options[0].members == ("Ada", "Boris", "Clara")


async def test_a_lossless_stop_waits_until_texts_are_sorted(stage: Stage) -> None:
    seat(stage, TEXTS)
    rules = {"stop": "lossless", "waves": [2, 3]}
    council = sorting(stage, '{"groups": [1, 1]}', deliberation=rules)
    status = (await ask(council, "Tea or coffee?"))["status"]
    assert status.verdict.options[0].members == ("Ada", "Boris")
    assert status.verdict.spared == 1
    assert not stage.calls_to("clara")


async def test_short_answers_and_texts_are_judged_apart(stage: Stage) -> None:
    seat(stage, {**ANSWERS, "Clara": TEXTS["Clara"] + " " + TEXTS["Ada"]})
    made = council(stage, deliberation={"cluster_open": True})
    status = (await ask(made, "Who found radium?"))["status"]
    assert len(judged(stage)) == 1
    assert sortings(stage) == []  # one text alone
    assert status.verdict.options[0].members == ("Ada", "Boris")
