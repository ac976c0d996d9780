"""Ballots are read as models write them; in doubt the voter abstains."""

from __future__ import annotations

import random
import time

import pytest

from mom_council.voting.ballots import Candidate, Reading, read_ballot
from mom_council.voting.methods import METHODS

THREE = [Candidate("A", "Ann", "42"), Candidate("B", "Bob", "43"), Candidate("C", "Cy", "44")]
ONE = THREE[:1]

FOR_BOB = [
    "B",
    "b",
    "(B)",
    "B.",
    "**B**",
    "Vote: B",
    "My vote: **B**",
    "I choose Candidate B because A is wrong",
    "Candidate B",
    "vote: b",
    "43",
    "The answer is 43",
    "I vote for 43",
    '{"vote": "B"}',
    '```json\n{"reason": "A is bad", "vote": "B",}\n```',
    'Sure! {"vote": "Candidate B"} Hope',
    "I first liked A. Vote: A. But no. Vote: B",
    "<think>Vote: A</think>B",
    "Vote: A</think>\nB",
    "B because A is wrong",
    "B. 43",
    "B) 43",
    "B: it is right",
    "My vote goes to B.",
    "I vote B",
    "I'd go with B.",
    "The best answer is B",
    "The best candidate is Candidate B.",
    "B is correct.",
    "Candidate B is the best answer; A is wrong",
    "Only B is correct",
    "I do not like A, my vote: B",
    "B > A > C",
    "I don't vote for A. I vote for B.",
    "Bob",
    "I vote for Bob",
    "Vote: B\nA is wrong.",
    "After thought,\n\nB",
    "Vote: B, A is weaker",
    "I would choose option b.",
    '{"vote": "43"}',
    '{"vote": 43}',
    '{"reason":"I choose A","vote":"B"}',
    "A: 7/10, B: 9/10, C: 3/10",
    "A=7, B=9, C=1",
    '{"vote":"A"} Actually, my vote: B',
    "Answer: B",
    "<B>",
    "[B]",
    '"B"',
    "Vote: B over A",
    "**Vote:** B",
    "**Vote: B**",
    "Vote: (B)",
    "Vote - B",
    "#### B",
    "I pick B!",
    '["B"]',
    "\\boxed{B}",
    "I support Candidate B.",
    "vote:B",
    "VOTE: B",
    "Vote for B",
    "I vote for: B",
    "My final vote is B.",
]
FOR_NOBODY = [
    "",
    "A or B",
    "A B",
    "A and B",
    "A better answer would be",
    "I think a lot",
    "A good answer needs care",
    "I cannot choose",
    "I'm sorry, I can't help with that.",
    "abstain",
    "none",
    "neither",
    "Vote: none",
    '{"vote": null}',
    '{"vote": "abstain"}',
    "Vote: A or B",
    "I vote for A and B",
    "Vote: D",
    "D",
    "45",
    "Vote: 45",
    "I choose a better answer",
    "My vote: A better answer is needed",
    "{}",
    "[]",
    "null",
    "A is better than C, B is better than A",
    "Vote: not A",
    "I would not choose A.",
    "banana",
    "A: wrong. B: wrong.",
    "B: 2/10",
    "[1]",
    "I",
    "A, B",
    "If I vote for A they win",
    "Candidates A, B and C are all fine",
    "<think>Vote: B",
    '{"vote": true}',
    '{"vote": ["A","B"]}',
    "B is incorrect",
    "B is not correct.",
    "A: 7, B: 7, C: 1",
    "Which answer is best? A, B or C?",
    "The best answer a model can give is long.",
    "Vote: A/B",
    "I can't decide between A and B.",
]
SCORES = [
    ("A: 8/10, B: 9/10", {"Ann": 8.0, "Bob": 9.0}),
    ("A=7, B=9", {"Ann": 7.0, "Bob": 9.0}),
    ("B: 8/10", {"Bob": 8.0}),
    ("**A**: 8\n**B**: 1/10", {"Ann": 8.0, "Bob": 1.0}),
    ("| A | 8 |\n| B | 10 |", {"Ann": 8.0, "Bob": 10.0}),
    ("A: 11/10, B: 9", {"Bob": 9.0}),
    ("A: 100", {}),
    ("A: 80/100", {}),
    ("A: 4/5", {}),
    ('{"A": 7, "B": 9.5}', {"Ann": 7.0, "Bob": 9.5}),
    ('{"reason":"x","scores":{"A":7,"B":"9/10","C":12}}', {"Ann": 7.0, "Bob": 9.0}),
    ('[{"candidate":"A","score":7}]', {"Ann": 7.0}),
    ("Candidate A scores 8 out of 10", {"Ann": 8.0}),
    ("A (8/10)", {"Ann": 8.0}),
    ("Vote: B", {}),
    ("8", {}),
    ("9/10", {}),
    ("A: -3", {}),
    ("A: 8-9", {}),
    ("A: 8 or 9", {}),
    ("A: 8.5", {"Ann": 8.5}),
    ("A: 1/10", {"Ann": 1.0}),
    ("A: 10/10", {"Ann": 10.0}),
    ("A: 0", {"Ann": 0.0}),
    ('{"A": NaN, "B": Infinity, "C": true}', {}),
    ("A: 6. On reflection, A: 7", {"Ann": 7.0}),
    ("a: 7, b: 9", {"Ann": 7.0, "Bob": 9.0}),
    ("A gets 7 and B gets 9", {"Ann": 7.0, "Bob": 9.0}),
    ("A - 7\nB - 9", {"Ann": 7.0, "Bob": 9.0}),
    ("1. A: 7\n2. B: 9", {"Ann": 7.0, "Bob": 9.0}),
    ("A: 8%", {}),
    ("A: 8,5", {}),
    ("Candidate A: 7\nCandidate B: 6", {"Ann": 7.0, "Bob": 6.0}),
    ("A: **7**/10", {"Ann": 7.0}),
    ("Score A: 7, Score B: 5", {"Ann": 7.0, "Bob": 5.0}),
    ("A: eight", {}),
]
ONE_SCORE = [
    ("8.5", {"Ann": 8.5}),
    ("9/10", {"Ann": 9.0}),
    ("Vote: 8", {"Ann": 8.0}),
    ("1/10", {"Ann": 1.0}),
    ("11/10", {}),
    ("100", {}),
    ("Score: 8/10", {"Ann": 8.0}),
    ("I give it 8 out of 10.", {"Ann": 8.0}),
    ("I would rate this 7.", {"Ann": 7.0}),
    ("**9**", {"Ann": 9.0}),
    ("8/10.", {"Ann": 8.0}),
    ("It is right. 8/10", {"Ann": 8.0}),
    ('{"score": 8}', {"Ann": 8.0}),
    ('{"vote": 8}', {"Ann": 8.0}),
    ("There are 3 reasons.", {}),
    ("A: 8", {"Ann": 8.0}),
    ("10", {"Ann": 10.0}),
    ("-1", {}),
    ("7 or 8", {}),
    ('{"scores": {"A": 8}}', {"Ann": 8.0}),
    ("Rating: 8.", {"Ann": 8.0}),
    ("0/10", {"Ann": 0.0}),
    ("Score: 80/100", {}),
    ("<think>3/10</think>9/10", {"Ann": 9.0}),
    ("I cannot rate this.", {}),
]
RANKINGS = [
    ("B > A > C", ("Bob", "Ann", "Cy")),
    ("1. B 2. A", ("Bob", "Ann")),
    ("1) B\n2) A\n3) C", ("Bob", "Ann", "Cy")),
    ('["B","A"]', ("Bob", "Ann")),
    ('{"ranking": ["B","A","C"]}', ("Bob", "Ann", "Cy")),
    ("Ranking: B, A, C", ("Bob", "Ann", "Cy")),
    ("B, A, C", ("Bob", "Ann", "Cy")),
    ("B\nA\nC", ("Bob", "Ann", "Cy")),
    ("B > A > B", ()),
    ("Vote: B", ("Bob",)),
    ("B", ("Bob",)),
    ("A: 3, B: 9, C: 1", ("Bob", "Ann", "Cy")),
    ("A > B is what I thought first. My ranking: B > A > C", ("Bob", "Ann", "Cy")),
    ('{"ranking": "B > A"}', ("Bob", "Ann")),
    ("1st: B, 2nd: A, 3rd: C", ("Bob", "Ann", "Cy")),
    ("Candidate B > Candidate A", ("Bob", "Ann")),
    ("b > a > c", ("Bob", "Ann", "Cy")),
    ("B, then A, then C", ("Bob", "Ann", "Cy")),
    ("1. Candidate B - good\n2. Candidate A - meh\n3. Candidate C", ("Bob", "Ann", "Cy")),
    ("1. **B**\n2. **A**\n3. **C**", ("Bob", "Ann", "Cy")),
    ('{"ranking":[{"candidate":"B"},{"candidate":"A"}]}', ("Bob", "Ann")),
    ("A good ranking is hard", ()),
    ("A or B", ()),
    ("B ≻ A ≻ C", ("Bob", "Ann", "Cy")),
    ("43 > 42", ()),
    ('["43","42"]', ("Bob", "Ann")),
    ('["B","B"]', ()),
    ("B > A = C", ()),
    ("**B > A > C**", ("Bob", "Ann", "Cy")),
    ("A < B", ()),
]
APPROVALS = [
    ('{"approved": ["A","C"]}', ("Ann", "Cy")),
    ("Approved: A, C", ("Ann", "Cy")),
    ("I approve of A and C", ("Ann", "Cy")),
    ("A and C", ("Ann", "Cy")),
    ("A, C", ("Ann", "Cy")),
    ("A: yes, B: no, C: yes", ("Ann", "Cy")),
    ("Both A and B", ("Ann", "Bob")),
    ("none", ()),
    ("A or B", ()),
    ("B", ("Bob",)),
    ("Vote: B", ("Bob",)),
    ('{"A": true, "B": false}', ("Ann",)),
    ('["A","C"]', ("Ann", "Cy")),
    ("I approve all", ("Ann", "Bob", "Cy")),
    ("I do not approve of A", ()),
    ("A good one", ()),
    ("I approve of A. I do not approve of B.", ("Ann",)),
    ('{"approved": []}', ()),
    ("A: approve\nB: reject\nC: approve", ("Ann", "Cy")),
]


