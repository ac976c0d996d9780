"""Find text that looks like a tag of our prompts, or like a mark between turns of a chat.

A tag is read as the most forgiving reader would: an angle of any script, or any escape of one; then
slashes and blanks of any kind; then a word of ours, in whatever letters it is written, with
whatever nobody sees between them. What is found is broken by a blank behind its angle. Pure.
"""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

TAGS = (
    "question",
    "restated",
    "proposal",
    "candidate",
    "answer",
    "own_answer",
    "pair",
    "comparison",
    "attachment",
    "picture",
    "result",
    "material",
    "request",
    "wish",
    "conversation",
)
"""Every tag that a prompt of ours uses."""

_ANGLE = re.compile(
    "[<\uff1c\ufe64\u2039\u2329\u3008\u27e8\u02c2\u226a\u00ab\u276e\u29fc\u276c\u2770\u300a\u27ea"
    "\u2aa1\u227a\u22d6\u2a79\u22d8\u2abb\u2989\u2991\u2993\u226e\u1438\u16b2\ufe3f\ufe3d\U00010296]"
    r"|&(?:amp;?){0,4}(?:lt|#0*60|#x0*3c);?|%(?:25){0,4}3c"
    r"|\\{1,8}(?:u\{0*3c\}|u003c|U0{6}3c|x3c|0?74)",
    re.IGNORECASE,
)
"""What may begin a tag: an angle of any script, or an escape of one."""
_ESCAPE = re.compile(
    r"&(?:amp;?){0,4}(?P<entity>#\d{1,7};?|#x[\da-f]{1,6};?|[a-z]{2,10};)"
    r"|(?:\\{1,8}(?:u\{0*|u00|U0{6}|x)|%(?:25)*)(?P<code>[\da-f]{2})\}?",
    re.IGNORECASE,
)
_BEFORE_A_WORD = frozenset("/\\!?:" + "\u2044\u2215\u29f8\u2571\u27cb\u3033\u30ce\U0001d23a")
"""Slashes, and what else may stand between an angle and a word."""
_INVISIBLE = frozenset("\u3164\uffa0\u115f\u1160\u17b4\u17b5\u2800-_")
"""What shows nothing, though Unicode calls it a letter or a sign; and what joins two words."""
_LETTERS = str.maketrans(
    "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0443\u0445\u0501\u04cf\u051b\u051d\u04bb"
    "\u0578\u03bf\u03b1\u03b5\u03b9\u03c1\u03c5\u03bd\u03ba\u03c4\u03f2\u03f3"
    "\u13df\u13aa\u13a0\u13c6\u13a5\u13a2\u13ac\u13e2\u13da\u13b3\u13bb0135",
    "aceijopsuxdlqwhnoaeipuvktcjcadiitepswhoies",
)
"""Letters of other scripts, and figures, as the Latin letters that they look like."""
_LETTER_NAME = re.compile(r"\b(?:LETTER|SYMBOL) (?:[A-Z]{2,} )*?([A-Z]|ALPHA|IOTA)\b")
_LONGEST = 160
"""Characters of a tag's word with everything that is hidden in it."""
_BEGINNINGS = frozenset(
    word[:length]
    for word in (tag.replace("_", "") for tag in TAGS)
    for length in range(1, len(word) + 1)
)
_NO_BEGINNING = frozenset("<>=\"'+*$#@^~|()[]{},;.bdefghijklnstuvxyz")
"""What begins no tag, so that a text full of angles is soon read."""
_WORDS = frozenset(tag.replace("_", "") for tag in TAGS)

_BARS = "|\uff5c\u00a6\uffe8"
_CLOSING = r"(?:[>\uff1e\ufe65]|&gt|\\u003e|%3e)"
_TURN = re.compile(
    rf"[{_BARS}][\w \u2581./:\u00ad\u200b-\u200d\u2060-\u2064\ufeff-]{{1,60}}[{_BARS}]{_CLOSING}"
    rf"|(?:/?s|/?(?:start|end)_of_turn|/?<SYS>|/?(?:think|system)){_CLOSING}",
    re.IGNORECASE,
)
"""What follows an angle in the marks between turns, in the chat templates of many models."""
_TEMPLATE_WORD = re.compile(
    r"(?:/?(?:tool_calls?|tool_response|tools|function_calls|arg_key|arg_value)|bos|eos|pad|unk|mask"
    r"|sop|eop|eoh|eot|cls|sep|image|__(?:image|media)__|(?:start|end)_of_(?:image|audio)"
    r"|(?:image|audio)_soft_token|(?:extra_id_|reserved_|unused)\d+|0x[\da-f]{2}|seed:\w+)"
    rf"{_CLOSING}|/?(?:antml:)?(?:invoke|parameter)\b|/?antml:|function=",
    re.IGNORECASE,
)
"""What else a template or a tokenizer takes for its own: calls of tools, pictures, paddings."""
_SQUARE_TURN = re.compile(
    r"\[(?=/?INST\]|/?SYSTEM_PROMPT\]|/?AVAILABLE_TOOLS\]|TOOL_CALLS\])", re.IGNORECASE
)
_SQUARE = re.compile(
    _SQUARE_TURN.pattern
    + r"|\[(?=/?(?:TOOL_RESULTS|MODEL_SETTINGS|THINK)\]|(?:IMG|IMG_BREAK|IMG_END"
    r"|ARGS|CALL_ID|gMASK|TOOL_CONTENT)\]|\|\w{2,30}\|\]|e~\[)|\](?=~!?b[\[\]])",
    re.IGNORECASE,
)
_OUR_ATTRIBUTE = re.compile(r"\s+(?:label|number|fence|author|support|weight)\s*=")


