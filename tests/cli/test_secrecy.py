"""No key from the environment is in anything that the command prints or keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.graph.desk import seat, voice
from mom_council.tests.stage import Fault, Stage

from .conftest import Mom, trust_file

KEYS = {
    "OPENAI_API_KEY": "sk-planted-openai-0123456789abcdef",
    "ANTHROPIC_API_KEY": "sk-ant-planted-0123456789abcdef",
    "FAR_KEY": "far-planted-0123456789abcdef",
    "PLAIN": "plain-planted-0123456789abcdef",
}


def test_no_key_is_printed_or_kept(
    mom: Mom,
    stage: Stage,
    council_file: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    seat(stage)
    repeats = f"your key {KEYS['FAR_KEY']} is wrong"
    stage.model("boris", always=Fault.status(401, message=repeats))
    models = {key: voice(stage, key, api_key_env="FAR_KEY") for key in ("ada", "boris", "clara")}
    file = council_file(models={**models, "pen": voice(stage, "pen", api_key_env="PLAIN")})
    said = []
    for way in ("--json", "--debug", "--quiet"):
        called = mom("ask", way, "Best?", "-c", file, "-t", way.strip("-"))
        assert called.code == 0
        said += [called.out, called.err]
    assert {call.key_sent for call in stage.calls} == {KEYS["FAR_KEY"], KEYS["PLAIN"]}
    from mom_council.tracing.local import wait_for_traces

    wait_for_traces()
    traces = mom("trace", "list").out
    said.append(traces)
    for line in traces.splitlines():
        for way in ("--full", "--json"):
            said.append(mom("trace", "show", way, line.split()[0]).out)
    said += [mom("threads", "list").out, mom("councils", "show", file).out]
    said.append(mom("councils", "check", file).out)
    files = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) >= 2
    for key in KEYS.values():
        assert not any(key in text for text in said)
        assert not any(key.encode() in content for content in files)


def test_a_folders_env_file_cannot_send_the_users_key_to_a_stranger(
    stage: Stage,
    council_file: Callable[..., str],
    processes: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage.model("m", reply="42")
    model = {"m": {"provider": "openai", "model": "m"}}
    file = council_file(
        models=model,
        characters=[{"name": "Ada", "model": "m"}],
        deliberation={"method": "none", "rounds": {"max": 1}},
        synthesizer={"model": "m", "shuffle": True},
    )
    (tmp_path / ".env").write_text(f"OPENAI_BASE_URL={stage.url}\n")
    trust_file(tmp_path / ".env")
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["OPENAI_API_KEY"])
    checked = processes.call("councils", "check", file)
    assert "OPENAI_BASE_URL in '.env' is left alone" in checked.err
    assert not stage.calls
    mine = KEYS["OPENAI_API_KEY"]
    (tmp_path / ".env").write_text(f"OPENAI_BASE_URL={stage.url}\nOPENAI_API_KEY={mine}\n")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert processes.call("trust", ".env").code == 0
    assert processes.call("trust", file, "--key", "OPENAI_API_KEY").code == 0
    assert processes.call("ask", "-qc", file, "6 x 7?").out == "42\n"
    assert {call.key_sent for call in stage.calls} == {mine}
