"""What a model or a server wrote, made harmless for a terminal."""

from __future__ import annotations

import re

# Controls that could move the cursor, set a title, or hide text; line feed and tab may stay.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Marks that turn the direction of what follows, so that it reads as something else.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile("\r\n|[\u2028\u2029]")


def inert(text: str) -> str:
    """The text with every control character as a visible sign: an escape becomes `␛`."""
    return _TURNS.sub("", _CONTROLS.sub(_picture, _LINE_ENDS.sub("\n", text)))


def one_line(text: str, most: int = 0) -> str:
    """The text on one line, cut to so many characters where a number is given."""
    line = " ".join(inert(text).split())
    return line[: most - 1].rstrip() + "…" if most and len(line) > most else line


def in_a_row(text: str) -> str:
    """Several lines, each of which says something, as one line that keeps them apart."""
    lines = [line for line in map(one_line, inert(text).splitlines()) if line]
    apart = (line if line[-1] in ":;,.?!" else f"{line};" for line in lines[:-1])
    return " ".join((*apart, *lines[-1:]))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"
