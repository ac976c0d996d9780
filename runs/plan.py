"""What a question may cost at most, before any model is asked, and how long it will take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import NamedTuple

from mom_council.councils.schema import Character, Council, Synthesizer
from mom_council.deliberation.budget import models_asked
from mom_council.deliberation.selectors import judge_model
from mom_council.errors import StorageError
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.lanes import answer_bound
from mom_council.models.prices import FREE, FoundPrice, find_price
from mom_council.models.resolved import resolve_model
from mom_council.models.spending import Need, known_price
from mom_council.tracing.store import TraceStore, TraceView
from mom_council.voting.methods import METHODS

LONGEST_ANSWER = 4_096
"""Tokens of an answer that nothing limits; with a budget of tokens or dollars it is the limit."""
_INSTRUCTIONS = 800
"""Tokens of a prompt beside the question and what it reads of others."""


class PlannedStage(NamedTuple):
    """One stage of a question."""

    name: str
    calls: int
    """Where every model answers at the first try."""
    most_calls: int
    """With every further try, and every fallback."""
    tokens: int
    """Of `most_calls`."""
    usd: float | None
    """Of `most_calls`; None: a price is not known."""


class QuestionPlan(NamedTuple):
    """The stages, and all of them together."""

    stages: tuple[PlannedStage, ...]
    limited: dict[str, float]
    """What the budget allows, by the names in the council's file."""
    prices: dict[str, FoundPrice]
    """What each model costs that may be asked, and who says so, by the council's keys."""

    @property
    def calls(self) -> int:
        """Where every model answers at the first try."""
        return sum(one.calls for one in self.stages)

    @property
    def most_calls(self) -> int:
        """At the most, within the budget."""
        return int(self._within("calls", sum(one.most_calls for one in self.stages)))

    @property
    def tokens(self) -> int:
        """At the most, within the budget."""
        return int(self._within("tokens", sum(one.tokens for one in self.stages)))

    @property
    def usd(self) -> float | None:
        """At the most, within the budget; None: a price is not known."""
        costs = [one.usd for one in self.stages]
        if any(cost is None for cost in costs):
            return None
        return self._within("usd", sum(cost or 0.0 for cost in costs))

    def _within(self, name: str, amount: float) -> float:
        return min(amount, self.limited.get(name, amount))


async def plan_question(council: Council, question: str) -> QuestionPlan:
    """The worst case of a question in words: every round, every ballot, every try.

    Args:
        council: its rules.
        question: as it is asked, in a new conversation.

    Raises:
        CouncilError: the table of prices cannot be read.
    """
    prices = await council_prices(council)
    planner = _Planner(council, prices, most_prompt_tokens([], question))
    limited = council.budget.model_dump(exclude_none=True, exclude={"worst_price"})
    return QuestionPlan(tuple(planner.stages()), limited, prices)


async def council_prices(
    council: Council, keys: Iterable[str] | None = None
) -> dict[str, FoundPrice]:
    """What each model costs that a question may reach, fallbacks included, by the council's keys.

    Args:
        council: whose models they are.
        keys: of those that are asked; left out: all that the council may ask.

    Raises:
        CouncilError: the table of prices cannot be read.
    """
    models = models_asked(council, keys)
    return {one.key: await find_price(one.settings, council.prices) for one in models}


async def plan_calls(
    council: Council, question: str, calls: Mapping[str, int], *, name: str = "alone"
) -> PlannedStage:
    """The worst case of asking models of a council on their own.

    Args:
        council: whose models they are.
        question: as it is asked.
        calls: model -> how often it is asked.
        name: of the stage.

    Raises:
        CouncilError: the table of prices cannot be read.
    """
    prices = await council_prices(council, calls)
    planner = _Planner(council, prices, most_prompt_tokens([], question))
    return planner.stage(name, [(key, times, 0) for key, times in calls.items()])


class _Planner:
    def __init__(self, council: Council, prices: Mapping[str, FoundPrice], question: int) -> None:
        self._council = council
        self._prices = prices
        self._asked = _INSTRUCTIONS + question
        self._read = max(self._longest(who.model) for who in council.characters)
        """Tokens of an answer that others read."""

    def stages(self) -> Iterator[PlannedStage]:
        council, rules = self._council, self._council.deliberation
        if council.painter is not None and council.classifier.model is not None:
            yield self.stage("classifier", [(council.classifier.model, 1, 0)])
        if council.annotator is not None:
            yield self.stage("annotator", [(council.annotator.model, 1, 0)])
        layers = [[council.character(name) for name in layer] for layer in council.seats]
        voters = [who for who in council.characters if who.votes] if rules.asks_voters else []
        judge, widest = judge_model(council), max(map(len, layers))
        for round_ in range(1, rules.rounds.max + 1):
            for number, layer in enumerate(layers, 1):
                read = len(layers[number - 2]) if number > 1 else widest if round_ > 1 else 0
                if rules.mode == "sequential":
                    read = max(read, len(layer) - 1)
                name = f"round {round_}" + (f", layer {number}" if len(layers) > 1 else "")
                yield self.stage(name, [(who.model, _turns(who), read) for who in layer])
            if rules.checks_equality and judge is not None:
                calls = (rules.ask_doubtful + rules.cluster_open) * len(layers)
                yield self.stage(f"equality check {round_}", [(judge, calls, widest)])
            if METHODS[rules.method].compares_texts and rules.likeness is not None:
                yield self.stage(f"vectors {round_}", [(rules.likeness.model, 1, widest)])
            if voters and len(council.characters) > 2:
                ballots = [(who.model, 1, widest - 1) for who in voters]
                yield self.stage(f"ballots {round_}", ballots)
        writer = council.synthesizer
        if writer.compare == "model":
            yield self.stage("comparison", [(writer.model, 1, widest)])
        # An answer that contradicts the vote is asked for once more.
        again = 2 if rules.asks_voters else 1
        yield self.stage("synthesizer", [(writer.model, again * _turns(writer), widest)])

    def _longest(self, key: str) -> int:
        return answer_bound(resolve_model(self._council, key).settings.params) or LONGEST_ANSWER

    def stage(self, name: str, calls: list[tuple[str, int, int]]) -> PlannedStage:
        """Of the models that are asked, how often each, and how many answers it reads."""
        tries, tokens, usd = 0, 0, 0.0
        unknown = False
        for key, times, read in calls:
            for model in resolve_model(self._council, key).chain:
                if model.is_person:
                    continue
                settings = model.settings
                longest = self._longest(model.key)
                price = known_price(
                    settings,
                    self._prices[model.key].price,
                    self._council.budget.worst_price,
                )
                need = Need(self._asked + read * self._read, longest, longest, price)
                amount, often = need.amount(longest), times * (1 + settings.retries)
                tries += often
                tokens += often * amount.tokens
                usd += often * amount.usd
                unknown = unknown or price is None
        people = sum(resolve_model(self._council, key).is_person for key, _, _ in calls)
        number = sum(times for _, times, _ in calls) - people
        return PlannedStage(name, number, tries, tokens, None if unknown else usd)


