"""The options that a question lists: `(A) 3 (B) 5`, `A. Paris`, `1) yes`.

Where a question lists options, only their labels are answers, and the text of one stands for its
label. In doubt there are none: parts of a task ("(a) Find x. (b) Find y.") are no options, and
neither are things to be counted or put in order.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from mom_council.voting.reading.text import lazy_pattern

_LONGEST = 20_000
_TEXT = 400
"""Characters that the text of one option may have."""
_MOST = 26

_FORMATTING = lazy_pattern(
    r"\\(?:textbf|text|mathrm|mathbf|textrm|rm)\s*\{\s*(\(?[A-Z]\)?[.:)]?)\s*\}\s*\\?"
)
_LATEX_BLANK = lazy_pattern(r"\\q?quad|\\[ ,;]|~")
_BOLD_LABEL = lazy_pattern(r"(\*\*|__)(\(?(?:[A-Za-z]|\d{1,2})[).:]?)\1|(\*\*|__)(\[[A-Za-z]\])\3")
_LABEL = r"([A-Za-z]|\d{1,2})"
_FREE = r"(?:(?<=^)|(?<=[\s,;:>*|\u3000，；。？?]))"
_STYLES = (
    lazy_pattern(rf"{_FREE}[(（]{_LABEL}[)）][.:]?", re.MULTILINE),
    lazy_pattern(rf"{_FREE}\[{_LABEL}\][.:]?", re.MULTILINE),
    lazy_pattern(rf"{_FREE}{_LABEL}[)）](?!\w*\()", re.MULTILINE),
    lazy_pattern(rf"{_FREE}{_LABEL}(?:[.:](?=\s)|[．、：])", re.MULTILINE),
    lazy_pattern(rf"^[ \t]*(?:[-*•][ \t]+)?{_LABEL}[ \t]+[-–—=][ \t]+", re.MULTILINE),
    lazy_pattern(rf"^[ \t]*(?:\|[ \t]*)?{_LABEL}[ \t]*\|[ \t]*", re.MULTILINE),
)
_LINE_START = lazy_pattern(r"[ \t]*(?:[-*•|>][ \t]*)?(?:(?:option|choice)[ \t]+)?", re.IGNORECASE)
_CHOICE = lazy_pattern(
    r"\b(?:which|choose|choice|choices|select|option|options|pick|following|multiple-choice|welche[rsn]?|wähl\w*|"
    r"quel(?:le)?s?|choisi\w*|cuál(?:es)?|eli[gj]\w*|qual|quais|escolh\w*|quale|quali|scegli\w*|какой|какая|какое|"
    r"какие|выбер\w*)\b|哪|选|選|下列|どれ|어느|고르|कौन|चुन|أي|اختر",
    re.IGNORECASE,
)
_NO_CHOICE = lazy_pattern(
    r"\b(?:how many of|rank|order (?:these|the following|them)|in (?:the )?(?:correct |right |chronological )?order\b|"
    r"sort|arrange|match (?:each|the)|for each of|classify each|answer (?:all|each|both)|do (?:all|each|both)|"
    r"wie viele der|combien de ces|cuántas de)\b",
    re.IGNORECASE,
)
_TASK = lazy_pattern(
    r"(?:find|compute|calculate|prove|show that|determine|explain|describe|evaluate|write|state|give|derive|sketch|"
    r"solve|list|what|how|why|when|where|who|is it|does)\b",
    re.IGNORECASE,
)
_ANSWERED = lazy_pattern(
    r"\b(?:answer|antwort|réponse|respuesta|resposta|risposta|ответ)\b\s*[:：]|答案|答え|정답|उत्तर|الإجابة",
    re.IGNORECASE,
)
_NEXT_SENTENCE = lazy_pattern(r"[.?!]\s+(?=[A-Z][a-z]|\\boxed)|[。？！](?=.)")
_JOINING = lazy_pattern(r"[\s,;|、；，]*(?:(?<=[\s,;])(?:and|or|oder|und|ou|et|и|или)\s*)?$")


class _Mark(NamedTuple):
    label: str
    start: int
    end: int
    opens_line: bool


class _Run(NamedTuple):
    marks: tuple[_Mark, ...]
    texts: tuple[str, ...]


def find_options(question: str) -> Mapping[str, str]:
    """The options of a question: label -> text, in their order; empty where it lists none.

    Labels are capital letters, A and on, or numbers, 1 and on; there are 2 to 26.
    """
    return dict(_options_in(question)) if len(question) <= _LONGEST else {}


def compared_numbers(question: str) -> tuple[str, str] | None:
    """The two numbers of which a question asks the larger or the smaller; None: it does not."""
    pairs = _COMPARED.findall(question) if len(question) <= _LONGEST else []
    return pairs[0] if len(pairs) == 1 else None


_COMPARED = lazy_pattern(
    r"(?:which|what|welche|quel|cuál|qual|какое)\b[^.?!]{0,60}?"
    r"\b(?:larger|bigger|greater|higher|smaller|less|lower|größer|kleiner|grand|petit|mayor|menor)\b"
    r"[^.?!\d]{0,30}(?<![\w.])(-?\d+(?:[.,]\d+)?)\s+(?:or|and|oder|und|ou|et|o|y)\s+(-?\d+(?:[.,]\d+)?)"
    r"(?!\w)(?!\s*[-+*/%×])(?=[^\d]*$)",
    re.IGNORECASE,
)


@functools.lru_cache(maxsize=256)
def _options_in(question: str) -> tuple[tuple[str, str], ...]:
    text = _LATEX_BLANK.sub(" ", _FORMATTING.sub(r" \1 ", question))
    text = _BOLD_LABEL.sub(lambda bold: bold[2] or bold[4], text)
    runs = sorted(
        (run for style in _STYLES for run in _runs(style, text)),
        key=lambda run: (run.marks[0].start, len(run.marks)),
    )
    if not runs:
        return ()
    last = runs[-1]
    rest = text[: last.marks[0].start] + " " + _after(last, text)
    if _NO_CHOICE.search(rest) or not _is_choice(last, rest):
        return ()
    for earlier in runs[:-1]:
        alike = earlier.marks[0].label == last.marks[0].label and earlier.texts != last.texts
        between = text[earlier.marks[-1].end : last.marks[0].start]
        if alike and not _ANSWERED.search(between):
            return ()  # two questions in one, or a list within a list
    labels = [mark.label.upper() for mark in last.marks]
    return tuple(zip(labels, last.texts, strict=True))


def _runs(style: re.Pattern[str], text: str) -> Iterator[_Run]:
    """The lists of labels in one style: A, B, C; a, b, c; 1, 2, 3."""
    marks = [
        _Mark(match[1], match.start(), match.end(), _opens_line(text, match))
        for match in style.finditer(text)
    ]
    begun: list[_Mark] = []
    for mark in marks:
        if begun and mark.label == _following(begun[-1].label):
            begun.append(mark)
            continue
        yield from _whole(begun, text, mark.start)
        begun = [mark] if mark.label in ("A", "a", "1") else []
    yield from _whole(begun, text, len(text))


def _whole(marks: list[_Mark], text: str, end: int) -> Iterator[_Run]:
    if not 2 <= len(marks) <= _MOST:
        return
    ends = [mark.start for mark in marks[1:]]
    texts = [_option_text(text[mark.end : stop]) for mark, stop in zip(marks, ends, strict=False)]
    texts.append(_option_text(_first_part(text[marks[-1].end : end])))
    if all(0 < len(one) <= _TEXT for one in texts):
        yield _Run(tuple(marks), tuple(texts))


def _following(label: str) -> str:
    if label.isdigit():
        return str(int(label) + 1)
    return chr(ord(label) + 1) if label not in "zZ" else ""


def _opens_line(text: str, mark: re.Match[str]) -> bool:
    begin = text.rfind("\n", 0, mark.start()) + 1
    return _LINE_START.fullmatch(text, begin, mark.start()) is not None


def _option_text(text: str) -> str:
    text = re.sub(r"(?:\n\W*|\s)(?:option|choice)\s*$", "", text, flags=re.IGNORECASE)
    text = re.sub(r"\s*\n[ \t]*[-*•][ \t]*$", "", text)
    text = " ".join(text.replace("**", "").split()).strip("|").strip()
    text = _JOINING.sub("", text)
    return text.rstrip("$") if text.count("$") % 2 else text


def _first_part(text: str) -> str:
    """The text of the last option: up to the end of its line, or of its sentence."""
    line = text.lstrip().split("\n", 1)[0]
    sentence = _NEXT_SENTENCE.search(line)
    return line[: sentence.start()] if sentence else line


def _after(run: _Run, text: str) -> str:
    rest = text[run.marks[-1].end :].lstrip()
    return rest[len(_first_part(rest)) :]


def _is_choice(run: _Run, rest: str) -> bool:
    """Whether a list is one to choose from: by its shape, or by what the question asks."""
    tasks = sum(_TASK.match(text) is not None or text.endswith("?") for text in run.texts)
    if 2 * tasks >= len(run.texts):
        return False
    if _CHOICE.search(rest):
        return True
    if not run.marks[0].label.isupper():
        return False
    in_lines = all(mark.opens_line for mark in run.marks)
    return in_lines or (len(run.marks) >= 3 and "?" in rest)


# --- labels in a reply ------------------------------------------------------------------------

_AROUND = lazy_pattern(
    r"(?i:(?:both|either|all of|the|an?|combination of|combination|correct|options|choices|answers|letters)\s+)*"
    r"(?P<labels>[(\[]?[A-Z](?:(?:[\s,;/&()\[\]*]|(?i:\b(?:and|or)\b)){1,8}[A-Z](?![\w'])|[A-Z](?=[A-Z]*[)\]]))*)[)\]]?"
)
_ARROW = lazy_pattern(r".{1,80}(?:-+>|→|=>|⇒)\s*\(?(?P<label>[A-Z])\)?\W*", re.DOTALL)


def several_labels(text: str, allowed: Collection[str]) -> tuple[str, ...]:
    """The labels that a short text is made of: `(A, F)`, `a combination of (B) and (E)`, `(ACG)`.

    A value and the option that it leads to, `8.6 km --> D`, is that option. Empty: it is neither.
    """
    leads = _ARROW.fullmatch(text)
    if leads:
        return (leads["label"],) if leads["label"] in allowed else ()
    match = _AROUND.fullmatch(text.strip(" .*_$"))
    labels = re.findall(r"[A-Z]", match["labels"]) if match else []
    apart = len(labels) == len(set(labels)) and all(each in allowed for each in labels)
    return tuple(labels) if apart and len(labels) > 1 else ()


_SENTENCE = lazy_pattern(r"(?<=[.!?])\s+|(?<=[.!?])(?=[^\x00-\x7f])|\n+")
_MARKED = lazy_pattern(r"\(([A-Z])\)")
_DENIAL = (
    r"\s*(?:(?:is|are|was|would be|can|could|has been)(?:\s+\w+)??\s+|,\s*)?"
    r"(?:(?:not|n't)\s+(?:correct|right|true|the)\b|cannot\b|wrong|incorrect|false|ruled|eliminated)"
)
_POINTS = lazy_pattern(
    r"(?:\b(?:is|be|as|to|with|choose|select|therefore|thus|hence)\b[:,]?\s+"
    r"(?:(?:the|option|choice|answer|letter|statement)\s+)*|^\W*)\*{0,2}"
    rf"\((?P<label>[A-Z])\)(?!{_DENIAL})",
    re.IGNORECASE,
)
_DENIED = lazy_pattern(rf"\([A-Z]\){_DENIAL}")
_OPENS_DOUBT = lazy_pattern(
    r"\W*(?:if|whether|unless|suppose|assuming|for example)\b", re.IGNORECASE
)


def is_doubted(sentence: str) -> bool:
    """Whether a sentence only supposes an option, or denies one: `(D) is incorrect`."""
    return bool(_OPENS_DOUBT.match(sentence) or _DENIED.search(sentence))


_LEFT_TO_SEARCH = 500


def label_pointed_at(text: str, allowed: Collection[str]) -> str | None:
    """The one option to which the last sentence that names any points: `This is (B).`, `closest to (C)`.

    None where that sentence names several, denies it, or only supposes it.
    """
    for sentence in reversed(_SENTENCE.split(text[-_LEFT_TO_SEARCH:])):
        labels = set(_MARKED.findall(sentence))
        if not labels:
            continue
        points = _POINTS.search(sentence)
        if len(labels) > 1 or points is None or is_doubted(sentence):
            return None
        return points["label"] if points["label"] in allowed else None
    return None
