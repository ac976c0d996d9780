"""What the tiny models know: sums, comparisons, kinds of things, facts about them, routes.

Every question has a key. A key that `is_held` is never trained on, in any form: it is for the exam.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

from mom_council.benchmarks.tiny.words import (
    CHAT,
    COLOURS,
    DRAW,
    FACTS,
    KIND,
    MORE_CHAT,
    PLACES,
    REFUSAL,
    TELL,
    WORLD,
    article,
    plural,
)

LIMIT = 100  # numbers in sums and comparisons are below this
SMALL = 13  # sums of numbers below this are what everybody types first: never held out


class Question(NamedTuple):
    """A question with its one right answer and some wrong ones."""

    kind: str
    key: str
    text: str
    answer: str
    wrong: tuple[str, ...]


# Examples in the documentation are allowed to be known by heart.
_SHOWN = frozenset(
    {"17+25", "17<71", "17<25", "alive|robin", "kind|oak", "60-13", "unknown|12,13", "talk"}
)


def is_held(key: str) -> bool:
    """Say whether a key belongs to the exam (one in ten does)."""
    return key not in _SHOWN and not _is_first(key) and _hash(f"exam:{key}") % 10 == 0


def is_dropped(key: str, seed: int | None) -> bool:
    """Say whether this seed's model never sees the key (three in ten do): so models differ."""
    if seed is None or key in _SHOWN or _is_first(key):
        return False
    return _hash(f"drop{seed}:{key}") % 10 < 3


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def _is_first(key: str) -> bool:
    for sign in "+-":
        left, mark, right = key.partition(sign)
        if mark and left.isdigit() and right.isdigit():
            return int(left) < SMALL and int(right) < SMALL
    return False


# The first EASY forms of each are what the first lessons use.
EASY = 3
_ADD = (
    "{a}+{b}",
    "{a} + {b}",
    "What is {a} + {b}?",
    "What is {a}+{b}?",
    "{a}+{b}=",
    "{a} + {b} =",
    "{a} + {b} = ?",
    "{a}+{b}?",
    "What's {a} + {b}?",
    "What's {a} plus {b}?",
    "What is {a} plus {b}?",
    "{a} plus {b}",
    "{a} plus {b}?",
    "How much is {a} + {b}?",
    "How much is {a} and {b}?",
    "How much is {a} plus {b}?",
    "What is {a} and {b}?",
    "Add {a} and {b}.",
    "Add {a} to {b}.",
    "Sum {a} and {b}.",
    "What is the sum of {a} and {b}?",
    "Calculate {a} + {b}.",
    "What does {a} + {b} make?",
    "What do you get if you add {a} and {b}?",
    "How many are {a} and {b}?",
    "Compute {a}+{b}",
)
_SUBTRACT = (
    "{a}-{b}",
    "{a} - {b}",
    "What is {a} - {b}?",
    "What is {a}-{b}?",
    "{a}-{b}=",
    "{a} - {b} =",
    "{a} − {b}",
    "{a}−{b}",
    "{a} – {b}?",
    "{a}-{b}?",
    "What's {a} - {b}?",
    "What's {a} minus {b}?",
    "What is {a} minus {b}?",
    "{a} minus {b}",
    "{a} minus {b}?",
    "How much is {a} - {b}?",
    "How much is {a} minus {b}?",
    "How much is {a} less {b}?",
    "Take {b} from {a}.",
    "Take {b} away from {a}.",
    "{a} take away {b}",
    "Subtract {b} from {a}.",
    "What is {a} take away {b}?",
    "What is the difference between {a} and {b}?",
    "Calculate {a} - {b}.",
    "What is left of {a} if you take {b} away?",
    "Compute {a}-{b}",
)
_WHICH = (
    "Which is {w}, {a} or {b}?",
    "Which is {w} {a} or {b}",
    "What is {w}, {a} or {b}?",
    "Which number is {w}, {a} or {b}?",
    "Which one is {w}: {a} or {b}?",
    "Which of {a} and {b} is {w}?",
    "{a} or {b}, which is {w}?",
)
_LARGER = ("larger", "bigger", "greater", "higher", "more")
_SMALLER = ("smaller", "lower", "less")
_MORE = (
    "Is {a} larger than {b}?",
    "Is {a} bigger than {b}?",
    "Is {a} greater than {b}?",
    "Is {a} more than {b}?",
    "{a} > {b}?",
    "Is {a} > {b}?",
)
_LESS = (
    "Is {a} smaller than {b}?",
    "Is {a} less than {b}?",
    "{a} < {b}?",
    "Is {a} lower than {b}?",
)
_KIND = (
    "What kind of thing is {x}?",
    "What kind of thing is {x}?",
    "What sort of thing is {x}?",
    "What type of thing is {x}?",
    "What is {x}?",
    "What's {x}?",
    "What kind of thing are {xs}?",
    "{x} is what kind of thing?",
    "Which kind of thing is {x}?",
)


