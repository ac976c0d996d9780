"""`mom ask`: the answer on stdout, what led to it on stderr, and everything in one object."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mom_council.tests.graph.desk import character, said, seat, speaking, texts
from mom_council.tests.stage import Fault, Stage

from .conftest import Mom, trust_file

File = Callable[..., str]
HOSTILE = "\x1b[2J\x1b]0;owned\x07 [bold red]42[/bold red] \x9b31m \u202egnp.exe \u2066x"


def _no_escape(text: str) -> bool:
    return not {"\x1b", "\x07", "\x9b", "\u202e", "\u2066"} & set(text)


def test_the_answer_alone_is_on_stdout_and_the_rest_on_stderr_in_order(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage, likes="twice")
    asked = mom("ask", "What is the best pet?", "-c", council_file())
    assert (asked.code, asked.out) == (0, "What the council says.\n")
    told = [
        "Round 1: Ada, Boris, Clara",
        "  Ada: The view of You count twice.",
        "Vote: Ada, Boris, Clara",
        "  Boris votes: Ada",
        "Count: ",
        "Answer:",
        "Boris, Clara proposed another answer, then voted with the others",
        " s · 7 calls",
    ]
    places = [asked.err.index(line) for line in told]
    assert places == sorted(places)
    assert "thread" not in asked.err, "its name is worth knowing in a talk, and where it fails"
    assert "price" not in asked.err, "nobody sends a bill for a model of one's own"


def test_continue_goes_on_with_the_newest_conversation(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    mom("ask", "--continue", "Best?", "-c", council_file()).refuses(2, "no conversation yet")
    for thread in ("cats", "dogs"):
        assert mom("ask", f"Which {thread}?", "-c", council_file(), "-t", thread).code == 0
    assert mom("ask", "--continue", "And which is older?").code == 0
    asked = texts(stage.calls_to("ada")[-1].body, "user")
    assert any("Which dogs?" in text for text in asked)
    assert not any("Which cats?" in text for text in asked)
    mom("ask", "--continue", "-t", "cats", "Best?").refuses(2, "do not go together")


def test_from_the_second_question_on_the_expected_time_is_said(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    assert "takes about" not in mom("ask", "Best?", "-c", council_file()).err
    again = mom("ask", "Best?", "-c", council_file())
    assert again.err.index("This takes about ") < again.err.index("Round 1")
    assert "takes about" not in mom("ask", "-q", "Best?", "-c", council_file()).err


def test_a_note_is_told_once(mom: Mom, stage: Stage, council_file: File) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "Answer: 42"))
    stage.model("pen", reply="Answer: 41")
    asked = mom("ask", "How many?", "-c", council_file())
    assert asked.err.count("the council had settled on '42'") == 1


@pytest.mark.parametrize("second", ["Answer: 42", "Answer: 12"])
def test_of_a_text_that_was_corrected_only_the_correction_is_the_answer(
    mom: Mom, stage: Stage, council_file: File, second: str
) -> None:
    for show in ((), ("--quiet",), ("--json",)):
        seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "Answer: 42"))
        stage.model("pen", reply=["Answer: 11", second])
        asked = mom("ask", *show, "How many?", "-c", council_file(), "-t", "sums")
        answer = asked.object["answer"] if show == ("--json",) else asked.out.strip()
        assert (asked.code, answer) == (0, "Answer: 42")
        if not show:
            assert (
                "Note: The answer contradicted the vote, so it is written once more." in asked.err
            )
    assert "Answer: 11" not in mom("threads", "show", "sums").out


def test_where_all_decline_the_last_line_says_that_nobody_answered(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    for show in ((), ("--quiet",), ("--json",)):
        seat(stage, {"Ada": "I don't know.", "Boris": "Das weiß ich nicht.", "Clara": "不知道"})
        stage.model("pen", reply="I do not know that.")
        asked = mom("ask", *show, "How many?", "-c", council_file())
        assert asked.code == 4
        assert asked.err.splitlines()[-1].startswith("mom: Nobody answered")
        assert asked.err.lower().count("nobody answered") == 1, "it is said once"
        answer = asked.object["answer"] if show == ("--json",) else asked.out.strip()
        assert answer == "I do not know that."
    stage.model("pen", reply="It is 42.")
    assert mom("ask", "How many?", "-c", council_file()).code == 0, "the synthesizer answered"


def test_quiet_prints_the_answer_and_nothing_else(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    asked = mom("ask", "-q", "Best pet?", "-c", council_file())
    assert (asked.code, asked.out, asked.err) == (0, "What the council says.\n", "")


def test_json_is_one_object_with_everything(mom: Mom, stage: Stage, council_file: File) -> None:
    seat(stage, likes="twice")
    stage.model("clara", always=Fault.status(500))
    file = council_file(deliberation={"quorum": 0.5})
    asked = mom("ask", "--json", "Best pet?", "-c", file, "-t", "pets")
    whole = asked.object
    assert asked.code == 0
    assert set(whole) == {"answer", "status", "rounds", "usage", "times", "thread", "trace"}
    assert (whole["answer"], whole["thread"]) == ("What the council says.", "pets")
    status = whole["status"]
    assert {"spoke", "absent", "verdict", "stop_reason", "dissent", "degraded"} <= set(status)
    assert (status["spoke"], status["degraded"]) == (["Ada", "Boris"], True)
    assert (status["absent"][0]["character"], status["absent"][0]["reason"]) == ("Clara", "failed")
    (first,) = whole["rounds"]
    assert [p["character"] for p in first["proposals"]] == ["Ada", "Boris"]
    assert first["verdict"]["leader"] == "Ada"
    total, segments = whole["usage"]["total"], whole["usage"]["segments"]
    assert total["calls"] == len(stage.calls) == sum(s["usage"]["calls"] for s in segments)
    assert total["tokens"] == total["input_tokens"] + total["output_tokens"]
    assert whole["times"]["total"] > 0
    assert "Ada (round 1, layer 1)" in whole["times"]["segments"]
    shown = mom("trace", "show", "--json", whole["trace"])
    assert shown.object["summary"]["thread"] == "pets"


def test_ballots_are_in_the_object(mom: Mom, stage: Stage, council_file: File) -> None:
    seat(stage, likes="twice")
    whole = mom("ask", "--json", "Best pet?", "-c", council_file()).object
    votes = {ballot["voter"]: ballot["choice"] for ballot in whole["rounds"][0]["ballots"]}
    assert votes["Boris"] == votes["Clara"] == "Ada"


def test_debug_shows_every_prompt_and_every_reply(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    asked = mom("ask", "--debug", "Best pet?", "-c", council_file())
    assert asked.out == "What the council says.\n"
    for call in stage.calls:
        for message in call.body["messages"]:
            for line in str(message["content"]).splitlines():
                assert line in asked.err
    assert "The view of You doubt everything." in asked.err


def test_what_a_model_writes_does_nothing_to_the_terminal(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage, {"Ada": HOSTILE, "Boris": HOSTILE, "Clara": HOSTILE})
    stage.model("pen", reply=HOSTILE)
    file = council_file()
    for way in ((), ("--quiet",), ("--debug",), ("--json",)):
        asked = mom("ask", *way, HOSTILE[7:], "-c", file, "-t", "hostile")
        assert asked.code == 0
        assert _no_escape(asked.out + asked.err), way
    assert mom("ask", "--json", "x", "-c", file).object["answer"] == HOSTILE.strip()
    assert "␛[2J" in mom("ask", "-q", "x", "-c", file).out
    listed = [mom("threads", "list"), mom("threads", "show", "hostile"), mom("trace", "list")]
    assert all(_no_escape(called.out + called.err) for called in listed)


def test_a_thread_goes_on_with_its_own_council(
    mom: Mom, stage: Stage, council_file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    monkeypatch.chdir(tmp_path)
    file = Path(council_file()).name
    assert mom("ask", "-q", "My cat is called Mia.", "-c", file, "-t", "cat").code == 0
    stage.clear()
    monkeypatch.chdir(os.sep)
    assert mom("ask", "-q", "What is she called?", "-t", "cat").code == 0
    calls = speaking(stage.calls_to("ada"))
    assert len(calls) == 1
    assert "My cat is called Mia." in said(calls[0].body)
    assert "What the council says." in said(calls[0].body)


def test_the_settings_of_a_run_reach_it(mom: Mom, stage: Stage, council_file: File) -> None:
    seat(stage)
    file = council_file(deliberation={"rounds": {"min": 1, "max": 3}, "threshold": 1.0})
    settings = ("--rounds", "1", "--method", "borda", "--seed", "7", "--threshold", "0.5")
    whole = mom("ask", "--json", "Best pet?", "-c", file, *settings).object
    assert whole["status"]["rounds"] == 1
    assert whole["status"]["verdict"]["method"] == "borda"


def test_before_money_is_spent_a_line_says_so_however_quiet(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    price = {"input": 1.0, "output": 2.0}
    models = {
        key: {
            "provider": "openai",
            "model": key,
            "base_url": stage.openai_url,
            "price": price,
        }
        for key in ("ada", "boris", "clara", "pen")
    }
    file = council_file(models=models)
    for way in ("--quiet", "--json"):
        asked = mom("ask", way, "Best pet?", "-c", file)
        assert asked.code == 0
        line = asked.err.splitlines()[0]
        assert line.startswith("This may cost money: ada (openai), ")
        assert "at most 7 calls a question" in line
    assert asked.object["usage"]["total"]["usd"] > 0


def test_without_any_model_the_tiny_ones_answer_and_say_what_they_are(mom: Mom) -> None:
    asked = mom("ask", "What is 17+25?")
    assert asked.code == 0
    assert "about 1 MB" in asked.err
    assert "mom download" in asked.err
    assert "about 1 MB" not in mom("ask", "-q", "What is 17+25?").err


def test_the_question_may_come_from_a_pipe(mom: Mom, stage: Stage, council_file: File) -> None:
    seat(stage)
    asked = mom("ask", "-q", "-c", council_file(), stdin="Wie heißt er?\n".encode())
    assert asked.code == 0
    assert "Wie heißt er?" in said(stage.calls_to("ada")[0].body)


def test_a_talk_asks_every_line_in_one_thread(mom: Mom, stage: Stage, council_file: File) -> None:
    stage.model("ada", reply=character("Mia."))
    stage.model("pen", reply="What the council says.")
    lines = b"My cat is called Mia.\n\n\xff\nWhat is she called?\n/bye\nNever asked.\n"
    talk = mom("chat", "-c", council_file(("Ada",)), "-t", "talk", stdin=lines)
    assert talk.code == 0
    assert talk.out == "What the council says.\n" * 2
    assert "mom: the question is no valid UTF-8" in talk.err
    last = said(stage.calls_to("pen")[-1].body) + said(stage.calls_to("ada")[-1].body)
    assert "My cat is called Mia." in last
    assert "Never asked" not in "".join(said(call.body) for call in stage.calls)
    assert "talk" in mom("threads", "list").out


def test_asking_again_in_a_talk_keeps_the_former_answer(
    mom: Mom, stage: Stage, council_file: File
) -> None:
    stage.model("ada", reply="A cat.")
    stage.model("pen", reply=["A cat.", "A dog.", "An owl.", "A mouse.", "It eats seed."])
    file = council_file(("Ada",), deliberation={"method": "none"})
    lines = ["/answer 1", "Which pet?", "/retry", "/retry", "/answer 4", "/answer 2", "And?"]
    talk = mom("chat", "-c", file, "-t", "talk", stdin="\n".join(lines).encode())
    assert talk.code == 0, talk.err
    assert talk.out.splitlines() == ["A cat.", "A dog.", "An owl.", "A dog.", "A mouse."]
    assert "answer 2 of 2; /answer 1 goes back to another" in talk.err
    assert "answer 3 of 3; /answer 1 or /answer 2 goes back to another" in talk.err
    assert "there are 3 answers: /answer 1 to /answer 3" in talk.err
    assert "answer 2 of 3; /answer 1 or /answer 3 goes back to another" in talk.err
    [*_, last] = stage.calls_to("ada")
    shown = said(last.body)
    assert shown.count("Which pet?") == 1
    assert "A dog." in shown
    assert "A cat." not in shown
    assert "An owl." not in shown

    # Another day: the answers are still there, and what was asked after one comes back with it.
    later = ["/answer 3", "/answer 2", "And what does it eat?", "/exit"]
    talk = mom("chat", "-c", file, "-t", "talk", stdin="\n".join(later).encode())
    assert talk.out.splitlines() == ["An owl.", "A mouse.", "It eats seed."]


def test_commands_of_a_talk_are_obeyed_and_not_paid(
    mom: Mom, stage: Stage, council_file: File, tmp_path: Path
) -> None:
    stage.model("ada", "A cat.")
    stage.model("pen", "A cat.")
    file, saved = council_file(("Ada",)), tmp_path / "talk.md"
    lines = [
        "/help",
        "/models",
        "/council",
        "/nonsense please",
        "/retry",
        "Which pet?",
        f"/save {saved}",
        f"/save {saved}",
        "/retry",
        "One \\",
        "question?",
        '"""',
        "Two",
        "lines?",
        '"""',
        "/council elephants",
        "exit",
        "Never asked.",
    ]
    talk = mom("chat", "-c", file, "-t", "talk", stdin="\n".join(lines).encode())
    assert talk.code == 0, talk.err
    for part in (
        "/save FILE",
        "Ada          ada",
        "there is no /nonsense; /help lists the commands",
        "there is no question yet",
        "is there already",
        "there is no council 'elephants'",
    ):
        assert part in talk.err
    asked = [call.body["messages"][-1]["content"] for call in stage.calls_to("ada")]
    assert len(asked) == 4
    assert "Which pet?" in asked[0]
    assert "Which pet?" in asked[1]
    assert "One \nquestion?" in asked[2]
    assert "Two\nlines?" in asked[3]
    assert "**You**\n\nWhich pet?" in saved.read_text("utf-8")


def test_a_talk_goes_on_with_another_council(
    mom: Mom, stage: Stage, council_file: File, tmp_path: Path
) -> None:
    for name in ("ada", "boris", "pen"):
        stage.model(name, "A cat.")
    one = council_file(("Ada",))
    other = tmp_path / "other.yaml"
    other.write_text(Path(one).read_text("utf-8"))
    Path(council_file(("Boris",))).rename(other)
    one = council_file(("Ada",))
    trust_file(other)
    lines = f"Which pet?\n/council {other}\nAnd now?\nquit\n"
    talk = mom("chat", "-c", one, "-t", "talk", stdin=lines.encode())
    assert talk.code == 0, talk.err
    assert len(stage.calls_to("ada")) == len(stage.calls_to("boris")) == 1


def test_what_may_be_typed_is_completed() -> None:
    from mom_council.cli.chat import completions

    assert completions("/h") == ["/help"]
    assert completions("/council ho") == ["/council home"]
    assert completions("hello") == []
