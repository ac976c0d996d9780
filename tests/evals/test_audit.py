"""Does a council pay? Audits of panels whose truth is known, and of the shipped recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from mom_council import evals
from mom_council.councils.recording import RecordingError, read_recording
from mom_council.evals.audit import as_markdown, audit
from mom_council.tests.evals.panels import made_up

SHIPPED = Path(evals.__file__).parent / "recorded" / "tiny.jsonl"


def names(number: int) -> list[str]:
    return [f"m{at}" for at in range(number)]


def test_a_council_of_independent_equals_pays() -> None:
    report = audit(made_up([0.65] * 5, 600), names(5))
    assert report.pays
    assert report.voices > 4
    assert report.gain["weighted"].low > 0


def test_questions_that_nobody_has_judged_are_not_ones_on_which_all_are_wrong() -> None:
    questions = made_up([0.65] * 5, 600)
    unjudged = [
        one.model_copy(update={"id": f"open {one.id}", "gold": None}) for one in questions[:300]
    ]
    assert audit([*questions, *unjudged], names(5)) == audit(questions, names(5))
    with pytest.raises(RecordingError, match="right answer, at least; there are 5 and 0"):
        audit(unjudged, names(5))


def test_a_council_of_clones_does_not() -> None:
    questions = [
        question.model_copy(update={"models": dict.fromkeys(names(3), question.models["m0"])})
        for question in made_up([0.6], 300)
    ]
    report = audit(questions, names(3))
    assert report.pays is not True
    assert report.voices == pytest.approx(1)
    assert report.error_correlation == pytest.approx(1)
    assert len(report.drop) == 2
    assert report.without is not None
    assert report.without.value == 0


def test_the_rate_at_which_all_are_wrong_has_its_bounds() -> None:
    report = audit(made_up([0.5, 0.5], 800), names(2))
    assert report.all_wrong.low < 0.25 < report.all_wrong.high


def test_who_adds_most_has_the_greatest_margin() -> None:
    report = audit(made_up([0.9, 0.3, 0.3], 600, options=3), names(3))
    assert report.best_member == "m0"
    assert max(report.members, key=lambda each: each.marginal.value).model == "m0"


def test_a_recording_of_one_fold_is_split_and_the_split_is_stable() -> None:
    questions = [each.model_copy(update={"fold": "eval"}) for each in made_up([0.7] * 3, 100)]
    report = audit(questions, names(3))
    assert report.questions == 50
    assert report == audit(questions[::-1], names(3))


@pytest.mark.parametrize("models", [["m0"], ["m0", "m0"], ["m0", "nobody"]])
def test_what_cannot_be_audited_is_refused(models: list[str]) -> None:
    with pytest.raises(RecordingError):
        audit(made_up([0.7] * 2, 20), models)


def test_the_shipped_recording_is_of_real_replies() -> None:
    questions = list(read_recording(SHIPPED))
    assert len(questions) >= 100
    assert all(answer.text for each in questions for answer in each.models.values())
    text = as_markdown(audit(questions, sorted(questions[0].models)))
    assert "independent voices" in text
    assert "tiny-1" in text