def addition(rng: random.Random, forms: int | None = None, top: int | None = None) -> Question:
    """A sum of two numbers below `top`; left out: mostly the limit, sometimes SMALL."""
    a, b = _pair(rng, top)
    low, high = sorted((a, b))
    text = rng.choice(_ADD[:forms]).format(a=a, b=b)
    return Question("add", f"{low}+{high}", text, str(a + b), _near(a + b))


def subtraction(rng: random.Random, forms: int | None = None, top: int | None = None) -> Question:
    """A difference of two such numbers that is not negative."""
    b, a = sorted(_pair(rng, top))
    text = rng.choice(_SUBTRACT[:forms]).format(a=a, b=b)
    return Question("subtract", f"{a}-{b}", text, str(a - b), _near(a - b))


def comparison(rng: random.Random, forms: int | None = None) -> Question:
    """Which of two numbers is larger or smaller, or whether one is."""
    a, b = rng.sample(range(LIMIT), 2)
    if rng.random() < 0.2:  # the same tens or close by: the hard ones
        b = max(0, min(LIMIT - 1, a + rng.choice((-3, -2, -1, 1, 2, 3))))
        b = b if a != b else (a + 1) % LIMIT
    return _compare(rng, a, b, forms)


def _compare(rng: random.Random, a: int, b: int, forms: int | None) -> Question:
    key = f"{min(a, b)}<{max(a, b)}"
    larger = rng.random() < 0.5
    if rng.random() < 0.6:
        right = max(a, b) if larger else min(a, b)
        text = rng.choice(_WHICH[:forms]).format(
            w=rng.choice((_LARGER if larger else _SMALLER)[:forms]), a=a, b=b
        )
        return Question("compare", key, text, str(right), (str(a + b - right),))
    yes = (a > b) == larger
    text = rng.choice((_MORE if larger else _LESS)[:forms]).format(a=a, b=b)
    return Question("compare", key, text, _yes(yes), (_yes(not yes),))


def fact(rng: random.Random, forms: int | None = None) -> Question:
    """A yes-or-no question about a thing."""
    name = rng.choice(tuple(FACTS))
    kinds, ways = FACTS[name][0].split(), FACTS[name][1]
    yes = rng.random() < 0.5
    thing = rng.choice([x for x, kind in KIND.items() if (kind in kinds) == yes])
    return Question(
        "fact", f"{name}|{thing}", _about(rng, ways[:forms], thing), _yes(yes), (_yes(not yes),)
    )


def kind_of(rng: random.Random, forms: int | None = None) -> Question:
    """What kind of thing a thing is."""
    thing = rng.choice(tuple(KIND))
    others = tuple(kind for kind in WORLD if kind != KIND[thing])
    return Question("kind", f"kind|{thing}", _about(rng, _KIND[:forms], thing), KIND[thing], others)


def route(rng: random.Random, _forms: int | None = None) -> Question:
    """Whether a request wants an image or a text."""
    thing, colour, place = rng.choice(tuple(KIND)), rng.choice(COLOURS), rng.choice(PLACES)
    x = rng.choice(
        (
            f"{article(thing)} {thing}",
            f"{article(colour)} {colour} {thing}",
            f"{article(thing)} {thing} {place}",
            f"{article(colour)} {colour} {thing} {place}",
        )
    )
    image = rng.random() < 0.5
    if not image and rng.random() < 0.5:
        inner = draw(rng, route_too=False)
        while is_held(inner.key):  # no held-out question, not even inside another
            inner = draw(rng, route_too=False)
        request = inner.text
    else:
        request = rng.choice(DRAW if image else TELL).format(x=x)
    if rng.random() < 0.2:
        request = rng.choice(("Please help. ", "Hello! ", "I have a question. ")) + request
    text = f"Route this request to image or text: {request}"
    answer, wrong = ("image", "text") if image else ("text", "image")
    return Question("route", f"route|{request}", text, answer, (wrong,))


def say(rng: random.Random, _forms: int | None = None) -> Question:
    """One line about a thing."""
    thing = rng.choice(tuple(KIND))
    x, kind = f"{article(thing)} {thing}", KIND[thing]
    form = rng.choice(("Say one line about {x}.", "Describe {x}.", "Tell me about {x}."))
    wrong = tuple(f"{x} is {article(k)} {k}.".capitalize() for k in WORLD if k != kind)
    answer = f"{x} is {article(kind)} {kind}.".capitalize()
    return Question("say", f"kind|{thing}", form.format(x=x), answer, wrong)


def chat(rng: random.Random, _forms: int | None = None) -> Question:
    """Small talk."""
    text, answer = rng.choice(CHAT)
    return Question("chat", f"chat|{text}", text, answer, (REFUSAL,))


def small_talk(rng: random.Random, _forms: int | None = None) -> Question:
    """Small talk for the lessons: all of it, and what a confused model might say instead."""
    text, answer = rng.choice(CHAT + MORE_CHAT)
    others = {said for _, said in CHAT if said != answer} | {REFUSAL}
    odd = (rng.choice(("yes", "no")), rng.choice(tuple(WORLD)), str(rng.randrange(200)))
    return Question("chat", "talk", text, answer, (*sorted(others), *odd))


