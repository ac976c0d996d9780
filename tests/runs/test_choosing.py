"""Which of the installed models are asked, and why: on lists of many kinds of machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mom_council.models.memory import ModelMemory, memory_for_models
from mom_council.runs.discovery import choose_council
from mom_council.runs.installed import (
    MUCH_WEAKER,
    InstalledModel,
    active_billions,
    billions,
    choose_models,
    expected_seconds,
    maker,
    models_to_pull,
    strength,
    why_no_chat,
)
from mom_council.tests.stage import Stage

GB = 1_000_000_000
LISTS = Path(__file__).parent.parent / "fixtures" / "ollama_lists.json"
MACHINES: list[dict[str, Any]] = json.loads(LISTS.read_text("utf-8"))["machines"]
ROOM = ModelMemory(8 * GB, "GPU")


def memory_of(machine: dict[str, Any]) -> ModelMemory:
    if machine["memory_gb"]:
        return ModelMemory(machine["memory_gb"] * GB, "GPU")
    return ModelMemory(int(machine["ram_gb"] * 0.6 * GB), "RAM")


def installed(card: dict[str, Any]) -> InstalledModel:
    number, unit = float(card["parameters"][:-1]), card["parameters"][-1]
    many = number / (1000 if unit == "M" else 1)
    return InstalledModel(card["name"], int(card["size_gb"] * GB), card["family"], many)


def named(name: str, size: float = 4.0, **more: Any) -> InstalledModel:
    return InstalledModel(name, int(size * GB), **more)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_best_that_fit_are_asked_and_each_of_the_others_has_its_reason(
    machine: dict[str, Any],
) -> None:
    memory = memory_of(machine)
    selection = choose_models(map(installed, machine["models"]), memory)
    assert {one.name for one in selection.seated} == {*machine["asked"]}
    assert len(selection.seated) + len(selection.left_out) == len(machine["models"])
    assert all(reason for _, reason in selection.left_out)
    assert selection.reason
    strengths = [strength(one) for one in selection.seated]
    assert strengths == sorted(strengths)
    if selection.seated:
        assert strengths[-1] - strengths[0] <= MUCH_WEAKER
        assert len({maker(one) for one in selection.seated}) == len(selection.seated)
        assert expected_seconds(selection.seated, memory) > 0


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES[:4])
async def test_a_real_ollama_is_read_and_its_best_models_sit(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOM_MEMORY_GB", str(machine["memory_gb"]))
    with Stage() as stage:
        for card in machine["models"]:
            stage.model(
                card["name"],
                size=int(card["size_gb"] * GB),
                family=card["family"],
                parameters=card["parameters"],
            )
        env = {"OLLAMA_HOST": stage.url, "MOM_MEMORY_GB": str(machine["memory_gb"])}
        choice = await choose_council(None, env)
    assert {model.model for model in choice.council.models.values()} == {*machine["asked"]}
    assert len(choice.council.characters) == 3
    assert f"{machine['memory_gb']} GB" in str(choice.notice) or "one is enough" in str(
        choice.notice
    )
    assert "A question takes about" in str(choice.notice)


@pytest.mark.slow
async def test_what_its_server_says_cannot_chat_is_left_out() -> None:
    with Stage() as stage:
        stage.model("vectors-of-mine", capabilities=("embedding",))
        stage.model("mine:8b", capabilities=("completion", "vision"))
        choice = await choose_council(None, {"OLLAMA_HOST": stage.url})
    assert [model.model for model in choice.council.models.values()] == ["mine:8b"]


@pytest.mark.parametrize(
    "name",
    [
        "nomic-embed-text:latest",
        "mxbai-embed-large",
        "bge-large:335m",
        "qwen3-embedding:0.6b",
        "hf.co/nomic-ai/nomic-embed-text-v1.5-GGUF:Q8_0",
        "all-minilm:22m",
        "dengcao/Qwen3-Reranker-4B:Q4_K_M",
        "starcoder2:3b",
        "starcoder:1b",
        "codellama:7b-code",
        "codellama:13b-code-q4_0",
        "codellama:7b-python",
        "codegemma:2b",
        "codegemma:7b-code",
        "stable-code:3b-code",
        "qwen2.5-coder:1.5b-base",
        "deepseek-coder:1.3b-base-q4_K_M",
        "granite-code:3b-base",
        "llama3:8b-text",
        "mistral:text",
        "gemma3:4b-pt",
        "llama-guard3:1b",
        "shieldgemma:2b",
        "granite3-guardian:8b",
        "gpt-oss-safeguard:20b",
        "deepseek-ocr:3b",
        "sqlcoder:7b",
    ],
)
def test_what_does_not_chat_is_known_by_its_name(name: str) -> None:
    assert why_no_chat(named(name))


@pytest.mark.parametrize(
    "name",
    [
        "codellama:7b-instruct",
        "codellama:7b",
        "qwen2.5-coder:7b",
        "deepseek-coder:6.7b",
        "starcoder2:15b-instruct",
        "granite-code:8b",
        "codegemma:7b",
        "llama3.2:3b-instruct-q4_K_M",
        "command-r:35b",
        "phi4-mini",
        "llava:7b",
        "llama3.2-vision:11b",
        "my-textbook:8b",
    ],
)
def test_what_chats_is_not_taken_for_something_else(name: str) -> None:
    assert why_no_chat(named(name)) is None


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("llama3.2:3b", "meta"),
        ("mistral:7b", "mistral"),
        ("mixtral:8x7b", "mistral"),
        ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", "meta"),
        ("bartowski/Qwen2.5-7B-Instruct-GGUF", "qwen"),
        ("dolphin-mistral:7b", "mistral"),
        ("dolphin-llama3:8b", "meta"),
        ("gemma2:9b", "google"),
        ("mine:1b", "mine"),
    ],
)
def test_the_maker_is_known_by_the_name(name: str, who: str) -> None:
    assert maker(named(name, family="llama")) == who


@pytest.mark.parametrize(
    ("name", "size", "many"),
    [
        ("x:7b", 4, 7.0),
        ("x:135m", 0.1, 0.135),
        ("gemma3n:e4b", 7, 4.0),
        ("mixtral:8x7b", 26, 47.6),
        ("x:latest", 4.2, 7.0),
        ("x", 0, 8.0),
        ("qwen3:30b-a3b", 19, 30.0),
    ],
)
def test_parameters_are_read_from_the_name_or_guessed_from_the_size(
    name: str, size: float, many: float
) -> None:
    assert billions(named(name, size)) == pytest.approx(many)


def test_of_a_mixture_of_experts_the_active_parameters_count_for_speed() -> None:
    assert active_billions(named("qwen3:30b-a3b", 19)) == 3.0
    assert active_billions(named("qwen3:8b", 5)) == 8.0
    mixed, dense = named("qwen3:30b-a3b", 19), named("qwen3:32b", 19)
    room = ModelMemory(48 * GB, "GPU")
    assert expected_seconds([mixed], room) < expected_seconds([dense], room) / 2
    assert strength(named("qwen3:8b", 5)) < strength(mixed) < strength(dense)


def test_coarse_weights_are_weaker() -> None:
    fine, coarse = named("qwen2.5:7b-instruct-q4_K_M"), named("qwen2.5:7b-instruct-q2_K")
    assert strength(fine) > strength(coarse)
    assert strength(named("x:7b", quantization="Q2_K")) == strength(named("x:7b-q2_K"))


def test_where_nothing_fits_the_smallest_is_asked_and_it_is_said() -> None:
    selection = choose_models([named("llama3.3:70b", 43), named("qwen3:32b", 20)], ROOM)
    assert [one.name for one in selection.seated] == ["qwen3:32b"]
    assert "nothing fits into 8 GB of GPU memory" in selection.reason


def test_what_would_help_is_of_other_makers_and_fits() -> None:
    seated = [named("llama3.1:8b", 4.9, parameters=8.0)]
    more = models_to_pull(seated, ROOM)
    assert [one.name for one in more] == ["qwen3:8b", "phi4-mini"]
    assert models_to_pull([*seated, *more], ROOM) == []
    assert len(models_to_pull([], ROOM, 3)) == 3


@pytest.mark.parametrize(
    ("cards", "env", "memory"),
    [
        ([], {"MOM_MEMORY_GB": "24"}, (24 * GB, "GPU")),
        ([{"size": 10 * GB, "size_vram": 6 * GB}], {}, (6 * GB, "GPU")),
        ([{"size": 20 * GB, "size_vram": 20 * GB}], {}, (200 * GB // 9, "assumed")),
        ([{"size": 2 * GB, "size_vram": 2 * GB}], {}, (12 * GB, "assumed")),
        ([{"size": "x", "size_vram": None}], {}, (12 * GB, "assumed")),
        ([], {}, (12 * GB, "assumed")),
        ([], {"MOM_MEMORY_GB": "much"}, (12 * GB, "assumed")),
    ],
)
def test_the_memory_of_another_machine_is_what_its_server_shows(
    cards: list[dict[str, Any]], env: dict[str, str], memory: tuple[int, str]
) -> None:
    assert memory_for_models(cards, here=False, env=env) == ModelMemory(*memory)  # type: ignore[arg-type]


def test_without_a_gpu_the_main_memory_counts() -> None:
    memory = memory_for_models([{"size": 5, "size_vram": 0}], here=True, env={})
    assert memory.kind in ("RAM", "GPU")
    assert memory.bytes > GB


@pytest.mark.parametrize(
    ("name", "family", "tokenizer", "who"),
    [
        ("deepseek-r1:7b", "qwen2", "", "qwen"),
        ("deepseek-r1:8b", "qwen3", "", "qwen"),
        ("deepseek-r1:8b", "llama", "", "meta"),
        ("deepseek-r1:671b", "deepseek2", "", "deepseek"),
        ("hermes3:8b", "llama", "llama-bpe", "meta"),
        ("cogito:14b", "qwen2", "", "qwen"),
        ("mistral:7b", "llama", "default", "mistral"),
        ("smollm2:1.7b", "llama", "smollm", "smollm"),
    ],
)
def test_a_model_is_of_the_maker_that_it_was_built_on(
    name: str, family: str, tokenizer: str, who: str
) -> None:
    assert maker(InstalledModel(name, 1, family, tokenizer=tokenizer)) == who
