"""Ballots read from prose: rankings, approvals, and one choice.

Rankings are `B > A > C`, `1. B 2. A`; approvals are `A and C`, `A: yes, B: no`.

An order is only read where it can mean one thing. Rank numbers are ranks: 1 is the best. What
names a candidate twice, counts from the worst, or says two orders at once, is no ranking.

One choice, read from prose: `Vote: B`, `Je vote pour B`, `B gets my vote`, `✅ B`, `B`, `42`.

The last statement wins, as models change their minds while they write. A statement that names
two candidates, or none of them, says that there is no choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mom_council.voting.candidates import (
    ABSTAIN,
    BEST,
    NO,
    NOT,
    ORDINAL,
    OUT_OF,
    RANK_WORD,
    SCORE_WORD,
    UNIT,
    VOTE,
    YES,
    CandidateMatcher,
    clauses,
    place_of,
)
from mom_council.voting.reading.latex import boxed
from mom_council.voting.reading.text import lazy_pattern

_STEP = (
    r"\s*(?:>+|≻|»|→|->|(?:,\s*)?\b(?:then|dann|puis|ensuite|luego|después|depois|poi|затем|потом)\b|"
    r"\b(?:over|ahead\s+of|followed\s+by|gefolgt\s+von|vor|suivi\s+de|seguido\s+de|seguito\s+da)\b|"
    r"其次|然后|然後|次に|다음)\s*"
)
_COMMA = r"\s*(?:,|;|、)\s*(?:and\s+|then\s+|und\s+|et\s+|y\s+|e\s+)?"
_RANKING = lazy_pattern(
    r"(?:\b(?:rank(?:ing|ings|ed)?|order|ballot|vote|preference|rangfolge|reihenfolge|rangliste|"
    r"classement|clasificación|ranking|orden|classificação|ordem|classifica|ordine|рейтинг|порядок)s?\b"
    r"|排名|排序|順位|ランキング|순위|क्रम|रैंकिंग|الترتيب)[^:\n]{0,40}[:=]\s*[*_`]*",
    re.IGNORECASE,
)
_MARKER = r"(?:[.):=|]|-(?=\s)|→)"
_BACKWARDS = lazy_pattern(
    r"\b(?:worst|weakest|least|lowest|last)\b[^.\n]{0,20}?(?:\bto\b|→|->|\bfirst\b|-to-)|\bascending\b|"
    r"\b(?:1|one)\s*(?:=|is|means|being|for)\s*(?:the\s+)?(?:worst|lowest|weakest|last)|"
    r"\b[2-9]\s*(?:=|is|means|being|for)\s*(?:the\s+)?(?:best|highest|strongest|top)|"
    r"\bvon\s+(?:schlecht|schwäch)\w*|\bdu\s+(?:pire|moins\s+bon)|\bde\s+peor|\bdel\s+peor|\bdo\s+pior|"
    r"\bdal\s+peggior|\bот\s+худш|从差到好|从最差|悪い順|나쁜\s*순|최악",
    re.IGNORECASE,
)
"""Orders that begin with the worst."""
_APPROVED = lazy_pattern(
    r"(?<!not )(?<!dis)(?:\b(?:approv(?:e|ed|es|al|als)|accept(?:ed|able|s)?|vote|ballot|votes|"
    r"akzeptiere|akzeptabel|stimme\s+zu|approuve|accepte|apruebo|acepto|aprovo|aceito|approvo|accetto|"
    r"одобряю|принимаю)\b|赞成|贊成|同意|承認|賛成|승인|찬성|स्वीकार|أوافق|موافق)"
    r"(?:\s+(?:of|for|list))?"
    r"[*_`\"']*\s*(?:[:=]|\b(?:is|are|both|of|for)\b)?[\s*_`]*(?:both\s+)?",
    re.IGNORECASE,
)
_ALL = lazy_pattern(
    r"(?:all|every one|everyone|all of them|alle|tous|todos|tutti|всех|"
    r"所有|全部|すべて|모두|सभी|الكل)"
    r"\b(?! (?:but|except))",
    re.IGNORECASE,
)
_NOT_THOSE = lazy_pattern(
    r"\b(?:not|never|cannot|can't|don't|neither|nicht|non|no|não|ne|не)\b", re.IGNORECASE
)


def read_ranking(
    text: str, matcher: CandidateMatcher, *, requested: bool = True
) -> tuple[str, ...] | None:
    """The characters, best first; empty where an order is doubtful, None where none is stated.

    With `requested`, where a ranking was asked for, `B, A` is one too.
    """
    by_place = _by_places(text, matcher)
    stated = [_last_chain(text, matcher), by_place]
    if requested:
        stated.append(_last_list(text, matcher))
    orders = [order for order in stated if order is not None]
    if not orders:
        return None
    if counts_from_worst(text) or any(len({*each}) < len(each) for each in orders):
        return ()
    in_order = [name for name in matcher.characters if by_place is not None and name in by_place]
    if len(orders) > 1 and by_place == tuple(in_order):
        orders.remove(by_place)  # "1. A: wrong. 2. B: right." only goes through the candidates
    longest = max(orders, key=len)
    fine = len(longest) > 1 and all(_agrees(longest, order) for order in orders)
    return longest if fine else ()


def ranking_of(places: Mapping[str, float]) -> tuple[str, ...]:
    """The order that rank numbers say: 1 is the best; empty unless they count 1, 2, 3 ..."""
    counted = sorted(places.values()) == list(range(1, len(places) + 1))
    return tuple(sorted(places, key=lambda name: places[name])) if counted and places else ()


def counts_from_worst(text: str) -> bool:
    """Whether an order is said to begin with the worst, which is easily misread."""
    return bool(_BACKWARDS.search(text))


def says_points(text: str) -> bool:
    """Whether the numbers of a text are said to be points, not ranks."""
    return bool(
        re.search(rf"{OUT_OF}\s*10\b|\d\s*{UNIT}|(?<!\w){SCORE_WORD}(?!\w)|\d\.\d|\d,\d+\s*/", text)
    )


def _agrees(order: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two orders put those in both of them alike."""
    return [name for name in order if name in other] == [name for name in other if name in order]


