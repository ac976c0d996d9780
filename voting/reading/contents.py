"""What stands where an answer is stated: a value, a value and its reason, or a sentence that says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mom_council.voting.reading.answer import Answer
from mom_council.voting.reading.latex import boxed
from mom_council.voting.reading.text import lazy_pattern

Take = Callable[[str], Answer | None]
"""Reads a short value; None where it is none."""

# --- where a sentence ends --------------------------------------------------------------------

_ABBREVIATIONS = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "st",
        "no",
        "nr",
        "prof",
        "sr",
        "jr",
        "mt",
        "ft",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "fig",
        "eq",
        "approx",
        "ca",
        "vol",
        "gen",
        "col",
        "sgt",
        "lt",
        "rev",
        "hon",
        "inc",
        "ltd",
        "co",
        "corp",
        "bros",
        "dept",
        "est",
        "u.s",
        "u.k",
        "a.m",
        "p.m",
        "ph.d",
        "b.c",
        "a.d",
        "z.b",
        "bzw",
        "mme",
        "mlle",
        "sra",
        "ud",
        "vgl",
        "op",
    ]
)
_END = lazy_pattern(r"[.!?。।](?=[\s*_\"')\]]|$)|[;。।]|\n")


def sentence_end(text: str, start: int = 0) -> int:
    """Where the sentence that begins at `start` ends; abbreviations and initials end none.

    An open brace goes on over the end of the line, for LaTeX may.
    """
    for mark in _END.finditer(text, start):
        at = mark.start()
        if mark[0] == "\n":
            if text.count("{", start, at) > text.count("}", start, at) and at - start < 400:
                continue
            if text.count("\\begin{", start, at) > text.count("\\end{", start, at):
                continue
            return at
        if (
            mark[0] == "!"
            and at
            and text[at - 1].isdigit()
            and text[at + 1 : at + 2] not in ("", "\n")
        ):
            continue  # 5! + 3
        if mark[0] == ";" and text.count("\\begin{", start, at) > text.count("\\end{", start, at):
            continue
        if mark[0] == "." and _is_abbreviation(text, start, at):
            continue
        if mark[0] in ".;!?" and _is_quoted(text, start, at):
            continue
        return at
    return len(text)


_OPEN_QUOTE = lazy_pattern(r"(?:^|[\s(\[=])(?P<mark>['\"`])(?:(?!(?P=mark)).)*$")


def _is_quoted(text: str, start: int, at: int) -> bool:
    """Whether a place is inside quotation marks that close on the same line."""
    opening = _OPEN_QUOTE.search(text[max(start, at - 200) : at])
    if opening is None:
        return False
    end = text.find(opening["mark"], at)
    return end != -1 and "\n" not in text[at:end]


def _is_abbreviation(text: str, start: int, at: int) -> bool:
    word = re.search(r"[^\s(\"'*]*$", text[max(start, at - 12) : at])
    name = word[0] if word else ""
    after = text[at + 1 : at + 3].lstrip()[:1]
    if not after or text[at + 1 : at + 2] == "\n":
        return False
    if len(name) == 1 and name.isalpha() and name.isupper():
        # "J. K. Rowling" goes on; "The answer is B. The others are wrong." does not.
        return (
            re.match(
                r"\.\s?(?:[A-Z]\.|(?!(?:the|this|it|we|all|so|in|if|as|for|because|since|is|are|that|which|and|or|"
                r"but|both|none|i|you)\b)[a-z]{2,}|(?!The\b|This\b|It\b|We\b|All\b|So\b|In\b|If\b|As\b|For\b)[A-Z][\w'-]+)",
                text[at : at + 30],
            )
            is not None
        )
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", name):
        return after.islower() or after.isdigit()
    return name.casefold() in _ABBREVIATIONS and (name.casefold() != "no" or after.isdigit())


# --- what stands there ------------------------------------------------------------------------

_CUT = lazy_pattern(
    r",? (?:because|since|as |which|so |for |while|after|when|where|if |given|due|based|not |denn|weil|parce que|"
    r"porque|perché|потому|так как)|, (?:but|not|aber|mais|pero|mas|ma|а|но)\b|"
    r" [(–—-](?=\D)| \(|\s*:(?=\s)|,\s+(?=[a-z]{4,}\s)",
    re.IGNORECASE,
)  # fmt: skip
_LEAD = lazy_pattern(
    r"^[*_$\\(\s]*(?P<number>[-−]?\s?[$€£₹¥]?\s?\d[\d,]*(?:\.\d+)?(?:\s?(?:%|°C|°F))?)(?P<rest>.*)$",
    re.DOTALL,
)
_GOES_ON = lazy_pattern(
    r"[\d\\{}=<>^]|^\s*[-+*/:!]|^[^\W\d_]|^\s*of\b|\b(?:or|to|and|am|pm|[ap]\.m|bc|ad|lakh|crore)\b|[,;]\s*[A-Z]",
    re.IGNORECASE,
)
_PLACE_WORDS = lazy_pattern(
    r"\s+(?:in|on|at|for|from|with|by|left|altogether|total|over|under|after|before|during)\b.*$",
    re.IGNORECASE | re.DOTALL,
)


def read_content(rest: str, take: Take, *, loose: bool) -> Answer | None:
    """The answer that the text begins with."""
    if not rest.strip(" *_`:\n\t"):
        return None  # a label at the end of a reply that broke off
    box = boxed(rest[:400])
    if box and box[0][0] < 4:
        return read_said(box[0][1], take)
    fence = re.match(r"```[\w+-]*\n(.*?)```", rest, re.DOTALL)
    if fence:
        return take(fence[1])
    line = rest[: _line_end(rest)].strip()
    line = re.sub(r"\s*####.*$", "", line)
    line = _ADVERB.sub("", line)
    value = _first_value(line, take)
    if value is not None and (value.hard or not value):
        return value
    sentence = line[: sentence_end(line)]
    if value is None or _is_description(sentence):
        quoted = shown_value(sentence, take)
        if quoted is not None:
            return quoted
    phrase = value if loose else None
    if value is not None and value.type == "phrase":
        literal = _after_its_kind(sentence, take)
        if literal is not None or _TALKS_OF_IT.match(sentence):
            return literal
    if value is not None and not is_sentence(line):
        led = leading_number(sentence, take)
        return led or (None if _describes(value) else phrase)
    cut = _REASON.search(sentence)
    start = sentence[: cut.start()] if cut else sentence
    return leading_number(start, take) or in_sentence(start, take) or phrase


def _after_its_kind(sentence: str, take: Take) -> Answer | None:
    """The value after what it is: `the literal boolean False`."""
    kind = _PLAIN_KIND.match(sentence)
    literal = take(sentence[kind.end() :]) if kind else None
    return literal if literal is not None and literal.hard else None


_PLAIN_KIND = lazy_pattern(
    r"(?:(?:the|a|an|literal|exact|boolean|string|integer|float|number|value|empty|python)\s+){2,}",
    re.IGNORECASE,
)
"""`the literal boolean` before a value."""
_TALKS_OF_IT = lazy_pattern(
    r"(?:the|a|an)\s+(?:[a-z]+\s+){0,3}(?:string|list|dictionary|dict|tuple|input|output|function|literal|"
    r"representation|approximation|expression|estimate)s?\b(?!['\"`:=])|"
    r"(?:expressed|found|given|obtained|determined|calculated|computed|provided|stated|derived)\s+(?:in|by|as|from|above|below)\b",
)
"""What sort of thing the answer is, in place of the answer: `the original input string`."""
_REASON = lazy_pattern(
    r",?\s(?:because|since|weil|parce que|porque|perché|потому)\s", re.IGNORECASE
)
_ADVERB = lazy_pattern(
    r"^(?:therefore|thus|hence|then|clearly|simply|definitely|also|likely|probably|indeed|obviously|just)\s*,?\s+",
    re.IGNORECASE,
)


def _first_value(line: str, take: Take) -> Answer | None:
    """The first hard value that the beginning of a line is, else its first phrase."""
    phrase: Answer | None = None
    for part in _tries(line):
        value = take(part)
        if value is not None and (value.hard or not value):
            return value
        phrase = phrase or value
    return phrase


_DESCRIBED = lazy_pattern(r"(?:the|a|an|simply|just|thus)\b", re.IGNORECASE)
_QUOTED = lazy_pattern(
    r"(?<![\w`])`(?P<code>[^`\n]{1,400})`(?!`)|(?<![\w'])'(?P<single>[^'\n]{0,300})'(?![\w'])|"
    r'(?<![\w"])"(?P<double>[^"\n]{0,300})"(?![\w"])|(?<![\w\])}])(?P<group>[\[{](?:[^\[\]{}\n]|[\[{][^\[\]{}\n]{0,200}[\]}]){0,300}[\]}])'
)


def _is_description(sentence: str) -> bool:
    """Whether it says what sort of thing the answer is: "the literal list `[5, 3]`"."""
    return _DESCRIBED.match(sentence) is not None or "`" in sentence[1:]


def _describes(phrase: Answer) -> bool:
    """Whether a phrase is five or more small words: a description and no name."""
    words = str(phrase.form).split()
    return len(words) > 4 and all(word.islower() and word.isalpha() for word in words)


def shown_value(sentence: str, take: Take) -> Answer | None:
    """The last value that a sentence shows as code, in quotation marks or in brackets."""
    cut = re.search(r",? (?:which|because|since|as|for|not|rather than|with)\s", sentence)
    for part in (sentence[: cut.start()] if cut else "", sentence):
        marks = list(_QUOTED.finditer(part))[-3:]
        for mark in marks[::-1]:
            value = take(mark[0])
            if value is not None and value:
                return value
    return None


def _line_end(rest: str) -> int:
    at = rest.find("\n")
    while at != -1 and at < 500:
        if rest.count("{", 0, at) <= rest.count("}", 0, at) and rest.count(
            "\\begin{", 0, at
        ) <= rest.count("\\end{", 0, at):
            return at
        at = rest.find("\n", at + 1)
    return len(rest) if at == -1 else at


def _tries(line: str) -> Iterator[str]:
    bold = re.match(r"^[*_]{0,2}([^*\n]{1,60})\*\*", line)
    if bold:
        yield bold[1]
    code = re.match(r"^`([^`\n]{1,400})`", line)
    if code:
        yield code[0]
    maths = re.match(r"^\$\$?([^$\n]{1,300})\$\$?(?=[\s.,;!]*(?:$|[A-Za-z]))", line)
    if (
        maths
        and not re.match(r"\d[\d.,]*\s*$", maths[1])
        and (line[:2] == "$$" or not line[1:2].isdigit() or "\\" in maths[1])
    ):
        tail = line[maths.end() :].strip(" .")
        if not tail:
            yield maths[1]
    if len(line) <= 400:
        yield line
    sentence = line[: sentence_end(line)]
    if sentence != line:
        yield sentence
    for cut in list(_CUT.finditer(sentence))[:6]:
        yield sentence[: cut.start()]


_CODE = lazy_pattern(r"[{};]\s|[;)]\s*[}{]|\n\s*\S|[\[\]{}]{2}|\w!\S|!\s+\w")


def read_said(text: str, take: Take) -> Answer | None:
    """What an answer's own place holds: a value, or a sentence that says it."""
    value = take(text)
    if value is not None and (value.hard or not value or not is_sentence(text)):
        return value
    if value is None and "\\" not in text and _CODE.search(text.strip()):
        return None  # code, or text with lines: no sentence
    return leading_number(text, take) or in_sentence(text, take) or value


