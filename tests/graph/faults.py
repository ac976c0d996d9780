"""Every fault at every stage of a question: an answer with an honest status, or an honest error.

    python -m mom_council.tests.graph.faults [--write] [--provider P Q] [--faults A B] [--stages C]

A cell is one question to a council one of whose models goes wrong in one way. What must hold is the
same for each: the answer comes, or an error that names the cause; who failed is named with the
reason, and not told as a decision; `degraded` says that something failed; no more requests are sent
than the model's `retries` allow, and the status counts as many as the servers' logs; no key comes
into sight; nobody waits longer than the limits say. `--write` puts the counts into
docs/reliability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

from mom_council.councils.loader import load_council
from mom_council.errors import QuorumError
from mom_council.graph.council import compile_council
from mom_council.nodes.synthesizer import LABEL
from mom_council.records import Status
from mom_council.tests.graph import fault_server as breaks
from mom_council.tests.graph.desk import question, said, seat, voice, written
from mom_council.tests.graph.fault_server import KEY, Break, FaultServer
from mom_council.tests.models.eye import drawing
from mom_council.tests.reliability import write_section
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.vendors import vendor_of

KEY_NAME = "FAULT_API_KEY"
ANSWER = "What the council says."
LONGEST = 25.0
"""Seconds that a question may take on a busy machine: less than any wait that is out of budget."""
RETRIED = 2
"""Requests of a model that is tried again once."""

Says = Callable[[str], Reply]


class Row(NamedTuple):
    """A fault, and what is to come of it."""

    how: Break | Fault | Says
    requests: int
    end: str
    """fine, failed, timeout, empty, refused, broken (what came is kept), length, or off: a good
    text that is no answer to what was asked for in JSON."""
    says: str = ""
    """What the error says, where there is one."""
    budget: float = 5.0
    """The model's `timeout`."""
    of_chat: bool = False
    """Whether only chat models can do it."""
    status: int = 0
    """The HTTP status that is answered."""
    adapts: bool = True
    """Whether a refusal may be about the form of the request."""


def _reply(**changes: Any) -> Says:
    return lambda text: Reply(**{"text": text, **changes})


def _text(change: Callable[[str], str]) -> Says:
    return lambda text: Reply(change(text))


def _http(
    code: int, words: str, *, again: bool = False, body: str | None = None, adapts: bool = True
) -> Row:
    sent = breaks.said(f"No {code}.") if body is None else body
    requests = RETRIED if again else 1
    says = f"HTTP {code}, {words}"
    return Row(breaks.status(code, sent), requests, "failed", says, status=code, adapts=adapts)


_PAGE = "<html><head><title>Oops</title></head><body>nginx</body></html>"
_BY_FASTAPI = json.dumps({"detail": [{"loc": ["body", "n"], "msg": "is odd", "type": "value"}]})
_CALLS = "calls"
_CALL = {"name": "delete_everything", "args": {"path": "/"}}

