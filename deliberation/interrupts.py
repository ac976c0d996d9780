"""A question that cannot continue waits in its thread, with choices, until it is resumed.

A missed quorum, a spent budget, too much heat: where the run keeps its state, the node that finds
it interrupts the graph; the interrupt's value names what happened and the choices. Whoever resumes
it answers with one of them: `Command(resume="go_on")`, or with a decision of LangChain's
human-in-the-loop, as the buttons of its clients do. Resuming without an answer
(`ainvoke(None)`) takes the first: to ask again. Nothing that was finished is done again.

Where no state is kept there is nothing to resume, so the error is raised, as the doors of this
package raise it in every case.

Agent Chat UI, Agent Inbox and LangChain's own clients draw buttons and forms for an interrupt with
`action_requests` and `review_configs` (langchain.agents.middleware.human_in_the_loop), and answer
with a list of decisions. So the requests of this package carry these two keys beside their own, and
each answer is read in each of these shapes:

    {"decisions": [{"type": "approve"}, {"type": "edit", "edited_action": {"name": .., "args": ..}},
                   {"type": "reject", "message": ..}, {"type": "respond", "message": ..}]}
    {"type": "approve"}                                  one decision alone
    [{"type": "accept" | "edit" | "response" | "ignore", "args": ..}]            Agent Inbox
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.runtime import Runtime
from langgraph.types import Overwrite, interrupt

from mom_council.councils.schema import Council
from mom_council.deliberation.context import QuestionSettings, steady_time
from mom_council.deliberation.fan_out import superstep_of
from mom_council.deliberation.selectors import current_turn, exceeded_budget, total_usage
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import BudgetError, MixtureError, QuorumError, ThermalError
from mom_council.models.journal import open_record
from mom_council.records import Absence, Note
from mom_council.seams.langgraph import has_checkpointer, resumes_another

PAUSED = "paused"
Choice = Literal["ask_again", "go_on", "give_up"]
"""ask_again: those who are missing, with a budget as large as the first where that was spent;
go_on: with who is there; give_up: the error is raised."""

_ERRORS: dict[str, type[MixtureError]] = {
    one.__name__: one for one in (BudgetError, QuorumError, ThermalError)
}
_NO = ("no", "n", "stop", "reject", "ignore", "cancel", "give up")
_GO_ON = ("go on", "continue", "proceed", "edit")


async def pause(error: MixtureError, choices: Sequence[Choice], *, reruns: bool = False) -> Choice:
    """Wait for a choice, where the run keeps its state.

    Args:
        error: what happened.
        choices: what can be done about it, the usual first; to give up is always possible.
        reruns: the node has tried again already when it comes here for the second time.

    Raises:
        MixtureError: the error, where nothing is kept or the choice was to give up.
    """
    if not has_checkpointer():
        raise error
    try:
        choice = read_choice(interrupt(_request(error, choices)), choices)
    except GraphInterrupt:
        record = await open_record(PAUSED)
        if record.result is not None and not reruns and not resumes_another():
            return choices[0]
        await record.finish({PAUSED: True})
        raise
    if choice == "give_up":
        raise error
    return choice


async def pause_short_of_quorum(
    error: QuorumError | BudgetError, state: CouncilState, council: Council, answered: int
) -> CouncilUpdate:
    """Wait for a choice where too few answered; returns what the choice changes.

    Raises:
        MixtureError: the error, where nothing is kept or the choice was to give up.
    """
    choice = await pause(error, ("ask_again", "go_on") if answered else ("ask_again",))
    settings = state.get("settings") or QuestionSettings()
    if choice == "go_on":
        note = Note(text=f"{error.what}; it was chosen to go on.")
        return {"settings": settings.model_copy(update={"minimum": answered}), "notes": [note]}
    turn = current_turn(state).model_copy(update={"layer": 0})
    again: CouncilUpdate = {"absences": Overwrite([]), "seating": turn}
    if isinstance(error, BudgetError) or exceeded_budget(state, council, more_calls=1):
        again.update(renewed_budget(state, council, len(council.characters)))
    return again


def _request(error: MixtureError, choices: Sequence[Choice]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "kind": PAUSED,
        "error": type(error).__name__,
        "what": error.what,
        "cure": error.cure,
        "choices": [*choices, "give_up"],
        **_review(error, choices),
    }
    if isinstance(error, QuorumError):
        absences = [absence.model_dump(mode="json") for absence in error.absences]
        request |= {"answered": error.answered, "needed": error.needed, "absences": absences}
    return request


_HINTS: dict[Choice, str] = {
    "ask_again": "asks the missing members again",
    "go_on": "goes on with those who are there",
    "give_up": "ends the question with this error",
}


def _review(error: MixtureError, choices: Sequence[Choice]) -> dict[str, Any]:
    """The pause as clients of LangChain draw it: a choice to approve, to change, or to reject."""
    lines = [f"Approve {_HINTS[choices[0]]}."]
    lines += [f"Edit `choice` to {one!r}: {_HINTS[one]}." for one in choices[1:]]
    lines.append(f"Reject {_HINTS['give_up']}.")
    description = "\n\n".join([f"{error.what}.", *([f"Cure: {error.cure}."] if error.cure else [])])
    return review_request(
        [Action(choices[0], {"choice": choices[0]}, "\n\n".join([description, " ".join(lines)]))],
        ["approve", "edit", "reject"] if len(choices) > 1 else ["approve", "reject"],
        {
            "type": "object",
            "properties": {"choice": {"type": "string", "enum": [*choices, "give_up"]}},
            "required": ["choice"],
        },
    )


def read_choice(reply: Any, choices: Sequence[Choice]) -> Choice:
    """The choice in a resume value; whatever says nothing clear is the usual one."""
    if reviews := read_reviews(reply):
        return _reviewed_choice(reviews[0], choices)
    if isinstance(reply, Mapping):
        reply = next((reply[key] for key in ("choice", "text", "type") if key in reply), None)
    if reply is False:
        return "give_up"
    words = str(reply).strip().lower().replace("_", " ")
    if words in _NO:
        return "give_up"
    return "go_on" if words in _GO_ON and "go_on" in choices else choices[0]


def _reviewed_choice(review: HumanDecision, choices: Sequence[Choice]) -> Choice:
    """The choice in a decision; a comment that names none is the rejection it was offered for."""
    if review.kind == "approve":
        return choices[0]
    if review.kind == "edit":
        return read_choice(review.args.get("choice"), choices)
    words = review.text.lower().replace("_", " ")
    named = review.kind in ("respond", "comment") and words in (*_GO_ON, "ask again")
    return read_choice(words, choices) if named else "give_up"


def paused_error(request: Mapping[str, Any]) -> MixtureError:
    """The error that a pause stands for, for a door whose callers expect one."""
    what, cure = str(request["what"]), str(request["cure"])
    if request["error"] == QuorumError.__name__:
        return QuorumError(
            what,
            cure=cure,
            answered=int(request["answered"]),
            needed=int(request["needed"]),
            absences=[Absence.model_validate(one) for one in request["absences"]],
        )
    return _ERRORS[str(request["error"])](what, cure=cure)


def is_pause(request: Any) -> bool:
    """Whether an interrupt's value is a pause of ours."""
    return isinstance(request, Mapping) and request.get("kind") == PAUSED


