"""The goals of the votes: measured, compared, written into a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mom_council import evals
from mom_council.benchmarks import confidence_prior, drawn_anew
from mom_council.benchmarks.votes import Goal, as_markdown, main
from mom_council.councils.recording import Panels, read_recording, write_recording
from mom_council.tests.evals.panels import made_up

SHIPPED = Path(evals.__file__).parent / "recorded"
PAGE = "Before.\n\n| goal of the votes | old |\n|---|---|\n| gone | 1 |\n\nAfter.\n"


def test_a_figure_is_met_at_its_bound_and_missed_beyond_it() -> None:
    assert Goal("gain", "set", 0.6, 0.6).met
    assert not Goal("gain", "set", 0.59, 0.6).met
    assert Goal("error", "set", 0.06, 0.06, at_least=False).text == "met: 0.06 (max 0.06)"
    assert Goal("error", "set", 0.0604, 0.06, False, 3).text == "missed: 0.060 (max 0.06)"


def test_what_is_missed_stands_in_bold_and_a_recording_without_a_figure_is_left_empty() -> None:
    page = as_markdown([Goal("gain", "one", 1, 2), Goal("saved", "two", 3, 2)])
    head, _, gain, saved = page.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["goal of the votes", "one", "two"]
    assert "**missed: 1.00 (min 2)**" in gain
    assert gain.rstrip(" |").endswith("**")
    assert saved.split("|")[2].strip() == ""
    assert "met: 3.00" in saved


def test_the_recording_that_ships_is_measured_where_no_folder_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOM_RECORDINGS", raising=False)
    assert main(["--seeds", "0"]) == 0
    said = capsys.readouterr().out
    assert "tiny" in said
    assert "goals are met" in said


def test_a_folder_is_taken_from_the_environment_and_a_page_is_remade(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(tmp_path / "made.jsonl", made_up([0.8] * 5 + [0.95], 200))
    seats = Panels(panel=("m0", "m1", "m2", "m3", "m4"), strong="m5")
    (tmp_path / "panels.json").write_text(json.dumps({"made": seats.model_dump()}))
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    monkeypatch.setenv("MOM_RECORDINGS", str(tmp_path))
    missed = main(["--seeds", "0", "--check", "--write", str(page)])
    written = page.read_text()
    assert written.startswith("Before.\n\n| goal of the votes ")
    assert written.endswith("\n\nAfter.\n")
    assert "gone" not in written
    assert missed == int("missed: " in written)
    for goal in ("draw 0: mean gain", "winners changed", "cascade, panel", "error with 50 labels"):
        assert goal in written
    assert "goals are met" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "absent")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_too_few_models_to_hold_some_out_measure_no_confidence() -> None:
    recordings = {"tiny": tuple(read_recording(SHIPPED / "tiny.jsonl"))}
    assert confidence_prior.measure(recordings) == []
    [held] = confidence_prior.measure(recordings, splits=1, panels=1, shipped_figures=True)
    assert held.voices == 3


def test_panels_drawn_anew_change_no_winner_and_go_into_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recording(tmp_path / "made.jsonl", made_up([0.6, 0.65, 0.7, 0.75, 0.8, 0.9], 240))
    page = tmp_path / "page.md"
    page.write_text("| drawn anew: mean (worst), points | old |\n|---|---|\n| gone | 1 |\n")
    assert drawn_anew.main([str(tmp_path), "--seeds", "1", "--write", str(page)]) == 0
    _, _, row = capsys.readouterr().out.strip().splitlines()
    name, saved, before, flips, *_ = (cell.strip() for cell in row.strip("|").split("|"))
    assert name == "made, 5 voices"
    assert int(saved) >= int(before) > 0
    assert flips == "0"
    assert "made, 5 voices" in page.read_text()
    assert drawn_anew.main([str(tmp_path / "nowhere")]) == 2
