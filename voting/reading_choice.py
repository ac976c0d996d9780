"""One choice, read from prose: `Vote: B`, `Je vote pour B`, `B gets my vote`, `✅ B`, `B`, `42`.

The last statement wins, as models change their minds while they write. A statement that names
two candidates, or none of them, says that there is no choice.
"""

from __future__ import annotations

import re

from mom_council.voting.ballot_words import ABSTAIN, BEST, NOT, VOTE, clauses
from mom_council.voting.candidates import CandidateMatcher
from mom_council.voting.reading.latex import boxed
from mom_council.voting.reading_lists import judgements

_THING = r"(?:answer|candidate|option|proposal|response|one|choice|solution)"
_MARK = re.compile(
    rf"\b(?:(?:vote|ballot|pick|choice|decision|selection|preference|winner|verdict|favou?rite|answer|"
    rf"conclusion|best|strongest|better)(?:\s+{_THING})?[*_`\"']*\s*"
    r"(?:(?:is|are|goes to|go to|went to|would be|would go to|must go to|will be|for|=|->|→)(?!\w)"
    r"|[:：=→]|-+\s)"
    r"(?:\s*(?::|for\b|to\b|goes to\b|is\b))?"
    r"|(?:vote|voted|voting|choose|chose|choosing|pick|picked|select|selected|prefer|endorse|favou?r|support|"
    r"elect|go with|going with|went with|opt for|opting for)(?:\s+(?:for|to))?)"
    r"[\s*_`]*(?:(?:clearly|definitely|still|therefore|thus|the)\s+)*",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\b(?:not|never|cannot|can't|won't|don't|didn't|doesn't|wouldn't|instead of|"
    r"rather than|if|whether|unless|against)\b",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"[\W_]*(?:i\s+)?(?:abstain|abstention|none|neither|nobody|no one|null|no vote|"
    r"no candidate|n/?a)\b",
    re.IGNORECASE,
)
_PRAISE = (
    r"\s+(?:is|was|seems|looks)\s+(?:(?:clearly|definitely|by far|the|a|most|only|much|far)\s+)*"
    r"(?:best|better|correct|strongest|right|winner|superior|accurate|convincing|preferable)\b"
)

_LAST = 30  # statements looked at, from the end

NONE = ""
"""Says that a reply makes a statement, and that it chooses nobody."""


def read_choice(text: str, matcher: CandidateMatcher) -> str | None:
    """The chosen character; `NONE` where it is said that there is none, or two; None if unsaid."""
    stated = said_choice(text, matcher)
    if stated is not None:
        return stated
    bare = _bare(text, matcher)
    if bare is not None:
        return bare
    for read in (_marked, _praised, _voted, _answered):
        chosen = read(text, matcher)
        if chosen is not None:
            return chosen
    return None


def said_choice(text: str, matcher: CandidateMatcher) -> str | None:
    """What the last explicit statement chooses: `Vote: ...`, `I choose ...`, `the best is ...`."""
    for mark in list(_MARK.finditer(text))[: -_LAST - 1 : -1]:
        if _negated(text, mark.start()):
            continue
        rest = text[mark.end() : mark.end() + 2000]
        named = matcher.names.match(rest)
        if named:
            members = matcher.all_in(named[0])
            return members[0] if len(members) == 1 else NONE
        if _NOBODY.match(rest):
            return NONE
        answered = matcher.by_answer(rest.split("\n", 1)[0][:300])
        if answered:
            return answered
    boxes = [who for _, inner, _ in boxed(text) if (who := matcher.resolve(inner))]
    return boxes[-1] if boxes else None


def _voted(text: str, matcher: CandidateMatcher) -> str | None:
    """The one candidate in the last clause that speaks of the vote or of the best.

    In any of the languages of `ballot_words`, whatever the order of words: `B gets my vote`,
    `Bに投票します`. A clause that denies, or only supposes, says nothing; one that abstains, or
    names two, chooses nobody.
    """
    for clause in reversed(clauses(text)[-_LAST:]):
        if ABSTAIN.search(clause):
            return NONE
        if len(clause) > 300 or not (VOTE.search(clause) or BEST.search(clause)):
            continue
        members = matcher.all_in(clause)
        if members and not NOT.search(_without_names(clause, matcher)):
            return members[0] if len(members) == 1 else NONE
    return None


def _without_names(clause: str, matcher: CandidateMatcher) -> str:
    """A clause without its candidates, whose labels or names may look like other words."""
    return matcher.name.sub(" ", clause)


def _marked(text: str, matcher: CandidateMatcher) -> str | None:
    """The only candidate with a check mark."""
    if not re.search(r"[✓✔✅☑]|\[x\]", text, re.IGNORECASE):
        return None
    good = [who for who, fine in judgements(text, matcher).items() if fine]
    return good[0] if len(good) == 1 else NONE


def _negated(text: str, at: int) -> bool:
    """Whether the clause before this place denies, or only supposes, what it leads to."""
    return bool(_NEGATED.search(re.split(r"[,.;:!?\n]", text[max(0, at - 200) : at])[-1]))


def _bare(text: str, matcher: CandidateMatcher) -> str | None:
    """The reply, its last line or its beginning is a candidate's name."""
    if _NOBODY.fullmatch(text.rstrip(" .!*_")):
        return NONE
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    for line in [text.strip(), *lines[-1:], *lines[:1]]:
        whole = matcher.names.fullmatch(line.lstrip("# ").rstrip(" .,;:!?*_`"))
        if whole:
            members = matcher.all_in(whole[0])
            return members[0] if len(members) == 1 else NONE
    head = matcher.names.match(text.lstrip())
    if not head:
        return None
    members = matcher.all_in(head[0])
    after = text.lstrip()[head.end() :]
    if len(members) > 1 and re.match(r"\s*(?:[.,;:!]|$|\n|because\b)", after):
        return NONE
    if len(members) != 1:
        return None
    if re.match(r"\s*(?:[,;–—]|-\s|because\b|since\b|over\b|as\b)", after):
        return members[0]
    if re.match(r"\s*[.:)]|\s*\n", after) or head[0].endswith((")", "]")):
        # "A: wrong. B: right." goes through the candidates; it does not begin with its choice.
        heads = re.finditer(rf"(?:^|[.!?\n;])\s*({matcher.name.pattern})\s*[.:)=-]", after)
        others = [other for other in heads if matcher.who(other[1]) not in members]
        return None if others or _is_score(after) else members[0]
    return None


def _is_score(after: str) -> bool:
    return bool(re.match(r"\s*[:=-]+\s*\d+(?:\.\d+)?\s*(?:/|out of|$|\n|,)", after))


def _praised(text: str, matcher: CandidateMatcher) -> str | None:
    """`B is correct`, where nobody else is called so."""
    praised = set()
    for found in re.finditer(rf"({matcher.name.pattern}){_PRAISE}", text):
        if not _negated(text, found.start()) and not re.match(r"\s+than\b", text[found.end() :]):
            praised.add(matcher.who(found[1]))
    named = {name for name in praised if name}
    if not named:
        return None
    return named.pop() if len(named) == 1 else NONE


def _answered(text: str, matcher: CandidateMatcher) -> str | None:
    return matcher.by_answer(text) if len(text) <= 400 else None
