"""Texts as vectors, over both wires, and a council that tells likeness by them."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.councils.schema import Model
from mom_council.errors import CouncilError, ModelError
from mom_council.models.embeddings import cosine, embed
from mom_council.tests.graph.desk import ask, desk, seat, voice
from mom_council.tests.stage import Fault, Stage

VIEWS = {
    "Ada": "Cats are the best pets for a small flat.",
    "Boris": "Dogs guard the house at night, and they like long walks in the woods.",
    "Clara": "Small pets are a flat the best cats for.",
}


def spec(stage: Stage, provider: str) -> dict[str, Any]:
    url = stage.openai_url if provider == "openai" else stage.ollama_url
    return {"provider": provider, "model": "nearby", "base_url": url, "retries": 0, "timeout": 10}


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_texts_are_sent_as_words_in_one_request(
    stage: Stage, provider: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-vendor")
    monkeypatch.setenv("OLLAMA_API_KEY", "of-another-vendor")
    stage.model("nearby")
    vectors = await embed(Model(**spec(stage, provider)), ["Cats sleep.", "cats SLEEP", ""])
    (call,) = stage.calls
    assert call.body["input"] == ["Cats sleep.", "cats SLEEP", " "]
    assert call.path in ("/v1/embeddings", "/api/embed")
    assert "another-vendor" not in str(call.headers)
    assert cosine(vectors[0], vectors[1]) == pytest.approx(1)
    assert cosine(vectors[0], vectors[2]) < 0.9
    assert cosine([0.0, 0.0], [1.0, 0.0]) == 0


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_a_model_that_fails_is_a_model_error(stage: Stage, provider: str):
    stage.model("nearby", always=Fault.status(500))
    with pytest.raises(ModelError, match="'nearby' gave no vectors"):
        await embed(Model(**spec(stage, provider)), ["Cats sleep."])


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_likeness_by_vectors_joins_what_equal_words_would_not(stage: Stage, provider: str):
    seat(stage, VIEWS)
    stage.model("nearby")
    rules: dict[str, Any] = {"method": "similarity"}
    plain = (await ask(desk(stage, deliberation=rules)))["status"]
    assert len(plain.verdict.options) == 3
    rules["likeness"] = {"model": "near", "threshold": 0.75}
    keys = {name.lower(): voice(stage, name.lower()) for name in (*VIEWS, "pen")}
    council = desk(stage, deliberation=rules, models={**keys, "near": spec(stage, provider)})
    status = (await ask(council))["status"]
    assert status.verdict.options[0].members == ("Ada", "Clara")
    assert status.usage.calls == 3 + 1 + 1


async def test_where_vectors_fail_words_are_compared_and_it_says_so(stage: Stage):
    seat(stage, VIEWS)
    stage.model("nearby", always=Fault.status(500))
    rules = {"method": "similarity", "likeness": {"model": "near"}}
    keys = {name.lower(): voice(stage, name.lower()) for name in (*VIEWS, "pen")}
    models = {**keys, "near": spec(stage, "openai")}
    status = (await ask(desk(stage, deliberation=rules, models=models)))["status"]
    assert len(status.verdict.options) == 3
    assert any("Likeness was told by words alone" in note for note in status.notes)


def test_a_model_of_vectors_that_is_not_there_is_refused(stage: Stage):
    with pytest.raises(CouncilError, match=r"likeness\.model"):
        desk(stage, deliberation={"method": "similarity", "likeness": {"model": "nowhere"}})
