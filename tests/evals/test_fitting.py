"""Teaching the ledger from a recording, and what a council then knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from mom_council.councils.recording import write_recording
from mom_council.councils.schema import Council
from mom_council.errors import UnknownNameError
from mom_council.evals.fitting import teach
from mom_council.models.ledger import Ledger
from mom_council.models.resolved import member_models
from mom_council.tests.evals.recorded import kept, replayed, sums
from mom_council.tests.graph.desk import ask
from mom_council.voting.calibration import calibration_error
from mom_council.voting.fitted import Trust

PANEL = ("ant", "bee", "cat", "owl")


def trust_of(council: Council) -> Trust:
    return Ledger().trust(member_models(council), council.seats[0], "sums")


def test_it_learns_outcomes_and_fits_the_panel_and_any_panel(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl", sums(200))
    learned = teach(Ledger(), path, council=replayed(path, PANEL))
    assert learned.answers == 100 * 5
    assert [len(one.models) for one in learned.fits] == [0, 4]
    fitted = learned.fits[1]
    assert (fitted.kind, fitted.questions, fitted.models[0]) == ("sums", 100, "owl")
    assert all(weight >= 0 for weight in (*fitted.weights, *fitted.joint))
    trust = trust_of(replayed(path, PANEL))
    assert trust.fitted == fitted
    assert trust.weights["Owl"] == max(trust.weights.values())
    assert trust_of(replayed(path, ("ant", "bee"))).fitted is None
    assert Ledger().kinds() == ("sums",)


async def test_what_was_fitted_is_how_sure_a_council_says_it_is(tmp_path: Path):
    questions = sums(400)
    path = kept(tmp_path / "sums.jsonl", questions)
    teach(Ledger(), path, council=replayed(path, PANEL))
    pairs = []
    for question in [one for one in questions if one.fold == "eval"][:60]:
        status = (await ask(replayed(path, PANEL), question.question))["status"]
        verdict = status.verdict
        assert verdict.basis == "200 questions of 'sums'"
        pairs.append((verdict.confidence, float(verdict.options[0].answer == question.gold)))
    error = calibration_error([sure for sure, _ in pairs], [true for _, true in pairs])
    assert error < 0.15
    assert len({round(sure, 3) for sure, _ in pairs}) > 3


async def test_another_kind_of_question_knows_nothing(tmp_path: Path):
    questions = sums(60)
    path = kept(tmp_path / "sums.jsonl", questions)
    teach(Ledger(), path)
    council = replayed(path, PANEL, deliberation={"topic": "law"})
    status = (await ask(council, questions[0].question))["status"]
    assert status.verdict.confidence is None


def test_a_seat_is_known_by_the_model_that_answered_for_it(tmp_path: Path):
    questions = [
        one.model_copy(
            update={
                "models": {
                    name: answer.model_copy(update={"model": f"openai/{name}"})
                    for name, answer in one.models.items()
                }
            }
        )
        for one in sums(60)
    ]
    path = tmp_path / "seats.jsonl"
    write_recording(path, questions)
    fitted = teach(Ledger(), path).fits[1]
    assert set(fitted.models) == {f"openai/{name}" for name in questions[0].models}
    assert ("openai/owl", "sums") in Ledger().outcomes()


def test_a_council_of_strangers_is_not_fitted(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl", sums(60))
    other = kept(tmp_path / "other.jsonl", [
        one.model_copy(update={"models": {"yak": one.models["ant"], "owl": one.models["owl"]}})
        for one in sums(4)
    ])  # fmt: skip
    with pytest.raises(UnknownNameError, match="'yak' was not recorded"):
        teach(Ledger(), path, council=replayed(other, ("yak", "owl")))


def test_what_is_forgotten_is_fitted_no_more(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl", sums(60))
    teach(Ledger(), path)
    Ledger().reset("owl")
    assert [one.models for one in Ledger().fits()] == [()]
    Ledger().reset()
    assert Ledger().fits() == []
