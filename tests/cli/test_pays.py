"""`mom pays`: a council, its best member and samples of it on somebody's own questions."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.loader import to_yaml
from mom_council.councils.recording import load_recording
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.evals.recorded import kept, replayed, sums
from mom_council.tests.graph.desk import said, voice
from mom_council.tests.stage import Fault, Stage

PRICE = {"input": 1.0, "output": 2.0}
NUMBER = 12


def asked_sum(body: dict[str, Any]) -> int:
    """What the sum of a prompt is."""
    one, other = re.findall(r"What is (\d+) \+ (\d+)\?", said(body))[0]
    return int(one) + int(other)


def seat_sums(stage: Stage, wrong: Callable[[str, int], bool]) -> None:
    """Have three members answer sums; `wrong` says who errs on which sum."""

    def reply(name: str) -> Callable[[dict[str, Any]], str]:
        def answer(body: dict[str, Any]) -> str:
            right = asked_sum(body)
            return f"Answer: {right + 1 + ord(name[0]) if wrong(name, right) else right}"

        return answer

    for name in ("ada", "boris", "clara"):
        stage.model(name, reply=reply(name))
    stage.model("pen", reply=lambda body: f"Answer: {asked_sum(body)}")


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where the page is written, if nobody says where
    path = tmp_path / "logs.jsonl"
    lines = [
        json.dumps({"question": f"What is {at} + 20?", "gold": str(at + 20)})
        for at in range(NUMBER)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def priced(stage: Stage) -> dict[str, Any]:
    names = ("ada", "boris", "clara", "pen")
    return {name: voice(stage, name, price=PRICE, params={"max_tokens": 50}) for name in names}


def answering(**changes: Any) -> dict[str, Any]:
    return {"deliberation": {"method": "answers", "stop": "all"}, **changes}


def test_it_asks_council_members_and_samples_once_and_says_the_budget_first(
    mom: Mom, stage: Stage, council_file: Callable[..., str], logs: Path, tmp_path: Path
) -> None:
    seat_sums(stage, lambda name, right: name != "boris" and right % 3 == 0)
    council, page = council_file(**answering()), tmp_path / "verdict.html"
    told = mom("pays", str(logs), "-c", council, "--out", str(page), "--json", "--samples", "3")
    assert told.code == 0, told.err
    # A member's own answer is its proposal: it is asked once a question, and not again alone.
    assert len(stage.calls_to("ada")) == len(stage.calls_to("clara")) == NUMBER
    assert len(stage.calls_to("pen")) == NUMBER
    samples = [call for call in stage.calls_to("boris") if call.body.get("temperature") == 0.8]
    assert len(samples) == 3 * NUMBER
    assert len(stage.calls_to("boris")) == 4 * NUMBER
    assert not any("max_tokens" in call.body for call in stage.calls)  # as it is written
    budget, verdict = told.object["budget"], told.object["verdict"]
    assert budget["calls"] == 7 * NUMBER == told.object["spent"]["calls"]
    assert budget["calls"] <= budget["most"]["calls"]
    first, *_ = told.err.splitlines()
    assert first == f"desk: {NUMBER} questions, {NUMBER} with a right answer"
    assert verdict["member"] == "Boris"
    assert [way["name"] for way in verdict["ways"]][:3] == ["council", "best member", "samples"]
    assert "<script" not in page.read_text()
    assert "cannot tell gains below" in page.read_text()
    answers = load_recording(tmp_path / "verdict.answers.jsonl")
    assert {one.models["Boris"].ok for one in answers} == {1}


def test_what_costs_money_needs_a_yes_and_stays_within_what_was_said(
    mom: Mom, stage: Stage, council_file: Callable[..., str], logs: Path
) -> None:
    seat_sums(stage, lambda name, right: False)
    council = council_file(**answering(models=priced(stage)))
    refused = mom("pays", str(logs), "-c", council)
    assert refused.code == 2
    assert "--paid" in refused.err
    assert not stage.calls
    planned = mom("pays", str(logs), "-c", council, "--plan", "--json").object["budget"]
    assert not stage.calls
    told = mom("pays", str(logs), "-c", council, "--paid", "--json")
    assert told.code == 0, told.err
    assert 0 < told.object["spent"]["usd"] <= planned["most"]["usd"]
    assert told.object["spent"]["calls"] == len(stage.calls)


def test_a_limit_stops_between_questions_and_the_same_command_goes_on(
    mom: Mom, stage: Stage, council_file: Callable[..., str], logs: Path
) -> None:
    seat_sums(stage, lambda name, right: name == "ada" and right == 22)
    council = council_file(**answering())
    one = ("pays", str(logs), "-c", council, "--samples", "0", "--json", "--concurrency", "3")
    planned = mom(*one, "--plan").object["budget"]["most"]["calls"] // NUMBER
    stopped = mom(*one, "--calls", str(5 * planned))
    assert stopped.code == 5
    before = len(stage.calls)
    assert stopped.object["spent"]["calls"] == before <= 5 * planned
    verdict = stopped.object["verdict"]
    assert verdict["questions"] == NUMBER - stopped.object["unasked"] >= 5
    assert "the limit was reached" in " ".join(verdict["notes"])
    whole = mom(*one)
    assert whole.code == 0, whole.err
    assert whole.object["budget"]["finished_before"] == verdict["questions"]
    assert whole.object["verdict"]["questions"] == NUMBER
    assert len(stage.calls) == 4 * NUMBER  # nobody was asked twice
    assert mom(*one).object["verdict"] == whole.object["verdict"]
    assert len(stage.calls) == 4 * NUMBER


def test_a_limit_without_room_for_one_question_asks_nobody(
    mom: Mom, stage: Stage, council_file: Callable[..., str], logs: Path
) -> None:
    told = mom("pays", str(logs), "-c", council_file(**answering()), "--calls", "1")
    assert told.code == 5
    assert "--plan" in told.err
    assert not stage.calls


def test_without_right_answers_nothing_is_said_of_accuracy(
    mom: Mom,
    stage: Stage,
    council_file: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    seat_sums(stage, lambda name, right: name == "ada" and right % 2 == 0)
    logs = tmp_path / "logs.csv"
    logs.write_text("prompt,response\n" + "".join(f"What is {x} + 1?,{x}\n" for x in range(24)))
    told = mom("pays", str(logs), "-c", council_file(**answering()), "--json")
    verdict = told.object["verdict"]
    assert verdict["scored"] == 0
    assert verdict["gain"] is None
    assert all(way["accuracy"] is None for way in verdict["ways"])
    assert verdict["advice"] == "member"  # two always said what the council said
    assert verdict["member"] in ("Boris", "Clara")
    assert not any(call.body.get("temperature") == 0.8 for call in stage.calls)
    shown = mom("pays", str(logs), "-c", council_file(**answering()))
    assert shown.out.startswith("24 questions without right answers")
    assert "right, %" in shown.out
    assert "gains" not in shown.out


def test_a_replayed_council_pays_nothing_and_is_judged_by_recorded_prices(
    mom: Mom, tmp_path: Path
) -> None:
    questions = sums(60)
    path = kept(tmp_path / "sums.jsonl.gz", questions)
    council = tmp_path / "replayed.yaml"
    council.write_text(to_yaml(replayed(path, ("ant", "bee", "owl"))))
    told = mom("pays", str(path), "-c", str(council), "--json", "--out", str(tmp_path / "x.html"))
    verdict = told.object["verdict"]
    right = [one.models["owl"].ok for one in questions]
    ways = {way["name"]: way for way in verdict["ways"]}
    assert verdict["member"] == "Owl"
    assert ways["member: Owl"]["accuracy"]["value"] == pytest.approx(sum(right) / 60)
    assert ways["council"]["usd"] == pytest.approx(0.022)
    assert verdict["times"] == pytest.approx(0.022 / ways["best member"]["usd"])
    assert "samples" not in ways
    assert verdict["kinds"] == []


@pytest.mark.slow
def test_a_run_that_is_interrupted_goes_on(
    processes: Any, stage: Stage, council_file: Callable[..., str], logs: Path, tmp_path: Path
) -> None:
    seat_sums(stage, lambda name, right: False)
    right = lambda body: f"Answer: {asked_sum(body)}"  # noqa: E731
    stage.model("pen", reply=right, faults=[None, None, None, Fault.hang()])
    council = council_file(**answering())
    arguments = ("pays", str(logs), "-c", council, "--samples", "0", "--concurrency", "1")
    begun = processes.start(*arguments)
    stage.wait_for(4, timeout=60, model="pen", started=True)
    begun.send_signal(signal.SIGINT)
    ended = processes.end(begun)
    assert ended.code == 130, ended.err
    assert "the same command goes on" in ended.err
    rows = (tmp_path / "logs.pays.rows.jsonl").read_text().splitlines()
    assert len(rows) == 1 + 3 * 4  # three questions of the council and three members
    again = processes.call(*arguments)
    assert again.code == 0, again.err
    assert f"{NUMBER} of {NUMBER}" in again.err
    assert len(stage.calls_to("pen")) == NUMBER + 1
