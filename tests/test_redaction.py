"""One list says what a key looks like: refused in a council, taken out of all that is kept or sent.

Each vendor's shape is planted in every place, on the real way: a server that echoes it in an error,
a trace on the disk, a log, a run that is sent to LangSmith, a transcript, an event.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council import paths, redaction
from mom_council.councils.loader import council_from_yaml, load_council
from mom_council.errors import CouncilError, MixtureError
from mom_council.graph.council import council
from mom_council.redaction import (
    REDACTED,
    SHAPES,
    Redactor,
    StreamRedactor,
    holds_a_key,
    may_be_a_key,
    redact,
    redact_known,
    redact_tree,
    remember_secret,
)
from mom_council.testing.replies import texts_in
from mom_council.tests.stage import Fault, Stage
from mom_council.tests.tracing.langsmith_office import Office
from mom_council.tracing.local import local_trace, wait_for_traces
from mom_council.tracing.store import TraceStore

PLANTED = {shape.vendor: shape.example(Random(shape.vendor)) for shape in SHAPES}
VENDORS = [*PLANTED]


def secret_of(vendor: str) -> str:
    """The part of a planted key that nobody may see: without its label, login or PEM's frame."""
    key = PLANTED[vendor]
    if vendor == "URL with a password":
        return key.partition("me:")[2].partition("@")[0]
    if vendor == "PEM private key":
        return key.splitlines()[1]
    return re.split(r"[ =\"]+", key.strip('"='))[-1]


def test_every_vendor_stands_in_the_list_once_and_its_example_is_found() -> None:
    assert len(set(VENDORS)) == len(SHAPES)
    for shape in SHAPES:
        for seed in range(50):
            key = shape.example(Random(seed))
            assert holds_a_key(f"it is {key} indeed"), shape.vendor
            assert redact(f"it is {key} indeed").count(REDACTED) == 1, shape.vendor


