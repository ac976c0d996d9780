"""What the synthesizer is sent, and what stands in for it."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.deliberation.context import CouncilContext
from mom_council.nodes.synthesizer import LABEL
from mom_council.tests.graph.desk import (
    ALL,
    PERSONAS,
    ask,
    desk,
    proposals,
    said,
    seat,
    texts,
    voice,
    voting,
)
from mom_council.tests.stage import Fault, Reply, Stage

NAMES = ("Ada", "Boris", "Clara")
VIEWS = [f"The view of {PERSONAS[name]}" for name in NAMES]


def _body(stage: Stage) -> dict[str, Any]:
    return stage.calls_to("pen")[0].body  # type: ignore[no-any-return]


async def test_it_gets_the_question_every_proposal_the_verdict_and_the_dissent(
    stage: Stage,
) -> None:
    seat(stage, likes="twice")
    await ask(desk(stage), "Why is the sky blue?")
    body, shown = said(_body(stage)), proposals(_body(stage))
    assert "Why is the sky blue?" in body
    assert sorted(shown) == sorted(VIEWS)
    leader = shown.index(VIEWS[0]) + 1
    assert f"The vote: proposal {leader} leads with 67% of the vote" in body
    dissenters = sorted({1, 2, 3} - {leader})
    for number in dissenters:
        assert f"proposal {number}" in body.partition("Not in agreement")[2]
    assert 'support="2 of 3 votes"' in body


@pytest.mark.parametrize("method", ["plurality", "approval", "borda", "score", "answers", "none"])
async def test_no_model_and_no_character_is_named_to_it(stage: Stage, method: str) -> None:
    seat(stage, likes="twice")
    await ask(desk(stage, deliberation={"method": method}))
    body = said(_body(stage))
    for name in NAMES:
        assert name not in body
        assert name.lower() not in body


async def test_names_are_told_where_the_council_is_not_anonymous(stage: Stage) -> None:
    seat(stage)
    await ask(desk(stage, synthesizer={"anonymous": False}))
    body = said(_body(stage))
    assert all(f'author="{name}"' in body for name in NAMES)


async def test_an_uneven_weight_is_told(stage: Stage) -> None:
    seat(stage)
    seats = [{"name": n, "model": n.lower(), "weight": 2 if n == "Ada" else 1} for n in NAMES]
    await ask(desk(stage, characters=seats))
    assert said(_body(stage)).count('weight="2"') == said(_body(stage)).count("weight=") == 1


async def test_an_absent_characters_proposal_is_not_there(stage: Stage) -> None:
    seat(stage)
    stage.model("boris", always=Fault.status(500))
    await ask(desk(stage))
    assert sorted(proposals(_body(stage))) == sorted([VIEWS[0], VIEWS[2]])


async def test_its_personality_is_told_to_it(stage: Stage) -> None:
    seat(stage)
    await ask(desk(stage, synthesizer={"personality": "You write like a notary."}))
    assert "You write like a notary." in texts(_body(stage), "system")[0]


async def test_the_shuffle_follows_the_seed_and_can_be_off(stage: Stage) -> None:
    async def order(**context: Any) -> list[str]:
        stage.clear()
        await ask(desk(stage, ALL), context=CouncilContext(**context))
        return proposals(_body(stage))

    seat(stage, ALL)
    seated = [f"The view of {persona}" for persona in PERSONAS.values()]
    assert await order(shuffle=False) == seated
    one, again = await order(seed=1), await order(seed=1)
    assert one == again
    assert sorted(one) == sorted(seated)
    assert len({tuple(await order(seed=seed)) for seed in range(4)}) > 1


async def test_without_a_single_ballot_nobody_is_said_to_lead(stage: Stage) -> None:
    seat(stage)
    for name in NAMES:
        stage.model(name.lower(), reply=[f"The view of {PERSONAS[name]}", "Moo."])
    status = (await ask(desk(stage)))["status"]
    body = said(_body(stage))
    assert status.stop_reason == "no_ballots"
    assert "nobody voted; weigh the proposals yourself" in body
    assert "Not in agreement" not in body
    assert status.dissent == ()
    assert status.minority_report == ""


async def test_its_fallback_writes_when_it_is_dead_and_the_status_says_so(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", always=Fault.status(500))
    stage.model("spare", reply="The spare writes.")
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "spare")}
    models["pen"] = voice(stage, "pen", fallbacks=["spare"])
    result = await ask(desk(stage, models=models))
    assert result["messages"][-1].text == "The spare writes."
    assert result["status"].written_by == "spare"
    assert "'spare'" in " ".join(result["status"].notes)
    assert said(_body(stage)) == said(stage.calls_to("spare")[0].body)


@pytest.mark.parametrize("fault", [Fault.status(500), Fault.empty(), Fault.reset(), Fault.null()])
async def test_the_voted_best_answers_under_a_label_when_it_fails(
    stage: Stage, fault: Fault
) -> None:
    seat(stage, likes="doubt")
    stage.model("pen", always=fault)
    result = await ask(desk(stage))
    assert result["messages"][-1].text == f"{VIEWS[1]}\n\n{LABEL}"
    assert result["status"].written_by == "vote"
    assert result["status"].degraded
    assert "'Boris'" in " ".join(result["status"].notes)


async def test_an_answer_that_breaks_off_is_kept_with_a_note(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply="One two three four five six.", always=Fault.reset(after=2))
    result = await ask(desk(stage))
    assert result["messages"][-1].text.startswith("One two")
    assert result["status"].written_by == "pen"
    assert "broke off" in " ".join(result["status"].notes)
    assert result["status"].degraded


async def test_an_answer_cut_off_at_its_length_says_so(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("One two", finish="length"))
    assert "length limit" in " ".join((await ask(desk(stage)))["status"].notes)


async def test_the_answer_carries_its_label_in_the_message(stage: Stage) -> None:
    seat(stage, likes="twice")
    stage.model("clara", always=Fault.status(500))
    label = (await ask(desk(stage)))["messages"][-1].response_metadata["council"]
    assert label["spoke"] == ["Ada", "Boris"]
    assert label["absent"] == [{"character": "Clara", "reason": "failed"}]
    assert label["degraded"]


async def test_a_third_model_is_asked_for_no_ballot_it_could_not_use(stage: Stage) -> None:
    seat(stage)
    stage.model("clara", always=Fault.status(500))
    await ask(desk(stage))
    assert not voting(stage.calls)


async def test_an_answer_against_the_verdict_is_asked_for_again_with_the_contradiction(
    stage: Stage,
) -> None:
    seat(stage, dict.fromkeys(NAMES, "Answer: 42"))
    stage.model("pen", reply=["Answer: 11", "Answer: 42"])
    result = await ask(desk(stage))
    first, second = stage.calls_to("pen")
    assert second.body["messages"][: len(first.body["messages"])] == first.body["messages"]
    asked = said(second.body)
    assert "wrote '11', and the council had settled on '42'" in asked
    assert result["messages"][-1].text == "Answer: 42"
    assert (result["status"].notes, result["status"].degraded) == ((), False)


async def test_who_declines_what_the_council_answered_is_asked_again(stage: Stage) -> None:
    seat(stage, dict.fromkeys(NAMES, "Answer: 42"))
    stage.model("pen", reply=["I do not know that.", "Answer: 42"])
    result = await ask(desk(stage))
    assert "gave no answer, and the council had settled on '42'" in said(
        stage.calls_to("pen")[1].body
    )
    assert result["messages"][-1].text == "Answer: 42"


async def test_who_contradicts_the_verdict_twice_does_not_speak_for_the_council(
    stage: Stage,
) -> None:
    seat(stage, dict.fromkeys(NAMES, "Answer: 42"))
    stage.model("pen", reply="Answer: 11")
    result = await ask(desk(stage))
    assert len(stage.calls_to("pen")) == 2
    assert result["messages"][-1].text.startswith("Answer: 42")
    status = result["status"]
    assert status.notes[0].startswith(
        "The synthesizer wrote '11', and the council had settled on '42'."
    )
    assert (status.written_by, status.degraded) == ("vote", True)
