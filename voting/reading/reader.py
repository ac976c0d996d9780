"""The one reader of answers: from a reply as a model wrote it to a typed value.

A stated confidence is read too: "Confidence: 80%", "I am 80 % sure", `"confidence": 0.8`.

Only a number with a known scale is read: a percentage, a share below 1, "8 out of 10". "High", a
bare 8, a range and "I am not 100 % sure" are no confidence, and none is made up for them.

A reply states its answer by a label in one of twelve languages, in a box, after `####`, in a tag, in
JSON, in bold, or by being nothing else. Reading leniently is worth more than any weighting of
votes: whole-output JSON alone reads none of the answers of some good models.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from mom_council.records import AnswerKind
from mom_council.voting.reading.answer import (
    NO_ANSWER,
    OPEN,
    Answer,
    are_same,
    is_plain_number,
    plain_number,
)
from mom_council.voting.reading.contents import (
    in_sentence,
    is_sentence,
    last_number,
    last_sentence,
    predicate,
    shown_value,
)
from mom_council.voting.reading.options import is_doubted, label_pointed_at, several_labels
from mom_council.voting.reading.statements import stated_answer, without_run_on
from mom_council.voting.reading.text import json_values, lazy_pattern, plain_text, refuses
from mom_council.voting.reading.values import choice_answer, read_value

_NUMBER = r"(?P<number>\d{1,3}(?:[.,]\d{1,6})?)"
_SCALE = r"(?P<scale>\s*(?:%|percent\b|per cent\b|(?:/|out of|of)\s*(?:100|10)\b))"
_ENDS = r"(?![\w%]|[.,]\d|\s*(?:-|–|—|to|or)\s*\d)"
_LABEL = (
    r"\b(?:confidence|certainty)(?:\s+(?:level|score|rating|in (?:my|this|the) answer))?"
    r"[\"'*_`]{0,4}\s*(?:is|of|at|[:=])?\s*[\"'*_`]{0,4}\s*(?:about|around|roughly|~|≈)?\s*"
)
_LABELLED = lazy_pattern(rf"{_LABEL}{_NUMBER}(?:{_SCALE}|{_ENDS})", re.IGNORECASE)
_IN_WORDS = lazy_pattern(
    rf"(?<![\w.,%–—/-]){_NUMBER}{_SCALE}\s*(?:sure|certain|confident|confidence|certainty)\b",
    re.IGNORECASE,
)
_DENIED = lazy_pattern(
    r"(?:\bnot|n't|\bnever|\bcannot|\bhardly|\bless than|\bunder|\bbelow|\d\s*%?\s*(?:-|–|—|to|or))"
    r"[\s\w]{0,12}$",
    re.IGNORECASE,
)
_LINE = lazy_pattern(
    rf"^[\s*_`>#-]*{_LABEL}{_NUMBER}{_SCALE}?[\s*_`.]*$\n?", re.IGNORECASE | re.MULTILINE
)


def stated_confidence(text: str) -> float | None:
    """The confidence that a reply states, 0..1; None where it states none that can be read.

    The last statement wins, as it does for answers; a JSON field wins over prose.
    """
    plain = plain_text(text)
    for value in reversed(json_values(plain)):
        if isinstance(value, dict):
            for key, number in value.items():
                if str(key).strip().casefold() in ("confidence", "certainty"):
                    return _of_json(number)
    statements = [
        (each.start(), sure)
        for pattern in (_LABELLED, _IN_WORDS)
        for each in pattern.finditer(plain)
        if not _DENIED.search(plain[max(0, each.start() - 24) : each.start()])
        and (sure := _share(each["number"], each["scale"])) is not None
    ]
    return max(statements)[1] if statements else None


def without_confidence(text: str) -> str:
    """A reply without the lines that say nothing but how sure it is: their number is no answer."""
    if "onfiden" not in text and "ertain" not in text:
        return text
    return _LINE.sub("", text).strip()


def _of_json(value: Any) -> float | None:
    if isinstance(value, str):
        read = re.fullmatch(rf"\s*{_NUMBER}{_SCALE}?\s*", value, re.IGNORECASE)
        return _share(read["number"], read["scale"]) if read else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _share(repr(value), None) if value >= 0 else None


def _share(number: str, scale: str | None) -> float | None:
    try:
        value = float(number.replace(",", "."))
    except ValueError:
        return None
    if scale is not None:
        most = 10.0 if scale.rstrip().endswith("10") else 100.0
    elif "." in number or "," in number:
        most = 1.0 if value <= 1 else 100.0
    else:
        most = 100.0 if value == 0 or value > 10 else 0.0  # a bare 8: of what?
    if not most or not 0 <= value <= most:
        return None
    return round(value / most, 6)


_SHORT = 2000
"""Characters of a reply whose reading is remembered: a round reads each several times."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def read_answer(
    text: str,
    *,
    kind: AnswerKind = "unknown",
    options: Sequence[str] | Mapping[str, str] = (),
    exact: bool = False,
    complete: bool = True,
) -> Answer:
    """The final answer of a reply, as a typed value.

    It is never less than what was said: `2:30 PM` is a time and not the number 2, `6, -2` are two
    values. A reply that declines, or says that it does not know, has the type `no answer`; one
    without a short final answer has the type `open`. Both are false.

    Args:
        text: the whole reply; thoughts and control tokens are passed over.
        kind: what the question asks for. `open` questions have no final answers; for `closed` the
            end of the reply is searched harder; `unknown` takes what is stated, or is all there is.
        options: the options of the question: their texts, lettered A and on, or label -> text.
            Only their labels are answers then, and an option's text stands for its label.
        exact: the question asks for text to the letter (code, a name, a password): quotation
            marks and capitals then matter.
        complete: False where the reply broke off; then only what it states in full is read.
    """
    if kind == "open":
        return OPEN
    if not options and not exact and complete and is_plain_number(text):
        return plain_number(Fraction(text))
    shape = (kind, _labelled(options), exact, complete)
    return _remembered(text, *shape) if len(text) <= _SHORT else _read(text, *shape)


