"""`mom threads`, `mom trace`, `mom councils`, `mom download`: what is there, and what is not."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from mom_council.tests.graph.desk import seat
from mom_council.tests.stage import Stage

from .conftest import Mom

File = Callable[..., str]


def test_where_nothing_is_yet_that_is_said(mom: Mom) -> None:
    assert mom("threads", "list").out == 'There are no threads yet; mom ask "..." begins one.\n'
    assert mom("trace", "list").out == 'There are no traces yet; mom ask "..." leaves one.\n'
    assert mom("threads", "list", "--json").object == {"threads": []}
    assert mom("trace", "list", "--json").object == {"traces": []}
    mom("threads", "show", "pets").refuses(2, "there is no thread 'pets'", "mom threads list")
    mom("threads", "delete", "-y", "pets").refuses(2, "there is no thread 'pets'")
    mom("trace", "show", "abc").refuses(2, "there is no trace 'abc'", "mom trace list")


def test_a_conversation_is_listed_shown_and_deleted(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    file = council_file()
    for question in ("A cat?", "Or a dog?"):
        assert mom("ask", "-q", question, "-c", file, "-t", "pets").code == 0
    (line,) = mom("threads", "list").out.splitlines()
    for part in ("pets", "answered", "2 turns", "A cat?"):
        assert part in line
    (summary,) = mom("threads", "list", "--json").object["threads"]
    assert (summary["id"], summary["turns"], summary["state"]) == ("pets", 2, "answered")
    shown = mom("threads", "show", "pets").out
    assert shown.startswith("You: A cat?\n\nCouncil: What the council says.\n\nYou: Or a dog?")
    mom("threads", "delete", "pets").refuses(2, "--yes")
    assert mom("threads", "delete", "--yes", "pets").out == "Thread 'pets' is gone.\n"
    assert "There are no threads yet" in mom("threads", "list").out


def test_a_trace_is_a_tree_with_times_and_on_request_with_every_word(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    assert mom("ask", "-q", "A cat?", "-c", council_file(), "-t", "pets").code == 0
    from mom_council.tracing.local import wait_for_traces

    wait_for_traces()
    (line,) = mom("trace", "list").out.splitlines()
    assert "A cat?" in line
    (summary,) = mom("trace", "list", "--json").object["traces"]
    assert (summary["id"], summary["question"]) == (line.split()[0], "A cat?")
    tree = mom("trace", "show", line.split()[0][:6])
    for part in ("desk", "Ada", "synthesizer", " tokens"):
        assert part in tree.out
    assert "You count twice." not in tree.out
    full = mom("trace", "show", "--full", line.split()[0]).out
    assert "You count twice." in full
    assert "[reply] What the council says." in full
    whole = mom("trace", "show", "--json", line.split()[0]).object
    assert whole["summary"]["thread"] == "pets"


def test_councils_are_listed_shown_checked_and_drawn(mom: Mom) -> None:
    listed = mom("councils", "list").out
    assert all(name in listed for name in ("cloud", "demo", "home", "layers", "self"))
    assert "name: demo" in mom("councils", "show", "demo").out
    assert mom("councils", "check", "demo").out.startswith("'demo' has no mistakes: 3 characters")
    drawn = mom("councils", "draw", "demo").out
    assert "graph TD" in drawn
    assert "synthesizer" in drawn
    for command in ("show", "check", "draw"):
        mom("councils", command, "hoem").refuses(3, "did you mean 'home'?")


def test_a_check_notes_the_keys_and_packages_that_are_not_here(
    mom: Mom, council_file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {
        "near": {"provider": "openai", "model": "x", "api_key_env": "FAR_KEY"},
        "far": {"provider": "nvidia", "model": "y"},
    }
    file = council_file(
        ("Ada", "Boris"),
        models=models | {"ada": models["near"], "boris": models["far"], "pen": models["near"]},
    )
    notes = mom("councils", "check", file).out.splitlines()[1:]
    assert all(note.startswith("note: ") for note in notes)
    assert any("'FAR_KEY'" in note for note in notes)
    assert any("pip install" in note for note in notes)
    monkeypatch.setenv("FAR_KEY", "sk-a-secret")
    again = mom("councils", "check", file)
    assert again.code == 0
    assert "FAR_KEY" not in again.out
    assert "sk-a-secret" not in again.out + again.err


def test_downloads_are_listed_and_unknown_ones_refused(mom: Mom) -> None:
    assert "Apache-2.0" in mom("download", "list").out
    mom("download", "qwen2.5-0.5b-instuct").refuses(2, "did you mean 'qwen2.5-0.5b-instruct'?")


def test_a_download_that_cannot_be_had_says_so(
    mom: Mom, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOM_WEIGHTS_URL", stage.url)
    called = mom("download")
    assert (called.code, called.out) == (4, "")
    assert called.err.splitlines()[-1].startswith("mom: weights cannot be had from")


def test_nobody_is_asked_about_a_deletion_who_is_not_there(mom: Mom) -> None:
    assert not sys.stdin.isatty()
    mom("threads", "delete", "pets").refuses(2, "nobody is there to ask")


def test_all_threads_are_deleted_at_once_and_only_where_that_was_said(mom: Mom) -> None:
    for name in ("pets", "maths"):
        assert mom("ask", "-c", "demo", "-t", name, "Is 7 > 3?").code == 0
    mom("threads", "delete", "-y").refuses(2, "--all")
    mom("threads", "delete", "-y", "--all", "pets").refuses(2, "--all")
    assert "pets" in mom("threads", "list").out
    assert mom("threads", "delete", "--all", "-y").out == "2 threads deleted.\n"
    assert "There are no threads yet" in mom("threads", "list").out
