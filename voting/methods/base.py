"""What a vote method is: its facts, its words and its arithmetic, in one class in one file.

Everything that methods share (merging equal answers, leaving out votes for oneself, breaking ties)
has happened to the tally before, or happens to the standings after.

Numbers are exact, integers or fractions: a tie is a tie, whatever the weights and their order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, NamedTuple

from mom_council.records import Ballot, Option, Proposal, Verdict
from mom_council.voting.ballot_forms import BallotForm
from mom_council.voting.likeness import Measure

Number = Fraction | int


def exact(weight: float) -> Number:
    """A weight as the decimal it was written as: 0.1 + 0.2 is 0.3 here."""
    return int(weight) if weight == int(weight) else Fraction(repr(weight))


def total(weights: Iterable[float]) -> Number:
    """The exact sum of weights."""
    return sum(exact(weight) for weight in weights)


@dataclass(frozen=True)
class AnswerGroup:
    """Proposals that say the same: one option of the vote.

    Attributes:
        members: their characters, in seat order.
        weight: their weights together.
        answer: their canonical answer; None where there is none.
        speaker: who stands for them, where the method knows; else ballots, weight and seat say.
        confidence: how sure the surest of them said it is; None where nobody said.
        broken_off: their replies ended in the middle; a whole one comes first in a tie.
        silent: they answer nothing: a refusal, "I don't know", an empty value. Such an option
            never leads, and a ballot for it is an abstention.
    """

    members: tuple[str, ...]
    weight: Number
    answer: str | None = None
    speaker: str | None = None
    confidence: Number | None = None
    silent: bool = False
    broken_off: bool = False


@dataclass(frozen=True)
class Tally:
    """What is counted: options in seat order, and the ballots that name somebody.

    No ballot names its own voter or a stranger, and there is one ballot a voter.
    """

    options: tuple[AnswerGroup, ...]
    ballots: tuple[Ballot, ...] = ()
    option_of: Mapping[str, int] = field(default_factory=dict)

    @property
    def weight(self) -> Number:
        """The ballots' weights together."""
        return total(ballot.weight for ballot in self.ballots)

    def named(self, characters: Iterable[str]) -> list[int]:
        """The options these characters belong to, each once, in the order of first mention."""
        return list(dict.fromkeys(self.option_of[name] for name in characters))

    def may_name(self, voter: str, option: int) -> bool:
        """Whether a voter can vote for an option: it has a proposal that is not the voter's own."""
        members = self.options[option].members
        return len(members) > 1 or members != (voter,)

    def still_possible(self, option: int, out: Mapping[str, float]) -> Number:
        """The weight of those whose ballots are out and may yet name the option."""
        return total(weight for voter, weight in out.items() if self.may_name(voter, option))


class Standing(NamedTuple):
    """How an option stands. Options are ordered by `value`; `tally` and `share` are shown."""

    value: Number
    tally: Number
    share: Number


