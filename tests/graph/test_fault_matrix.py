"""Faults at the stages of a question; `python -m mom_council.tests.graph.faults` tries every cell.

Here each fault meets one stage and each stage six faults, in turn. What goes wrong with the
painter's own endpoint stands in `tests/nodes/test_painter.py` too.
"""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.tests.graph.desk import ask, candidates, desk, seat, voice
from mom_council.tests.graph.faults import FAULTS, STAGES, WIRES, cells, try_cell
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

ALWAYS = [
    ("usage of words", "turn after a tool"),
    ("usage is a text", "character"),
    ("byte order mark", "annotator"),
    ("a list", "synthesizer"),
    ("invisible letters", "character"),
    ("empty", "voter"),
    ("refusal", "voter"),
    ("off-schema", "voter"),
    ("401", "image reader"),
    ("refusal", "image reader"),
    ("length", "image reader"),
    ("400 of a filter", "annotator"),
    ("refusal", "comparison"),
    ("401", "embedding"),
]
"""What once went wrong."""


def spread() -> list[tuple[str, str]]:
    """Each fault once, at a stage that is another for the next one."""
    every, stages = {*cells()}, [*STAGES]
    chosen = []
    for number, fault in enumerate(FAULTS):
        turned = stages[number % len(stages) :] + stages[: number % len(stages)]
        chosen.append(next((fault, stage) for stage in turned if (fault, stage) in every))
    return [*dict.fromkeys([*chosen, *ALWAYS])]


@pytest.mark.parametrize(("fault", "stage_of"), spread(), ids=str)
async def test_it_is_answered_or_named(fault: str, stage_of: str) -> None:
    assert await try_cell(fault, stage_of) == []


ELSEWHERE = [
    ("401", "character"),
    ("refusal", "character"),
    ("reset midway", "character"),
    ("refusal", "voter"),
    ("usage below none", "voter"),
    ("usage is a text", "character"),
    ("usage of words", "turn after a tool"),
    ("strange fields", "turn after a tool"),
    ("401", "embedding"),
    ("called text", "synthesizer"),
    ("400 with nothing", "annotator"),
    ("broken line", "synthesizer"),
    ("latin-1", "character"),
    ("blanks", "voter"),
]
"""What is tried in other protocols here; `--provider` tries every cell in one."""


@pytest.mark.parametrize("provider", [one for one in WIRES if one != "openai"])
@pytest.mark.parametrize(("fault", "stage_of"), ELSEWHERE, ids=str)
async def test_it_is_answered_or_named_in_other_protocols(
    fault: str, stage_of: str, provider: str
) -> None:
    if (fault, stage_of) in cells([fault], [stage_of], provider):
        assert await try_cell(fault, stage_of, provider) == []


def test_there_are_37_faults_and_9_stages_at_least() -> None:
    assert len(FAULTS) >= 37
    assert len(STAGES) >= 9
    assert {stage for _, stage in spread()} == {*STAGES}


async def test_a_classifier_that_failed_is_told_with_the_picture_too(stage: Stage) -> None:
    seat(stage)
    stage.model("brush")
    stage.model("pen", reply="A grey cat.")
    models = {"brush": voice(stage, "brush"), "router": voice(stage, "router")}
    stage.model("router", always=Fault.status(401))
    sitting = desk(stage, models=models, classifier={"model": "router"}, painter={"model": "brush"})
    status = (await ask(sitting, "Draw a cat."))["status"]
    assert status.route == "image"
    assert any("The classifier did not answer" in note for note in status.notes)
    assert status.degraded


async def test_a_voter_that_says_so_abstains_and_nothing_failed(stage: Stage) -> None:
    seat(stage)
    own = stage.scripts["ada"].reply

    def reply(body: dict[str, Any]) -> Any:
        if candidates(body):
            return '{"reason": "Both are weak.", "vote": "abstain"}'
        return own(body) if callable(own) else own

    stage.model("ada", reply=reply)
    status = (await ask(desk(stage)))["status"]
    assert status.verdict.abstained == 1
    assert not status.degraded
    assert status.notes == ()


async def test_one_that_recovers_leaves_no_trace_but_its_requests(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=Reply("A dog."), faults=[Fault.status(503)])
    models = {"ada": voice(stage, "ada", retries=1)}
    status = (await ask(desk(stage, models=models, deliberation={"method": "none"})))["status"]
    assert (status.spoke, status.absent) == (("Ada", "Boris", "Clara"), ())
    assert not status.degraded
    assert len(stage.calls_to("ada")) == 2
    assert status.usage.calls == 5
