r"""Where a reply states its answer, and what stands there.

`Answer: X`, `\boxed{X}`, `#### X`, `<answer>X</answer>`, JSON, "So (B) is the correct answer" are
all statements of X, in twelve languages. The last statement wins, because models correct
themselves; a run-on into a next question does not.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from mom_council.voting.reading.answer import NO_ANSWER, Answer, plain_number
from mom_council.voting.reading.contents import Take, is_sentence, read_content, read_said
from mom_council.voting.reading.groups import literal_answer
from mom_council.voting.reading.latex import boxed
from mom_council.voting.reading.text import json_spans, lazy_pattern, refuses
from mom_council.voting.reading.values import verbatim

_KEYS = {
    "answer", "final_answer", "final answer", "finalanswer", "final", "result", "solution", "output",
    "ans", "correct_answer", "correct answer", "choice", "antwort", "réponse", "respuesta", "resposta",
    "risposta", "ответ", "答案", "答え", "回答", "정답", "답", "답변", "उत्तर", "الجواب", "الإجابة",
}  # fmt: skip
_FIRST_KEYS = ("answer", "final_answer", "final answer", "finalanswer", "final", "correct_answer")
_OPEN_KEY = lazy_pattern(
    r'"(?:final[_ ]?answer|answer|ans|antwort|réponse|respuesta|resposta|risposta|ответ|答案|答え|정답)"\s*:\s*',
    re.IGNORECASE,
)


def json_answers(text: str) -> Iterator[tuple[int, int, Any]]:
    """Every object that holds an answer: where it starts, where it ends, what it holds."""
    if "{" not in text:
        return
    for value, start, end in json_spans(text):
        held = _held(value)
        if held is not None:
            yield start, end, held[0]


def _held(value: Any, depth: int = 0) -> tuple[Any] | None:
    """What an object holds under the key of an answer, in a tuple, for it may be null."""
    if isinstance(value, list) and value and depth < 3:
        return _held(value[-1], depth + 1) if isinstance(value[-1], dict) else None
    if not isinstance(value, dict):
        return None
    lowered = {str(key).strip().casefold(): inner for key, inner in value.items()}
    for key in (*_FIRST_KEYS, *lowered):
        if key in lowered and key in _KEYS:
            return (lowered[key],)
    for inner in value.values():
        held = _held(inner, depth + 1) if isinstance(inner, dict) and depth < 3 else None
        if held is not None:
            return held
    return None


_ESCAPED = lazy_pattern(r'\\"(.*?)\\"(?=\s*[,}\n]|\s*$)', re.DOTALL)
"""A text whose quotation marks are escaped where they must not be."""


def open_json_answers(text: str) -> Iterator[tuple[int, int, Any]]:
    """An object that was cut off, or holds LaTeX that JSON does not allow: the value that matters."""
    for key in list(_OPEN_KEY.finditer(text))[-5:]:
        at = key.end()
        escaped = _ESCAPED.match(text, at)
        if escaped:
            yield at, escaped.end(), escaped[1]
            continue
        if text[at : at + 1] == '"':
            quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, at)
            if quoted:
                yield at, quoted.end(), _unescape(quoted[0])
            continue
        opening = text[at : at + 1]
        end = _bracket_end(text, at) if opening in "[{(" and opening else None
        if end is not None:
            yield at, end, text[at:end]
            continue
        bare = re.compile(r"[^,}\n]+").match(text, at)
        if bare:
            yield at, bare.end(), bare[0].strip()


def _unescape(quoted: str) -> str:
    """The text of a JSON string; where its escapes are LaTeX, with those left alone."""
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return re.sub(r'\\(["\\])', r"\1", quoted[1:-1])


def _bracket_end(text: str, at: int) -> int | None:
    depth = 0
    for end in range(at, min(len(text), at + 4000)):
        depth += (text[end] in "([{") - (text[end] in ")]}")
        if depth == 0:
            return end + 1
    return None


def read_json_value(held: Any, take: Take, slot: Take) -> Answer | None:
    """What a value under the key of an answer says: a number, a list, or a text to be read."""
    if isinstance(held, bool):
        return take(str(held))
    if held is None:
        return NO_ANSWER
    if isinstance(held, int | float):
        return take(repr(held)) or (_json_number(held))
    if isinstance(held, list) and held and all(_is_letter(one) for one in held):
        return take(" and ".join(held))
    if isinstance(held, list | dict):
        return literal_answer(held)
    # JSON reads the start of \frac, \boxed, \times and \neq as control characters.
    text = str(held).replace("\x0c", "\\f").replace("\x08", "\\b")
    text = re.sub(r"\t(?=ext|imes|heta|frac|an\b)", r"\\t", text)
    text = re.sub(r"\r(?=ight)", r"\\r", text)
    if _MARKS_AS_TEXT.fullmatch(text):
        return take(text.strip())
    if refuses(text.strip()) or not text.strip():
        return NO_ANSWER
    value = slot(text)
    if value is None and len(text) <= _MOST_VERBATIM and "\n\n" not in text:
        return verbatim(text)
    return value


_MARKS_AS_TEXT = lazy_pattern(r"""\s*(['"`])[^\w'"`]{1,80}\1\s*""")
"""Marks or blanks in quotation marks of their own, as in `{"answer": "'.'"}`: a text, no blank place."""


def _is_letter(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and "A" <= value <= "J"


_MOST_VERBATIM = 120
"""Characters that the place of an answer may hold to be taken as they stand."""


def _json_number(value: float) -> Answer | None:
    """A number of JSON."""
    return plain_number(Fraction(repr(value))) if value == value and abs(value) < 1e300 else None


# --- words ------------------------------------------------------------------------------------

_SURE = (
    r"answers|answer|ans|choice|option|selection|antworten|antwort|réponses|réponse|reponse|respuestas|respuesta|"
    r"respostas|resposta|alternativa|risposta|risposte|"
    r"ответ|उत्तर|जवाब|विकल्प"
)
_WEAK = (
    r"result|solution|output|total|conclusion|sum|value|ergebnis|lösung|résultat|resultado|solución|"
    r"solução|risultato|soluzione|результат|решение|परिणाम"
)
_IS_WORD = (
    r"is|are|was|would be|should be|must be|will be|equals|ist|lautet|wäre|beträgt|est|serait|es|sería|é|"
    r"seria|è|sarebbe|это|равен|равна|равно|составляет|है"
)
_LATIN = lazy_pattern(
    rf"(?<![\w'])(?P<noun>{_SURE}|{_WEAK})(?:\s+(?:finale?|correcte?|correcta|correta|corretta|is))??"
    r"(?:\s+(?:to|for|here|à|a|auf|zur|corresponding|choice|is:)\b[^.\n:=]{0,60}?)?[*_`]*\s*"
    rf"(?P<mark>(?:{_IS_WORD}|=|-+>|→|=>|⇒|[—–]|-(?=\s))(?![\w'])\s*(?:option|choice)?\s*:?|:|(?<=उत्तर)\s|(?<=जवाब)\s|(?<=विकल्प)\s)(?!\s*(?:not|nicht|pas|neither)\s)[\s*_]*",
    re.IGNORECASE,
)
_FINAL_WORD = lazy_pattern(
    r"(?:final|correct|right|best|actual|endgültige|richtige|finale|correcta|correta|corretta|правильный|"
    r"итоговый|окончательный|सही|अंतिम)\s+\Z",
    re.IGNORECASE,
)
_EAST = lazy_pattern(
    r"(?P<final>最终|最終|正确|正しい|최종)?(?:的|な)?(?P<noun>答案|答え|解答|回答|正解|答|정답|답변|답|选项|選択肢|"
    r"الإجابة|الاجابة|الجواب|إجابة|جواب|النتيجة|结果|結果|결과)(?:\s*(?:الصحيحة|النهائية|الصحيح|النهائي))?[*_`]*\s*"
    r"(?P<mark>(?:应该是|應該是|应为|是|为|為|等于|選|选|は|が|은|는|이|가|هي|هو)\s*:?|:|=)[\s*_`]*"
)
_SURE_NOUNS = frozenset(
    f"{_SURE}|答案|答え|解答|回答|正解|答|정답|답변|답|选项|選択肢|الإجابة|الاجابة|الجواب|إجابة|جواب".split(
        "|"
    )
)
_HEADED = lazy_pattern(
    r"^[#*_\s]*(?:(?:final|correct|endgültige)\s+)?(?:answer|antwort|réponse|respuesta|resposta|risposta|ответ|"
    r"答案|答え|정답|답|उत्तर|الجواب|الإجابة)(?:\s+final[e]?)?[*_\s:]*\n+",
    re.IGNORECASE | re.MULTILINE,
)
_HASHES = lazy_pattern(r"(?<!#)#{4}(?!#)[ \t]*(?=\S)")
_TAGGED = lazy_pattern(
    r"<(?P<tag>answer|final_answer|final-answer|finalanswer|result|response|solution|ans|choice)>(?P<inside>.*?)(?:</(?P=tag)\s*>|\Z)|"
    r"[\[【](?:RESULT|ANSWER|FINAL ANSWER|FINAL)[\]】]:?[ \t]*(?P<line>[^\n\[]+?)[ \t]*(?:\[/(?:RESULT|ANSWER|FINAL ANSWER|FINAL)\]|\n|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_SHORT_LABEL = lazy_pattern(r"^[ \t*_]*A[*_]*[ \t]*:[*_ \t]*(?=\S)", re.MULTILINE)
_OTHER_LABELS = lazy_pattern(r"^[ \t*_]*[B-D][*_]*[ \t]*[:.)]", re.MULTILINE)
_TURNED = lazy_pattern(
    r"\s(?:is|are|would be|must be|ist|est|es|é|è)\s+(?:the|my|our|die|la|a|il)\s+(?:only\s+)?"
    r"(?:final|correct|right|best|most appropriate|richtige|bonne|correcta|resposta|risposta)\s*"
    r"(?:answer|option|choice|one|solution|antwort|réponse|respuesta|opción|correta|corretta)\b",
    re.IGNORECASE,
)
_BEFORE_TURNED = lazy_pattern(r"[^.!?\n。;]{1,80}\Z")
_CORRECT = lazy_pattern(
    r"(?:\b(?:option|choice|answer|letter)\s+)?(?P<value>\(?(?<![\w'])[A-J]\)?)\s+is\s+(?:therefore\s+|thus\s+)?"
    r"(?:the\s+)?(?:correct|right|best)\b"
)
_BOTH_CORRECT = lazy_pattern(
    r"(?<![\w'])(?P<value>(?:[A-J](?![\w'])\)?\s*,\s*\(?)*[A-J](?![\w'])\)?\s*,?\s*(?:and|und|et|y|e|и|和)\s*\(?[A-J](?![\w'])\)?)\s+"
    r"(?:are|sind|sont|son|são|sono)\s+(?:both\s+|all\s+|the\s+)?(?:correct|right|true|richtig|correctes|correctas|corretas|corrette)\b"
)
_PICK = lazy_pattern(
    r"\b(?:I|we)(?:\s+(?:would|will|must|have to|am going to|am|are going to|'d|'ll)|'d|'ll)?\s+"
    r"(?:choos(?:e|ing)|pick(?:ing)?|select(?:ing)?|go(?:ing)? with|opt for|settle on)\s+(?:option|answer|choice|letter)?\s*:?\s*"
    r"(?P<value>(?-i:\(?\**[A-Z]\**\)?(?![\w'])))"
    r"|(?:ich wähle|ich nehme|je choisis|elijo|escolho|scelgo|я выбираю|выбираю)\s+(?:option|antwort|la|l'option|opción|вариант)?\s*"
    r"(?P<other>(?-i:\(?[A-Z]\)?(?![\w'])))|(?<![不没])(?:[选選](?:择|擇|项|項)?(?:为|是|:)?|選択(?:する|します)?:?|선택:?)\s*"
    r"(?P<east>(?-i:\(?[A-J]\)?))(?![A-Za-z])",
    re.IGNORECASE,
)
_RUN_ON = lazy_pattern(
    r"^[ \t*_#]*(?:(?:next |new )?question|q|problem|exercise|example|user|human|instruction|task|input|prompt|"
    r"frage|pregunta|pergunta|domanda|вопрос|问题|問題|질문|प्रश्न|سؤال)\s*(?:\d{1,3})?[*_]*\s*[:.](?=\s)",
    re.IGNORECASE | re.MULTILINE,
)
_ENDS_IN_LABEL = lazy_pattern(r"(?:^|\bis\s+)\**\([A-Z]\)\**\.\s*\Z")
"""What is left of `The answer is (C).` where the beginning was cut off."""
_RUN_ON_HASHES = lazy_pattern(r"(####[ \t]*\S{1,30})[ \t]+(?:Question|Q|Problem)\s*\d{0,3}\s*:")


def without_run_on(text: str) -> str:
    """The reply up to where it goes on with a question of its own, after it has answered."""
    if ":" not in text:
        return text
    same_line = _RUN_ON_HASHES.search(text) if "####" in text else None
    if same_line:
        text = text[: same_line.end(1)]
    for begin in _RUN_ON.finditer(text):
        before = text[: begin.start()]
        if (
            "####" in before
            or "\\boxed" in before
            or _LATIN.search(before)
            or _SHORT_LABEL.search(before)
            or _ENDS_IN_LABEL.search(before)
        ):
            return before.rstrip()
    return text


# --- places -----------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where an answer is stated.

    Attributes:
        at: where the statement stands: the last one wins.
        take: reads it.
        strong: a label or mark that states an answer and does nothing else.
    """

    at: int
    read: Callable[[], Answer | None]
    strong: bool


_MOST_OF_A_STATEMENT = 600
_MOST_PLACES = 30


def stated_answer(text: str, take: Take, *, nested: bool = False) -> Answer | None:
    """The last answer that the text states; None where it states none.

    Args:
        text: what is searched.
        take: reads a short value.
        nested: it is what a statement holds; what that holds is not searched again.
    """
    slot = functools.partial(_slot, take=take, nested=nested)
    places = sorted(_places(text, take, slot), key=lambda place: place.at)
    for place in places[-_MOST_PLACES:][::-1]:
        answer = place.read()
        if answer is not None and (answer.hard or place.strong):
            return answer
    return None


def _places(text: str, take: Take, slot: Take) -> Iterator[Place]:
    covered = []
    for start, end, value in json_answers(text):
        covered.append((start, end))
        yield Place(end, functools.partial(read_json_value, value, take, slot), True)
    if not covered:
        for at, end, value in open_json_answers(text):
            covered.append((0, at) if text.lstrip().startswith(("{", "```")) else (at, at))
            covered.append((at, end))
            yield Place(at, functools.partial(read_json_value, value, take, slot), True)
    for place in _marks(text, take, slot):
        if not any(start <= place.at < end for start, end in covered):
            yield place


def _marks(text: str, take: Take, slot: Take) -> Iterator[Place]:
    # What a pattern cannot do without is looked for first: most replies hold few of them.
    lowered = text.lower()
    for at, inner, _ in boxed(text):
        yield Place(at, functools.partial(slot, inner), True)
    yield from _labels(text, lowered, take)
    if "\n" in text:
        for mark in _last(_HEADED, text):
            yield Place(mark.end(), _reads(text, mark.end(), take, loose=True), True)
    if "####" in text:
        for mark in _last(_HASHES, text):
            lone = "\n" not in text[mark.end() :].strip()
            yield Place(mark.end(), _reads(text, mark.end(), take, loose=lone), lone)
    yield from _tags(text, slot)
    if "A" in text and ":" in text and _SHORT_LABEL.search(text):
        for mark in _last(_SHORT_LABEL, text) if not _OTHER_LABELS.search(text) else ():
            yield Place(mark.end(), _reads(text, mark.end(), take, loose=True), True)
    yield from _choices(text, lowered, take)


def _tags(text: str, slot: Take) -> Iterator[Place]:
    if not any(sign in text for sign in "<[【"):
        return
    for mark in _last(_TAGGED, text):
        inside = mark["inside"] if mark["inside"] is not None else mark["line"]
        if len(inside) <= 2000 and inside.strip():
            yield Place(mark.start(), functools.partial(slot, inside), True)


def _choices(text: str, lowered: str, take: Take) -> Iterator[Place]:
    """Statements that name their answer first, or choose one."""
    if _PICK_WORDS.search(lowered):
        for mark in _last(_PICK, text):
            value = mark["value"] or mark["other"] or mark["east"]
            yield Place(mark.end() - len(value), functools.partial(take, value.strip("*")), True)
    if not _RIGHT_WORDS.search(lowered):
        return
    for mark in _last(_CORRECT, text):
        if not _is_denied(text, mark.start()):
            yield Place(mark.start(), functools.partial(take, mark["value"]), True)
    for mark in _last(_BOTH_CORRECT, text):
        yield Place(mark.start(), functools.partial(take, mark["value"]), True)
    for mark in _last(_TURNED, text):
        subject = _BEFORE_TURNED.search(text, max(0, mark.start() - 80), mark.start())
        if subject:
            yield Place(subject.start(), functools.partial(_subject, subject[0], take), False)


_PICK_WORDS = lazy_pattern(
    "choos|pick|select|go with|going with|opt for|settle on|wähle|nehme|choisis|elijo|escolho|"
    "scelgo|выбираю|选|選|선택"
)
_RIGHT_WORDS = lazy_pattern(
    "correct|right|best|final|appropriate|richtig|bonne|corret|resposta|risposta|true"
)
_LABEL_WORDS = lazy_pattern(f"{_SURE}|{_WEAK}")


def _slot(text: str, take: Take, *, nested: bool = False) -> Answer | None:
    """What an answer's own place holds: a value, a sentence that says it, or another statement."""
    value = take(text)
    if value is not None and (value.hard or not value or not is_sentence(text)):
        return value
    stated = None
    if not nested and 20 < len(text) < 4000:
        stated = stated_answer(text, take, nested=True)
    return stated or read_said(text, take)


def _last(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    return list(pattern.finditer(text))[-_MOST_PLACES:]


def _labels(text: str, lowered: str, take: Take) -> Iterator[Place]:
    patterns = [_LATIN] if _LABEL_WORDS.search(lowered) else []
    if not text.isascii():
        patterns.append(_EAST)
    for pattern in patterns:
        for mark in _last(pattern, text):
            noun = mark["noun"].casefold()
            sure = noun in _SURE_NOUNS
            colon = mark["mark"].strip().endswith(":")
            if noun == "ans" and not colon:
                continue
            # "The answer is simple." opens an argument more often than it states an answer.
            before = text[max(0, mark.start() - 20) : mark.start()]
            final = _FINAL_WORD.search(before) or (pattern is _EAST and mark["final"])
            near_end = len(text) - mark.end() < 160 or bool(final)
            strong = sure and (near_end or colon)
            loose = strong or (colon and near_end)
            yield Place(mark.end(), _reads(text, mark.end(), take, loose=loose), strong)


def _reads(text: str, at: int, take: Take, *, loose: bool) -> Callable[[], Answer | None]:
    return lambda: read_content(
        text[at : at + _MOST_OF_A_STATEMENT].lstrip(" \t"), take, loose=loose
    )


def _is_denied(text: str, at: int) -> bool:
    return (
        re.search(r"(?:\bnot|n't|neither|nor|if|whether)\s*$", text[max(0, at - 12) : at])
        is not None
    )


def _subject(words: str, take: Take) -> Answer | None:
    """`So (B)` of "So (B) is the correct answer"."""
    words = re.sub(
        r"^\W*(?:(?:so|thus|therefore|hence|then|also|clearly|finally|and|daher|also|donc|por lo tanto|portanto|quindi)\b[\s,]*)+",
        "", words, flags=re.IGNORECASE,
    ).strip(" ,")  # fmt: skip
    if not words or re.match(
        r"(?:this|that|which|it|what|here|there|these|neither|none)\b", words, re.IGNORECASE
    ):
        return None
    words = re.sub(r"^(?:option|choice|answer|letter)\s+", "", words, flags=re.IGNORECASE)
    return take(words)
