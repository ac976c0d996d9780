"""What the council's panel shows: one line for each member, the votes, where the answers differ."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from mom_council.councils.loader import load_council
from mom_council.deliberation.events import (
    Counted,
    Finished,
    ModelAsked,
    Seated,
    Speaker,
    TextSpoken,
    Voted,
)
from mom_council.records import Ballot, Option, Segment, Verdict
from mom_council.runs.follow import RunView
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.stage import Stage
from mom_council.tests.ui.test_chat_page import begun, ended
from mom_council.ui.panel_rows import find_member, panel_data

Chat = Callable[..., AppTest]
REPLICA = "A replica takes a third of the load today.\n\nAnswer: replica"
TUNE = "Tune the slow queries before anything else.\n\nAnswer: tune"


def spoken(view: RunView, name: str, text: str, number: int, *, done: bool = True) -> None:
    who = Speaker(node="character", name=name, round=number, layer=1)
    view.take(ModelAsked(speaker=who, model="m"))
    view.take(TextSpoken(speaker=who, text=text))
    if done:
        view.take(Finished(speaker=who, segment=Segment(node="character", name=name, model="m")))


def counted(number: int, **answers: str) -> Counted:
    options = tuple(
        Option(answer=answer, members=tuple(n for n in answers if answers[n] == answer), share=0.5)
        for answer in dict.fromkeys(answers.values())
    )
    leader = next(iter(answers))
    verdict = Verdict(method="answers", round=number, options=options, leader=leader, share=0.5)
    return Counted(verdict=verdict, why="half of them chose it")


def a_run() -> RunView:
    view = RunView()
    for number, boris in ((1, REPLICA), (2, TUNE)):
        names = ("Ada", "Boris", "Clara")
        view.take(Seated(round=number, rounds=2, layer=1, layers=1, seated=names))
        spoken(view, "Ada", TUNE, number)
        spoken(view, "Boris", boris, number)
        spoken(view, "Clara", REPLICA, number)
        second = "replica" if boris == REPLICA else "tune"
        view.take(counted(number, Ada="tune", Boris=second, Clara="replica"))
    return view


def titles(data: dict[str, object]) -> dict[str, list[str]]:
    folds = data["folds"]
    assert isinstance(folds, list)
    return {fold["title"]: [item["text"] for item in fold["items"]] for fold in folds}


def test_a_member_who_speaks_shows_its_last_words_and_one_who_is_done_its_first() -> None:
    view = RunView()
    view.take(Seated(round=1, rounds=1, layer=1, layers=1, seated=("Ada", "Boris")))
    long = " ".join(f"word{number}" for number in range(300))
    spoken(view, "Ada", long, 1, done=False)
    spoken(view, "Boris", f"# My view\n{long}", 1)
    [[ada, boris]] = [
        one["members"] for one in panel_data(view, None, live=True, opens=True)["rounds"]
    ]
    assert (ada["tail"], boris["tail"]) == (True, False)
    assert ada["words"].endswith("word299")
    assert boris["words"].startswith("word0 ")
    found = find_member(view, boris["key"])
    assert found is not None
    assert found.text.endswith("word299"), "a click opens the whole answer"


def test_a_face_keeps_its_colour_in_every_round_and_list() -> None:
    data = panel_data(a_run(), None, live=False, opens=True)
    colours = {
        one["colour"]
        for part in data["rounds"]
        for one in part["members"]
        if one["name"] == "Clara"
    }
    lists = [item for fold in data["folds"] for item in fold["items"]]
    faces = [one for item in lists for one in item["faces"] if one["name"] == "Clara"]
    assert colours == {2}
    assert {one["colour"] for one in faces} <= colours


def test_the_end_says_who_changed_their_mind_and_where_they_disagree() -> None:
    told = titles(panel_data(a_run(), None, live=False, opens=True))
    assert told["Who changed their mind (1)"] == ["Boris went from “replica” to “tune” in round 2"]
    assert any(
        "Clara" in text and "replica" in text for text in told["They contradict each other (1)"]
    )
    assert told["Several of them say (1)"] == ["Tune the slow queries before anything else."]
    assert not panel_data(a_run(), None, live=True, opens=True)["folds"]


def test_a_ballot_stands_with_its_whole_reason() -> None:
    view = a_run()
    reason = "because " * 200
    view.take(Voted(ballot=Ballot(voter="Ada", round=2, choice="Boris", reason=reason)))
    [fold] = panel_data(view, None, live=False, opens=True)["rounds"][-1]["folds"]
    assert fold["title"] == "Ballots (1)"
    assert fold["items"][0]["text"] == f"Ada → Boris. {reason.strip()}"


def test_signs_that_turn_a_line_round_are_not_sent_to_the_browser() -> None:
    view = RunView()
    view.take(Seated(round=1, rounds=1, layer=1, layers=1, seated=("Ada",)))
    spoken(view, "Ada", "\u202etxet\x00 <b>text</b> \u2066here", 1)
    told = json.dumps(panel_data(view, None, live=False, opens=True), ensure_ascii=False)
    assert not {"\u202e", "\u2066", "\x00"} & set(told)


@pytest.mark.slow
def test_what_the_page_sends_of_a_run_does_not_grow_with_the_answers(
    chat: Chat, stage: Stage
) -> None:
    sizes = []
    for words in (300, 30_000):
        seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "word " * words))
        council = desk(stage)
        thread = f"t{words}"
        chat(council)
        job = begun(council, thread)
        ended(job)
        sizes.append(len(json.dumps(panel_data(job.view(), council, live=True, opens=True))))
    assert abs(sizes[0] - sizes[1]) < 100


def test_an_option_without_an_answer_of_its_own_is_called_by_its_members() -> None:
    view = a_run()
    options = (Option(answer=None, members=("Ada", "Boris"), share=1.0),)
    verdict = Verdict(method="plurality", options=options, leader="Ada", share=1.0)
    view.rounds[-1].counted = Counted(verdict=verdict, why="all")
    [option] = panel_data(view, None, live=False, opens=True)["rounds"][-1]["options"]
    assert option["answer"] == "Ada, Boris"


def test_a_person_has_not_answered_yet_and_is_no_model_without_a_word() -> None:
    models = {
        "me": {"provider": "human", "model": "Ms K."},
        "it": {"provider": "ollama", "model": "qwen3:8b"},
    }
    characters = [{"name": "Ms K.", "model": "me"}, {"name": "Ada", "model": "it"}]
    council = load_council(
        {
            "name": "desk",
            "models": models,
            "characters": characters,
            "synthesizer": {"model": "it"},
        }
    )
    view = RunView()
    view.take(Seated(round=1, rounds=1, layer=1, layers=1, seated=("Ms K.", "Ada")))
    for name in ("Ms K.", "Ada"):
        who = Speaker(node="character", name=name, round=1, layer=1)
        view.take(ModelAsked(speaker=who, model="m"))
    [[person, model]] = [
        one["members"] for one in panel_data(view, council, live=True, opens=True)["rounds"]
    ]
    assert person["words"] == "is waited for"
    assert model["words"] == "Waiting for the first word …"
