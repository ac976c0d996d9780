"""The whole graph on recorded answers decides as the rules by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mom_council import evals
from mom_council.benchmarks.replayed import as_markdown, compare, main
from mom_council.councils.recording import load_recording, read_panels
from mom_council.tests.evals.recorded import kept, sums

SHIPPED = Path(evals.__file__).parent / "recorded"


@pytest.mark.slow
async def test_every_rule_decides_the_same_in_the_graph():
    questions = load_recording(SHIPPED / "tiny.jsonl")
    models = read_panels(SHIPPED / "panels.json")["tiny"].panel
    found = await compare(questions, models, dataset="tiny", number=24)
    assert {one.rule for one in found} >= {
        "learned",
        "lossless exit",
        "fitted, as it is by default",
    }
    for one in found:
        assert (one.winners, one.calls) == (0, 0), one
        assert one.accuracy == pytest.approx(one.through_graph), one
        assert one.confidence is None or one.confidence < 1e-9, one
    assert next(one for one in found if one.rule == "lossless exit").saved > 0.1


@pytest.mark.slow
async def test_a_cascade_and_larger_panels_do_too():
    found = await compare(sums(240), ("ant", "bee", "cat", "dog", "owl"), strong="owl", number=20)
    told = {one.rule: one for one in found}
    assert all((one.winners, one.calls) == (0, 0) for one in found)
    assert "cascade" in told
    assert told["fitted, as it is by default"].saved > 0
    assert "| , panel: cascade" in as_markdown(found)


@pytest.mark.slow
async def test_with_few_labels_the_winners_are_the_same():
    """A council with few labels asks first whom its vote believes most, not who was right most."""
    found = await compare(sums(60), ("ant", "bee", "cat", "dog", "owl"), strong="owl", number=20)
    assert all(one.winners == 0 for one in found)


def test_the_command_compares_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kept(tmp_path / "sums.jsonl", sums(60))
    panels = {"sums": {"panel": ["ant", "bee", "cat"]}}
    (tmp_path / "panels.json").write_text(json.dumps(panels))
    assert main([str(tmp_path), "--questions", "4", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 8  # the fitted default is one more
    assert main([str(tmp_path / "nowhere")]) == 2
