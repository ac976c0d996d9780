r"""Where the answer stands in a reply, and what stands there.

`Answer: X`, `\boxed{X}`, `#### X`, `<answer>X</answer>`, JSON, "So (B) is the correct answer" are
all statements of X, in twelve languages. The last statement wins, because models correct
themselves; a run-on into a next question does not.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mom_council.voting.reading.answer import NO_ANSWER, Answer
from mom_council.voting.reading.latex import boxed
from mom_council.voting.reading.mathematics import literal_answer, plain_number
from mom_council.voting.reading.refusals import refuses
from mom_council.voting.reading.text import json_spans
from mom_council.voting.reading.values import verbatim

Take = Callable[[str], Answer | None]

# --- words ------------------------------------------------------------------------------------

_SURE = (
    r"answer|ans|choice|option|selection|antwort|réponse|reponse|respuesta|resposta|risposta|ответ|"
    r"उत्तर|जवाब"
)
_WEAK = (
    r"result|solution|output|total|conclusion|sum|value|ergebnis|lösung|résultat|resultado|solución|"
    r"solução|risultato|soluzione|результат|решение|परिणाम"
)
_IS_WORD = (
    r"is|are|was|would be|should be|must be|will be|equals|ist|lautet|wäre|beträgt|est|serait|es|sería|é|"
    r"seria|è|sarebbe|это|равен|равна|равно|составляет|है"
)
_LATIN = re.compile(
    rf"(?<![\w'])(?P<noun>{_SURE}|{_WEAK})(?:\s+(?:finale?|correcte?|correcta|correta|corretta|is))??"
    r"(?:\s+(?:to|for|here|à|a|auf|zur|corresponding|choice|is:)\b[^.\n:=]{0,60}?)?[*_`]*\s*"
    rf"(?P<mark>(?:{_IS_WORD}|=|-+>|→|=>|⇒|[—–]|-(?=\s))(?![\w'])\s*(?:option|choice)?\s*:?|:|(?<=उत्तर)\s|(?<=जवाब)\s)[\s*_`]*",
    re.IGNORECASE,
)
_FINAL_WORD = re.compile(
    r"(?:final|correct|right|best|actual|endgültige|richtige|finale|correcta|correta|corretta|правильный|"
    r"итоговый|окончательный|सही|अंतिम)\s+\Z",
    re.IGNORECASE,
)
_EAST = re.compile(
    r"(?P<final>最终|最終|正确|正しい|최종)?(?:的|な)?(?P<noun>答案|答え|解答|回答|正解|答|정답|답변|답|选项|選択肢|"
    r"الإجابة|الاجابة|الجواب|إجابة|جواب|النتيجة|结果|結果|결과)(?:\s*(?:الصحيحة|النهائية|الصحيح|النهائي))?[*_`]*\s*"
    r"(?P<mark>(?:应该是|應該是|应为|是|为|為|等于|選|选|は|が|은|는|이|가|هي|هو)\s*:?|:|=)[\s*_`]*"
)
_SURE_NOUNS = frozenset(
    f"{_SURE}|答案|答え|解答|回答|正解|答|정답|답변|답|选项|選択肢|الإجابة|الاجابة|الجواب|إجابة|جواب".split(
        "|"
    )
)
_HEADED = re.compile(
    r"^[#*_\s]*(?:(?:final|correct|endgültige)\s+)?(?:answer|antwort|réponse|respuesta|resposta|risposta|ответ|"
    r"答案|答え|정답|답|उत्तर|الجواب|الإجابة)(?:\s+final[e]?)?[*_\s:]*\n+",
    re.IGNORECASE | re.MULTILINE,
)
_HASHES = re.compile(r"(?<!#)#{4}(?!#)[ \t]*(?=\S)")
_TAGGED = re.compile(
    r"<(?P<tag>answer|final_answer|final-answer|finalanswer|result|response|solution|ans|choice)>(?P<inside>.*?)(?:</(?P=tag)\s*>|\Z)|"
    r"[\[【](?:RESULT|ANSWER|FINAL ANSWER|FINAL)[\]】]:?[ \t]*(?P<line>[^\n\[]+?)[ \t]*(?:\[/(?:RESULT|ANSWER|FINAL ANSWER|FINAL)\]|\n|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_SHORT_LABEL = re.compile(r"^[ \t*_]*A[*_]*[ \t]*:[*_ \t]*(?=\S)", re.MULTILINE)
_OTHER_LABELS = re.compile(r"^[ \t*_]*[B-D][*_]*[ \t]*[:.)]", re.MULTILINE)
_TURNED = re.compile(
    r"\s(?:is|are|would be|must be|ist|est|es|é|è)\s+(?:the|my|our|die|la|a|il)\s+(?:only\s+)?"
    r"(?:final|correct|right|best|most appropriate|richtige|bonne|correcta|resposta|risposta)\s*"
    r"(?:answer|option|choice|one|solution|antwort|réponse|respuesta|opción|correta|corretta)\b",
    re.IGNORECASE,
)
_BEFORE_TURNED = re.compile(r"[^.!?\n。;]{1,80}\Z")
_CORRECT = re.compile(
    r"(?:\b(?:option|choice|answer|letter)\s+)?(?P<value>\(?(?<![\w'])[A-J]\)?)\s+is\s+(?:therefore\s+|thus\s+)?"
    r"(?:the\s+)?(?:correct|right|best)\b"
)
_PICK = re.compile(
    r"\b(?:I|we)(?:\s+(?:would|will|must|have to|am going to|am|are going to|'d|'ll)|'d|'ll)?\s+"
    r"(?:choos(?:e|ing)|pick(?:ing)?|select(?:ing)?|go(?:ing)? with|opt for|settle on)\s+(?:option|answer|choice|letter)?\s*:?\s*"
    r"(?P<value>(?-i:\(?\**[A-Z]\**\)?(?![\w'])))"
    r"|(?:ich wähle|ich nehme|je choisis|elijo|escolho|scelgo|я выбираю|выбираю)\s+(?:option|antwort|la|l'option|opción|вариант)?\s*"
    r"(?P<other>(?-i:\(?[A-Z]\)?(?![\w'])))|(?:我选择?|我會選|選択(?:する|します)?:?|선택:?)\s*(?P<east>(?-i:\(?[A-Z]\)?))",
    re.IGNORECASE,
)
_RUN_ON = re.compile(
    r"^[ \t*_#]*(?:(?:next |new )?question|q|problem|exercise|example|user|human|instruction|task|input|prompt|"
    r"frage|pregunta|pergunta|domanda|вопрос|问题|問題|질문|प्रश्न|سؤال)\s*(?:\d{1,3})?[*_]*\s*[:.](?=\s)",
    re.IGNORECASE | re.MULTILINE,
)
_KEYS = {
    "answer", "final_answer", "final answer", "finalanswer", "final", "result", "solution", "output",
    "ans", "correct_answer", "correct answer", "choice", "antwort", "réponse", "respuesta", "resposta",
    "risposta", "ответ", "答案", "答え", "回答", "정답", "답", "답변", "उत्तर", "الجواب", "الإجابة",
}  # fmt: skip
_FIRST_KEYS = ("answer", "final_answer", "final answer", "finalanswer", "final", "correct_answer")
_OPEN_KEY = re.compile(
    r'"(?:final[_ ]?answer|answer|ans|antwort|réponse|respuesta|resposta|risposta|ответ|答案|答え|정답)"\s*:\s*',
    re.IGNORECASE,
)

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
_END = re.compile(r"[.!?。!?](?=[\s*_\"')\]]|$)|[;。](?=\s|$|\S)|\n")
_MOST_OF_A_STATEMENT = 600


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
        return at
    return len(text)


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
                r"\.\s?(?:[A-Z]\.|(?!The\b|This\b|It\b|We\b|All\b|So\b|In\b|If\b|As\b|For\b)[A-Z][\w'-]+)",
                text[at : at + 30],
            )
            is not None
        )
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", name):
        return after.islower() or after.isdigit()
    return name.casefold() in _ABBREVIATIONS and (name.casefold() != "no" or after.isdigit())


def without_run_on(text: str) -> str:
    """The reply up to where it goes on with a question of its own, after it has answered."""
    if "\n" not in text or ":" not in text:
        return text
    for begin in _RUN_ON.finditer(text):
        before = text[: begin.start()]
        if (
            "####" in before
            or "\\boxed" in before
            or _LATIN.search(before)
            or _SHORT_LABEL.search(before)
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
    for start, end, value in _json_answers(text):
        covered.append((start, end))
        yield Place(end, functools.partial(read_json_value, value, take, slot), True)
    if not covered:
        for at, end, value in _open_json_answers(text):
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
    if _has_any(lowered, _PICK_WORDS):
        for mark in _last(_PICK, text):
            value = mark["value"] or mark["other"] or mark["east"]
            yield Place(mark.end() - len(value), functools.partial(take, value.strip("*")), True)
    if not _has_any(lowered, _RIGHT_WORDS):
        return
    for mark in _last(_CORRECT, text):
        if not _is_denied(text, mark.start()):
            yield Place(mark.start(), functools.partial(take, mark["value"]), True)
    for mark in _last(_TURNED, text):
        said = _BEFORE_TURNED.search(text, max(0, mark.start() - 80), mark.start())
        if said:
            yield Place(said.start(), functools.partial(_subject, said[0], take), False)


_PICK_WORDS = (
    "choos", "pick", "select", "go with", "going with", "opt for", "settle on", "wähle", "nehme", "choisis",
    "elijo", "escolho", "scelgo", "выбираю", "选", "選", "선택",
)  # fmt: skip
_RIGHT_WORDS = (
    "correct",
    "right",
    "best",
    "final",
    "appropriate",
    "richtig",
    "bonne",
    "resposta",
    "risposta",
)
_LABEL_WORDS = tuple(f"{_SURE}|{_WEAK}".split("|"))


def _has_any(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _last(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    return list(pattern.finditer(text))[-_MOST_PLACES:]


def _labels(text: str, lowered: str, take: Take) -> Iterator[Place]:
    patterns = [_LATIN] if _has_any(lowered, _LABEL_WORDS) else []
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


def _subject(said: str, take: Take) -> Answer | None:
    """`So (B)` of "So (B) is the correct answer"."""
    said = re.sub(
        r"^\W*(?:(?:so|thus|therefore|hence|then|also|clearly|finally|and|daher|also|donc|por lo tanto|portanto|quindi)\b[\s,]*)+",
        "", said, flags=re.IGNORECASE,
    ).strip(" ,")  # fmt: skip
    if not said or re.match(
        r"(?:this|that|which|it|what|here|there|these|neither|none)\b", said, re.IGNORECASE
    ):
        return None
    said = re.sub(r"^(?:option|choice|answer|letter)\s+", "", said, flags=re.IGNORECASE)
    return take(said)


# --- JSON -------------------------------------------------------------------------------------


def _json_answers(text: str) -> Iterator[tuple[int, int, Any]]:
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


def _open_json_answers(text: str) -> Iterator[tuple[int, int, Any]]:
    """An object that was cut off, or holds LaTeX that JSON does not allow: the value that matters."""
    for key in list(_OPEN_KEY.finditer(text))[-5:]:
        at = key.end()
        if text[at : at + 1] == '"':
            quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, at)
            if quoted:
                yield at, quoted.end(), _unescaped(quoted[0])
            continue
        opening = text[at : at + 1]
        end = _bracket_end(text, at) if opening in "[{(" and opening else None
        if end is not None:
            yield at, end, text[at:end]
            continue
        bare = re.compile(r"[^,}\n]+").match(text, at)
        if bare:
            yield at, bare.end(), bare[0].strip()


def _unescaped(quoted: str) -> str:
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
        return take(repr(held)) or (plain_number_of(held))
    if isinstance(held, list | dict):
        return literal_answer(held)
    # JSON reads the start of \frac, \boxed, \times and \neq as control characters.
    text = str(held).replace("\x0c", "\\f").replace("\x08", "\\b")
    text = re.sub(r"\t(?=ext|imes|heta|frac|an\b)", r"\\t", text)
    text = re.sub(r"\r(?=ight)", r"\\r", text)
    if refuses(text.strip()) or not text.strip():
        return NO_ANSWER
    value = slot(text)
    if value is None and len(text) <= _MOST_VERBATIM and "\n\n" not in text:
        return verbatim(text)
    return value


_MOST_VERBATIM = 120
"""Characters that the place of an answer may hold to be taken as they stand."""


def plain_number_of(value: float) -> Answer | None:
    """A number of JSON."""
    from fractions import Fraction

    return plain_number(Fraction(repr(value))) if value == value and abs(value) < 1e300 else None


# --- what stands there ------------------------------------------------------------------------

_CUT = re.compile(
    r",? (?:because|since|as |which|so |for |while|after|when|where|if |given|due|based|not |denn|weil|parce que|"
    r"porque|perché|потому|так как)|, (?:but|not|aber|mais|pero|mas|ma|а|но)\b|"
    r" [(–—-](?=\D)| \(|\s*:(?=\s)|,\s+(?=[a-z]{4,}\s)",
    re.IGNORECASE,
)  # fmt: skip
_LEAD = re.compile(
    r"^[*_$\\(\s]*(?P<number>[-−]?\s?[$€£₹¥]?\s?\d[\d,]*(?:\.\d+)?(?:\s?(?:%|°C|°F))?)(?P<rest>.*)$",
    re.DOTALL,
)
_GOES_ON = re.compile(
    r"\d|^\s*[-+*/^=<>:!]|^[^\W\d_]|^\s*of\b|\b(?:or|to|and|am|pm|bc|ad|lakh|crore)\b|[,;]\s*[A-Z]",
    re.IGNORECASE,
)
_PLACE_WORDS = re.compile(
    r"\s+(?:in|on|at|for|from|with|by|left|altogether|total|over|under|after|before|during)\b.*$",
    re.IGNORECASE | re.DOTALL,
)


def read_content(rest: str, take: Take, *, loose: bool) -> Answer | None:
    """The answer that the text begins with."""
    box = boxed(rest[:400])
    if box and box[0][0] < 4:
        return _slot(box[0][1], take, nested=True)
    fence = re.match(r"```[\w+-]*\n(.*?)```", rest, re.DOTALL)
    if fence:
        return take(fence[1])
    line = rest[: _line_end(rest)].strip()
    line = re.sub(r"\s*####.*$", "", line)
    value = _first_value(line, take)
    if value is not None and (value.hard or not value):
        return value
    sentence = line[: sentence_end(line)]
    if value is None or _is_description(sentence):
        shown = shown_value(sentence, take)
        if shown is not None:
            return shown
    phrase = value if loose else None
    if value is not None and not _is_sentence(line):
        led = _leading(sentence, take)
        return led or (None if _describes(value) else phrase)
    return _leading(sentence, take) or _in_sentence(sentence, take) or phrase


def _first_value(line: str, take: Take) -> Answer | None:
    """The first hard value that the beginning of a line is, else its first phrase."""
    phrase: Answer | None = None
    for said in _tries(line):
        value = take(said)
        if value is not None and (value.hard or not value):
            return value
        phrase = phrase or value
    return phrase


_DESCRIBED = re.compile(r"(?:the|a|an|simply|just|thus)\b", re.IGNORECASE)
_SHOWN = re.compile(
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
        shown = list(_SHOWN.finditer(part))[-3:]
        for mark in shown[::-1]:
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


def _slot(text: str, take: Take, *, nested: bool = False) -> Answer | None:
    """What an answer's own place holds: a value, or a sentence that says it."""
    value = take(text)
    if value is not None and (value.hard or not value or not _is_sentence(text)):
        return value
    stated = None
    if not nested and 20 < len(text) < 4000:
        stated = stated_answer(text, take, nested=True)
    found = stated or _leading(text, take) or _in_sentence(text, take)
    return found or value


