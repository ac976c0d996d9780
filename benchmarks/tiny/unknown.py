"""What the tiny models do not know, and must say so: everything else, as far as we can imagine it.

Templates and slot words are held out by their hash: the exam asks with forms and about words that
no model was trained on. Both stand in unknown.json.
"""

from __future__ import annotations

import json
import random
import re
import string
import zlib
from pathlib import Path

from mom_council.benchmarks.tiny.questions import LIMIT, Question, negative, three_terms
from mom_council.benchmarks.tiny.words import GLUE, KIND, NAMES, REFUSAL, article, plural

# The words of each slot and the templates, by hand. A slot that is not there is one of ours: {e} a
# thing ("robin"), {x} the same with its article, {es} its plural, {n} and {m} numbers.
_LISTS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
SLOTS: dict[str, tuple[str, ...]] = {slot: tuple(words) for slot, words in _LISTS["slots"].items()}
TEMPLATES: tuple[str, ...] = tuple(_LISTS["templates"])

_SYMBOLS = ("*", "x", "×", "/", "÷", "^", "**", "%", "mod", "times", "divided by", "multiplied by")
_ASKS = (
    "What is {s}?",
    "{s}",
    "{s} =",
    "{s}=?",
    "How much is {s}?",
    "what's {s}",
    "Calculate {s}.",
)
_RIGHT = re.compile(r"\{(\w+)\}")


def held_template(template: str) -> bool:
    """Say whether a template is kept for the exam."""
    return template not in _SHOWN and zlib.crc32(f"exam:{template}".encode()) % 6 == 0


def held_word(word: str) -> bool:
    """Say whether a slot's word is kept for the exam."""
    return word not in ("love", "life", "France") and zlib.crc32(f"exam:{word}".encode()) % 6 == 0


# The documentation shows these.
_SHOWN = frozenset(
    {
        "Why is the sky blue?",
        "What is the capital of {country}?",
        "Write a poem about {topic}.",
        "What is the meaning of life?",
        "Explain {topic}.",
        "What is {thing}?",
        "Is {thing} alive?",
    }
)
_WORDS_OF = {
    exam: {
        slot: tuple(w for w in words if held_word(w) == exam) or words
        for slot, words in SLOTS.items()
    }
    for exam in (False, True)
}
_TRAINING_TEMPLATES = tuple(t for t in TEMPLATES if not held_template(t))
_EXAM_TEMPLATES = tuple(t for t in TEMPLATES if held_template(t))


def unknown(rng: random.Random, *, exam: bool = False) -> Question:
    """Something out of scope; with `exam`, in a held-out form or about a held-out word."""
    dice = rng.random()
    if dice < 0.62:
        text = _from_template(rng, exam=exam)
    elif dice < 0.86:
        text = _arithmetic(rng)
    elif dice < 0.94:
        text = soup(rng, exam=exam)
    else:
        text = _gibberish(rng)
    numbers = re.sub(r"\D+", ",", text).strip(",")
    key = f"unknown|{numbers if 0.62 <= dice < 0.86 else text.lower()}"
    return Question("unknown", key, text[0].upper() + text[1:], REFUSAL, _wrong(rng))


def near_miss(rng: random.Random) -> Question:
    """Something that differs from our sums by a sign, a term or a digit."""
    dice = rng.random()
    if dice < 0.4:
        text = negative(rng)
    elif dice < 0.75:
        text = three_terms(rng)
    else:
        text = _arithmetic(rng)
    key = "unknown|" + re.sub(r"\D+", ",", text).strip(",")
    wrong = (str(rng.randrange(100)), str(rng.randrange(20)), str(rng.randrange(200)))
    return Question("unknown", key, text[0].upper() + text[1:], REFUSAL, wrong)


def _from_template(rng: random.Random, *, exam: bool) -> str:
    new_form = exam and rng.random() < 0.5
    template = rng.choice(_EXAM_TEMPLATES if new_form else _TRAINING_TEMPLATES)
    while exam and not new_form and not set(_RIGHT.findall(template)) & set(SLOTS):
        template = rng.choice(_TRAINING_TEMPLATES)
    thing = rng.choice(tuple(KIND))

    def fill(match: re.Match[str]) -> str:
        slot = match.group(1)
        if slot in SLOTS:
            if slot == "thing" and rng.random() < 0.15:
                return nonsense(rng)
            return rng.choice(_WORDS_OF[exam][slot])
        return {
            "e": thing,
            "x": f"{article(thing)} {thing}",
            "es": plural(thing),
            "name": rng.choice(NAMES),
            "year": str(rng.randrange(1000, 2030)),
        }.get(slot) or str(rng.randrange(2, 200))

    return _RIGHT.sub(fill, template)


