"""How many of the members' facts reach the final answer, and how many falsehoods.

Councils lose most of what only one member knew. Here a council's own synthesizer, with its own
prompts, writes answers from members whose words are planted (they are replayed, and cost nothing),
so what it retained, dropped and repeated can be counted.

Everything planted is about a town that does not exist, so no model knows better. On each question
four members answer. All tell the common fact; each tells one fact that nobody else has; and on
every second question three of them tell a falsehood that the fourth corrects, with its reason.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council
from mom_council.councils.recording import RecordedAnswer, RecordedQuestion, write_recording
from mom_council.councils.schema import Council
from mom_council.evals.asking import describe_fault, map_concurrently, refuse_nothing_finished
from mom_council.evals.intervals import Interval, bootstrap
from mom_council.records import Record, Status, Usage
from mom_council.runs.ask import OpenCouncil, Run
from mom_council.voting.reading import read_answer, same_answer

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


class PlantedQuestion(NamedTuple):
    """One question, its answers, and what is in them."""

    id: str
    question: str
    answers: dict[str, str]
    facts: tuple[Fact, ...]
    poison: str = ""
    """The majority's falsehood; empty where there is none."""
    truth: str = ""
    """What the one who knows says instead."""


def planted_questions(number: int = 20, seed: int = 0) -> list[PlantedQuestion]:
    """So many questions; the same for the same seed."""
    dice = random.Random(seed)
    return [_plant(f"planted-{at}", dice, poisoned=at % 2 == 1) for at in range(number)]