def same_answer(
    one: str | Answer,
    other: str | Answer,
    *,
    options: Sequence[str] | Mapping[str, str] = (),
    exact: bool = False,
) -> bool:
    """Whether two answers, or the final answers of two replies, are the same; in doubt not.

    Args:
        one: an answer, or a reply.
        other: another.
        options: the options that both choose from, as in `read_answer`.
        exact: capitals and quotation marks matter.
    """
    first, second = (
        read_answer(each, kind="closed", options=options, exact=exact)
        if isinstance(each, str)
        else each
        for each in (one, other)
    )
    return are_same(first, second)


_Options = tuple[tuple[str, str], ...]
"""Labels and texts."""


def _labelled(options: Sequence[str] | Mapping[str, str]) -> _Options:
    if not options:
        return ()
    if isinstance(options, Mapping):
        return tuple(options.items())
    return tuple(zip(LETTERS, options, strict=False))


def _read(text: str, kind: AnswerKind, options: _Options, exact: bool, complete: bool) -> Answer:
    plain = without_confidence(plain_text(text))
    if not plain or refuses(plain):
        return NO_ANSWER
    take = functools.partial(_take, options=options, exact=exact)
    plain = without_run_on(plain if complete else _in_full(plain))
    answer = stated_answer(plain, take)
    if answer is None and complete and len(plain) <= 200:
        whole = take(plain)
        if whole is not None and (whole.hard or not whole):
            return whole
    if answer is None and complete:
        answer = _in_passing(plain, kind, take, options)
    return OPEN if answer is None else answer


_BOUNDARY = lazy_pattern(r".*(?:\n|[.!?]\s|[。।}>])", re.DOTALL)


def _in_full(text: str) -> str:
    """What a reply that broke off says in full: up to its last whole sentence or closed mark."""
    whole = _BOUNDARY.match(text)
    return whole[0].rstrip() if whole else ""


_remembered = functools.lru_cache(maxsize=1024)(_read)


def _take(text: str, *, options: _Options = (), exact: bool = False) -> Answer | None:
    value = read_value(text, exact=exact)
    if not options:
        return value
    several = several_labels(text, {label for label, _ in options})
    if several:
        return choice_answer(several)
    return _choose(text, value, options) if value else value or _option_in_full(text, options)


