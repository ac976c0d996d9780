"""The reliability ledger."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mom_council.councils.recording import RecordingError
from mom_council.councils.schema import Model
from mom_council.deliberation.selectors import with_weights
from mom_council.models.ledger import Ledger, Outcome, name_of
from mom_council.models.resolved import member_models
from mom_council.tests.evals.recorded import kept, replayed, sums
from mom_council.voting.reliability import Outcomes

DAY = 86_400.0


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "data")


def test_it_counts_outcomes_by_model_and_kind(ledger: Ledger):
    ledger.learn([Outcome("a", "sums", True), Outcome("a", "sums", False)], at=0)
    ledger.learn([Outcome("a", "sums", True, "thumb"), Outcome("a", "law", True, "check")], at=0)
    assert ledger.outcomes(at=0) == {("a", "sums"): Outcomes(2, 1), ("a", "law"): Outcomes(1, 0)}


def test_outcomes_fade_by_half_in_a_half_life(ledger: Ledger):
    ledger.learn([Outcome("a", "sums", True)] * 4, at=0)
    assert ledger.outcomes(at=90 * DAY)["a", "sums"].right == pytest.approx(2)
    ledger.learn([Outcome("a", "sums", True)], at=90 * DAY)
    assert ledger.outcomes(at=180 * DAY)["a", "sums"].right == pytest.approx(1.5)


def test_what_peers_liked_is_no_outcome(ledger: Ledger):
    with pytest.raises(ValueError, match="'votes' is no outcome"):
        ledger.learn([Outcome("a", "sums", True, "votes")])  # type: ignore[arg-type]
    assert ledger.outcomes() == {}


def test_a_file_counts_once_and_only_its_fold_for_fitting(ledger: Ledger, tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl", sums(40))
    assert ledger.fit(path) == 20 * 5
    once = ledger.outcomes(at=0)
    assert ledger.fit(path) == 20 * 5
    assert ledger.outcomes(at=0) == once
    assert ledger.fit(path, fold=None) == 40 * 5


def test_a_file_without_gold_answers_is_refused(ledger: Ledger, tmp_path: Path):
    blind = [one.model_copy(update={"gold": None}) for one in sums(4)]
    with pytest.raises(RecordingError, match="in fold 'cal'"):
        ledger.fit(kept(tmp_path / "blind.jsonl", blind))


def test_the_better_model_weighs_more_and_nobody_less_than_nothing(ledger: Ledger, tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl", sums(200))
    ledger.fit(path)
    council = replayed(path, ("ant", "owl"))
    weights = ledger.weights(member_models(council), "sums", options=4)
    assert weights["Owl"] > weights["Ant"] >= 0
    assert with_weights(council, weights).character("Owl").weight == weights["Owl"]
    ledger.learn([Outcome("ant", "sums", False)] * 500)
    assert ledger.weights(member_models(council), "sums")["Ant"] == 0


def test_it_is_shown_and_forgotten(ledger: Ledger):
    ledger.learn([Outcome("a", "sums", True)] * 8 + [Outcome("b", "sums", False)] * 8)
    first, second = ledger.show("sums")
    assert (first.model, second.model) == ("a", "b")
    assert first.low < first.accuracy < first.high
    assert first.accuracy < 1  # shrunk
    assert ledger.reset("a") == 1
    assert [one.model for one in ledger.show()] == ["b"]
    ledger.reset()
    assert ledger.show() == []


def test_a_replayed_model_has_the_record_of_the_recorded_one(tmp_path: Path):
    council = replayed(kept(tmp_path / "sums.jsonl"))
    assert name_of(council.models["ant"]) == "ant"
    other = council.models["ant"].model_copy(update={"provider": "ollama"})
    assert name_of(other) == "ollama/ant"


def test_agreement_is_kept_by_panel_and_kind_in_any_order_and_fades(ledger: Ledger):
    ledger.observe(["b", "a", "c"], ["x", "y", "x"], "sums", at=0)
    ledger.observe(["a", "c", "b"], ["5", "6", "6"], "sums", at=0)
    assert ledger.agreement_rows(["b", "a", "c"], "sums", at=0) == {(1, 0, 1): 2.0}
    assert ledger.agreement_rows(["c", "b", "a"], "law", at=0) == {(1, 1, 0): 2.0}  # of any kind
    assert ledger.agreement_rows(["a", "b"], at=0) == {}
    halved = ledger.agreement_rows(["b", "a", "c"], at=90 * DAY)
    assert halved == {(1, 0, 1): pytest.approx(1.0)}
    ledger.reset("c")
    assert ledger.agreement_rows(["b", "a", "c"]) == {}


def test_what_was_read_counts_until_something_is_written(ledger: Ledger):
    members, panel = {"Ada": Model(provider="replay", model="a")}, ("Ada",)
    ledger.learn([Outcome("a", "sums", True)] * 12)
    assert ledger.recent_trust(members, panel) is None
    ledger.trust(members, panel)
    assert ledger.recent_trust(members, panel) is None  # written just now: may change unseen
    for file in ledger_files(ledger):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    settled = ledger.trust(members, panel)
    assert ledger.recent_trust(members, panel) == settled
    assert ledger.recent_trust(members, panel, "law") is None
    ledger.learn([Outcome("a", "sums", False)] * 12)
    assert ledger.recent_trust(members, panel) is None
    assert ledger.trust(members, panel).odds["Ada"] < settled.odds["Ada"] - 1


def ledger_files(ledger: Ledger) -> list[Path]:
    return [*ledger._folder.glob("ledger.db*")]


def test_characters_on_one_model_weigh_together_less_than_two(ledger: Ledger):
    for name in ("openai/twin", "openai/other"):
        ledger.learn([Outcome(name, "sums", at < 16) for at in range(20)])
    twin = Model(provider="openai", model="twin")
    members = {"Ada": twin, "Boris": twin, "Clara": twin.model_copy(update={"model": "other"})}
    known = ledger.trust(members, (*members,), "sums")
    ada, boris, clara = (known.weights[name] for name in members)
    assert ada == boris < clara
    assert clara < ada + boris < 2 * clara
    assert known.records == pytest.approx(dict.fromkeys(members, 0.8))