def renewed_budget(state: CouncilState, council: Council, calls: int) -> CouncilUpdate:
    """The update that gives a question its budget once more, and enough for this many calls."""
    used, budget = total_usage(state), council.budget
    limits: dict[str, Any] = {}
    if budget.calls is not None:
        limits["max_calls"] = used.calls + max(budget.calls, calls + 1)
    if budget.tokens is not None:
        limits["max_tokens"] = (used.tokens or 0) + budget.tokens
    if budget.usd is not None:
        limits["max_usd"] = (used.usd or 0.0) + budget.usd
    settings = state.get("settings") or QuestionSettings()
    return {"asked_at": steady_time(), "settings": settings.model_copy(update=limits)}


ReviewKind = Literal["approve", "edit", "reject", "respond", "comment"]
"""respond: an answer in the action's place; comment: a text that Agent Inbox offers wherever a
rejection is allowed."""

_KINDS: dict[str, ReviewKind] = {
    "approve": "approve",
    "accept": "approve",
    "edit": "edit",
    "reject": "reject",
    "ignore": "reject",
    "response": "comment",
    "respond": "respond",
}


@dataclass(frozen=True, slots=True)
class HumanDecision:
    """What a person decided about one action."""

    kind: ReviewKind
    name: str = ""
    """Of the edited action."""
    args: dict[str, Any] = field(default_factory=dict)
    """The edited action's arguments."""
    text: str = ""
    """The reason of a rejection, an answer, or a comment."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a person is asked about."""

    name: str
    args: Mapping[str, Any]
    description: str


