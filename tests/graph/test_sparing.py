"""Stopping in the running graph: who is not asked, who is cut short, and that the winner stays."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.errors import CouncilError
from mom_council.models.ledger import Ledger, Outcome
from mom_council.tests.graph.desk import ALL, ask, desk, seat, speaking, told, voting
from mom_council.tests.stage import Stage
from mom_council.voting.fitted import Fitted

FIVE = ALL[:5]


def panel(stage: Stage, **rules: Any) -> Council:
    return desk(stage, FIVE, deliberation={"method": "answers", **rules})


def answers(stage: Stage, *said: str) -> None:
    seat(stage, dict(zip(FIVE, said, strict=True)))


def asked(stage: Stage) -> set[str]:
    return {call.model for call in speaking(stage.calls)} - {"pen"}


async def test_what_cannot_change_the_leader_is_not_asked(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 42", "It is 42.", "Answer: 7", "Answer: 7")
    status = (await ask(panel(stage, stop="lossless", waves=[3]), "What is 17 + 25?"))["status"]
    assert asked(stage) == {"ada", "boris", "clara"}
    assert (status.verdict.options[0].answer, status.stop_reason) == ("42", "decided")
    assert [(a.character, a.reason) for a in status.absent] == [
        ("Dmitri", "settled"),
        ("Elena", "settled"),
    ]
    assert status.verdict.spared == 2
    assert not status.degraded
    assert status.usage.calls == len(stage.calls) == 3 + 1


async def test_another_wave_is_asked_where_the_first_settled_nothing(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 7", "Answer: 42", "Answer: 42", "Answer: 7")
    status = (await ask(panel(stage, stop="lossless", waves=[3, 4]), "What is 17 + 25?"))["status"]
    assert asked(stage) == {"ada", "boris", "clara", "dmitri"}
    assert status.verdict.options[0].answer == "42"
    stage.clear()
    whole = (await ask(panel(stage), "What is 17 + 25?"))["status"]
    assert len(asked(stage)) == 5
    assert whole.verdict.options[0].answer == status.verdict.options[0].answer


async def test_proposals_still_running_when_it_is_settled_are_cancelled(stage: Stage):
    answers(stage, *["Answer: 42"] * 5)
    stage.scripts["dmitri"].latency = stage.scripts["elena"].latency = 60
    status = (await ask(panel(stage, stop="lossless"), "What is 17 + 25?"))["status"]
    assert {a.character: a.reason for a in status.absent} == {
        "Dmitri": "settled",
        "Elena": "settled",
    }
    stage.wait_for(len(stage.calls))
    assert [stage.calls_to(name)[0].outcome for name in ("dmitri", "elena")] == ["client_left"] * 2
    assert not status.degraded
    assert status.stop_reason == "decided"


async def test_ballots_still_running_when_it_is_decided_are_cancelled(stage: Stage):
    views = {name: f"The view of {name} on pets." for name in FIVE}
    seat(stage, views, likes="Boris")
    slow = stage.scripts["elena"].reply

    def slow_to_vote(body: dict[str, Any]) -> Any:
        if "<candidate" in str(body):
            stage.scripts["elena"].latency = 60
        return slow(body)  # type: ignore[operator]

    stage.scripts["elena"].reply = slow_to_vote
    rules = {"method": "plurality", "stop": "lossless", "threshold": 0.6, "quorum": 1.0}
    status = (await ask(desk(stage, FIVE, deliberation=rules)))["status"]
    assert [(a.character, a.stage, a.reason) for a in status.absent] == [("Elena", "vote", "late")]
    assert status.verdict.leader == "Boris"
    stage.wait_for(len(stage.calls))
    assert voting(stage.calls_to("elena"))[0].outcome == "client_left"


@pytest.mark.parametrize(
    ("rules", "number"),
    [
        ({"stop": "threshold", "threshold": 0.6}, 2),
        ({"stop": "beta", "sure": 0.8}, 2),
        ({"stop": "dirichlet", "sure": 0.9}, 3),
        ({"stop": "beta"}, 4),
        ({"stop": "lossless"}, 3),
    ],
)
async def test_every_rule_stops_where_it_says(stage: Stage, rules: dict[str, Any], number: int):
    answers(stage, *["Answer: 42"] * 5)
    council = panel(stage, waves=[1, 2, 3, 4], **rules)
    status = (await ask(council, "What is 17 + 25?"))["status"]
    assert asked(stage) == {name.lower() for name in FIVE[:number]}
    assert status.verdict.options[0].answer == "42"


async def test_a_calibrated_stop_asks_the_strongest_first_until_it_is_sure(stage: Stage):
    answers(stage, "Answer: 7", "Answer: 7", "Answer: 7", "Answer: 7", "Answer: 42")
    models = tuple(f"openai/{name.lower()}" for name in FIVE)
    Ledger().keep(
        Fitted(
            kind="sums",
            questions=300,
            options=4,
            models=models[::-1],
            weights=(5.0, 1.0, 1.0, 1.0, 1.0),
            joint=(5.0, 1.0, 1.0, 1.0, 1.0),
            steps=((1.0, 1.0),) * 5,
            threshold=0.95,
        )
    )
    rules = {"stop": "calibrated", "order": "strength", "weights": "learned"}
    status = (await ask(panel(stage, waves=[1, 2, 3, 4], **rules), "What is 17 + 25?"))["status"]
    assert asked(stage) == {"elena"}
    assert (status.verdict.options[0].answer, status.stop_reason) == ("42", "single")
    assert status.verdict.confidence == pytest.approx(1 / (1 + 2.718281828 ** (1 - 5)))
    assert status.verdict.basis == "300 questions of 'sums'"


async def test_a_calibrated_stop_is_an_older_name_of_lossless_and_says_so(stage: Stage):
    answers(stage, *["Answer: 42"] * 5)
    status = (await ask(panel(stage, stop="calibrated", waves=[1, 3]), "What is 6 * 7?"))["status"]
    assert asked(stage) == {"ada", "boris", "clara"}
    assert any("older name of `lossless`" in note for note in status.notes)
    assert status.verdict.options[0].answer == "42"


def fitted_panel(joint: tuple[float, ...]) -> Fitted:
    """Elena is the strongest, Ada the weakest."""
    models = tuple(f"openai/{name.lower()}" for name in FIVE)
    return Fitted(
        kind="sums",
        questions=300,
        options=4,
        models=models[::-1],
        weights=joint,
        joint=joint,
        steps=((1.0, 1.0),) * 5,
    )


@pytest.mark.parametrize(
    ("joint", "said", "heard", "answer"),
    [
        # One decides: nobody else is asked.
        ((5.0, 1.0, 1.0, 1.0, 1.0), "7 7 7 7 42", {"elena"}, "42"),
        # Two strong ones settle it where they agree; where they differ, others are asked.
        ((2.0, 2.0, 1.0, 1.0, 0.0), "7 7 7 42 42", {"elena", "dmitri"}, "42"),
        ((2.0, 2.0, 1.0, 1.0, 0.0), "7 7 7 7 42", {"elena", "dmitri", "clara", "boris"}, "7"),
        # Level at the end: the stronger one's answer wins.
        ((2.0, 1.0, 1.0, 0.0, 0.0), "9 9 7 7 42", {"elena"}, "42"),
    ],
)
async def test_a_fitted_council_learns_weights_and_stops_lossless_by_itself(
    stage: Stage, joint: tuple[float, ...], said: str, heard: set[str], answer: str
):
    answers(stage, *(f"Answer: {one}" for one in said.split()))
    Ledger().keep(fitted_panel(joint))
    status = (await ask(panel(stage, rounds={"min": 1, "max": 1}), "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].answer == answer
    assert asked(stage) == heard
    stage.clear()
    everybody = panel(stage, rounds={"min": 1, "max": 1}, stop="all")
    whole = (await ask(everybody, "What is 17 + 25?"))["status"]
    assert len(asked(stage)) == 5
    assert whole.verdict.options[0].answer == answer


@pytest.mark.parametrize(
    "rules",
    [{"weights": "written", "stop": "all", "order": "seats"}, {"method": "plurality"}],
)
async def test_a_setting_that_is_written_is_never_replaced(stage: Stage, rules: dict[str, Any]):
    answers(stage, *["Answer: 7"] * 4, "Answer: 42")
    Ledger().keep(fitted_panel((5.0, 1.0, 1.0, 1.0, 1.0)))
    status = (await ask(panel(stage, **rules), "What is 17 + 25?"))["status"]
    assert asked(stage) == {name.lower() for name in FIVE}
    assert status.verdict.options[0].answer == "7"


async def test_an_open_question_is_answered_by_everybody_however_fitted(stage: Stage):
    seat(stage, {name: f"{name} loves pets that talk a lot and sing." for name in FIVE})
    Ledger().keep(fitted_panel((5.0, 1.0, 1.0, 1.0, 0.0)))
    status = (await ask(panel(stage, rounds={"min": 1, "max": 1})))["status"]
    assert asked(stage) == {name.lower() for name in FIVE}
    assert {option.tally for option in status.verdict.options} == {1.0}


async def test_the_cheapest_are_asked_first(stage: Stage):
    answers(stage, *["Answer: 42"] * 5)
    written = panel(stage, stop="lossless", waves=[3], order="price").model_dump(mode="json")
    for name, price in zip(FIVE, (5, 1, 4, 2, 3), strict=True):
        written["models"][name.lower()]["price"] = {"input": price, "output": price}
    await ask(load_council(written), "What is 17 + 25?")
    assert asked(stage) == {"boris", "dmitri", "elena"}


async def test_a_round_that_another_may_follow_is_cut_short_only_where_that_changes_nothing(
    stage: Stage,
):
    answers(stage, "Answer: 42", "Answer: 42", "Answer: 42", "Answer: 7", "Answer: 7")
    rules = {"stop": "lossless", "waves": [3], "threshold": 0.7, "rounds": {"min": 1, "max": 2}}
    await ask(panel(stage, **rules), "What is 17 + 25?")
    first = [call for call in speaking(stage.calls) if "<answer number" not in str(call.body)]
    assert {call.model for call in first} - {"pen"} == {name.lower() for name in FIVE}


async def test_a_voice_that_fails_is_no_vote_and_the_next_is_asked(stage: Stage):
    answers(stage, "", "Answer: 42", "Answer: 7", "Answer: 42", "Answer: 7")
    status = (await ask(panel(stage, stop="lossless", waves=[3]), "What is 17 + 25?"))["status"]
    # Of the second wave the one who answers first may settle it, before the other is asked.
    assert asked(stage) > {"ada", "boris", "clara"}
    assert status.verdict.options[0].answer == "42"


async def test_what_was_saved_is_told_while_it_runs(stage: Stage):
    answers(stage, *["Answer: 42"] * 5)
    events = await told(panel(stage, stop="lossless", waves=[3]), "What is 17 + 25?")
    missed = [event for event in events if event.kind == "missed"]
    assert [event.absence.character for event in missed] == ["Dmitri", "Elena"]
    counted = next(event for event in events if event.kind == "counted")
    assert "2 did not have to answer" in counted.why


async def test_learned_weights_let_the_one_who_is_right_win(stage: Stage):
    seat(stage, {"Ada": "Answer: 7", "Boris": "Answer: 7", "Clara": "Answer: 42"})
    record = [Outcome("openai/clara", "sums", True)] * 80
    record += [Outcome(f"openai/{name}", "sums", at % 5 == 0) for name in ("ada", "boris")
               for at in range(80)]  # fmt: skip
    Ledger().learn(record)
    council = desk(stage, deliberation={"method": "answers"})
    plain = (await ask(council, "What is 17 + 25?"))["status"]
    assert plain.verdict.options[0].answer == "7"
    council = desk(stage, deliberation={"method": "answers", "weights": "learned"})
    status = (await ask(council, "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].answer == "42"
    assert status.verdict.options[1].tally == 0  # a poor record weighs nothing, never less
    assert 'weight="0"' in str(stage.calls_to("pen")[-1].body).replace("\\", "")


async def test_without_a_record_written_weights_hold_and_it_says_so(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 42", "Answer: 7", "Answer: 7", "Answer: 7")
    status = (await ask(panel(stage, weights="learned"), "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].tally == 3
    assert "Nothing is known of these models yet, so the written weights hold." in status.notes


async def test_a_ledger_that_cannot_be_read_costs_no_answer(stage: Stage):
    answers(stage, *["Answer: 42"] * 5)
    Ledger().learn([Outcome("openai/ada", "sums", True)])
    (next(iter(Ledger()._folder.glob("ledger.db")))).write_bytes(b"no database at all" * 100)
    status = (await ask(panel(stage, weights="learned"), "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].answer == "42"
    assert any("could not be read" in note for note in status.notes)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"method": "similarity", "stop": "lossless"}, "nothing is settled before all spoke"),
        ({"method": "borda", "stop": "beta"}, "counts single votes"),
        ({"method": "plurality", "stop": "calibrated"}, "judges answers"),
        ({"method": "answers", "waves": [3]}, "need a rule that may stop between them"),
        ({"method": "answers", "stop": "lossless", "waves": [3, 3]}, "must rise"),
    ],
)
def test_a_rule_that_could_never_stop_is_refused(stage: Stage, rules: dict[str, Any], says: str):
    with pytest.raises(CouncilError, match=says):
        desk(stage, deliberation=rules)


async def test_who_agrees_with_whom_is_learned_from_questions_and_no_words_are_kept(stage: Stage):
    answers(stage, "Answer: 42", "Answer: 42", "It is 42.", "Answer: 7", "I could not say.")
    await ask(panel(stage), "What is 17 + 25?")
    models = [f"openai/{name.lower()}" for name in FIVE]
    assert Ledger().agreement_rows(models) == {(0, 0, 0, 1, None): pytest.approx(1)}
    await ask(panel(stage, stop="lossless", waves=[3]), "What is 17 + 25?")
    assert sum(Ledger().agreement_rows(models).values()) == pytest.approx(1)  # two were not asked
    assert b"42" not in next(iter(Ledger()._folder.glob("ledger.db"))).read_bytes()


async def test_agreement_of_past_questions_weighs_a_council_that_nobody_fitted(stage: Stage):
    models = [f"openai/{name.lower()}" for name in FIVE]
    for at in range(29):
        # Elena is with the majority always, the others by turns.
        Ledger().observe(models, ["1", "1", "2", "3", "1"] if at % 2 else [*"22134"[:4], "2"])
    answers(stage, "Answer: 7", "Answer: 7", "Answer: 9", "Answer: 8", "Answer: 42")
    council = panel(stage, rounds={"min": 1, "max": 1})
    few = (await ask(council, "What is 17 + 25?"))["status"]  # the thirtieth question
    assert few.verdict.options[0].tally == 2
    status = (await ask(council, "What is 6 * 7?"))["status"]
    weights = {one.members[0]: one.tally for one in status.verdict.options}
    assert weights["Elena"] > weights["Clara"]
    assert len(asked(stage)) == 5  # weights are learned from agreement; the exit waits for outcomes
    assert status.verdict.confidence is None
