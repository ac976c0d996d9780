"""The stream of training examples: questions as people type them, and our own prompts around them.

The prompts are rendered from the product's templates, so that the demo council is asked exactly
what it was trained on. Nothing here needs torch.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from mom_council.benchmarks.tiny.questions import (
    EASY,
    Question,
    close_comparison,
    draw,
    is_dropped,
    is_held,
    small_sum,
    small_talk,
)
from mom_council.benchmarks.tiny.unknown import near_miss, nonsense, soup, unknown
from mom_council.benchmarks.tiny.words import (
    HABITS,
    JSON_ASKS,
    NAMES,
    REFUSAL,
    ROLES,
    TOPICS,
    TRAITS,
    article,
)
from mom_council.prompts import render


class Example(NamedTuple):
    """One exchange. `given` is what of the answer a grammar forces; no loss is taken on it."""

    system: str
    user: str
    answer: str
    kind: str
    key: str
    given: str = ""


# What each of the three models is better at.
LEANINGS: dict[int, dict[str, float]] = {
    1: {"add": 2.0, "subtract": 2.0},
    2: {"fact": 1.2, "kind": 1.4},
    3: {"compare": 1.2},
}
# How often a prompt of each model's is: nothing but the persona; with earlier answers; a ballot.
# The rest are the synthesizer's, most with the first, who writes the demo's answers.
_PROMPTS: dict[int, tuple[float, float, float]] = {1: (0.26, 0.13, 0.26)}
_ANY_PROMPT = (0.3, 0.15, 0.3)


def examples(seed: int, *, model: int | None = None) -> Iterator[tuple[Example, Example]]:
    """Yield training examples for ever, each as a bare question and inside a prompt.

    Args:
        seed: the same seed gives the same stream.
        model: the model's number; it decides what the model never sees. None drops nothing.
    """
    rng = random.Random(seed)
    while True:
        question = _question(rng, model)
        yield _bare(rng, question), _prompted(rng, question, model)


def first_lessons(seed: int, *, model: int | None = None) -> Iterator[Example]:
    """Yield short questions for ever, in few forms and without slips: what training begins with."""
    rng = random.Random(seed)
    while True:
        question = _question(rng, model, easy=True)
        yield Example("", question.text, question.answer, question.kind, question.key)


def held_out(count: int, seed: int = 7) -> list[Question]:
    """Draw the exam: distinct questions that no model was trained on, as plainly as people type."""
    rng = random.Random(seed)
    exam: dict[str, Question] = {}
    while len(exam) < count:
        outside = rng.random() < 0.38
        while not is_held((question := _exam_question(rng, outside=outside)).key):
            pass
        exam.setdefault(question.text, question._replace(text=as_typed(rng, question.text)))
    return list(exam.values())


def _exam_question(rng: random.Random, *, outside: bool) -> Question:
    if outside:
        return unknown(rng, exam=True)
    return draw(rng, {"fact": 1.2, "kind": 2.0, "say": 0.0, "chat": 0.0, "compare": 1.4})


def _question(rng: random.Random, model: int | None, *, easy: bool = False) -> Question:
    leaning = LEANINGS.get(model or 0, {})
    leaning = {"add": 1.8, "subtract": 1.8, "kind": 1.5, "chat": 0.0} | leaning
    if easy:
        leaning |= {"add": 1.5, "subtract": 1.5}
    forms = EASY if easy else None
    while True:
        dice = rng.random()
        if dice < 0.05:
            question = near_miss(rng)
        elif dice < (0.09 if easy else 0.26):
            question = unknown(rng)
        elif dice < (0.2 if easy else 0.33):
            question = close_comparison(rng, forms)
        elif dice < (0.21 if easy else 0.37):
            question = small_talk(rng)
        elif dice < (0.29 if easy else 0.45):
            question = small_sum(rng, forms)
        else:
            question = draw(rng, leaning, forms=forms)
        if is_held(question.key) or is_dropped(question.key, model):
            continue
        return question if easy else question._replace(text=as_typed(rng, question.text))


# ---- how people type


_BEFORE = (
    "Please, ",
    "please ",
    "Hey, ",
    "Hi, ",
    "So ",
    "Tell me, ",
    "Can you tell me: ",
    "Question: ",
    "Quick question: ",
    "Please tell me: ",
    "Ok, ",
    "And ",
)
_AFTER = (" please", ", please", " Please.", " Thanks!", " thanks", " Quickly.")


def as_typed(rng: random.Random, text: str) -> str:
    """Write a question the way somebody types it: case, stops, politeness, blanks, a slip."""
    if rng.random() < 0.4:
        return text
    if rng.random() < 0.12:
        text = rng.choice(_BEFORE) + (text[0].lower() + text[1:] if rng.random() < 0.6 else text)
    if rng.random() < 0.1:
        text = _slip(rng, text)
    if rng.random() < 0.4:
        text = text.rstrip("?.!= ") or text
    elif rng.random() < 0.12:
        text += rng.choice(("?", "!", " ?", "."))
    if rng.random() < 0.08:
        text += rng.choice(_AFTER)
    if rng.random() < 0.45:
        text = text.lower()
    elif rng.random() < 0.05:
        text = text.upper()
    return _spaced(rng, text)


def _spaced(rng: random.Random, text: str) -> str:
    """Blanks too many, within and around."""
    if rng.random() < 0.06:
        text = text.replace(" ", "  ", 1)
    if rng.random() < 0.06:
        text = rng.choice((" ", "\n", "")) + text + rng.choice((" ", "\n", "  "))
    return text


def _slip(rng: random.Random, text: str) -> str:
    """Swap, lose or double one letter of a common word; never of a name or a number."""
    words = text.split(" ")
    common = {
        "what",
        "which",
        "larger",
        "smaller",
        "bigger",
        "plus",
        "minus",
        "much",
        "kind",
        "thing",
    }
    spots = [i for i, word in enumerate(words) if word.lower() in common]
    if not spots:
        return text
    spot = rng.choice(spots)
    word, at = words[spot], rng.randrange(1, len(words[spot]) - 1)
    words[spot] = rng.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )
    return " ".join(words)


# ---- the prompts


def _bare(rng: random.Random, q: Question) -> Example:
    return _maybe_json(rng, Example("", q.text, q.answer, q.kind, q.key), rate=0.06)


def _prompted(rng: random.Random, q: Question, model: int | None) -> Example:
    """The question in one of the product's prompts."""
    plain, again, ballot = _PROMPTS.get(model or 0, _ANY_PROMPT)
    dice = rng.random()
    strange = rng.random() < 0.25
    name = nonsense(rng).capitalize() if strange else rng.choice(NAMES)
    persona = {"name": name, "personality": _personality(rng)}
    if q.kind == "route" or dice < plain:
        system, user = render("character", style="tiny", question=q.text, earlier=[], **persona)
        answer, kind = q.answer, q.kind
    elif dice < plain + again:
        earlier = _given(rng, q, at_least_right=0.8)
        system, user = render(
            "character", style="tiny", question=q.text, earlier=earlier, **persona
        )
        answer, kind = q.answer, "again"
    elif dice < plain + again + ballot:
        given = _given(rng, q, at_least_right=0.75)
        candidates = [{"label": "ABCDEF"[i], "text": text} for i, text in enumerate(given)]
        system, user = render(
            "vote", style="tiny", question=q.text, candidates=candidates, **persona
        )
        answer, kind = (q.answer if q.answer in given else _most(given)), "vote"
    else:
        given = _given(rng, q, at_least_right=0.75)
        proposals, best = _supported(rng, given, q.answer)
        system, user = render("synthesizer", style="tiny", question=q.text, proposals=proposals)
        answer, kind = best, "synthesis"
    example = Example(system, user, answer, kind, q.key)
    return _maybe_json(rng, example, rate=0.12)


