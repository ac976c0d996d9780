"""The sentences that every door shares."""

from __future__ import annotations

from collections.abc import Sequence

from mom_council.deliberation.people import PersonRequest


def waiting_for(requests: Sequence[PersonRequest]) -> str:
    """What a stopped run waits for, and that nobody is there to answer."""
    parts = []
    for one in requests:
        if one.kind == "approve":
            parts += [f"{one.name} wants to call {call['tool']}" for call in one.calls]
        elif one.kind == "person":
            parts.append(f"{one.name} is to speak")
        else:
            parts.append(f"an extension asks {one.value!r}, which a program has to answer")
    approvals = all(one.kind == "approve" for one in requests)
    return f"{'; '.join(parts)}, and nobody is here to {'allow it' if approvals else 'answer'}"
