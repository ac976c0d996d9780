"""A council's thread at every checkpoint: forked, edited, replayed, and gone on with.

Each cell looks at the log of requests: the right answer, and no finished call made again.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Overwrite

from mom_council.errors import InputError
from mom_council.extensions import Extension
from mom_council.graph.council import compile_council
from mom_council.records import Proposal
from mom_council.tests.graph.desk import desk, proposals, question, said, seat, speaking, voting
from mom_council.tests.stage import Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}
TWO_ROUNDS = {"method": "borda", "rounds": {"min": 2, "max": 2}}
ANSWERS = {"Ada": "A cat.", "Boris": "A dog.", "Clara": "A bird."}


async def asked(stage: Stage, **rules: Any) -> tuple[Any, list[Any]]:
    """A council that has answered, and every checkpoint of it, the first one first."""
    seat(stage, ANSWERS, likes="cat")
    graph = compile_council(desk(stage, deliberation={**TWO_ROUNDS, **rules}), InMemorySaver())
    await graph.ainvoke(question(), CONFIG)
    history = [one async for one in graph.aget_state_history(CONFIG)]
    stage.clear()
    return graph, history[::-1]


def left_to_ask(snapshot: Any) -> Counter[str]:
    """The calls that a question still needs from a checkpoint on."""
    spoken = Counter(p.character.lower() for p in snapshot.values.get("proposals", []))
    voted = Counter(b.voter.lower() for b in snapshot.values.get("ballots", []))
    whole = Counter(dict.fromkeys(("ada", "boris", "clara"), 4))
    return whole - spoken - voted + Counter({"pen": 1 if snapshot.next else 0})


@pytest.mark.parametrize("named", [False, True])
async def test_every_checkpoint_can_be_forked_with_an_edit_and_gone_on_from(
    stage: Stage, *, named: bool
) -> None:
    graph, history = await asked(stage)
    assert len(history) == 14
    for before, snapshot in list(pairwise(history))[::2] if named else pairwise(history[:-1]):
        stage.clear()
        if before.next == ("__start__",):
            continue
        as_node = before.next[0] if named else None
        fork = await graph.aupdate_state(snapshot.config, {"comparison": "So."}, as_node)
        assert (await graph.aget_state(fork)).next == snapshot.next
        result = await graph.ainvoke(None, fork)
        assert result["messages"][-1].text == "What the council says."
        assert result["status"].rounds == 2
        assert Counter(call.model for call in stage.calls) == left_to_ask(snapshot)


@pytest.mark.parametrize("waits_at", ["annotator", "thermal_wait"])
async def test_a_thread_that_waits_at_a_node_which_is_now_passed_by_goes_on(
    stage: Stage, waits_at: str
) -> None:
    class Watches(Extension):
        nodes = ("quorum",)

    seat(stage, ANSWERS, likes="cat")
    saver = InMemorySaver()
    named = [{"use": "watches"}]  # with an extension every node is a step, as it was in 0.1
    older = compile_council(desk(stage, extensions=named), saver, {"watches": Watches})
    await older.ainvoke(question(), CONFIG, interrupt_before=[waits_at])
    assert (await older.aget_state(CONFIG)).next == (waits_at,)
    result = await compile_council(desk(stage), saver).ainvoke(None, CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert Counter(call.model for call in stage.calls) == Counter(
        {"ada": 2, "boris": 2, "clara": 2, "pen": 1}
    )


def test_nodes_that_have_nothing_to_do_are_drawn_all_the_same(stage: Stage) -> None:
    drawn = compile_council(desk(stage)).get_graph()
    arrows = {(one.source, one.target) for one in drawn.edges}
    chain = ["classifier", "annotator", "seating", "thermal_wait", "Ada", "quorum", "thermal_wait"]
    assert set(pairwise(chain)) <= arrows
    assert not {("classifier", "seating"), ("seating", "Ada"), ("quorum", "Ada votes")} & arrows


async def test_every_checkpoint_can_be_replayed(stage: Stage) -> None:
    graph, history = await asked(stage)
    for snapshot in history[:-1]:
        stage.clear()
        result = await graph.ainvoke(None, snapshot.config)
        assert result["messages"][-1].text == "What the council says."
        assert Counter(call.model for call in stage.calls) == left_to_ask(snapshot)


@pytest.mark.parametrize("plain", [True, False])
async def test_an_edited_proposal_takes_the_place_of_the_one_that_was_there(
    stage: Stage, *, plain: bool
) -> None:
    graph, history = await asked(stage, rounds={"min": 1, "max": 1})
    snapshot = next(one for one in history if one.next == ("quorum",))
    edited = Proposal(character="Boris", text="A hamster.")
    value: Any = edited.model_dump(mode="json") if plain else edited
    fork = await graph.aupdate_state(snapshot.config, {"proposals": [value]})
    assert len((await graph.aget_state(fork)).values["proposals"]) == 3
    await graph.ainvoke(None, fork)
    assert sorted(proposals(stage.calls_to("pen")[0].body)) == ["A bird.", "A cat.", "A hamster."]
    assert len(voting(stage.calls)) == 3
    assert [call.model for call in speaking(stage.calls)] == ["pen"]
    assert any("A hamster." in said(call.body) for call in voting(stage.calls_to("ada")))


async def test_an_edited_vote_is_counted_and_nobody_votes_again(stage: Stage) -> None:
    graph, history = await asked(stage, rounds={"min": 1, "max": 1})
    snapshot = next(one for one in history if one.next == ("consensus",))
    votes = [
        {"voter": "Ada", "ranking": ["Clara", "Boris"]},
        {"voter": "Boris", "ranking": ["Clara", "Ada"]},
    ]
    fork = await graph.aupdate_state(snapshot.config, {"ballots": votes})
    result = await graph.ainvoke(None, fork)
    assert result["status"].verdict.leader == "Clara"
    assert [call.model for call in stage.calls] == ["pen"]


async def test_a_whole_list_that_was_read_and_written_back_is_not_doubled(stage: Stage) -> None:
    graph, history = await asked(stage)
    for snapshot in history[2:]:
        everything = {key: value for key, value in snapshot.values.items() if key != "messages"}
        fork = await graph.aupdate_state(snapshot.config, everything)
        state = await graph.aget_state(fork)
        assert {
            key: value for key, value in state.values.items() if key != "messages"
        } == everything


@pytest.mark.parametrize("shape", ["record", "json"])
async def test_an_overwrite_replaces_the_whole_list(stage: Stage, shape: str) -> None:
    graph, history = await asked(stage)
    kept = Proposal(character="Ada", text="Alone.")
    value: Any = Overwrite([kept]) if shape == "record" else {"__overwrite__": [kept.model_dump()]}
    snapshot = next(one for one in history if one.next == ("quorum",))
    fork = await graph.aupdate_state(snapshot.config, {"proposals": value})
    assert (await graph.aget_state(fork)).values["proposals"] == [kept]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"proposals": [{"character": "Ada"}]}, "proposals[0].text"),
        ({"proposals": [{"character": "Adda", "text": "x"}]}, "did you mean 'Ada'"),
        ({"proposals": {"character": "Ada", "text": "x"}}, "proposals must be a list"),
        ({"ballots": [{"voter": "Ada", "choice": "Dora"}]}, "ballots[0].choice"),
        ({"ballots": [{"voter": "Ada", "scores": {"Clara": "much"}}]}, "ballots[0].scores.Clara"),
        ({"verdicts": [{"method": "borda", "share": 7}]}, "verdicts[0].share"),
        ({"annotation": {"kind": "odd"}}, "annotation.kind"),
        ({"seating": {"round": "one"}}, "seating.round"),
        ({"proposal": []}, "did you mean 'proposals'"),
    ],
)
async def test_an_edit_that_does_not_fit_is_refused_and_names_the_field(
    stage: Stage, edit: dict[str, Any], words: str
) -> None:
    graph, history = await asked(stage)
    before = len(history)
    with pytest.raises(InputError) as error:
        await graph.aupdate_state(history[6].config, edit)
    assert words in str(error.value)
    assert len([one async for one in graph.aget_state_history(CONFIG)]) == before


async def test_a_synchronous_caller_forks_too(stage: Stage) -> None:
    graph, history = await asked(stage)
    snapshot = next(one for one in history if one.next == ("quorum",))
    fork = graph.update_state(snapshot.config, {"proposals": [{"character": "Ada", "text": "So."}]})
    assert Proposal(character="Ada", text="So.") in graph.get_state(fork).values["proposals"]
    with pytest.raises(InputError, match=r"ballots\[0\].voter"):
        graph.update_state(snapshot.config, {"ballots": [{"voter": "Zed"}]})
