"""Bad input is refused in one line that says what to do, before anything is opened or asked."""

from pathlib import Path

import pytest

from .conftest import Mom


@pytest.mark.parametrize("question", ["", "  \n\t "])
def test_an_empty_question_is_refused(mom: Mom, question: str) -> None:
    mom("ask", question).refuses(2, "the question is empty", 'mom ask "What is 17 + 25?"')
    mom("ask", stdin=question.encode()).refuses(2, "the question is empty")


def test_a_question_of_two_megabytes_is_refused(mom: Mom) -> None:
    mom("ask", stdin=b"a" * 2_000_000).refuses(2, "2,000,000 characters", "at most 1,000,000")
    mom("ask", "-", stdin=b"a" * 5_000_000).refuses(2, "longer than the 1,000,000")


def test_stdin_that_is_no_utf8_is_refused_with_the_place(mom: Mom) -> None:
    mom("ask", stdin=b"What\xff?").refuses(2, "no valid UTF-8 (byte 5)", "iconv")


def test_an_argument_that_is_no_utf8_is_refused(mom: Mom) -> None:
    mom("ask", "What\udcff?").refuses(2, "no valid UTF-8")


@pytest.mark.parametrize(
    ("name", "why"),
    [("a\nb", "'\\n'"), ("\x1b[2J", "'\\x1b'"), ("a" * 129, "at most 128"), ("", "is empty")],
)
def test_a_thread_that_cannot_be_named_so_is_refused(mom: Mom, name: str, why: str) -> None:
    mom("ask", "hi", "--thread", name).refuses(2, why)
    mom("resume", name).refuses(2, why)
    mom("threads", "show", name).refuses(2, why)
    mom("threads", "delete", "--yes", name).refuses(2, why)


def test_a_path_as_a_threads_name_is_a_name_like_any_other(mom: Mom, tmp_path: Path) -> None:
    asked = mom("ask", "-q", "-c", "demo", "-t", "../../outside", "What is 17+25?")
    assert asked.code == 0
    assert {p.name for p in tmp_path.rglob("*") if p.is_dir()} <= {"data", "traces"}
    assert "../../outside" in mom("threads", "list").out


def test_settings_out_of_range_are_refused_with_what_would_be_right(mom: Mom) -> None:
    mom("ask", "hi", "--rounds", "0").refuses(2, "--rounds", "mom ask --help")
    mom("ask", "hi", "--threshold", "2").refuses(2, "--threshold")
    mom("ask", "hi", "--method", "bordo").refuses(2, "did you mean 'borda'?")
    mom("ask", "hi", "--method", "guessing").refuses(2, "plurality, approval, borda")
    mom("ask", "hi", "--debug", "--quiet").refuses(2, "--quiet and --debug", "choose one")


def test_slips_of_the_fingers_are_answered_with_the_way_out(mom: Mom) -> None:
    mom("aks", "hi").refuses(2, "Did you mean 'ask'?", 'mom ask "..."')
    mom("ask", "-2").refuses(2, "mom ask -- '-2 + 5?'")
    mom("ask", "What", "is").refuses(2, "goes in quotes")
    mom("ask", "hi", "--councl", "demo").refuses(2, "--councl")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("mysql://me:hunter2@host/x", "'sqlite:///path'"),
        ("/", "is a folder"),
        ("/proc/none/threads.db", "name a file in a folder you can write"),
    ],
)
def test_a_place_that_cannot_keep_threads_is_refused(mom: Mom, place: str, why: str) -> None:
    called = mom("ask", "hi", "--db", place)
    called.refuses(1, why)
    assert "hunter2" not in called.err


def test_a_council_that_is_not_there_or_is_wrong_is_refused(mom: Mom, tmp_path: Path) -> None:
    mom("ask", "hi", "--council", "demoo").refuses(3, "did you mean 'demo'?")
    mom("ask", "hi", "--council", str(tmp_path)).refuses(3, "is a folder")
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text(
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]\n"
            for m, n in zip("abcdefg", "bcdefgh", strict=True)
        )
    )
    mom("ask", "hi", "--council", str(bomb)).refuses(3, "bomb.yaml")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: wrong\ncharacter: []\n")
    checked = mom("councils", "check", str(wrong))
    assert checked.code == 3
    first, *faults = checked.err.splitlines()
    assert first == f"mom: {wrong}: 3 faults"
    assert len(faults) == 3
    assert "  line 2: character: unknown key; did you mean 'characters'?" in faults


def test_nothing_is_kept_of_what_was_refused(mom: Mom, tmp_path: Path) -> None:
    mom("ask", "").refuses(2)
    mom("ask", "hi", "--method", "bordo").refuses(2)
    assert not (tmp_path / "data").exists()


def test_with_json_a_refusal_is_an_object_too(mom: Mom) -> None:
    called = mom("ask", "--json", "")
    called.refuses(2, "empty")
    assert called.object["error"]["type"] == "UsageError"
    assert called.object["error"]["exit_code"] == 2
    assert called.object["error"]["message"] in called.err
    assert called.object["thread"] is None
    unknown = mom("ask", "--json", "hi", "-c", "demoo")
    assert (unknown.code, unknown.object["error"]["type"]) == (3, "UnknownNameError")
