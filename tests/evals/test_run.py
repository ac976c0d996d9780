"""A council on data, against its baselines."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mom_council.councils.loader import load_council
from mom_council.errors import StorageError
from mom_council.evals.cases import Case, read_cases
from mom_council.evals.reports import as_chart, as_markdown, write_plots
from mom_council.evals.run import evaluate, play
from mom_council.evals.scorecard import COUNCIL, EvalJournal, EvalRow, plurality_of
from mom_council.evals.scorers import SCORERS, Mark, suits
from mom_council.runs.ask import OpenCouncil
from mom_council.tests.evals.recorded import kept, replayed, sums
from mom_council.tests.graph.desk import ask, desk, said, seat, written
from mom_council.tests.stage import Reply, Stage
from mom_council.tracing.store import TraceStore

NAMES = ("ant", "bee", "cat", "dog", "owl")


async def test_the_numbers_of_the_graph_are_those_of_plain_counting(tmp_path: Path):
    questions = sums(30)
    path = kept(tmp_path / "sums.jsonl", questions)
    found = await evaluate(replayed(path, NAMES), read_cases(path), concurrency=8)
    majority = []
    for one in questions:
        at, _ = plurality_of([one.models[name].ans for name in NAMES])
        majority.append(at is not None and one.models[NAMES[at]].ok == 1)
    assert found.questions == 30
    assert found.system("council").accuracy.value == pytest.approx(sum(majority) / 30)
    assert found.system("majority").accuracy.value == pytest.approx(sum(majority) / 30)
    assert found.system("majority").gain.value == 0
    for name in NAMES:
        right = sum(one.models[name].ok for one in questions) / 30
        assert found.system(f"member: {name.title()}").accuracy.value == pytest.approx(right)
    anyone = sum(any(a.ok for a in one.models.values()) for one in questions) / 30
    assert found.system("oracle").accuracy.value == pytest.approx(anyone)
    assert found.best == "Owl"
    price = found.system("council").usd
    assert price == pytest.approx(4 * 0.001 + 0.02)
    assert found.system("council").seconds >= 0.5  # as it was recorded
    assert found.text_agrees == 1
    assert any("not recorded" in note for note in found.notes)


async def test_a_run_that_broke_off_goes_on_where_it_was(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl")
    rows, cases = tmp_path / "rows.jsonl", read_cases(path)
    council = replayed(path)
    whole = await evaluate(council, cases, path=None)
    await evaluate(council, cases[:10], path=rows)
    torn = rows.read_text() + '{"case": "sum-11", "sys'
    rows.write_text(torn)
    told: list[tuple[str, int, int]] = []
    again = await evaluate(council, cases, path=rows, progress=lambda *at: told.append(at))
    assert told[0][1:] == (11, 30)
    assert told[-1][1:] == (30, 30)
    slim = {"seconds": None}
    for one, other in zip(whole.systems, again.systems, strict=True):
        assert one.model_copy(update=slim) == other.model_copy(update=slim)
    heads = [json.loads(line) for line in rows.read_text().splitlines()]
    assert heads[0]["evaluation"] == "replayed"
    assert len(heads) == 1 + 30 * 4


async def test_rows_of_another_council_are_not_gone_on_with(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl")
    rows, cases = tmp_path / "rows.jsonl", read_cases(path, limit=2)
    await evaluate(replayed(path), cases, path=rows)
    with pytest.raises(StorageError, match="another council"):
        await evaluate(replayed(path, ("ant", "bee", "owl")), cases, path=rows)


async def test_the_best_member_is_sampled_several_times(stage: Stage):
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 7"})
    stage.model("ada", reply=["Answer: 42", "Answer: 42", "Answer: 7", "Answer: 42"])
    stage.model("pen", reply="Answer: 42")
    case = Case(id="one", question="What is 17 + 25?", gold="42")
    found = await evaluate(desk(stage, ("Ada", "Boris")), [case], samples=3)
    assert found.best == "Ada"
    assert found.system("self").accuracy.value == 1
    assert found.system("self").calls == 3
    sampled = stage.calls_to("ada")[1:]
    assert [call.body["temperature"] for call in sampled] == [0.8] * 3
    # Its own first answer was its proposal: the baseline of single members cost nothing more.
    assert len(stage.calls_to("boris")) == 1


async def test_a_later_layer_is_asked_alone_for_its_baseline(stage: Stage):
    seat(stage, {"Ada": "Answer: 7", "Boris": "Answer: 42"})
    stage.model("pen", reply="Answer: 42")
    council = desk(stage, ("Ada", "Boris"), layers=[["Ada"], ["Boris"]])
    case = Case(id="one", question="What is 17 + 25?", gold="42")
    await evaluate(council, [case], samples=1)
    heard, alone = stage.calls_to("boris")
    assert "Answer: 7" in str(heard.body)
    assert "Answer: 7" not in str(alone.body)


async def test_a_question_without_anything_to_judge_by_is_refused(stage: Stage):
    with pytest.raises(StorageError, match="compared by a judge"):
        await evaluate(desk(stage), [Case(question="Which pet is best?")])


async def test_the_report_is_a_table_and_plots(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl")
    found = await evaluate(replayed(path), read_cases(path))
    told = as_markdown(found)
    assert "| the council " in told
    assert "plain majority of the members" in told
    assert "expected calibration error" in told
    assert type(found).model_validate_json(found.model_dump_json()) == found
    chart = as_chart(found)
    assert "AA the council" in chart
    assert "cents a question" in chart or "calls a question" in chart
    assert "\x1b" not in chart
    assert max(map(len, chart.splitlines())) <= 78
    drawn = write_plots(found, tmp_path / "plots")
    assert [one.stem for one in drawn] == ["accuracy-against-cost", "calibration", "agreement"]
    for one in drawn:
        assert ET.parse(one).getroot().tag.endswith("svg")


async def test_nobody_is_waited_for_in_an_evaluation_and_no_trace_is_left(stage: Stage) -> None:
    seat(stage)
    call = {"name": "calculator", "args": {"expression": "6 * 7"}, "id": "c1"}
    stage.model("ada", reply=[Reply(None, tool_calls=[call]), "Answer: 42"])
    made = written(stage, deliberation={"method": "none"})
    made["models"]["clara"] = {"provider": "human", "model": "Ms K.", "timeout": 60}
    made["tools"] = {"calculator": {"bundled": "calculator", "approve": True}}
    made["characters"][0]["tools"] = ["calculator"]
    case = Case(id="1", question="How many?", gold="42")
    rows = await play(OpenCouncil(load_council(made)), case, alone=False)
    assert [row.error for row in rows] == [""]
    assert "nobody is here to allow" in said(stage.calls_to("ada")[1].body)
    assert not TraceStore().summaries()


def test_rows_whose_answers_hold_other_line_separators_are_gone_on_with(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    council = load_council("demo")
    odd = "a\u2028b\u0085c\x0bd\x1ce"
    row = EvalRow(case="one", system=COUNCIL, ok=True, answer=odd, text="\u2029")
    EvalJournal(path, council).add([row])
    assert EvalJournal(path, council).rows == {(COUNCIL, "one"): row}


async def test_a_fault_at_one_question_ends_that_question_and_not_the_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = kept(tmp_path / "sums.jsonl")
    cases = read_cases(path, limit=6)
    bad = cases[2]

    def fragile(text: str, case: Case) -> Mark:
        if case.key == bad.key:
            raise ZeroDivisionError("at one question")
        return SCORERS[suits(case)](text, case)

    monkeypatch.setitem(SCORERS, "fragile", fragile)
    rows = tmp_path / "rows.jsonl"
    found = await evaluate(replayed(path), cases, path=rows, scorer="fragile", samples=0)
    assert found.questions == 6
    kept_rows = [json.loads(line) for line in rows.read_text().splitlines()[1:]]
    failed = [one for one in kept_rows if one["case"] == bad.key]
    assert {one["error"] for one in failed} == {"ZeroDivisionError: at one question"}
    others = [one.get("error", "") for one in kept_rows if one["case"] != bad.key]
    assert len(others) == 5 * 4
    assert not any("ZeroDivisionError" in error for error in others)


@pytest.mark.parametrize("text", ["It is n't so.", "n't", "do n't . n't ! n't"])
async def test_a_lone_piece_of_a_word_costs_no_answer(stage: Stage, text: str):
    seat(stage, {"Ada": f"{text} Then 4.", "Boris": f"{text} Rather 5.", "Clara": "Say 4 or so."})
    state = await ask(desk(stage))
    assert state["messages"][-1].content == "What the council says."
