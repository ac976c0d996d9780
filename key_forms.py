"""Where a known key stands in a text, however it is written.

Whoever echoes a key may write it in another case, with blanks or marks between its letters, with
escapes of a URL, of JSON, of C or of HTML, backwards, in rot13, as numbers, in base 16, 32, 58, 64
or 85, or only a part of it. So a text is looked at without its marks, without case, and once more
with its escapes resolved: what stands there in 16 letters of a key is that key. The look costs the
same for one key and for a hundred: every eighth piece of eight letters is looked up in a set.
"""

from __future__ import annotations

import base64
import codecs
import html
import re
import string
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote as percent_encode

PART = 16
"""Letters and digits of a key; a shorter part of it is not looked for."""
_GRAM = 8
_SURE = 2 * _GRAM - 1
"""A run of so many letters holds a piece of eight that begins at a multiple of eight."""
_WHOLE = 12
"""Letters and digits of a key that is looked for in every way of writing; else only in some."""
_WORDY = 20
"""The same for a key without digits, which may be words that anybody writes."""
_SHORTEST = 8

_FROM = string.ascii_uppercase.encode()
_TO_LOWER = bytes.maketrans(_FROM, _FROM.lower())
_ALNUM = frozenset(string.ascii_letters + string.digits)
_MARKS = bytes(set(range(256)) - {ord(letter) for letter in _ALNUM})

_ESCAPE = re.compile(
    r"\\+(?:u00(?P<u>[2-7][0-9a-fA-F])|u\{0*(?P<b>[2-7][0-9a-fA-F])\}|x(?P<x>[2-7][0-9a-fA-F])"
    r"|(?P<o>[01][0-7]{2})|[abfnrtv](?![a-z]))"
    r"|%(?:25)*(?P<p>[2-7][0-9a-fA-F])"
    r"|&(?:amp;)*#(?:[xX]0*(?P<h>[2-7][0-9a-fA-F])|0*(?P<d>\d{2,3}));?|&[a-zA-Z]{2,8};"
)
_BASES = {"u": 16, "b": 16, "x": 16, "o": 8, "p": 16, "h": 16, "d": 10}


class _Needle(NamedTuple):
    """A way to write a key, without marks and case."""

    letters: bytes
    least: int
    """Letters that must stand together."""
    mixed: bool = False
    """Whether they must look like a key's: letters and digits, and not always the same."""


def squeezed(text: str) -> bytes:
    """The letters and digits of a text in lower case, and nothing between them."""
    return text.encode("utf-8", "surrogatepass").translate(_TO_LOWER, _MARKS)


def _number(match: re.Match[str]) -> str:
    kind = match.lastgroup
    code = int(match[kind], _BASES[kind]) if kind else 0
    return chr(code) if code < 128 else " "


