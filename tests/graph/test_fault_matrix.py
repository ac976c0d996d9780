"""Every fault, at every seat: an answer with an honest status, or an error that names the cause.

Each faulty model is tried twice at the most and has a few seconds for all of it, one where it would
hang; so many requests are sent as its fault deserves, and nobody waits longer than that. What goes
wrong with the painter's own endpoint stands in `tests/nodes/test_painter.py`.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from mom_council.councils.schema import Council
from mom_council.errors import QuorumError
from mom_council.nodes.synthesizer import LABEL
from mom_council.records import Absence, Status
from mom_council.tests.graph.desk import ask, desk, seat, voice
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

LONG_BEYOND = 25.0
"""Seconds that a question may take on a busy machine: less than any wait that is out of budget."""


class Row(NamedTuple):
    fault: Fault
    requests: int
    end: str
    """What comes of the call: failed, timeout, empty, refused, broken (text kept), length."""
    says: str = ""
    """What the error says, where there is one."""
    budget: float = 5.0
    """The model's `timeout`."""


ROWS = {
    "429": Row(Fault.status(429), 2, "failed", "HTTP 429, rate limited"),
    "429 that says when": Row(Fault.status(429, retry_after=0.05), 2, "failed", "HTTP 429"),
    "429 that wants a minute": Row(Fault.status(429, retry_after=50), 1, "failed", "HTTP 429"),
    "quota": Row(Fault.status(429, error="insufficient_quota"), 1, "failed", "quota is used up"),
    "500": Row(Fault.status(500), 2, "failed", "HTTP 500, server error"),
    "502 with a page": Row(Fault.bad_gateway(), 2, "failed", "HTTP 502, bad gateway"),
    "401": Row(Fault.status(401), 1, "failed", "HTTP 401, the key was not accepted"),
    "402": Row(Fault.status(402), 1, "failed", "HTTP 402, the account has no credit"),
    "404": Row(Fault.status(404), 1, "failed", "HTTP 404, not found"),
    "reset": Row(Fault.reset(), 2, "failed", "the connection was reset"),
    "reset midway": Row(Fault.reset(after=2), 1, "broken", "the connection broke off"),
    "hang": Row(Fault.hang(), 1, "timeout", "no answer in 1 s", 1),
    "stall": Row(Fault.stall(after=2), 1, "broken", "no end of the answer in 1 s", 1),
    "truncation": Row(Fault.truncated(after=2), 1, "broken", "the answer was cut off"),
    "nothing but an end": Row(Fault.truncated(after=0), 2, "failed", "the answer is empty"),
    "malformed": Row(Fault.malformed(), 2, "failed", "the answer is not JSON"),
    "garbage": Row(Fault.garbage(), 2, "failed", "the answer is not text"),
    "error in the stream": Row(Fault.error_in_stream(after=0), 2, "failed", "broke off"),
    "empty": Row(Fault.empty(), 1, "empty"),
    "null": Row(Fault.null(), 1, "empty"),
    "refusal": Row(Fault.refusal("I would rather not."), 1, "refused", "I would rather not."),
    "content filter": Row(Fault.content_filter(), 1, "refused", "withheld"),
    "length": Row(Fault.length(), 1, "length"),
}
EACH = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mom_council.models.retry.FIRST_WAIT", 0.02)


def faulty(stage: Stage, name: str, row: Row, reply: Any, *, well: int = 0) -> dict[str, Any]:
    """A model that goes wrong from its call `well` on, as a voice for `models`."""
    stage.model(name, reply=reply, faults=[None] * well, always=row.fault)
    return {name: voice(stage, name, retries=1, timeout=row.budget)}


async def answered(stage: Stage, council: Council, name: str, row: Row) -> tuple[str, Status]:
    """What the council answered; the faulty model got as many requests as its fault deserves."""
    result = await ask(council)
    status: Status = result["status"]
    assert len(stage.calls_to(name)) == row.requests
    assert status.seconds < LONG_BEYOND
    assert "127.0.0.1" not in status.model_dump_json()
    return result["messages"][-1].text, status


def missed(status: Status, stage_of: str) -> list[Absence]:
    return [one for one in status.absent if one.stage == stage_of]


@EACH
async def test_a_character(stage: Stage, row: Row) -> None:
    seat(stage)
    models = faulty(stage, "ada", row, "one two three four")
    sitting = desk(stage, models=models, deliberation={"method": "none"})
    text, status = await answered(stage, sitting, "ada", row)
    assert text == "What the council says."
    if row.end in ("broken", "length"):
        assert status.spoke == ("Ada", "Boris", "Clara")
        assert status.absent == ()
        [shown] = [call.body for call in stage.calls_to("pen")]
        assert "one two" in json.dumps(shown)
    else:
        assert status.spoke == ("Boris", "Clara")
        [absent] = missed(status, "character")
        assert (absent.character, absent.reason) == ("Ada", row.end)
        assert row.says in absent.detail
        assert status.degraded


@EACH
async def test_the_only_character(stage: Stage, row: Row) -> None:
    stage.model("pen", reply="What the council says.")
    sitting = desk(stage, ("Ada",), models=faulty(stage, "ada", row, "one two three four"))
    if row.end in ("broken", "length"):
        text, _ = await answered(stage, sitting, "ada", row)
        assert text == "What the council says."
        return
    with pytest.raises(QuorumError) as caught:
        await ask(sitting)
    assert len(stage.calls) == row.requests
    assert row.says in str(caught.value)
    assert [one.reason for one in caught.value.absences] == [row.end]


