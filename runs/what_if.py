"""The what-if council: a question that was answered, gone on with from a change, in a new thread.

    fork = await what_if(graph, {"configurable": {"thread_id": "cats"}}, method="plurality")
    result = await resume(graph, fork)

What was said before the change is kept and not paid again. A changed proposal is voted on anew, a
changed vote or weight is only counted anew; another method asks for ballots only where those that
were cast do not say what it counts. The old thread stays as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from mom_council.councils.refusals import nearest
from mom_council.deliberation.context import QuestionSettings
from mom_council.errors import InputError, StorageError
from mom_council.records import Ballot, Proposal
from mom_council.voting.ballot_forms import BallotForm
from mom_council.voting.methods import METHODS
from mom_council.voting.revote import as_ballot_of

_FAN_IN = {"quorum", "equality_check"}


async def what_if(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    config: RunnableConfig,
    *,
    proposals: Mapping[str, str] | None = None,
    votes: Mapping[str, str | Sequence[str] | Mapping[str, float]] | None = None,
    method: str | None = None,
    weights: Mapping[str, float] | None = None,
    round: int | None = None,  # noqa: A002 - the council's own word
    thread: str | None = None,
    **settings: Any,
) -> RunnableConfig:
    """Fork the last question of a thread, with a change; returns where to go on.

    Args:
        graph: the council, compiled with the thread's checkpointer.
        config: holds `configurable.thread_id`.
        proposals: other texts, by the names of the characters that are to have said them.
        votes: other votes, by voters: a name, names with the best first, or scores by names.
        method: another way of counting.
        weights: other weights, by the names of characters.
        round: in which round; left out, in the last that was counted.
        thread: the name of the new thread; left out, it gets one.
        settings: further fields of `CouncilContext`, such as `threshold` or `max_rounds`.

    Raises:
        StorageError: the thread, or that round of it, is not there.
        InputError: a name or a value does not fit.
    """
    if method is not None and method not in METHODS:
        raise InputError(
            f"settings.method: there is no {method!r}", cure=nearest(method, [*METHODS])
        )
    name = config.get("configurable", {}).get("thread_id")
    snapshots = [one async for one in graph.aget_state_history(config)]
    counted = next((one for one in snapshots if _stands_at(one, {"consensus"}, round)), None)
    if counted is None:
        when = "no round" if round is None else f"no round {round}"
        raise StorageError(f"thread {name!r} has {when} that was counted")
    chosen = {"method": method, "weights": dict(weights) if weights else None, **settings}
    values, as_node = dict(counted.values), "quorum"
    if proposals:
        changed = [_changed(who, text, counted) for who, text in proposals.items()]
        turn = counted.values["seating"].round, min(one.layer for one in changed)
        values, as_node = _before_the_vote(snapshots, turn), changed[0].character
        values["proposals"] = [*values["proposals"], *(p for p in changed if p.layer == turn[1])]
    else:
        cast = _recast(values["ballots"], method, values["seating"].round)
        edited = [_vote(who, vote, values, method) for who, vote in (votes or {}).items()]
        values["ballots"] = [*cast, *edited]
    if any(value is not None for value in chosen.values()):
        before = values.get("settings") or QuestionSettings()
        values["settings"] = {**before.model_dump(exclude_none=True), **chosen}
    return await _begin_thread(graph, counted, values, as_node, thread)


async def _begin_thread(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    counted: StateSnapshot,
    values: dict[str, Any],
    as_node: str,
    thread: str | None,
) -> RunnableConfig:
    about: Mapping[str, Any] = dict(counted.metadata or {})
    fork: RunnableConfig = {
        "configurable": {"thread_id": thread or uuid.uuid4().hex[:8]},
        "metadata": {key: about.get(key, "") for key in ("council", "asked")},
    }
    if (await graph.aget_state(fork)).values:
        raise StorageError(f"there is a thread {thread!r} already", cure="choose another name")
    # As a question is: lists of threads count them.
    await graph.aupdate_state(fork, {"messages": values["messages"]}, as_node="__input__")
    await graph.aupdate_state(fork, values, as_node=as_node)
    return {"configurable": fork["configurable"]}


def _stands_at(snapshot: StateSnapshot, nodes: set[str], round_: int | None) -> bool:
    if not nodes.intersection(snapshot.next):
        return False
    return round_ is None or snapshot.values["seating"].round == round_


def _before_the_vote(snapshots: Sequence[StateSnapshot], turn: tuple[int, int]) -> dict[str, Any]:
    """The table when a layer had spoken."""
    return next(
        dict(one.values)
        for one in snapshots
        if _stands_at(one, _FAN_IN, turn[0]) and one.values["seating"].layer == turn[1]
    )


def _changed(who: str, text: str, counted: StateSnapshot) -> Proposal:
    """A character's proposal of the round that was counted, with another text."""
    own = [p for p in counted.values["proposals"] if p.character == who]
    here: list[Proposal] = [p for p in own if p.round == counted.values["seating"].round]
    if not here:
        names = ", ".join(sorted({p.character for p in counted.values["proposals"]}))
        raise InputError(f"{who!r} proposed nothing in this round", cure=f"there are {names}")
    return here[-1].model_copy(update={"text": text, "reasoning": "", "confidence": None})


def _recast(ballots: Sequence[Ballot], method: str | None, round_: int) -> list[Ballot]:
    """The ballots in the form that another method counts; who did not say that is asked again."""
    if method is None:
        return [*ballots]
    now = [as_ballot_of(one, method) for one in ballots if one.round == round_]
    earlier = [one for one in ballots if one.round < round_]
    return [*earlier, *(one for one in now if not one.abstained)]


def _vote(who: str, vote: Any, values: Mapping[str, Any], method: str | None) -> dict[str, Any]:
    """A ballot, in plain values, as somebody else writes it, in the form that is counted."""
    round_ = values["seating"].round
    cast = next((one for one in values["ballots"] if (one.voter, one.round) == (who, round_)), None)
    form = METHODS[method].form if method else _form_of(values["ballots"])
    if cast is None or form is None:
        raise InputError(f"{who!r} cast no ballot in this round that counts")
    if form.field in ("ranking", "approved") and isinstance(vote, str):
        vote = [vote]
    kept = {"voter": who, "round": round_, "weight": cast.weight, "shown": cast.shown}
    return {**kept, form.field: vote}


def _form_of(ballots: Sequence[Ballot]) -> BallotForm | None:
    forms = (method.form for method in METHODS.values() if method.form)
    return next((f for f in forms for one in ballots if f.is_filled(one)), None)
