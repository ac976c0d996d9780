"""`mom doctor` finds what is wrong, says the cure, and shows no key."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from mom_council import paths
from mom_council.doctor import machine
from mom_council.tests.stage import Stage

from .conftest import Mom, trust_file

pytestmark = pytest.mark.slow

KEY = "sk-a-key-that-nobody-may-see-0123456789"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, an Ollama that is not there, and ports that are free."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setattr(machine, "PORTS", {})
    return tmp_path


def examined(mom: Mom, *arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    called = mom("doctor", "--json", *arguments)
    assert KEY not in called.out + called.err
    by: dict[str, list[dict[str, Any]]] = {}
    for finding in called.object["findings"]:
        by.setdefault(finding["about"], []).append(finding)
    assert called.object["ok"] is (called.code == 0)
    return called.code, by


def test_a_machine_in_order_passes_and_its_key_is_named_but_not_shown(
    mom: Mom, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model("llama3.2")
    monkeypatch.setenv("OLLAMA_HOST", stage.ollama_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    code, found = examined(mom, "-c", "demo")
    assert code == 0
    assert {one["state"] for findings in found.values() for one in findings} == {"ok"}
    assert "OPENAI_API_KEY" in found["keys"][0]["says"]
    assert "llama3.2" in found["ollama"][0]["says"]
    assert "tiny-1, tiny-2, tiny-3" in found["embedded"][0]["says"]
    assert "'demo' is ready" in found["council"][0]["says"]
    assert not stage.calls, "a doctor asks no model"


def test_a_model_that_was_not_pulled_is_named_with_its_command(
    mom: Mom, stage: Stage, here: Path
) -> None:
    stage.model("here:1b")
    voice = {"provider": "ollama", "base_url": stage.ollama_url}
    (here / "mine.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "mine",
                "models": {
                    "a": {**voice, "model": "here:1b"},
                    "b": {**voice, "model": "gone:1b"},
                    "c": {"provider": "openai", "model": "gpt"},
                    "d": {"provider": "embedded", "model": "tiny-9"},
                },
                "characters": [{"name": "A", "model": "a"}],
                "synthesizer": {"model": "b"},
            }
        )
    )
    trust_file(here / "mine.yaml")
    code, found = examined(mom, "-c", "mine.yaml")
    assert code == 1
    cures = " | ".join(one["cure"] for one in found["council"])
    says = " | ".join(one["says"] for one in found["council"])
    assert "ollama pull gone:1b" in cures
    assert "here:1b" not in cures
    assert "'OPENAI_API_KEY'" in cures
    assert "'tiny-9'" in says
    assert "share no lane" in says
    assert "no budget" in says


def test_a_council_file_that_is_wrong_says_where(mom: Mom, here: Path) -> None:
    (here / "bad.yaml").write_text("name: bad\nmodles: {}\n")
    code, found = examined(mom, "-c", "bad.yaml")
    assert code == 1
    assert "modles" in found["council"][0]["says"]


def test_databases_that_are_damaged_or_held_by_others_are_told_apart(mom: Mom) -> None:
    data = paths.ensure(paths.data_dir())
    (data / "threads.db").write_bytes(b"this is no database, whatever its name says" * 50)
    traces = paths.ensure(paths.traces_dir()) / "traces.db"
    with sqlite3.connect(traces) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.commit()
        holder.execute("BEGIN IMMEDIATE")
        code, found = examined(mom)
        holder.rollback()
    holder.close()
    assert code == 1
    assert found["threads"][0]["state"] == "fail"
    assert "move the file away" in found["threads"][0]["cure"]
    assert found["traces"][0]["state"] == "warn"
    assert "locked" in found["traces"][0]["says"]


def test_a_data_folder_that_cannot_be_one_is_a_failure(
    mom: Mom, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "file").write_text("")
    monkeypatch.setenv("MOM_DATA_DIR", str(here / "file"))
    code, found = examined(mom)
    assert code == 1
    assert "MOM_DATA_DIR" in found["data"][0]["cure"]


def test_what_slows_or_breaks_later_is_a_warning(
    mom: Mom, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("OPENAI_API_KEY", f'"{KEY}"')
    (here / ".env").write_text("")
    (here / ".env").chmod(0o644)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(machine, "PORTS", {"the chat page": ("mom ui", port)})
        code, found = examined(mom)
    assert code == 0
    assert {about for about, one in found.items() if one[0]["state"] == "warn"} == {
        "langsmith", "keys", ".env", "ports", "ollama",
    }  # fmt: skip
    assert "LANGSMITH_API_KEY" in found["langsmith"][0]["cure"]
    assert f"--port {port + 1}" in found["ports"][0]["cure"]


def test_weights_that_broke_off_and_a_broken_langgraph_file_are_found(mom: Mom, here: Path) -> None:
    folder = paths.ensure(paths.weights_dir())
    (folder / "qwen2.5-0.5b-instruct.gguf").write_bytes(b"GGUF and then nothing more")
    (here / "langgraph.json").write_text(
        '{"graphs": {"council": "mom_council.graph.council:no_such_factory"}}'
    )
    code, found = examined(mom)
    assert code == 1
    assert "mom download qwen2.5-0.5b-instruct" in found["embedded"][0]["cure"]
    assert "no_such_factory" in found["graph"][0]["says"]


def test_what_a_council_brings_along_and_cannot_be_used_is_named(
    mom: Mom, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk: dict[str, Any] = {
        "name": "desk",
        "models": {"tiny": {"provider": "embedded", "model": "tiny-1"}},
        "characters": [{"name": "Clerk", "model": "tiny", "tools": ["stock", "notes"]}],
        "synthesizer": {"model": "tiny"},
        "prices": "mine.yaml",
        "tools": {
            "stock": {"python": "no_such_shop:stock"},
            "notes": {"mcp": {"command": ["no-such-program", "x"]}},
        },
        "extensions": [{"use": "retrieval"}],
    }
    (here / "desk.yaml").write_text(yaml.safe_dump(desk))
    (here / "mine.yaml").write_text("openai: {m: {inptu: 1, output: 2}}")
    trust_file(here / "desk.yaml")
    refused = mom("ask", "-c", "desk.yaml", "hi")
    assert (refused.code, refused.out) == (3, "")
    code, found = examined(mom, "-c", "desk.yaml")
    says = "\n".join(one["says"] + " -> " + one["cure"] for one in found["council"])
    assert code == 1
    assert "'mine.yaml': is no table of prices that can be read" in says  # nor is it quoted
    assert "set MOM_TOOLS=no_such_shop:stock" in says
    assert "there is no collection 'documents'" in says

    monkeypatch.setenv("MOM_TOOLS", "no_such_shop, mcp:no-such-program x")
    checked = mom("councils", "check", "desk.yaml").out
    assert "note: tool 'stock': there is no module 'no_such_shop' here; " in checked
    assert "note: tool 'notes': there is no program 'no-such-program'; " in checked
    assert "note: 'mine.yaml': is no table of prices" in checked

    (here / "desk.yaml").write_text(yaml.safe_dump(desk | {"extensions": [{"use": "no_such"}]}))
    trust_file(here / "desk.yaml")  # it changed
    code, found = examined(mom, "-c", "desk.yaml")
    assert code == 1
    assert any("there is no extension 'no_such'" in one["says"] for one in found["council"])
    assert not any("is ready" in one["says"] for one in found["council"])


def test_a_table_of_prices_that_is_wrong_is_said_before_anybody_is_asked(
    mom: Mom, stage: Stage, here: Path
) -> None:
    stage.model("far")
    voice = {"provider": "openai", "model": "far", "base_url": stage.openai_url}
    desk = {
        "name": "desk",
        "models": {"far": voice},
        "characters": [{"name": "Ann", "model": "far"}, {"name": "Ben", "model": "far"}],
        "synthesizer": {"model": "far"},
        "prices": "no-such.yaml",
    }
    (here / "desk.yaml").write_text(yaml.safe_dump(desk))
    trust_file(here / "desk.yaml")
    called = mom("ask", "-c", "desk.yaml", "hi")
    assert called.code == 3
    assert called.err.count("'no-such.yaml': there is no such file; `prices` names it") == 1
    assert not stage.calls


def test_in_words_it_is_a_line_a_finding_and_its_cure_below(mom: Mom) -> None:
    called = mom("doctor")
    assert called.code == 0
    lines = called.out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("warn  ollama: "))
    assert lines[at + 1].startswith("      -> ")
    assert lines[-1].endswith("1 to look at, 0 failed")


def test_a_window_too_small_for_the_council_is_warned_of(
    mom: Mom, stage: Stage, here: Path
) -> None:
    stage.model("small", context=2_048)
    stage.model("large", window=32_768)
    (here / "mine.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "mine",
                "models": {
                    "small": {
                        "provider": "ollama",
                        "base_url": stage.ollama_url,
                        "model": "small",
                    },
                    "large": {
                        "provider": "openai",
                        "base_url": stage.openai_url,
                        "model": "large",
                        "params": {"max_tokens": 1_000},
                    },
                },
                "characters": [{"name": "A", "model": "large"}, {"name": "B", "model": "large"}],
                "synthesizer": {"model": "small"},
            }
        )
    )
    code, found = examined(mom, "-c", "mine.yaml")
    says = [one["says"] for one in found["council"] if "tokens" in one["says"]]
    assert says == [
        "'small' reads 2,048 tokens, and may be sent about 3,700: long proposals will be shortened"
    ]
    assert code == 0
