"""`mom models`, `mom use`, `mom init`, `mom ask -m`, and the council that nobody had to write."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from mom_council.councils.loader import council_from_yaml, load_council
from mom_council.paths import data_dir
from mom_council.tests.stage import Stage

from .conftest import Mom

GB = 1_000_000_000


@pytest.fixture
def at_home(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A machine with 8 GB of GPU memory, Ollama, and five models."""
    for name, size, family, parameters in (
        ("llama3.2:3b", 2.0, "llama", "3.2B"),
        ("qwen2.5:7b", 4.7, "qwen2", "7.6B"),
        ("gemma2:9b", 5.4, "gemma2", "9.2B"),
        ("mistral:7b", 4.1, "llama", "7.2B"),
        ("nomic-embed-text", 0.3, "nomic-bert", "137M"),
    ):
        stage.model(name, "Canberra", size=int(size * GB), family=family, parameters=parameters)
    monkeypatch.setenv("OLLAMA_HOST", stage.url)
    monkeypatch.setenv("MOM_MEMORY_GB", "8")
    return stage


def test_the_list_says_who_is_asked_what_each_can_and_why_not_the_others(
    mom: Mom, at_home: Stage
) -> None:
    called = mom("models")
    assert called.code == 0
    lines = called.out.splitlines()
    assert lines[0] == f"Ollama at {at_home.url}, 8 GB of GPU memory"
    asked = [line.split()[1] for line in lines if line.startswith("* ")]
    assert asked == ["gemma2:9b", "qwen2.5:7b", "mistral:7b"]
    assert any("llama3.2:3b" in line and "three stronger ones are asked" in line for line in lines)
    assert any("nomic-embed-text" in line and "it is for embeddings" in line for line in lines)
    assert "mom ask asks mistral:7b, qwen2.5:7b, gemma2:9b on Ollama" in lines[-1]
    assert not at_home.calls
    listed = mom("models", "--json").object
    assert listed["asked"] == ["mistral:7b", "qwen2.5:7b", "gemma2:9b"]
    assert listed["missing"] == []


def test_what_a_council_lacks_is_one_list_with_one_line(mom: Mom, at_home: Stage) -> None:
    pulls = " && ".join(f"ollama pull {name}" for name in ("qwen3:4b", "gemma3:4b"))
    assert f"Get it with: {pulls}" in mom("models", "-c", "home").out


