"""Questions with planted answers: what each member says is known, so what a synthesis keeps is too.

Everything is about a town that does not exist, so no model knows better. On each question four
members answer. All tell the common fact; each tells one fact that nobody else has; and on every
second question three of them tell a falsehood that the fourth corrects, with its reason.
"""

from __future__ import annotations

import random
from typing import NamedTuple

MEMBERS = ("Nadia", "Oskar", "Priya", "Quentin")

_PLACES = ("ferry", "museum", "library", "market", "lighthouse", "observatory", "mill", "archive")
_NAMES = (
    "Tavrin",
    "Ostwick",
    "Bellmoor",
    "Kessing",
    "Dunharrow",
    "Vellacott",
    "Marrowby",
    "Sindle",
)
_COLORS = ("blue", "green", "red", "yellow", "white", "grey", "copper", "violet")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Fact(NamedTuple):
    """Something that members say, and the words by which it is found again."""

    sign: str
    """Found in a text whatever its case and blanks."""
    members: tuple[str, ...]

    @property
    def unique(self) -> bool:
        """Whether one member alone had it."""
        return len(self.members) == 1


class Planted(NamedTuple):
    """One question, its answers, and what is in them."""

    id: str
    question: str
    answers: dict[str, str]
    facts: tuple[Fact, ...]
    poison: str = ""
    """The majority's falsehood; empty where there is none."""
    truth: str = ""
    """What the one who knows says instead."""


def planted(number: int = 20, seed: int = 0) -> list[Planted]:
    """So many questions; the same for the same seed."""
    dice = random.Random(seed)
    return [_plant(f"planted-{at}", dice, poisoned=at % 2 == 1) for at in range(number)]


def _plant(key: str, dice: random.Random, *, poisoned: bool) -> Planted:
    place, town = dice.choice(_PLACES), dice.choice(_NAMES)
    keeper, *guides = dice.sample([name for name in _NAMES if name != town], 3)
    color, *_ = dice.sample(_COLORS, 3)
    day, (fee, room, year, old) = dice.choice(_DAYS), dice.sample(range(11, 99), 4)
    common = f"The {place} of {town} is run by the {keeper} family."
    own = {
        MEMBERS[0]: (f"The spare key hangs behind the {color} door.", f"{color} door"),
        MEMBERS[1]: (f"Groups register in room {room}.", f"room {room}"),
        MEMBERS[2]: (f"Ask for {guides[0]}, who guides in sign language.", guides[0]),
        MEMBERS[3]: (f"Its roof was rebuilt in 19{year}.", f"19{year}"),
    }
    truth, poison = f"{fee} crowns", f"{old} crowns"
    knows = dice.choice(MEMBERS)
    answers = {}
    for name in MEMBERS:
        price = f"A visit costs {truth}."
        if poisoned:
            price = (
                f"A visit costs {truth}: the fee was changed on {day}, and the notice that still "
                "names the old one is void."
                if name == knows
                else f"A visit costs {poison}."
            )
        said = poison if poisoned and name != knows else truth
        answers[name] = f"{common} {price} {own[name][0]}\n\nAnswer: {said}"
    facts = [Fact(keeper, MEMBERS), *(Fact(own[name][1], (name,)) for name in MEMBERS)]
    return Planted(
        id=key,
        question=f"What does a visit to the {place} of {town} cost, and what else counts? ({key})",
        answers=answers,
        facts=tuple(facts),
        poison=poison if poisoned else "",
        truth=truth,
    )
