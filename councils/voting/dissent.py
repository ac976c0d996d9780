"""Who disagreed, and the strongest of what they said.

Councils lose most of the good ideas that only one member had, so the synthesizer is handed the
dissent explicitly.
"""

from __future__ import annotations

from collections.abc import Sequence

from mom_council.councils.records import Proposal, Verdict
from mom_council.councils.voting.answers import is_refusal


def dissent(proposals: Sequence[Proposal], verdict: Verdict) -> tuple[str, ...]:
    """The characters whose proposal is not in the leading option, in seat order.

    Nobody dissents where nobody leads.
    """
    if verdict.leader is None or not verdict.options:
        return ()
    leading = verdict.options[0].members
    names = dict.fromkeys(proposal.character for proposal in proposals)
    return tuple(name for name in names if name not in leading)


def minority_report(proposals: Sequence[Proposal], verdict: Verdict) -> Proposal | None:
    """The strongest dissenting proposal: by its option's tally, then its weight, then its seat.

    Refusals and empty texts are no report. None where everybody agrees.
    """
    against = set(dissent(proposals, verdict))
    tally = {name: option.tally for option in verdict.options for name in option.members}
    last = {proposal.character: proposal for proposal in proposals}
    heard = [
        proposal
        for name, proposal in last.items()
        if name in against and proposal.text.strip() and not is_refusal(proposal.text)
    ]
    return max(
        heard,
        key=lambda proposal: (tally.get(proposal.character, 0.0), proposal.weight),
        default=None,
    )
