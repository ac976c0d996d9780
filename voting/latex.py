r"""The LaTeX that short answers are written in, as plain text: `\frac{1}{2}` is `1/2`.

Only what occurs in answers is known; any other command stays as it stands.
"""

from __future__ import annotations

import re

_DROP = re.compile(
    r"\\(?:left|right|displaystyle|mathstrut|limits|quad|qquad|bigl?|bigr?|Bigl?|Bigr?)(?![A-Za-z])"
    r"|\\[!;:]|\^\s*\{?\\circ\}?|\\degree"
)
_STYLE = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathsf|operatorname|mbox|fbox)\s*(?=\{)"
)
_SIGNS = {
    r"\cdot": "*", r"\times": "*", r"\div": "/", r"\pi": "pi", r"\infty": "∞", r"\pm": "±",
    r"\leq": "≤", r"\le": "≤", r"\geq": "≥", r"\ge": "≥", r"\neq": "≠", r"\cup": "∪",
    r"\approx": "≈",
    r"\ldots": "...", r"\dots": "...", r"\lbrace": "{", r"\rbrace": "}",
}  # fmt: skip
_SIGN = re.compile(
    r"\\(?:cdot|times|div|pi|infty|pm|leq|le|geq|ge|neq|cup|approx|ldots|dots|lbrace|rbrace)(?![A-Za-z])"
)


def without_latex(text: str) -> str:
    """The answer with fractions, roots, text and spacing written plainly."""
    text = re.sub(r"\^\{(-?\w+)\}", r"^\1", text)
    if "\\" not in text and "{," not in text:
        return text
    text = text.replace("{,}", ",").replace("\\,", "\u2009").replace("\\ ", " ").replace("~", " ")
    text = re.sub(r"\\([$%&#_])", r"\1", _DROP.sub("", text))
    text = _SIGN.sub(lambda sign: _SIGNS[sign[0]], text)
    text = re.sub(r"\\[dtc]frac", r"\\frac", text)
    while (found := re.search(r"\\boxed\s*(?=\{)", text)) and (inner := braced(text, found.end())):
        text = text[: found.start()] + inner[0] + text[inner[1] :]
    while (found := _STYLE.search(text)) and (inner := braced(text, found.end())):
        text = text[: found.start()] + inner[0] + text[inner[1] :]
    text = _roots(_fractions(text))
    text = re.sub(r"\^\{(\w)\}", r"^\1", text)
    return text.replace("\\{", "{").replace("\\}", "}").strip()


def braced(text: str, at: int) -> tuple[str, int] | None:
    """What stands in the braces that open at `at`, and where they end; None if they never do."""
    depth = 0
    for end in range(at, min(len(text), at + 2000)):
        if text[end - 1 : end] == "\\":
            continue
        depth += (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            return text[at + 1 : end], end + 1
    return None


def boxed(text: str) -> list[tuple[int, str]]:
    r"""Every `\boxed{...}` of a text: where it stands, and what it holds."""
    found = []
    for box in list(re.finditer(r"\\f?boxed\s*(?=\{)", text))[-20:]:
        inner = braced(text, box.end())
        if inner:
            found.append((box.start(), inner[0]))
    return found


def _fractions(text: str) -> str:
    for _ in range(20):
        found = re.search(r"(\d)?\\frac\s*", text)
        if not found:
            break
        above, at = _argument(text, found.end())
        below, end = _argument(text, at)
        if not above or not below:
            break
        whole = f"{found[1]} " if found[1] else ""  # 2\frac{1}{2} is two and a half
        text = text[: found.start()] + whole + f"{_grouped(above)}/{_grouped(below)}" + text[end:]
    return text


def _roots(text: str) -> str:
    for _ in range(20):
        found = re.search(r"\\sqrt\s*", text)
        if not found:
            break
        inside, end = _argument(text, found.end())
        if not inside:
            break
        text = text[: found.start()] + f"sqrt({inside})" + text[end:]
    return text


def _argument(text: str, at: int) -> tuple[str, int]:
    while text[at : at + 1].isspace():
        at += 1
    if text[at : at + 1] == "{":
        inner = braced(text, at)
        return inner or ("", at)
    return text[at : at + 1], at + 1


def _grouped(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"-?[\w.]+|\w*\\?sqrt\S+", text) else f"({text})"