_NUMBER_OF_OPTION = lazy_pattern(
    r"(?:the\s+)?(?:option|choice|answer|number|no\.?|#)\s*[#(]?(\d{1,2})\W*", re.IGNORECASE
)


def _choose(text: str, value: Answer, options: _Options) -> Answer | None:
    """The choice that a value makes among options: by labels, or by the text of one of them."""
    allowed = {label for label, _ in options}
    if value.letters and allowed.issuperset(value.letters):
        return choice_answer(value.letters)
    labelled = re.match(r"\W{0,3}([A-Z]|\d{1,2})\W{0,3}[).:](?=\s)", text)
    if labelled and labelled[1] in allowed:
        return choice_answer((labelled[1],))
    label = text.strip().strip("*_`$().[]{}\"' ").upper()
    numbered = _NUMBER_OF_OPTION.fullmatch(text.strip())
    for named in (label, numbered[1] if numbered else ""):
        if named in allowed:
            return choice_answer((named,))
    chosen = [
        name
        for name, option in options
        if _normalise(option) == _normalise(text)
        or are_same(value, read_value(option, words=30) or OPEN)
    ]
    return choice_answer((chosen[0],)) if len(chosen) == 1 else None


_OPTION_IN_FULL = lazy_pattern(
    r"\W{0,3}(?P<label>[A-Z]|\d{1,2})\W{0,2}[).:]\W{0,3}\s(?P<text>.+)", re.DOTALL
)


def _option_in_full(text: str, options: _Options) -> Answer | None:
    """The option that is named with its text: `F. Quality, concentration, and rate of flow`."""
    match = _OPTION_IN_FULL.fullmatch(text)
    if match is None:
        return None
    words = _normalise(match["text"].strip("*_ "))
    written = _normalise(dict(options).get(match["label"], ""))
    alike = written and (words == written or words.startswith(written) or written.startswith(words))
    return choice_answer((match["label"],)) if alike else None


