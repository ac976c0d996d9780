"""A run waits for people, whether or not a tab is open, and goes on with what they said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from langchain_core.messages import HumanMessage
from streamlit.testing.v1 import AppTest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.people import PersonRequest
from mom_council.tests.graph.desk import proposals, said, seat, speaking, voting, written
from mom_council.tests.stage import Reply, Stage
from mom_council.ui import session
from mom_council.ui.jobs import Job
from mom_council.ui.session import PageState

NAMES = ("Ada", "Boris", "Clara")
ASKED = [HumanMessage("What is the best pet?", id="q1")]
CALLS = Reply(
    None, tool_calls=[{"name": "calculator", "args": {"expression": "6 * 7"}, "id": "c1"}]
)


def with_a_person(stage: Stage, seconds: float = 60) -> Council:
    made = written(stage, NAMES)
    made["models"]["clara"] = {"provider": "human", "model": "Ms K.", "timeout": seconds}
    return load_council(made)


def with_a_tool(stage: Stage) -> Council:
    made = written(stage, NAMES, deliberation={"method": "none"})
    made["tools"] = {"calculator": {"bundled": "calculator", "approve": True}}
    made["characters"][0]["tools"] = ["calculator"]
    return load_council(made)


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def asked(job: Job) -> PersonRequest:
    until(lambda: bool(job.asks) or not job.running)
    assert job.running, job.error
    [one] = job.asks
    return one


def ended(job: Job) -> Job:
    until(lambda: not job.running)
    return job


def test_a_person_is_asked_to_speak_and_to_vote_and_is_heard(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    job = state.jobs.ask("t", with_a_person(stage), ASKED)
    first = asked(job)
    assert (first.name, first.votes) == ("Ms K.", False)
    assert "What is the best pet?" in first.prompt
    assert state.jobs.tell("t", first.id, "A parrot, by far.")
    assert not state.jobs.tell("t", first.id, "No, a cat.")
    second = asked(job)
    assert second.votes
    state.jobs.tell("t", second.id, "A")
    while asking := [one for one in job.asks if one.id != second.id]:  # a further round, if any
        state.jobs.tell("t", asking[0].id, "")
    until(lambda: not job.running or bool(job.asks))
    for one in job.asks:
        state.jobs.tell("t", one.id, "")
    view = ended(job).view()
    assert (job.state, job.error) == ("answered", None)
    assert view.rounds[0].seats[1, "Clara"].text == "A parrot, by far."
    ballots = voting(stage.calls)
    assert any("A parrot, by far." in said(call.body) for call in ballots)
    assert len(speaking(stage.calls_to("ada"))) == len(view.rounds), "nobody was asked twice"


def test_who_says_nothing_in_time_is_absent_without_anybody_looking(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    job = ended(state.jobs.ask("t", with_a_person(stage, seconds=0.2), ASKED))
    assert (job.state, job.error) == ("answered", None)
    status = job.view().status
    assert status is not None
    assert "Clara" in {one.character for one in status.absent}


def test_a_tool_waits_for_leave_and_is_called_as_it_was_allowed(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    stage.model("ada", reply=[CALLS, "It is 12."])
    job = state.jobs.ask("t", with_a_tool(stage), ASKED)
    ask = asked(job)
    assert (ask.name, ask.kind) == ("Ada", "approve")
    [call] = ask.calls
    assert (call["tool"], call["arguments"]) == ("calculator", {"expression": "6 * 7"})
    state.jobs.tell("t", ask.id, {call["id"]: {"arguments": {"expression": "3 * 4"}}})
    assert (ended(job).state, job.error) == ("answered", None)
    seated = job.view().rounds[0].seats[1, "Ada"]
    [returned] = seated.calls.values()
    assert returned is not None
    assert returned.text.endswith("12")
    assert seated.text == "It is 12."
    assert len(stage.calls_to("ada")) == 2, "the call before the leave is not made again"


def test_a_stop_while_a_tool_waits_asks_for_the_same_leave_on_resume(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    stage.model("ada", reply=[CALLS, "I cannot say."])
    council = with_a_tool(stage)
    first = state.jobs.ask("t", council, ASKED)
    asked(first)
    assert state.jobs.stop("t")
    assert (first.state, first.asks) == ("stopped", ())
    job = state.jobs.resume("t", council)
    state.jobs.tell("t", asked(job).id, False)
    assert ended(job).state == "answered"
    assert len(stage.calls_to("ada")) == 2
    assert len(proposals(stage.calls_to("pen")[0].body)) == 3


def with_two_callers(stage: Stage) -> Council:
    """Ada calls the calculator twice, and Boris once."""
    again = Reply(None, tool_calls=[{**CALLS.tool_calls[0], "id": "c2"}])
    stage.model("ada", reply=[CALLS, again, "It is 42."])
    stage.model("boris", reply=[CALLS, "It is 42 too."])
    made = written(stage, NAMES, deliberation={"method": "none"})
    made["tools"] = {"calculator": {"bundled": "calculator", "approve": True}}
    for one in made["characters"][:2]:
        one["tools"] = ["calculator"]
    return load_council(made)


def test_a_tool_that_is_allowed_for_the_question_is_not_asked_about_again(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    council = with_two_callers(stage)
    job = state.jobs.ask("t", council, ASKED)
    until(lambda: len(job.asks) == 2 or not job.running)
    first = next(one for one in job.asks if one.name == "Ada")
    state.jobs.tell("t", first.id, True, ["calculator"])
    assert (ended(job).state, job.error) == ("answered", None)
    seats = job.view().rounds[0].seats
    results = [one.text for name in ("Ada", "Boris") for one in seats[1, name].calls.values()]
    assert [text.splitlines()[-1] for text in results] == ["42", "42", "42"]


def test_the_next_question_asks_about_the_tool_again(state: PageState, stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[CALLS, "It is 42.", CALLS, "It is 42."])
    council = with_a_tool(stage)
    job = state.jobs.ask("t", council, ASKED)
    state.jobs.tell("t", asked(job).id, True, ["calculator"])
    assert ended(job).state == "answered"
    job = state.jobs.ask("t", council, [HumanMessage("And now?", id="q2")])
    state.jobs.tell("t", asked(job).id, False)
    assert ended(job).state == "answered"


def test_a_tool_allowed_for_the_question_allows_no_other(state: PageState, stage: Stage) -> None:
    seat(stage)
    clock = Reply(None, tool_calls=[{"name": "clock", "args": {}, "id": "c2"}])
    stage.model("ada", reply=[CALLS, clock, "It is 42."])
    made = written(stage, NAMES, deliberation={"method": "none"})
    made["tools"] = {
        "calculator": {"bundled": "calculator", "approve": True},
        "clock": {"bundled": "clock", "approve": True},
    }
    made["characters"][0]["tools"] = ["calculator", "clock"]
    job = state.jobs.ask("t", load_council(made), ASKED)
    first = asked(job)
    state.jobs.tell("t", first.id, True, ["calculator"])
    until(lambda: bool(job.asks) and job.asks[0].id != first.id)
    assert [call["tool"] for call in job.asks[0].calls] == ["clock"]
    state.jobs.tell("t", job.asks[0].id, False)
    assert ended(job).state == "answered"


# The forms ---------------------------------------------------------------------------------------


def begun(chat: Callable[..., AppTest], council: Council) -> Job:
    chat(council)
    state = session.page_state()
    state.store.put("t", reader="0" * session.LENGTH, title="asked", council="")
    return state.jobs.ask("t", council, ASKED)


def press(page: AppTest, label: str) -> None:
    next(one for one in page.button if one.label == label).click().run()
    assert not page.exception


def test_the_form_gives_leave_with_other_arguments(chat: Any, stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[CALLS, "It is 12."])
    council = with_a_tool(stage)
    job = begun(chat, council)
    asked(job)
    page = chat(council, "t")
    [field] = [one for one in page.text_area if one.label == "With these arguments"]
    assert "6 * 7" in field.value
    field.set_value("[1]")
    press(page, "Allow once")
    assert "a JSON object" in page.error[0].value
    assert job.asks, "what is no object allows nothing"
    [field] = [one for one in page.text_area if one.label == "With these arguments"]
    field.set_value('{"expression": "3 * 4"}')
    press(page, "Allow once")
    assert ended(job).state == "answered"
    [returned] = job.view().rounds[0].seats[1, "Ada"].calls.values()
    assert returned.text.endswith("12")


def test_the_form_allows_a_tool_for_the_whole_question(chat: Any, stage: Stage) -> None:
    seat(stage)
    council = with_two_callers(stage)
    job = begun(chat, council)
    until(lambda: len(job.asks) == 2)
    page = chat(council, "t")
    press(page, "Allow for this question")
    assert (ended(job).state, job.error) == ("answered", None)


def test_the_form_lets_a_person_speak_and_hostile_prompts_stay_text(
    chat: Any, stage: Stage
) -> None:
    seat(stage)
    council = with_a_person(stage)
    job = begun(chat, council)
    asked(job)
    page = chat(council, "t")
    assert any("Ms K." in one.value.replace("\\", "") for one in page.markdown)
    [field] = [one for one in page.text_area if one.label == "Your answer"]
    field.set_value("A parrot.")
    press(page, "Send")
    until(lambda: job.view().rounds[0].seats[1, "Clara"].text == "A parrot.")
    session.page_state().jobs.stop("t")