def _turns(who: Character | Synthesizer) -> int:
    """How many calls one answer takes: each call of a tool may take another."""
    return 1 + (who.tool_calls if who.tools else 0)


def plan_in_words(plan: QuestionPlan, council: str) -> Iterator[str]:
    """The lines of a plan, for people."""
    yield f"{council}: what a question may take at most; nobody was asked"
    yield f"{'':24}{'calls':>7}{'with every try':>16}{'tokens':>12}{'dollars':>11}"
    for one in plan.stages:
        yield _row(one.name, one.calls, one.most_calls, one.tokens, one.usd)
    yield _row("in all", plan.calls, plan.most_calls, plan.tokens, plan.usd)
    if plan.limited:
        limits = ", ".join(f"{name} {limit:g}" for name, limit in plan.limited.items())
        yield f"The budget allows {limits}; what does not fit is left out."
    yield from price_lines(plan.prices)
    if plan.usd is None:
        yield "Dollars are not known where a model has no price (`price`, or the table of prices)."


def price_lines(prices: Mapping[str, FoundPrice]) -> Iterator[str]:
    """What each model costs whose price is known and not nothing, and who says so, for people."""
    for key, price in prices.items():
        if price.price is not None and price.price != FREE:
            yield f"{key}: {price.in_words()}"


def _row(name: str, calls: int, most: int, tokens: int, usd: float | None) -> str:
    dollars = "not known" if usd is None else f"{usd:.4f}" if usd else "free"
    return f"{name:24}{calls:>7}{most:>16}{tokens:>12,}{dollars:>11}"


_TRACES = 12
"""How many earlier questions are read: more would be older than what the models do today."""
_ALIKE = 5


def usual_seconds(council: Council, store: TraceStore | None = None) -> float | None:
    """The seconds that a question of this council usually takes; None: its models are not known.

    The median of its last questions with the same models. Where it was never asked, what the
    single calls of its models took, in the order in which it would make them: one round.
    """
    try:
        traces = (store or TraceStore()).finished(_TRACES)
    except StorageError:
        return None
    models = {spec.model for spec in council.models.values()}
    seated = {council.models[key].model for key in _keys(council)}
    alike = [
        trace.summary.seconds
        for trace in traces
        if trace.summary.council == council.name
        and seated <= _seconds_of_calls([trace]).keys() <= models
        and trace.summary.seconds is not None
    ][:_ALIKE]
    if alike:
        return median(alike)
    return _of_single_calls(council, _seconds_of_calls(traces))


def about(seconds: float) -> str:
    """A time that is a guess, in words: "3 s", "25 s", "2 minutes"."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 5) * 5} s" if seconds < 90 else f"{round(seconds / 60)} minutes"


def _seconds_of_calls(traces: Iterable[TraceView]) -> dict[str, float]:
    """What a call of each model took; the median."""
    seen: dict[str, list[float]] = defaultdict(list)
    for trace in traces:
        for span in trace.spans:
            if span.kind == "model" and span.model and span.seconds and not span.error:
                seen[span.model].append(span.seconds)
    return {model: median(seconds) for model, seconds in seen.items()}


def _keys(council: Council) -> list[str]:
    """The models that every question asks, by their keys."""
    speaking = [council.character(name).model for layer in council.seats for name in layer]
    return [*speaking, council.synthesizer.model]


def _of_single_calls(council: Council, seconds: Mapping[str, float]) -> float | None:
    """One round, with its ballots where there are any, and the synthesizer."""
    if any(council.models[key].model not in seconds for key in _keys(council)):
        return None
    votes = 2 if METHODS[council.deliberation.method].asks_voters else 1
    whole = seconds[council.models[council.synthesizer.model].model]
    for layer in council.seats:
        lanes: dict[str, float] = defaultdict(float)
        for name in layer:
            spec = council.models[key := council.character(name).model]
            slots = spec.concurrency or (1 if spec.lane else len(layer))
            lanes[spec.lane or key] += seconds[spec.model] / slots
            lanes[spec.lane or key] = max(lanes[spec.lane or key], seconds[spec.model])
        whole += votes * max(lanes.values())
    return whole