@pytest.mark.parametrize("raw", FOR_BOB)
def test_a_vote_for_the_second_candidate_is_read_in_any_words(raw: str) -> None:
    assert read_ballot(raw, THREE, "plurality").choice == "Bob"


@pytest.mark.parametrize("raw", FOR_NOBODY)
def test_in_doubt_the_voter_abstains(raw: str) -> None:
    reading = read_ballot(raw, THREE, "plurality")
    assert reading.abstained
    assert reading.unread == raw


@pytest.mark.parametrize(("raw", "scores"), SCORES)
def test_scores_are_read_or_left_out_but_never_made_up(raw: str, scores: dict[str, float]) -> None:
    assert read_ballot(raw, THREE, "score").scores == scores


@pytest.mark.parametrize(("raw", "scores"), ONE_SCORE)
def test_a_lone_score_is_that_of_the_one_candidate(raw: str, scores: dict[str, float]) -> None:
    assert read_ballot(raw, ONE, "score").scores == scores


@pytest.mark.parametrize(("raw", "ranking"), RANKINGS)
def test_rankings_are_read_best_first(raw: str, ranking: tuple[str, ...]) -> None:
    assert read_ballot(raw, THREE, "borda").ranking == ranking


@pytest.mark.parametrize(("raw", "approved"), APPROVALS)
def test_approvals_are_read(raw: str, approved: tuple[str, ...]) -> None:
    assert read_ballot(raw, THREE, "approval").approved == approved


