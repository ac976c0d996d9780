"""Whether there is enough to go on."""

from __future__ import annotations

import pytest

from mom_council.deliberation.events import Missed, Polled
from mom_council.errors import QuorumError
from mom_council.tests.graph.desk import ask, desk, seat, told, voice
from mom_council.tests.stage import Fault, Stage


async def test_one_proposal_is_enough_unless_the_council_says_otherwise(stage: Stage) -> None:
    seat(stage)
    for name in ("ada", "boris"):
        stage.model(name, always=Fault.status(500))
    assert (await ask(desk(stage)))["status"].spoke == ("Clara",)
    with pytest.raises(QuorumError, match="1 of 3 answered and 2 must") as caught:
        await ask(desk(stage, deliberation={"minimum": 2}))
    assert (caught.value.answered, caught.value.needed) == (1, 2)
    assert [a.character for a in caught.value.absences] == ["Ada", "Boris"]


async def test_nobody_at_all_is_said_with_every_reason(stage: Stage) -> None:
    stage.model("ada", always=Fault.status(401))
    stage.model("boris", always=Fault.empty())
    stage.model("clara", always=Fault.refusal("No."))
    with pytest.raises(QuorumError, match="none of the 3 models answered") as caught:
        await ask(desk(stage))
    reasons = {a.character: a.reason for a in caught.value.absences}
    assert reasons == {"Ada": "failed", "Boris": "empty", "Clara": "refused"}
    assert all(name in str(caught.value) for name in reasons)


async def test_no_key_is_told_in_an_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-very-secret-0123456789")
    seat(stage, ["Ada"])
    stage.model("ada", always=Fault.status(401, message="wrong key sk-very-secret-0123456789"))
    models = {"ada": voice(stage, "ada", api_key_env="FAR_KEY"), "pen": voice(stage, "pen")}
    with pytest.raises(QuorumError) as caught:
        await ask(desk(stage, ["Ada"], models=models))
    assert "very-secret" not in str(caught.value)
    assert stage.calls_to("ada")[0].key_sent == "sk-very-secret-0123456789"


async def test_who_will_vote_is_told_before_they_do(stage: Stage) -> None:
    seat(stage)
    events = await told(desk(stage))
    (polled,) = [event for event in events if isinstance(event, Polled)]
    assert polled.voters == ("Ada", "Boris", "Clara")


async def test_who_is_missing_is_told(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", always=Fault.status(500))
    (missed,) = [event for event in await told(desk(stage)) if isinstance(event, Missed)]
    assert (missed.absence.character, missed.absence.reason) == ("Ada", "failed")
