"""What a run may change, and how a parent hands it down."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from langgraph.runtime import Runtime
from pydantic import ValidationError

from mom_council.deliberation.context import CouncilContext, apply_context, context_of
from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import ask, desk, question, said, seat, voting
from mom_council.tests.stage import Fault, Stage


@dataclass
class _Parents:
    """A parent's own settings."""

    tenant: str = "x"
    council_context: Any = field(default=None)


@pytest.mark.parametrize(
    ("setting", "value", "found"),
    [
        ("threshold", 0.9, lambda c: c.deliberation.threshold),
        ("quorum", 0.4, lambda c: c.deliberation.quorum),
        ("grace", 1.5, lambda c: c.deliberation.grace),
        ("method", "score", lambda c: c.deliberation.method),
        ("shuffle", False, lambda c: c.synthesizer.shuffle),
        ("dropout", 0.3, lambda c: c.synthesizer.dropout),
        ("seed", 7, lambda c: c.seed),
        ("max_calls", 9, lambda c: c.budget.calls),
        ("max_tokens", 99, lambda c: c.budget.tokens),
        ("max_seconds", 9.5, lambda c: c.budget.seconds),
        ("max_usd", 0.5, lambda c: c.budget.usd),
        ("max_rounds", 5, lambda c: c.deliberation.rounds.max),
        ("min_rounds", 5, lambda c: c.deliberation.rounds.min),
        ("thermal_limit", 60, lambda c: c.thermal.limit),
    ],
)
def test_a_setting_is_laid_over_the_council(
    stage: Stage, setting: str, value: Any, found: Any
) -> None:
    council = desk(stage, thermal={"limit": 75, "resume": 68})
    assert found(apply_context(council, CouncilContext(**{setting: value}))) == value
    assert apply_context(council, CouncilContext()) is council


def test_one_end_of_the_rounds_moves_the_other_along(stage: Stage) -> None:
    council = desk(stage, deliberation={"rounds": {"min": 2, "max": 3}})
    least = apply_context(council, CouncilContext(max_rounds=1)).deliberation.rounds
    assert (least.min, least.max) == (1, 1)
    most = apply_context(council, CouncilContext(min_rounds=9)).deliberation.rounds
    assert (most.min, most.max) == (9, 9)


def test_a_lower_limit_of_heat_lowers_where_it_goes_on(stage: Stage) -> None:
    council = desk(stage, thermal={"limit": 75, "resume": 68})
    thermal = apply_context(council, CouncilContext(thermal_limit=50)).thermal
    assert thermal is not None
    assert thermal.resume <= 50


@pytest.mark.parametrize(
    "wrong",
    [{"max_rounds": 0}, {"threshold": 2}, {"method": "dice"}, {"nonsense": 1}, {"dropout": 1}],
)
async def test_a_wrong_setting_is_refused_before_anybody_is_asked(
    stage: Stage, wrong: dict[str, Any]
) -> None:
    seat(stage)
    with pytest.raises((ValidationError, CouncilError), match=next(iter(wrong))):
        await ask(desk(stage), context=wrong)
    assert not stage.calls


async def test_settings_may_be_a_plain_mapping(stage: Stage) -> None:
    seat(stage)
    status = (await ask(desk(stage), context={"min_rounds": 2, "max_rounds": 2}))["status"]
    assert status.rounds == 2


async def test_ballots_cannot_be_asked_of_a_graph_without_voters(stage: Stage) -> None:
    seat(stage)
    council = desk(stage, deliberation={"method": "answers"})
    with pytest.raises(CouncilError, match="needs voters"):
        await ask(council, context={"method": "borda"})
    status = (await ask(council, context={"method": "none"}))["status"]
    assert status.stop_reason == "unvoted"


async def test_a_vote_can_be_left_out_for_a_run(stage: Stage) -> None:
    seat(stage)
    await ask(desk(stage), context={"method": "none"})
    assert not voting(stage.calls)


async def test_a_lower_threshold_agrees_sooner(stage: Stage) -> None:
    seat(stage, likes="doubt")
    council = desk(stage, deliberation={"threshold": 0.99})
    assert (await ask(council))["status"].stop_reason == "rounds"
    assert (await ask(council, context={"threshold": 0.5}))["status"].stop_reason == "agreed"


async def test_a_debug_run_leaves_what_is_sent_as_it_is(stage: Stage) -> None:
    seat(stage)
    await ask(desk(stage))
    plain = [said(call.body) for call in stage.calls]
    stage.clear()
    await ask(desk(stage), context={"debug": True})
    assert sorted(said(call.body) for call in stage.calls) == sorted(plain)


async def test_a_quorum_of_this_run_lets_stragglers_go(stage: Stage) -> None:
    seat(stage)
    stage.scripts["ada"].always = Fault.hang()
    status = (await ask(desk(stage), context={"quorum": 0.6, "grace": 0}))["status"]
    assert [(a.character, a.reason) for a in status.absent] == [("Ada", "late")]


@pytest.mark.parametrize(
    "context",
    [
        CouncilContext(seed=5),
        {"council_context": {"seed": 5}},
        {"council_context": CouncilContext(seed=5)},
        _Parents(council_context={"seed": 5}),
        _Parents(council_context=CouncilContext(seed=5)),
    ],
)
def test_a_parent_hands_settings_down(context: Any) -> None:
    assert context_of(Runtime(context=context)).seed == 5


@pytest.mark.parametrize("context", [None, {}, {"seed": 5}, _Parents(), "anything"])
def test_another_graphs_context_says_nothing(context: Any) -> None:
    assert context_of(Runtime(context=context)) == CouncilContext()


def test_what_a_parent_hands_down_wrongly_is_refused() -> None:
    with pytest.raises(CouncilError, match=r"council_context.*max_rounds"):
        context_of(Runtime(context={"council_context": {"max_rounds": 99}}))


async def test_a_wall_clock_that_is_set_neither_ends_a_question_nor_changes_its_seconds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    real, started = time.time, time.time()
    stage.scripts["pen"].latency = 0.2
    # The clock jumps a day back, then a day ahead, from one look at it to the next.
    jumps = itertools.cycle((-86_400.0, 86_400.0))
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    graph = compile_council(desk(stage, budget={"seconds": 60}))
    status = (await graph.ainvoke(question()))["status"]
    assert not status.degraded
    assert 0.2 <= status.seconds <= real() - started