def test_with_one_model_others_are_proposed_that_fit(
    mom: Mom, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model("llama3.1:8b", size=int(4.9 * GB), parameters="8.0B")
    monkeypatch.setenv("OLLAMA_HOST", stage.url)
    monkeypatch.setenv("MOM_MEMORY_GB", "8")
    assert "ollama pull qwen3:8b && ollama pull phi4-mini" in mom("models").out


def test_the_chosen_council_can_be_seen_and_kept(mom: Mom, at_home: Stage, tmp_path: Path) -> None:
    shown = mom("councils", "show", "auto")
    assert shown.code == 0
    assert "# Asking mistral:7b, qwen2.5:7b, gemma2:9b on Ollama" in shown.out
    council = council_from_yaml(shown.out)
    assert [model.model for model in council.models.values()] == [
        "mistral:7b",
        "qwen2.5:7b",
        "gemma2:9b",
    ]
    file = tmp_path / "mine.yaml"
    written = mom("init", str(file), "--yes")
    assert written.code == 0
    kept = load_council(file)
    assert (kept.name, kept.models) == ("mine", council.models)
    assert "# Who speaks" in file.read_text("utf-8")
    mom("init", str(file), "--yes").refuses(2, "--force overwrites it")
    assert mom("init", str(file), "--yes", "--force", "-m", "gemma2").code == 0
    assert [model.model for model in load_council(file).models.values()] == ["gemma2:9b"]


def test_named_models_are_asked_and_no_others(mom: Mom, at_home: Stage) -> None:
    called = mom("ask", "-m", "qwen2.5", "-m", "llama3.2:3b", "-q", "Capital of Australia?")
    assert (called.code, called.out) == (0, "Canberra\n")
    assert {call.model for call in at_home.calls} == {"qwen2.5:7b", "llama3.2:3b"}
    # The stronger one writes.
    assert at_home.calls[-1].model == "qwen2.5:7b"


def test_all_missing_models_stand_in_one_line(mom: Mom, at_home: Stage) -> None:
    called = mom("ask", "-m", "llama9", "-m", "gemma2:27b", "-m", "gemma2:9b", "x")
    called.refuses(3, "llama9, gemma2:27b", "`ollama pull llama9 && ollama pull gemma2:27b`")
    assert not at_home.calls
    mom("ask", "-m", "a", "-c", "home", "x").refuses(2, "--council and --model do not go together")


def test_a_question_to_named_models_is_resumed_with_them(mom: Mom, at_home: Stage) -> None:
    mom("ask", "-m", "qwen2.5", "-q", "-t", "cats", "Capital of Australia?")
    before = len(at_home.calls)
    assert mom("ask", "-q", "-t", "cats", "And of Austria?").code == 0
    assert {call.model for call in at_home.calls[before:]} == {"qwen2.5:7b"}


def test_a_council_is_used_until_another_is(
    mom: Mom,
    at_home: Stage,
    council_file: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert mom("use").out == "auto\n"
    mom("use", "elephants").refuses(3, "elephants")
    assert mom("use", "-m", "llama3.2").code == 0
    assert mom("ask", "-q", "x").code == 0
    assert {call.model for call in at_home.calls} == {"llama3.2:3b"}
    file = council_file()
    monkeypatch.chdir(Path(file).parent)
    assert mom("use", Path(file).name).code == 0
    assert mom("use").out == f"{Path(file).absolute()}\n"
    assert mom("use", "auto").code == 0
    assert mom("use").out == "auto\n"
    assert "mom ask asks mistral:7b" in mom("models").out


def test_a_server_that_the_environment_names_is_asked(
    mom: Mom, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model("qwen2.5-7b-instruct", "42")
    stage.model("text-embedding-nomic", "no")
    monkeypatch.setenv("OPENAI_BASE_URL", stage.url.removeprefix("http://"))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    called = mom("ask", "6 x 7?")
    assert (called.code, called.out) == (0, "42\n")
    assert f"Asking qwen2.5-7b-instruct at {stage.url}/v1" in called.err
    assert "cost money" not in called.err
    assert {(call.model, call.path) for call in stage.calls} == {
        ("qwen2.5-7b-instruct", "/v1/chat/completions")
    }


def test_a_council_of_a_server_with_a_key_is_written_and_asked_without_more(
    mom: Mom, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model("qwen2.5-7b-instruct", "42")
    monkeypatch.setenv("OPENAI_BASE_URL", stage.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-this-server")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    file = tmp_path / "team.yaml"
    assert f"{file} is written" in mom("init", str(file), "--yes").out
    assert "mom models" not in file.read_text("utf-8"), "what is printed only is no comment"
    assert mom("ask", "-q", "-c", str(file), "6 x 7?").out == "42\n"
    file.write_text(file.read_text("utf-8").replace(stage.url, "https://elsewhere.example"))
    mom("ask", "-c", str(file), "6 x 7?").refuses(3, "is not trusted yet")


def test_a_price_is_said_with_its_source(mom: Mom, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(
        "name: far\n"
        "models:\n"
        "  small: {provider: openai, model: gpt-4o-mini}\n"
        "  own: {provider: openai, model: own-model, price: {input: 1, output: 2}}\n"
        "  odd: {provider: openai, model: nobody-made-it, base_url: 'http://127.0.0.1:9/v1'}\n"
        "characters:\n"
        "  - {name: Ada, model: small}\n"
        "  - {name: Boris, model: own}\n"
        "  - {name: Clara, model: odd}\n"
        "synthesizer: {model: small}\n"
    )
    file, source = str(tmp_path / "far.yaml"), f"genai-prices {version('genai-prices')}"
    line = f"small: $0.15 in, $0.6 out per million tokens ({source})"
    mom("trust", file)
    for command in (("models", "-c", file), ("ask", "Why?", "-c", file, "--plan")):
        called = mom(*command)
        assert called.code == 0, called.err
        assert line in called.out
        assert "own: $1 in, $2 out per million tokens (the council)" in called.out
    prices = mom("models", "-c", file, "--json").object["prices"]
    assert prices["small"] == {"input": 0.15, "output": 0.6, "source": source}
    assert prices["own"] == {"input": 1, "output": 2, "source": "the council"}
    assert prices["odd"] == {"source": None}
    plan = mom("ask", "Why?", "-c", file, "--plan", "--json").object["plan"]
    assert plan["prices"] == prices


def test_names_of_a_server_do_not_act_on_the_terminal(mom: Mom, at_home: Stage) -> None:
    at_home.model("x\x1b]52;c;eA==\x07\x9b1m\u202e\r; rm -rf", "Canberra", size=GB, parameters="1B")
    called = mom("models")
    assert called.code == 0
    assert "]52;c;eA==" in called.out
    assert not [one for one in "\x1b\x07\x9b\u202e\r" if one in called.out + called.err]


@pytest.mark.parametrize("damage", ["empty", "bytes", "folder"])
def test_a_choice_that_cannot_be_read_is_not_answered_by_others(
    mom: Mom, at_home: Stage, damage: str
) -> None:
    file = data_dir() / "council.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    if damage == "folder":
        file.mkdir()
    else:
        file.write_bytes(b"" if damage == "empty" else b"\xff\xfe\x00")
    for command in (["ask", "hi"], ["models"], ["use"]):
        mom(*command).refuses(1, "council.txt", "mom use NAME")
    assert not at_home.calls
    assert mom("doctor").code in (0, 1)
