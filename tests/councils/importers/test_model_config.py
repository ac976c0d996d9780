"""Models of memories-dev become seats, with the parameters their vendors really take."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from mom_council.errors import CouncilError, UnknownNameError
from mom_council.graph.council import compile_council
from mom_council.models.providers.generation import read_settings
from mom_council.tests.councils.importers.conftest import Bring, on_stage, places
from mom_council.tests.councils.importers.written import MODEL_CONFIG
from mom_council.tests.graph.desk import question
from mom_council.tests.stage import Stage

FILE = "model_config.json"


async def test_each_model_is_asked_by_its_own_name_and_parameters(
    bring: Bring, stage: Stage
) -> None:
    found = bring({FILE: MODEL_CONFIG})
    for key in ("gpt-large", "claude-large", "coder"):
        stage.model(key, reply=f"{key} speaks.")
    await compile_council(on_stage(found.council, stage)).ainvoke(question("Why?"))
    asked = {call.model: call.body for call in reversed(stage.calls)}
    assert {k: asked["gpt-large"].get(k) for k in ("max_tokens", "temperature", "top_p")} == {
        "max_tokens": 900,
        "temperature": 0.4,
        "top_p": 0.9,
    }
    assert "top_k" not in asked["gpt-large"]
    assert (asked["claude-large"]["max_tokens"], asked["claude-large"]["top_k"]) == (500, 20)
    assert (asked["coder"]["max_new_tokens"], asked["coder"]["repetition_penalty"]) == (256, 1.2)
    assert [call.model for call in stage.calls].count("gpt-large") == 2, "it speaks and writes"


def test_every_key_has_a_place_or_a_reason(bring: Bring) -> None:
    found = bring({FILE: MODEL_CONFIG})
    models = found.council.models
    assert {name: (m.provider, m.model, m.lane) for name, m in models.items()} == {
        "gpt-large": ("openai", "gpt-large", "paid"),
        "claude-large": ("anthropic", "claude-large", "paid"),
        "coder": ("huggingface", "deepseek-ai/coder", "own"),
    }
    assert models["gpt-large"].fallbacks == ("claude-large",)
    assert (models["gpt-large"].tools, models["coder"].tools) == (True, False)
    assert found.council.synthesizer.model == "gpt-large"
    assert found.council.deliberation.method == "similarity"
    local = ("use_gpu", "batch_size", "device_map", "trust_remote_code")
    assert models["coder"].params["dtype"] == "float16"
    read_settings(models["coder"].params, "coder")  # what will run it knows every setting
    assert places(found.left) == {
        "models.gpt.config.top_k",
        "models.gpt.config.repetition_penalty",
        *(f"models.deep.config.{name}" for name in (*local, "supports_streaming")),
        *(f"global_config.{name}" for name in MODEL_CONFIG["global_config"]),
    }
    assert "hf_abc" not in repr(found)


@pytest.mark.parametrize(
    ("config", "params"),
    [
        ({"use_gpu": False}, {"device": "cpu"}),
        ({"use_gpu": True, "device_map": "cuda:1"}, {"device": "cuda:1"}),
        ({"device_map": {"": 0}, "torch_dtype": "torch.bfloat16"}, {"dtype": "bfloat16"}),
        ({"torch_dtype": "auto"}, {}),
    ],
)
def test_a_local_model_lies_where_the_file_says(
    bring: Bring, config: dict[str, Any], params: dict[str, Any]
) -> None:
    only = {"name": "a/b", "provider": "meta", "type": "local", "config": config}
    found = bring({FILE: {"models": {"only": only}, "default_model": "only"}})
    assert found.council.models["b"].params == params


def test_a_file_with_one_model_and_nothing_else_is_a_council(bring: Bring) -> None:
    found = bring({FILE: {"models": {"only": {"name": "x", "provider": "ollama"}}}})
    assert found.council.synthesizer.model == "x"
    assert "default_model" in places(found.turned)


@pytest.mark.parametrize(
    ("path", "value", "kind", "parts"),
    [
        (("default_model",), "gtp", UnknownNameError, ["default_model", "did you mean 'gpt'"]),
        (
            ("provider_groups", "own"),
            ["deep", "cloude"],
            UnknownNameError,
            ["provider_groups.own[1]", "'claude'"],
        ),
        (
            ("models", "gpt", "config", "fallback"),
            "nobody",
            UnknownNameError,
            ["models.gpt.config.fallback", "no key of `models`"],
        ),
        (
            ("models", "gpt", "type"),
            "cloud",
            CouncilError,
            ["models.gpt.type", "'local' or 'api'"],
        ),
        (
            ("models", "gpt", "config", "temperature"),
            9,
            CouncilError,
            ["models.gpt.config.temperature", "at most 2"],
        ),
        (
            ("models", "gpt", "config", "temprature"),
            1,
            CouncilError,
            ["models.gpt.config.temprature", "mean 'temperature'"],
        ),
        (("models",), {}, CouncilError, ["models", "must not be empty"]),
        (("models", "gpt", "name"), "", CouncilError, ["models.gpt.name", "empty"]),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_place(
    bring: Bring, path: tuple[str, ...], value: Any, kind: type[Exception], parts: list[str]
) -> None:
    made = deepcopy(MODEL_CONFIG)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(kind) as refused:
        bring({FILE: made})
    for part in parts:
        assert part in str(refused.value)


def test_two_that_stand_in_for_each_other_are_kept_without_the_circle(bring: Bring) -> None:
    made = deepcopy(MODEL_CONFIG)
    made["models"]["claude"]["config"]["fallback"] = ["gpt"]
    found = bring({FILE: made})
    assert "models.claude.config.fallback" in {one.place for one in found.left}
    chains = {key: one.fallbacks for key, one in found.council.models.items()}
    assert any(chains.values())