@EACH
async def test_a_voter(stage: Stage, row: Row) -> None:
    seat(stage)
    ballot = stage.scripts["ada"].reply
    models = faulty(stage, "ada", row, ballot, well=1)
    once = row._replace(requests=row.requests + 1)
    waiting = desk(stage, models=models)
    text, status = await answered(stage, waiting, "ada", once)
    assert text == "What the council says."
    assert status.verdict is not None
    assert status.verdict.ballots == 2
    if row.end in ("failed", "timeout"):
        [absent] = missed(status, "vote")
        assert (absent.character, absent.reason) == ("Ada", row.end)
        assert row.says in absent.detail
        assert status.degraded
    elif row.end in ("broken", "length"):
        [absent] = missed(status, "vote")
        assert (absent.character, absent.reason) == ("Ada", "garbled")
        assert absent.detail == "its ballot broke off before the vote"
        assert status.degraded
    else:
        assert missed(status, "vote") == []
        assert status.verdict.abstained == 1


@EACH
async def test_the_annotator(stage: Stage, row: Row) -> None:
    seat(stage)
    reading = '{"restated": "Which pet is best?", "kind": "open"}'
    models = faulty(stage, "reader", row, reading)
    sitting = desk(stage, models=models, annotator={"model": "reader"})
    text, status = await answered(stage, sitting, "reader", row)
    assert text == "What the council says."
    assert status.spoke == ("Ada", "Boris", "Clara")
    [note] = [note for note in status.notes if "annotator" in note]
    assert "the question stands as it was asked" in note
    assert status.degraded
    if row.end in ("failed", "timeout"):
        assert row.says in note


@EACH
async def test_the_classifier(stage: Stage, row: Row) -> None:
    seat(stage)
    models = faulty(stage, "router", row, '{"why": "A pet is no picture.", "route": "text"}')
    models["brush"] = voice(stage, "brush")
    sitting = desk(stage, models=models, classifier={"model": "router"}, painter={"model": "brush"})
    text, status = await answered(stage, sitting, "router", row)
    assert text == "What the council says."
    assert status.route == "text"
    [note] = [note for note in status.notes if "classifier" in note]
    assert "the question's words chose" in note
    assert status.degraded
    if row.end in ("failed", "timeout"):
        assert row.says in note


@EACH
async def test_the_comparison(stage: Stage, row: Row) -> None:
    """The synthesizer's model compares first; what it writes afterwards is another call."""
    seat(stage)
    stage.model("scribe", reply="What the council says.", faults=[row.fault] * row.requests)
    models = {"scribe": voice(stage, "scribe", retries=1, timeout=row.budget)}
    synthesizer = {"model": "scribe", "compare": "model"}
    sitting = desk(stage, models=models, synthesizer=synthesizer)
    once_more = row._replace(requests=row.requests + 1)
    text, status = await answered(stage, sitting, "scribe", once_more)
    assert text == "What the council says."
    [note] = [note for note in status.notes if "compared by their words alone" in note]
    if row.end in ("failed", "timeout"):
        assert row.says in note
    assert status.degraded
    assert "would rather not" not in json.dumps(stage.calls_to("scribe")[-1].body)


@EACH
async def test_the_synthesizer(stage: Stage, row: Row) -> None:
    seat(stage)
    models = faulty(stage, "scribe", row, "one two three four")
    sitting = desk(stage, models=models, synthesizer={"model": "scribe"})
    text, status = await answered(stage, sitting, "scribe", row)
    assert status.degraded
    if row.end in ("broken", "length"):
        assert text.startswith("one two")
        assert status.written_by == "scribe"
        word = "broke off" if row.end == "broken" else "cut off at the model's length limit"
        assert any(word in note for note in status.notes)
    else:
        assert text.endswith(LABEL)
        assert text.startswith("The view of ")
        assert status.written_by == "vote"
        assert any(
            "The synthesizer" in note and row.says.rstrip(".") in note for note in status.notes
        )


@EACH
async def test_the_painters_writer(stage: Stage, row: Row) -> None:
    seat(stage)
    stage.model("brush")
    models = faulty(stage, "quill", row, "one two three four")
    models["brush"] = voice(stage, "brush")
    painter = {"model": "brush", "writer": "quill"}
    result = await ask(desk(stage, models=models, painter=painter), "/image a cat")
    status: Status = result["status"]
    assert len(stage.calls_to("quill")) == row.requests
    assert status.seconds < LONG_BEYOND
    assert status.route == "image"
    assert status.degraded
    drawn = [call.body["prompt"] for call in stage.calls_to("brush")]
    if row.end == "refused":
        assert drawn == []
        assert any("declined" in note and row.says in note for note in status.notes)
    elif row.end in ("broken", "length"):
        assert drawn[0].startswith("one two")
        assert any("drawn as far as it came" in note for note in status.notes)
    else:
        assert drawn == ["a cat"]
        assert any("drawn as it stands" in note and row.says in note for note in status.notes)


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


async def test_one_that_recovers_leaves_no_trace_but_its_requests(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=Reply("A dog."), faults=[Fault.status(503)])
    models = {"ada": voice(stage, "ada", retries=1)}
    status = (await ask(desk(stage, models=models, deliberation={"method": "none"})))["status"]
    assert (status.spoke, status.absent) == (("Ada", "Boris", "Clara"), ())
    assert not status.degraded
    assert len(stage.calls_to("ada")) == 2
    assert status.usage.calls == 5
