"""Moving day with odd files: two more checkouts of each system, and odd lists of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.tests.cli.conftest import Mom


def _who(name: str, model: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "model": model, "personality": "p", **more}


def _moa(**changes: Any) -> dict[str, Any]:
    return {
        "proposal_layers": [{"neurons": [{"model": "a/one"}, {"model": "b/two"}]}],
        "aggregation_layer": {"model": "c/three", "aggregation_prompt": "${x} {responses}"},
        **changes,
    }


def _entry(name: str, provider: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "provider": provider, "type": "api", "config": config}


LAYERS = """\
FIRST = ["own/a", "own/b"]
layer1_model_ids = FIRST + ["own/c"]
layer2_model_ids = ["own/d"]
final_model_id = ["own/e"]
user_query = ["Why?"]
layer1_do_sample = True
layer1_temperature = 0.3
"""
CHECKOUTS: dict[str, tuple[dict[str, Any], list[str], dict[str, Any]]] = {
    "1: interests as one text": (
        {
            "characters.json": {
                "characters": [
                    _who("Seer", "llava:7b", interests="Vision, painting"),
                    _who("Critic", "mistral", interests=None),
                    _who("Viewer", "gemma2", interests="television; revisions"),
                ],
                "conclusion_thinker": _who("Judge", "qwen2.5:14b", interests=""),
                "human_output": _who("Voice", "gemma2"),
            },
        },
        ["Seer", "Critic", "Viewer"],
        {"characters.0.vision": True, "characters.2.vision": None},
    ),
    "1: models in variables, an address from compose": (
        {
            "app/characters.json": {
                "characters": [_who("One", "${MODEL_A}"), _who("Two", "${MODEL_B:-mistral}")],
                "conclusion_thinker": _who("Judge", "$MODEL_A"),
            },
            "app/.env": "MODEL_A=qwen2.5:7b\nGPU_TEMP_LIMIT=70\n",
            "docker-compose.yaml": {
                "services": {
                    "ollama": {"image": "ollama/ollama", "ports": ["11500:11434"]},
                    "app": {"environment": ["OLLAMA_API_URL=http://ollama:11434/v1/"]},
                }
            },
        },
        ["One", "Two"],
        {
            "models.qwen2.5-7b.model": "qwen2.5:7b",
            "models.mistral.base_url": "http://localhost:11500",
            "thermal.limit": 70,
        },
    ),
    "2: a compose file of two llama.cpp servers": (
        {
            "compose.yaml": {
                "services": {
                    "router": {
                        "image": "ghcr.io/ggml-org/llama.cpp:server",
                        "command": "-m /models/qwen-1.5b-q4.gguf --port 8081 -c 2048",
                        "ports": ["9001:8081"],
                    },
                    "large": {
                        "image": "ghcr.io/ggml-org/llama.cpp:server-cuda",
                        "command": [
                            "--model",
                            "/models/llama-8B.gguf",
                            "--ctx-size",
                            "${CTX:-8192}",
                        ],
                        "ports": ["9002:8080"],
                    },
                    "db": {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD": "x"}},
                }
            },
        },
        ["Answerer"],
        {
            "models.llama-8B.base_url": "http://localhost:9002/v1",
            "models.llama-8B.context": 8192,
            "models.qwen-1.5b-q4.base_url": "http://localhost:9001/v1",
        },
    ),
    "2: its variables in a compose file": (
        {
            "part-6/docker-compose.yml": {
                "services": {
                    "flask": {
                        "build": ".",
                        "environment": {
                            "INFERENCE_API_URL": "http://host.docker.internal:${PORT}",
                            "INFERENCE_SMALL_API_URL": "http://small:8080/v1",
                            "INFERENCE_MODEL_NAME": "big",
                            "APP_DEBUG": True,
                        },
                    },
                    "small": {"image": "llama.cpp", "ports": [{"target": 8080, "published": 7001}]},
                }
            },
            "part-6/.env": "PORT=7000\n",
        },
        ["Answerer"],
        {
            "models.big.base_url": "http://localhost:7000/v1",
            "models.default.base_url": "http://localhost:7001/v1",
        },
    ),
    "3: lists that are put together": (
        {"config.py": LAYERS, "main.py": "raise SystemExit\n"},
        ["a", "b", "c", "d"],
        {"models.a.params.temperature": 0.3, "synthesizer.model": "e"},
    ),
    "3: the file in a folder, one layer": (
        {"src/moa/config.py": LAYERS.replace('["own/d"]', "[]"), "tests/test_config.py": LAYERS},
        ["a", "b", "c"],
        {},
    ),
    "4: api and local beside each other": (
        {
            "models/model_config.json": {
                "models": {
                    "fast": _entry("gpt-4o-mini", "openai", temperature=0.2, top_p=0.9),
                    "deep": _entry("deepseek-chat", "deepseek", fallback="fast"),
                },
                "provider_groups": {"all": ["fast", "deep"]},
                "default_model": "deep",
                "global_config": {"cache_dir": "${HOME}/.cache", "use_auth_token": None},
            },
        },
        ["fast", "deep"],
        {"models.gpt-4o-mini.params.temperature": 0.2},
    ),
    "4: comments behind its entries": (
        {
            "model_config.json": "{\n  // who there is\n"
            + json.dumps({"m": _entry("mistral-small-latest", "mistral")})[1:-1].join(
                ('  "models": {', "}, // one\n")
            )
            + '  "default_model": "m" // https://mistral.ai\n}\n',
        },
        ["m"],
        {},
    ),
    "5: addresses in variables": (
        {
            "moa_config.yaml": _moa(base_url="${LLM_URL}"),
            ".env.local": "LLM_HOST=llm.example\nLLM_URL=https://${LLM_HOST}/v1\nPROVIDER_API_KEY=x\n",
        },
        ["one", "two"],
        {
            "models.one.base_url": "https://llm.example/v1",
            "synthesizer.template": "${x} {responses}\n\n{user_query}",
        },
    ),
    "5: a usual address, and a neuron's own": (
        {
            "conf/moa_config.yml": _moa(
                base_url="${LLM_URL:-http://vllm:8000/v1}",
                proposal_layers=[
                    {"neurons": [{"model": "a/one", "base_url": "$OTHER", "weight": 0.5}]}
                ],
            ),
            ".env": "OTHER=https://other.example/v1\n",
        },
        ["one"],
        {
            "models.one.base_url": "https://other.example/v1",
            "models.three.base_url": "http://localhost:8000/v1",
        },
    ),
}


def _at(values: Any, place: str) -> Any:
    """What stands at a place such as `models.a.model`; keys may hold dots."""
    if not place:
        return values
    if isinstance(values, list):
        head, _, rest = place.partition(".")
        return _at(values[int(head)], rest)
    head = next(key for key in values if place == key or place.startswith(f"{key}."))
    return _at(values[head], place[len(head) + 1 :])


def _imported(mom: Mom, tmp_path: Path, files: dict[str, Any]) -> Council:
    for name, content in files.items():
        file = tmp_path / "checkout" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write = json.dumps if name.endswith(".json") else yaml.safe_dump
        file.write_text(content if isinstance(content, str) else write(content), "utf-8")
    out = tmp_path / "mine.yaml"
    called = mom("import", str(tmp_path / "checkout"), "-o", str(out), "--no-run")
    assert called.code == 0, called.err
    return load_council(out)


@pytest.mark.parametrize(("files", "seats", "places"), CHECKOUTS.values(), ids=CHECKOUTS)
def test_an_odd_checkout_becomes_the_council_that_it_describes(
    mom: Mom, tmp_path: Path, files: dict[str, Any], seats: list[str], places: dict[str, Any]
) -> None:
    council = _imported(mom, tmp_path, files)
    assert [who.name for who in council.characters] == seats
    values = council.model_dump(mode="json")
    assert {place: _at(values, place) for place in places} == places


def test_an_address_that_nobody_sets_is_refused_with_its_name(mom: Mom, tmp_path: Path) -> None:
    file = tmp_path / "moa_config.yaml"
    file.write_text(yaml.safe_dump(_moa(base_url="${LLM_URL}")), "utf-8")
    mom("import", str(tmp_path), "--no-run").refuses(3, "base_url", "names LLM_URL", "no .env")


def test_a_key_is_never_filled_in(mom: Mom, tmp_path: Path) -> None:
    secret = "not-for-any-council"
    files = {
        "moa_config.yaml": _moa(base_url="https://llm.example/${PROVIDER_API_KEY:-v1}"),
        ".env": f"PROVIDER_API_KEY={secret}\n",
    }
    assert secret not in _imported(mom, tmp_path, files).model_dump_json()


LISTS = {
    "prices and comments": (
        "list.txt",
        (
            "# mine\n1. openai/gpt-4o-mini   $0.15 / $0.60 per 1M  # fast\n"
            "- ~meta-llama/llama-3.3-70b-instruct:free, free\n\n"
            '"x-ai/grok-4",  // new\nqwen/qwen3-32b | 0.1 | 0.3\n'
        ),
        ["gpt-4o-mini", "llama-3.3-70b-instruct-free", "grok-4", "qwen3-32b"],
    ),
    "comments in JSON": (
        "list.json",
        '[\n  // mine\n  "openai/gpt-4o-mini", // $0.15\n  "z-ai/glm-4.5-air:free"\n]\n',
        ["gpt-4o-mini", "glm-4.5-air-free"],
    ),
    "by names, with prices": (
        "models.json",
        json.dumps(
            {
                "data": {
                    "openai/gpt-4o-mini": {
                        "pricing": {"prompt": "0.00000015", "completion": "0.0000006"}
                    },
                    "openrouter/auto": {"pricing": {"prompt": "-1", "completion": "-1"}},
                    "z-ai/glm-4.5-air:free": {"pricing": {"prompt": "0", "completion": "0"}},
                }
            }
        ),
        ["gpt-4o-mini", "auto", "glm-4.5-air-free"],
    ),
}


@pytest.mark.parametrize(("name", "text", "seats"), LISTS.values(), ids=LISTS)
def test_an_odd_list_of_openrouter_is_read(
    mom: Mom, tmp_path: Path, name: str, text: str, seats: list[str]
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    out = tmp_path / "mine.yaml"
    called = mom("import", str(tmp_path / name), "-o", str(out), "--no-run")
    assert called.code == 0, called.err
    council = load_council(out)
    assert [who.name for who in council.characters] == seats
    priced = {key: model.price for key, model in council.models.items() if model.price}
    if "pricing" in text:
        assert [(price.input, price.output) for price in priced.values()] == [(0.15, 0.6), (0, 0)]
    else:
        assert not priced