def test_of_equal_answers_the_first_shown_is_meant() -> None:
    shown = [
        Candidate("A", "Ann", "43"),
        Candidate("B", "Bob", "The answer is 42."),
        Candidate("C", "Cy", "42"),
    ]
    assert read_ballot("42", shown, "plurality").choice == "Bob"


def test_a_candidate_is_named_by_its_words() -> None:
    shown = [Candidate("A", "Ann", "Plant trees."), Candidate("B", "Bob", "Build dams.")]
    assert read_ballot("Build dams", shown, "plurality").choice == "Bob"


def test_labels_win_over_answers_that_are_letters() -> None:
    shown = [Candidate("A", "Ann", "B"), Candidate("B", "Bob", "C")]
    assert read_ballot("B", shown, "plurality").choice == "Bob"
    assert read_ballot("Vote: C", shown, "plurality").choice == "Bob"


def test_other_labels_than_letters_are_fine() -> None:
    shown = [Candidate("P1", "Ann", "x"), Candidate("P2", "Bob", "y")]
    assert read_ballot("I choose P2, as P1 is wrong.", shown, "plurality").choice == "Bob"


def test_the_reason_is_kept() -> None:
    assert (
        read_ballot('{"reason": "it adds up", "vote": "B"}', THREE, "plurality").reason
        == "it adds up"
    )