def desk(**parts: Any) -> dict[str, Any]:
    return {
        "name": "desk",
        "models": {"far": {"provider": "openai", "model": "far", "base_url": "http://127.0.0.1:9"}},
        "characters": [{"name": "Ann", "model": "far"}],
        "synthesizer": {"model": "far"},
        **parts,
    }


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_planted_key_is_refused_in_a_council_and_not_repeated(vendor: str) -> None:
    key, secret = PLANTED[vendor], secret_of(vendor)
    far = desk()["models"]["far"]
    for written in (
        desk(models={"far": far | {"params": {"stop": [key]}}}),
        desk(models={"far": far | {"model": key}}),
        desk(models={"far": far | {"base_url": f"http://127.0.0.1:9/v1?x={key}"}}),
        desk(characters=[{"name": "Ann", "model": "far", "personality": f"Knows {key} well."}]),
        desk(tools={"shop": {"mcp": {"command": ["shop", key]}}}),
        desk(extensions=[{"use": "retrieval", "settings": {"note": key}}]),
    ):
        with pytest.raises(CouncilError) as refused:
            load_council(written)
        assert secret not in str(refused.value)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_planted_key_is_taken_out_of_errors_events_traces_and_exports(
    vendor: str, stage: Stage, tmp_path: Path
) -> None:
    key, secret = PLANTED[vendor], secret_of(vendor)
    stage.model("far", always=Fault.status(401, message=f"the key {key} is wrong"))
    stage.model("near", reply="eight")
    voice = {"provider": "openai", "base_url": stage.openai_url}
    graph = council(
        desk(
            models={name: voice | {"model": name} for name in ("far", "near")},
            characters=[{"name": "Ann", "model": "far"}, {"name": "Ben", "model": "near"}],
            synthesizer={"model": "near"},
            extensions=[
                {"use": "transcript", "settings": {"formats": ["markdown", "html", "json"]}}
            ],
        )
    )
    store = TraceStore(tmp_path / "traces")
    asked = {"messages": [("user", f"is {key} a good key?")]}
    with local_trace(store=store) as trace:
        streamed = [one async for one in graph.astream(asked, stream_mode=["custom", "values"])]
    wait_for_traces()
    assert any(secret in str(call.body) for call in stage.calls), (
        "the models are asked as it was typed"
    )
    events = str([event for mode, event in streamed if mode == "custom"])
    assert "is wrong" in events
    assert secret not in events
    [absence] = streamed[-1][1]["absences"]
    assert "is wrong" in absence.detail
    assert secret not in str(absence)
    kept = store.load(str(trace.id))
    assert kept is not None
    assert "a good key?" in kept.summary.question
    assert "is wrong" in kept.model_dump_json()
    assert secret not in kept.model_dump_json()
    exports = [file.read_text() for file in (paths.data_dir() / "transcripts").iterdir()]
    assert len(exports) == 3
    assert all("a good key?" in text and secret not in text for text in exports)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_planted_key_is_taken_out_of_messages_and_logs(
    vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    key, secret = PLANTED[vendor], secret_of(vendor)
    error = MixtureError(f"{key} is wrong", cure=f"write another than {key}")
    assert secret not in f"{error} {error.what} {error.cure} {error.args}"
    redaction.logger("mom_council.tests.planted").warning("%s failed", key)
    assert "failed" in caplog.text
    assert secret not in caplog.text


SEND = """
import asyncio, json, sys
from langchain_core.runnables import RunnableLambda
from mom_council.tracing.langsmith import settle_langsmith
assert settle_langsmith()
for vendor, key in json.loads(sys.stdin.read()).items():
    def run(value):
        raise ValueError(f"the key {key} is wrong")
    try:
        RunnableLambda(run).invoke(
            {"question": key, key: 1},
            {"metadata": {"council": key}, "tags": [key], "run_name": key},
        )
    except ValueError:
        pass
"""


@pytest.fixture(scope="module")
def sent_to_langsmith() -> Iterator[bytes]:
    import json

    with Office() as office:
        done = subprocess.run(
            [sys.executable, "-c", SEND],
            env={
                **os.environ,
                "LANGSMITH_ENDPOINT": office.url,
                "LANGSMITH_API_KEY": "lsv2_pt_0123456789abcdef",
                "LANGSMITH_TRACING": "true",
            },
            input=json.dumps(PLANTED),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert len(office.runs) == len(PLANTED)
        yield b"\n".join(office.bodies)


@pytest.mark.slow
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_planted_key_is_not_sent_to_langsmith(sent_to_langsmith: bytes, vendor: str) -> None:
    assert REDACTED.encode() in sent_to_langsmith
    assert secret_of(vendor).encode() not in sent_to_langsmith


def test_keys_are_taken_out_of_every_corner_of_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_API_KEY", "purple-elephant-9")
    tree = {
        "purple-elephant-9": ["say purple-elephant-9", ("x", {"deep": "purple-elephant-9!"})],
        "header": "Bearer abcdefghijklmnop",
        "vendor": "sk-proj-abcdefghijklmnop and hf_abcdefghijklmnop and lsv2_pt_abcdefghijkl",
        "count": 3,
        "nothing": None,
    }
    told = redact_tree(tree)
    assert "elephant" not in str(told)
    assert "abcdefgh" not in str(told)
    assert told[REDACTED][0] == f"say {REDACTED}"
    assert (told["count"], told["nothing"]) == (3, None)


def test_a_variable_that_a_council_names_is_secret_whatever_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAR_PASSAGE", "purple-elephant-9")
    assert redact_tree(["purple-elephant-9"]) == ["purple-elephant-9"]
    assert redact_tree(["purple-elephant-9"], ("FAR_PASSAGE",)) == [REDACTED]


def test_the_variables_of_a_council_are_secret_from_when_its_graph_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redaction, "_variables", {})
    monkeypatch.setenv("FAR_PASSAGE", "purple-elephant-9")
    assert redact("purple-elephant-9") == "purple-elephant-9"
    far = desk()["models"]["far"] | {"api_key_env": "FAR_PASSAGE"}
    council(desk(models={"far": far}))
    assert redact("a purple-elephant-9") == f"a {REDACTED}"


def test_a_short_value_is_no_key_and_garbles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_API_KEY", "none")
    assert redact_tree({"a": "none of them"}, ("LOCAL_API_KEY",)) == {"a": "none of them"}


def test_a_tree_that_holds_itself_ends() -> None:
    tree: list[object] = ["x"]
    tree.append(tree)
    assert "..." in str(redact_tree(tree))


def test_a_name_says_that_its_value_is_a_key() -> None:
    tree = {"api_key": "plain", "Authorization": "x y", "token": "Hello", "max_tokens": 3}
    assert redact_tree(tree) == {
        "api_key": REDACTED, "Authorization": REDACTED, "token": "Hello", "max_tokens": 3,
    }  # fmt: skip
    assert redact_tree({"token": "0123456789abcdef"}) == {"token": REDACTED}


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(redaction, "_used", {})
    remember_secret("Purple/Elephant+9?")
    return "Purple/Elephant+9?"


@pytest.mark.parametrize("before", ["", "a", "ab", "user:", "x" * 7])
def test_a_used_key_is_taken_out_however_it_is_written(used: str, before: str) -> None:
    for written in (
        used,
        base64.b64encode(f"{before}{used} and more".encode()).decode(),
        base64.urlsafe_b64encode(f"{before}{used}".encode()).decode(),
        "Purple%2FElephant%2B9%3F",
        "Purple%2fElephant%2b9%3f",
        "".join(f"%{byte:02X}" for byte in used.encode()),
        used.encode().hex(),
        used.encode().hex().upper(),
        base64.b32encode(used.encode()).decode(),
        base64.b64encode(base64.b64encode(used.encode())).decode(),
        "".join(f"%{byte:02x}" for byte in used.encode()),
        "Purple%252FElephant%252B9%253F",
        "".join(f"\\u{byte:04x}" for byte in used.encode()),
        "".join(f"\\x{byte:02x}" for byte in used.encode()),
        "Purple\\u002fElephant\\u002B9\\u003F".replace("B", "b").replace("F", "f"),
        "Purple\\u002FElephant\\u002B9\\u003F",
        "Purple&#47;Elephant&#43;9&#63;",
        "".join(f"&#{byte};" for byte in used.encode()),
        "".join(f"&#x{byte:x};" for byte in used.encode()),
        used.encode().hex(":"),
        used.encode().hex(" "),
        str([*used.encode()]),
        used[::-1],
        " ".join(used),
        f"{used[:7]}\n{used[7:]}",
    ):
        assert REDACTED in redact(f"{before} {written}"), written
        assert REDACTED in redact_known(f"{before} {written}"), written


def test_a_models_words_keep_what_is_only_shaped_like_a_key(used: str) -> None:
    words = f"write OPENAI_API_KEY=sk-proj-0123456789abcdef into .env, and not {used}"
    told = redact_known(words)
    assert told == words.replace(used, REDACTED)


@given(st.lists(st.integers(1, 6), max_size=30), st.text("Purple/Elephant+9?", max_size=20))
def test_a_used_key_is_taken_out_of_a_stream_wherever_it_is_cut(cuts: list[int], near: str) -> None:
    key = "Purple/Elephant+9?"
    text = f"{near} {key} is {base64.b64encode(key.encode()).decode()} {near}"
    with mock.patch.object(redaction, "_used", {key: None}):
        redactor, pieces, at = StreamRedactor(), [], 0
        for cut in [*cuts, len(text)]:
            pieces.append(redactor.feed(text[at : at + cut]))
            at += cut
        pieces.append(redactor.close())
        assert "".join(pieces) == redact_known(text)
    assert key not in "".join(pieces)


async def test_a_key_that_a_server_repeats_in_its_answer_goes_no_further(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = "far-planted-0123456789abcdef"
    monkeypatch.setenv("FAR_PASSAGE", key)
    apart = f"{key[:9]}\n  {key[9:]}"
    stage.model(
        "far", reply=f"<think>it is {key}</think>I was sent {key} as a key. In lines: {apart}"
    )
    stage.model("near", reply="eight")
    voice = {"provider": "openai", "base_url": stage.openai_url}
    graph = council(
        desk(
            models={
                "far": voice | {"model": "far", "api_key_env": "FAR_PASSAGE"},
                "near": voice | {"model": "near"},
            },
            characters=[{"name": "Ann", "model": "far"}, {"name": "Ben", "model": "near"}],
            synthesizer={"model": "near"},
        )
    )
    asked = {"messages": [("user", "which key?")]}
    streamed = [one async for one in graph.astream(asked, stream_mode=["custom", "values"])]
    assert key in {call.key_sent for call in stage.calls}
    assert f"I was sent {REDACTED} as a key." in str(streamed[-1])
    assert key not in str(streamed)
    assert any("I was sent" in str(call.body) for call in stage.calls)
    assert not any(key in "".join(texts_in(call.body).split()) for call in stage.calls)


def test_a_traceback_in_a_log_holds_no_key(caplog: pytest.LogCaptureFixture) -> None:
    log = redaction.logger("mom_council.tests.traceback")
    try:
        raise ValueError("sk-proj-0123456789abcdef")
    except ValueError:
        log.exception("it failed")
    assert "ValueError" in caplog.text
    assert "0123456789" not in caplog.text
    assert isinstance(log, logging.Logger)


@pytest.mark.parametrize(
    "name",
    [
        "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        "qwen3:8b@sha256:" + sha256(b"weights").hexdigest(),
        "registry.local/models/0f1e2d3c4b5a69788796a5b4c3d2e1f0/llama",
        "/home/ada/.cache/huggingface/hub/models--org--m/snapshots/"
        + sha256(b"x").hexdigest()[:40]
        + "/model.safetensors",
        "/root/.ollama/models/blobs/sha256-" + sha256(b"y").hexdigest(),
        "run-" + str(uuid.UUID(int=2**127 + 12345)),
        "pplx-70b-online",
        "hf_hub_download_cache",
        "git@github.com:org/repository.git",
        "claude-sonnet-4-5-20250929",
        "Bearer of bad news",
        "basic JavaScript",
        "token: Hello",
        "https://example.org:8000/a@b",
    ],
)
def test_names_paths_and_digests_are_no_keys(name: str) -> None:
    assert not may_be_a_key(name)
    assert redact(name) == name


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)
PROSE = st.lists(WORDS | st.integers(0, 10_000).map(str), max_size=40).map(" ".join)
HEX = st.binary(min_size=16, max_size=64).map(bytes.hex)
PATHS = st.lists(WORDS | HEX | st.uuids().map(str), min_size=1, max_size=6).map("/".join)


@given(PROSE)
def test_prose_is_left_alone(text: str) -> None:
    assert redact(text) == text


@given(st.one_of(HEX, st.uuids().map(str), PATHS, PATHS.map("/data/{}".format)))
def test_digests_uuids_and_paths_are_left_alone(text: str) -> None:
    assert redact(text) == text
    assert not may_be_a_key(f"model-{text}") or not text.islower()


@given(st.sampled_from(SHAPES), st.integers(0, 10_000), PROSE, PROSE)
def test_a_key_of_any_shape_is_taken_out_of_prose_and_the_prose_stays(
    shape: redaction.Shape, seed: int, before: str, after: str
) -> None:
    key = shape.example(Random(seed))
    told = redact(f"{before} {key} {after}")
    assert told.startswith(before)
    assert told.endswith(after)
    assert REDACTED in told
    assert key not in told


@given(st.text(max_size=400))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_a_long_text_is_read_in_a_time_that_grows_with_its_length() -> None:
    # No clock: what would grow with the square of these would not end within the test's time.
    for part in ("sk-", "key_token_", "token: ", "https://a:", "eyJ", "bearer a", "-----BEGIN "):
        text = part * (1_000_000 // len(part))
        assert Redactor().text(text)


def test_a_council_that_only_names_its_variables_is_taken() -> None:
    text = """
name: desk
models:
  far: {provider: openai, model: far, api_key_env: FAR_KEY, params: {max_tokens: 5}}
characters: [{name: Ann, model: far, personality: "Guards the keys and tokens, by password."}]
synthesizer: {model: far}
"""
    assert council_from_yaml(text).key_variables == ("FAR_KEY",)