def _last_chain(text: str, matcher: CandidateMatcher) -> tuple[str, ...] | None:
    """The last of `B > A > C`; empty where it goes both ways or holds a tie."""
    name = matcher.name.pattern
    chains = list(re.finditer(rf"{name}(?:{_STEP}{name})+", text))
    if not chains:
        return None
    last = chains[-1]
    level = re.match(rf"\s*(?:=|~|≈|<|≺|←)\s*{name}", text[last.end() :])
    behind = re.search(r"(?:=|~|≈|<|≺|←)\s*$", text[: last.start()])
    return () if level or behind else tuple(matcher.each_in(last[0]))


def _last_list(text: str, matcher: CandidateMatcher) -> tuple[str, ...] | None:
    """`Ranking: B, A, C`, or a reply that is nothing else but such a list."""
    name = matcher.name.pattern
    for mark in reversed(list(_RANKING.finditer(text))[-30:]):
        listed = re.match(rf"\[?{name}(?:{_COMMA}{name})+", text[mark.end() :])
        if listed:
            return tuple(matcher.each_in(listed[0]))
    whole = re.fullmatch(
        rf"\s*[\[(]?{name}(?:(?:{_COMMA}|\s*\n\s*){name})+[\])]?[\s.。]*", text[:2000]
    )
    return tuple(matcher.each_in(text)) if whole and len(text) <= 2000 else None


def _by_places(text: str, matcher: CandidateMatcher) -> tuple[str, ...] | None:
    """The order of places that stand beside names: a table, a line each, or all in one line."""
    pairs = _table_places(text, matcher) or _line_places(text, matcher)
    if not pairs:
        pairs = _inline_places(text, matcher)
    if len(pairs) < 2:
        return None
    places: dict[str, int] = {}
    for name, place in pairs:
        if places.get(name, place) != place:
            return ()
        places[name] = place
    return ranking_of(places) if len(places) == len({*places.values()}) else ()


def _table_places(text: str, matcher: CandidateMatcher) -> list[tuple[str, int]]:
    """Rows of a Markdown table with a column of ranks."""
    column: int | None = None
    pairs = []
    for line in text.split("\n"):
        if line.count("|") < 2:
            continue
        cells = [cell.strip(" *_`") for cell in line.strip().strip("|").split("|")]
        heads = [
            at
            for at, cell in enumerate(cells)
            if re.search(rf"(?<!\w){RANK_WORD}(?!\w)", cell) and not re.search(r"\d", cell)
        ]
        if heads:
            column = heads[0]
            continue
        names = [name for cell in cells if (name := matcher.who(cell))]
        if column is not None and column < len(cells) and len(names) == 1:
            place = re.fullmatch(rf"#?\s*(?:\d{{1,2}}[.)]?|{ORDINAL})", cells[column])
            number = place_of(place[0]) if place else None
            if number is not None:
                pairs.append((names[0], number))
    return pairs


def _line_places(text: str, matcher: CandidateMatcher) -> list[tuple[str, int]]:
    """Lines that each begin with a place and a name: `1. B`, `2nd place: A`, `第三：C`."""
    numeral = r"(?:#|No\.?\s*|第)?\d{1,2}(?:名|位|위|등)?"
    place = rf"(?:{RANK_WORD}\s*[#:]?\s*)?(?P<place>{numeral}|{ORDINAL})"
    start = re.compile(
        rf"^[\s>#*_|-]*{place}(?:\s+{RANK_WORD})?[\s*_]*{_MARKER}?\s*"
        rf"(?P<name>{matcher.name.pattern})",
        re.MULTILINE,
    )
    blocks: list[list[tuple[str, int]]] = []
    for match in start.finditer(text):
        name, number = matcher.who(match["name"]), place_of(match["place"])
        if name is None or number is None:
            continue
        if number == 1 or not blocks:
            blocks.append([])  # a new 1 begins a new list
        blocks[-1].append((name, number))
    return next((block for block in reversed(blocks) if len(block) > 1), [])


