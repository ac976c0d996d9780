"""Characters of MixtureOfModels keep who they are, see what they saw, and stay on their Ollama."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.tests.councils.importers.conftest import Bring, places
from mom_council.tests.councils.importers.written import CHARACTERS, OLLAMA_ENV
from mom_council.tests.graph.desk import question, said
from mom_council.tests.stage import Stage


def _changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = deepcopy(CHARACTERS)
    inner: Any = made
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return made


async def test_every_persona_reaches_its_model_on_the_ollama_that_the_env_names(
    bring: Bring, stage: Stage
) -> None:
    found = bring(
        {"characters.json": CHARACTERS, ".env": OLLAMA_ENV.replace("{url}", stage.ollama_url)}
    )
    for model in ("qwen2.5", "llama3.2-vision", "mistral", "llama3.1", "gemma2"):
        stage.model(model, reply=f"So says {model}.")
    await compile_council(found.council).ainvoke(question("Why?"))

    assert {call.path for call in stage.calls} == {"/api/chat"}
    sent = said(stage.calls_to("qwen2.5")[0].body)
    for part in ("Logician", "step by step", "Dry and exact", "Premises first", "proofs, chess"):
        assert part in sent
    written = said(stage.calls_to("llama3.1")[-1].body)
    for part in ("You weigh all views", "Neighbour", "like over a fence", "So says mistral."):
        assert part in written
    assert not stage.calls_to("gemma2"), "the human voice costs no second call"


def test_the_env_gives_heat_and_address_and_the_rest_is_told(bring: Bring, stage: Stage) -> None:
    env = OLLAMA_ENV.replace("{url}", stage.ollama_url)
    found = bring({"characters.json": CHARACTERS, ".env": env})
    assert found.format == "characters.json"
    assert found.council.thermal is not None
    assert (found.council.thermal.limit, found.council.thermal.resume) == (71, 64)
    assert {spec.base_url for spec in found.council.models.values()} == {stage.ollama_url}
    assert places(found.left) == {"GRADIO_PORT", "DEBUG_MODE", "TOKEN_MODE"}
    assert found.council.models["llama3.1"].fallbacks == ("gemma2",)


def test_the_word_vision_opens_eyes_and_television_does_not(bring: Bring) -> None:
    sees = {c.name: c.vision for c in bring({"characters.json": CHARACTERS}).council.characters}
    assert sees == {"Logician": None, "Seer": True, "Critic": None}


def test_names_that_no_node_can_have_are_changed_and_told(bring: Bring) -> None:
    changed = deepcopy(CHARACTERS)
    for who, name in zip(changed["characters"], ("Yes/No: a|b", "Vote", "vote"), strict=True):
        who["name"] = name
    changed["characters"].append({"name": "Synthesizer", "model": "mistral"})
    found = bring({"characters.json": changed})
    assert [c.name for c in found.council.characters] == [
        "Yes-No- a-b",
        "Vote",
        "vote 2",
        "Synthesizer 2",
    ]
    assert {"characters[0].name", "characters[2].name", "characters[3].name"} <= places(
        found.turned
    )


def test_a_byte_order_mark_and_an_address_that_is_the_usual_one_change_nothing(
    bring: Bring,
) -> None:
    from mom_council.tests.councils.importers.written import as_json

    text = b"\xef\xbb\xbf" + as_json(CHARACTERS).encode()
    found = bring({"characters.json": text, ".env": "OLLAMA_API_URL=http://localhost:11434/v1/\n"})
    assert {spec.base_url for spec in found.council.models.values()} == {None}


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        (("characters", 1, "model"), None, ["characters[1].model", "is missing", "Ollama"]),
        (("characters", 0, "modle"), "x", ["characters[0].modle", "did you mean 'model'"]),
        (("characters", 0, "interests"), 7, ["characters[0].interests"]),
        (("characters", 2, "name"), 7, ["characters[2].name", "must be text", "quotes"]),
        (("characters",), {}, ["characters", "must be a list"]),
        (("characters",), [], ["characters", "must not be empty"]),
        (("conclusion_thinkers",), {}, ["did you mean 'conclusion_thinker'"]),
        (("human_output", "model"), None, ["human_output.model", "is missing"]),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_place(
    bring: Bring, path: tuple[Any, ...], value: Any, parts: list[str]
) -> None:
    with pytest.raises(CouncilError) as refused:
        bring({"characters.json": _changed(path, value)})
    for part in parts:
        assert part in str(refused.value)


def test_without_anybody_to_write_the_answer_there_is_no_council(bring: Bring) -> None:
    alone = {"characters": CHARACTERS["characters"]}
    with pytest.raises(CouncilError, match="conclusion_thinker: is missing"):
        bring({"characters.json": alone})
    alone["human_output"] = CHARACTERS["human_output"]
    assert bring({"characters.json": alone}).council.synthesizer.model == "gemma2"


@pytest.mark.parametrize("degrees", ["hot", "7", "nan", "900", ""])
def test_a_limit_that_no_gpu_has_is_refused(bring: Bring, degrees: str) -> None:
    files = {"characters.json": CHARACTERS, ".env": f"GPU_TEMP_LIMIT={degrees}\n"}
    if not degrees:
        assert bring(files).council.thermal is not None
        return
    with pytest.raises(CouncilError, match="GPU_TEMP_LIMIT: must be a number from 20 to 120"):
        bring(files)
