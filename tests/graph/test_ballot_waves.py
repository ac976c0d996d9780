"""Ballots in waves: who is not asked for one, and that the winner stays; on request bodies."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.events import Counted, Polled
from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import ALL, ask, desk, seat, told, voting, written
from mom_council.tests.stage import Stage

FIVE = ALL[:5]
LIKES = dict.fromkeys(FIVE, "pictures")
"""All prefer Clara's answer; she herself takes the first that is shown."""


def panel(stage: Stage, **rules: Any) -> Council:
    return desk(stage, FIVE, deliberation={"method": "plurality", "ballots": "always", **rules})


def voters(stage: Stage) -> list[str]:
    """Who was asked for a ballot: their requests show candidates."""
    return sorted(call.model for call in voting(stage.calls))


async def test_voters_who_can_change_nothing_are_not_asked(stage: Stage) -> None:
    seat(stage, FIVE, LIKES)
    status = (await ask(panel(stage, stop="lossless", waves=[4]), "Which pet is best?"))["status"]
    assert len(voters(stage)) == 4
    assert status.verdict.leader == "Clara"
    assert status.verdict.spared == 1
    assert status.verdict.decided
    assert [(a.stage, a.reason) for a in status.absent] == [("vote", "settled")]
    assert not status.degraded
    assert status.usage.calls == len(stage.calls) == 5 + 4 + 1


async def test_another_wave_is_asked_where_the_first_settled_nothing(stage: Stage) -> None:
    likes = {"Ada": "doubt", "Boris": "pictures", "Clara": "doubt", "Dmitri": "pictures"}
    seat(stage, FIVE, {**likes, "Elena": "pictures"})
    events = await told(panel(stage, stop="lossless", waves=[2, 4]), "Which pet is best?")
    asked = [event.voters for event in events if isinstance(event, Polled)]
    assert [len(each) for each in asked] == [2, 2, 1]
    assert len({name for each in asked for name in each}) == 5
    assert len(voters(stage)) == 5  # nobody twice


@pytest.mark.parametrize("likes", ["pictures", "brief", "law", ""])
async def test_the_winner_is_that_of_all_ballots(stage: Stage, likes: str) -> None:
    mixed = {name: likes if at % 2 else "doubt" for at, name in enumerate(FIVE)}
    winners = []
    for rules in (
        {},
        {"stop": "lossless", "waves": [2, 3, 4]},
        {"stop": "lossless", "order": "price"},
    ):
        seat(stage, FIVE, mixed)
        status = (await ask(panel(stage, **rules), "Which pet is best?"))["status"]
        winners.append((status.verdict.leader, status.stop_reason == "decided"))
    assert len({leader for leader, _ in winners}) == 1


async def test_with_an_order_as_few_are_asked_as_can_settle_it(stage: Stage) -> None:
    seat(stage, FIVE, LIKES)
    prices = {"ada": 5.0, "boris": 1.0, "clara": 4.0, "dmitri": 2.0, "elena": 3.0}
    council = written(stage, FIVE)
    for key, price in prices.items():
        council["models"][key]["price"] = {"input": price, "output": price}
    rules = {"method": "plurality", "ballots": "always", "stop": "lossless", "order": "price"}
    council["deliberation"] |= rules
    status = (await ask(load_council(council), "Which pet is best?"))["status"]
    assert voters(stage) == ["boris", "dmitri", "elena"]  # three of five, the cheapest
    assert status.verdict.leader == "Clara"
    assert status.verdict.spared == 2


async def test_whether_another_round_follows_does_not_change(stage: Stage) -> None:
    """Agreement of 70 % of all: three of five do not reach it, however the others vote."""
    rounds = {"min": 1, "max": 2}
    likes = {"Ada": "pictures", "Boris": "pictures", "Clara": "doubt", "Dmitri": "pictures"}
    verdicts = []
    for rules in ({}, {"stop": "lossless", "waves": [3, 4]}):
        seat(stage, FIVE, {**likes, "Elena": "doubt"})
        council = panel(stage, rounds=rounds, threshold=0.7, **rules)
        counted = [e for e in await told(council, "Which pet is best?") if isinstance(e, Counted)]
        verdicts.append([(one.verdict.round, one.verdict.leader) for one in counted])
    assert verdicts[0] == verdicts[1]


async def test_a_voter_who_fails_is_made_up_for_by_the_next_wave(stage: Stage) -> None:
    seat(stage, FIVE, LIKES)

    def silent_in_a_vote(body: dict[str, Any]) -> str:
        return "" if "candidate label" in str(body) else "The view of nobody"

    stage.model("boris", reply=silent_in_a_vote)
    status = (await ask(panel(stage, stop="lossless", waves=[3]), "Which pet is best?"))["status"]
    assert status.verdict.leader == "Clara"
    assert set(voters(stage)) == {name.lower() for name in FIVE}


def test_the_graph_draws_a_further_wave_only_where_there_can_be_one(stage: Stage) -> None:
    def arrows(council: Council) -> set[tuple[str, str]]:
        return {(one.source, one.target) for one in compile_council(council).get_graph().edges}

    assert ("consensus", "thermal_wait") in arrows(panel(stage, stop="lossless", waves=[2]))
    assert ("consensus", "thermal_wait") not in arrows(panel(stage))


def test_waves_need_a_rule_that_may_stop(stage: Stage) -> None:
    with pytest.raises(CouncilError, match="need a rule that may stop between them"):
        panel(stage, waves=[2])
    with pytest.raises(CouncilError, match="deliberation"):
        panel(stage, method="synthesis", waves=[2], stop="lossless")