FAULTS: dict[str, Row] = {
    # What vendors answer in place of an answer.
    "400": _http(400, "the request was refused"),
    "400 with a page": _http(400, "the request was refused", body=_PAGE),
    "400 with nothing": _http(400, "the request was refused", body=""),
    "400 of a filter": _http(400, "the request was refused",
                             body=breaks.said("Flagged.", code="content_filter"), adapts=False),
    "400 too long": _http(400, "the request was refused", adapts=False,
                          body=breaks.said("Long.", code="context_length_exceeded")),
    "401": _http(401, "the key was not accepted"),
    "401 that repeats the key": _http(401, "the key was not accepted",
                                      body=breaks.said(f"Incorrect API key provided: {KEY}.")),
    "402": _http(402, "the account has no credit"),
    "403": _http(403, "not allowed"),
    "404": _http(404, "not found"),
    "408": _http(408, "the server timed out", again=True),
    "409": _http(409, "conflict", again=True),
    "413": _http(413, "the request is too large"),
    "422": _http(422, "the request was refused", body=_BY_FASTAPI),
    "425": _http(425, "the request was refused", again=True),
    "429": _http(429, "rate limited", again=True),
    "429 that says when": Row(breaks.status(429, breaks.said("Slow."), Retry_After="0.05"), 2,
                              "failed", "HTTP 429"),
    "429 that wants a minute": Row(breaks.status(429, breaks.said("Slow."), Retry_After="50"), 1,
                                   "failed", "HTTP 429"),
    "429 until a date": Row(breaks.status(429, "", Retry_After="Wed, 21 Oct 2065 07:28:00 GMT"), 1,
                            "failed", "HTTP 429"),
    "429 that says nonsense": Row(breaks.status(429, "{}", Retry_After="soon"), 2, "failed",
                                  "HTTP 429"),
    "quota": Row(breaks.status(429, breaks.said("Over.", code="insufficient_quota")), 1, "failed",
                 "quota is used up"),
    "500": _http(500, "server error", again=True),
    "501": _http(501, "server error"),
    "502 with a page": _http(502, "bad gateway", again=True, body=_PAGE),
    "503": _http(503, "the server is overloaded", again=True),
    "504": _http(504, "gateway timeout", again=True),
    "524": _http(524, "server error", again=True),
    "529": _http(529, "the server is overloaded", again=True),
    "redirect": Row(breaks.redirects("http://localhost:9"), 1, "failed", "elsewhere"),
    # Connections.
    "refused": Row(breaks.closes, 0, "failed", "connection refused"),
    "closed": Row(breaks.closes, 2, "failed", "the server closed the connection"),
    "reset": Row(breaks.resets, 2, "failed", "the connection was reset"),
    "reset after headers": Row(breaks.resets_after_headers, 2, "failed"),
    "reset midway": Row(breaks.resets_midway, 1, "broken", "the connection broke off"),
    "closed midway": Row(breaks.closes_midway, 1, "broken", "the connection broke off"),
    "hang": Row(breaks.hangs, 1, "timeout", "no answer in 1 s", 1),
    "hang after headers": Row(breaks.hangs_after_headers, 1, "timeout", "no answer in 1 s", 1),
    "hang midway": Row(breaks.hangs_midway, 1, "broken", "no end of the answer in 1 s", 1),
    "slow drip": Row(breaks.drips(0.001, 64), 1, "fine"),
    "drip too slow": Row(breaks.drips(0.3, 1), 1, "timeout", "no answer in 1 s", 1),
    # Bodies.
    "no body": Row(breaks.body_of(b""), 2, "failed", "the answer is empty"),
    "204": Row(breaks.status(204), 2, "failed", "the answer is empty"),
    "blanks": Row(breaks.body_of(b"\n\n \n\n"), 2, "failed", "the answer is empty"),
    "a page": Row(breaks.body_of(_PAGE.encode(), "text/html"), 2, "failed", ""),
    "garbage": Row(breaks.body_of(bytes(range(128, 256)) * 2), 2, "failed", ""),
    "a list": Row(breaks.body_of(b"[1, 2]", "application/json"), 2, "failed", ""),
    "a number": Row(breaks.body_of(b"42", "application/json"), 2, "failed", ""),
    "deep nesting": Row(breaks.body_of(b"[" * 200_000, "application/json"), 2, "failed", ""),
    "error in a success": Row(breaks.body_of(breaks.said("The model crashed.").encode(),
                                             "application/json"), 2, "failed",
                              "The model crashed."),
    "broken line": Row(breaks.breaks_a_line, 1, "broken", "not JSON"),
    "bomb": Row(breaks.packs_a_bomb, 1, "failed", "longer than anybody reads", 20),
    "packed": Row(breaks.packs, 1, "fine"),
    "flood": Row(breaks.floods, 1, "length", of_chat=True),
    "ends twice": Row(breaks.ends_twice, 1, "fine", of_chat=True),
    "called text": Row(breaks.is_called_text, 1, "fine"),
    "called binary": Row(breaks.is_called_binary, 1, "fine"),
    "carriage returns": Row(breaks.writes_carriage_returns, 1, "fine"),
    "comments": Row(breaks.writes_comments, 1, "fine"),
    "byte order mark": Row(breaks.writes_a_byte_order_mark, 1, "fine"),
    "latin-1": Row(breaks.charset("latin-1"), 2, "failed", "not text", of_chat=True),
    "utf-16": Row(breaks.charset("utf-16"), 2, "failed", "", of_chat=True),
    "no usage": Row(breaks.usage(None), 1, "fine"),
    "usage of words": Row(breaks.usage({"prompt_tokens": "many", "completion_tokens": None}), 1,
                          "fine"),
    "usage below none": Row(breaks.usage({"prompt_tokens": -5, "completion_tokens": -7,
                                          "total_tokens": -12}), 1, "fine"),
    "usage is a text": Row(breaks.usage("plenty"), 1, "fine"),
    "strange fields": Row(breaks.strange_fields(id=None, model=7, created="today",
                                                system_fingerprint=[1], wings=2), 1, "fine"),
    # Answers in good form.
    "empty": Row(Fault.empty(), 1, "empty", of_chat=True),
    "null": Row(Fault.null(), 1, "empty", of_chat=True),
    "whitespace": Row(_text(lambda _: " \n\t "), 1, "empty", of_chat=True),
    "invisible letters": Row(_text(lambda _: "\u200b\u2060\ufeff"), 1, "empty", of_chat=True),
    "thinking only": Row(_reply(text="", reasoning="Let me see."), 1, "empty", of_chat=True),
    "a thought in tags": Row(_text(lambda _: "<think>Let me see.</think>"), 1, "empty",
                             of_chat=True),
    "a thought without end": Row(_reply(text="<think>Let me see. And", finish="length"), 1,
                                 "empty", of_chat=True),
    "refusal": Row(Fault.refusal("I would rather not."), 1, "refused", "I would rather not.",
                   of_chat=True),
    "content filter": Row(Fault.content_filter(), 1, "refused", "withheld", of_chat=True),
    "length": Row(Fault.length(), 1, "length", of_chat=True),
    "off-schema": Row(_text(lambda _: '{"colour": "red"}'), 1, "off", of_chat=True),
    "prose": Row(_text(lambda _: "Well, it all depends."), 1, "off", of_chat=True),
    "tool call": Row(_reply(text=None, tool_calls=[_CALL], finish="tool_calls"), 1, "empty",
                     _CALLS, of_chat=True),
    "echoed key": Row(_text(lambda text: f"{text} {KEY}"), 1, "key", of_chat=True),
    "echoed key in base64": Row(
        _text(lambda text: f"{text} {base64.b64encode(KEY.encode()).decode()}"), 1, "key",
        of_chat=True),
}  # fmt: skip


