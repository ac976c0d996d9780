"""Several models by memories-dev's interface, and the three ways to one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mom_council.compat import LoadModel, MultiModelInference
from mom_council.errors import CouncilError, QuorumError
from mom_council.tests.graph.desk import character
from mom_council.tests.stage import Fault, Stage

SAID = {
    "gpt": "The sky is blue because air scatters short waves most.",
    "claude": "The sky is blue because air scatters short waves the most.",
    "deep": "Paint.",
}


def _models(stage: Stage, likes: str = "Paint", **said: str) -> dict[str, LoadModel]:
    for name, text in {**SAID, **said}.items():
        stage.model(f"{name}-1", reply=character(text, likes))
    return {
        name: LoadModel("openai", "api", f"{name}-1", base_url=stage.openai_url) for name in SAID
    }


def test_every_model_is_asked_once_and_consensus_takes_what_most_say(stage: Stage) -> None:
    several = MultiModelInference(_models(stage), "consensus")
    responses = several.get_responses("Why?")
    assert {name: one["text"] for name, one in responses.items()} == SAID
    assert sorted(call.model for call in stage.calls) == ["claude-1", "deep-1", "gpt-1"]
    chosen = several.get_aggregated_response()
    assert chosen["text"] in (SAID["gpt"], SAID["claude"])
    assert set(chosen["agreed_by"]) == {"gpt", "claude"}
    assert chosen["confidence"] == pytest.approx(2 / 3)
    assert chosen["responses"] == responses
    assert several.get_aggregated_response() == chosen
    assert len(stage.calls) == 3, "choosing costs no call"


def test_voting_has_them_vote_on_each_others_answers(stage: Stage) -> None:
    several = MultiModelInference(_models(stage, likes="Paint"), "voting")
    several.get_responses("Why?")
    assert len(stage.calls) == 3
    chosen = several.get_aggregated_response()
    assert (chosen["text"], chosen["model"]) == ("Paint.", "deep")
    assert len(stage.calls) == 6, "three ballots, and nobody writes the answer anew"


def test_best_confidence_takes_who_says_it_is_surest(stage: Stage) -> None:
    sure = {"gpt": "Blue.\nConfidence: 60%", "claude": "Grey.\nConfidence: 95%", "deep": "Red."}
    several = MultiModelInference(_models(stage, **sure), "best_confidence")
    several.get_responses("Why?")
    chosen = several.get_aggregated_response()
    assert (chosen["model"], chosen["confidence"]) == ("claude", 0.95)
    assert "how sure you are" in json.dumps(stage.calls[0].body)


def test_one_that_fails_holds_up_nobody_and_all_that_fail_are_an_error(stage: Stage) -> None:
    models = _models(stage)
    stage.scripts["deep-1"].always = Fault.status(400)
    several = MultiModelInference(models)
    failed = several.get_responses("Why?")["deep"]
    assert failed["text"] is None
    assert "400" in str(failed["error"])
    assert several.get_aggregated_response()["responses"]["deep"] == failed
    for name in SAID:
        stage.scripts[f"{name}-1"].always = Fault.status(400)
    assert not any(one["text"] for one in several.get_responses("Again?").values())
    with pytest.raises(QuorumError):
        several.get_aggregated_response()


def test_each_prompt_is_a_conversation_of_its_own(stage: Stage) -> None:
    several = MultiModelInference([*_models(stage).values()])
    several.get_responses("First?")
    assert set(several.get_responses("Second?")) == {"gpt-1", "claude-1", "deep-1"}
    assert "First?" not in json.dumps(stage.calls[-1].body)


@pytest.mark.parametrize(("models", "method"), [({}, "consensus"), (None, "guess")])
def test_no_models_and_no_such_method_are_refused(stage: Stage, models: Any, method: Any) -> None:
    given = _models(stage) if models is None else models
    with pytest.raises(CouncilError):
        MultiModelInference(given, method)
    with pytest.raises(CouncilError, match="get_responses"):
        MultiModelInference(_models(stage)).get_aggregated_response()
