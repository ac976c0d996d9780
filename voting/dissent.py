"""Who disagreed, and the strongest of what they said.

Councils lose most of the good ideas that only one member had, so the synthesizer is handed the
dissent explicitly.

What stands behind a proposal, in the words that the synthesizer and the reader are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from mom_council.records import Ballot, Proposal, Verdict
from mom_council.voting.ballot_forms import CHOICE
from mom_council.voting.methods import METHODS
from mom_council.voting.reading import are_same, is_refusal, read_answer, read_value


def dissent(
    proposals: Sequence[Proposal], verdict: Verdict, ballots: Sequence[Ballot] = ()
) -> tuple[str, ...]:
    """The characters that disagree with the leading answer after the vote, in seat order.

    They proposed another answer, and did not vote for the leading one. Nobody dissents where
    nobody leads.
    """
    joined = set(joined_leader(proposals, verdict, ballots))
    return tuple(name for name in _others(proposals, verdict) if name not in joined)


def joined_leader(
    proposals: Sequence[Proposal], verdict: Verdict, ballots: Sequence[Ballot]
) -> tuple[str, ...]:
    """The characters that proposed another answer and then voted for the leading one."""
    cast = {ballot.voter: ballot for ballot in ballots if ballot.round == verdict.round}
    leading = set(verdict.options[0].members) if verdict.options else set()
    return tuple(
        name
        for name in _others(proposals, verdict)
        if name in cast and _favours(cast[name], leading)
    )


def _others(proposals: Sequence[Proposal], verdict: Verdict) -> list[str]:
    """Whose proposal is not in the leading option."""
    if verdict.leader is None or not verdict.options:
        return []
    leading = verdict.options[0].members
    names = dict.fromkeys(proposal.character for proposal in proposals)
    return [name for name in names if name not in leading]


def _favours(ballot: Ballot, leading: Set[str]) -> bool:
    """Whether a ballot puts one of these first, or among those that it approves of."""
    first = CHOICE.read_from(ballot)
    return first in leading if first is not None else bool(leading & {*ballot.approved})


def minority_report(
    proposals: Sequence[Proposal], verdict: Verdict, ballots: Sequence[Ballot] = ()
) -> Proposal | None:
    """The strongest dissenting proposal: by its option's tally, then its weight, then its seat.

    Refusals and empty texts are no report. None where everybody agrees.
    """
    against = set(dissent(proposals, verdict, ballots))
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


def led(verdict: Verdict) -> bool:
    """Whether anybody stands behind the leader: without a ballot its seat alone put it first."""
    return verdict.leader is not None and verdict.share > 0


def dissenting(
    standing: Sequence[Proposal], verdict: Verdict, ballots: Sequence[Ballot] = ()
) -> tuple[str, ...]:
    """Who disagrees; nobody where nobody stands behind the leader."""
    return dissent(standing, verdict, ballots) if led(verdict) else ()


def support(proposal: Proposal, verdict: Verdict, proposals: int) -> str:
    """How much of the council stands behind a proposal."""
    option = next((o for o in verdict.options if proposal.character in o.members), None)
    if option is None or not led(verdict):
        return ""
    return METHODS[verdict.method].support(option, verdict, proposals)


def verdict_in_words(verdict: Verdict, number: Mapping[str, int]) -> str:
    """The verdict by the proposals' numbers, which name nobody."""
    if not led(verdict):
        return "nobody voted; weigh the proposals yourself"
    leading = [f"proposal {number[name]}" for name in verdict.options[0].members]
    share = METHODS[verdict.method].share_means.format(verdict.share)
    words = f"{' and '.join(sorted(leading))} leads with {share}"
    return words + (", a tie broken by seat" if verdict.tie else "")


def contradiction_of(text: str, verdict: Verdict) -> str:
    """What to say when the written answer is another than the one the council settled on."""
    settled = verdict.options[0].answer if led(verdict) and not verdict.tie else None
    written = read_answer(text)
    agreed = read_value(settled) if settled is not None else None
    if agreed and agreed.hard and (written.type == "no answer" or is_refusal(text)):
        return f"The synthesizer gave no answer, and the council had settled on {settled!r}."
    if not agreed or not written or are_same(written, agreed):
        return ""
    if not agreed.hard or agreed.type != written.type:
        return ""  # prose may say the same in other words
    return f"The synthesizer wrote {written.form!r}, and the council had settled on {settled!r}."