OTHERWISE: dict[str, dict[str, dict[str, Any]]] = {
    # It has no field for a refusal, nor for a filter: a refusal is a text like any other.
    "ollama": {
        "refusal": {"end": "off", "says": ""},
        "content filter": {"end": "empty", "says": ""},
        "404": {"says": "not found: `ollama pull"},
    },
    # The first two events of an answer hold no text; a refusal is a reason to stop, without words.
    "anthropic": {
        "refusal": {"says": "withheld"},
        "reset midway": {"end": "failed", "requests": RETRIED, "says": ""},
        "hang midway": {"end": "timeout", "says": "no answer in 1 s"},
        "closed midway": {"end": "failed", "requests": RETRIED, "says": ""},
        "error in a success": {"says": ""},
    },
    "mistralai": {"refusal": {"end": "empty", "says": ""}, "error in a success": {"says": ""}},
}
"""What else comes of a fault where another protocol is spoken."""
WIRES = ("openai", *OTHERWISE)


def row_of(fault: str, provider: str) -> Row:
    """A fault, and what is to come of it in a provider's protocol."""
    return FAULTS[fault]._replace(**OTHERWISE.get(provider, {}).get(fault, {}))


@dataclass
class Cell:
    """One question, and what came of it."""

    row: Row
    stage: Stage
    server: FaultServer
    provider: str = "openai"
    status: Status | None = None
    text: str = ""
    error: BaseException | None = None
    seconds: float = 0.0
    told: str = ""
    """All that was streamed, and the error."""
    problems: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.problems.append(what)

    def notes_with(self, *words: str) -> list[str]:
        """The notes in which all of these stand."""
        notes = self.status.notes if self.status else ()
        return [note for note in notes if all(word.lower() in note.lower() for word in words)]

    def absent(self, stage: str) -> list[Any]:
        """Who is named as absent from a stage."""
        return [one for one in self.status.absent if one.stage == stage] if self.status else []

    def model(self, name: str, reply: Any, *, well: int = 0, then_well: bool = False) -> Any:
        """The model that goes wrong from its call `well` on, as a council's file names it.

        Args:
            name: of the model.
            reply: what it says where all goes well: a text, or a function of the request.
            well: calls that go well first.
            then_well: whether it goes well again after the requests that its fault deserves.
        """
        how, wrong = self.row.how, range(well, well + self.row.requests if then_well else 10**6)
        number = [-1]

        def says(body: dict[str, Any]) -> Any:
            number[0] += 1
            right = reply(body) if callable(reply) else reply
            if isinstance(how, Fault) or how in _BREAKS or number[0] not in wrong:
                return right
            return how(right.text if isinstance(right, Reply) else right)  # type: ignore[arg-type]

        faults: list[Fault | None] = [None] * well
        always: Fault | None = None
        if isinstance(how, Fault):
            faults += [how] * self.row.requests if then_well else []
            always = None if then_well else how
        elif how in _BREAKS:
            again: list[Break | None] = [how] * max(1, self.row.requests)  # type: ignore[list-item]
            self.server.breaks[:] = [*[None] * well, *again, *([None] if then_well else [])]
        self.stage.model(name, reply=says, faults=faults, always=always)
        address = self.server.address(self.provider)
        if self.row.requests == 0:
            address = address.replace(str(self.server.port), "9")
        return voice(
            self.stage, name, provider=self.provider, base_url=address, retries=1,
            timeout=self.row.budget, api_key_env=KEY_NAME,
        )  # fmt: skip


_BREAKS: set[Any] = {
    row.how
    for row in FAULTS.values()
    if not isinstance(row.how, Fault)
    and getattr(row.how, "__module__", "").endswith("fault_server")
}

