"""`mom eval`, `mom record`, `mom revote` and `mom weights`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from mom_council.cli import evals, weights
from mom_council.councils.loader import load_council, to_yaml
from mom_council.councils.recording import (
    RecordedQuestion,
    RecordingError,
    load_recording,
    read_recording,
)
from mom_council.models.ledger import Ledger
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.evals.recorded import kept, replayed, sums
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.stage import Stage

app = typer.Typer(rich_markup_mode=None)
app.command("eval")(evals.evaluate)
app.command("record")(evals.record)
app.command("revote")(evals.revote)
app.command("audit")(evals.audit)
app.command("keeps")(evals.fact_retention)
app.add_typer(weights.app, name="weights")


def mom(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return kept(tmp_path / "sums.jsonl.gz", sums(40))


@pytest.fixture
def council(tmp_path: Path, recording: Path) -> Path:
    path = tmp_path / "replayed.yaml"
    path.write_text(to_yaml(replayed(recording)))
    return path


def test_shipped_and_planted_stand_for_data_of_our_own(stage: Stage, tmp_path: Path):
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "Answer: 42"))
    path = tmp_path / "desk.yaml"
    path.write_text(to_yaml(desk(stage, deliberation={"method": "answers"})))
    called = mom("eval", path, "shipped", "--limit", "2", "--samples", "0")
    assert "desk: 2 questions" in called.stdout
    asked = "".join(str(call.body) for call in stage.calls)
    assert "What kind of thing is a" in asked
    called = mom("eval", path, "planted", "--limit", "2")
    assert "desk, 2 planted questions:" in called.stdout


def test_a_council_is_fitted_and_then_says_how_sure_it_is(council: Path, recording: Path):
    called = mom("weights", "fit", recording, "--council", council)
    assert "learned from 20 questions of 'sums': bee, cat, ant" in called.stdout
    assert ": also any 5 or fewer of these models" in called.stdout
    called = mom("eval", council, recording, "--fold", "eval")
    assert "Reported confidence" in called.stdout


def test_eval_prints_a_table_and_writes_plots(council: Path, recording: Path, tmp_path: Path):
    called = mom("eval", council, recording, "--fold", "eval", "--plots", tmp_path / "plots")
    assert called.exit_code == 0
    assert "replayed: 20 questions" in called.stdout
    assert "| plain majority of the members" in called.stdout
    assert "council and members: 20 of 20" in called.stderr
    assert len(list((tmp_path / "plots").glob("*.svg"))) == 3


def test_eval_prints_one_object_and_keeps_its_rows(council: Path, recording: Path, tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    first = mom("eval", council, recording, "--limit", "5", "--json", "--out", rows)
    assert json.loads(first.stdout)["questions"] == 5
    assert json.loads(mom("eval", council, recording, "--json", "--out", rows).stdout)[
        "questions"
    ] == (40)


def test_record_keeps_what_the_members_say(stage: Stage, tmp_path: Path):
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 7"})
    council, data, out = (tmp_path / name for name in ("desk.yaml", "data.jsonl", "kept.jsonl"))
    council.write_text(to_yaml(desk(stage, ("Ada", "Boris"))))
    data.write_text('{"question": "What is 17 + 25?", "gold": 42}\n')
    called = mom("record", council, out, "--data", data)
    assert called.stdout == f"1 question in {out}\n"
    assert [a.ok for a in load_recording(out)[0].models.values()] == [1, 0]
    assert "--data FILE" in mom("record", council, out).output


def test_revote_changes_the_rule(recording: Path):
    called = mom("revote", recording, "--method", "plain majority", "--method", "weighted")
    assert "| plain majority" in called.stdout
    assert "20 questions; learned on 20 others" in called.stdout
    told = mom("revote", recording, "--models", "ant,owl", "--weights", "ant=0,owl=1", "--json")
    (only,) = json.loads(told.stdout)
    right = [one.models["owl"].ok for one in load_recording(recording) if one.fold == "eval"]
    assert only["accuracy"] == pytest.approx(sum(right) / len(right))
    assert "not of the form" in mom("revote", recording, "--weights", "much").output


def test_weights_are_fitted_shown_and_reset(council: Path, recording: Path):
    assert "is empty" in mom("weights", "show").stdout
    assert "learned from 100 answers" in mom("weights", "fit", recording).stdout
    assert "| owl" in mom("weights", "show").stdout
    shown = json.loads(mom("weights", "show", "-c", council, "--kind", "sums", "--json").stdout)
    assert set(shown) == {"Ant", "Bee", "Cat"}
    told = mom("revote", recording, "--weights", "ledger", "--kind", "sums", "--json")
    assert json.loads(told.stdout)[0]["method"] == "given weights"
    assert "forgot 1 records" in mom("weights", "reset", "owl").stdout
    assert mom("weights", "reset").exit_code == 2
    assert "forgot 4 records" in mom("weights", "reset", "--all").stdout


def test_audit_says_whether_the_council_pays(recording: Path):
    called = mom("audit", recording, "--models", "ant,bee,owl")
    assert "best member is owl" in called.stdout
    assert json.loads(mom("audit", recording, "--json").stdout)["best_member"] == "owl"
    assert '"all_wrong"' in mom("audit", recording, "--json").stdout


def test_audit_of_a_missing_file_names_it():
    with pytest.raises(RecordingError, match=r"nowhere\.jsonl"):
        mom("audit", "nowhere.jsonl")


def test_keeps_measures_the_synthesizer(council: Path):
    called = mom("keeps", council, "--number", "4")
    assert "facts that one member alone had, kept: 25 %" in called.stdout


def test_eval_teaches_the_ledger_what_was_right(council: Path, recording: Path):
    for _ in range(2):  # the second time it says the same again, and counts once
        mom("eval", council, recording, "--fold", "cal", "--learn")
    told = json.loads(mom("weights", "show", "--json").stdout)
    judged = [one for one in load_recording(recording) if one.fold == "cal"]
    right = sum(one.models["ant"].ans is not None for one in judged)
    (ant,) = (one for one in told if one["model"] == "ant")
    assert (ant["kind"], ant["outcomes"]) == ("sums", pytest.approx(right, abs=0.01))


def test_weights_are_applied_to_a_council(council: Path, recording: Path, tmp_path: Path):
    mom("weights", "fit", recording)
    better = tmp_path / "better.yaml"
    better.write_text(mom("weights", "apply", council, "--kind", "sums", "--options", "4").stdout)
    seats = load_council(better).characters
    shown = mom("weights", "show", "-c", better, "--kind", "sums", "--options", "4", "--json")
    assert {who.name: who.weight for who in seats} == pytest.approx(
        json.loads(shown.stdout), abs=0.001
    )


def test_checks_that_a_file_holds_run_once_it_is_trusted(
    stage: Stage, mom: Mom, tmp_path: Path
) -> None:
    council, data, mark = (tmp_path / name for name in ("desk.yaml", "data.jsonl", "mark"))
    council.write_text(to_yaml(desk(stage, ("Ada",), deliberation={"method": "none"})))
    mark.write_text("mine")
    check = f"import os\nos.remove({str(mark)!r})"
    data.write_text(json.dumps({"question": "Write f.", "check": check}) + "\n")
    for name in ("ada", "pen"):
        stage.model(name, reply="```python\ndef f(): pass\n```")
    refused = mom("eval", str(council), str(data), "--samples", "0")
    refused.refuses(3, "data.jsonl' is not trusted yet", "runs the Python that it holds")
    assert stage.calls == []
    assert mom("record", str(council), str(tmp_path / "r.jsonl"), "--data", str(data)).code == 3
    assert mom("trust", str(data)).code == 0
    measured = mom("eval", str(council), str(data), "--samples", "0", "--json")
    assert measured.code == 0, measured.err
    assert mark.read_text() == "mine", "what it is allowed to do, it does in the sandbox"
    data.write_text(data.read_text().replace("f.", "g."))
    assert mom("eval", str(council), str(data), "--samples", "0").code == 3


def test_ten_answers_of_a_person_fit_a_council_without_any_other_gold(
    council: Path, tmp_path: Path
):
    path = kept(tmp_path / "blind.jsonl", [_blind(one) for one in sums(60)])
    seen = {one.question: one for one in read_recording(path)}
    said = "\n".join(["9", "=" + "0", "", *["1"] * 6, "q"]) + "\n"
    called = CliRunner().invoke(
        app, ["weights", "ask", str(path), "-c", str(council)], input=said, catch_exceptions=False
    )
    assert called.exit_code == 0, called.output
    assert "1 of 10: " in called.stdout
    judged = [one for one in read_recording(path) if one.gold is not None]
    assert 6 <= len(judged) <= 8
    for one in judged:
        assert all(a.ok == (a.ans == one.gold) for a in one.models.values() if a.ans)
        assert len({a.ans for a in seen[one.question].models.values()}) > 1
    (fitted,) = (one for one in Ledger().fits() if one.models)
    assert (fitted.few, fitted.questions) == (True, len(judged))


@pytest.mark.parametrize("end", ["", "q\n", "Q\n"], ids=["no more lines", "q", "Q"])
def test_what_a_person_answered_is_learned_however_the_asking_ends(tmp_path: Path, end: str):
    path = kept(tmp_path / "blind.jsonl", [_blind(one) for one in sums(60)])
    replies = f"1\n2\n{end}"
    called = CliRunner().invoke(app, ["weights", "ask", str(path)], input=replies)
    assert called.exit_code == 0, called.output
    assert called.stdout.count("  right: ") == 2
    assert "learned from " in called.stdout
    assert sum(one.gold is not None for one in read_recording(path)) == 2


def test_a_reply_that_names_no_answer_is_asked_again(tmp_path: Path):
    path = kept(tmp_path / "blind.jsonl", [_blind(one) for one in sums(60)])
    replies = "70000\n0\nyes\n=70000\nq\n"
    called = CliRunner().invoke(app, ["weights", "ask", str(path)], input=replies)
    assert called.exit_code == 0, called.output
    assert "'70000' is not one of 1 to " in called.stdout
    assert "say =70000" in called.stdout
    assert "'yes' is not one of" in called.stdout
    assert "3 of 10: " not in called.stdout
    assert [one.gold for one in read_recording(path) if one.gold is not None] == ["70000"]


def test_an_answer_of_a_megabyte_is_shown_short_and_harmless(tmp_path: Path):
    questions = [_blind(one) for one in sums(60)]
    long = {
        name: answer.model_copy(update={"ans": f"{name}\x1b[31m" + "x" * 1_000_000})
        for name, answer in questions[0].models.items()
    }
    questions[0] = questions[0].model_copy(update={"models": long, "question": "y" * 1_000_000})
    path = kept(tmp_path / "blind.jsonl", questions)
    replies = "\n" * 60
    called = CliRunner().invoke(
        app, ["weights", "ask", str(path), "--number", "100"], input=replies
    )
    assert called.exit_code == 0, called.output
    assert "…" in called.stdout
    assert "\x1b" not in called.stdout
    assert len(called.stdout) < 100_000


def _blind(one: RecordedQuestion) -> RecordedQuestion:
    models = {name: answer.model_copy(update={"ok": 0}) for name, answer in one.models.items()}
    return one.model_copy(update={"gold": None, "models": models})


def test_a_recording_of_one_fold_is_not_split_into_nothing(tmp_path: Path):
    questions = [one.model_copy(update={"fold": "eval"}) for one in sums(60)]
    path = kept(tmp_path / "sums.jsonl", questions)
    told = json.loads(mom("revote", path, "--method", "learned", "--json").output)
    assert (told[0]["questions"], told[0]["fitted"]) == (60, 30)
    fitted = mom("weights", "fit", path)
    assert fitted.exit_code == 0
    assert "all of it was learned from" in fitted.output
    few = kept(tmp_path / "few.jsonl", questions[:8])
    with pytest.raises(RecordingError, match="are too few"):
        mom("revote", few, "--method", "learned")