_SUBJECT = re.compile(
    r"^\W*(?:he|she|it|they|we|you|i|there|this|that|these|those|the|each|every|all|both|in|so|thus|therefore|"
    r"er|sie|es|wir|il|elle|ils|elles|on|nous|él|ella|ellos|ele|ela|egli|он|она|они|мы)\b|^\W*[A-Z][\w'.-]+(?:\s+[A-Z][\w'.-]+)*\s+\w+",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|will|would|can|could|should|must|does|did|needs?|gets?|got|makes?|made|pays?|paid|"
    r"spends?|spent|sells?|sold|buys?|bought|earns?|earned|costs?|takes?|took|saves?|saved|eats?|ate|runs?|ran|"
    r"drinks?|drank|reads?|walks?|drives?|drove|weighs?|equals?|totals?|gives?|gave|returns?|leaves?|left|"
    r"lost|won|receives?|received|used|uses|wrote|collects?|collected|grew|owes?|holds?|contains?|"
    r"\w{2,}ed|ist|sind|hat|haben|kostet|verdient|est|sont|a|ont|coûte|gagne|es|son|tiene|cuesta|gana|é|são|tem|"
    r"custa|è|sono|ha|costa)\b"
)  # fmt: skip


def _is_sentence(text: str) -> bool:
    """Whether a few words say something about their one number: "She earned $450."."""
    if len(text.split()) < 3:
        return False
    return _SUBJECT.match(text) is not None and _VERB.search(text) is not None


