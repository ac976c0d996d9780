"""Whether enough have been asked, over random councils."""

from __future__ import annotations

import random

import pytest

from mom_council.councils.schema import Deliberation, Rounds
from mom_council.records import Ballot, Proposal
from mom_council.voting.counting import agreed, count
from mom_council.voting.early_exit import enough, enough_ballots, next_size

ONCE = Rounds(min=1, max=1)


def said(at: int, answer: str, weight: float = 1.0) -> Proposal:
    text = f"Answer: {answer}" if answer else f"I could not say ({at})."
    return Proposal(character=f"c{at}", text=text, weight=weight)


def test_a_lossless_stop_never_changes_the_winner():
    dice = random.Random(5)
    rules = Deliberation(method="answers", rounds=ONCE, stop="lossless")
    saved = 0
    for _ in range(1500):
        number = dice.randint(2, 7)
        weights = [dice.choice([1.0, 1.0, 0.5, 2.0, 0.0, 1.3862943611]) for _ in range(number)]
        everybody = [said(i, dice.choice("1123 "), weights[i]) for i in range(number)]
        for asked in range(1, number):
            out = {f"c{i}": weights[i] for i in range(asked, number)}
            known = {f"c{i}": weights[i] for i in range(asked)}
            if enough(rules, everybody[:asked], weights=known, out=out):
                saved += number - asked
                early = count(everybody[:asked], method="answers")
                late = count(everybody, method="answers")
                assert early.options[0].answer == late.options[0].answer
                break
    assert saved > 1000


def test_before_a_last_round_it_changes_neither_the_winner_nor_whether_they_agree():
    dice = random.Random(6)
    rules = Deliberation(method="answers", stop="lossless", threshold=0.6)
    stops = 0
    for _ in range(1200):
        number = dice.randint(2, 7)
        everybody = [said(i, dice.choice("1112")) for i in range(number)]
        for asked in range(1, number):
            out = {f"c{i}": 1.0 for i in range(asked, number)}
            known = {f"c{i}": 1.0 for i in range(asked)}
            if enough(rules, everybody[:asked], weights=known, out=out, last=False):
                stops += 1
                late = count(everybody, method="answers")
                early = count(everybody[:asked], method="answers", out=out, threshold=0.6)
                assert early.leader == late.leader
                assert early.decided
                low = early.options[0].tally / number
                assert agreed(late, 0.6) == (low >= 0.6)
                break
    assert stops > 200


def test_while_others_are_under_way_a_tie_may_still_go_to_an_earlier_seat():
    rules = Deliberation(method="answers", rounds=ONCE, stop="lossless")
    two = [said(1, "1"), said(2, "1")]
    known, out = dict.fromkeys(["c0", "c1", "c2", "c3"], 1.0), {"c0": 1.0, "c3": 1.0}
    assert enough(rules, two, weights=known, out=out)  # in order, c0 could not come first
    order = ["c0", "c1", "c2", "c3"]
    assert not enough(rules, two, weights=known, out=out, order=order)


def test_as_few_are_asked_as_can_settle_the_vote_and_asking_one_by_one_saves_no_more():
    dice = random.Random(7)
    rules = Deliberation(method="answers", rounds=ONCE, stop="lossless")
    steps = {"one": 0, "few": 0}
    for _ in range(800):
        number = dice.randint(2, 7)
        weights = sorted(dice.choice([0.0, 0.5, 1.0, 1.0, 2.5]) for _ in range(number))[::-1]
        everybody = [said(i, dice.choice("1112"), weights[i]) for i in range(number)]
        names = [f"c{i}" for i in range(number)]

        ends = []
        for way in steps:
            done = 0
            while done < number:
                left = [(names[i], weights[i]) for i in range(done, number)]
                size = next_size(everybody[:done], left) if way == "few" else 1
                done, steps[way] = done + size, steps[way] + 1
                known, out = dict(zip(names, weights, strict=True)), dict(left[size:])
                if out and enough(rules, everybody[:done], weights=known, out=out):
                    break
            ends.append((done, count(everybody[:done], method="answers").options[0].answer))
        assert ends[0] == ends[1]
        assert ends[0][1] == count(everybody, method="answers").options[0].answer
    assert steps["few"] < 0.7 * steps["one"]


def test_silence_is_no_agreement():
    rules = Deliberation(method="answers", rounds=ONCE, stop="threshold", threshold=0.7)
    two, out = [said(0, "1"), said(1, "1")], {"c3": 1.0}
    assert enough(rules, two, weights={"c0": 1.0, "c1": 1.0}, out=out)
    assert not enough(rules, two, weights={"c0": 1.0, "c1": 1.0, "c2": 1.0}, out=out)
    assert not enough(rules, [said(0, "1")], weights={"c0": 1.0}, out=out)  # agrees with itself


def test_texts_without_an_answer_are_no_votes_for_a_probability():
    rules = Deliberation(method="answers", rounds=ONCE, stop="beta", sure=0.6)
    texts = [said(0, ""), said(1, "")]
    known, out = {"c0": 1.0, "c1": 1.0}, {"c2": 1.0}
    assert not enough(rules, texts, weights=known, out=out)


@pytest.mark.parametrize(("stop", "needed"), [("beta", 4), ("dirichlet", 4), ("threshold", 5)])
def test_ballots_can_be_enough_too(stop: str, needed: int):
    rules = Deliberation.model_validate({"method": "plurality", "stop": stop, "threshold": 0.7})
    proposals = [said(i, str(i)) for i in range(7)]
    voters = [f"c{i}" for i in range(1, 7)]
    for cast in range(1, 6):
        ballots = [Ballot(voter=name, choice="c0") for name in voters[:cast]]
        out = dict.fromkeys(voters[cast:], 1.0)
        assert enough_ballots(rules, proposals, ballots, out=out) == (cast >= needed)