class TagLike(NamedTuple):
    """What looks like a tag of ours."""

    after_angle: int
    """Where its angle ends."""
    is_structure: bool
    """It closes, or has an attribute of ours: more than a word in brackets."""


def tags_in(text: str) -> Iterator[TagLike]:
    """What looks like tags of ours."""
    for angle in _ANGLE.finditer(text):
        if tag := _tag_at(text, angle.end()):
            yield tag


def break_tags(text: str) -> str:
    """The text with a blank in everything that looks like a tag of ours."""
    return _with_blanks(text, [tag.after_angle for tag in tags_in(text)])


def break_marks(text: str) -> str:
    """The same, and with a blank in what a chat template could take for its own."""
    places = [bracket.end() for bracket in _SQUARE.finditer(text)]
    for angle in _ANGLE.finditer(text):
        at = angle.end()
        if _TURN.match(text, at) or _TEMPLATE_WORD.match(text, at) or _tag_at(text, at):
            places.append(at)
    return _with_blanks(text, sorted(places))


def has_turn_mark(text: str) -> bool:
    """Whether a text holds a mark that begins or ends a turn."""
    if _SQUARE_TURN.search(text):
        return True
    return any(_TURN.match(text, angle.end()) for angle in _ANGLE.finditer(text))


def _with_blanks(text: str, places: list[int]) -> str:
    places = [at for at in places if not text.startswith(" ", at)]
    ends = [*places, len(text)]
    return " ".join(text[start:end] for start, end in zip([0, *places], ends, strict=True))


def _tag_at(text: str, at: int) -> TagLike | None:
    """The tag whose angle ends there; None: there is none."""
    if text[at : at + 1] in _NO_BEGINNING:
        return None
    closes, word = False, ""
    for letter, end in _letters(text, at):
        if not letter.isalnum():
            if letter in _BEFORE_A_WORD and not word:
                closes = closes or letter not in "!?:"
                continue
            if letter.isspace():
                continue
            return None
        word += letter
        if word not in _BEGINNINGS:
            return None
        if word in _WORDS:
            ours = _OUR_ATTRIBUTE.match(text, _end_of_word(text, end))
            return TagLike(at, closes or ours is not None)
    return None


def _end_of_word(text: str, at: int) -> int:
    while at < len(text) and text[at].isalnum():
        at += 1
    return at


def _letters(text: str, at: int) -> Iterator[tuple[str, int]]:
    """The letters from there as they look, each with the place where it ends."""
    end = min(len(text), at + _LONGEST)
    while at < end:
        escaped = _ESCAPE.match(text, at, end) if text[at] in "&\\%" else None
        written = _unescape(escaped) if escaped else text[at]
        at = escaped.end() if escaped else at + 1
        for letter in written:
            for seen in _as_seen(letter):
                yield seen, at


def _unescape(match: re.Match[str]) -> str:
    if match["code"]:
        return chr(int(match["code"], 16))
    return html.unescape(f"&{match['entity'].rstrip(';')};")


@functools.lru_cache(maxsize=4096)
def _as_seen(letter: str) -> str:
    """A letter as the small Latin one that it looks like; empty: it does not show."""
    if letter.isspace():
        return " "
    if letter in _INVISIBLE:
        return ""
    seen = "".join(
        part for part in unicodedata.normalize("NFKD", letter) if not _is_hidden(part)
    ).casefold()
    seen = seen.translate(_LETTERS)
    if seen.isascii():
        return seen
    name = unicodedata.name(letter, "")
    is_latin = "LATIN" in name or "REGIONAL INDICATOR" in name
    match = _LETTER_NAME.search(name) if is_latin else None
    return match[1][0].lower() if match else seen


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in ("Mn", "Me", "Cf", "Cc", "Cs")
