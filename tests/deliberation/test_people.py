"""A person in a seat: asked through an interrupt, absent or abstaining when nothing is said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from mom_council.councils.loader import load_council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.people import PersonRequest, attend, read_reply, requests_in
from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.follow import resume
from mom_council.tests.graph.desk import (
    ask,
    candidates,
    proposals,
    question,
    seat,
    speaking,
    voting,
    written,
)
from mom_council.tests.stage import Stage

THREAD: Any = {"configurable": {"thread_id": "t"}}
THERE = CouncilContext(people=True)
SEATS = ("Ada", "Boris", "Clara")


def with_a_person(stage: Stage, name: str = "Clara", seconds: float = 60, **changes: Any) -> Any:
    """A council in which one of three is a person."""
    made = written(stage, SEATS, **changes)
    made["models"][name.lower()] = {"provider": "human", "model": "Ms K.", "timeout": seconds}
    return load_council(made)


def says(*texts: Any) -> Any:
    """Somebody who says one thing after another; `asked` is what they were asked."""
    left, asked = list(texts), []

    async def answer(wanted: PersonRequest) -> Any:
        asked.append(wanted)
        return left.pop(0)

    answer.asked = asked  # type: ignore[attr-defined]
    return answer


async def test_a_person_speaks_and_votes_and_no_finished_call_is_made_again(stage: Stage) -> None:
    seat(stage, likes="my cat")
    graph = compile_council(with_a_person(stage), InMemorySaver())
    person = says("I say: my cat.", "A")
    result = await attend(graph, question(), THREAD, person)
    status = result["status"]
    assert status.spoke == SEATS
    assert (status.absent, status.degraded) == ((), False)
    assert "I say: my cat." in proposals(stage.calls_to("pen")[0].body)
    assert status.verdict.leader == "Clara"
    assert status.verdict.ballots == 3
    for name in ("ada", "boris"):
        assert len(speaking(stage.calls_to(name))) == 1
        assert len(voting(stage.calls_to(name))) == 1
    assert not stage.calls_to("clara")
    first, second = person.asked
    assert (first.name, first.speaker.node, first.seconds) == ("Ms K.", "character", 60)
    assert "What is the best pet?" in first.prompt
    assert second.speaker.node == "vote"
    shown = candidates({"messages": [{"role": "user", "content": second.prompt}]})
    assert len(shown) == 2
    assert "my cat" not in str(shown)
    ballots = (await graph.aget_state(THREAD)).values["ballots"]
    [own] = [ballot for ballot in ballots if ballot.voter == "Clara"]
    assert own.choice in ("Ada", "Boris")
    assert status.usage.calls == len(stage.calls)


@pytest.mark.parametrize("said", [None, "", "  ", {}, 42])
async def test_who_says_nothing_is_absent_and_the_council_goes_on(stage: Stage, said: Any) -> None:
    seat(stage)
    graph = compile_council(with_a_person(stage), InMemorySaver())
    status = (await attend(graph, question(), THREAD, says(said)))["status"]
    assert status.spoke == ("Ada", "Boris")
    [absence] = status.absent
    assert (absence.character, absence.reason) == ("Clara", "timeout")
    assert absence.detail == "'Ms K.' said nothing in 60 s"
    assert status.degraded


async def test_who_takes_too_long_is_not_waited_for(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(with_a_person(stage, seconds=0.2), InMemorySaver())

    async def thinking(_: PersonRequest) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    status = (await attend(graph, question(), THREAD, thinking))["status"]
    assert status.absent[0].detail == "'Ms K.' said nothing in 0.2 s"


@pytest.mark.parametrize("said", [None, "I abstain.", "hm, hard to say"])
async def test_a_vote_that_says_nothing_is_an_abstention(stage: Stage, said: Any) -> None:
    seat(stage)
    graph = compile_council(with_a_person(stage), InMemorySaver())
    status = (await attend(graph, question(), THREAD, says("A cat.", said)))["status"]
    assert status.absent == ()
    assert (status.verdict.ballots, status.verdict.abstained) == (2, 1)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("borda", "B > A"),
        ("ranked_pairs", {"ranking": ["B", "A"]}),
        ("approval", "B"),
        ("score", "A: 2, B: 9"),
        ("plurality", {"vote": "B"}),
        ("plurality", {"text": "B"}),
    ],
)
async def test_people_vote_in_their_own_words_by_every_method(
    stage: Stage, method: str, said: Any
) -> None:
    seat(stage)
    council = with_a_person(stage, deliberation={"method": method})
    graph = compile_council(council, InMemorySaver())
    person = says("A cat.", said)
    await attend(graph, question(), THREAD, person)
    ballots = (await graph.aget_state(THREAD)).values["ballots"]
    [own] = [ballot for ballot in ballots if ballot.voter == "Clara"]
    liked = own.shown[1]
    assert liked in (own.choice, *own.ranking[:1], *own.approved, _best(own.scores))


def _best(scores: Mapping[str, float]) -> str | None:
    return max(scores, key=lambda name: scores[name]) if scores else None


async def test_nobody_there_is_an_absence_at_once(stage: Stage) -> None:
    seat(stage)
    council = with_a_person(stage)
    without = await ask(council, context=THERE)  # no checkpointer: nothing could be resumed
    graph = compile_council(council, InMemorySaver())
    unsaid = await graph.ainvoke(question(), THREAD)
    for result in (without, unsaid):
        [absence] = result["status"].absent
        assert absence.reason == "failed"
        assert "nobody is there to be asked" in absence.detail
        assert result["messages"][-1].text == "What the council says."


async def test_a_question_that_waits_can_be_left_to_the_others(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    async with open_checkpointer(str(tmp_path / "threads.db")) as saver:
        graph = compile_council(with_a_person(stage), saver)
        held = await graph.ainvoke(question(), THREAD, context=THERE)
        [wanted] = requests_in(held["__interrupt__"])
        assert wanted.name == "Ms K."
        calls = len(stage.calls)
        again = await graph.ainvoke(None, THREAD, context=THERE)
        assert requests_in(again["__interrupt__"])
        assert len(stage.calls) == calls
        result = await resume(graph, THREAD)  # nobody is there any more
        assert result["status"].spoke == ("Ada", "Boris")
        assert len(speaking(stage.calls_to("ada"))) == 1


async def test_two_people_are_asked_at_once(stage: Stage) -> None:
    seat(stage)
    made = written(stage, SEATS)
    for name in ("boris", "clara"):
        made["models"][name] = {"provider": "human", "model": name, "timeout": 60}
    graph = compile_council(load_council(made), InMemorySaver())
    both = asyncio.Barrier(2)

    async def answer(wanted: PersonRequest) -> str:
        async with asyncio.timeout(30):
            await both.wait()
        return f"{wanted.name} says so." if wanted.speaker.node == "character" else "A"

    status = (await attend(graph, question(), THREAD, answer))["status"]
    assert status.spoke == SEATS
    shown = proposals(stage.calls_to("pen")[0].body)
    assert {"boris says so.", "clara says so."} < set(shown)


async def test_a_person_in_a_council_in_a_parent_is_asked_through_the_parent(stage: Stage) -> None:
    seat(stage)

    parent: Any = StateGraph(MessagesState, context_schema=dict)
    parent.add_node("council", compile_council(with_a_person(stage)))
    parent.add_edge(START, "council")
    graph = parent.compile(InMemorySaver())
    context = {"council_context": THERE}
    result = await attend(graph, question(), THREAD, says("A cat.", "A"), context=context)
    assert result["messages"][-1].text == "What the council says."
    assert len(result["messages"]) == 2
    assert len(speaking(stage.calls_to("ada"))) == 1


def test_a_synchronous_caller_resumes_it_too(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(with_a_person(stage), InMemorySaver())
    result = graph.invoke(question(), THREAD, context=THERE)
    for said in ("A cat.", "A"):
        [wanted] = requests_in(result["__interrupt__"])
        result = graph.invoke(Command(resume={wanted.id: said}), THREAD, context=THERE)
    assert result["status"].spoke == SEATS


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"synthesizer": {"model": "clara"}}, "synthesizer.model: .*is a person"),
        ({"annotator": {"model": "clara"}}, "annotator.model: .*is a person"),
    ],
)
def test_a_person_sits_in_a_seat_and_nowhere_else(
    stage: Stage, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(CouncilError, match=why):
        with_a_person(stage, **changes)
    made = written(stage, SEATS)
    made["models"]["clara"] = {"provider": "human", "model": "K.", "fallbacks": ["ada"]}
    made["models"]["ada"]["fallbacks"] = ["clara"]
    with pytest.raises(CouncilError, match="absent or abstains") as refused:
        load_council(made)
    assert "models.ada.fallbacks[0]" in str(refused.value)


def test_what_is_said_may_come_in_several_forms() -> None:
    assert read_reply(" yes ") == "yes"
    assert read_reply({"text": " yes "}) == "yes"
    assert read_reply({"vote": "A"}) == '{"vote": "A"}'
    assert read_reply({"text": 3}) == ""
    assert read_reply([1]) == ""


@pytest.mark.parametrize(
    ("until_in", "left"),
    [
        (40.0, 40.0),  # asked again by another program, twenty seconds later
        (-1.0, 60.0),  # it passed while nobody could be asked
        (-86_400.0, 60.0),  # the clock was set a day ahead
        (86_400.0, 60.0),  # ... or a day back
    ],
)
def test_a_deadline_survives_a_restart_and_a_clock_that_is_set_takes_no_time_away(
    until_in: float, left: float
) -> None:
    from mom_council.deliberation.context import steady_time
    from mom_council.deliberation.people import PersonRequest, seconds_left

    request = PersonRequest(id="1", kind="person", seconds=60.0, until=steady_time() + until_in)
    seen = seconds_left(request)
    assert seen is not None
    assert left - 5 < seen <= left
    assert seconds_left(PersonRequest(id="1", kind="approve")) is None


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_a_day_neither_ends_a_question_nor_tells_negative_seconds(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock is set while the question runs, and before another program goes on with it."""
    import time

    from mom_council.councils.loader import load_council
    from mom_council.deliberation.context import CouncilContext, steady_time
    from mom_council.deliberation.selectors import remaining_seconds

    demo = load_council("demo")
    council = demo.model_copy(update={"budget": demo.budget.model_copy(update={"seconds": 100.0})})
    state: Any = {"asked_at": steady_time()}
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    left = remaining_seconds(state, council, CouncilContext())
    assert left is not None
    assert 95 < left <= 100
    # Another program has the jumped clock from its beginning; it was resumed just now.
    state = {"asked_at": steady_time() - jump}
    left = remaining_seconds(state, council, CouncilContext(resumed_at=steady_time()))
    assert left is not None
    assert 95 < left <= 100
