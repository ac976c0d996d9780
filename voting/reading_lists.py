"""Rankings (`B > A > C`, `1. B 2. A`) and approvals (`A and C`, `A: yes, B: no`), from prose.

The last list wins. A ranking that names a candidate twice is none.
"""

from __future__ import annotations

import re

from mom_council.voting.candidates import Roll

_STEP = r"\s*(?:>+|≻|»|→|->|(?:,\s*)?\bthen\b|\bover\b)\s*"
_COMMA = r"\s*(?:,|;)\s*(?:and\s+|then\s+)?"
_RANKING = re.compile(
    r"\b(?:rank(?:ing|ings|ed)?|order|ballot|vote|preference)s?\b[^:\n]{0,40}[:=]\s*[*_`]*",
    re.IGNORECASE,
)
_PLACE = (
    r"(?:^|(?<=[\s,;(>]))(?:#|No\.?\s*)?(?P<place>\d{1,2})"
    r"(?:st|nd|rd|th)?(?:\s+place)?\s*[.):=-]?\s*"
)
_APPROVED = re.compile(
    r"(?<!not )(?<!dis)\b(?:approv(?:e|ed|es|al|als)|accept(?:ed|able|s)?|vote|ballot|votes)\b"
    r"(?:\s+(?:of|for|list))?"
    r"[*_`\"']*\s*(?:[:=]|\b(?:is|are|both|of|for)\b)?[\s*_`]*(?:both\s+)?",
    re.IGNORECASE,
)
_VERDICT = (
    r"\s*[:=|-]\s*[*_`]*(?P<said>(?i:yes|no|approved?|rejected?|accept(?:ed|able)?|disapproved?|"
    r"true|false)|✓|✔|✅|✗|✘|❌)(?!\w)"
)
_GOOD = re.compile(r"yes|approve|accept|true|✓|✔|✅", re.IGNORECASE)


def read_ranking(text: str, roll: Roll, *, commas: bool = True) -> tuple[str, ...]:
    """The characters, best first; empty where there is no ranking of two or more.

    With `commas`, as where a ranking was asked for, `B, A` is one too.
    """
    name = roll.name.pattern
    found: list[tuple[int, list[str]]] = []
    for chain in re.finditer(rf"{name}(?:{_STEP}{name})+", text):
        level = re.match(rf"\s*(?:=|~|≈)\s*{name}", text[chain.end() :])
        found.append((chain.start(), [] if level else _each(chain[0], roll)))
    for mark in _RANKING.finditer(text) if commas else ():
        listed = re.match(rf"\[?{name}(?:{_COMMA}{name})+", text[mark.end() :])
        if listed:
            found.append((mark.end(), _each(listed[0], roll)))
    found.extend(_numbered(text, roll))
    if not found and commas:
        whole = re.fullmatch(rf"\s*[\[(]?{name}(?:(?:{_COMMA}|\s*\n\s*){name})+[\])]?[\s.]*", text)
        found = [(0, _each(text, roll))] if whole else []
    ranking = max(found, key=lambda each: each[0])[1] if found else []
    fine = len(ranking) > 1 and len(set(ranking)) == len(ranking)
    return tuple(ranking) if fine else ()


def read_approvals(text: str, roll: Roll) -> tuple[str, ...]:
    """The characters approved of; empty where none can be read."""
    name = roll.name.pattern
    judged = {
        roll.who(found["who"]): bool(_GOOD.match(found["said"]))
        for found in re.finditer(rf"(?P<who>{name}){_VERDICT}", text)
    }
    if judged:
        return tuple(who for who in roll.characters if judged.get(who))
    approved: list[str] = []
    for mark in list(_APPROVED.finditer(text))[-30:]:
        clause = re.split(r"[,.;:!?\n]", text[max(0, mark.start() - 200) : mark.start()])[-1]
        if re.search(r"\b(?:not|never|cannot|can't|don't|neither)\b", clause, re.IGNORECASE):
            continue
        listed = roll.names.match(text, mark.end())
        if listed:
            approved = [] if _doubtful(listed[0]) else roll.all_in(listed[0])
        elif re.match(
            r"(?:all|every one|everyone|all of them)\b(?! (?:but|except))",
            text[mark.end() :],
            re.IGNORECASE,
        ):
            approved = list(roll.characters)
    if approved:
        return tuple(approved)
    whole = re.fullmatch(rf"[\[(\s]*(?i:both\s+)?({roll.names.pattern})[\])\s.!]*", text)
    return () if not whole or _doubtful(whole[1]) else tuple(roll.all_in(whole[1]))


def _doubtful(text: str) -> bool:
    return bool(re.search(r"\bor\b|\bvs\b", text, re.IGNORECASE))


def _each(text: str, roll: Roll) -> list[str]:
    named = (roll.who(found[0]) for found in roll.name.finditer(text))
    return [name for name in named if name]


def _numbered(text: str, roll: Roll) -> list[tuple[int, list[str]]]:
    """Lists that count 1, 2, 3 ... one candidate each; a new 1 begins a new list."""
    lists: list[tuple[int, list[str]]] = []
    for found in re.finditer(rf"{_PLACE}(?P<who>{roll.name.pattern})", text, re.MULTILINE):
        name = roll.who(found["who"])
        if not name:
            continue
        if found["place"] == "1":
            lists.append((found.start(), [name]))
        elif lists and int(found["place"]) == len(lists[-1][1]) + 1:
            lists[-1][1].append(name)
        elif lists:
            lists.pop()  # 1, 3: not a list that counts
    return [each for each in lists if len(each[1]) > 1]