def _most(given: list[str]) -> str:
    return max(given, key=lambda text: (given.count(text), -given.index(text)))


def _personality(rng: random.Random) -> str:
    """Some words about a persona: nothing, a phrase, or up to forty tokens."""
    dice = rng.random()
    if dice < 0.25:
        return ""
    if dice < 0.37:  # words that no list of ours would put there
        return f"You are {soup(rng)}"[:160]
    role = rng.choice(ROLES)
    trait = rng.choice(TRAITS)
    who = rng.choice(
        (
            f"You are {article(trait)} {trait} {role}.",
            f"{article(role).capitalize()} {role} who likes {rng.choice(TOPICS)}.",
            f"{article(trait).capitalize()} {trait} {role}.",
            f"{trait.capitalize()} and {rng.choice(TRAITS)}.",
            f"You are {trait}.",
            f"You are the {role} of the council.",
        )
    )
    habits = [
        rng.choice(HABITS).format(
            t=rng.choice(TRAITS), n=rng.choice(TOPICS), r=role, a=article(trait)
        )
        for _ in range(0 if dice < 0.5 else 1 if dice < 0.8 else 2)
    ]
    return " ".join((who, *habits) if rng.random() < 0.8 else habits or (who,))


def _given(rng: random.Random, q: Question, *, at_least_right: float) -> list[str]:
    """One to four answers as other models would give them.

    Without the right one among them, all there is to do is to copy; that is a lesson of its own.
    """
    count = rng.choice((1, 2, 2, 2, 3, 3, 3, 3, 4))
    if rng.random() >= at_least_right:
        wrong = [_mistake(rng, q) for _ in range(1 + (rng.random() < 0.6))]
        return [rng.choice(wrong) for _ in range(count)]
    right = rng.choice((0.5, 0.7, 0.9, 1.0))
    given = [q.answer if rng.random() < right else _mistake(rng, q) for _ in range(count)]
    if q.answer not in given:
        given[rng.randrange(count)] = q.answer
    return given


