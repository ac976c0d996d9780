"""The chain of models behind a seat is in the status."""

from __future__ import annotations

from mixture_of_models.tests.graph.desk import ask, desk, seat, voice
from mixture_of_models.tests.stage import Fault, Stage


async def test_a_seat_that_a_fallback_filled_is_told_with_its_chain_once(stage: Stage) -> None:
    seat(stage)
    for name in ("strong", "middling"):
        stage.model(name, always=Fault.status(503))
    sitting = desk(
        stage,
        models={
            "ada": voice(stage, "strong", fallbacks=["middling"]),
            "middling": voice(stage, "middling", fallbacks=["spare"]),
            "spare": voice(stage, "ada"),
        },
    )
    status = (await ask(sitting))["status"]
    [note] = [note for note in status.notes if note.startswith("Ada: ")]
    down = "did not answer (HTTP 503, the server is overloaded: The server is overloaded."
    assert note.startswith(f"Ada: the fallback 'spare' answered; 'ada' {down}")
    assert f"'middling' {down}" in note
    assert "Ada" in status.spoke


async def test_nothing_is_told_where_everyone_spoke_for_themselves(stage: Stage) -> None:
    seat(stage)
    assert (await ask(desk(stage)))["status"].notes == ()
