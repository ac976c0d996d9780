"""How a round is counted, and why the council stops: each through the graph."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.deliberation.events import Counted
from mom_council.graph.council import compile_council
from mom_council.models.ledger import Ledger
from mom_council.records import Verdict
from mom_council.tests.graph.desk import (
    ALL,
    ask,
    candidates,
    character,
    desk,
    question,
    seat,
    speaking,
    told,
    voting,
)
from mom_council.tests.stage import Fault, Stage


async def _verdicts(council: Any) -> list[Verdict]:
    result = await compile_council(council).ainvoke(question(), output_keys=["verdicts"])
    return list(result["verdicts"])


@pytest.mark.parametrize("method", ["plurality", "approval", "borda", "score"])
async def test_a_method_with_ballots_finds_the_favourite(stage: Stage, method: str) -> None:
    seat(stage, ALL[:4], likes="doubt")
    status = (await ask(desk(stage, ALL[:4], deliberation={"method": method})))["status"]
    assert status.verdict.method == method
    assert status.verdict.leader == "Boris"
    assert status.verdict.ballots == 4
    assert len(voting(stage.calls)) == 4


async def test_equal_answers_are_counted_without_ballots(stage: Stage) -> None:
    seat(stage, {"Ada": "42", "Boris": "It is 43.", "Clara": "The answer is 42."})
    council = desk(stage, deliberation={"method": "answers", "threshold": 0.6})
    status = (await ask(council, "What is 17 + 25?"))["status"]
    assert status.stop_reason == "agreed"
    assert status.verdict.options[0].members == ("Ada", "Clara")
    assert status.dissent == ("Boris",)
    assert not voting(stage.calls)


async def test_a_council_that_does_not_vote_stops_unvoted(stage: Stage) -> None:
    seat(stage)
    status = (await ask(desk(stage, deliberation={"method": "none"})))["status"]
    assert status.stop_reason == "unvoted"
    assert status.verdict.leader is None
    assert not voting(stage.calls)


async def test_it_stops_when_the_threshold_is_reached(stage: Stage) -> None:
    seat(stage, ALL[:4], likes="doubt")
    rules = {"threshold": 0.7, "rounds": {"min": 1, "max": 3}}
    status = (await ask(desk(stage, ALL[:4], deliberation=rules)))["status"]
    assert (status.stop_reason, status.rounds) == ("agreed", 1)


async def test_it_goes_on_for_its_least_rounds_though_all_agree(stage: Stage) -> None:
    seat(stage, ALL[:4], likes="doubt")
    rules = {"threshold": 0.7, "rounds": {"min": 2, "max": 3}}
    status = (await ask(desk(stage, ALL[:4], deliberation=rules)))["status"]
    assert (status.stop_reason, status.rounds) == ("agreed", 2)


async def test_it_stops_when_no_round_is_left(stage: Stage) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "pictures", "Clara": "twice"})
    status = (await ask(desk(stage)))["status"]
    assert status.stop_reason == "rounds"
    assert status.verdict.tie


async def test_it_stops_when_a_round_repeats_the_one_before(stage: Stage) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "pictures", "Clara": "twice"})
    rules = {"rounds": {"min": 1, "max": 9}}
    status = (await ask(desk(stage, deliberation=rules)))["status"]
    assert (status.stop_reason, status.rounds) == ("stalled", 2)


async def test_it_stops_when_nobody_casts_a_ballot(stage: Stage) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, reply=[f"The view of {name}", "Moo."])
    stage.model("pen")
    assert (await ask(desk(stage)))["status"].stop_reason == "no_ballots"


async def test_it_stops_when_one_proposal_is_all_there_is(stage: Stage) -> None:
    seat(stage)
    stage.model("boris", always=Fault.status(500))
    stage.model("clara", always=Fault.status(500))
    rules = {"rounds": {"min": 1, "max": 3}}
    assert (await ask(desk(stage, deliberation=rules)))["status"].stop_reason == "single"


async def test_it_stops_when_nobody_is_left_to_ask(stage: Stage) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, reply=f"The view of {name}", faults=[None], always=Fault.status(500))
    stage.model("pen")
    rules = {"rounds": {"min": 3, "max": 3}, "method": "answers"}
    status = (await ask(desk(stage, deliberation=rules)))["status"]
    assert (status.stop_reason, status.rounds) == ("stalled", 2)


async def test_a_round_in_which_nobody_spoke_leaves_the_vote_as_it_was(stage: Stage) -> None:
    seat(stage, likes="doubt")
    for name in ("ada", "boris", "clara"):
        stage.scripts[name].faults = [None, None]
        stage.scripts[name].always = Fault.empty()
    rules = {"rounds": {"min": 1, "max": 2}, "threshold": 0.9}
    first, second = await _verdicts(desk(stage, deliberation=rules))
    assert (first.leader, first.ballots, first.stop_reason) == ("Boris", 3, None)
    assert (second.leader, second.ballots, second.round) == ("Boris", 3, 2)
    assert second.stop_reason is not None


async def test_it_is_decided_when_no_late_ballot_can_change_it(stage: Stage) -> None:
    seat(stage, ALL, likes="doubt")
    slow = character("The view of You like birds.", "doubt")
    stage.model("farid", reply=_slow_to_vote(stage, slow))
    rules = {"quorum": 0.6, "grace": 60, "threshold": 0.6, "rounds": {"min": 1, "max": 3}}
    result = await ask(desk(stage, ALL, deliberation=rules))
    status = result["status"]
    assert status.stop_reason == "decided"
    assert status.verdict.decided
    assert {(a.reason, a.stage) for a in status.absent} == {("late", "vote")}
    assert "Farid" in {a.character for a in status.absent}
    assert not status.degraded
    assert voting(stage.calls_to("farid"))[0].outcome == "client_left"


async def test_it_is_not_decided_while_late_ballots_could_change_it(stage: Stage) -> None:
    seat(stage, ALL[:4], likes={"Ada": "doubt", "Boris": "pictures", "Clara": "twice"})
    stage.scripts["clara"].faults = [None, Fault.hang()]  # speaks, and never comes to a vote
    stage.scripts["dmitri"].always = Fault.hang()
    # Without grace it waits for three of four who speak, for two of three who vote, for no clock.
    rules = {"quorum": 0.6, "grace": 0, "threshold": 0.9}
    status = (await ask(desk(stage, ALL[:4], deliberation=rules)))["status"]
    late = {(a.character, a.reason, a.stage) for a in status.absent}
    assert {("Dmitri", "late", "character"), ("Clara", "late", "vote")} == late
    assert status.verdict.ballots == 2
    assert status.stop_reason == "rounds"
    assert not status.verdict.decided


async def test_agreement_stands_though_the_budget_is_spent_with_it(stage: Stage) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "42"))
    council = desk(stage, budget={"calls": 4}, deliberation={"rounds": {"min": 1, "max": 2}})
    status = (await ask(council, "What is 17 + 25?"))["status"]
    assert status.stop_reason == "agreed"
    assert not status.degraded


async def test_it_stops_at_once_when_the_budget_is_spent(stage: Stage) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "pictures", "Clara": "twice"})
    rules = {"rounds": {"min": 3, "max": 3}}
    status = (await ask(desk(stage, budget={"calls": 7}, deliberation=rules)))["status"]
    assert (status.stop_reason, status.rounds) == ("budget", 1)
    assert len(speaking(stage.calls)) == 4


@pytest.mark.parametrize("method", ["plurality", "answers", "none"])
async def test_every_count_is_told_in_one_sentence(stage: Stage, method: str) -> None:
    seat(stage, likes="doubt")
    events = await told(desk(stage, deliberation={"method": method}))
    (counted,) = [event for event in events if isinstance(event, Counted)]
    assert counted.why
    assert "\n" not in counted.why


async def test_weights_decide_between_equal_votes(stage: Stage) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "pictures", "Clara": "doubt"})
    seats = [
        {"name": "Ada", "model": "ada"},
        {"name": "Boris", "model": "boris", "weight": 5},
        {"name": "Clara", "model": "clara"},
    ]
    for name, text in (("ada", "twice"), ("boris", "doubt"), ("clara", "pictures")):
        stage.model(name, reply=character(text, "pictures" if name == "boris" else "doubt"))
    status = (await ask(desk(stage, characters=seats)))["status"]
    assert status.verdict.leader == "Clara"


def _slow_to_vote(stage: Stage, reply: Any) -> Any:
    """A character that answers at once and never comes to an end of its vote."""

    def speak(body: dict[str, Any]) -> Any:
        if candidates(body):
            stage.scripts[body["model"]].latency = 60
        return reply(body)

    return speak


async def test_a_ledger_that_fails_in_any_way_costs_no_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(Ledger, "observe", fail)
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 42", "Clara": "Answer: 7"})
    state = await ask(desk(stage, deliberation={"method": "answers"}), "What is 17 + 25?")
    assert state["status"].verdict.options[0].answer == "42"
    assert any("Agreement was not kept" in note for note in state["status"].notes)
