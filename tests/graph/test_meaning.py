"""What was meant is counted: through the whole graph, on scripted models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mom_council.councils.loader import load_council
from mom_council.errors import InputError
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import ask, candidates, desk, seat, voice, voting, written
from mom_council.tests.stage import Reply, Stage


def voter(answer: str, ballot: Any) -> Any:
    """A model that answers, and in a vote writes what `ballot` makes of the labels."""

    def reply(body: dict[str, Any]) -> str:
        shown = candidates(body)
        label_of = {text: label for label, text in shown.items()}
        return ballot(label_of) if shown else answer

    return reply


async def test_rank_numbers_are_ranks_and_the_last_ranked_does_not_win(stage: Stage) -> None:
    texts = {"Ada": "The bee.", "Boris": "The cat.", "Clara": "The dog."}
    order = ["The cat.", "The dog.", "The bee."]

    def ranks(label_of: dict[str, str]) -> str:
        shown = [text for text in order if text in label_of]
        return json.dumps({"ranking": {label_of[t]: n for n, t in enumerate(shown, 1)}})

    seat(stage)
    for name, text in texts.items():
        stage.model(name.lower(), reply=voter(text, ranks))
    verdict = (await ask(desk(stage, deliberation={"method": "borda"})))["status"].verdict
    assert verdict.leader == "Boris"
    assert [option.members for option in verdict.options] == [("Boris",), ("Clara",), ("Ada",)]


async def test_two_refusals_do_not_win_against_one_answer(stage: Stage) -> None:
    seat(stage, {"Ada": "I don't know.", "Boris": "Das weiß ich nicht.", "Clara": "Answer: 42"})
    stage.model("pen", reply="Answer: 42")
    status = (await ask(desk(stage), "What is 17 + 25?"))["status"]
    assert status.verdict.leader == "Clara"
    assert not voting(stage.calls)  # one answer and silence are no choice
    assert status.verdict.stop_reason != "agreed"


async def test_where_all_decline_nobody_answered_and_it_is_said(stage: Stage) -> None:
    seat(stage, {"Ada": "I don't know.", "Boris": "Je ne sais pas.", "Clara": "不知道"})
    status = (await ask(desk(stage), "What is 17 + 25?"))["status"]
    assert status.verdict.leader is None
    assert "Nobody answered" in " ".join(status.notes)
    assert status.degraded
    assert not voting(stage.calls)


async def test_a_reply_that_broke_off_is_named_and_not_counted(stage: Stage) -> None:
    seat(stage, {"Ada": "It is 1250.", "Boris": "Answer: 1,250", "Clara": "x"})
    stage.model("clara", reply=Reply("So the total is 12", finish="length"))
    stage.model("pen", reply="Answer: 1250")
    status = (await ask(desk(stage, deliberation={"method": "answers"})))["status"]
    assert status.verdict.options[0].members == ("Ada", "Boris")
    assert status.verdict.options[1].answer is None
    assert "The reply of 'Clara' broke off" in " ".join(status.notes)
    assert status.degraded


async def test_a_ballot_that_broke_off_does_not_vote_with_its_last_token(stage: Stage) -> None:
    seat(stage, likes="twice")

    def reply(body: dict[str, Any]) -> Reply | str:
        if candidates(body):
            return Reply("The first is weak, so my vote goes to A", finish="length")
        return "The view of Clara"

    stage.model("clara", reply=reply)
    status = (await ask(desk(stage)))["status"]
    assert status.verdict.ballots == 2
    assert [(one.character, one.stage, one.reason) for one in status.absent] == [
        ("Clara", "vote", "garbled")
    ]
    assert status.degraded


async def test_one_ballot_of_three_is_no_consensus(stage: Stage) -> None:
    seat(stage, likes="twice")
    for name in ("ada", "clara"):
        stage.model(name, reply=voter(f"The view of {name}", lambda _: "I abstain."))
    stage.model("ada", reply=voter("You count twice.", lambda _: "I abstain."))
    status = (await ask(desk(stage, deliberation={"rounds": {"min": 1, "max": 2}})))["status"]
    assert status.verdict.share == 1.0
    assert (status.verdict.ballots, status.verdict.asked) == (1, 3)
    assert status.verdict.stop_reason != "agreed"
    assert status.rounds == 2


async def test_three_different_planes_do_not_agree(stage: Stage) -> None:
    planes = {"Ada": "x + y + z = 0", "Boris": "x - 2y + z = 0", "Clara": "2x + y - z = 0"}
    seat(stage, {name: f"\\boxed{{{plane}}}" for name, plane in planes.items()})
    stage.model("pen", reply="x + y + z = 0")
    status = (await ask(desk(stage, deliberation={"method": "answers"})))["status"]
    assert len(status.verdict.options) == 3
    assert status.verdict.share < 0.5
    assert status.dissent


async def test_who_voted_with_the_others_does_not_dissent(stage: Stage) -> None:
    seat(stage, likes={"Ada": "doubt", "Boris": "twice", "Clara": "twice"})
    status = (await ask(desk(stage)))["status"]
    assert status.verdict.leader == "Ada"
    assert status.joined == ("Boris", "Clara")
    assert status.dissent == ()
    assert status.minority_report == ""


async def test_ballots_that_overturn_a_majority_of_equal_answers_say_so(stage: Stage) -> None:
    answers = {"Ada": "Answer: 42", "Boris": "Answer: 42", "Clara": "Answer: 41"}
    seat(stage, answers, likes="41")
    stage.model("pen", reply="Answer: 41")
    council = desk(stage, deliberation={"ballots": "always"})
    status = (await ask(council, "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].answer == "41"
    assert "which 2 of 3 had answered" in " ".join(status.notes)


async def test_no_ballot_is_asked_for_where_most_gave_one_answer(stage: Stage) -> None:
    answers = {"Ada": "Answer: 42", "Boris": "So it is 42.", "Clara": "Answer: 41"}
    seat(stage, answers, likes="41")
    stage.model("pen", reply="Answer: 42")
    status = (await ask(desk(stage), "What is 17 + 25?"))["status"]
    assert status.verdict.options[0].answer == "42"
    assert status.verdict.share == pytest.approx(2 / 3)
    assert status.dissent == ("Clara",)
    assert not voting(stage.calls)


async def test_ballots_are_asked_for_where_the_weight_is_not_with_the_most(stage: Stage) -> None:
    seat(stage, {"Ada": "Answer: 42", "Boris": "So it is 42.", "Clara": "Answer: 41"})
    stage.model("pen", reply="Answer: 42")
    made = written(stage)
    made["characters"][2]["weight"] = 3
    await ask(load_council(made), "What is 17 + 25?")
    assert voting(stage.calls)


async def test_where_the_question_lists_options_only_their_letters_are_answers(
    stage: Stage,
) -> None:
    question = "How many birds are there?\n(A) 620\n(B) 62\n(C) 6.2\n(D) 26"
    seat(stage, {"Ada": "Answer: B", "Boris": "Answer: 62", "Clara": "There are 60 or 61"})
    stage.model("pen", reply="Answer: 62")
    status = (await ask(desk(stage, deliberation={"method": "answers"}), question))["status"]
    assert [(one.answer, one.members) for one in status.verdict.options] == [
        ("B", ("Ada", "Boris")),
        (None, ("Clara",)),
    ]
    assert status.written_by == "pen"  # "62" is what B says


async def test_a_written_answer_that_is_another_option_is_asked_for_again(stage: Stage) -> None:
    question = "Which city is it? A. Paris B. Rome C. Oslo"
    seat(stage, {"Ada": "Answer: B", "Boris": "Answer: Rome", "Clara": "Answer: B. Rome"})
    stage.model("pen", reply="Answer: Oslo")
    status = (await ask(desk(stage, deliberation={"method": "answers"}), question))["status"]
    assert status.verdict.options[0].members == ("Ada", "Boris", "Clara")
    again = stage.calls[-1].body["messages"][-1]["content"]
    assert "The synthesizer wrote 'C', and the council had settled on 'B'." in again


async def test_the_annotators_reading_may_list_the_options(stage: Stage) -> None:
    restated = "Which city is it?\nA. Paris\nB. Rome"
    seat(stage, {"Ada": "Answer: Rome", "Boris": "Answer: B", "Clara": "Answer: 62"})
    stage.model("reader", reply=json.dumps({"restated": restated, "kind": "closed"}))
    made = written(stage, deliberation={"method": "answers"}, annotator={"model": "reader"})
    made["models"]["reader"] = voice(stage, "reader")
    status = (await ask(load_council(made), "And which one?"))["status"]
    assert status.verdict.options[0].members == ("Ada", "Boris")
    assert status.verdict.options[1].answer is None


async def test_a_conversation_that_ends_with_an_answer_is_refused(stage: Stage) -> None:
    seat(stage)
    asked = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because"}]
    with pytest.raises(InputError, match="cannot continue it"):
        await compile_council(desk(stage)).ainvoke({"messages": asked})
    assert not stage.calls