def _inline_places(text: str, matcher: CandidateMatcher) -> list[tuple[str, int]]:
    """Places and names in turn: `First: C. Second: A.` or `A is 2nd, B 3rd, C 1st`."""
    explicit = (
        rf"{ORDINAL}|{RANK_WORD}\s*[#:]?\s*\d{{1,2}}|#\d{{1,2}}|第?\d{{1,2}}(?:名|位|위|등)|"
        rf"(?:(?<=\s)|^|(?<=[,;(]))\d{{1,2}}[.)](?=\s*[*_`\"'(\[]*\w)"
    )
    token = re.compile(rf"(?P<name>{matcher.name.pattern})|(?P<place>{explicit})")
    best: list[tuple[str, int]] = []
    for line in [*text.split("\n"), text.replace("\n", " ")][-200:]:
        if len(line) > 2000:
            continue
        pairs = _in_turn(line, token, matcher)
        best = pairs if len(pairs) > 1 and len(pairs) >= len(best) else best
    return best


def _in_turn(line: str, token: re.Pattern[str], matcher: CandidateMatcher) -> list[tuple[str, int]]:
    """Pairs of name and place, where the two take strict turns through the line."""
    tokens: list[str | int] = []
    for match in token.finditer(line):
        value = matcher.who(match["name"]) if match["name"] else place_of(match["place"])
        if value is not None:
            tokens.append(value)
    names, places = tokens[0::2], tokens[1::2]
    if tokens and isinstance(tokens[0], int):
        names, places = places, names
    if len(names) != len(places):
        return []
    return [
        (name, place)
        for name, place in zip(names, places, strict=True)
        if isinstance(name, str) and isinstance(place, int)
    ]


def read_approvals(text: str, matcher: CandidateMatcher) -> tuple[str, ...]:
    """The characters approved of; empty where none can be read."""
    judged = judgements(text, matcher)
    if judged:
        return tuple(who for who in matcher.characters if judged.get(who))
    approved: list[str] = []
    for mark in list(_APPROVED.finditer(text))[-30:]:
        clause = re.split(r"[,.;:!?\n]", text[max(0, mark.start() - 200) : mark.start()])[-1]
        if _NOT_THOSE.search(clause):
            continue
        listed = matcher.names.match(text, mark.end())
        if listed:
            approved = [] if _says_or(listed[0]) else matcher.all_in(listed[0])
        elif _ALL.match(text[mark.end() :]):
            approved = list(matcher.characters)
    if approved:
        return tuple(approved)
    whole = re.fullmatch(rf"[\[(\s]*(?i:both\s+)?({matcher.names.pattern})[\])\s.!]*", text)
    return () if not whole or _says_or(whole[1]) else tuple(matcher.all_in(whole[1]))


def judgements(text: str, matcher: CandidateMatcher) -> dict[str, bool]:
    """Whom a reply marks as good or bad: `A: yes`, `B ✗`, `✅ C`, `[x] A`, `| A | no |`."""
    name = matcher.name.pattern
    after = re.compile(
        rf"(?P<who>{name})[*_`]*\s*(?:[:=|→-]\s*)?[*_`]*(?:(?P<yes>{YES})|(?P<no>{NO}))(?!\w)"
    )
    before = re.compile(
        rf"(?:(?P<yes>✓|✔|✅|☑|\[x\])|(?P<no>✗|✘|❌|☒|☐|\[ \]))\ufe0f?\s*(?P<who>{name})",
        re.IGNORECASE,
    )
    judged: dict[str, bool] = {}
    for line in text.split("\n"):
        pattern = before if before.match(line.strip(" -*|")) else after
        for match in pattern.finditer(line):
            who = matcher.who(match["who"])
            linked = match["yes"] or match["no"] or ""
            bare_word = linked.isalpha() and not re.search(r"[:=|→-]", match[0])
            if who is not None and not bare_word:
                judged[who] = bool(match["yes"])
    return judged


def _says_or(text: str) -> bool:
    return bool(
        re.search(r"\b(?:or|vs|oder|ou|o|или)\b|或|または|또는|या|\bأو\b", text, re.IGNORECASE)
    )


_THING = r"(?:answer|candidate|option|proposal|response|one|choice|solution)"
_MARK = lazy_pattern(
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
_NEGATED = lazy_pattern(
    r"\b(?:not|never|cannot|can't|won't|don't|didn't|doesn't|wouldn't|instead of|"
    r"rather than|if|whether|unless|against)\b",
    re.IGNORECASE,
)
_NOBODY = lazy_pattern(
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
    for match in re.finditer(rf"({matcher.name.pattern}){_PRAISE}", text):
        if not _negated(text, match.start()) and not re.match(r"\s+than\b", text[match.end() :]):
            praised.add(matcher.who(match[1]))
    named = {name for name in praised if name}
    if not named:
        return None
    return named.pop() if len(named) == 1 else NONE


def _answered(text: str, matcher: CandidateMatcher) -> str | None:
    return matcher.by_answer(text) if len(text) <= 400 else None
