"""What a character is sent, and what becomes of its answer."""

from __future__ import annotations

import pytest

from mom_council.councils.loader import load_council
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import (
    PERSONAS,
    ask,
    desk,
    others,
    own,
    question,
    roles,
    said,
    seat,
    speaking,
    texts,
    voice,
)
from mom_council.tests.stage import Fault, Reply, Stage

NAMES = ("Ada", "Boris", "Clara")


async def test_everyone_gets_its_own_persona_and_the_question(stage: Stage) -> None:
    seat(stage)
    await ask(desk(stage), "Why is the sky blue?")
    for name in NAMES:
        (first, *_) = speaking(stage.calls_to(name.lower()))
        assert roles(first.body) == ["system", "user"]
        assert PERSONAS[name] in texts(first.body, "system")[0]
        assert not any(PERSONAS[other] in said(first.body) for other in NAMES if other != name)
        assert texts(first.body, "user") == ["Why is the sky blue?"]


async def test_every_trait_of_a_character_is_told_to_it(stage: Stage) -> None:
    seat(stage, ["Ada"])
    traits = {
        "name": "Ada",
        "model": "ada",
        "speaking_style": "in verse",
        "thought_process": "backwards",
        "interests": ["moss", "tin"],
        "temperature": 0.3,
    }
    await ask(desk(stage, ["Ada"], characters=[traits]))
    body = stage.calls_to("ada")[0].body
    system = texts(body, "system")[0]
    assert all(trait in system for trait in ("in verse", "backwards", "moss, tin"))
    assert body["temperature"] == 0.3


async def test_round_two_tells_the_question_the_others_and_the_own_answer_apart(
    stage: Stage,
) -> None:
    seat(stage)
    rules = {"rounds": {"min": 2, "max": 2}}
    await ask(desk(stage, deliberation=rules), "Why is the sky blue?")
    for name in NAMES:
        first, second = speaking(stage.calls_to(name.lower()))
        assert not others(first.body)
        assert not own(first.body)
        assert "Why is the sky blue?" in texts(second.body, "user")[-1]
        assert own(second.body) == [f"The view of {PERSONAS[name]}"]
        assert sorted(others(second.body)) == sorted(
            f"The view of {PERSONAS[other]}" for other in NAMES if other != name
        )


async def test_others_answers_come_without_names(stage: Stage) -> None:
    seat(stage)
    await ask(desk(stage, deliberation={"rounds": {"min": 2, "max": 2}}))
    second = speaking(stage.calls_to("ada"))[1]
    assert not any(name in said(second.body) for name in ("Boris", "Clara", "boris", "clara"))


async def test_the_original_question_stays_beside_its_restatement(stage: Stage) -> None:
    seat(stage)
    stage.model("reader", reply='{"restated": "Which animal suits a flat?", "kind": "open"}')
    council = desk(
        stage,
        models={"reader": voice(stage, "reader"), **_voices(stage)},
        annotator={"model": "reader"},
        deliberation={"rounds": {"min": 2, "max": 2}},
    )
    await ask(council, "Which one is best?")
    for call in stage.calls:
        assert "Which one is best?" in said(call.body)
        if call.model != "reader":
            assert "Which animal suits a flat?" in said(call.body)


async def test_a_truncated_answer_is_a_proposal_that_says_so(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=Reply("Because of", finish="length"))
    result = await compile_council(desk(stage)).ainvoke(question(), output_keys=["proposals"])
    assert [p.truncated for p in result["proposals"] if p.character == "Ada"] == [True]


async def test_a_thinking_models_thoughts_are_no_part_of_its_proposal(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=Reply("It is so.", reasoning="Is it so?"))
    await ask(desk(stage))
    sent = [said(call.body) for call in stage.calls if call.model != "ada"]
    assert any("It is so." in text for text in sent)
    assert not any("Is it so?" in text for text in sent)


@pytest.mark.parametrize("fault", [Fault.content_filter(), Fault.null()])
async def test_an_answer_without_text_is_an_absence(stage: Stage, fault: Fault) -> None:
    seat(stage)
    stage.model("ada", always=fault)
    (absence,) = (await ask(desk(stage)))["status"].absent
    assert absence.reason in ("refused", "empty")


async def test_a_fallback_answers_for_a_dead_model(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", always=Fault.status(500))
    stage.model("spare", reply="The spare answers.")
    models = {
        **_voices(stage),
        "ada": voice(stage, "ada", fallbacks=["spare"]),
        "spare": voice(stage, "spare"),
    }
    result = await compile_council(desk(stage, models=models)).ainvoke(
        question(), output_keys=["proposals", "status"]
    )
    first = next(p for p in result["proposals"] if p.character == "Ada")
    assert first.model == "spare"
    assert not result["status"].absent
    assert PERSONAS["Ada"] in said(stage.calls_to("spare")[0].body)


def _voices(stage: Stage) -> dict[str, dict[str, object]]:
    return {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen")}


async def test_a_later_layer_reads_who_sits_opposite_or_all_where_nobody_does(
    stage: Stage,
) -> None:
    names = ("Ada", "Boris", "Clara", "Dmitri", "Elena")
    seat(stage, names)
    layers = [["Ada", "Boris"], ["Clara", "Dmitri", "Elena"]]
    rules = {"hears": "opposite", "method": "none"}
    await ask(desk(stage, names, layers=layers, deliberation=rules))
    view = "The view of {}".format
    first, second = (view(PERSONAS[name]) for name in ("Ada", "Boris"))
    assert others(stage.calls_to("clara")[0].body) == [first]
    assert others(stage.calls_to("dmitri")[0].body) == [second]
    assert set(others(stage.calls_to("elena")[0].body)) == {first, second}

    stage.clear()
    stage.scripts["ada"].always = Fault.status(400)
    await ask(desk(stage, names, layers=layers, deliberation=rules))
    assert others(stage.calls_to("clara")[0].body) == [second], "Ada is absent"


async def test_a_later_layer_and_the_writer_may_read_every_layer(stage: Stage) -> None:
    names = ("Ada", "Boris", "Clara")
    seat(stage, names)
    layers = [["Ada"], ["Boris"], ["Clara"]]
    rules = {"hears": "every", "method": "none"}
    council = desk(stage, names, layers=layers, deliberation=rules)
    values = council.model_dump(mode="json", exclude_defaults=True)
    values["synthesizer"] |= {"reads": "every", "shuffle": False}
    await ask(load_council(values))
    view = "The view of {}".format
    first, second, third = (view(PERSONAS[name]) for name in names)
    assert set(others(stage.calls_to("clara")[0].body)) == {first, second}
    read = said(stage.calls_to("pen")[0].body)
    assert read.index(first) < read.index(second) < read.index(third)

    values["synthesizer"]["omit"] = 0.9
    stage.clear()
    await ask(load_council(values))
    read = said(stage.calls_to("pen")[0].body)
    assert 1 <= sum(one in read for one in (first, second, third)) < 3, "some, never all"
    assert all(stage.calls_to(name.lower()) for name in names), "everyone was asked"
