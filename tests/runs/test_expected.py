"""How long a question will take is told from earlier ones, and not at all where none is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.runs.plan import about, usual_seconds
from mom_council.tracing.store import Span, TraceStore, TraceSummary, TraceView


def desk(name: str = "desk", **more: object) -> Council:
    model = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1"}
    people = [{"name": n, "model": n.lower(), "personality": "calm"} for n in ("Ada", "Bob")]
    return load_council(
        {
            "name": name,
            "models": {"ada": {**model, "model": "m1"}, "bob": {**model, "model": "m2", **more}},
            "characters": people,
            "synthesizer": {"model": "ada"},
        }
    )


def keep(
    store: TraceStore, number: int, calls: dict[str, float], whole: float | None, error: str = ""
) -> None:
    spans = [
        Span(id=str(at), kind="model", name="x", start=0, model=model, seconds=seconds)
        for at, (model, seconds) in enumerate(calls.items())
    ]
    summary = TraceSummary(
        id=f"a{number}",
        started=datetime.fromtimestamp(number, UTC),
        council="desk",
        seconds=whole,
        error=error,
    )
    store.write(TraceView(summary=summary, spans=tuple(spans)))


def test_nothing_is_said_of_models_that_were_never_asked(tmp_path: Path) -> None:
    store = TraceStore(tmp_path)
    assert usual_seconds(desk(), store) is None
    keep(store, 1, {"m1": 2.0, "other": 3.0}, 9.0)
    assert usual_seconds(desk(), store) is None


def test_the_median_of_the_last_questions_with_the_same_models(tmp_path: Path) -> None:
    store = TraceStore(tmp_path)
    for number, whole in enumerate((90.0, 10.0, 11.0, 12.0, 30.0, 13.0)):
        keep(store, number, {"m1": 2.0, "m2": 3.0}, whole)
    keep(store, 8, {"m1": 2.0, "m2": 3.0}, None)
    keep(store, 9, {"m1": 2.0, "m2": 3.0}, 0.1, error="stopped")
    assert usual_seconds(desk(), store) == 12.0


def test_a_council_that_was_never_asked_goes_by_the_calls_of_its_models(tmp_path: Path) -> None:
    store = TraceStore(tmp_path)
    keep(store, 1, {"m1": 2.0, "m2": 3.0}, 9.0)
    side_by_side = usual_seconds(desk("new"), store)
    assert side_by_side in (3.0 + 2.0, 3.0 * 2 + 2.0)  # with ballots, or without
    lane = {"name": "new", "lane": "gpu"}
    in_turn = desk(**lane).model_copy()
    models = {key: one.model_copy(update={"lane": "gpu"}) for key, one in in_turn.models.items()}
    waiting = usual_seconds(in_turn.model_copy(update={"models": models}), store)
    assert waiting in (5.0 + 2.0, 5.0 * 2 + 2.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (3.4, "3 s"), (23.0, "25 s"), (130.0, "2 minutes")]
)
def test_a_guess_is_said_without_false_digits(seconds: float, words: str) -> None:
    assert about(seconds) == words


def test_what_cannot_be_read_is_not_said(tmp_path: Path) -> None:
    (tmp_path / "traces.db").write_bytes(b"no database" * 100)
    assert usual_seconds(desk(), TraceStore(tmp_path)) is None