_SUBJECT = lazy_pattern(
    r"^\W*(?:he|she|it|they|we|you|i|there|this|that|these|those|the|each|every|all|both|in|so|thus|therefore|"
    r"er|sie|es|wir|il|elle|ils|elles|on|nous|él|ella|ellos|ele|ela|egli|он|она|они|мы)\b|^\W*[A-Z][\w'.-]+(?:\s+[A-Z][\w'.-]+)*\s+\w+",
    re.IGNORECASE,
)
_VERB = lazy_pattern(
    r"\b(?:is|are|was|were|has|have|had|will|would|can|could|should|must|does|did|needs?|gets?|got|makes?|made|pays?|paid|"
    r"spends?|spent|sells?|sold|buys?|bought|earns?|earned|costs?|takes?|took|saves?|saved|eats?|ate|runs?|ran|"
    r"drinks?|drank|reads?|walks?|drives?|drove|weighs?|equals?|totals?|gives?|gave|returns?|leaves?|left|"
    r"lost|won|receives?|received|used|uses|wrote|collects?|collected|grew|owes?|holds?|contains?|"
    r"\w{2,}ed|ist|sind|hat|haben|kostet|verdient|est|sont|a|ont|coûte|gagne|es|son|tiene|cuesta|gana|é|são|tem|"
    r"custa|è|sono|ha|costa)\b"
)  # fmt: skip