class VoteMethod(ABC):
    """A way of counting: all that the rest of the package knows of it stands here.

    `out` maps the voters whose ballots may still come (or, where nobody is asked, the characters
    whose proposals may) to their weights.
    """

    name: ClassVar[str]
    """As a council writes it."""
    meaning: ClassVar[str]
    """What it does, in a few words, for forms and help."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Further names that a council may write."""
    form: ClassVar[BallotForm | None] = None
    """The form of the ballots it counts; None where it counts none."""
    asks_voters: ClassVar[bool] = True
    """Whether voters are asked for ballots; otherwise proposals count by themselves."""
    counts: ClassVar[str] = "ballots"
    """What it counts, in words."""
    counts_answers: ClassVar[bool] = False
    """Whether equal answers are counted as they come, so that a layer may be asked in waves."""
    counts_nothing: ClassVar[bool] = False
    """Whether nobody leads: every proposal goes to the synthesizer."""
    compares_texts: ClassVar[bool] = False
    """Whether it reads how like two texts are, so that a model of vectors serves it."""
    stop_rules: ClassVar[frozenset[str]] = frozenset({"lossless", "threshold"})
    """The rules of `deliberation.stop` that may end its vote early."""
    character_instruction: ClassVar[str] = ""
    """What every character is told beside its question, so that the method has what it reads."""
    share_means: ClassVar[str] = "{:.0%} of the vote"
    """What a share is, in words."""

    def prepare(
        self,
        options: list[AnswerGroup],
        last: Mapping[str, Proposal],
        measure: Measure | None = None,
    ) -> list[AnswerGroup]:
        """The options as this method sees them; as they are, unless it reads more than answers.

        Args:
            options: of equal answers or the same words.
            last: each character's last proposal, in seat order.
            measure: how texts are compared; by their words if left out.
        """
        return options

    @abstractmethod
    def standings(self, tally: Tally) -> list[Standing]:
        """How each option stands, in the order of the tally's options."""

    @abstractmethod
    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The least by which `leader` stays ahead of `rival`, whatever comes; below 0: it may not.

        It may err only to the low side. 0 means that they may end level.
        """

    @abstractmethod
    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The least and the greatest share the option may end with; may err only outwards."""

    def support(self, option: Option, verdict: Verdict, proposals: int) -> str:
        """What stands behind an option, as the synthesizer is told."""
        return self.share_means.format(option.share)

    def describe(self, verdict: Verdict, leader: str) -> str:
        """How the leader got its place, in one clause for people.

        Args:
            verdict: the count, with at least one option.
            leader: the leading answer, or whose proposal leads, in words.
        """
        stands = "won" if verdict.stop_reason in ("agreed", "decided", "sure") else "leads"
        return f"{leader} {stands}, {percent(verdict.share)}"


class AddedVotes(VoteMethod):
    """A method that adds whole votes: a ballot's weight goes to each option that it names."""

    verb: ClassVar[str] = "chose"

    @abstractmethod
    def named_by(self, ballot: Ballot) -> Sequence[str]:
        """The characters that a ballot votes for."""

    def votes(self, tally: Tally) -> list[Number]:
        """The weight of the ballots that name each option."""
        count: list[Number] = [0] * len(tally.options)
        for ballot in tally.ballots:
            for option in tally.named(self.named_by(ballot)):
                count[option] += exact(ballot.weight)
        return count

    def standings(self, tally: Tally) -> list[Standing]:
        """Votes, and their share of the weight of all ballots that named somebody."""
        return standings_of(self.votes(tally), tally.weight)

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The lead if all who are out and may do so vote for the rival alone (exact)."""
        votes = self.votes(tally)
        return votes[leader] - votes[rival] - tally.still_possible(rival, out)

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The share if all who are out vote for another, and if all who may vote for this one."""
        votes, weight = self.votes(tally)[option], tally.weight
        whole, more = weight + total(out.values()), tally.still_possible(option, out)
        low = Fraction(votes) / whole if whole else 0
        high = Fraction(votes + more) / (weight + more) if weight + more else 0
        return low, high

    def describe(self, verdict: Verdict, leader: str) -> str:
        """By heads where heads are what was counted, else by weight."""
        behind, voters = round(verdict.options[0].tally), verdict.ballots
        return describe_heads(verdict, leader, behind, voters, self.verb)


def standings_of(votes: Sequence[Number], whole: Number) -> list[Standing]:
    """Standings from votes; the share is of `whole`, and 0 where nobody voted."""
    return [Standing(each, each, Fraction(each) / whole if whole else 0) for each in votes]


def describe_heads(verdict: Verdict, leader: str, behind: int, voters: int, verb: str) -> str:
    """`2 of 3 chose '42' (67 %)`; heads are named only where they were counted without weights."""
    if (
        abs(behind - verdict.share * voters) < 1e-6
        and abs(behind - verdict.options[0].tally) < 1e-6
    ):
        return f"{behind} of {voters} {verb} {leader} ({percent(verdict.share)})"
    return f"{percent(verdict.share)} of the weight {verb} {leader}"


def percent(share: float) -> str:
    """`67 %`."""
    return f"{100 * share:.0f} %"