def close_comparison(rng: random.Random, forms: int | None = None) -> Question:
    """A comparison that one digit decides: the same tens, the same units, or one digit each."""
    dice = rng.random()
    if dice < 0.4:
        tens = 10 * rng.randrange(10)
        a, b = (tens + digit for digit in rng.sample(range(10), 2))
    elif dice < 0.6:
        a, b = rng.sample(range(10), 2)
    elif dice < 0.8:
        units = rng.randrange(10)
        a, b = (10 * digit + units for digit in rng.sample(range(10), 2))
    else:
        a, b = rng.randrange(10), rng.randrange(10, LIMIT)
        a, b = (a, b) if rng.random() < 0.5 else (b, a)
    return _compare(rng, a, b, forms)


def negative(rng: random.Random) -> str:
    """Ask for a difference below zero, in the forms of the others."""
    a, b = sorted(rng.sample(range(15 if rng.random() < 0.4 else LIMIT), 2))
    return rng.choice([form for form in _SUBTRACT if "difference" not in form]).format(a=a, b=b)


def three_terms(rng: random.Random) -> str:
    """Ask for a sum or a difference of three numbers, in the forms of two."""
    a, b, c = (rng.randrange(10 if rng.random() < 0.5 else LIMIT) for _ in range(3))
    sign, form = rng.choice(
        (("+", rng.choice(_ADD)), ("-", rng.choice(_SUBTRACT[:21])), ("+", "{a}+{b}"))
    )
    word = {"+": "plus", "-": "minus"}[sign if rng.random() < 0.7 else rng.choice("+-")]
    if "+" in form or "-" in form:
        gap = " " if " + " in form or " - " in form else ""
        other = sign if rng.random() < 0.7 else rng.choice("+-*")
        return form.format(a=a, b=f"{b}{gap}{other}{gap}{c}")
    return form.format(a=a, b=f"{b} {word if word in form else 'and'} {c}")


_Maker = Callable[[random.Random, int | None], Question]
MAKERS: dict[str, tuple[_Maker, float]] = {
    "add": (addition, 6.0),
    "subtract": (subtraction, 6.0),
    "compare": (comparison, 2.5),
    "fact": (fact, 4.5),
    "kind": (kind_of, 1.5),
    "route": (route, 0.8),
    "say": (say, 0.3),
    "chat": (chat, 0.4),
}


def draw(
    rng: random.Random,
    leaning: dict[str, float] | None = None,
    *,
    forms: int | None = None,
    route_too: bool = True,
) -> Question:
    """Draw an in-scope question.

    Args:
        rng: where chance comes from.
        leaning: multiplies the weight of a kind.
        forms: ask in the first so many ways only.
        route_too: whether the question may be one of routing.
    """
    leaning = leaning or {}
    names = [name for name in MAKERS if route_too or name != "route"]
    weights = [MAKERS[name][1] * leaning.get(name, 1.0) for name in names]
    return MAKERS[rng.choices(names, weights)[0]][0](rng, forms)


def small_sum(rng: random.Random, forms: int | None = None) -> Question:
    """A sum or difference of small numbers: what everybody types first."""
    return rng.choice((addition, subtraction))(rng, forms, SMALL)


def _pair(rng: random.Random, top: int | None) -> tuple[int, int]:
    top = top or (SMALL if rng.random() < 0.08 else LIMIT)
    return rng.randrange(top), rng.randrange(top)


def _near(right: int) -> tuple[str, ...]:
    around = {abs(right + d) for d in (-10, -2, -1, 1, 9, 10, 11)} - {right}
    return tuple(str(number) for number in sorted(around))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _about(rng: random.Random, forms: tuple[str, ...], thing: str) -> str:
    bare = KIND[thing] == "metal" and rng.random() < 0.7
    x = thing if bare else f"{article(thing)} {thing}"
    text = rng.choice(forms).format(x=x, xs=plural(thing))
    return text[0].upper() + text[1:]


def vocabulary() -> dict[str, list[str]]:
    """The words of all questions that the models are trained to answer, and the kinds of things."""
    forms = [*_ADD, *_SUBTRACT, *_WHICH, *_LARGER, *_SMALLER, *_MORE, *_LESS, *_KIND]
    forms += [way for _, ways in FACTS.values() for way in ways]
    forms += [text for text, _ in CHAT + MORE_CHAT]
    forms += [*KIND, *map(plural, KIND), "an", "Please", "Describe {x}.", "Tell me about {x}."]
    plain = re.sub(r"\{\w+\}", " ", " ".join(forms)).lower()
    words = set(re.findall(r"[^\W\d]+(?:'[^\W\d]+)*", plain))
    return {"kinds": sorted(WORLD), "words": sorted(words)}


if __name__ == "__main__":
    import json

    from mom_council.models.weights import SHIPPED

    (SHIPPED / "words.json").write_text(json.dumps(vocabulary(), indent=1) + "\n", "utf-8")
