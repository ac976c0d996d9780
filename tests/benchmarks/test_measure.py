"""The table of the decision rules, its JSON, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mom_council import evals
from mom_council.benchmarks.extraction import compare_reading, same_recorded
from mom_council.benchmarks.measure import main, measure_panel
from mom_council.benchmarks.measure_tables import with_tables
from mom_council.benchmarks.targets import Target
from mom_council.councils.recording import Panels, RecordedAnswer, RecordedQuestion, write_recording
from mom_council.tests.evals.panels import made_up
from mom_council.voting.reading import Answer, read_value

SHIPPED = Path(evals.__file__).parent / "recorded"


def test_the_shipped_recording_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SHIPPED)]) == 0
    said = capsys.readouterr().out
    assert "tiny, panel of 3" in said
    assert "lossless exit" in said
    assert "learned votes" in said


def test_targets_that_are_met_exit_with_zero_and_json_has_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recording(tmp_path / "made.jsonl.gz", made_up([0.8] * 5 + [0.95], 200))
    seats = Panels(panel=("m0", "m1", "m2", "m3", "m4"), strong="m5")
    (tmp_path / "panels.json").write_text(json.dumps({"made": seats.model_dump()}))
    assert main([str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["panels"][0]["exit_flips"] == 0
    assert said["panels"][0]["cascade"]["price"] > 0
    assert {each["met"] for each in said["targets"] if "winners" in each["name"]} == {True}


def test_cross_fitting_scores_every_question_once() -> None:
    questions = made_up([0.7] * 3, 100)
    assert measure_panel("x", "panel", questions, ["m0", "m1", "m2"]).questions == 50
    both = measure_panel("x", "panel", questions, ["m0", "m1", "m2"], cross=True)
    assert both.questions == 100


def test_a_folder_without_panels_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "panels.json" in capsys.readouterr().err


def test_a_panel_without_its_recording_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "panels.json").write_text('{"absent": {"panel": ["m0"]}}')
    assert main([str(tmp_path)]) == 2
    assert "'absent'" in capsys.readouterr().err


def test_one_fold_is_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = [each.model_copy(update={"fold": "eval"}) for each in made_up([0.7], 10)]
    write_recording(tmp_path / "one.jsonl", questions)
    (tmp_path / "panels.json").write_text('{"one": {"panel": ["m0"]}}')
    assert main([str(tmp_path)]) == 2
    assert "both folds" in capsys.readouterr().err


def test_a_target_is_met_at_its_bound() -> None:
    assert Target(name="x", value=0.5, bound=0.5, at_least=True).met
    assert not Target(name="x", value=0.4, bound=0.5, at_least=True).met
    assert Target(name="x", value=0.4, bound=0.5, at_least=False).met


def value(text: str) -> Answer:
    """A text as the reader takes it in an answer's place."""
    read = read_value(text)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("recorded", "read"),
    [("0.333333", "1/3"), ("42", "42"), ("1/2", "0.5"), ("$5", "5"), ("New York", "new york")],
)
def test_one_answer_written_in_two_places(recorded: str, read: str) -> None:
    assert same_recorded(recorded, value(read))


def test_other_answers_are_other() -> None:
    assert not same_recorded("0.33", value("1/3"))
    assert not same_recorded("A", value("B"))


def test_reading_is_compared_where_both_read() -> None:
    tails = {
        "same": RecordedAnswer(ans="42", tail="so the answer is 42."),
        "other": RecordedAnswer(ans="41", tail="so the answer is 42."),
        "missed": RecordedAnswer(ans="41", tail="and so on and so forth"),
        "gained": RecordedAnswer(ans=None, tail="the answer is 42"),
        "untold": RecordedAnswer(ans="42"),
    }
    found = compare_reading([RecordedQuestion(id="q", models=tails)])
    assert (found.both, found.equal, found.missed, found.gained) == (2, 1, 1, 1)
    assert found.share == 0.5
    assert found.raw_share == pytest.approx(1 / 3)
    assert (found.held, found.held_share) == (1, 1.0)  # no other end holds the recorded answer
    assert found.differing == (("q", "other", "41", "42"),)


def test_the_tables_of_a_page_are_remade_and_nothing_else() -> None:
    page = "# Page\n\n| one | x |\n|-----|--:|\n| a   | 1 |\n\nText.\n\n| other |\n|---|\n| b |\n"
    fresh = "| one | x |\n|-----|--:|\n| a   | 2 |\n| b   | 3 |\n\n| new |\n|-----|\n"
    remade = with_tables(page, fresh)
    assert remade == page.replace("| a   | 1 |", "| a   | 2 |\n| b   | 3 |")