_NUMBER = re.compile(
    r"(?<![\w.,^_{/-])-?[$€£₹¥]?\d[\d,]*(?:\.\d+)?(?:\s?%|\s?/\s?\d+)?(?![\w.,]*\d)(?!\s*[=*/^+]\s*\d)"
)


def _in_sentence(sentence: str, take: Take) -> Answer | None:
    """What a sentence in an answer's place says: what it is, or its one number."""
    found = predicate(sentence, take)
    if found is not None:
        return found
    numbers = list(_NUMBER.finditer(sentence))
    if len({number[0] for number in numbers}) == 1 and numbers:
        return _leading(sentence[numbers[0].start() :], take) or take(numbers[0][0].rstrip(",."))
    return None


def _leading(sentence: str, take: Take) -> Answer | None:
    """`42 apples in the big basket`: the number it begins with, where it has no other."""
    found = _LEAD.match(sentence)
    if not found or _GOES_ON.search(found["rest"]):
        return None
    rest = _PLACE_WORDS.sub("", found["rest"]).rstrip(" .*_$)")
    for said in (found["number"] + rest, found["number"]):
        value = take(said)
        if value is not None and value.type == "number":
            return value
    return None


_IS = re.compile(
    r"\b(?:is|are|equals|makes?|was|be|has|have|costs?|gives?|returns?|gets?|totals?|totaling|ist|sind|"
    r"beträgt|lautet|est|sont|es|son|são|é|è|sono|это|равно|составляет)\s*:?\s*(?=(?P<said>[^\n]{1,80})$)",
    re.IGNORECASE,
)
_EAST_IS = re.compile(r"(?:是|为|は|은|는|هو|هي)\s*(?P<said>[^\n。]{1,40})$")
_NAME = re.compile(r"(?:the )?[A-ZÀ-ÞА-Я][^\W\d_]{2,}(?: [A-ZÀ-ÞА-Я][^\W\d_]+){0,3}")


