r"""The LaTeX that short answers are written in, as plain text: `\frac{1}{2}` is `1/2`.

Only what occurs in answers is known; any other command stays as it stands.
"""

from __future__ import annotations

import re

from mom_council.voting.reading.text import lazy_pattern

_DROP = lazy_pattern(
    r"\\(?:left|right|displaystyle|textstyle|mathstrut|limits|quad|qquad|[bB]igg?[lrm]?)(?![A-Za-z])\.?"
    r"|\\[!;:>]|\\phantom\{[^{}]*\}"
)
_TWO_OF = lazy_pattern(r"\\[dt]?binom\s*(?=[{\d\w])")
_REPEATED = lazy_pattern(r"(\d+)\.(\d*)\\overline\s*\{?\s*(\d+)\s*\}?")
_DEGREE = lazy_pattern(r"\s*\^\s*\{?\s*\\circ\s*\}?|\s*\\degree(?![A-Za-z])")
_STYLE = lazy_pattern(
    r"\\(?:text|textbf|textit|textrm|texttt|mathrm|mathbf|mathit|mathsf|mathbb|mathcal|"
    r"operatorname\*?|mbox|hbox|fbox|boxed|bm|boldsymbol|underline|vec)\s*(?=\{)"
)
_SIGNS = {
    "cdot": "*", "times": "*", "ast": "*", "div": "/", "pi": "pi", "infty": "∞", "pm": "±",
    "leq": "≤", "le": "≤", "leqslant": "≤", "geq": "≥", "ge": "≥", "geqslant": "≥", "neq": "≠",
    "ne": "≠", "lt": "<", "gt": ">", "cup": "∪", "cap": "∩", "in": "∈", "approx": "≈",
    "ldots": "...", "dots": "...", "cdots": "...", "lbrace": "{", "rbrace": "}", "emptyset": "∅",
    "varnothing": "∅", "to": "→", "rightarrow": "→", "Rightarrow": "⇒", "equiv": "≡",
    "sin": "sin ", "cos": "cos ", "tan": "tan ", "sec": "sec ", "csc": "csc ", "cot": "cot ",
    "arcsin": "arcsin ", "arccos": "arccos ", "arctan": "arctan ", "ln": "ln ", "log": "log ",
    "exp": "exp ", "alpha": "α", "beta": "β", "gamma": "γ", "theta": "θ", "lambda": "λ",
    "mu": "μ", "phi": "φ", "varphi": "φ", "omega": "ω", "sigma": "σ", "rho": "ρ", "epsilon": "ε",
    "lfloor": "floor(", "rfloor": ")", "lceil": "ceil(", "rceil": ")", "mid": "|", "vert": "|",
    "circ": "°", "pounds": "£", "euro": "€", "checkmark": "✓", "wedge": "∧", "vee": "∨",
    "setminus": "\\", "land": "∧", "lor": "∨", "min": "min ", "max": "max ", "gcd": "gcd ",
}  # fmt: skip
_SIGN = lazy_pattern(rf"\\({'|'.join(sorted(_SIGNS, key=len, reverse=True))})(?![A-Za-z])")
_MATRIX = lazy_pattern(
    r"\\begin\{(?P<kind>[pbBvV]?matrix|smallmatrix|array)\}(?:\{[clr|]+\})?(?P<inside>.*?)\\end\{(?P=kind)\}",
    re.DOTALL,
)
_POWER = lazy_pattern(r"\^\s*\{\s*(-?[\w.]+)\s*\}")
_BASE = lazy_pattern(r"_\s*\{\s*([\w.]+)\s*\}")
_COMMA = lazy_pattern(r"(?<=\d)(?:\{,\}|,\\[!;: ]?\s*|\\,)(?=\s*\d{3}(?!\d))")
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = lazy_pattern("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_LOWERED = lazy_pattern("[₀-₉]+")
_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_ARRAY = lazy_pattern(r"(?:\\left\s*)?[\[(]\s*(matrix\[[^\]]*\])\s*(?:\\right\s*)?[\])]")


def without_latex(text: str) -> str:
    """The answer with fractions, roots, matrices, text and spacing written plainly."""
    if not text.isascii():
        text = _RAISED.sub(lambda power: "^" + power[0].translate(_SUPERSCRIPT), text)
        text = _LOWERED.sub(lambda index: "_" + index[0].translate(_SUBSCRIPT), text)
    if "\\" not in text and "{," not in text and "^{" not in text and "_{" not in text:
        return text
    text = text.replace("\\mathbb{R}", "ℝ").replace("\\mathbb R", "ℝ")
    text = _REPEATED.sub(_repeating, _POWER.sub(r"^\1", text))
    text = _BASE.sub(r"_\1", text)
    text = _ARRAY.sub(r"\1", _MATRIX.sub(_plain_matrix, text))
    text = _DROP.sub("", _COMMA.sub(",", text)).replace("{,}", ",")
    text = text.replace("\\,", " ").replace("\\ ", " ").replace("~", " ")
    text = _DEGREE.sub("°", text)
    text = re.sub(r"\\([$%&#_])", r"\1", text)
    text = _SIGN.sub(lambda sign: _SIGNS[sign[1]], text)
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = _without_styles(text)
    text = _roots(_fractions(_choices(text)))
    text = re.sub(r"\^\s*\{\s*(\w)\s*\}", r"^\1", text)
    text = re.sub(r"\^\s*\{([^{}]*)\}", r"^(\1)", text)
    return text.replace("\\{", "{").replace("\\}", "}").strip()


def _plain_matrix(matrix: re.Match[str]) -> str:
    r"""`\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}` as `matrix[1&2;3&4]`; a determinant too."""
    rows = [row.strip() for row in re.split(r"\\\\|\\cr\b", matrix["inside"])]
    word = "det" if matrix["kind"][0] in "vV" else "matrix"
    return f"{word}[{';'.join(row for row in rows if row)}]"


def _without_styles(text: str) -> str:
    for _ in range(30):
        style = _STYLE.search(text)
        if style is None:
            break
        inner = braced(text, style.end())
        if inner is None:
            break
        text = text[: style.start()] + inner[0] + text[inner[1] :]
    return text


def braced(text: str, at: int) -> tuple[str, int] | None:
    """What stands in the braces that open at `at`, and where they end; None if they never do."""
    depth = 0
    for end in range(at, min(len(text), at + 2000)):
        sign = text[end]
        if sign not in "{}" or (end and text[end - 1] == "\\"):
            continue
        depth += 1 if sign == "{" else -1
        if depth == 0:
            return text[at + 1 : end], end + 1
    return None


_BOX = lazy_pattern(r"\\f?boxed\s*(?=\{)|\\boxed\s+(?=[\w-])")
_MOST_BOXES = 20


def boxed(text: str) -> list[tuple[int, str, int]]:
    r"""The last `\boxed{...}` of a text: where each stands, what it holds, where it ends."""
    if "boxed" not in text:
        return []
    boxes = []
    for box in list(_BOX.finditer(text))[-_MOST_BOXES:]:
        inner = braced(text, box.end()) if text[box.end()] == "{" else None
        if inner:
            boxes.append((box.start(), inner[0], inner[1]))
        elif text[box.end()] != "{" and (
            bare := re.match(r"-?\.?\w+(?:\.\w+)*", text[box.end() :])
        ):
            boxes.append((box.start(), bare[0], box.end() + bare.end()))
    return boxes


def _fractions(text: str) -> str:
    for _ in range(20):
        fraction = re.search(r"(\d)?\s*\\frac(?![A-Za-z])\s*", text)
        if not fraction:
            break
        above, at = _argument(text, fraction.end())
        below, end = _argument(text, at)
        if not above or not below:
            break
        plain = f"{_grouped(above)}/{_grouped(below)}"
        if fraction[1]:  # 2\frac{1}{2} is two and a half, 2\frac{x}{3} a product
            mixed = re.fullmatch(r"\d+/\d+", plain)
            plain = f"{fraction[1]} {plain}" if mixed else f"{fraction[1]}*{plain}"
        after = text[end:]
        if after and (after[0].isalnum() or after[0] in "(\\"):
            plain = f"({plain})"
        before = text[: fraction.start()]
        if before[-1:].isalnum() or before[-1:] == ")":
            plain = f" {plain}" if before[-1:].isdigit() and fraction[1] is None else f"({plain})"
        text = before + plain + after
    return text


def _choices(text: str) -> str:
    """Binomial coefficients: `binom(5,2)`."""
    for _ in range(20):
        match = _TWO_OF.search(text)
        if not match:
            break
        above, at = _argument(text, match.end())
        below, end = _argument(text, at)
        if not above or not below:
            break
        text = f"{text[: match.start()]}binom({above},{below}){text[end:]}"
    return text


def _repeating(number: re.Match[str]) -> str:
    """A repeating decimal as a fraction."""
    whole, once, again = number.groups()
    below = 10 ** len(once) * (10 ** len(again) - 1)
    return f"{int(whole + once + again) - int(whole + once)}/{below}"


def _roots(text: str) -> str:
    for _ in range(20):
        root = re.search(r"\\sqrt(?![A-Za-z])\s*(?:\[\s*(\w+)\s*\]\s*)?", text)
        if not root:
            break
        inside, end = _argument(text, root.end())
        if not inside:
            break
        plain = f"({inside})^(1/{root[1]})" if root[1] else f"sqrt({inside})"
        text = text[: root.start()] + plain + text[end:]
    return text


def _argument(text: str, at: int) -> tuple[str, int]:
    while text[at : at + 1].isspace():
        at += 1
    if text[at : at + 1] == "{":
        return braced(text, at) or ("", at)
    if text[at : at + 1] == "\\":
        command = re.match(r"\\[A-Za-z]+(?:\[[^\]]*\])?\s*(?:\{[^{}]*\}|\d)?", text[at:])
        return (command[0], at + command.end()) if command else ("", at)
    if text.startswith("pi", at):
        return "pi", at + 2
    return text[at : at + 1], at + 1


def _grouped(text: str) -> str:
    text = text.strip()
    if re.fullmatch(r"-?[\w.]+|\w*\\?sqrt\s*(?:\{[^{}]*\}|\([^()]*\)|\w)", text):
        return text
    return f"({text})"