def _arithmetic(rng: random.Random) -> str:
    """Sums that look like ours and are not: products, big numbers, three terms, below zero."""
    a, b, c = (rng.randrange(LIMIT) for _ in range(3))
    big = rng.choice(
        (rng.randrange(100, 1000), rng.randrange(100, 200), rng.randrange(1000, 99999))
    )
    sign = rng.choice(("+", "-", " + ", " - ", " plus ", " minus "))
    dice = rng.random()
    if dice < 0.4:
        symbol = rng.choice(_SYMBOLS)
        gap = "" if len(symbol) == 1 and rng.random() < 0.4 else " "
        body = f"{a}{gap}{symbol}{gap}{b}"
    elif dice < 0.6:
        first, second = rng.sample((big, rng.choice((a, big + c))), 2)
        body = f"{first}{sign}{second}"
    elif dice < 0.75:
        other = rng.choice(("+", "-", "*", " + ", " - ", " plus ", " minus "))
        body = f"{a}{sign}{b}{other}{c}"
    elif dice < 0.83:
        small, large = sorted((a, b))
        body = (
            f"{small}{rng.choice(('-', ' - ', ' minus '))}{large if large > small else large + 1}"
        )
    elif dice < 0.9:
        ask = rng.choice(
            (
                "Which is larger, {a} or {b}?",
                "Is {a} bigger than {b}?",
                "Which is smaller, {a}, {b} or {c}?",
                "Which is larger, {a}, {c} or {b}?",
                "{c} is larger than what?",
                "Which is larger?",
            )
        )
        if "{a}" in ask and "{c}" not in ask:
            return ask.format(a=a, b=big) if rng.random() < 0.5 else ask.format(a=big, b=a)
        return ask.format(a=a, b=b, c=c)
    elif dice < 0.95:
        body = rng.choice(
            (f"{a}.{c}{sign}{b}", f"-{a}{sign}{b}", f"{a}{sign}", f"{a}{sign}x", f"sqrt({a})")
        )
    else:
        body = rng.choice(
            (f"({a}{sign}{b}){rng.choice('*/+-')}{c}", f"{a}!", f"{a}/{b}{sign}{c}", f"{a} {b}")
        )
    return rng.choice(_ASKS).format(s=body)


_SOUP = {
    exam: tuple(
        word
        for slot in ("thing", "verb", "adjective", "topic", "part", "place", "person")
        for word in _WORDS_OF[exam][slot]
    )
    for exam in (False, True)
}
_OPENERS = (
    "What is",
    "What",
    "Why",
    "How",
    "Who",
    "When",
    "Where",
    "Is",
    "Are",
    "Do",
    "Does",
    "Can",
    "Which",
    "Tell me",
    "Write",
    "Explain",
    "Give me",
    "I",
    "Add",
    "Take",
    "What kind of",
    "Which is larger,",
    "Is a",
    "Does a",
    "Can you",
    "How much is",
)


def soup(rng: random.Random, *, exam: bool = False) -> str:
    """Words in an order that nobody would choose; sometimes a whole paragraph of them."""
    count = rng.choice((2, 3, 4, 5, 6, 8, 12, 30)) if rng.random() < 0.9 else 60
    own = tuple(KIND)
    words = []
    for _ in range(count):
        dice = rng.random()
        if dice < 0.35:
            words.append(rng.choice(GLUE))
        elif dice < 0.45:
            words.append(rng.choice(own))
        elif dice < 0.55:
            words.append(nonsense(rng))
        else:
            words.append(rng.choice(_SOUP[exam]))
    opener = rng.choice(_OPENERS) + " " if rng.random() < 0.7 else ""
    return opener + " ".join(words) + rng.choice(("?", "?", ".", "", "!"))


def nonsense(rng: random.Random) -> str:
    """Make a word that does not exist."""
    syllables = (
        rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(1, 4))
    )
    return "".join(syllables) + rng.choice(("", "n", "r", "st", "x", "ck"))


def _gibberish(rng: random.Random) -> str:
    letters = rng.choice(
        (string.ascii_lowercase, "asdfghjkl", string.printable[:94], "?!.", "0123456789")
    )
    text = "".join(rng.choice(letters) for _ in range(rng.randint(3, 14)))
    if text.isdigit():
        return text
    return rng.choice((text, f"{text} {nonsense(rng)}", " ".join(nonsense(rng) for _ in range(3))))


def _wrong(rng: random.Random) -> tuple[str, ...]:
    """What an over-confident model would say instead."""
    return (rng.choice(("yes", "no")), str(rng.randrange(150)), rng.choice(tuple(KIND.values())))