def test_a_reading_becomes_a_ballot() -> None:
    ballot = read_ballot("A: 7, B: 9", THREE, "score").ballot(
        "Dee", round=2, weight=0.5, order=["Ann", "Bob"]
    )
    assert (ballot.voter, ballot.round, ballot.weight) == ("Dee", 2, 0.5)
    assert ballot.scores == {"Ann": 7.0, "Bob": 9.0}
    assert not ballot.abstained
    assert Reading(unread="?").ballot("Dee").abstained


def test_without_candidates_there_is_no_vote() -> None:
    assert read_ballot("A", [], "plurality").abstained


@pytest.mark.parametrize("method", ["plurality", "borda", "score", "approval"])
@pytest.mark.parametrize(
    "raw",
    [
        "A " * 20000,
        "(" * 20000,
        "[{" * 10000,
        "vote " * 8000,
        "1. " * 10000,
        "\\boxed{" * 5000,
        "A > " * 9000,
        "answer is " * 4000,
        "8/" * 10000,
        "A, " * 9000,
        '{"a":' * 5000,
    ],
)
def test_hostile_replies_are_read_in_bounded_time(raw: str, method: str) -> None:
    start = time.process_time()
    read_ballot(raw, THREE, method)
    assert time.process_time() - start < 2.0


def test_schemas_put_the_reason_first_and_the_ballot_last() -> None:
    for method, key in {
        "plurality": "vote",
        "approval": "approved",
        "borda": "ranking",
        "score": "scores",
    }.items():
        schema = METHODS[method].form.schema(["A", "B"])  # type: ignore[union-attr]
        assert list(schema["properties"]) == ["reason", key]
        assert schema["required"] == ["reason", key]
        assert schema["additionalProperties"] is False


def test_what_follows_a_schema_is_read() -> None:
    assert read_ballot('{"reason": "", "vote": "A"}', THREE, "plurality").choice == "Ann"
    assert read_ballot('{"reason": "", "vote": "abstain"}', THREE, "plurality").abstained
    assert read_ballot('{"reason": "", "approved": ["C"]}', THREE, "approval").approved == ("Cy",)
    assert read_ballot('{"reason": "", "ranking": ["C", "A"]}', THREE, "borda").ranking == (
        "Cy",
        "Ann",
    )
    assert read_ballot('{"reason": "", "scores": {"A": 0, "B": 10}}', THREE, "score").scores == {
        "Ann": 0,
        "Bob": 10,
    }


def test_any_reply_whatever_is_read_without_an_error_and_within_the_rules() -> None:
    rng = random.Random(3)
    pieces = [
        *"AB ab42{}[]\"':,\n$()>=%-−½🙂\\",
        *["Vote: ", "the answer is ", "8/10", "```json\n", "\\boxed{", "\\frac{1}{2}", "<think>"],
        *[
            "</think>",
            " or ",
            " not ",
            "#### ",
            '"vote"',
            '"scores"',
            "NaN",
            "1e400",
            "1/0",
            "9" * 30,
        ],
    ]
    for _ in range(1500):
        raw = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 25)))
        for method in ("plurality", "borda", "score", "approval"):
            reading = read_ballot(raw, THREE, method)
            fields = (reading.choice, reading.ranking, reading.approved, reading.scores)
            assert sum(map(bool, fields)) <= 1
            assert len(set(reading.ranking)) == len(reading.ranking)
            assert all(0 <= points <= 10 for points in reading.scores.values())


def test_the_questions_options_are_the_answers_that_name_a_candidate() -> None:
    options = {"A": "6.2", "B": "62", "C": "620"}
    shown = [
        Candidate("P1", "Ann", "The answer is B."),
        Candidate("P2", "Bob", "So the total is 62"),
        Candidate("P3", "Cem", "Answer: 620"),
    ]
    for raw, chosen in (("My vote: 62", "Ann"), ("I vote for C", "Cem"), ("Vote: P2", "Bob")):
        assert read_ballot(raw, shown, "plurality", options=options).choice == chosen, raw
    cut = [Candidate("P1", "Ann", "There are 60 or 61"), Candidate("P2", "Bob", "Answer: B")]
    assert read_ballot("My vote: 61", cut, "plurality", options=options).choice is None
