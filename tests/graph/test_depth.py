"""How much of the council a question takes, where the annotator may say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mom_council.councils.schema import Council
from mom_council.errors import CouncilError
from mom_council.tests.graph.desk import ALL, ask, desk, said, seat, speaking, voice, voting
from mom_council.tests.stage import Call, Fault, Stage

FIVE = ALL[:5]


def council(stage: Stage, **changes: Any) -> Council:
    """Five characters, the last of them in a layer above, and an annotator that judges depth."""
    keys = [*(name.lower() for name in FIVE), "pen", "reader"]
    rules = {
        "depth": "annotator",
        "threshold": 1.0,
        "rounds": {"min": 1, "max": 3},
        **changes.pop("deliberation", {}),
    }
    layout: dict[str, Any] = {"layers": [[*FIVE[:4]], [FIVE[4]]], **changes}
    return desk(
        stage,
        FIVE,
        models={key: voice(stage, key) for key in keys},
        annotator={"model": "reader"},
        deliberation=rules,
        **layout,
    )


def reads(stage: Stage, depth: object) -> None:
    seat(stage, FIVE)
    stage.model("reader", reply=json.dumps({"restated": "", "kind": "open", "depth": depth}))


def members(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.model not in ("pen", "reader")]


async def test_alone_the_first_answers_and_nobody_votes(stage: Stage) -> None:
    reads(stage, "solo")
    status = (await ask(council(stage, deliberation={"minimum": 2, "rounds": {"min": 2}})))[
        "status"
    ]
    assert [call.model for call in stage.calls] == ["reader", "ada", "pen"]
    assert (status.spoke, status.stop_reason, status.rounds) == (("Ada",), "single", 1)


@pytest.mark.parametrize("fails", [{"always": Fault.status(500)}, {"reply": ""}])
async def test_where_the_first_fails_the_next_in_line_answers_alone(
    stage: Stage, fails: dict[str, Any]
) -> None:
    reads(stage, "solo")
    stage.model("ada", **fails)
    status = (await ask(council(stage)))["status"]
    assert [call.model for call in stage.calls] == ["reader", "ada", "boris", "pen"]
    assert (status.spoke, status.degraded) == (("Boris",), True)


async def test_a_small_council_is_the_first_three_of_the_first_layer(stage: Stage) -> None:
    reads(stage, "small")
    status = (await ask(council(stage, deliberation={"rounds": {"max": 1}})))["status"]
    assert status.spoke == FIVE[:3]
    assert len(speaking(members(stage.calls))) == 3
    assert len(voting(stage.calls)) == 3


@pytest.mark.parametrize("depth", ["full", "shallow", None, 3, ["solo"]])
async def test_the_council_sits_as_it_is_written_unless_another_depth_is_read(
    stage: Stage, depth: object
) -> None:
    reads(stage, depth)
    status = (await ask(council(stage, deliberation={"rounds": {"max": 1}})))["status"]
    assert status.spoke == FIVE
    assert len(speaking(members(stage.calls))) == 5


@pytest.mark.parametrize(("most", "rounds"), [(1, 1), (2, 2), (3, 2)])
async def test_deep_means_two_rounds_though_all_agree_at_once(
    stage: Stage, most: int, rounds: int
) -> None:
    reads(stage, "deep")
    for name in FIVE:
        stage.model(name.lower(), reply="Answer: 42")
    status = (await ask(council(stage, deliberation={"rounds": {"max": most}})))["status"]
    assert status.rounds == rounds
    assert len(members(stage.calls)) == 5 * rounds


async def test_without_the_switch_depth_is_neither_asked_for_nor_heeded(stage: Stage) -> None:
    reads(stage, "solo")
    changes: dict[str, Any] = {"depth": "full", "rounds": {"max": 1}}
    status = (await ask(council(stage, deliberation=changes)))["status"]
    assert status.spoke == FIVE
    (asked,) = stage.calls_to("reader")
    assert "depth" not in said(asked.body)
    assert "depth" not in json.dumps(asked.body)


async def test_with_the_switch_the_annotator_is_asked_for_it(stage: Stage) -> None:
    reads(stage, "solo")
    await ask(council(stage))
    assert '"depth": "full"}' in said(stage.calls_to("reader")[0].body)


async def test_an_annotator_that_fails_leaves_the_council_as_it_is(stage: Stage) -> None:
    reads(stage, "solo")
    stage.model("reader", always=Fault.status(500))
    status = (await ask(council(stage, deliberation={"rounds": {"max": 1}})))["status"]
    assert status.spoke == FIVE


def test_depth_needs_an_annotator(stage: Stage) -> None:
    with pytest.raises(CouncilError, match=r"deliberation\.depth: needs one: `annotator"):
        desk(stage, deliberation={"depth": "annotator"})
