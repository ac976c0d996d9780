"""How sure a verdict is, in words: on the label, in the count, on the page."""

from __future__ import annotations

import pytest

from mom_council.councils.schema import Deliberation
from mom_council.records import Option, Status, Usage, Verdict
from mom_council.runs.words import cost, disagreement, label, tally, writing_speed
from mom_council.ui.words import headline
from mom_council.voting.stopping import explain

VERDICT = Verdict(
    method="answers",
    options=(Option(members=("Ada", "Boris"), answer="42", tally=2, share=1.0),),
    leader="Ada",
    share=1.0,
    stop_reason="agreed",
)
SURE = VERDICT.model_copy(update={"confidence": 0.93, "basis": "339 questions of 'sums'"})


def test_a_fitted_confidence_is_said_with_what_it_was_fitted_on():
    assert label(Status(council="desk", verdict=SURE)) == [], "it stands above the answer"
    assert "93 % likely to be right (learned from 339 questions of 'sums')" in explain(
        SURE, Deliberation()
    )
    assert "right with 93%" in headline(Status(council="desk", verdict=SURE))


def test_of_an_unknown_confidence_nothing_is_said_and_no_share_stands_for_it():
    assert label(Status(council="desk", verdict=VERDICT)) == []
    assert "likely to be right" not in explain(VERDICT, Deliberation())
    assert "right with" not in headline(Status(council="desk", verdict=VERDICT))


def test_dissent_is_said_where_somebody_was_against_the_answer_and_without_marks():
    report = "**Cats** are `quieter` " + "than any dog is, " * 20
    status = Status(council="desk", verdict=VERDICT, dissent=("Clara",), minority_report=report)
    assert label(status) == []
    split = VERDICT.model_copy(update={"share": 0.6})
    (line,) = label(status.model_copy(update={"verdict": split}))
    assert line.startswith("Clara disagrees: Cats are quieter than any dog is,")
    assert line.endswith(" than …")


def test_several_who_disagree_are_one_line_with_the_strongest_of_their_views():
    assert disagreement(("Clara", "Dan"), "It is **41**.") == [
        "Clara, Dan disagree; the strongest other view: It is 41."
    ]
    assert disagreement(("Clara", "Dan")) == ["Clara, Dan disagree"]
    assert disagreement(("Clara",)) == ["Clara disagrees"]
    assert disagreement((), "It is 41.") == ["The strongest other view: It is 41."]
    assert disagreement(()) == []


def test_who_voted_with_the_others_is_said_also_where_nobody_is_against_the_answer():
    options = (*VERDICT.options, Option(members=("Clara",), answer="41"), Option(members=("Dan",)))
    verdict = VERDICT.model_copy(update={"options": options})
    status = Status(council="desk", verdict=verdict, joined=("Clara", "Dan"))
    assert label(status) == [
        "Clara proposed 41, then voted with the others",
        "Dan proposed another answer, then voted with the others",
    ]


def test_an_answer_is_shown_as_it_was_written():
    options = (
        Option(members=("Marta", "Idris"), answer="canberra", tally=2, share=0.83),
        Option(members=("Boris",), answer="9", tally=1, share=0.17),
    )
    texts = {"Marta": "The capital. Answer: Canberra", "Boris": "Answer: 19"}
    said = tally(VERDICT.model_copy(update={"options": options}), texts)
    assert said == "83% Canberra (Marta, Idris) | 17% 9 (Boris)"


def test_a_price_is_said_where_there_is_one_and_missed_where_somebody_sends_a_bill():
    usage = Usage(calls=2, input_tokens=3, output_tokens=4)
    assert cost(usage, 1.0) == "1.0 s · 2 calls · 7 tokens"
    assert cost(usage, 1.0, costs_money=True).endswith("· no prices set")
    priced = usage.model_copy(update={"usd": 0.5})
    assert cost(priced, 1.0, costs_money=True).endswith("· $0.5000")


def test_an_open_answer_has_no_confidence_to_speak_of():
    option = Option(members=("Ada",), tally=1, share=1.0)
    open_ = VERDICT.model_copy(update={"options": (option,)})
    assert label(Status(council="desk", verdict=open_)) == []


def test_who_was_not_needed_is_counted_in_the_sentence():
    settled = VERDICT.model_copy(update={"spared": 3, "stop_reason": "decided", "share": 0.6})
    told = explain(settled, Deliberation(stop="lossless", method="answers"))
    assert "whatever the others said, that would stay; 3 did not have to answer" in told
    sure = SURE.model_copy(update={"spared": 1, "stop_reason": "sure"})
    told = explain(sure, Deliberation(stop="calibrated", method="answers"))
    assert "that was sure enough to stop asking; 1 did not have to answer" in told


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("**41**.", "41."),
        ("It is `x_1`, *not* `x_2`", "It is x_1, not x_2"),
        ("# Answer\n> - **Cats**, __really__", "Answer Cats, really"),
        ("3 * 4 > 5, and a_b_c in C#", "3 * 4 > 5, and a_b_c in C#"),
        ("2*3*4 = 24", "2*3*4 = 24"),
        ("- 5 degrees\n-7", "5 degrees -7"),
    ],
)
def test_another_view_loses_the_marks_of_markdown_and_keeps_its_signs(written: str, shown: str):
    assert disagreement(("Clara",), written) == [f"Clara disagrees: {shown}"]


@pytest.mark.parametrize(
    ("seconds", "first_token", "speed"),
    [(4.0, 2.0, 7.0), (4.0, None, 3.5), (0.006, None, None), (2.0, 1.95, None), (0.1, 0.0, 140.0)],
)
def test_a_speed_is_said_where_the_time_was_long_enough_to_measure(
    seconds: float, first_token: float | None, speed: float | None
) -> None:
    usage = Usage(calls=1, output_tokens=14, seconds=seconds)
    assert writing_speed(usage, first_token) == speed