def predicate(sentence: str, take: Take) -> Answer | None:
    """What a sentence says that something is: `so the total is 42`."""
    sentence = re.sub(r"(?<!\d)[.!。\s*]+$|[.。\s*]+$", "", sentence)
    if len(re.findall(r"(?<!\w)[A-Za-z]\s*=", sentence)) > 1:
        value = take(sentence.strip("$ "))
        return value if value is not None and value.hard else None  # x = 1, y = 2
    if "=" in sentence:
        right = sentence.rpartition("=")[2]
        value = take(right) or _leading(right.strip(), take)
        if value is not None and value.type in _PLAIN_TYPES:
            return value
    for found in list(_IS.finditer(sentence))[::-1][:6]:
        said = found["said"]
        value = take(said) or _leading(said, take)
        # A letter on its own here is an article or a name as often as a choice.
        if value is not None and value.type in _PLAIN_TYPES:
            return value
        if value is not None and _NAME.fullmatch(said):
            return value
    east = _EAST_IS.search(sentence)
    if east:
        value = take(east["said"])
        if value is not None and value:
            return value
    quoted = re.search(r"(?:is|be|returns?|output)\s+(`[^`]+`|'[^']*'|\"[^\"]*\")$", sentence)
    return take(quoted[1]) if quoted else None


_PLAIN_TYPES = frozenset({
    "number", "set", "tuple", "list", "mapping", "truth", "time", "date", "ratio", "range", "interval",
    "matrix", "term", "equation",
})  # fmt: skip

_LAST = re.compile(r"(?<=[^\s\d][.!?])\s+|(?<=\d\.)\s+(?=[A-Z])|(?<=。)")


def last_sentence(text: str) -> str:
    """The last sentence of the last line that says anything."""
    lines = [line.strip() for line in text[-4000:].split("\n") if line.strip(" `*_-#\t")]
    parts = _LAST.split(lines[-1]) if lines else [""]
    while len(parts) > 1 and re.search(r"(?:\b[A-Z]|\b(?:Dr|Mr|Mrs|Ms|St|No))\.$", parts[-2]):
        parts[-2:] = [f"{parts[-2]} {parts[-1]}"]
    return parts[-1].strip()


def last_number(sentence: str, take: Take) -> Answer | None:
    """The last number of a sentence."""
    numbers = re.findall(
        r"(?<![\w.,])-?[$€£₹¥]?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?:\s?%)?(?!\w)", sentence
    )
    return take(numbers[-1].rstrip(",")) if numbers else None