def review_request(
    actions: Sequence[Action],
    decisions: Sequence[ReviewKind],
    args_schema: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The two keys of an interrupt's value by which clients draw their buttons.

    Args:
        actions: what the person is asked about.
        decisions: which decisions are possible, the same for each action.
        args_schema: a JSON schema of the arguments that an edit may give.
    """
    names = list(dict.fromkeys(action.name for action in actions))
    schema = {} if args_schema is None else {"args_schema": dict(args_schema)}
    return {
        "action_requests": [
            {
                "name": action.name,
                "args": dict(action.args),
                "arguments": dict(action.args),  # the name under which Agent Inbox looks for them
                "description": action.description,
            }
            for action in actions
        ],
        "review_configs": [
            {"action_name": name, "allowed_decisions": list(decisions), **schema} for name in names
        ],
    }


def read_reviews(reply: Any) -> tuple[HumanDecision, ...] | None:
    """The decisions in a resume value; None where it has none of these shapes."""
    if isinstance(reply, Mapping):
        reply = reply.get("decisions", [reply])
    if isinstance(reply, str | bytes) or not isinstance(reply, Sequence) or not reply:
        return None
    reviews = [_read_review(one) for one in reply]
    read = tuple(one for one in reviews if one is not None)
    return read if len(read) == len(reviews) else None


def _read_review(decision: Any) -> HumanDecision | None:
    if not isinstance(decision, Mapping) or not isinstance(decision.get("type"), str):
        return None
    kind = _KINDS.get(decision["type"])
    if kind is None:
        return None
    args = decision.get("args")
    action = decision.get("edited_action", args)
    if kind == "edit":
        if not isinstance(action, Mapping) or not isinstance(action.get("args"), Mapping):
            return HumanDecision("reject")
        name = str(action.get("name") or action.get("action") or "")
        return HumanDecision("edit", name=name, args=dict(action["args"]))
    text = decision.get("message", args)
    return HumanDecision(kind, text=text.strip() if isinstance(text, str) else "")


def restore_types(args: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
    """Edited arguments with the types of the original ones: a form gives back texts alone."""
    return {name: _restore_type(value, original.get(name)) for name, value in args.items()}


def _restore_type(value: Any, original: Any) -> Any:
    if not isinstance(value, str) or original is None or isinstance(original, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


_FIRST: OrderedDict[tuple[str, ...], str] = OrderedDict()
"""By supersteps, the task whose request is shown."""
_MOST_PLACES = 4096


def interrupt_in_turn(runtime: Runtime[Any], value: Any) -> Any:
    """LangGraph's `interrupt`, which on LangGraph's server shows one request at a time.

    Chat clients answer without saying which request they mean, and LangGraph refuses such an
    answer where several wait. The others of a fan-out ask when the first one is answered. Inside a
    parent graph, and in Python, all ask at once.
    """
    try:
        return interrupt(value)
    except GraphInterrupt:
        info, inner = runtime.execution_info, get_config().get("configurable", {})
        is_served = "assistant_id" in inner and "run_id" in inner
        if info is None or not is_served or "|" in info.checkpoint_ns:
            raise
        place = (str(inner["run_id"]), *superstep_of(runtime))
        first_task = _FIRST.setdefault(place, info.task_id)
        if len(_FIRST) > _MOST_PLACES:
            _FIRST.popitem(last=False)
        if first_task == info.task_id:
            raise
        raise GraphInterrupt(()) from None
