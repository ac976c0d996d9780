"""`mom tune`: what is chosen from recorded answers, and that the written council does just that."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council
from mom_council.councils.recording import (
    RecordedAnswer,
    RecordedQuestion,
    RecordingError,
    write_recording,
)
from mom_council.errors import UnknownNameError
from mom_council.evals.tuning import ALONE, CASCADE, tune_recording
from mom_council.graph.council import compile_council
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.evals.panels import made_up
from mom_council.tests.evals.recorded import kept, replayed, sums


def recorded(path: Path, *accuracies: float, number: int = 120, gold: bool = True) -> Path:
    """A recording of made-up models that can be replayed."""
    questions = [
        one.model_copy(update={"question": f"What is {at}?", "gold": one.gold if gold else None})
        for at, one in enumerate(made_up(accuracies, number))
    ]
    write_recording(path, questions)
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


async def test_a_dominating_model_is_asked_alone_with_a_fallback(tmp_path: Path) -> None:
    tuning = tune_recording(recorded(tmp_path / "a.jsonl", 0.2, 0.97, 0.2, 0.3))
    council = load_council(str(written(tmp_path / "tuned.yaml", tuning.yaml)))
    assert [who.name for who in council.characters] == ["m1"]
    strongest = council.models[council.characters[0].model]
    assert strongest.model == "m1"
    assert [council.models[key].model for key in strongest.fallbacks] == ["m3"]
    assert tuning.left_out == ("m0", "m2", "m3")
    assert "# Members: one model alone." in tuning.yaml
    assert tuning.held_out.accuracy is not None
    assert tuning.held_out.accuracy.value == pytest.approx(0.97, abs=0.05)


async def test_equals_vote_and_the_written_council_asks_and_answers_as_was_measured(
    tmp_path: Path,
) -> None:
    path = recorded(tmp_path / "a.jsonl", 0.75, 0.75, 0.7, 0.75, 0.7, number=100)
    tuning = tune_recording(path)
    assert tuning.chosen.endswith("votes")
    vote = next(one for one in tuning.ways if one.name == tuning.chosen)
    alone = next(one for one in tuning.ways if one.name == ALONE)
    assert vote.accuracy is not None
    assert alone.accuracy is not None
    assert vote.accuracy.value > alone.accuracy.value
    assert vote.calls < 5
    council = load_council(str(written(tmp_path / "tuned.yaml", tuning.yaml)))
    assert council.deliberation.stop == "lossless"
    assert [who.weight for who in council.characters] == [*tuning.members.values()]
    graph = compile_council(council)
    right = calls = 0
    for at in range(40):
        state = await graph.ainvoke({"messages": [HumanMessage(f"What is {at}?")]})
        status = state["status"]
        right += status.verdict.options[0].answer == "0"
        calls += len(status.spoke)
    assert right / 40 == pytest.approx(vote.accuracy.value, abs=0.12)
    assert calls / 40 == pytest.approx(vote.calls, abs=0.6)


def test_figures_stand_beside_each_choice_and_the_file_is_a_council(tmp_path: Path) -> None:
    tuning = tune_recording(kept(tmp_path / "sums.jsonl.gz", sums(80)))
    assert yaml.safe_load(tuning.yaml)["name"] == "recorded"
    head = tuning.yaml.splitlines()[0]
    assert head == "# Written by `mom tune` from 80 questions of sums.jsonl.gz."
    comments = "\n".join(line for line in tuning.yaml.splitlines() if "#" in line)
    for part in ("of accuracy and price", "Members:", "plain votes:", "US cents", "Fallback:"):
        assert part in comments
    assert "% right alone" in comments


def test_without_right_answers_nothing_is_said_of_accuracy(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.jsonl", 0.9, 0.6, 0.6, 0.9, 0.6, gold=False)
    tuning = tune_recording(path)
    assert tuning.labelled == 0
    assert all(one.accuracy is None for one in tuning.ways)
    assert "% right" not in tuning.yaml
    assert "nothing is said of accuracy" in tuning.yaml
    heavy = sorted(tuning.members, key=lambda name: -tuning.members[name])[:2]
    assert set(heavy) == {"m0", "m3"}
    few = tune_recording(recorded(tmp_path / "b.jsonl", 0.9, 0.6, 0.6, number=25, gold=False))
    assert set(few.members.values()) == {1.0}


def test_a_cascade_is_written_where_it_pays(tmp_path: Path) -> None:
    """Two cheap models that agree only where they are right, and a dear one that is always."""
    questions = []
    for at in range(200):
        hard = at % 5 == 0
        cheap = ["7", "8", "9"] if hard else ["0", "0", "0"]
        answers = {
            f"cheap-{n}": RecordedAnswer(ans=said, ok=int(said == "0"), usd=0.001)
            for n, said in enumerate(cheap)
        }
        answers["dear"] = RecordedAnswer(ans="0", ok=1, usd=0.1)
        questions.append(
            RecordedQuestion(id=f"q{at}", question=f"What is {at}?", gold="0", models=answers)
        )
    path = tmp_path / "a.jsonl"
    write_recording(path, questions)
    tuning = tune_recording(path)
    assert tuning.chosen == CASCADE
    council = load_council(str(written(tmp_path / "tuned.yaml", tuning.yaml)))
    assert council.deliberation.cascade
    assert council.seats[-1] == ("dear",)
    assert tuning.held_out.usd is not None
    assert tuning.held_out.usd < 0.03


def test_the_characters_of_a_council_are_chosen_from(tmp_path: Path, mom: Mom) -> None:
    path = kept(tmp_path / "sums.jsonl.gz", sums(60))
    council = written(tmp_path / "c.yaml", _yaml(replayed(path, ("ant", "bee", "cat"))))
    out = tmp_path / "tuned.yaml"
    told = mom("tune", str(path), "-c", str(council), "--out", str(out), "--json")
    assert told.code == 0, told.err
    assert set(told.object["members"]) <= {"Ant", "Bee", "Cat"}
    assert load_council(str(out)).name == "replayed"
    again = mom("tune", str(path), "-c", str(council), "--out", str(out))
    again.refuses(1, "is there already", "--out")
    shown = mom("tune", str(path), "--out", str(tmp_path / "other.yaml"))
    assert "| way to use the models" in shown.out
    assert "(chosen)" in shown.out


def test_what_is_too_little_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="20 questions at least"):
        tune_recording(recorded(tmp_path / "a.jsonl", 0.9, 0.6, number=12))
    empty = written(tmp_path / "empty.jsonl", "")
    with pytest.raises(RecordingError, match="there are 0 and 0"):
        tune_recording(empty)
    path = kept(tmp_path / "sums.jsonl.gz", sums(60))
    other = written(
        tmp_path / "c.yaml", _yaml(replayed(path)).replace("Ant", "Ape").replace("ant", "ape")
    )
    with pytest.raises(UnknownNameError):
        tune_recording(path, str(other))


def _yaml(council: object) -> str:
    from mom_council.councils.loader import to_yaml

    return to_yaml(council)  # type: ignore[arg-type]