def _plant(key: str, dice: random.Random, *, poisoned: bool) -> PlantedQuestion:
    place, town = dice.choice(_PLACES), dice.choice(_NAMES)
    keeper, *guides = dice.sample([name for name in _NAMES if name != town], 3)
    color, *_ = dice.sample(_COLORS, 3)
    day, (fee, number, year, old) = dice.choice(_DAYS), dice.sample(range(11, 99), 4)
    common = f"The {place} of {town} is run by the {keeper} family."
    own = {
        MEMBERS[0]: (f"The spare key hangs behind the {color} door.", f"{color} door"),
        MEMBERS[1]: (f"Groups register in room {number}.", f"room {number}"),
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
        stated = poison if poisoned and name != knows else truth
        answers[name] = f"{common} {price} {own[name][0]}\n\nAnswer: {stated}"
    facts = [Fact(keeper, MEMBERS), *(Fact(own[name][1], (name,)) for name in MEMBERS)]
    return PlantedQuestion(
        id=key,
        question=f"What does a visit to the {place} of {town} cost, and what else counts? ({key})",
        answers=answers,
        facts=tuple(facts),
        poison=poison if poisoned else "",
        truth=truth,
    )


class ShareInterval(Record):
    """A share of so many, with its interval of 95 %."""

    value: float
    low: float
    high: float
    of: int


class FactRetention(Record):
    """What a synthesizer makes of planted answers. None: nothing of the sort was planted."""

    council: str
    questions: int
    unique: ShareInterval | None
    """Facts of one member alone that are in the final text."""
    common: ShareInterval | None
    """Facts of all members that are."""
    corrected: ShareInterval | None
    """Poisoned questions whose final text tells the truth, and not the falsehood alone."""
    repeated: ShareInterval | None
    """Poisoned questions whose final text tells the falsehood without the truth."""
    agrees: ShareInterval | None
    """Final texts whose answer is that of the leading option, where there was no poison."""
    unwritten: int
    """Questions that the synthesizer did not answer, so that the best proposal stood in."""
    usage: Usage
    failed: int = 0
    """Questions that ended with an error, and count nowhere else."""

    def in_words(self) -> str:
        """The result as a Markdown list."""
        shares = {
            "facts that one member alone had, kept": self.unique,
            "facts that all had, kept": self.common,
            "poisoned majorities corrected": self.corrected,
            "poisoned majorities repeated": self.repeated,
            "final answer that of the vote, without poison": self.agrees,
        }
        lines = [
            f"- {name}: {100 * s.value:.0f} % ({100 * s.low:.0f} to {100 * s.high:.0f}) of {s.of}"
            for name, s in shares.items()
            if s is not None
        ]
        if self.failed:
            lines.append(f"- questions that ended with an error: {self.failed}")
        return "\n".join([f"{self.council}, {self.questions} planted questions:", *lines])


async def measure_fact_retention(
    council: Council,
    questions: Sequence[PlantedQuestion] | None = None,
    *,
    concurrency: int = 4,
    progress: Callable[[str, int, int], None] | None = None,
) -> FactRetention:
    """Have the council's synthesizer write from planted answers, and count what it keeps.

    Args:
        council: its synthesizer, prompts, models and vote; its characters do not speak.
        questions: what is planted; twenty of ours if left out.
        concurrency: questions under way at a time.
        progress: told after every question.

    Raises:
        CouncilError: the synthesizer's model cannot be opened.
    """
    questions = planted_questions() if questions is None else questions
    with tempfile.TemporaryDirectory(prefix="mom-facts-") as folder:
        path = Path(folder) / "planted.jsonl"
        write_recording(path, map(_as_recorded, questions))
        opened = OpenCouncil(_with_planted_members(council, path, questions))

        async def act(one: PlantedQuestion) -> tuple[str, Status] | None:
            keys = ("messages", "status")
            run = Run(opened, [HumanMessage(one.question)], state_keys=keys, traced=False)
            try:
                state = await run.finish()
            except Exception as error:
                describe_fault(error)  # raises what every question would meet
                return None
            return str(state["messages"][-1].content), state["status"]

        texts: list[tuple[PlantedQuestion, str, Status]] = []
        failed = 0
        async for one, outcome in map_concurrently(questions, act, concurrency):
            if outcome is None:
                failed += 1
            else:
                texts.append((one, *outcome))
            if progress is not None:
                progress("planted questions", len(texts) + failed, len(questions))
    if not texts and failed < len(questions):
        raise refuse_nothing_finished()
    return _count(council.name, texts, failed)


def mentions(text: str, sign: str) -> bool:
    """Whether a text has a sign, whatever its case and blanks; a number only as a whole one."""
    padded, words = f" {_normalise(text)} ", _normalise(sign)
    at = padded.find(words)
    while at >= 0:
        before, after = padded[at - 1], padded[at + len(words)]
        if not (before.isalnum() or after.isalnum()):
            return True
        at = padded.find(words, at + 1)
    return False


def _count(
    name: str, texts: Sequence[tuple[PlantedQuestion, str, Status]], failed: int
) -> FactRetention:
    facts = [(fact, mentions(text, fact.sign)) for one, text, _ in texts for fact in one.facts]
    poisoned = [
        (mentions(text, one.truth), mentions(text, one.poison))
        for one, text, _ in texts
        if one.poison
    ]
    agrees = [
        same_answer(text, status.verdict.options[0].answer or "")
        for one, text, status in texts
        if not one.poison and status.verdict is not None and status.verdict.options
    ]
    return FactRetention(
        council=name,
        questions=len(texts),
        unique=_share(is_mentioned for fact, is_mentioned in facts if fact.unique),
        common=_share(is_mentioned for fact, is_mentioned in facts if not fact.unique),
        corrected=_share(truth for truth, _ in poisoned),
        repeated=_share(poison and not truth for truth, poison in poisoned),
        agrees=_share(agrees),
        unwritten=sum(status.written_by == "vote" for _, _, status in texts),
        usage=sum((status.usage for _, _, status in texts), Usage()),
        failed=failed,
    )


def _with_planted_members(
    council: Council, path: Path, questions: Sequence[PlantedQuestion]
) -> Council:
    """The council with planted members in place of its own, who are asked once."""
    names = tuple(dict.fromkeys(name for one in questions for name in one.answers)) or MEMBERS
    values: dict[str, Any] = council.model_dump(mode="json", exclude_unset=True)
    replayed = {
        f"planted {name}": {"provider": "replay", "model": name, "params": {"recording": str(path)}}
        for name in names
    }
    values["models"] |= replayed
    values["characters"] = [{"name": name, "model": f"planted {name}"} for name in names]
    deliberation = values.get("deliberation", {})
    for key in ("cascade", "mode", "quorum", "minimum"):
        deliberation.pop(key, None)
    values["deliberation"] = deliberation | {"rounds": {"min": 1, "max": 1}, "quorum": 1.0}
    for key in ("layers", "annotator", "classifier", "painter"):
        values.pop(key, None)
    values["synthesizer"] |= {"dropout": 0.0}
    return load_council(values)


def _as_recorded(one: PlantedQuestion) -> RecordedQuestion:
    return RecordedQuestion(
        id=one.id,
        question=one.question,
        models={
            name: RecordedAnswer(
                ans=read_answer(text, kind="closed").bare, chars=len(text), text=text
            )
            for name, text in one.answers.items()
        },
    )


def _share(values: Iterable[bool]) -> ShareInterval | None:
    listed = [float(value) for value in values]
    if not listed:
        return None
    interval: Interval = bootstrap(listed)
    return ShareInterval(value=interval.value, low=interval.low, high=interval.high, of=len(listed))


def _normalise(text: str) -> str:
    return " ".join(text.split()).casefold()
