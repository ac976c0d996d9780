"""How sure a verdict is, in words: on the label, in the count, on the page."""

from __future__ import annotations

from mom_council.cli.words import label
from mom_council.councils.schema import Deliberation
from mom_council.records import Option, Status, Verdict
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
    (line,) = label(Status(council="desk", verdict=SURE))
    assert line == "Confidence: right with 93 %, fitted on 339 questions of 'sums'"
    assert "right with 93 %, fitted on 339 questions of 'sums'" in explain(SURE, Deliberation())
    assert "right with 93%" in headline(Status(council="desk", verdict=SURE))


def test_an_unknown_confidence_is_called_unknown_and_no_share_stands_for_it():
    (line,) = label(Status(council="desk", verdict=VERDICT))
    assert line.startswith("Confidence: unknown; `mom weights fit` learns it")
    assert "right with" not in explain(VERDICT, Deliberation())
    assert "right with" not in headline(Status(council="desk", verdict=VERDICT))


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
