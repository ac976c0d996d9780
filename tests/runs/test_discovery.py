"""What the council sits with when nobody named one."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.loader import load_council, preset_names
from mom_council.councils.trust import UntrustedError, accept, review_file
from mom_council.errors import ConsentError, UnknownNameError
from mom_council.models.resolved import is_near, ollama_address
from mom_council.models.weights import SHIPPED
from mom_council.runs.discovery import (
    calls_at_most,
    choose_council,
    cost_notice,
    default_council,
    find_models,
    unread_notice,
)
from mom_council.runs.installed import AvailableModels, InstalledModel
from mom_council.tests.stage import Stage
from mom_council.vendors import VENDORS

pytestmark = pytest.mark.slow

SECRET = "sk-proj-0123456789abcdefghijklmnopqrstuv"
GB = 1_000_000_000


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which nothing is installed, and a proxy that would swallow everything."""
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "empty"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    return {"OLLAMA_HOST": f"127.0.0.1:{port}"}


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that left."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass


@contextmanager
def answering(body: bytes, status: int = 200, seconds: float = 0) -> Iterator[str]:
    """A server that says the same to everyone, as slowly as it is told."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            for place in range(0, len(body), 2):
                time.sleep(seconds)
                try:
                    self.wfile.write(body[place : place + 2])
                except OSError:
                    return

        def log_message(self, *_: Any) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Same) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def tags(*cards: dict[str, Any]) -> bytes:
    return json.dumps({"models": list(cards)}).encode()


# Ollama -------------------------------------------------------------------------------------------


async def test_a_running_ollama_seats_three_of_its_models(nowhere: dict[str, str]) -> None:
    with Stage() as stage:
        stage.model("large", size=9 * GB)
        stage.model("quick", size=2 * GB)
        stage.model("deep", size=5 * GB)
        stage.model("nomic-embed-text", size=GB // 4, capabilities=("embedding",))
        env = {**nowhere, "OLLAMA_HOST": f"127.0.0.1:{stage.port}", "OPENAI_API_KEY": SECRET}
        choice = await choose_council(None, env)
        assert not stage.calls
    council = choice.council
    assert choice.source == council.name == "ollama"
    assert [model.model for model in council.models.values()] == [
        "quick:latest",
        "deep:latest",
        "large:latest",
    ]
    assert {model.base_url for model in council.models.values()} == {stage.url}
    assert {(model.lane, model.concurrency) for model in council.models.values()} == {("gpu", 1)}
    assert [character.model for character in council.characters] == ["quick", "deep", "large"]
    assert council.synthesizer.model == "large"
    assert council.annotator is None
    assert choice.notice is not None
    assert "Asking quick, deep, large on Ollama: " in choice.notice
    assert not choice.costs_money
    assert cost_notice(choice) is None


async def test_one_model_speaks_with_three_personas(nowhere: dict[str, str]) -> None:
    with Stage() as stage:
        stage.model("only")
        council, line = default_council(await find_models(nowhere, ollama_url=stage.url))
    assert [character.model for character in council.characters] == ["only"] * 3
    assert len({character.personality for character in council.characters}) == 3
    assert "A second model, of another family" in line


async def test_of_two_models_the_larger_takes_the_third_seat(nowhere: dict[str, str]) -> None:
    with Stage() as stage:
        stage.model("small", size=2 * GB)
        stage.model("big", size=4 * GB)
        council, _ = default_council(await find_models(nowhere, ollama_url=stage.url))
    assert [character.model for character in council.characters] == ["small", "big", "big"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>hello</html>", 200),
        (b"[]", 200),
        (b'{"models": null}', 200),
        (b'{"models": [{"size": "x"}]}', 200),
        (b'{"models": ["llama"]}', 200),
        (b'{"models": [{"name": 1, "size": 1}]}', 200),
        (b'{"models": [{"name": "x", "size": Infinity}]}', 200),
        (b'{"models": [{"name": "x", "details": "y"}]}', 200),
        (b'{"models": [{"name": "", "size": 1}]}', 200),
        (b'{"models":' + b"[" * 100_000, 200),
        (b"\xff\xfe\x00", 200),
        (b"{}", 500),
        (tags({"name": "llama3.2:3b", "size": 1}), 401),
    ],
)
async def test_a_broken_ollama_is_none(nowhere: dict[str, str], body: bytes, status: int) -> None:
    with answering(body, status) as url:
        choice = await choose_council(None, {**nowhere, "OLLAMA_API_URL": url})
    assert choice.source == "demo"


@pytest.mark.parametrize("seconds", [0.02, 5])
async def test_a_slow_ollama_is_looked_at_shortly_and_not_taken_for_absent(
    nowhere: dict[str, str], seconds: float
) -> None:
    body = tags({"name": "x" * 2000, "size": 1})
    with answering(body, seconds=seconds) as url:
        began = time.monotonic()
        found = await find_models(nowhere, ollama_url=url)
        assert time.monotonic() - began < 4.5
    assert found == AvailableModels(trouble=f"Ollama at {url} does not answer")


async def test_a_question_waits_for_a_slow_ollama_and_says_so(nowhere: dict[str, str]) -> None:
    said: list[str] = []
    env = {**nowhere, "OPENAI_API_KEY": "sk-of-nobody"}
    with answering(tags({"name": "llama3.2:3b", "size": 1}), seconds=0.04) as url:
        choice = await choose_council(None, {**env, "OLLAMA_API_URL": url}, say=said.append)
    assert choice.source == "ollama"
    assert [f"Ollama at {url} answers slowly" in line for line in said] == [True]


@pytest.mark.parametrize("body", [b"<html>busy</html>", b'{"models": []}'])
async def test_no_paid_model_takes_a_local_ones_place_without_a_yes(
    nowhere: dict[str, str], body: bytes
) -> None:
    env = {**nowhere, "OPENAI_API_KEY": "sk-of-nobody"}
    questions: list[str] = []

    def consent(question: str) -> bool:
        questions.append(question)
        return len(questions) > 1

    with answering(body) as url:
        local = {**env, "OLLAMA_API_URL": url}
        with pytest.raises(ConsentError, match="--paid"):
            await choose_council(None, local, consent=consent)
        assert (await choose_council(None, local, consent=consent)).source == "keys"
        assert (await choose_council(None, {**local, "MOM_PAID": "1"})).source == "keys"
    assert len(questions) == 2
    assert "This may cost money: gpt-" in questions[0]


async def test_whoever_asked_local_models_before_is_asked_before_money_is_spent(
    nowhere: dict[str, str],
) -> None:
    env = {**nowhere, "OPENAI_API_KEY": "sk-of-nobody"}
    assert (await choose_council(None, env)).source == "keys", "nothing local was ever asked"
    with answering(tags({"name": "llama3.2:3b", "size": 1})) as url:
        assert (await choose_council(None, {**env, "OLLAMA_API_URL": url})).source == "ollama"
    with pytest.raises(ConsentError, match="asked before do not answer"):
        await choose_council(None, env)


async def test_a_named_model_of_a_slow_ollama_is_waited_for(nowhere: dict[str, str]) -> None:
    said: list[str] = []
    env = {**nowhere, "OPENAI_API_KEY": "sk-of-nobody"}
    with answering(tags({"name": "gpt-oss:20b", "size": GB}), seconds=0.04) as url:
        choice = await choose_council(
            "models:gpt-oss", {**env, "OLLAMA_API_URL": url}, say=said.append
        )
    assert {model.provider for model in choice.council.models.values()} == {"ollama"}
    assert [f"Ollama at {url} answers slowly" in line for line in said] == [True]


async def test_a_slow_server_of_this_house_is_waited_for(nowhere: dict[str, str]) -> None:
    said: list[str] = []
    body = json.dumps({"data": [{"id": "qwen3-8b"}]}).encode()
    env = {**nowhere, "MISTRAL_API_KEY": "of-nobody"}
    with answering(body, seconds=0.05) as url:
        local = {**env, "OPENAI_BASE_URL": f"{url}/v1"}
        choice = await choose_council(None, local, say=said.append)
    assert choice.source == "server"
    assert [f"The server at {url}/v1 answers slowly" in line for line in said] == [True]


async def test_a_name_that_ollama_may_have_goes_to_no_vendor_without_a_yes(
    nowhere: dict[str, str],
) -> None:
    """`command-r` and `mistral-nemo` are models of Ollama's and of vendors'."""
    env = {**nowhere, "OPENAI_API_KEY": "sk-of-nobody"}
    questions: list[str] = []

    def consent(question: str) -> bool:
        questions.append(question)
        return True

    with answering(b"<html>busy</html>") as url:
        local = {**env, "OLLAMA_API_URL": url}
        with pytest.raises(ConsentError, match=r"write PROVIDER/MODEL.*--paid"):
            await choose_council("models:gpt-oss", local)
        await choose_council("models:gpt-oss", local, consent=consent)
        await choose_council("models:gpt-oss", {**local, "MOM_PAID": "1"})
        await choose_council("models:openai/gpt-oss", local)
        with pytest.raises(UnknownNameError, match=r"gpt-oss:20b: Ollama at .* does not answer"):
            await choose_council("models:gpt-oss:20b", {**local, "MOM_PAID": "1"})
    await choose_council("models:gpt-5.4", env)  # nothing local is expected
    assert len(questions) == 1


async def test_a_named_model_of_a_broken_server_of_this_house_is_told_so(
    nowhere: dict[str, str],
) -> None:
    with answering(b"<html>busy</html>") as url:
        local = {**nowhere, "OPENAI_BASE_URL": f"{url}/v1"}
        why = rf"qwen3-8b: the local server at {url}/v1 does not say .*start that server"
        with pytest.raises(UnknownNameError, match=why):
            await choose_council("models:qwen3-8b", local)


async def test_looking_around_does_not_hold_up_the_event_loop(nowhere: dict[str, str]) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    with answering(b"{}", seconds=5) as url:
        ticking = asyncio.create_task(tick())
        await find_models(nowhere, ollama_url=url)
        ticking.cancel()
    assert ticks >= 10


@pytest.mark.parametrize(
    "card",
    [
        {"name": "mxbai-embed-large:latest"},
        {"name": "x", "details": {"family": "nomic-bert"}},
        {"name": "x", "capabilities": ["embedding"]},
        {"name": "all-minilm:22m"},
        {"name": "gpt-oss:120b-cloud"},
        {"name": "x", "remote_host": "https://ollama.com:443"},
    ],
)
async def test_what_cannot_chat_or_is_elsewhere_is_left_out(
    nowhere: dict[str, str], card: dict[str, Any]
) -> None:
    with answering(tags({"size": GB, **card})) as url:
        choice = await choose_council(None, {**nowhere, "OLLAMA_API_URL": url})
    assert choice.source == "demo"
    assert "Ollama runs, but has no chat model that fits" in str(choice.notice)


async def test_two_names_of_one_model_are_one_model(nowhere: dict[str, str]) -> None:
    cards = [{"name": name, "size": GB, "digest": "same"} for name in ("a:latest", "a:3b")]
    with answering(tags(*cards)) as url:
        assert len((await find_models(nowhere, ollama_url=url)).ollama) == 1


@pytest.mark.parametrize(
    ("env", "address"),
    [
        ({}, "http://127.0.0.1:11434"),
        ({"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434"),
        ({"OLLAMA_HOST": ":8080"}, "http://127.0.0.1:8080"),
        ({"OLLAMA_HOST": "box.lan:1234"}, "http://box.lan:1234"),
        ({"OLLAMA_HOST": "https://far.example"}, "https://far.example:443"),
        ({"OLLAMA_HOST": "http://far.example/ollama/"}, "http://far.example:80/ollama"),
        ({"OLLAMA_HOST": "[::1]"}, "http://[::1]:11434"),
        ({"OLLAMA_API_URL": "http://a:1/api", "OLLAMA_HOST": "b"}, "http://a:1"),
    ],
)
def test_the_address_is_read_as_ollama_reads_it(env: dict[str, str], address: str) -> None:
    assert ollama_address(env) == address


async def test_an_address_that_is_none_is_no_ollama(nowhere: dict[str, str]) -> None:
    for wrong in ("http://user:word@127.0.0.1:1", "://", "http://[", "a b", "x" * 5000):
        assert (await find_models({**nowhere, "OLLAMA_HOST": wrong})).ollama_url is None


def test_near_is_this_machine_and_this_house() -> None:
    near = [
        "http://127.0.0.1:1",
        "http://localhost",
        "http://[::1]:2",
        "http://box.lan",
        "http://10.0.0.5",
    ]
    far = ["https://api.openai.com/v1", "http://8.8.8.8", "http://[2606:4700::1]:1", "http://["]
    assert [is_near(url) for url in near + far] == [True] * 5 + [False] * 4


# Keys ---------------------------------------------------------------------------------------------


async def test_a_key_seats_a_council_that_says_what_it_costs(nowhere: dict[str, str]) -> None:
    choice = await choose_council(None, {**nowhere, "OPENAI_API_KEY": SECRET})
    assert choice.source == "keys"
    assert {model.api_key_env for model in choice.council.models.values()} == {"OPENAI_API_KEY"}
    assert len(choice.council.characters) == 3
    assert choice.costs_money
    line = cost_notice(choice)
    asked = VENDORS["openai"].default_model
    assert line == f"This may cost money: {asked} (openai); at most 13 calls a question."
    assert SECRET not in f"{choice!r}{line}"


async def test_a_key_without_its_package_is_told_with_the_cure(
    nowhere: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = VENDORS["anthropic"]
    # What Python itself takes for "is not there".
    monkeypatch.setitem(sys.modules, one.package, None)
    env = {**nowhere, str(one.key_env): SECRET}
    choice = await choose_council(None, env)
    assert choice.source == "demo"
    assert f"pip install 'mom-council[{one.extra}]'" in str(choice.notice)
    both = await choose_council(None, {**env, "OPENAI_API_KEY": SECRET})
    assert f"{one.key_env} is set too" in str(both.notice)


async def test_an_empty_key_is_no_key(nowhere: dict[str, str]) -> None:
    assert (await find_models({**nowhere, "OPENAI_API_KEY": "  "})).keys == ()


BY_KEY = tuple(name for name, one in VENDORS.items() if one.default_model)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_any_number_of_vendors_makes_three_seats(count: int) -> None:
    council, line = default_council(AvailableModels(keys=BY_KEY[:count]))
    assert len(council.characters) == 3
    assert len(council.models) == min(count, 3)
    assert all(str(model.api_key_env) in line for model in council.models.values())


def test_every_vendor_with_a_model_is_in_the_table_of_providers() -> None:
    assert all(VENDORS[name].key_env and VENDORS[name].base_url for name in BY_KEY)


# Weights, and nothing -----------------------------------------------------------------------------


def test_downloaded_weights_are_asked_before_the_demo() -> None:
    found = AvailableModels(weights=(InstalledModel("qwen2.5-0.5b-instruct", GB // 2),))
    council, line = default_council(found)
    assert {model.provider for model in council.models.values()} == {"embedded"}
    assert line.startswith("Asking qwen2.5-0.5b-instruct, by llama.cpp on this machine")


def test_weights_below_a_billion_parameters_are_held_short_and_asked_for_no_ballot() -> None:
    small, _ = default_council(AvailableModels(weights=(InstalledModel("tiny-135m", GB // 10),)))
    [model] = small.models.values()
    assert model.params == {"max_tokens": 300}
    assert small.deliberation.method == "answers"
    assert small.deliberation.rounds.max == 1
    assert small.prompts == "short"
    large, _ = default_council(AvailableModels(weights=(InstalledModel("mine-8b", 5 * GB),)))
    assert large.deliberation.method == "borda"
    assert large.prompts == "standard"
    assert not next(iter(large.models.values())).params


async def test_weights_in_the_data_directory_are_found(
    nowhere: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "empty" / "weights"
    folder.mkdir(parents=True)
    (folder / "mine.gguf").write_bytes((SHIPPED / "tiny-1.gguf").read_bytes())
    (folder / "half.gguf.part").write_bytes(b"GGUF")
    choice = await choose_council(None, nowhere)
    assert choice.source == "weights"
    assert [model.model for model in choice.council.models.values()] == ["mine"]
    assert not choice.costs_money


async def test_with_nothing_at_all_the_demo_sits_and_says_what_it_is(
    nowhere: dict[str, str],
) -> None:
    choice = await choose_council(None, nowhere)
    assert choice.source == choice.council.name == "demo"
    line = str(choice.notice)
    assert "\n" not in line
    assert "1 MB" in line
    assert "small sums, comparisons and simple facts" in line
    assert "`ollama pull llama3.2`, or set a key, or run `mom download`" in line


async def test_what_is_asked_is_said_once_and_again_when_it_changed(
    nowhere: dict[str, str],
) -> None:
    choice = await choose_council(None, nowhere)
    assert unread_notice(choice) == choice.notice
    assert unread_notice(choice) is None
    changed = replace(choice, notice="They need llama.cpp.")
    assert unread_notice(changed) == changed.notice
    assert unread_notice(replace(changed, source="ollama")) is None


async def test_where_nothing_can_be_remembered_it_is_said_each_time(
    nowhere: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "file"))
    choice = await choose_council(None, nowhere)
    assert unread_notice(choice) == unread_notice(choice) == choice.notice


async def test_where_there_is_no_llama_cpp_the_demo_says_how_to_get_it(
    nowhere: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    assert (await find_models(nowhere, weights_dir=tmp_path)).weights
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert not (await find_models(nowhere, weights_dir=tmp_path)).weights
    choice = await choose_council(None, nowhere)
    assert "`mom download engine`" in str(choice.notice)


# Named --------------------------------------------------------------------------------------------


async def test_the_named_council_comes_before_the_environments(nowhere: dict[str, str]) -> None:
    env = {**nowhere, "MOM_COUNCIL": "home"}
    named = await choose_council("cloud", env)
    assert (named.council.name, named.source, named.notice) == ("cloud", "named", None)
    assert named.costs_money
    meant = await choose_council(None, env)
    assert (meant.council.name, meant.source, meant.costs_money) == ("home", "environment", False)


async def test_a_name_that_stands_for_nothing_is_an_error(nowhere: dict[str, str]) -> None:
    with pytest.raises(UnknownNameError):
        await choose_council(None, {**nowhere, "MOM_COUNCIL": "elephants"})


# What it takes ------------------------------------------------------------------------------------


def council_with(**parts: Any) -> Any:
    whole = {
        "name": "x",
        "models": {"m": {"provider": "openai", "model": "m"}},
        "characters": [{"name": name, "model": "m"} for name in ("A", "B", "C")],
        "synthesizer": {"model": "m"},
    }
    return load_council({**whole, **parts})


@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        ({}, 2 * (3 + 3) + 1),
        ({"annotator": {"model": "m"}, "classifier": {"model": "m"}}, 2 * (3 + 3) + 3),
        ({"deliberation": {"method": "answers", "rounds": {"max": 3}}}, 3 * 3 + 1),
        ({"deliberation": {"method": "none", "rounds": {"max": 1}}}, 3 + 1),
        ({"deliberation": {"rounds": {"max": 1}}, "layers": [["A", "B"], ["C"]]}, 3 + 3 + 1),
        ({"synthesizer": {"model": "m", "tools": ["clock"], "tool_calls": 4}}, 2 * (3 + 3) + 5),
    ],
)
def test_calls_are_counted_as_in_the_worst_case(parts: dict[str, Any], calls: int) -> None:
    assert calls_at_most(council_with(**parts)) == calls


@pytest.mark.parametrize(
    ("model", "costs"),
    [
        ({"provider": "openai"}, True),
        ({"provider": "openai", "price": {"input": 0, "output": 0}}, False),
        ({"provider": "openai", "base_url": "http://127.0.0.1:8000/v1"}, False),
        ({"provider": "openai", "base_url": "https://far.example/v1"}, True),
        ({"provider": "ollama"}, False),
        ({"provider": "ollama", "price": {"input": 1, "output": 1}}, True),
        ({"provider": "embedded"}, False),
        ({"provider": "something-new"}, True),
    ],
)
async def test_what_may_be_billed_is_said_before(
    tmp_path: Path, model: dict[str, Any], costs: bool
) -> None:
    file = tmp_path / "council.json"
    council = council_with(models={"m": {"model": "m", **model}}, budget={"calls": 5})
    file.write_text(council.model_dump_json(exclude_unset=True))
    if (review := review_file(file)).lines:
        with pytest.raises(UntrustedError):
            await choose_council(str(file), {})
        accept(review)
    choice = await choose_council(str(file), {})
    assert choice.costs_money is costs
    assert (cost_notice(choice) is not None) is costs
    if costs:
        assert "at most 5 calls" in str(cost_notice(choice))


def test_the_calls_of_every_preset_can_be_counted() -> None:
    assert all(calls_at_most(load_council(name)) > 1 for name in preset_names())
