"""The graph of a council, end to end, against a real server."""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest

from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.schedule import supersteps_at_most
from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council, council
from mom_council.graph.served import make_graph
from mom_council.testing.log import overlap
from mom_council.tests.graph.desk import (
    ALL,
    PERSONAS,
    ask,
    desk,
    others,
    proposals,
    question,
    seat,
    speaking,
    voice,
    voting,
    written,
)
from mom_council.tests.stage import Fault, Stage


async def test_a_council_answers_with_a_status(stage: Stage) -> None:
    seat(stage, likes="twice")
    stage.model("pen", reply="A cat.")
    result = await ask(desk(stage))
    assert result["messages"][-1].text == "A cat."
    status = result["status"]
    assert status.spoke == ("Ada", "Boris", "Clara")
    assert status.verdict.leader == "Ada"
    assert (status.dissent, status.joined) == ((), ("Boris", "Clara"))
    assert status.minority_report == ""
    assert status.written_by == "pen"
    assert not status.degraded
    assert status.usage.calls == len(stage.calls) == 3 + 3 + 1


async def test_equal_answers_need_no_ballots(stage: Stage) -> None:
    seat(stage, {"Ada": "It is 42.", "Boris": "Answer: 42", "Clara": "**42**"})
    result = await ask(desk(stage), "What is 17 + 25?")
    assert result["status"].stop_reason == "agreed"
    assert not voting(stage.calls)


async def test_ballots_are_always_asked_for_where_the_council_wants_them(stage: Stage) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "It is 42."))
    await ask(desk(stage, deliberation={"ballots": "always"}), "What is 17 + 25?")
    assert len(voting(stage.calls)) == 3


@pytest.mark.parametrize("layers", [[ALL], [ALL[:3], ALL[3:]]])
async def test_calls_of_one_fan_out_overlap_fully(stage: Stage, layers: list[list[str]]) -> None:
    fan_outs = [*layers, ALL]
    barriers = [asyncio.Barrier(len(fan_out)) for fan_out in fan_outs]
    places = iter([each for each in barriers for _ in range(each.parties)])

    async def wait_for_the_others(_: object) -> None:
        await next(places).wait()

    seat(stage, ALL, hold=wait_for_the_others)  # none is answered before all were sent
    models = {name.lower(): voice(stage, name.lower(), timeout=60) for name in ALL}
    rules = {"rounds": {"min": 1, "max": 1}}
    result = await ask(desk(stage, ALL, layers=layers, models=models, deliberation=rules))
    assert result["status"].rounds == 1
    calls = iter(stage.calls)
    for fan_out in fan_outs:
        wave = list(islice(calls, len(fan_out)))
        assert {call.model for call in wave} == {name.lower() for name in fan_out}
        assert overlap(wave) == len(fan_out)
    assert len(voting(wave)) == 6
    assert [call.model for call in calls] == ["pen"]


async def test_in_sequential_mode_each_hears_those_before_it(stage: Stage) -> None:
    seat(stage, latency=0.02)
    await ask(desk(stage, deliberation={"mode": "sequential"}))
    turns = [call for call in speaking(stage.calls) if call.model != "pen"]
    assert overlap(turns) == 1
    assert [call.model for call in turns] == ["ada", "boris", "clara"]
    assert [sorted(others(call.body)) for call in turns] == [
        [],
        ["The view of You count twice."],
        ["The view of You count twice.", "The view of You doubt everything."],
    ]


async def test_a_second_layer_reads_the_first_and_the_synthesizer_the_last(stage: Stage) -> None:
    seat(stage, ALL)
    await ask(desk(stage, ALL, layers=[ALL[:3], ALL[3:]]))
    for name in ("dmitri", "elena", "farid"):
        first = stage.calls_to(name)[0]
        assert sorted(others(first.body)) == sorted(_views("Ada", "Boris", "Clara"))
    assert sorted(proposals(stage.calls_to("pen")[0].body)) == sorted(
        _views("Dmitri", "Elena", "Farid")
    )


async def test_dead_hanging_garbled_and_empty_models_are_named_and_the_answer_comes(
    stage: Stage,
) -> None:
    seat(stage, ALL)
    stage.model("ada", always=Fault.status(500))
    stage.model("boris", always=Fault.hang())
    stage.model("clara", reply="\ufffd\x00\x01\ufffd\x02")
    stage.model("dmitri", always=Fault.empty())
    made = desk(stage, ALL)
    quick = made.models["boris"].model_copy(update={"timeout": 0.3})
    made = made.model_copy(update={"models": {**made.models, "boris": quick}})
    result = await ask(made)
    status = result["status"]
    assert result["messages"][-1].text == "What the council says."
    assert {a.character: a.reason for a in status.absent} == {
        "Ada": "failed",
        "Boris": "timeout",
        "Clara": "garbled",
        "Dmitri": "empty",
    }
    assert status.degraded
    assert status.spoke == ("Elena", "Farid")
    assert proposals(stage.calls_to("pen")[0].body)
    assert all(a.detail for a in status.absent)


@pytest.mark.parametrize("fault", [Fault.garbage(), Fault.bad_gateway(), Fault.malformed()])
async def test_a_server_that_talks_nonsense_is_an_absence(stage: Stage, fault: Fault) -> None:
    seat(stage)
    stage.model("ada", always=fault)
    status = (await ask(desk(stage)))["status"]
    assert [a.character for a in status.absent] == ["Ada"]


