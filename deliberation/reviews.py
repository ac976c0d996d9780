"""Interrupts in the shape of LangChain's human-in-the-loop, and the answers to them.

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
from langgraph.types import interrupt

from mom_council.deliberation.fan_out import superstep_of

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
_KEPT = 4096


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
        shown = _FIRST.setdefault(place, info.task_id)
        if len(_FIRST) > _KEPT:
            _FIRST.popitem(last=False)
        if shown == info.task_id:
            raise
        raise GraphInterrupt(()) from None