def is_sentence(text: str) -> bool:
    """Whether a few words say something about their one number: "She earned $450."."""
    if len(text.split()) < 3:
        return False
    return _SUBJECT.match(text) is not None and _VERB.search(text) is not None


_NUMBER = lazy_pattern(
    r"(?<![\w.,^_{/-])-?[$€£₹¥]?\d[\d,]*(?:\.\d+)?(?:\s?%|\s?/\s?\d+)?(?![\w.,]*\d)(?!\s*[=*/^+]\s*\d)"
)


def in_sentence(sentence: str, take: Take) -> Answer | None:
    """What a sentence in an answer's place says: what it is, or its one number."""
    stated = predicate(sentence, take)
    if stated is not None:
        return stated
    numbers = list(_NUMBER.finditer(sentence))
    whole = _in_whole(sentence, numbers[-1].start(), take) if numbers else None
    if whole is not None:
        return whole
    if len({number[0] for number in numbers}) != 1:
        return None
    rest = sentence[numbers[-1].start() :].strip(" .!")
    words = rest.split()
    for part in (rest, " ".join(words[:3]), " ".join(words[:2])):
        value = take(part)
        if value is not None and value.hard:
            return value
    return leading_number(rest, take) or (
        None if _GOES_ON.match(rest, len(words[0])) else take(words[0].rstrip(",.;:"))
    )