Sit = Callable[[Cell], tuple[dict[str, Any], dict[str, Any]]]
"""Writes a council whose model goes wrong, and what it is asked."""
Judge = Callable[[Cell], None]


class Step(NamedTuple):
    """A stage of a question."""

    sit: Sit
    judge: Judge
    well: int = 0
    """Calls of the faulty model that go well before."""
    form: Literal["", "schema", "tools"] = ""
    """What the reply is held to; where that is refused, it is asked for in words once more."""
    after: int = 0
    """Calls of it that go well afterwards."""
    of_chat: bool = True


def _names_why(cell: Cell, notes: Sequence[str]) -> None:
    """There is a note, and it says what the error said."""
    row = cell.row
    cell.expect(bool(notes), f"no note names it: {cell.status and cell.status.notes}")
    if row.end in ("failed", "timeout", "refused") and row.says != _CALLS:
        cell.expect(any(row.says in note for note in notes), f"{row.says!r} is not in {notes}")


def _is_whole(cell: Cell) -> None:
    """Nothing went wrong that anybody would notice."""
    status = cell.status
    assert status is not None
    cell.expect(not status.absent, f"absent: {status.absent}")
    cell.expect(not status.degraded, f"degraded: {status.notes}")


def _answered(cell: Cell, text: str = ANSWER) -> bool:
    cell.expect(cell.text == text, f"the answer is {cell.text[:200]!r} ({cell.error!r})")
    return cell.status is not None


