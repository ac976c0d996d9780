"""A cascade: the strong model is asked only where the cheap ones do not agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.errors import CouncilError
from mom_council.evals.cases import read_cases
from mom_council.evals.run import evaluate
from mom_council.tests.evals.recorded import kept, replayed, sums
from mom_council.tests.graph.desk import ask, desk, others, seat
from mom_council.tests.stage import Fault, Stage

CHEAP, STRONG = ("Ada", "Boris", "Clara"), "Dmitri"


def cascade(stage: Stage, **changes: Any) -> Council:
    rules = {"cascade": True, "method": "answers", **changes.pop("deliberation", {})}
    return desk(stage, (*CHEAP, STRONG), layers=[[*CHEAP], [STRONG]], deliberation=rules, **changes)


def answers(stage: Stage, *said: str) -> None:
    seat(stage, dict(zip((*CHEAP, STRONG), (*said, "Answer: 42"), strict=True)))


async def test_where_the_cheap_agree_the_strong_one_is_not_asked(stage: Stage):
    answers(stage, "Answer: 42", "It is **42**.", "17 + 25 = 42")
    status = (await ask(cascade(stage), "What is 17 + 25?"))["status"]
    assert stage.calls_to("dmitri") == []
    assert status.spoke == CHEAP
    assert (status.verdict.options[0].answer, status.stop_reason) == ("42", "agreed")
    assert not status.degraded


@pytest.mark.parametrize(
    "third", ["Answer: 7", "I do not know.", "There is more than one way to see this question."]
)
async def test_where_one_differs_or_has_no_answer_the_strong_one_is_asked(stage: Stage, third: str):
    answers(stage, "Answer: 24", "Answer: 24", third)
    status = (await ask(cascade(stage), "What is 17 + 25?"))["status"]
    (call,) = stage.calls_to("dmitri")
    assert sorted(others(call.body)) == sorted(["Answer: 24", "Answer: 24", third])
    assert status.verdict.options[0].members == (STRONG,)


async def test_who_is_missing_does_not_agree(stage: Stage):
    answers(stage, "Answer: 24", "Answer: 24", "Answer: 24")
    stage.model("clara", reply="Answer: 24", always=Fault.status(500))
    await ask(cascade(stage), "What is 17 + 25?")
    assert len(stage.calls_to("dmitri")) == 1


async def test_the_threshold_says_how_much_agreement_is_enough(stage: Stage):
    answers(stage, "Answer: 24", "Answer: 24", "Answer: 7")
    await ask(cascade(stage, deliberation={"threshold": 0.6}), "What is 17 + 25?")
    assert stage.calls_to("dmitri") == []


async def test_without_the_switch_every_layer_speaks(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 42", "Answer: 42")
    await ask(cascade(stage, deliberation={"cascade": False}), "What is 17 + 25?")
    assert len(stage.calls_to("dmitri")) == 1


async def test_another_round_begins_with_the_cheap_again(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 42", "Answer: 42")
    council = cascade(stage, deliberation={"rounds": {"min": 2, "max": 2}})
    status = (await ask(council, "What is 17 + 25?"))["status"]
    assert status.rounds == 2
    assert len(stage.calls_to("ada")) == 2
    assert stage.calls_to("dmitri") == []


async def test_a_strong_one_that_fails_leaves_the_answer_to_the_cheap(stage: Stage):
    answers(stage, "Answer: 24", "Answer: 24", "Answer: 7")
    stage.model("dmitri", always=Fault.status(500))
    status = (await ask(cascade(stage), "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].answer == "24"
    assert status.degraded


def test_a_cascade_needs_a_layer_to_escalate_to(stage: Stage):
    with pytest.raises(CouncilError, match="needs two layers"):
        desk(stage, deliberation={"cascade": True})
    with pytest.raises(CouncilError, match="agrees with itself"):
        desk(stage, layers=[["Ada"], ["Boris", "Clara"]], deliberation={"cascade": True})


def test_the_preset_loads():
    assert load_council("cascade").deliberation.cascade


async def test_the_replayed_graph_decides_as_the_rule_does(tmp_path: Path):
    questions = sums(30)
    path = kept(tmp_path / "sums.jsonl", questions)
    council = replayed(
        path,
        ("ant", "bee", "cat", "owl"),
        layers=[["Ant", "Bee", "Cat"], ["Owl"]],
        deliberation={"cascade": True},
    )
    found = await evaluate(council, read_cases(path), concurrency=8)
    right, price = 0, 0.0
    for one in questions:
        said = {one.models[name].ans for name in ("ant", "bee", "cat")}
        price += 0.003
        if len(said) == 1 and None not in said:
            right += one.models["ant"].ok
            continue
        price += 0.02
        if one.models["owl"].ans is not None:
            right += one.models["owl"].ok
        else:  # nobody above: the cheap ones' vote stands
            votes = [one.models[name] for name in ("ant", "bee", "cat")]
            said_ = [vote.ans for vote in votes if vote.ans is not None]
            best = max(said_, key=said_.count)
            right += next(vote.ok for vote in votes if vote.ans == best)
    assert found.system("council").accuracy.value == pytest.approx(right / 30)
    assert found.system("council").usd == pytest.approx(price / 30)


def in_turn(stage: Stage, **rules: Any) -> Council:
    """A cascade that asks the cheap ones as few at a time as can settle whether they agree."""
    return cascade(stage, deliberation={"order": "price", "threshold": 0.98, **rules})


async def test_nobody_is_asked_in_vain_where_an_order_is_set(stage: Stage):
    answers(stage, "Answer: 24", "Answer: 7", "Answer: 24")
    status = (await ask(in_turn(stage), "What is 17 + 25?"))["status"]
    assert stage.calls_to("clara") == []  # two differ: three cannot agree any more
    assert len(stage.calls_to("dmitri")) == 1
    assert status.verdict.options[0].members == (STRONG,)


async def test_where_an_order_is_set_agreement_still_spares_the_strong_one(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 42", "Answer: 42")
    status = (await ask(in_turn(stage), "What is 17 + 25?"))["status"]
    assert stage.calls_to("dmitri") == []
    assert status.spoke == CHEAP


async def test_who_cannot_change_the_agreement_is_not_asked(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 42", "Answer: 7")
    status = (await ask(in_turn(stage, threshold=0.6), "What is 17 + 25?"))["status"]
    assert stage.calls_to("clara") == []
    assert stage.calls_to("dmitri") == []
    assert status.verdict.options[0].answer == "42"


async def test_a_strong_one_that_decides_does_not_read_the_others(stage: Stage):
    answers(stage, "Answer: 24", "Answer: 24", "Answer: 7")
    status = (await ask(in_turn(stage, escalation="decides"), "What is 17 + 25?"))["status"]
    (call,) = stage.calls_to("dmitri")
    assert others(call.body) == []
    assert status.verdict.options[0].members == (STRONG,)


async def test_a_strong_one_that_decides_and_states_nothing_leaves_it_to_the_cheap(stage: Stage):
    answers(stage, "Answer: 24", "Answer: 24", "Answer: 7")
    stage.model("dmitri", reply="I do not know.")
    status = (await ask(in_turn(stage, escalation="decides"), "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].answer == "24"


@pytest.mark.parametrize(("weight", "answer"), [(1.5, "24"), (2.5, "42")])
async def test_a_strong_one_that_joins_is_counted_with_the_others(
    stage: Stage, weight: float, answer: str
):
    answers(stage, "Answer: 24", "Answer: 24", "Answer: 7")
    council = in_turn(stage, escalation="joins", weights="written")
    seats = tuple(
        who.model_copy(update={"weight": weight}) if who.name == STRONG else who
        for who in council.characters
    )
    council = council.model_copy(update={"characters": seats})
    status = (await ask(council, "What is 17 + 25?"))["status"]
    (call,) = stage.calls_to("dmitri")
    assert others(call.body) == []
    assert status.verdict.options[0].answer == answer
    assert {name for one in status.verdict.options for name in one.members} == {*CHEAP, STRONG}
