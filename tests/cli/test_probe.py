"""`mom probe`, on the models that come with the package."""

from __future__ import annotations

import json
from pathlib import Path

from mom_council.evals.probing.abilities import questions
from mom_council.evals.probing.report import ProbeReport

from .conftest import Mom


def test_a_tiny_model_is_probed_and_its_report_written(mom: Mom, tmp_path: Path) -> None:
    called = mom("probe", "embedded:tiny-1", "--json", "--context", "256", "--out", str(tmp_path))
    assert called.code == 0
    report = ProbeReport.model_validate(called.object)
    [one] = report.models
    assert (one.model, one.provider, report.complete) == ("embedded:tiny-1", "embedded", True)
    assert one.score("proposer") > 0, "it knows small sums"
    assert one.probes["streaming"].state == "yes"
    assert one.probes["vision"].state == "no"
    speed = one.tokens_per_second
    assert speed is None or speed > 1, "none where it writes faster than can be measured"
    assert one.calls > 15
    written = json.loads((tmp_path / "proposers.json").read_text("utf-8"))
    assert [*written] == [case.prompt for case in questions().proposer]
    assert written["What is 9 - 4?"]["embedded:tiny-1"].strip()
    assert "embedded:tiny-1: tools" in called.err


def test_what_cannot_be_probed_is_said_in_one_line(mom: Mom) -> None:
    mom("probe").refuses(2, "mom probe ollama:llama3.2")
    mom("probe", "nobody", "-c", "home").refuses(3, "'nobody'", "provider:model")
    called = mom("probe", "openai:some-model", "--json")
    assert called.code == 4
    assert "OPENAI_API_KEY" in called.object["models"][0]["probes"]["proposer"]["says"]