def _sit_character(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    models = {"ada": cell.model("ada", "one two three four")}
    return written(cell.stage, models=models, deliberation={"method": "none"}), {}


def _judge_character(cell: Cell) -> None:
    row = cell.row
    if not _answered(cell):
        return
    assert cell.status is not None
    if row.end in ("fine", "off", "key"):
        _is_whole(cell)
    elif row.end in ("broken", "length"):
        cell.expect("Ada" in cell.status.spoke, "what came of a proposal is lost")
        cell.expect(bool(cell.notes_with("Ada", "broke off")), f"no note: {cell.status.notes}")
        cell.expect(cell.status.degraded, "not degraded")
    else:
        cell.expect(cell.status.spoke == ("Boris", "Clara"), f"spoke: {cell.status.spoke}")
        _is_absent(cell, "character", "Ada", row.end)


def _is_absent(cell: Cell, stage: str, name: str, reason: str) -> None:
    assert cell.status is not None
    found = [(one.character, one.reason) for one in cell.absent(stage)]
    cell.expect(found == [(name, reason)], f"absent from {stage}: {cell.absent(stage)}")
    if reason in ("failed", "timeout", "refused"):
        details = [one.detail for one in cell.absent(stage)]
        cell.expect(any(cell.row.says in one for one in details), f"the cause is told as {details}")
    cell.expect(cell.status.degraded, "not degraded")


def _sit_only_character(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    cell.stage.model("pen", reply=ANSWER)
    models = {"ada": cell.model("ada", "one two three four"), "pen": voice(cell.stage, "pen")}
    return written(cell.stage, ("Ada",), models=models), {}


def _judge_only_character(cell: Cell) -> None:
    row = cell.row
    if row.end in ("fine", "off", "key", "broken", "length"):
        if _answered(cell) and row.end in ("fine", "off", "key"):
            if not cell.notes_with("declines"):  # where a refusal is a text like any other
                _is_whole(cell)
        elif cell.status:
            cell.expect(cell.status.degraded, "not degraded")
        return
    if not isinstance(cell.error, QuorumError):
        cell.problems.append(f"no QuorumError: {cell.error!r}, {cell.text[:100]!r}")
        return
    reasons = [one.reason for one in cell.error.absences]
    cell.expect(reasons == [row.end], f"absent for {reasons}")
    says = "" if row.says == _CALLS else row.says
    cell.expect(says in str(cell.error), f"the cause is told as {cell.error}")


def weigh(what: str) -> str:
    """Weigh a pet, in kilograms."""
    return f"{what} weighs 7 kg"


def _sit_tool(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    call = {"name": "weigh", "args": {"what": "A cat"}, "id": "c1"}

    def says(body: dict[str, Any]) -> Any:
        has_weighed = "7 kg" in json.dumps(body)
        return "one two three four" if has_weighed else Reply(None, tool_calls=[call])

    models = {"ada": cell.model("ada", says, well=1)}
    council = written(
        cell.stage, models=models, deliberation={"method": "none"}, tools={"weigh": {}}
    )
    council["characters"][0]["tools"] = ["weigh"]
    return council, {}


def _sit_voter(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    models = {"ada": cell.model("ada", cell.stage.scripts["ada"].reply, well=1)}
    return written(cell.stage, models=models), {}


def _judge_voter(cell: Cell) -> None:
    row = cell.row
    if not _answered(cell):
        return
    verdict = cell.status and cell.status.verdict
    assert cell.status is not None
    assert verdict is not None
    if row.end in ("fine", "key"):
        _is_whole(cell)
        return
    if row.end in ("broken", "length") and not cell.absent("vote"):
        # A ballot may have come whole before the break.
        return
    if row.end == "off":  # the reply is kept, and named as one that nobody can read
        cell.expect(bool(cell.notes_with("No vote could be read", "Ada")), "no note names it")
        cell.expect(cell.status.degraded, "not degraded")
        return
    if cell.absent("vote") == [] and row.requests == 0:
        cell.expect(bool(cell.absent("character")), "nobody is named")  # it never spoke
        return
    reason = {"broken": "garbled", "length": "garbled", "off": "garbled"}.get(row.end, row.end)
    _is_absent(cell, "vote", "Ada", reason)
    cell.expect(not verdict.abstained, "a fault is told as an abstention")


def _sit_annotator(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    reading = '{"restated": "Which pet is best?", "kind": "open"}'
    models = {"reader": cell.model("reader", reading)}
    return written(cell.stage, models=models, annotator={"model": "reader"}), {}


def _judge_reader(cell: Cell, name: str) -> None:
    if not _answered(cell):
        return
    assert cell.status is not None
    cell.expect(cell.status.spoke == ("Ada", "Boris", "Clara"), f"spoke: {cell.status.spoke}")
    if cell.row.end in ("fine", "key"):
        _is_whole(cell)
        cell.expect(not cell.notes_with(name), f"notes: {cell.status.notes}")
        return
    notes = cell.notes_with(name)
    if cell.row.end == "refused":  # the words of a refusal are not an answer in JSON
        cell.expect(bool(notes), f"no note names it: {cell.status.notes}")
    else:
        _names_why(cell, notes)
    cell.expect(cell.status.degraded, "not degraded")


def _judge_annotator(cell: Cell) -> None:
    _judge_reader(cell, "annotator")


def _sit_classifier(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    label = '{"why": "A pet is no picture.", "route": "text"}'
    models = {"router": cell.model("router", label), "brush": voice(cell.stage, "brush")}
    sections = {"classifier": {"model": "router"}, "painter": {"model": "brush"}}
    return written(cell.stage, models=models, **sections), {}


def _judge_classifier(cell: Cell) -> None:
    _judge_reader(cell, "classifier")


SEEN = "A red circle on a blue square"


def _sit_image_reader(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    models = {"eye": cell.model("eye", SEEN)}
    models["eye"]["vision"] = True
    picture = base64.b64encode(drawing("red", "blue")).decode()
    content = [
        {"type": "text", "text": "What is the best pet?"},
        {"type": "image", "base64": picture, "mime_type": "image/png"},
    ]
    return written(cell.stage, models=models), {"messages": [{"role": "user", "content": content}]}


def _judge_image_reader(cell: Cell) -> None:
    row = cell.row
    if not _answered(cell):
        return
    assert cell.status is not None
    shown = said(cell.stage.calls_to("ada")[0].body)
    if row.end in ("fine", "key", "off"):
        _is_whole(cell)
        cell.expect(SEEN in shown or row.end == "off", "the description reached nobody")
        return
    notes = cell.notes_with("picture")
    cell.expect(cell.status.degraded, "not degraded")
    _names_why(cell, notes)
    cell.expect(any("eye" in note for note in notes), f"who failed is not named: {notes}")
    if row.end == "refused":
        cell.expect(row.says not in shown, "a refusal is shown as what is on the picture")


def _sit_equality(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    answers = {
        "Ada": "Answer: Dr. Marie Curie", "Boris": "Answer: Marie Curie", "Clara": "Answer: Bohr",
    }  # fmt: skip
    seat(cell.stage, answers)

    def reads(body: dict[str, Any]) -> str:
        if "<pair number=" in said(body):
            return '{"same": [true]}'
        return '{"restated": "Who was it?", "kind": "closed"}'

    models = {"reader": cell.model("reader", reads, well=1)}
    rules = {"method": "answers", "ask_doubtful": True}
    council = written(cell.stage, models=models, annotator={"model": "reader"}, deliberation=rules)
    return council, question("Who found radium?")


def _judge_equality(cell: Cell) -> None:
    if not _answered(cell):
        return
    assert cell.status is not None
    assert cell.status.verdict is not None
    whole = cell.row.end == "broken" and not cell.notes_with("was not judged")
    if cell.row.end in ("fine", "key") or whole:  # what came may be all that was asked for
        _is_whole(cell)
        members = cell.status.verdict.options[0].members
        cell.expect(members == ("Ada", "Boris"), f"not judged: {members}")
        return
    notes = cell.notes_with("was not judged")
    if cell.row.end == "refused":
        cell.expect(bool(notes), f"no note names it: {cell.status.notes}")
    else:
        _names_why(cell, notes)
    cell.expect(cell.status.degraded, "not degraded")


def _sit_comparison(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    models = {"scribe": cell.model("scribe", ANSWER, then_well=True)}
    synthesizer = {"model": "scribe", "compare": "model"}
    return written(cell.stage, models=models, synthesizer=synthesizer), {}


def _judge_comparison(cell: Cell) -> None:
    row = cell.row
    if row.requests == 0:  # the same model writes the answer
        cell.expect(cell.text.endswith(LABEL), f"the answer is {cell.text[:200]!r}")
    elif not _answered(cell):
        return
    if cell.status is None:
        return
    if row.end in ("fine", "key", "off"):
        _is_whole(cell)
        return
    _names_why(cell, cell.notes_with("compared by their words alone"))
    cell.expect(cell.status.degraded, "not degraded")


def _sit_synthesizer(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    models = {"scribe": cell.model("scribe", "one two three four")}
    return written(cell.stage, models=models, synthesizer={"model": "scribe"}), {}


def _judge_synthesizer(cell: Cell) -> None:
    row, status = cell.row, cell.status
    if status is None:
        cell.problems.append(f"no answer: {cell.error!r}")
        return
    if row.end in ("fine", "key", "off"):
        cell.expect(status.written_by == "scribe", f"written by {status.written_by!r}")
        _is_whole(cell)
    elif row.end in ("broken", "length"):
        cell.expect(status.written_by == "scribe", f"written by {status.written_by!r}")
        notes = cell.notes_with("broke off") + cell.notes_with("length limit")
        cell.expect(bool(notes), f"no note names it: {status.notes}")
        cell.expect(status.degraded, "not degraded")
    else:
        cell.expect(cell.text.endswith(LABEL), f"no label: {cell.text[:200]!r}")
        cell.expect(status.written_by == "vote", f"written by {status.written_by!r}")
        _names_why(cell, cell.notes_with("The synthesizer"))
        cell.expect(status.degraded, "not degraded")


def _sit_writer(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    cell.stage.model("brush")
    models = {"quill": cell.model("quill", "one two three four")}
    models["brush"] = voice(cell.stage, "brush")
    painter = {"model": "brush", "writer": "quill"}
    return written(cell.stage, models=models, painter=painter), question("/image a cat")


def _judge_writer(cell: Cell) -> None:
    row, status = cell.row, cell.status
    if status is None:
        cell.problems.append(f"no answer: {cell.error!r}")
        return
    drawn = [call.body["prompt"] for call in cell.stage.calls_to("brush")]
    if row.end in ("fine", "key", "off"):
        _is_whole(cell)
        cell.expect(len(drawn) == 1, f"drawn: {drawn}")
        return
    cell.expect(status.degraded, "not degraded")
    if row.end == "refused":
        cell.expect(drawn == [], f"drawn although it was declined: {drawn}")
        _names_why(cell, cell.notes_with("declined"))
    elif row.end in ("broken", "length"):
        cell.expect(len(drawn) == 1, f"drawn: {drawn}")
        cell.expect(bool(cell.notes_with("as far as it came")), f"notes: {status.notes}")
    else:
        cell.expect(drawn == ["a cat"], f"drawn: {drawn}")
        _names_why(cell, cell.notes_with("drawn as it stands"))


def _sit_painter(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    models = {"brush": cell.model("brush", "ok"), "pen": voice(cell.stage, "pen")}
    models |= {name: voice(cell.stage, name) for name in ("ada", "boris", "clara")}
    return written(cell.stage, models=models, painter={"model": "brush"}), question("/image a cat")


def _judge_painter(cell: Cell) -> None:
    row, status = cell.row, cell.status
    if status is None:
        cell.problems.append(f"no answer: {cell.error!r}")
        return
    if row.end == "fine":
        _is_whole(cell)
        cell.expect(cell.text.startswith("Drawn from"), f"the answer is {cell.text!r}")
        return
    cell.expect(cell.text.startswith("The picture"), f"the answer is {cell.text!r}")
    cell.expect(row.end == "broken" or row.says in cell.text, f"the cause is told as {cell.text}")
    cell.expect(status.degraded, "not degraded")


def _sit_embedding(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    seat(cell.stage)
    models = {"vectors": cell.model("vectors", "ok")}
    rules = {"method": "similarity", "likeness": {"model": "vectors"}}
    return written(cell.stage, models=models, deliberation=rules), {}


def _judge_embedding(cell: Cell) -> None:
    row = cell.row
    if not _answered(cell):
        return
    assert cell.status is not None
    if row.end == "fine":
        cell.expect(not cell.notes_with("Likeness"), f"notes: {cell.status.notes}")
        _is_whole(cell)
        return
    notes = cell.notes_with("Likeness was told by words alone")
    cell.expect(bool(notes), f"no note names it: {cell.status.notes}")
    if row.end in ("failed", "timeout"):
        cell.expect(any(row.says in note for note in notes), f"{row.says!r} is not in {notes}")
    cell.expect(cell.status.degraded, "not degraded")


STAGES: dict[str, Step] = {
    "classifier": Step(_sit_classifier, _judge_classifier, form="schema"),
    "annotator": Step(_sit_annotator, _judge_annotator, form="schema"),
    "image reader": Step(_sit_image_reader, _judge_image_reader),
    "character": Step(_sit_character, _judge_character),
    "only character": Step(_sit_only_character, _judge_only_character),
    "turn after a tool": Step(_sit_tool, _judge_character, well=1, form="tools"),
    "voter": Step(_sit_voter, _judge_voter, well=1, form="schema"),
    "equality check": Step(_sit_equality, _judge_equality, well=1, form="schema"),
    "embedding": Step(_sit_embedding, _judge_embedding, of_chat=False),
    "comparison": Step(_sit_comparison, _judge_comparison, after=1),
    "synthesizer": Step(_sit_synthesizer, _judge_synthesizer),
    "painter's writer": Step(_sit_writer, _judge_writer),
    "painter": Step(_sit_painter, _judge_painter, of_chat=False),
}


def cells(
    faults: Sequence[str] = (), stages: Sequence[str] = (), provider: str = "openai"
) -> Iterator[tuple[str, str]]:
    """The names of the faults and the stages at which they can happen."""
    vendor = vendor_of(provider)
    lacking = {"embedding": vendor.embeddings is None, "painter": not vendor.draws}
    for stage in stages or STAGES:
        for fault in faults or FAULTS:
            if lacking.get(stage):
                continue
            if STAGES[stage].of_chat or not FAULTS[fault].of_chat:
                yield fault, stage


async def try_cell(fault: str, stage: str, provider: str = "openai") -> list[str]:
    """Ask one question that goes wrong in one place; what does not hold of its promise."""
    row, step = row_of(fault, provider), STAGES[stage]
    if not step.of_chat:  # what a stream would give in part is nothing there
        row = unstreamed(row, stage)
    if row.budget == 1 and step.well:  # those that go well may take a second on a busy machine
        row = row._replace(budget=5, says=row.says.replace("1 s", "5 s"))
    with Stage() as opened, _quickly():
        async with FaultServer(opened, [None]) as server:
            cell = Cell(row, opened, server, provider)
            council, asked = step.sit(cell)
            await _ask(cell, council, asked or question())
            if not (row.end in ("broken", "length") and fault == "flood"):
                _count(cell, step)
            step.judge(cell)
    return cell.problems


def unstreamed(row: Row, stage: str) -> Row:
    """What comes of a fault where the answer is of use only whole."""
    if row.end == "broken":
        in_time = row.budget > 1
        row = row._replace(end="failed" if in_time else "timeout", requests=2 if in_time else 1)
    if row.how is FAULTS["400 of a filter"].how and stage == "painter":
        return row._replace(says="declined")
    # The vendors' own clients say in their own words what was no answer.
    return row if row.status else row._replace(says="")


async def _ask(cell: Cell, council: dict[str, Any], asked: dict[str, Any]) -> None:
    """Ask, and take down all that came."""
    loaded = load_council(council)
    graph = compile_council(loaded, tools={"weigh": weigh} if "tools" in council else {})
    began, parts, state = time.monotonic(), [], {}
    try:
        async for mode, part in graph.astream(asked, stream_mode=["custom", "values"]):
            parts.append(str(part))
            state = part if mode == "values" else state
    except Exception as error:
        cell.error = error
        parts += [repr(error), str(error), str(getattr(error, "absences", ""))]
    else:
        cell.status, cell.text = state["status"], state["messages"][-1].text
    cell.seconds, cell.told = time.monotonic() - began, "".join(parts)


def _count(cell: Cell, step: Step) -> None:
    """What holds of every cell: requests, keys, addresses, time."""
    requests = len(cell.server.calls)
    row = cell.row
    again = _IN_WORDS.get((step.form, row.status), 0) if row.adapts else 0
    due = step.well + row.requests + again + (step.after if row.requests else 0)
    if step.form == "tools" and row.says == _CALLS:
        due = step.well + 8  # an unknown tool is answered, up to the limit of tool calls
    if row.requests or not step.well:
        # Vendors' own clients take some bodies that are no answers for an end to it.
        is_due = requests == due if step.of_chat else requests <= due
        cell.expect(is_due, f"{requests} requests, not {due}")
    sent = "".join(str(call.body) for call in cell.stage.calls)
    cell.expect(KEY not in cell.told, "the key was told")
    cell.expect(KEY not in sent, "the key was sent to others in a prompt")
    cell.expect(cell.seconds < LONGEST, f"took {cell.seconds:.1f} s")
    if cell.status is None:
        if not isinstance(cell.error, QuorumError):
            cell.problems.append(f"no answer, and no honest error: {cell.error!r}")
        return
    if row.requests:  # where nobody listens, the address is what has to be put right
        cell.expect("127.0.0.1" not in cell.status.model_dump_json(), "an address is told")
    log = len(cell.stage.calls) + requests - _forwarded(cell)
    refused = 1 if cell.row.requests == 0 else 0  # a try that reached nobody
    counted = cell.status.usage.calls
    cell.expect(log <= counted <= log + 2 * refused, f"{counted} calls counted, {log} made")


_IN_WORDS = {
    ("schema", 400): 1, ("schema", 422): 1, ("tools", 400): 2, ("tools", 422): 2,
    ("tools", 404): 1, ("tools", 501): 1,
}  # fmt: skip
"""Requests more, where a refusal may be about the form: it is asked for in words, once each."""


def _forwarded(cell: Cell) -> int:
    """How many calls the stage saw because the faulty server asked it for the right answer."""
    return len(cell.server.calls)


def _quickly() -> Any:
    """Waits between tries are short, and the key is there."""
    stack = ExitStack()
    stack.enter_context(patch("mom_council.models.retry.FIRST_WAIT", 0.02))
    folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
    places = {f"XDG_{what}_HOME": folder for what in ("DATA", "CONFIG", "CACHE", "STATE")}
    stack.enter_context(patch.dict("os.environ", {KEY_NAME: KEY, **places}))
    return stack


Found = dict[tuple[str, str], list[str]]
"""What was wrong in each cell."""


async def try_all(names: Sequence[tuple[str, str]], provider: str) -> Found:
    """Try these cells; what was wrong in each."""
    found: Found = {}
    for fault, stage in names:
        began = time.monotonic()
        try:
            problems = await try_cell(fault, stage, provider)
        except Exception as error:
            problems = [f"the cell broke: {error!r}"]
        found[fault, stage] = problems
        for problem in problems:
            print(f"{stage} / {fault}: {problem} ({time.monotonic() - began:.1f} s)", flush=True)
    return found


def _section(found: Mapping[str, Found]) -> str:
    """What stands on the page: a column for each protocol."""
    rows = [
        f"| stage | {' | '.join(found)} | lost |",
        f"|---|{'---:|' * len(found)}---:|",
    ]
    for stage in STAGES:
        tried = [
            [problems for (_, where), problems in cells_of.items() if where == stage]
            for cells_of in found.values()
        ]
        lost = sum(bool(problems) for column in tried for problems in column)
        counts = " | ".join(str(len(column) or "-") for column in tried)
        rows.append(f"| {stage} | {counts} | {lost} |")
    words = (
        f"`make faults`, or `python -m mom_council.tests.graph.faults --write`; the tests try a "
        f"spread of them. {len(FAULTS)} faults (all statuses that vendors send, connections that "
        "are refused, closed, reset, hang or drip, bodies that are empty, packed, endless, cut, "
        "no JSON, no text or another type, wrong token counts, answers that are empty, refused, "
        "withheld, cut at their length, thoughts alone, no ballot, calls of tools that nobody "
        f"offered, keys that are repeated) at {len(STAGES)} stages; an embedding and a picture "
        "have no faults of words, and not every vendor has them. A column is a protocol. Real "
        "sockets.\n\nOf each cell: an answer with an honest "
        "status, or an error that names the cause; who failed is named with its reason, and never "
        "told as one that decided; `degraded` if something failed; as many requests as the "
        "model's `retries` allow for that fault (and one in words, where a reply that is held to "
        "a form is refused), as many calls in the status as in the log; no key anywhere."
    )
    return "\n".join([words, "", *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the whole matrix, and write down what was lost."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--faults", nargs="*", default=[], choices=FAULTS)
    parser.add_argument("--stages", nargs="*", default=[], choices=STAGES)
    parser.add_argument(
        "--provider", nargs="*", default=[*WIRES], choices=WIRES, help="protocols; all of them"
    )
    parser.add_argument("--write", action="store_true", help="put it into docs/reliability.md")
    given = parser.parse_args(arguments)
    found: dict[str, Found] = {}
    for provider in given.provider:
        print(f"{provider}:", flush=True)
        names = [*cells(given.faults, given.stages, provider)]
        found[provider] = asyncio.run(try_all(names, provider))
    tried = sum(map(len, found.values()))
    lost = sum(bool(problems) for one in found.values() for problems in one.values())
    print(f"{tried} cells, {lost} with something wrong")
    if given.write:
        write_section("faults", "Faults at each stage", _section(found), f"{tried} cells", lost)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