def _normalise(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()


# --- answers in passing -----------------------------------------------------------------------

_BOLD = lazy_pattern(r"\*\*([^*\n]{1,80})\*\*")
_THEREFORE = lazy_pattern(
    r"^\W*(?:therefore|thus|so|hence|in total|finally|as a result|then|daher|also|somit|donc|ainsi|por lo tanto|"
    r"por tanto|entonces|portanto|logo|quindi|dunque|следовательно|итак|значит|所以|因此|したがって|よって|따라서|"
    r"इसलिए|अतः|لذلك|إذن)\b",
    re.IGNORECASE,
)
_LONE_LETTER = lazy_pattern(
    r"\W*(?i:(?:(?:so|thus|therefore|hence),?\s+)?(?:it(?:'s| is| must be| has to be| should be)|that(?:'s| is)|"
    r"the (?:letter|option|choice) is|definitely|clearly|surely|certainly|richtig ist|es ist|c'est|es la|è la|é a|это)\s+"
    r"(?:(?:option|letter|choice)\s+)?)[*(]{0,3}(?P<letter>[A-J])[*)]{0,3}[.!]?",
)
_NEGATION = lazy_pattern(r"\b(?:not|never|nicht|kein\w*|pas|não|non|не)\b|n't\b", re.IGNORECASE)
_LETTER_FIRST = lazy_pattern(
    r"\W{0,3}(?P<letter>[A-J])\W{0,3}\s*[,;–—-]?\s*(?:because|since|weil|denn|parce que|porque|perché|потому)\b"
)
"""`C, since A and B are wrong.`"""
_OPENS_WITH_TRUTH = lazy_pattern(r"^\W*(yes|no|true|false)\b\s*[,.;:!–—-]", re.IGNORECASE)
_ONE_FENCE = lazy_pattern(r"[^`]{0,80}?```[\w+-]*\n([^`]{1,400}?)```")


def _in_passing(
    text: str, kind: AnswerKind, take: functools.partial[Answer | None], options: _Options
) -> Answer | None:
    """What the end of the reply says, and whatever else a short reply is."""
    closed = kind == "closed"
    last = last_sentence(text)
    short = len(text) <= 160
    if short or closed or _THEREFORE.match(last):
        answer = predicate(last, take) or _after_therefore(last, take)
        if answer is not None:
            return answer
    letter = _LONE_LETTER.fullmatch(last) or (_LETTER_FIRST.match(text) if short else None)
    if letter and (short or closed):
        return take(letter["letter"])
    opening = _OPENS_WITH_TRUTH.match(text) if closed else None
    if opening:
        return take(opening[1])
    answer = _in_bold(text, take, closed=closed) if closed or short else None
    if answer is not None:
        return answer
    if "\n" not in text and len(text) <= 60:
        plain = closed and is_sentence(text) and not _NEGATION.search(text)
        stated = in_sentence(text, take) if plain else None
        if stated is not None and stated.hard:
            return stated
        value = read_value(text, words=5) if not options else take(text)
        if value is not None:
            return value
    fence = _ONE_FENCE.fullmatch(text) if len(text) < 700 else None
    if fence:
        value = take(fence[1])
        return value if value is not None and value.hard else None
    return _at_last(text, last, take, options, closed=closed)


def _at_last(
    text: str,
    last: str,
    take: functools.partial[Answer | None],
    options: _Options,
    *,
    closed: bool,
) -> Answer | None:
    """What the last sentence shows or names, where nothing else was found."""
    if options:
        if _LISTING.search(text[-600:]):
            return None
        named = take(last) or _one_letter(last, take)
        if named is not None or not closed:
            return named
        label = label_pointed_at(text, {label for label, _ in options})
        return choice_answer((label,)) if label else _named_in_full(text, options)
    if not closed or _STEP.match(last):
        return None
    return shown_value(last, take) or last_number(last, take)


_IN_FULL = lazy_pattern(
    r"(?:\b(?:is|are|be)\s+|:\s+|^)\W{0,3}(?=[A-Z]\W{0,2}[).:]\W{0,3}\s)", re.MULTILINE
)


def _named_in_full(text: str, options: _Options) -> Answer | None:
    """The last option that is named with its text within a sentence: `it is B. chemotherapy.`."""
    for mark in reversed([*_IN_FULL.finditer(text, max(0, len(text) - 600))]):
        line = text[mark.end() :].split("\n", 1)[0]
        option = _option_in_full(line, options)
        if option is not None:
            return option
    return None


_STEP = lazy_pattern(
    r"\W{0,4}(?:\d{1,2}[.)]\s*|step\s+\d{1,2}\s*:?\s*)?(?:add|subtract|multiply|divide|calculate|compute|find|"
    r"determine|solve|use|apply|convert|provide|replace|remember|note|check)\b",
    re.IGNORECASE,
)
"""A step of a plan: the numbers in it are no answer."""


def _after_therefore(sentence: str, take: functools.partial[Answer | None]) -> Answer | None:
    """What follows the word: `Therefore, C.`."""
    so = _THEREFORE.match(sentence)
    value = take(sentence[so.end() :].strip(" ,:")) if so else None
    return value if value is not None and value.hard else None


_LISTING = lazy_pattern(
    r"(?:^|\n)\W{0,3}[A-Z]\W{0,2}[.):][^\n]*\n+\W{0,3}[A-Z]\W{0,2}[.):][^\n]*\n+\W{0,3}[A-Z]\W{0,2}[.):][^\n]*\s*\Z"
)
"""The end of a list of options, which a reply copies or goes on with: no choice."""


def _in_bold(text: str, take: functools.partial[Answer | None], *, closed: bool) -> Answer | None:
    """The last bold words that are an answer."""
    for bold in _BOLD.findall(text)[::-1][:20]:
        value = take(bold)
        if value and (value.hard or closed) and not bold.rstrip().endswith(":"):
            return value
    return None


def _one_letter(sentence: str, take: functools.partial[Answer | None]) -> Answer | None:
    """The only letter that a sentence names, and does not deny."""
    if is_doubted(sentence):
        return None
    letters = re.findall(r"\b(?:option|choice|answer)\s+\(?([A-Z])\)?(?!\w)|\(([A-Z])\)", sentence)
    return take("".join(letters[0])) if len(letters) == 1 else None