def _mistake(rng: random.Random, q: Question) -> str:
    if rng.random() < 0.15 and q.answer != REFUSAL:
        return REFUSAL
    if q.answer.isdigit() and rng.random() < 0.4:
        return str((int(q.answer) + rng.randrange(1, 199)) % 199)
    return rng.choice(q.wrong)


def _supported(
    rng: random.Random, given: list[str], right: str
) -> tuple[list[dict[str, Any]], str]:
    """Proposals with what stands behind them, as the synthesizer's node writes it; and the best.

    Short answers that are equal share their votes; sentences do not.
    """
    total = len(given)
    options: list[str | int] = [i if " " in text else text for i, text in enumerate(given)]
    ballots = rng.choice((total, total, total, rng.randint(1, total)))
    astray = rng.random() < 0.12
    fair = [o for o, text in zip(options, given, strict=True) if (text == right) != astray]
    votes = [rng.choice(fair if fair and rng.random() < 0.8 else options) for _ in range(ballots)]
    dice = rng.random()
    proposals = []
    for option, text in zip(options, given, strict=True):
        n = votes.count(option)
        support = f"{n} of {ballots} votes"
        if dice < 0.15:
            support = ""
        elif dice < 0.35:
            support = f"{given.count(text)} of {total} gave this answer"
        elif dice < 0.5:
            support = f"{n / ballots:.0%} of the vote"
        proposals.append({"text": text, "support": support})
    if dice < 0.35:
        return proposals, _most(given)
    best = max(options, key=lambda option: (votes.count(option), -options.index(option)))
    return proposals, given[options.index(best)]


def _maybe_json(rng: random.Random, example: Example, *, rate: float) -> Example:
    """Now and then the reply is JSON: because it is asked for, or because a grammar forces it."""
    if rng.random() >= rate:
        return example
    fields = {"vote": ("vote", "vote", "answer", "choice"), "route": ("route", "label", "answer")}
    field = rng.choice(fields.get(example.kind, ("answer",)))
    said = json.dumps(example.answer, ensure_ascii=False) + "}"
    if rng.random() < 0.5:
        system = f"{example.system} {rng.choice(JSON_ASKS)}".strip()
        return example._replace(system=system, answer=f'{{"{field}": {said}')
    opening = rng.choice(('{"%s": ', '{"%s":', '{ "%s": ', '{\n  "%s": ')) % field
    return example._replace(answer=opening + said, given=opening)
