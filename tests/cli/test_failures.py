"""What fails ends in one line, the right code, and with nothing lost that could be kept."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council import paths
from mom_council.paths import ensure
from mom_council.tests.graph.desk import said, seat, speaking
from mom_council.tests.models import fake_nvml
from mom_council.tests.stage import Fault, Stage
from mom_council.vendors.profile import install_line

from .conftest import Mom

File = Callable[..., str]

DAMAGES: dict[str, bytes | None] = {
    "empty": b"",
    "cut short": b'{"version": 1, "jo',
    "noise": bytes(range(255, -1, -1)) * 20,
    "another type": b'[1, {"a": null}, "x"]',
    "newer": b'{"version": 999, "job": {}}',
    "a folder": None,
    "a link to itself": None,
}


def damage(file: Path, how: str) -> None:
    """Put something else in a file's place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if how == "a folder":
        file.mkdir()
    elif how == "a link to itself":
        file.symlink_to(file.name)
    else:
        file.write_bytes(DAMAGES[how] or b"")


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["job.json", "done.jsonl", "engine", "lock"])
def test_a_damaged_file_of_a_batch_is_one_line_and_stays(
    mom: Mom, stage: Stage, council_file: File, tmp_path: Path, name: str, how: str
) -> None:
    seat(stage)
    (tmp_path / "in.jsonl").write_text('{"question": "Best pet?"}\n')
    out = tmp_path / "out.jsonl"
    file = tmp_path / "out.jsonl.batch" / name
    damage(file, how)
    called = mom("batch", str(tmp_path / "in.jsonl"), str(out), "-c", council_file())
    if called.code == 0:
        assert out.read_text().count("What the council says.") == 1
    else:
        assert called.err.startswith("mom: ") or "\nmom: " in called.err
        assert os.path.lexists(file)
        assert not file.is_file() or file.read_bytes() == DAMAGES[how]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"at": when} for when in ("x", None, 1e99, float("nan"))),
        *({"lines": lines} for lines in (5, None, [1])),
        *({name: 7} for name in ("path", "kind", "allowed_keys")),
        {"accepted": "no"},
    ],
)
def test_a_damaged_record_of_trust_accepts_nothing(
    mom: Mom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MOM_COUNCIL=demo\n")
    assert mom("trust", ".env").code == 0
    assert "not trusted yet" not in mom("councils", "list").err
    [file] = (paths.data_dir() / "trust").glob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    assert mom("trust").code == 0
    assert "not trusted yet" in mom("councils", "list").err
    assert mom("trust", ".env").code == 0


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("council.yaml", "councils check ./council.yaml"),
        (".env", "trust .env"),
        ("data/weights/my.gguf", "models"),
        ("data/ledger.db", "weights show"),
        ("data/threads.db", "threads list"),
    ],
)
def test_a_damaged_file_is_one_line_and_stays(
    mom: Mom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: str, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "data"))
    damage(tmp_path / name, how)
    called = mom(*command.split())
    if called.code != 0:
        assert called.err.startswith("mom: ") or "\nmom: " in called.err
        assert os.path.lexists(tmp_path / name)
        assert not (tmp_path / name).is_file() or (tmp_path / name).read_bytes() == DAMAGES[how]


def test_when_nobody_answers_the_question_is_kept_and_resumed_when_they_are_back(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.status(500))
    asked = mom("ask", "--json", "Best pet?", "-c", council_file(), "-t", "pets")
    asked.refuses(4, "none of the 3 models answered", "fix the problem, then: mom resume pets")
    error = asked.object["error"]
    assert (error["type"], error["exit_code"]) == ("QuorumError", 4)
    assert (error["answered"], error["needed"]) == (0, 1)
    assert [absence["character"] for absence in error["absences"]] == ["Ada", "Boris", "Clara"]
    assert asked.object["thread"] == "pets"
    assert "failed" in mom("threads", "list").out
    seat(stage)
    resumed = mom("resume", "pets", "-q")
    assert (resumed.code, resumed.out) == (0, "What the council says.\n")
    mom("resume", "pets").refuses(2, "it is answered", "mom threads show pets")


def test_a_thread_that_is_not_there_cannot_be_resumed(mom: Mom) -> None:
    mom("resume", "nobody").refuses(2, "there is no thread 'nobody'", "mom threads list")


def test_a_new_question_on_an_open_one_says_that_it_gives_it_up(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.status(500))
    file = council_file()
    assert mom("ask", "The first?", "-c", file, "-t", "pets").code == 4
    seat(stage)
    stage.clear()
    asked = mom("ask", "The second?", "-t", "pets")
    assert asked.code == 0
    assert "the open question of thread 'pets' ('The first?') is given up" in asked.err
    assert all("The second?" in said(call.body) for call in speaking(stage.calls))
    mom("resume", "pets").refuses(2, "it is answered")


