"""Untrusted text made safe to show: as Markdown, one line of Markdown, or HTML.

Streamlit drops raw HTML and dead-ends `javascript:` links by itself. What is left to do: images
would be fetched from wherever the text says, dollar signs would turn prices into formulas, names of
icons would become icons, and control characters could reverse the line they stand in. Code stays as
it was written.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

from mom_council.extensions.transcript import read_code

_LONGEST = 300


def inert(text: object, longest: int = _LONGEST) -> str:
    """One line that Markdown of ours shows as it stands."""
    return inline(one_line(text, longest))


def one_line(text: object, longest: int = _LONGEST) -> str:
    """One line of plain text, shortened, without signs that turn it round or do not show."""
    line = " ".join(str(text).split())
    line = "".join(sign for sign in line if unicodedata.category(sign) not in ("Cc", "Cf", "Cs"))
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


LONGEST = 60_000
"""Characters that a browser lays out without a pause; the rest is there to be copied."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_DIRECTIVE = re.compile(r"(?<!\\):(?=[a-zA-Z][\w-]*[\[{])")
_ICON = re.compile(r":(?=(?:material/\w+|streamlit):)")
"""Streamlit turns these into icons after the Markdown is read: a backslash does not stop it."""
_WORD_JOINER = "\u2060"
"""Takes no room and does not show."""
# As pandoc reads it: a formula begins and ends without a blank, and no digit follows it.
_FORMULA = re.compile(r"\$\$.+?\$\$|\$(?=[^\s$])[^$\n]*?(?<=[^\s\\])\$(?!\d)")
_LATEX = ((r"\[", "$$"), (r"\]", "$$"), (r"\(", "$"), (r"\)", "$"))


def markdown(text: str, *, longest: int = LONGEST) -> str:
    """Make a model's or a person's Markdown fit for `st.markdown`."""
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    cut = len(text) - longest
    if cut > 0:
        text = text[:longest]
    lines, closing = [], ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if closing:
            if fence and fence[1].startswith(closing) and not line.strip().strip(closing[0]):
                closing = ""
            lines.append(line)
        elif fence:
            closing = fence[1]
            lines.append(line)
        else:
            lines.append(_prose(line))
    if closing:
        lines.append(closing)  # a fence that is still open would swallow what stands below
    if cut > 0:
        lines.append(f"\n… and {cut:,} more characters: copy the answer to read them.")
    joined = "\n".join(lines)
    return joined if read_code(text).is_sure else _without_pictures(joined)


def _without_pictures(text: str) -> str:
    """Break what may be a picture also where we see code, and the browser may see none."""
    parts = re.split(r"(\n[ \t>]*\n)", text)
    if not re.search(r"\]:", text):  # no address stands elsewhere: a picture ends in its paragraph
        ends = [max(part.rfind("]("), part.rfind("][")) for part in parts]
    else:
        ends = [len(part) for part in parts]
    return "".join(
        part[:end].replace("![", f"!{_WORD_JOINER}[") + part[end:] if end > 0 else part
        for part, end in zip(parts, ends, strict=True)
    )


def plain(text: str) -> str:
    """Make any text fit to stand in HTML of ours."""
    return escape(_CONTROLS.sub("", text), quote=True)


def inline(text: str) -> str:
    """Make any text fit to stand in a line of Markdown of ours, as it is."""
    line = " ".join(_CONTROLS.sub("", text).split())
    line = _ICON.sub(":" + _WORD_JOINER, line)
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$:-])", r"\\\1", line)


def _prose(line: str) -> str:
    parts, at = [], 0
    for span in _SPAN.finditer(line):
        parts += [_words(line[at : span.start()]), span[0]]
        at = span.end()
    return "".join([*parts, _words(line[at:])])


def _words(text: str) -> str:
    # An entity cannot be undone by a backslash before it, as another backslash could.
    text = text.replace("![", "&#33;[")
    text = _DIRECTIVE.sub(r"\\:", text)
    text = _ICON.sub(":" + _WORD_JOINER, text)
    for written, meant in _LATEX:
        text = text.replace(written, meant)
    parts, at = [], 0
    for formula in _FORMULA.finditer(text):
        parts += [_prices(text[at : formula.start()]), formula[0]]
        at = formula.end()
    return "".join([*parts, _prices(text[at:])])


def _prices(text: str) -> str:
    if text.strip() == "$$":  # a formula over several lines
        return text
    return re.sub(r"(?<!\\)\$", r"\\$", text)
