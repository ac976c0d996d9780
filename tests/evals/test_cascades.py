"""Cascades of recorded models: the command's council answers as the rule that was chosen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mom_council.cli.weights import app
from mom_council.councils.loader import council_from_yaml
from mom_council.councils.recording import (
    RecordedAnswer,
    RecordedQuestion,
    load_recording,
    write_recording,
)
from mom_council.errors import UnknownNameError
from mom_council.evals.cascades import cascade_from_recording, cascading, fit_cascade
from mom_council.evals.cases import read_cases
from mom_council.evals.fitting import judge
from mom_council.evals.run import evaluate
from mom_council.evals.sheet import lay_out
from mom_council.tests.evals.panels import made_sheet

MODELS = {"ant": 0.85, "bee": 0.86, "cat": 0.87, "free": 0.9, "owl": 0.96}
PRICES = {"ant": 0.001, "bee": 0.002, "cat": 0.002, "free": None, "owl": 0.05}


def recorded(
    path: Path, number: int = 240, *, labels: bool = True, owl: float | None = 0.05
) -> Path:
    """Sums that are hard for everybody, or easy; the strong one is silent now and then."""
    dice = random.Random(3)
    questions = []
    for at in range(number):
        one, other, hard = dice.randint(10, 99), dice.randint(10, 99), dice.random()
        answers = {}
        for name, skill in MODELS.items():
            said: int | None = one + other if hard < skill else dice.randint(200, 299)
            if name == "owl" and dice.random() < 0.05:
                said = None
            answers[name] = RecordedAnswer(
                ans=None if said is None else str(said),
                ok=int(labels and said == one + other),
                usd=owl if name == "owl" else PRICES[name],
            )
        questions.append(
            RecordedQuestion(
                id=f"sum-{at}",
                dataset="sums",
                fold="cal" if at % 2 else "eval",
                question=f"Number {at}: what is {one} + {other}?",
                gold=str(one + other) if labels else None,
                models=answers,
            )
        )
    write_recording(path, questions)
    return path


async def test_the_written_council_answers_as_the_rule_does(tmp_path: Path):
    path = recorded(tmp_path / "sums.jsonl")
    result = CliRunner().invoke(app, ["cascade", str(path), "--strong", "owl"])
    assert result.exit_code == 0, result.output
    council = council_from_yaml(result.stdout)
    assert council.deliberation.cascade
    assert council.deliberation.escalation == "decides"
    assert "% of the price of owl" in result.stderr
    cheap = [council.models[council.character(name).model].model for name in council.seats[0]]
    assert "free" not in cheap  # nobody knows its price
    cases = read_cases(path, fold="eval")
    found = await evaluate(council, cases, concurrency=8, samples=0)

    choice, _ = cascade_from_recording(path, "owl")
    sheet = lay_out(load_recording(path), [*MODELS]).fold("eval")
    rule = cascading(choice.cascade)
    decided = [(rule(line), line) for line in sheet.lines]
    assert found.system("council").accuracy.value == pytest.approx(
        sum(one.score(line) for one, line in decided) / len(decided)
    )
    assert found.system("council").usd == pytest.approx(
        sum(one.usd for one, _ in decided) / len(decided)
    )


def test_where_nothing_is_saved_the_council_is_the_strong_one_and_it_is_said(tmp_path: Path):
    path = recorded(tmp_path / "sums.jsonl", owl=0.002)
    result = CliRunner().invoke(app, ["cascade", str(path), "--strong", "owl"])
    council = council_from_yaml(result.stdout)
    assert [who.name.partition(" ")[0] for who in council.characters] == ["owl"]
    assert "alone" in result.stderr
    assert not council.deliberation.cascade


def test_a_recording_without_labels_will_do(tmp_path: Path):
    path = recorded(tmp_path / "sums.jsonl", labels=False)
    choice, council = cascade_from_recording(path, "owl")
    assert choice.labelled == 0
    assert choice.saves
    assert choice.cascade.agreeing >= 3
    assert council.deliberation.threshold == choice.cascade.threshold


def test_questions_that_nobody_has_judged_yet_are_no_failures(tmp_path: Path):
    path = recorded(tmp_path / "sums.jsonl", labels=False)
    questions = list(load_recording(path))
    for at in (1, 3, 5):  # as `mom weights ask` leaves a recording
        questions[at] = judge(questions[at], questions[at].models["owl"].ans or "0")
    write_recording(path, questions)
    choice, _ = cascade_from_recording(path, "owl")
    assert (choice.questions, choice.labelled) == (120, 3)
    assert choice.saves


def test_a_question_on_which_all_are_wrong_is_judged(tmp_path: Path):
    path = recorded(tmp_path / "sums.jsonl")
    questions = list(load_recording(path))
    questions[1] = judge(questions[1], "none of these")
    write_recording(path, questions)
    assert cascade_from_recording(path, "owl")[0].labelled == 120


def test_an_unknown_strong_one_is_refused(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="'eagle' is no character"):
        cascade_from_recording(recorded(tmp_path / "sums.jsonl"), "eagle")


def test_a_cascade_of_a_sheet_asks_the_strong_one_only_where_the_cheap_disagree() -> None:
    sheet = made_sheet([0.9, 0.9, 0.9, 0.97], 1200, prices=[1e-4, 1e-4, 1e-4, 1e-2])
    choice = fit_cascade(sheet.fold("cal"), 3)
    assert choice.saves
    rule = cascading(choice.cascade)
    asked = [rule(line).asked for line in sheet.fold("eval").lines]
    assert min(asked) == choice.cascade.agreeing
    assert max(asked) <= 4


def test_a_panel_that_says_nothing_is_left_to_the_strong_one() -> None:
    sheet = made_sheet([0.8, 0.8, 0.8, 0.9], silent=1.0)
    assert not fit_cascade(sheet, 3).saves
