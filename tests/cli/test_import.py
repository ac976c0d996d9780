"""`mom import`: the council on stdout or in a file, the report beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mom_council.councils.loader import council_from_yaml, load_council
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.councils.importers.written import (
    CHARACTERS,
    CONFIG_PY,
    OLLAMA_ENV,
    as_json,
)
from mom_council.tests.stage import Stage


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("characters.json").write_text(as_json(CHARACTERS), encoding="utf-8")
    Path("config.py").write_text(CONFIG_PY, encoding="utf-8")
    return tmp_path


def test_stdout_is_the_council_alone_and_stderr_the_report(folder: Path, mom: Mom) -> None:
    called = mom("import", "characters.json")
    assert called.code == 0
    assert council_from_yaml(called.out).name == "characters"
    assert "human_output" in called.err


def test_an_imported_council_is_asked_like_any_other(folder: Path, mom: Mom, stage: Stage) -> None:
    Path(".env").write_text(OLLAMA_ENV.replace("{url}", stage.ollama_url), encoding="utf-8")
    for name in ("qwen2.5", "llama3.2-vision", "mistral"):
        stage.model(name, reply="42")
    stage.model("llama3.1", reply="It is 42.")
    assert mom("import", "characters.json", "-o", "mine.yaml", "--name", "mine").code == 0
    assert load_council("mine.yaml").name == "mine"
    asked = mom("ask", "-c", "mine.yaml", "--quiet", "What is 17 + 25?")
    assert (asked.code, asked.out.strip()) == (0, "It is 42.")


def test_one_object_tells_what_was_left_and_why(folder: Path, mom: Mom) -> None:
    told = mom("import", "config.py", "--json", "--questions", "asked.jsonl").object
    assert told["format"] == "config.py"
    assert {"place": "token", "says": "a key is never copied; set HF_TOKEN"} in told["left"]
    assert Path("asked.jsonl").read_text("utf-8").count('{"question"') == 2
    assert load_council(told["council"]).seats[1] == ("Merger",)


def test_nothing_is_written_over_unless_asked_for(folder: Path, mom: Mom) -> None:
    Path("mine.yaml").write_text("mine", encoding="utf-8")
    mom("import", "characters.json", "-o", "mine.yaml").refuses(1, "there already", "--force")
    assert Path("mine.yaml").read_text("utf-8") == "mine"
    assert mom("import", "characters.json", "-o", "mine.yaml", "--force").code == 0
    assert load_council("mine.yaml").name == "characters"


def test_a_file_of_nobody_is_the_councils_fault(folder: Path, mom: Mom) -> None:
    Path("x.json").write_text("{}", encoding="utf-8")
    mom("import", "x.json").refuses(3, "x.json", "characters.json, moa_config.yaml")


def test_no_name_or_text_of_one_conversation_keeps_the_others_out(folder: Path, mom: Mom) -> None:
    ids = ["\x9b31mred", "\u202eback", "half \ud800", "a\rb", "../../up", "y" * 300 + "1", "same"]
    ids += ["y" * 300 + "2", "same"]
    chats = [
        {"id": one, "messages": [{"role": "user", "content": f"Question {number} \ud800"}]}
        for number, one in enumerate(ids)
    ]
    Path("chats.json").write_text(json.dumps(chats), encoding="utf-8")
    called = mom("import", ".", "--chats", "--no-run")
    assert called.code == 0
    assert "9 of 9 conversations are kept" in called.err
    listed = mom("threads", "list").out
    assert [number for number in range(9) if f"Question {number}" not in listed] == []
    assert not {"\x9b", "\u202e", "\r"} & {*listed}
    assert "0 of 9 conversations" in mom("import", ".", "--chats", "--no-run").err