def test_a_spent_budget_ends_with_its_own_code(mom: Mom, stage: Stage, council_file: File) -> None:
    seat(stage, latency=0.5)
    file = council_file(budget={"seconds": 0.05})
    asked = mom("ask", "--json", "Best pet?", "-c", file)
    assert asked.code in (4, 5), asked.err
    assert asked.object["error"]["exit_code"] == asked.code


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_asked(
    mom: Mom, stage: Stage, council_file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = council_file()
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for place in ("/proc/none", str(taken)):
        monkeypatch.setenv("MOM_DATA_DIR", place)
        mom("ask", "hi", "-c", file).refuses(
            1, "nothing can be kept in", "set MOM_DATA_DIR to a folder"
        )
        mom("threads", "list").refuses(1, "set MOM_DATA_DIR")
        mom("trace", "list").refuses(1, "set MOM_DATA_DIR")
    assert stage.calls == []


def test_a_file_that_is_no_database_is_refused_and_left_alone(mom: Mom, tmp_path: Path) -> None:
    file = tmp_path / "threads.db"
    file.write_bytes(b"not a database " * 1000)
    mom("ask", "hi", "--db", str(file)).refuses(1, "not a SQLite database", "move it away")
    assert file.read_bytes() == b"not a database " * 1000


@pytest.mark.slow
def test_a_locked_file_is_refused_and_what_it_holds_is_kept(
    mom: Mom, stage: Stage, council_file: File, tmp_path: Path
) -> None:
    seat(stage)
    file = str(tmp_path / "threads.db")
    assert mom("ask", "-q", "One?", "-c", council_file(), "--db", file, "-t", "one").code == 0
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asked = mom("ask", "--json", "Two?", "-t", "one", "--db", file)
    other.execute("ROLLBACK")
    other.close()
    assert (asked.code, asked.err.count("\n")) == (1, 1)
    assert "locked" in asked.err
    shown = mom("threads", "show", "one", "--db", file)
    assert "You: One?" in shown.out


@pytest.mark.slow
def test_on_a_full_disk_the_answer_is_shown_all_the_same(
    processes: Any, stage: Stage, council_file: File
) -> None:
    seat(stage)

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    long = os.urandom(100_000).hex().encode()
    asked = processes.call("ask", "-c", council_file(), "-q", stdin=long, preexec_fn=no_room)
    assert asked.code == 1
    assert "mom: threads in " in asked.err
    if asked.out:
        assert asked.out == "What the council says.\n"
        assert "this answer is not kept" in asked.err


@pytest.mark.slow
def test_hardware_that_stays_too_hot_ends_with_its_own_code(
    processes: Any, stage: Stage, council_file: File, tmp_path: Path
) -> None:
    seat(stage)
    library = fake_nvml.build(tmp_path)
    script = tmp_path / "script.txt"
    script.write_text("95\n", encoding="utf-8")
    thermal = {"limit": 80, "resume": 70, "poll": 0.1, "max_wait": 0.3, "then": "stop"}
    env = {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_SCRIPT": str(script)}
    asked = processes.call("ask", "Best?", "-c", council_file(thermal=thermal), env=env)
    assert asked.code == 5, asked.err
    assert "waiting for 70 °C" in asked.err
    assert "mom resume" in asked.err.splitlines()[-1]


def test_an_option_that_a_command_has_not_is_refused_with_that_commands_help(mom: Mom) -> None:
    refused = mom("eval", "data.jsonl", "-c", "demo")
    refused.refuses(2, "-c", "mom eval --help")
    assert "mom ask" not in refused.err
    mom("ask", "--rouns", "3", "hi").refuses(2, "--rounds", "mom ask --help")
    mom("ask", "-2 + 5?").refuses(2, "mom ask -- '-2 + 5?'")


def test_a_thumb_for_a_thread_that_is_not_there_is_refused(mom: Mom) -> None:
    mom("weights", "thumb", "up", "-t", "nobody").refuses(2, "there is no thread 'nobody'")
    called = mom("weights", "thumb", "sideways")
    called.refuses(2, "'sideways' is not one of 'up', 'down', 'none'")
    assert "Value error" not in called.err


@pytest.mark.slow
def test_no_paid_model_is_asked_unseen_in_place_of_a_local_server(
    processes: Any, stage: Stage
) -> None:
    env = {"OLLAMA_API_URL": f"{stage.url}/busy", "OPENAI_API_KEY": "sk-of-nobody"}
    asked = processes.call("ask", "Best?", env=env)
    assert asked.code == 2, asked.err
    assert "--paid (or MOM_PAID=1)" in asked.err.splitlines()[-1]
    for command in ("ask", "chat", "batch", "serve", "mcp", "pays"):
        assert "--paid" in processes.call(command, "--help").out, command
    assert not stage.calls


@pytest.mark.parametrize("place", ["busy", "gone"])
def test_what_costs_money_says_why_no_local_model_is_asked(
    mom: Mom, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    if place == "busy":
        monkeypatch.setenv("OLLAMA_HOST", f"{stage.url}/busy")
        why = f"Ollama at {stage.url}/busy does not answer"
    else:
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
        (ensure(paths.data_dir()) / "local.txt").write_text("yes")
        why = "the local models that were asked before do not answer"
    (tmp_path / "in.jsonl").write_text('{"question": "Best pet?"}\n')
    called = mom("pays", "in.jsonl")
    assert called.code == 2
    last = called.err.splitlines()[-1]
    assert f"mom: {why}, and asking others instead may cost money (" in last
    assert "start the local server, or allow it with --paid" in last
    written = mom("init", "--yes")
    assert f"mom: {why}; models that cost money are written in place of local" in written.err
    if place == "busy":
        assert f"Ollama: {why}; look what holds it up: ollama ps" in mom("models").out
    assert not stage.calls


def test_the_command_prints_it_and_asks_nobody(mom: Mom, stage: Stage, council_file: File) -> None:
    stage.model("pen", reply="no")
    planned = mom("ask", "--plan", "Best?", "-c", council_file())
    assert planned.code == 0, planned.err
    assert "synthesizer" in planned.out
    assert "in all" in planned.out
    assert not stage.calls


def test_each_fault_of_a_council_file_has_its_own_line_and_the_files(
    mom: Mom, tmp_path: Path
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: x\nmodels:\n  a: {provider: ollama, modle: b}\ncharacters:\n"
        "  - {name: A, model: a}\n  - {name: B, modal: a}\nsynthesizer: {model: a}\nfoo: 1\n"
    )
    called = mom("councils", "check", str(file))
    assert called.code == 3
    head, *faults = called.err.splitlines()
    assert head == f"mom: {file}: 3 faults"
    assert faults[0] == "  line 3: models.a.modle: unknown key; did you mean 'model'?"
    assert faults[1].startswith("  line 6: characters[1].modal: unknown key; did you mean 'model'?")
    assert faults[2].startswith("  line 8: foo: unknown key")
    file.write_text(
        "name: x\nmodels:\n  a: {provider: ollama, modle: b}\n"
        "characters: [{name: A, model: a}]\nsynthesizer: {model: a}\n"
    )
    mom("councils", "check", str(file)).refuses(3, "bad.yaml: line 3: models.a.modle: unknown key")


def test_the_line_that_installs_an_extra_is_for_the_environment_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pip", "python"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert install_line("ui") == "pip install 'mom-council[ui]'"
    monkeypatch.setattr("sys.executable", "/an other/bin/python")
    assert install_line("ui") == "'/an other/bin/python' -m pip install 'mom-council[ui]'"
    # `uv tool install`, and pipx with uv, leave pip out.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    here = "'/an other/bin/python'"
    pip = "-m pip install 'mom-council[ui]'"
    assert install_line("ui") == f"{here} -m ensurepip && {here} {pip}"
    (tmp_path / "uv").write_text("")
    (tmp_path / "uv").chmod(0o755)
    assert install_line("ui") == f"uv pip install --python {here} 'mom-council[ui]'"


def test_a_wrong_word_of_a_newcomer_is_told_in_plain_words(
    mom: Mom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "councils").mkdir()
    mom("ask", "hi", "-c", "councils").refuses(3, "'councils' is a folder; name a council's file")
    mom("ask", "hi", "--rounds", "0").refuses(2, "'--rounds': must be at least 1;")
    mom("ask", "hi", "--rounds", "many").refuses(2, "'--rounds': must be a whole number;")
    mom("serve", "--port", "99999").refuses(2, "'--port': must be at most 65535;")
    mom("trace", "nothere").refuses(2, "mom trace --help lists its commands")
    wrong = mom("ask", "hi", "--councl", "home")
    assert "put -- before" not in wrong.err
    assert "put -- before" in mom("ask", "-2", "+ 5").err


def test_an_ollama_that_does_not_run_is_named_with_the_line_that_starts_it(
    mom: Mom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    council = tmp_path / "one.yaml"
    council.write_text(
        "name: one\nmodels:\n  a: {provider: ollama, model: llama3.2}\n"
        "characters:\n  - {name: Ada, model: a, personality: brief}\nsynthesizer: {model: a}\n"
    )
    asked = mom("ask", "hi", "-c", str(council), "-t", "t")
    assert asked.code == 4
    assert "is Ollama running? Start it: `ollama serve`" in asked.err
    assert asked.err.splitlines()[-1] == (
        "mom: the one model did not answer; fix the problem, then: mom resume t"
    )


def test_a_mistyped_provider_is_told_before_anybody_trusts_it(mom: Mom, tmp_path: Path) -> None:
    council = tmp_path / "one.yaml"
    council.write_text(
        "name: one\nmodels:\n  a: {provider: olama, model: llama3.2}\n"
        "characters:\n  - {name: Ada, model: a, personality: brief}\nsynthesizer: {model: a}\n"
    )
    mom("ask", "hi", "-c", str(council)).refuses(3, "did you mean 'ollama'?")
