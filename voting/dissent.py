"""Who disagreed, the strongest of it, and what proposals share, contradict, or say alone.

Councils lose most of what only one member knew, so the synthesizer is handed it by name. Here it is
found by the words alone, at the price of no call: proposals are cut into statements, and statements
that share most of their words are one point. Two that do and differ in a number, or in a "not", are
a contradiction. What says the same in other words is taken for two points; a model can tell better
(`synthesizer.compare: model`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

from mom_council.records import AnswerKind, Ballot, Proposal, Verdict
from mom_council.voting.ballot_forms import CHOICE
from mom_council.voting.counting import group_answers
from mom_council.voting.methods import METHODS
from mom_council.voting.methods.base import AnswerGroup, total
from mom_council.voting.reading import (
    Answer,
    are_same,
    compared_numbers,
    group_equal,
    is_refusal,
    plain_text,
    read_answer,
    read_value,
    same_answer,
)

_NO_OPTIONS: Mapping[str, str] = {}
_ALIKE = 0.6
"""Share of words from which on two statements are about the same."""
_MOST = 240
"""Statements that are compared, of all proposals together."""
_LONGEST = 160
_CUT = re.compile(r"(?<=[.!?;])\s+(?=[\"'(\[]?[A-Z0-9À-Þ])|\n+")
_ANSWER = re.compile(
    r"[\s*_#]*(?:the\s+)?(?:final\s+)?answer\b[^.]{0,24}?(?:is\b|:)", re.IGNORECASE
)
_BULLET = re.compile(r"^\s*(?:[-*•>#]+|\(?\d{1,2}[.)])\s+")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+(?:[.,]\d+)*")
_NOT = frozenset({"not", "no", "never", "none", "neither", "cannot", "without", "false", "wrong"})
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """
        a an the is are was were be been of to in on at by for with and or but it its this that
        these those as from so than then there here i we you he she they my your our their do does
        did has have had will would can could should may might must also very just
        """,
    )
)


@dataclass
class Point:
    """Something that proposals state, in the words of the first."""

    text: str
    members: list[str]
    words: frozenset[str] = field(repr=False)
    numbers: frozenset[str] = field(repr=False)
    denied: bool = field(repr=False)


@dataclass(frozen=True)
class Comparison:
    """The points of several proposals; characters in the order of the proposals."""

    agreed: tuple[Point, ...] = ()
    contradictions: tuple[tuple[Point, Point], ...] = ()
    partial: tuple[Point, ...] = ()
    unique: tuple[Point, ...] = ()


def compare(texts: dict[str, str], options: Mapping[str, str] = _NO_OPTIONS) -> Comparison:
    """Compare what was proposed.

    Args:
        texts: character -> its proposal; refusals and empty texts say nothing.
        options: of the question, label -> text.
    """
    plain = {
        name: plain_text(text)
        for name, text in texts.items()
        if text.strip() and not is_refusal(text)
    }
    if len(plain) < 2:
        return Comparison()
    points: list[Point] = []
    against: list[tuple[Point, Point]] = []
    for name, text in plain.items():
        for line in _statements(text)[: max(1, _MOST // len(plain))]:
            _lay(_point(line, name), points, against)
    against += _answers(plain, options)
    disputed = {id(one) for pair in against for one in pair}
    rest = [one for one in points if id(one) not in disputed]
    return Comparison(
        agreed=tuple(one for one in rest if len(one.members) == len(plain)),
        contradictions=tuple(against),
        partial=tuple(one for one in rest if 1 < len(one.members) < len(plain)),
        unique=tuple(one for one in rest if len(one.members) == 1),
    )


def _lay(new: Point, points: list[Point], against: list[tuple[Point, Point]]) -> None:
    """Join a statement to the point that it repeats, or put it beside those it contradicts."""
    fits = [(_likeness(new, one), -at, one) for at, one in enumerate(points)]
    same = [each for each in fits if each[0] >= _ALIKE and not _contradict(each[2], new)]
    if same:
        _, _, point = max(same, key=lambda each: each[:2])
        if new.members[0] not in point.members:
            point.members += new.members
        return
    disputed = [
        one
        for alike, _, one in fits
        if new.members[0] not in one.members
        and _contradict(one, new)
        and max(alike, _containment(one, new)) >= _ALIKE
    ]
    points.append(new)
    against += [(one, new) for one in disputed]


def _contradict(one: Point, other: Point) -> bool:
    return one.numbers != other.numbers or one.denied != other.denied


def _answers(texts: dict[str, str], options: Mapping[str, str]) -> list[tuple[Point, Point]]:
    """Final answers that differ, the first against each other one."""
    names = list(texts)
    answers = [read_answer(texts[name], options=options) for name in names]
    points = []
    for places in group_equal(answers):
        point = _point(f"the answer is {answers[places[0]].form}", names[places[0]])
        point.members += [names[at] for at in places[1:]]
        points.append(point)
    return [(points[0], other) for other in points[1:]]


def _statements(text: str) -> list[str]:
    lines = []
    for piece in _CUT.split(text):
        line = " ".join(_BULLET.sub("", piece).split())
        if _ANSWER.match(line) or line.endswith(":"):
            continue  # answers are compared as such
        if len(_WORD.findall(line)) >= 3:
            lines.append(line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3].rstrip()}...")
    return lines


def _point(sentence: str, name: str) -> Point:
    words = [word.casefold() for word in _WORD.findall(sentence)]
    bare = {word.removesuffix("n't") for word in words} - {""}  # a lone "n't" leaves nothing
    return Point(
        text=sentence,
        members=[name],
        words=frozenset(w for w in bare - _NOT - _EMPTY if not w[0].isdigit()),
        numbers=frozenset(w.replace(",", "") for w in bare if w[0].isdigit()),
        denied=bool(_NOT & set(words)) or any(word.endswith("n't") for word in words),
    )


def _containment(one: Point, other: Point) -> float:
    """How much of the shorter statement stands in the longer, which may go on with its reason."""
    least = min(len(one.words), len(other.words))
    return len(one.words & other.words) / least if least >= 3 else 0.0


def _likeness(one: Point, other: Point) -> float:
    union = len(one.words | other.words)
    return len(one.words & other.words) / union if union else 0.0


def in_words(
    comparison: Comparison,
    numbers: dict[str, int],
    *,
    most: int = 8,
    beside: Collection[str] = (),
) -> str:
    """A comparison as a list for the synthesizer, by the proposals' numbers; "" where it is empty.

    Args:
        comparison: the comparison.
        numbers: character -> its proposal's number, which names nobody.
        most: points of each sort.
        beside: the proposals that stand in the same prompt: a point that is the whole of one is
            not written out again.
    """
    whole = {" ".join(text.split()) for text in beside}

    def who(point: Point) -> str:
        listed = sorted(numbers[name] for name in point.members if name in numbers)
        return f"proposal{'s' * (len(listed) > 1)} {', '.join(map(str, listed))}"

    def quote_point(point: Point) -> str:
        return "" if point.text in whole else f": {point.text}"

    lines: list[str] = []
    for head, points in (
        ("All say", comparison.agreed),
        ("Some say", comparison.partial),
        ("Only one says", comparison.unique),
    ):
        for point in points[:most]:
            text = quote_point(point)
            if text or len(point.members) > 1:
                same = "" if text else " the same"
                place = "" if head == "All say" else f" ({who(point)})"
                lines.append(f"- {head}{same}{place}{text}")
        if len(points) > most:
            lines.append(f"- {head}: {len(points) - most} more points, in the proposals")
    pairs = [
        f"- Contradiction: {who(one)}{quote_point(one)} | {who(other)}{quote_point(other)}"
        for one, other in comparison.contradictions[:most]
    ]
    return "\n".join([*pairs, *lines])


def dissent(
    proposals: Sequence[Proposal], verdict: Verdict, ballots: Sequence[Ballot] = ()
) -> tuple[str, ...]:
    """The characters that disagree with the leading answer after the vote, in seat order.

    They proposed another answer, and did not vote for the leading one. Nobody dissents where
    nobody leads, and who says not to know the answer does not.
    """
    agreeing = set(joined_leader(proposals, verdict, ballots))
    agreeing |= {one.character for one in proposals if _knows_nothing(one.text)}
    return tuple(name for name in _others(proposals, verdict) if name not in agreeing)


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
    minority = [
        proposal
        for name, proposal in last.items()
        if name in against and proposal.text.strip() and not is_refusal(proposal.text)
    ]
    return max(
        minority,
        key=lambda proposal: (tally.get(proposal.character, 0.0), proposal.weight),
        default=None,
    )


_BETTER = 0.05
"""How much more often a lone dissenter must have been right to be named for it."""


def better_dissenter(
    proposals: Sequence[Proposal], verdict: Verdict, records: Mapping[str, float]
) -> str:
    """A line about who alone proposed another answer, and has the better record; else empty.

    A majority of weaker voices that err together is how a good answer is lost in a vote. The line
    changes nothing; it tells a reader where to look twice.

    Args:
        proposals: what was voted on.
        verdict: of the vote.
        records: how often each character's model was right on such questions.
    """
    others = _others(proposals, verdict)
    supporters = [name for name in verdict.options[0].members if name in records]
    if len(others) != 1 or others[0] not in records or not supporters:
        return ""
    alone, best = others[0], max(supporters, key=lambda name: records[name])
    if len(verdict.options[0].members) < 2 or records[alone] < records[best] + _BETTER:
        return ""
    answer = next((one.answer for one in verdict.options if alone in one.members), None)
    what = f"gave {answer!r}" if answer else "gave another answer"
    return (
        f"{alone} alone {what}, and was right more often before ({records[alone]:.0%} on such "
        f"questions) than those who agree ({best}: {records[best]:.0%})."
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


def majority_answer(
    proposals: Sequence[Proposal], *, kind: AnswerKind = "unknown"
) -> AnswerGroup | None:
    """The equal answers that more than half of those who spoke gave; None where there are none."""
    spoke = len({each.character for each in proposals})
    groups = group_answers(proposals, kind=kind)
    large = (each for each in groups if each.answer is not None and 2 * len(each.members) > spoke)
    return next(large, None)


def is_settled_by_answers(proposals: Sequence[Proposal], *, kind: AnswerKind = "unknown") -> bool:
    """Whether counting equal answers leaves ballots nothing to decide.

    One answer was given by more than half of those who spoke, and they have more than half of the
    weight; or everybody says the same word for word.
    """
    standing = {each.character: each for each in proposals}.values()
    if len({" ".join(each.text.split()).casefold() for each in standing}) == 1:
        return True
    most = majority_answer(proposals, kind=kind)
    return most is not None and 2 * most.weight > total(each.weight for each in standing)


def overturned(proposals: Sequence[Proposal], verdict: Verdict, *, kind: AnswerKind) -> str:
    """What to say where ballots put another answer before one that most had given."""
    if not METHODS[verdict.method].asks_voters or not verdict.ballots or not verdict.options:
        return ""
    most = majority_answer(proposals, kind=kind)
    if most is None or verdict.leader in most.members:
        return ""
    leading = verdict.options[0].answer
    first = repr(leading) if leading is not None else f"what {verdict.leader} proposed"
    spoke = len({each.character for each in proposals})
    return (
        f"The vote put {first} before {most.answer!r}, which {len(most.members)} of {spoke} had "
        "answered."
    )


def is_short(text: str) -> bool:
    """Whether a text is an answer of a few words and nothing else."""
    return 0 < len(text.split()) <= _FEW and "\n" not in text.strip()


_FEW = 3


def is_unsure(verdict: Verdict, proposals: Sequence[Proposal], question: str = "") -> bool:
    """Whether a question with one answer has none of which the members are sure.

    No more than half of the weight gives the leading answer. Where what leads is no answer that can
    be compared (a greeting, say), it must at least outweigh those who do not know it, and nobody
    may have given an answer beside them. Of two numbers that a question compares, the answer is
    one, and they differ.
    """
    weights = {proposal.character: proposal.weight for proposal in proposals}
    leading = next((one for one in verdict.options if verdict.leader in one.members), None)
    if leading is None:
        return False  # nobody knows
    unknowing = {one.character for one in proposals if _knows_nothing(one.text)}
    if unknowing >= weights.keys():
        return False  # the writer says it in their words
    behind = sum(weights.get(name, 0.0) for name in leading.members)
    if leading.answer is None:
        without = sum(weights[name] for name in unknowing)
        is_answered = any(one.answer is not None for one in verdict.options)
        return bool(unknowing) and (is_answered or without >= behind)
    compared = compared_numbers(question)
    return behind * 2 <= sum(weights.values()) or bool(
        compared and not _is_one_of(leading.answer, *compared)
    )


def most_know_nothing(proposals: Sequence[Proposal]) -> bool:
    """Whether more than half of the proposals decline, or say that they do not know."""
    return sum(_knows_nothing(one.text) for one in proposals) * 2 > len(proposals)


def _is_one_of(answer: str, one: str, other: str) -> bool:
    """Whether an answer is one of two numbers that differ."""
    return not same_answer(one, other) and (same_answer(answer, one) or same_answer(answer, other))


def _knows_nothing(text: str) -> bool:
    return is_refusal(text) or read_answer(text).type == "no answer"


def _words_of(answer: Answer) -> set[str]:
    return set((answer.form or "").casefold().split())


def contradiction_of(text: str, verdict: Verdict, options: Mapping[str, str] = _NO_OPTIONS) -> str:
    """What to say when the written answer is another than the one the council settled on.

    Args:
        text: as it was written.
        verdict: what the council settled on.
        options: of the question, label -> text.
    """
    answer = verdict.options[0].answer if led(verdict) and not verdict.tie else None
    if answer is None or text.strip() == answer:
        return ""
    written, agreed = read_answer(text, options=options), read_value(answer)
    if agreed and agreed.hard and (written.type == "no answer" or is_refusal(text)):
        return f"The synthesizer gave no answer, and the council had settled on {answer!r}."
    if not agreed or not written or are_same(written, agreed):
        return ""
    if agreed.type == "truth" and is_short(text) and agreed.type != written.type:
        return f"The synthesizer wrote {text!r}, and the council had settled on {answer!r}."
    in_few_words = agreed.type == written.type == "phrase" and is_short(text)
    if not in_few_words and (not agreed.hard or agreed.type != written.type):
        return ""  # prose may say the same in other words
    if in_few_words and _words_of(written) & _words_of(agreed):
        return ""
    return f"The synthesizer wrote {written.form!r}, and the council had settled on {answer!r}."