async def test_a_refusal_is_an_absence_and_in_the_models_own_words(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", always=Fault.refusal("I would rather not."))
    (absence,) = (await ask(desk(stage)))["status"].absent
    assert (absence.reason, absence.detail) == ("refused", "I would rather not.")


async def test_who_has_failed_for_good_is_not_asked_in_the_next_round(stage: Stage) -> None:
    seat(stage, ALL[:4])
    stage.model("ada", always=Fault.status(500))
    await ask(desk(stage, ALL[:4], deliberation={"rounds": {"min": 2, "max": 2}}))
    assert len(stage.calls_to("ada")) == 1
    assert len(speaking(stage.calls_to("boris"))) == 2


async def test_who_was_empty_is_asked_again_in_the_next_round(stage: Stage) -> None:
    seat(stage)
    stage.scripts["ada"].faults = [Fault.empty()]
    result = await ask(desk(stage, deliberation={"rounds": {"min": 2, "max": 2}}))
    assert "Ada" in result["status"].spoke
    assert len(speaking(stage.calls_to("ada"))) == 2


async def test_one_character_answers_alone_and_the_status_says_so(stage: Stage) -> None:
    seat(stage, ["Ada"])
    status = (await ask(desk(stage, ["Ada"])))["status"]
    assert status.stop_reason == "single"
    assert "nothing to vote on" in " ".join(status.notes)
    assert not status.degraded
    assert [call.model for call in stage.calls] == ["ada", "pen"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [({"Ada": "42", "Boris": "It is 42."}, "agreed"), ({"Ada": "42", "Boris": "43"}, "rounds")],
)
async def test_two_characters_are_not_asked_for_ballots(
    stage: Stage, answers: dict[str, str], reason: str
) -> None:
    seat(stage, answers)
    status = (await ask(desk(stage, ["Ada", "Boris"]), "What is 17 + 25?"))["status"]
    assert status.stop_reason == reason
    assert "two proposals" in " ".join(status.notes)
    assert not voting(stage.calls)


async def test_everyone_absent_but_one_still_answers(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", always=Fault.status(500))
    stage.model("boris", always=Fault.status(401))
    status = (await ask(desk(stage)))["status"]
    assert status.spoke == ("Clara",)
    assert status.stop_reason == "single"
    assert "Only 'Clara' answered" in " ".join(status.notes)
    assert status.degraded
    assert not voting(stage.calls)


async def test_a_last_layer_of_one_is_not_said_to_be_the_only_one_who_answered(
    stage: Stage,
) -> None:
    seat(stage)
    status = (await ask(desk(stage, layers=[["Ada", "Boris"], ["Clara"]])))["status"]
    assert status.spoke == ("Ada", "Boris", "Clara")
    assert "Only" not in " ".join(status.notes)
    assert not status.degraded


async def test_a_proposal_stands_when_its_author_misses_the_next_round(stage: Stage) -> None:
    seat(stage)
    for name in ("boris", "clara"):
        stage.scripts[name].reply = f"What {name} says once."
        stage.scripts[name].faults = [None]
        stage.scripts[name].always = Fault.empty()
    rules = {"rounds": {"min": 2, "max": 2}, "method": "answers"}
    await ask(desk(stage, deliberation=rules))
    shown = proposals(stage.calls_to("pen")[0].body)
    assert {"What boris says once.", "What clara says once."} < set(shown)


async def test_a_context_plays_one_run_by_other_rules(stage: Stage) -> None:
    seat(stage)
    made = desk(stage)
    status = (await ask(made, context=CouncilContext(min_rounds=2, max_rounds=2)))["status"]
    assert status.rounds == 2
    assert (await ask(made))["status"].rounds == 1


async def test_the_longest_deliberation_has_room(stage: Stage) -> None:
    seat(stage, ALL)
    rules = {"mode": "sequential", "rounds": {"min": 20, "max": 20}}
    made = desk(stage, ALL, layers=[ALL[:3], ALL[3:]], deliberation=rules)
    assert (await ask(made))["status"].rounds == 20


def test_the_graph_is_the_council_as_a_picture(stage: Stage) -> None:
    made = desk(stage)
    graph = compile_council(made)
    drawn = graph.get_graph()
    assert {"Ada", "Boris", "Clara", "Ada votes"} <= set(drawn.nodes)
    assert graph.name == "desk"
    assert "Ada" in drawn.draw_mermaid()
    assert supersteps_at_most(made) > 20


def test_the_schemas_hold_the_documented_fields(stage: Stage) -> None:
    graph = compile_council(desk(stage))
    assert list(graph.get_input_jsonschema()["properties"]) == ["messages"]
    assert set(graph.get_output_jsonschema()["properties"]) == {"messages", "status"}
    settings = graph.get_context_jsonschema()
    assert settings is not None
    assert {"max_rounds", "threshold", "method", "max_calls"} <= set(settings["properties"])
    assert all("description" in field for field in settings["properties"].values())


@pytest.mark.parametrize("chosen", ["council", "variable"])
async def test_a_server_chooses_its_council_by_name(
    monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    assert (await make_graph({})).name == "demo"
    if chosen == "variable":
        monkeypatch.setenv("MOM_COUNCIL", "self")
        assert (await make_graph({})).name == "self"
    else:
        assert (await make_graph({"configurable": {"council": "self"}})).name == "self"


def test_a_council_is_opened_from_what_its_file_would_say(stage: Stage) -> None:
    assert council(written(stage)).name == "desk"


async def test_an_empty_question_is_refused_before_anybody_is_asked(stage: Stage) -> None:
    seat(stage)
    for empty in ("", "  \n", "/text", "/text  "):
        with pytest.raises(CouncilError, match="no question"):
            await compile_council(desk(stage)).ainvoke(question(empty))
    assert not stage.calls


def _views(*names: str) -> list[str]:
    return [f"The view of {PERSONAS[name]}" for name in names]
