"""Keeping what models answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from mom_council.councils.recording import RecordingError, load_recording, read_recording
from mom_council.evals.asking import from_traces, record
from mom_council.evals.cases import Case, read_cases
from mom_council.evals.scorers import SCORERS, Mark, suits
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import desk, question, said, seat, written
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tracing.local import local_trace, wait_for_traces

CASES = [
    Case(id="one", question="What is 17 + 25?", gold="42", fold="cal", dataset="sums"),
    Case(id="two", question="Which is a bird?", gold="B", options=("a dog", "an owl")),
]


async def test_each_member_is_asked_once_alone_and_kept_with_its_cost(stage: Stage, tmp_path: Path):
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: B"})
    stage.model("ada", reply=Reply("I add.\n\nAnswer: 42", usage=(20, 5)))
    path = tmp_path / "kept.jsonl.gz"
    written_ = written(stage, ("Ada", "Boris"))
    written_["models"]["ada"]["price"] = {"input": 1, "output": 2}
    from mom_council.councils.loader import load_council

    told: list[tuple[int, int]] = []
    await record(load_council(written_), CASES, path, progress=lambda *at: told.append(at))
    one, two = load_recording(path)
    assert (one.id, one.fold, one.gold, two.options) == ("one", "cal", "42", ("a dog", "an owl"))
    ada = one.models["Ada"]
    assert (ada.ans, ada.ok, ada.text, ada.model) == (
        "42",
        1,
        "I add.\n\nAnswer: 42",
        "openai/ada",
    )
    assert (ada.input_tokens, ada.output_tokens, ada.usd) == (20, 5, 30 / 1e6)
    assert (two.models["Boris"].ok, two.models["Ada"].ok) == (1, 0)
    assert told == [(1, 2), (2, 2)]
    assert len(stage.calls) == 4
    assert all("You count twice." not in said(c.body) for c in stage.calls_to("boris"))
    assert any("A. a dog\nB. an owl" in said(c.body) for c in stage.calls_to("ada"))


async def test_a_recording_is_gone_on_with_where_it_broke_off(stage: Stage, tmp_path: Path):
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 42"})
    stage.model("boris", reply="Answer: 42", faults=[Fault.status(500)])
    path = tmp_path / "kept.jsonl"
    council = desk(stage, ("Ada", "Boris"))
    await record(council, CASES[:1], path)
    assert set(load_recording(path)[0].models) == {"Ada"}
    await record(council, CASES, path)
    assert [set(one.models) for one in load_recording(path)] == [{"Ada", "Boris"}] * 2
    stage.clear()
    await record(council, CASES, path)
    assert stage.calls == []


async def test_what_was_recorded_can_be_replayed_and_read_as_data(stage: Stage, tmp_path: Path):
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 24"})
    path = tmp_path / "kept.jsonl"
    await record(desk(stage, ("Ada", "Boris")), CASES, path)
    assert [case.prompt for case in read_cases(path)] == [case.prompt for case in CASES]
    council = _of(path)
    state = await compile_council(council).ainvoke(question(CASES[0].prompt))
    assert state["status"].spoke == ("Ada", "Boris")
    assert state["messages"][-1].text == "Answer: 42"


async def test_our_traces_become_a_recording(stage: Stage, tmp_path: Path):
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 24", "Clara": "Answer: 42"}, likes="42")
    asked = "What is\n\n17 + 25?  " + "Think well. " * 60
    council = desk(stage, deliberation={"rounds": {"min": 2, "max": 2}, "ballots": "always"})
    with local_trace(council="desk"):
        await compile_council(council).ainvoke(question(asked))
    wait_for_traces()
    (one,) = from_traces()
    assert one.question == asked.strip()
    assert {name: answer.ans for name, answer in one.models.items()} == {
        "Ada": "42",
        "Boris": "24",
        "Clara": "42",
    }
    assert one.gold is None


async def test_a_question_that_reads_like_a_ballot_is_still_an_answer(stage: Stage):
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 24"})
    with local_trace(council="desk"):
        await compile_council(desk(stage, ("Ada", "Boris"))).ainvoke(
            question('What does <candidate label="A"> mean?')
        )
    wait_for_traces()
    (one,) = from_traces()
    assert set(one.models) == {"Ada", "Boris"}


def _of(path: Path):
    from mom_council.councils.loader import load_council

    return load_council(
        {
            "name": "replayed",
            "models": {
                name: {
                    "provider": "replay",
                    "model": name,
                    "params": {"recording": str(path)},
                }
                for name in ("Ada", "Boris")
            },
            "characters": [{"name": name, "model": name} for name in ("Ada", "Boris")],
            "synthesizer": {"model": "Ada"},
            "thermal": None,
        }
    )


async def test_a_fault_at_one_question_leaves_out_that_question_alone(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fragile(text: str, case: Case) -> Mark:
        if case.id == "one":
            raise ZeroDivisionError("at one question")
        return SCORERS[suits(case)](text, case)

    monkeypatch.setitem(SCORERS, "fragile", fragile)
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: B"})
    path = tmp_path / "kept.jsonl"
    council = desk(stage, ("Ada", "Boris"))
    assert await record(council, CASES, path, scorer="fragile") == 1
    assert [one.id for one in load_recording(path)] == ["two"]
    assert await record(council, CASES, path) == 2  # what was left out is asked again


def test_questions_in_place_of_a_recording_are_refused_with_what_makes_one(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "What is 1 + 1?", "answer": "2"}\n')
    with pytest.raises(RecordingError, match=r"line 1: id: .*`mom pays` and `mom record` make"):
        list(read_recording(tmp_path / "mine.jsonl"))