class KeySearch:
    """Finds parts of some keys in a text, however they are written."""

    def __init__(self, values: frozenset[str]) -> None:
        self._needles = [needle for value in values for needle in _needles(value)]
        self._short = [needle for needle in self._needles if len(needle.letters) < _SURE]
        pieces: set[int] = set()
        for value in values:
            pieces |= _pieces(value)
        self._pieces = frozenset(pieces)
        self._starts = frozenset(
            needle.letters[:length]
            for needle in self._needles
            for length in range(1, _GRAM)
            if len(needle.letters) > length
        )

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where parts of a key begin and end in a text."""
        if not self._needles:
            return []
        parts = self._spans_in(text) if self._may_hold(squeezed(text)) else []
        if "\\" in text or "%" in text or "&" in text:
            plain = _ESCAPE.sub(_number, text)
            if plain != text and self._may_hold(squeezed(plain)):
                parts = _joined([*parts, *self._spans_in(text, with_escapes=True)])
        return parts

    def replace(self, text: str, by: str, first: int = 0) -> str:
        """The text with something else in the place of each part of a key, from a place on."""
        for start, end in reversed(self.spans(text)):
            if end > first:
                text = text[: max(start, first)] + by + text[end:]
        return text

    def opened(self, text: str) -> tuple[int, bool]:
        """Where the end of a text may be the beginning of a key; its length where it cannot.

        Returns:
            the place, and whether what stands there is enough of a key by itself.
        """
        is_plain = not any(sign in text[-_USUAL_TAIL:] for sign in "\\%&")
        for tail in (_USUAL_TAIL, _LONGEST_TAIL)[not is_plain :]:
            first = max(0, len(text) - tail)
            place, is_key = self._opened(text[first:])
            if place > _ONE_LETTER or not first:  # else it may have begun before
                break
        return first + place, is_key

    def _opened(self, tail: str) -> tuple[int, bool]:
        has_escapes = "\\" in tail or "%" in tail or "&" in tail
        if has_escapes and (begun := _HALF_ESCAPE.search(tail)):
            tail = tail[: begun.start()]
        plain = _ESCAPE.sub(_number, tail) if has_escapes else tail
        letters = squeezed(plain)
        place, is_key = len(letters), False
        # One letter or two begin many words: they are held where nothing stands behind them.
        for length in range(1 if plain[-1:] in _ALNUM else 3, min(_GRAM, len(letters) + 1)):
            if letters[-length:] in self._starts:
                place = len(letters) - length
        if (
            len(letters) >= _GRAM
            and int.from_bytes(letters[-_GRAM:], sys.byteorder) in self._pieces
        ):
            for needle in self._needles:
                start, stop = _grown(letters, len(letters) - _GRAM, needle.letters)
                if stop - start >= _GRAM:
                    place = min(place, start)
                is_key = is_key or _is_enough(letters[start:stop], needle)
        if place == len(letters):
            return len(tail), is_key
        return _letters(tail, with_escapes=has_escapes)[1][place], is_key

    def _may_hold(self, letters: bytes) -> bool:
        whole = len(letters) // _GRAM * _GRAM
        grams = memoryview(letters)[:whole].cast("Q")
        return not self._pieces.isdisjoint(grams) or any(
            needle.letters in letters for needle in self._short
        )

    def _spans_in(self, text: str, *, with_escapes: bool = False) -> list[tuple[int, int]]:
        letters, starts, ends = _letters(text, with_escapes=with_escapes)
        return _joined([(starts[a], ends[b - 1]) for a, b in self._runs(letters)])

    def _runs(self, letters: bytes) -> Iterator[tuple[int, int]]:
        for needle in self._short:
            at = letters.find(needle.letters)
            while at >= 0:
                yield at, at + len(needle.letters)
                at = letters.find(needle.letters, at + 1)
        over = 0
        for at in range(0, len(letters) - _GRAM + 1, _GRAM):
            piece = letters[at : at + _GRAM]
            if at + _GRAM <= over or int.from_bytes(piece, sys.byteorder) not in self._pieces:
                continue
            for needle in self._needles:
                start, end = _grown(letters, at, needle.letters)
                if _is_enough(letters[start:end], needle):
                    over = max(over, end)
                    yield start, end


_USUAL_TAIL, _LONGEST_TAIL = 48, 2000
"""Characters at the end of a text in which a key may have begun."""
_ONE_LETTER = 16
"""Characters that one letter may take, escaped, or as a number."""
_HALF_ESCAPE = re.compile(
    r"(?:\\+(?:u(?:0{0,2}|00[2-7]|\{0*[2-7]?[0-9a-fA-F]?)|x[2-7]?|[01][0-7]?)?"
    r"|%(?:25)*[2-7]?|&(?:amp;)*(?:[a-zA-Z]{0,7}|#(?:[xX]0*[2-7]?|\d{0,3})))\Z"
)


def _grown(letters: bytes, at: int, needle: bytes) -> tuple[int, int]:
    """The longest run around a piece of eight that stands in a needle as well; empty: none."""
    best = (at, at)
    place = needle.find(letters[at : at + _GRAM])
    while place >= 0:
        start, end, left, right = at, at + _GRAM, place, place + _GRAM
        while start and left and letters[start - 1] == needle[left - 1]:
            start, left = start - 1, left - 1
        while end < len(letters) and right < len(needle) and letters[end] == needle[right]:
            end, right = end + 1, right + 1
        if end - start > best[1] - best[0]:
            best = (start, end)
        place = needle.find(letters[at : at + _GRAM], place + 1)
    return best


def _is_enough(part: bytes, needle: _Needle) -> bool:
    if len(part) < needle.least:
        return False
    if not needle.mixed or len(part) == len(needle.letters):
        return True
    return not part.isalpha() and not part.isdigit() and len(set(part)) >= 6


def _letters(text: str, *, with_escapes: bool) -> tuple[bytes, list[int], list[int]]:
    """The letters and digits of a text, squeezed, and where each begins and ends in it."""
    letters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def plain(start: int, end: int) -> None:
        for place in range(start, end):
            if text[place] in _ALNUM:
                letters.append(text[place])
                starts.append(place)
                ends.append(place + 1)

    at = 0
    for match in _ESCAPE.finditer(text) if with_escapes else ():
        plain(at, match.start())
        at = match.end()
        if (letter := _number(match)) in _ALNUM:
            letters.append(letter)
            starts.append(match.start())
            ends.append(at)
    plain(at, len(text))
    return "".join(letters).lower().encode(), starts, ends


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same places, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def is_long(value: str) -> bool:
    """Whether a key is found in every way of writing; a short one only in some exact ones."""
    letters = squeezed(value)
    return len(letters) >= (_WORDY if letters.isalpha() else _WHOLE)


@lru_cache(maxsize=256)
def _needles(value: str) -> list[_Needle]:
    if not is_long(value):
        return []
    coded = value.encode()
    needles = []
    for text in (value, value[::-1], codecs.encode(value, "rot13")):
        letters = squeezed(text)
        least = len(letters) if letters.isalpha() else min(PART, len(letters))
        needles.append(_Needle(letters, least, mixed=True))
    once = base64.b64encode(coded).rstrip(b"=")[:-1]
    ways = [
        (coded.hex(), 2 * PART),
        ("".join(f"0x{byte:02x}" for byte in coded), 4 * PART),
        ("".join(map(str, coded)), 2 * PART + 4),
        ("".join(f"{byte:o}" for byte in coded), 3 * PART),
        ("".join(f"{byte:03o}" for byte in coded), 3 * PART),
        ("".join(f"{byte:08b}" for byte in coded), 6 * PART),
        (_in_base58(coded), 10_000),
        *((part, 20) for part in _in_base64(coded)),
        *((part, 26) for part in _in_base64(once)),
        *((part, 24) for part in _in_base32(coded)),
    ]
    for text, least in ways:
        letters = squeezed(text)
        if len(letters) >= _SURE:
            needles.append(_Needle(letters, min(least, len(letters))))
    return needles


@lru_cache(maxsize=256)
def _pieces(value: str) -> frozenset[int]:
    """Every piece of eight letters of a key in all its ways of writing."""
    return frozenset(
        int.from_bytes(letters[at : at + _GRAM], sys.byteorder)
        for letters, _, _ in _needles(value)
        for at in range(len(letters) - _GRAM + 1)
    )


@lru_cache(maxsize=16)
def key_search(values: frozenset[str]) -> KeySearch:
    """The search for these keys."""
    return KeySearch(values)


_SIGNS = [re.compile(rf"[^A-Za-z0-9._{mark}-]") for mark in ("", "/", "+")]
"""What a program may escape in a text; some leave a sign as it is."""


@lru_cache(maxsize=16)
def written_forms(values: frozenset[str]) -> list[str]:
    """Ways in which the values may be written, the longest first; to be found as they stand."""
    forms: set[str] = set()
    for value in filter(None, values):
        coded, escaped = value.encode(), percent_encode(value, safe="")
        forms |= {
            value,
            escaped,
            value.replace("/", "\\/"),  # as some write JSON
            html.escape(value),
            *_in_base85(coded),
        }
        if not is_long(value):
            forms |= set(_short_forms(value))
    return sorted(forms, key=lambda form: (-len(form), form))


def _short_forms(value: str) -> Iterator[str]:
    """Further ways to write a key that is too short to be looked for by its letters."""
    coded, escaped = value.encode(), percent_encode(value, safe="")
    yield from (value[::-1], value.upper(), value.lower(), codecs.encode(value, "rot13"))
    yield re.sub("%..", lambda code: code[0].lower(), escaped)
    yield percent_encode(escaped, safe="")
    yield from (coded.hex(), coded.hex().upper(), base64.b32encode(coded).decode().rstrip("="))
    yield from _in_base64(coded)
    yield from _in_base64(base64.b64encode(coded).rstrip(b"=")[:-1])
    yield from _by_number(coded)
    for code in ("\\u{:04x}", "\\u{:04X}", "\\x{:02x}", "\\x{:02X}", "&#{};", "&#x{:x};"):
        for signs in _SIGNS:
            yield signs.sub(lambda sign, c=code: c.format(ord(sign[0])), value)  # type: ignore[misc]


@lru_cache(maxsize=16)
def forms_apart(values: frozenset[str]) -> list[str]:
    """The short values that are looked for with blanks in them, and in base64."""
    short = [value for value in values if not is_long(value)]
    forms = {form for value in short for form in (value, *_in_base64(value.encode()))}
    return sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)


def _by_number(value: bytes) -> Iterator[str]:
    """Every byte of a value as a number, in the ways in which programs print bytes."""
    for code in (
        *("%{:02X}", "%{:02x}", "\\x{:02x}", "\\u{:04x}", "\\u{:04X}", "\\{:03o}"),
        *("&#{};", "&#x{:x};"),
    ):
        yield "".join(map(code.format, value))
    for code, between in (("{:02x}", " "), ("{:02x}", ":"), ("{:02X}", ":"), ("0x{:02x}", ", ")):
        yield between.join(map(code.format, value))
    yield ", ".join(map(str, value))
    yield ",".join(map(str, value))


def _in_base64(value: bytes) -> Iterator[str]:
    """What every base64 text holds that has `value` somewhere in it, at any of three offsets."""
    for offset in range(3):
        written = base64.b64encode(bytes(offset) + value).decode()
        first = -(-offset * 8 // 6)  # letters that depend on what stands before
        last = (offset + len(value)) * 8 // 6  # and those that depend on what follows
        part = written[first:last]
        if len(part) >= _SHORTEST:
            yield part
            yield part.replace("+", "-").replace("/", "_")


def _in_base32(value: bytes) -> Iterator[str]:
    """The same in base32, at any of five offsets."""
    for offset in range(5):
        written = base64.b32encode(bytes(offset) + value).decode()
        yield written[-(-offset * 8 // 5) : (offset + len(value)) * 8 // 5]


_Z85 = bytes.maketrans(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
)


def _in_base85(value: bytes) -> Iterator[str]:
    """The whole groups of a value in the three alphabets of base85, at any of four offsets."""
    for skipped in range(4):
        whole = value[skipped : skipped + (len(value) - skipped) // 4 * 4]
        if len(whole) >= _WHOLE:
            yield base64.a85encode(whole).decode()
            yield (written := base64.b85encode(whole)).decode()
            yield written.translate(_Z85).decode()


_58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _in_base58(value: bytes) -> str:
    number, letters = int.from_bytes(value, "big"), ""
    while number:
        number, left = divmod(number, 58)
        letters = _58[left] + letters
    return letters
