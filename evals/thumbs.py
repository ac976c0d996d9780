"""What a person's thumb says of the models behind an answer.

A thumb judges the answer; who had given that very answer is judged with it. A thumb up says of
those who had given another one that they were wrong; a thumb down says nothing of them. Open
answers equal nobody's, so from a thumb on one of them nothing is learned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.models.ledger import Ledger, Outcome
from mom_council.records import AnswerKind, Proposal
from mom_council.runs.threads import read_values
from mom_council.voting.counting import answer_of
from mom_council.voting.fitted import Trust
from mom_council.voting.reading import are_same, read_answer


def outcomes(values: Mapping[str, Any], *, up: bool) -> list[Outcome]:
    """What a thumb on the last answer of a thread says of its models.

    Args:
        values: of the thread.
        up: whether the answer was right.
    """
    messages, trust = values.get("messages") or [], values.get("trust")
    if not messages or not isinstance(messages[-1], AIMessage) or not isinstance(trust, Trust):
        return []
    annotation = values.get("annotation")
    kind: AnswerKind = annotation.kind if annotation else "unknown"
    first: dict[str, Proposal] = {}
    for proposal in values.get("proposals", []):
        first.setdefault(proposal.character, proposal)  # what it said before it heard the others
    options = next((proposal.options for proposal in first.values()), {})
    final = read_answer(messages[-1].text, kind=kind, options=options)
    if not final:
        return []
    found = []
    for name, proposal in first.items():
        answer = answer_of(proposal, kind)
        same = are_same(answer, final)
        if answer and name in trust.voices and (up or same):
            right = up and same
            found.append(Outcome(trust.voices[name], trust.kind or "general", right, "thumb"))
    return found


async def rate(
    saver: BaseCheckpointSaver[Any],
    thread: str,
    *,
    up: bool | None,
    answer: str | None = None,
    ledger: Ledger | None = None,
) -> int:
    """Have the ledger learn from a thumb; how many models it says something of.

    The last thumb on an answer counts; None takes it back.

    Args:
        saver: where the thread is kept.
        thread: its name.
        up: the thumb.
        answer: the id of the message it is on. Of an earlier answer than the last nothing is
            learned: who said what is no longer known.
        ledger: who learns; this machine's if left out.

    Raises:
        StorageError: the thread or the ledger cannot be read.
    """
    values = await read_values(saver, thread)
    messages = values.get("messages") or []
    last = messages[-1].id if messages else None
    if last is None or answer not in (None, last):
        return 0
    learned = [] if up is None else outcomes(values, up=up)
    origin = f"thumb {thread} {last}"
    await asyncio.to_thread((ledger or Ledger()).learn, learned, origin=origin)
    return len(learned)
