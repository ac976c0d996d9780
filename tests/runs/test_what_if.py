"""The what-if council: a change is gone on from, and what was said before it is not paid again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from mom_council.cli.app import run
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import InputError, StorageError
from mom_council.graph.council import compile_council
from mom_council.runs.follow import resume
from mom_council.runs.front import what_if
from mom_council.tests.graph.desk import desk, others, proposals, question, said, seat, voting
from mom_council.tests.stage import Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}
ANSWERS = {"Ada": "A cat.", "Boris": "A dog.", "Clara": "A bird."}
LIKES = {"Ada": "dog", "Boris": "cat", "Clara": "cat"}


async def answered(stage: Stage, **rules: Any) -> Any:
    """A council that has answered for the cat."""
    seat(stage, ANSWERS, LIKES)
    changes = {"method": "borda", **rules}
    graph = compile_council(desk(stage, deliberation=changes), InMemorySaver())
    result = await graph.ainvoke(question(), CONFIG)
    assert result["status"].verdict.leader == "Ada"
    stage.clear()
    return graph


def main(arguments: list[str]) -> int:
    """Call `mom`; returns its exit code."""
    with pytest.raises(SystemExit) as left:
        run(arguments)
    return int(left.value.code or 0)


def calls(stage: Stage) -> Counter[str]:
    return Counter(call.model for call in stage.calls)


async def test_another_proposal_is_voted_on_and_nobody_proposes_again(stage: Stage) -> None:
    graph = await answered(stage)
    fork = await what_if(graph, CONFIG, proposals={"Ada": "A hamster."})
    result = await resume(graph, fork)
    assert len(voting(stage.calls)) == 3
    assert calls(stage) == Counter({"ada": 1, "boris": 1, "clara": 1, "pen": 1})
    assert "A hamster." in proposals(stage.calls_to("pen")[0].body)
    assert "A cat." not in said(stage.calls_to("pen")[0].body)
    assert result["messages"][-1].text == "What the council says."
    old = (await graph.aget_state(CONFIG)).values
    assert [p.text for p in old["proposals"]] == ["A cat.", "A dog.", "A bird."]


async def test_another_vote_is_counted_and_nobody_votes_again(stage: Stage) -> None:
    graph = await answered(stage)
    fork = await what_if(graph, CONFIG, votes={"Clara": ["Boris", "Ada"], "Ada": "Boris"})
    result = await resume(graph, fork)
    assert result["status"].verdict.leader == "Boris"
    assert calls(stage) == Counter({"pen": 1})


async def test_other_weights_are_counted_and_nobody_is_asked_again(stage: Stage) -> None:
    graph = await answered(stage, method="plurality")
    result = await resume(graph, await what_if(graph, CONFIG, weights={"Ada": 9.0}))
    assert result["status"].verdict.leader == "Boris"
    assert calls(stage) == Counter({"pen": 1})


async def test_another_method_reads_the_ballots_where_they_say_what_it_counts(stage: Stage) -> None:
    graph = await answered(stage)
    result = await resume(graph, await what_if(graph, CONFIG, method="plurality"))
    assert (result["status"].verdict.method, result["status"].verdict.ballots) == ("plurality", 3)
    assert calls(stage) == Counter({"pen": 1})


async def test_another_method_asks_for_ballots_where_they_do_not(stage: Stage) -> None:
    graph = await answered(stage)
    result = await resume(graph, await what_if(graph, CONFIG, method="approval"))
    assert (result["status"].verdict.method, result["status"].verdict.ballots) == ("approval", 3)
    assert calls(stage) == Counter({"ada": 1, "boris": 1, "clara": 1, "pen": 1})
    assert len(voting(stage.calls)) == 3


async def test_a_change_in_an_earlier_layer_or_round_is_read_by_the_later_ones(
    stage: Stage,
) -> None:
    layers = [["Ada"], ["Boris", "Clara"]]
    seat(stage, ANSWERS)
    graph = compile_council(desk(stage, layers=layers), InMemorySaver())
    await graph.ainvoke(question(), CONFIG)
    stage.clear()
    await resume(graph, await what_if(graph, CONFIG, proposals={"Ada": "A hamster."}))
    assert others(stage.calls_to("boris")[0].body) == ["A hamster."]
    assert [call.model for call in voting(stage.calls)] == ["ada"]
    assert calls(stage) == Counter({"ada": 1, "boris": 1, "clara": 1, "pen": 1})


async def test_an_earlier_round_is_gone_on_from(stage: Stage) -> None:
    graph = await answered(stage, rounds={"min": 2, "max": 2})
    fork = await what_if(graph, CONFIG, weights={"Ada": 9.0}, round=1, max_rounds=1, min_rounds=1)
    result = await resume(graph, fork)
    assert result["status"].rounds == 1
    assert calls(stage) == Counter({"pen": 1})


async def test_the_same_by_langgraph_alone(stage: Stage) -> None:
    graph = await answered(stage, method="plurality")
    history = [one async for one in graph.aget_state_history(CONFIG)]
    counted = next(one for one in history if one.next == ("consensus",))
    for edit in ({"weights": {"Ada": 9.0}}, {"weights": {"Ada": 9}, "threshold": 0.9}):
        stage.clear()
        fork = await graph.aupdate_state(counted.config, {"settings": edit})
        assert (await graph.ainvoke(None, fork))["status"].verdict.leader == "Boris"
        assert calls(stage) == Counter({"pen": 1})
    weighted = CouncilContext(weights={"Ada": 9.0})
    result = await graph.ainvoke(None, counted.config, context=weighted)
    assert result["status"].verdict.leader == "Boris"


async def test_what_does_not_fit_is_refused(stage: Stage) -> None:
    graph = await answered(stage)
    for change, words in (
        ({"proposals": {"Zed": "x"}}, "'Zed' proposed nothing"),
        ({"votes": {"Clara": "Zed"}}, "no character 'Zed'"),
        ({"votes": {"Zed": "Ada"}}, "'Zed' cast no ballot"),
        ({"weights": {"Adda": 2.0}}, "did you mean 'Ada'"),
        ({"method": "bordda"}, "settings.method"),
        ({"treshold": 0.5}, "settings.treshold"),
    ):
        with pytest.raises(InputError, match=words):
            await what_if(graph, CONFIG, **change)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="no round 7"):
        await what_if(graph, CONFIG, weights={"Ada": 2.0}, round=7)
    with pytest.raises(StorageError, match="there is a thread 't' already"):
        await what_if(graph, CONFIG, weights={"Ada": 2.0}, thread="t")


def test_the_command_forks_a_thread_and_goes_on(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mom_council.councils.yaml import written as as_text

    seat(stage, ANSWERS, LIKES)
    file = tmp_path / "desk.yaml"
    file.write_text(as_text(desk(stage, deliberation={"method": "borda"})), "utf-8")
    db = ("--db", str(tmp_path / "threads.db"))
    assert main(["ask", "-q", "-c", str(file), "-t", "pets", *db, "Which pet?"]) == 0
    stage.clear()
    fork = ["threads", "fork", "pets", "--vote", "Clara=Boris>Ada", "--weight", "Ada=3"]
    assert main([*fork, "--to", "pets-2", "-q", *db]) == 0
    assert calls(stage) == Counter({"pen": 1})
    assert capsys.readouterr().out.count("What the council says.") == 2
    assert main(["threads", "list", *db]) == 0
    assert "pets-2" in capsys.readouterr().out
    assert main(["threads", "fork", "pets", *db]) == 2
    assert main(["threads", "fork", "pets", "--weight", "Ada", *db]) == 2
    assert main(["threads", "fork", "pets", "--weight", "Zed=1", *db]) == 2
