"""Addresses as people write them, and which key goes where."""

from __future__ import annotations

import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Model
from mom_council.errors import CouncilError
from mom_council.models.resolved import (
    key_variable,
    ollama_address,
    openai_address,
    openai_server_address,
    resolve_model,
    server_root,
    with_address,
)
from mom_council.tests.stage import Stage

KEY = "sk-proj-0123456789abcdefghijklmnopqrstuv"


@pytest.mark.parametrize(
    ("written", "root"),
    [
        ("box.lan", "http://box.lan:11434"),
        ("http://box.lan:11434/", "http://box.lan:11434"),
        ("http://box.lan:11434/v1", "http://box.lan:11434"),
        ("http://box.lan:11434/v1/", "http://box.lan:11434"),
        ("http://box.lan:11434/api", "http://box.lan:11434"),
        ("http://box.lan:11434/api/chat", "http://box.lan:11434"),
        ("http://box.lan:11434/v1/chat/completions", "http://box.lan:11434"),
        ("https://far.example/ollama/api/", "https://far.example:443/ollama"),
        ("localhost", "http://localhost:11434"),
        ("0.0.0.0:11434", "http://127.0.0.1:11434"),
        ('"http://box.lan:1"', "http://box.lan:1"),
        ("HTTP://box.lan:1", "http://box.lan:1"),
    ],
)
def test_an_ollama_is_found_however_its_address_is_written(written: str, root: str) -> None:
    assert server_root(written) == root
    for name in ("OLLAMA_HOST", "OLLAMA_API_URL", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"):
        assert ollama_address({name: written}) == root


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("http://localhost:1234", "http://localhost:1234/v1"),
        ("http://localhost:1234/v1", "http://localhost:1234/v1"),
        ("localhost:1234/v1/", "http://localhost:1234/v1"),
        ("http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/models", "http://localhost:8000/v1"),
        ("openrouter.ai/api", "https://openrouter.ai/api/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("https://far.example/v1beta/openai/", "https://far.example/v1beta/openai"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000/v1"),
    ],
)
def test_a_server_of_openais_protocol_is_found_with_or_without_v1(
    written: str, address: str
) -> None:
    assert openai_address(written) == address
    assert openai_server_address({"OPENAI_BASE_URL": written}) == address
    assert openai_server_address({"OPENAI_API_BASE": written}) == address


def test_openais_own_address_is_no_other_server() -> None:
    assert openai_server_address({}) is None
    assert openai_server_address({"OPENAI_BASE_URL": "https://api.openai.com/v1/"}) is None


def test_the_usual_key_goes_where_the_environment_sends_it() -> None:
    spec = Model(provider="openai", model="m")
    env = {"OPENAI_BASE_URL": "http://localhost:1234", "OPENAI_API_KEY": KEY}
    there = with_address(spec, env)
    assert (there.base_url, there.api_key_env) == ("http://localhost:1234/v1", "OPENAI_API_KEY")
    keyless = with_address(spec, {"OPENAI_BASE_URL": "http://localhost:1234"})
    assert (keyless.base_url, keyless.api_key_env) == ("http://localhost:1234/v1", None)


def test_a_written_address_stands_and_gets_no_usual_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    spec = Model(provider="openai", model="m", base_url="http://localhost:9/v1")
    assert with_address(spec) is spec
    assert key_variable(spec) is None
    assert key_variable(Model(provider="openai", model="m")) == "OPENAI_API_KEY"


def test_other_vendors_are_left_alone() -> None:
    spec = Model(provider="anthropic", model="m")
    assert with_address(spec, {"OPENAI_BASE_URL": "http://localhost:1234"}) is spec


def test_an_address_that_is_none_is_refused_and_not_replaced_by_the_vendors() -> None:
    with pytest.raises(CouncilError, match="OPENAI_BASE_URL"):
        with_address(Model(provider="openai", model="m"), {"OPENAI_BASE_URL": "http://["})


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
async def test_a_council_asks_the_server_that_the_environment_names(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    from mom_council import council

    monkeypatch.setenv("OPENAI_BASE_URL", f"{stage.url}{path}")
    stage.model("m", reply="42")
    rules = {
        "name": "x",
        "models": {"m": {"provider": "openai", "model": "m"}},
        "characters": [{"name": "A", "model": "m"}],
        "deliberation": {"method": "none", "rounds": {"max": 1}},
        "synthesizer": {"model": "m"},
    }
    resolved = resolve_model(load_council(rules), "m").settings
    assert resolved.base_url == f"{stage.url}/v1"
    await council(rules).ainvoke({"messages": [("user", "6 x 7?")]})
    assert {call.path for call in stage.calls} == {"/v1/chat/completions"}


@pytest.mark.parametrize("path", ["", "/v1", "/api"])
async def test_a_written_ollama_address_may_have_the_path_of_a_protocol(
    stage: Stage, path: str
) -> None:
    from mom_council import council

    stage.model("m", reply="42")
    rules = {
        "name": "x",
        "models": {"m": {"provider": "ollama", "model": "m", "base_url": f"{stage.url}{path}"}},
        "characters": [{"name": "A", "model": "m"}],
        "deliberation": {"method": "none", "rounds": {"max": 1}},
        "synthesizer": {"model": "m"},
    }
    await council(rules).ainvoke({"messages": [("user", "6 x 7?")]})
    assert {call.path for call in stage.calls} == {"/api/chat"}