def leading_number(sentence: str, take: Take) -> Answer | None:
    """`42 apples in the big basket`: the number it begins with, where it has no other."""
    match = _LEAD.match(sentence)
    if not match or _GOES_ON.search(match["rest"]):
        return None
    rest = _PLACE_WORDS.sub("", match["rest"]).rstrip(" .*_$)")
    for part in (match["number"] + rest, match["number"]):
        value = take(part)
        if value is not None and value.type == "number":
            return value
    return None


_IS = lazy_pattern(
    r"\b(?:is|are|equals|makes?|was|be|has|have|costs?|gives?|returns?|gets?|totals?|totaling|ist|sind|"
    r"beträgt|lautet|est|sont|es|son|são|é|è|sono|это|равно|составляет)\s*:?\s*(?=(?P<said>[^\n]{1,80})$)",
    re.IGNORECASE,
)
_EAST_IS = lazy_pattern(r"(?:是|为|は|은|는|هو|هي)\s*(?P<said>[^\n。]{1,40})$")
_NAME = lazy_pattern(
    r"(?:the )?(?:[A-Z]\. ?){0,3}(?:[A-ZÀ-ÞА-Я][^\W\d_]{2,}(?: [A-ZÀ-ÞА-Я][^\W\d_]+){0,3}|[A-Z][\w-]*[+#]+)"
)


def predicate(sentence: str, take: Take) -> Answer | None:
    """What a sentence says that something is: `so the total is 42`."""
    return None if _OF_TWO.search(sentence) else _predicate(sentence, take)


def _predicate(sentence: str, take: Take) -> Answer | None:
    sentence = re.sub(r"(?<!\d)[.!。\s*]+$|[.。\s*]+$", "", sentence)
    named = list(re.finditer(r"(?<!\w)[A-Za-z]\s*=", sentence))
    if len(named) > 1:
        value = take(sentence[named[0].start() :].replace("$", ""))
        return value if value is not None and value.hard else None  # x = 1, y = 2
    if "=" in sentence:
        right = sentence.rpartition("=")[2]
        value = take(right) or leading_number(right.strip(), take)
        if value is not None and value.type in _PLAIN_TYPES:
            return value
    for match in list(_IS.finditer(sentence))[::-1][:6]:
        words = match["said"]
        value = take(words) or leading_number(words, take)
        # A letter on its own here is an article or a name as often as a choice.
        if value is not None and value.type in _PLAIN_TYPES:
            return value
        if value is not None and _NAME.fullmatch(words):
            return value
    east = _EAST_IS.search(sentence)
    if east:
        value = take(east["said"])
        if value is not None and value:
            return value
    by = _BY.search(sentence) if " by " in sentence else None
    if by:
        return take(by["name"])
    quoted = re.search(r"(?:is|be|returns?|output)\s+(`[^`]+`|'[^']*'|\"[^\"]*\")$", sentence)
    return take(quoted[1]) if quoted else None


