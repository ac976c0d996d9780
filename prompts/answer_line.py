"""In which of twelve languages a question is asked, and how the answer line looks in it.

Known by the script, and among the languages in Latin letters by their commonest words. In doubt it
is English, which every model reads. The labels are those that `voting.reading` knows.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

Language = Literal["en", "de", "fr", "es", "pt", "it", "ru", "zh", "ja", "ko", "hi", "ar"]

_LABELS: dict[Language, str] = {
    "en": "Answer: ...", "de": "Antwort: ...", "fr": "Réponse : ...", "es": "Respuesta: ...",
    "pt": "Resposta: ...", "it": "Risposta: ...", "ru": "Ответ: ...", "zh": "答案：...",
    "ja": "答え：...", "ko": "정답: ...", "hi": "उत्तर: ...", "ar": "الإجابة: ...",
}  # fmt: skip
_COMMON: dict[Language, frozenset[str]] = {
    "en": frozenset(
        [
            "the",
            "of",
            "and",
            "is",
            "are",
            "what",
            "which",
            "how",
            "many",
            "much",
            "to",
            "in",
            "does",
            "did",
            "who",
            "a",
            "for",
            "if",
        ]
    ),
    "de": frozenset(
        [
            "der",
            "die",
            "das",
            "und",
            "ist",
            "sind",
            "was",
            "welche",
            "welcher",
            "welches",
            "wie",
            "viele",
            "viel",
            "von",
            "den",
            "wer",
            "ein",
            "eine",
            "wenn",
            "nicht",
            "hat",
            "warum",
            "wird",
        ]
    ),
    "fr": frozenset(
        [
            "le",
            "la",
            "les",
            "et",
            "est",
            "sont",
            "quel",
            "quelle",
            "quels",
            "combien",
            "de",
            "des",
            "du",
            "un",
            "une",
            "qui",
            "que",
            "où",
            "pourquoi",
            "si",
            "dans",
            "pour",
            "il",
            "elle",
        ]
    ),
    "es": frozenset(
        [
            "el",
            "la",
            "los",
            "las",
            "y",
            "es",
            "son",
            "qué",
            "cuál",
            "cuántos",
            "cuántas",
            "cuánto",
            "de",
            "del",
            "un",
            "una",
            "quién",
            "por",
            "si",
            "en",
            "hay",
            "cómo",
            "dónde",
        ]
    ),
    "pt": frozenset(
        [
            "o",
            "a",
            "os",
            "as",
            "e",
            "é",
            "são",
            "que",
            "qual",
            "quais",
            "quantos",
            "quantas",
            "quanto",
            "de",
            "do",
            "da",
            "dos",
            "um",
            "uma",
            "quem",
            "por",
            "se",
            "em",
            "há",
            "como",
            "onde",
            "não",
        ]
    ),
    "it": frozenset(
        [
            "il",
            "lo",
            "la",
            "gli",
            "le",
            "e",
            "è",
            "sono",
            "che",
            "qual",
            "quale",
            "quali",
            "quanti",
            "quante",
            "quanto",
            "di",
            "del",
            "della",
            "un",
            "una",
            "chi",
            "perché",
            "se",
            "in",
            "ci",
            "come",
            "dove",
        ]
    ),
}
_SCRIPTS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7a3]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ru", re.compile("[а-яёА-ЯЁ]")),
    ("ar", re.compile("[\u0621-\u064a]")),
)
_OTHERS = re.compile("[іїєґўђћљњџјپچژگکی]")
"""Letters of languages that share a script with one of ours and are none."""
_WORD = re.compile(r"[^\W\d_]+")
_READ = 2_000
"""Characters that are looked at."""
_A_LETTER_IN = 4
"""One letter in so many, at the least, makes a question one of its script."""


@functools.lru_cache(maxsize=256)
def language_of(question: str) -> Language:
    """The language that a question is asked in; English where it is another, or in doubt."""
    text = question[:_READ]
    letters = sum(sign.isalpha() for sign in text)
    if not letters or _OTHERS.search(text):
        return "en"
    if text.isascii() or sum(sign.isascii() for sign in text if sign.isalpha()) * 2 > letters:
        return _in_latin_letters(text)
    for language, script in _SCRIPTS:
        if len(script.findall(text)) * _A_LETTER_IN >= letters:
            return language
    return "en"


def _in_latin_letters(text: str) -> Language:
    words = [word.casefold() for word in _WORD.findall(text)]
    counts = {name: sum(word in common for word in words) for name, common in _COMMON.items()}
    best = max(counts, key=lambda name: (counts[name], name == "en"))
    others = [count for name, count in counts.items() if name != best]
    return best if counts[best] >= 2 and counts[best] > max(others) else "en"


def answer_line(question: str) -> str:
    """How the line of a final answer looks in the question's language: `Antwort: ...`."""
    return _LABELS[language_of(question)]
