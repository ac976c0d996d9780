"""The re-vote panel: other rules over the same ballots, and one call where it is asked for."""

from __future__ import annotations

import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from streamlit.testing.v1 import AppTest

from mom_council.councils.schema import Council
from mom_council.deliberation.state import Seating
from mom_council.graph.council import compile_council
from mom_council.records import Annotation, Ballot, Proposal, Status
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.threads import read_values
from mom_council.tests.graph import desk
from mom_council.tests.stage import Fault, Stage
from mom_council.ui.pages.revote import rewrite, standing
from mom_council.voting.counting import count

NAMES = ("Ada", "Boris", "Clara")
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://far.example/y.png)"
KEY = "revote-{}:t"


def values(**more: Any) -> dict[str, Any]:
    proposals = [Proposal(character=name, text=f"The view of {name}.") for name in NAMES]
    likes = {"Ada": "Boris", "Boris": "Ada", "Clara": "Ada"}
    ballots = [Ballot(voter=voter, choice=liked) for voter, liked in likes.items()]
    verdict = count(proposals, ballots, method="plurality")
    return {
        "messages": [HumanMessage("What is the best pet?"), AIMessage("A cat.")],
        "annotation": Annotation(),
        "seating": Seating(),
        "proposals": proposals,
        "ballots": ballots,
        "absences": [],
        "segments": [],
        "verdicts": [verdict.model_copy(update={"stop_reason": "agreed"})],
        "notes": [],
        "status": Status(council="desk"),
        **more,
    }


def opened(council: Council, stood: dict[str, Any] | None = None) -> AppTest:
    def script() -> None:
        import streamlit as st

        from mom_council.ui.pages.revote import draw_revote

        draw_revote(st.session_state["values"], st.session_state["council"], key="t")

    app = AppTest.from_function(script, default_timeout=30)
    app.session_state["values"] = stood or values()
    app.session_state["council"] = council
    app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return "\n".join(one.value for one in (*app.markdown, *app.caption)).replace("\\", "")


def test_unchanged_rules_say_that_the_same_proposal_leads(stage: Stage) -> None:
    app = opened(desk.desk(stage))
    assert "The same proposal leads" in said(app)
    assert stage.calls == []


def test_another_weight_changes_the_leader_and_asks_nobody(stage: Stage) -> None:
    app = opened(desk.desk(stage))
    app.number_input(key=f"{KEY.format('weight')}:Ada").set_value(5.0).run()
    assert "Another proposal leads" in said(app)
    assert "The view of Boris." in said(app)
    assert stage.calls == []


def test_ballots_that_do_not_answer_say_so(stage: Stage) -> None:
    app = opened(desk.desk(stage))
    app.selectbox(key=KEY.format("method")).set_value("borda").run()
    assert "nobody is asked again" in said(app)
    app.selectbox(key=KEY.format("method")).set_value("none").run()
    assert "Nobody leads" in said(app)


def test_the_threshold_says_whether_that_is_agreement(stage: Stage) -> None:
    app = opened(desk.desk(stage))
    assert "without agreement" in said(app)
    app.slider(key=KEY.format("threshold")).set_value(0.5).run()
    assert "that is agreement" in said(app)


def test_a_question_without_proposals_has_nothing_to_vote_on(stage: Stage) -> None:
    app = opened(desk.desk(stage), values(proposals=[], verdicts=[]))
    assert "no proposals" in app.caption[0].value


def test_the_answer_is_written_anew_with_one_call_that_knows_the_new_count(stage: Stage) -> None:
    stage.model("ada", reply="Another answer: the view of Boris.")
    app = opened(desk.desk(stage))
    app.number_input(key=f"{KEY.format('weight')}:Ada").set_value(5.0).run()
    app.selectbox(key=KEY.format("writer")).set_value("ada").run()
    app.button(key=KEY.format("write")).click().run()
    stage.wait_for(1, 60)
    deadline = time.monotonic() + 10
    while app.session_state[KEY.format("call")].running and time.monotonic() < deadline:
        time.sleep(0.02)
    app.run()
    assert "Another answer: the view of Boris." in said(app)
    (call,) = stage.calls
    assert call.model == "ada"
    assert len(desk.proposals(call.body)) == 3
    assert "leads with 71% of the vote" in desk.said(call.body)


def test_a_synthesizer_that_fails_leaves_the_preferred_proposal_under_its_label(
    stage: Stage,
) -> None:
    stage.model("pen", faults=[Fault.status(500)] * 9)
    app = opened(desk.desk(stage))
    app.button(key=KEY.format("write")).click().run()
    deadline = time.monotonic() + 10
    while app.session_state[KEY.format("call")].running and time.monotonic() < deadline:
        time.sleep(0.02)
    app.run()
    assert "No synthesizer wrote this" in said(app)


def test_hostile_proposals_stay_inert(stage: Stage) -> None:
    stood = values()
    stood["proposals"][0] = Proposal(character="Ada", text=HOSTILE)
    stood["ballots"][0] = Ballot(voter="Ada", choice="Boris", reason=HOSTILE)
    app = opened(desk.desk(stage), stood)
    assert not any("![" in one.value for one in app.markdown)


@pytest.mark.parametrize("method", ["plurality", "borda"])
async def test_a_real_thread_can_be_counted_again(stage: Stage, method: str) -> None:
    desk.seat(stage, likes="counts")
    council = desk.desk(stage, deliberation={"method": method})
    async with open_checkpointer("memory:") as saver:
        graph = compile_council(council, saver)
        await graph.ainvoke(desk.question(), {"configurable": {"thread_id": "t"}})
        kept = await read_values(saver, "t")
    stood = standing(kept, council)
    assert stood is not None
    assert stood.verdict is not None
    assert [one.character for one in stood.proposals] == list(NAMES)
    assert len(stood.ballots) == 3
    made = await rewrite(kept, council, stood.verdict, key="pen", proposals=stood.proposals)
    assert made.text == "What the council says."
    assert made.status.usage.calls == 1


async def test_a_wall_clock_that_was_set_back_leaves_a_new_answer_its_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.seat(stage, likes="counts")
    council = desk.desk(stage, budget={"seconds": 600})
    async with open_checkpointer("memory:") as saver:
        graph = compile_council(council, saver)
        await graph.ainvoke(desk.question(), {"configurable": {"thread_id": "t"}})
        kept = await read_values(saver, "t")
    stood = standing(kept, council)
    assert stood is not None
    assert stood.verdict is not None
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    made = await rewrite(kept, council, stood.verdict, key="pen", proposals=stood.proposals)
    assert made.text == "What the council says."
    assert made.status.seconds < 600


async def test_an_earlier_question_of_a_thread_can_be_counted_again(stage: Stage) -> None:
    desk.seat(stage, likes="counts")
    council = desk.desk(stage)
    thread = {"configurable": {"thread_id": "t"}}
    async with open_checkpointer("memory:") as saver:
        graph = compile_council(council, saver)
        answers = []
        for asked in ("What is the best pet?", "What is the worst pet?", "And the largest?"):
            said_so = await graph.ainvoke(desk.question(asked), thread)
            answers.append(said_so["messages"][-1].id)
        kept = [await read_values(saver, "t", answer) for answer in answers]
        nobodys = await read_values(saver, "t", "nobody")
    asked_then = [[m.text for m in one["messages"] if m.type == "human"][-1] for one in kept]
    assert asked_then == ["What is the best pet?", "What is the worst pet?", "And the largest?"]
    for one in kept:
        stood = standing(one, council)
        assert stood is not None
        assert len(stood.ballots) == 3
        assert one["status"].verdict == stood.verdict
    assert nobodys == {}