_BY = lazy_pattern(
    rf"\b(?:written|painted|composed|directed|discovered|invented|founded|made|created|designed|won|led) by (?P<name>{_NAME.pattern})$"
)
_PLAIN_TYPES = frozenset({
    "number", "set", "tuple", "list", "mapping", "truth", "time", "date", "ratio", "range", "interval",
    "matrix", "term", "equation",
})  # fmt: skip

_LAST = lazy_pattern(r"(?<=[^\s\d][.!?])\s+|(?<=\d\.)\s+(?=[A-Z])|(?<=。)")


def last_sentence(text: str) -> str:
    """The last sentence of the last line that says anything."""
    lines = [line.strip() for line in text[-4000:].split("\n") if line.strip(" `*_-#\t")]
    parts = _LAST.split(lines[-1]) if lines else [""]
    while len(parts) > 1 and re.search(r"(?:\b[A-Z]|\b(?:Dr|Mr|Mrs|Ms|St|No))\.$", parts[-2]):
        parts[-2:] = [f"{parts[-2]} {parts[-1]}"]
    return parts[-1].strip()


_HAVE = r"\b(?:has|have|had|is|was|are|were|gets?|got)\s+\W?\d[\d.,]*"
_OF_TWO = lazy_pattern(
    rf"{_HAVE}[^\d.;]{{0,30}}\b(?:and|while|but)\s[^\d.,;]{{1,30}}{_HAVE}[^\d]*$"
)
"""`Ann has 3 and Bob has 5`: neither is the answer."""
_LAST_NUMBER = lazy_pattern(
    r"(?<![\w.,])-?[$€£₹¥]?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?:\s?%)?(?=(?:st|nd|rd|th|[ap]m|h)?(?!\w))"
)


def last_number(sentence: str, take: Take) -> Answer | None:
    """The last number of a sentence, or the time, date or range that it belongs to."""
    numbers = list(_LAST_NUMBER.finditer(sentence))
    if not numbers or _OF_TWO.search(sentence):
        return None
    whole = _in_whole(sentence, numbers[-1].start(), take)
    return whole or take(numbers[-1][0].rstrip(","))


_WHOLE = frozenset({"time", "date", "ratio", "range", "tuple", "interval"})
_OF_WHOLE = lazy_pattern(
    r":\d|\d\s?-\s?\d|\d\s*[ap]\.?\s?m\b|\d\s?(?:h|uhr)\b|\d[.,]?\s?[年月日時时点시년월일]|\b(?:between|by|past|quarter|half|BCE?|AD|B\.C|A\.D|"
    r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|fév|avril|juin|juil|août|déc|enero|abril|"
    r"mayo|agosto|dic|gen|mag|giu|lug|ago|set|ott|янв|фев|мар|апр|мая|июн|июл|авг|сен|окт|ноя|дек)",
    re.IGNORECASE,
)


def _in_whole(sentence: str, at: int, take: Take) -> Answer | None:
    """The time, date, ratio or range that the number at a place is a part of."""
    if not _OF_WHOLE.search(sentence, max(0, at - 40), at + 40):
        return None
    starts = [word.start() for word in re.finditer(r"\S+", sentence[: at + 1])][-5:]
    ends = [word.end() for word in re.finditer(r"\S+", sentence[at : at + 60])][:4]
    for start in starts:
        for end in ends[::-1]:
            value = take(sentence[start : at + end].strip(" ,;!?*_$()").removesuffix("."))
            if value is not None and value.type in _WHOLE and not _FROM_TO.match(str(value.form)):
                return value
    return None


_FROM_TO = lazy_pattern(r"(?:from\s)?[^a-z]*\sto\s", re.IGNORECASE)
"""What rose "from 3 to 5" is 5."""
