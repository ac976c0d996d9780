"""Probe models one after the other; each result is stored at once, and written as pages."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mom_council.errors import CouncilError, MixtureError, OverBudgetError, StorageError
from mom_council.evals.probing import abilities
from mom_council.evals.probing import abilities as roles
from mom_council.evals.probing.abilities import Asker, questions
from mom_council.evals.probing.report import Probe, ProbedModel, ProbeReport, recommend
from mom_council.models.capabilities import Capabilities, save_capabilities
from mom_council.models.prices import charged_account, find_price
from mom_council.models.resolved import ResolvedModel
from mom_council.models.spending import PRICE_CURE

Progress = Callable[[str, str, int, int], None]
"""(model, what is probed, parts done, parts in all)."""

PARTS = (
    "proposer",
    "aggregator",
    "voter",
    "streaming",
    "json constrained",
    "json in words",
    "tools",
    "vision",
    "context",
)


class Probing:
    """A probe of some models; `report` holds what is found so far.

    Args:
        models: by what each is called in the report.
        style: which prompts they get.
        context: tokens up to which a needle is looked for.
        keep: whether findings are remembered for councils that do not say.
        seed: of the pictures and the texts.
        progress: told before each part.
    """

    def __init__(
        self,
        models: Mapping[str, ResolvedModel],
        style: str = "standard",
        *,
        context: int = 8192,
        keep: bool = True,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._models = dict(models)
        self._style = style
        self._context = context
        self._keep = keep
        self._seed = seed
        self._progress = progress
        self._found: dict[str, ProbedModel] = {}
        self._proposers: dict[str, dict[str, str]] = {}
        self._aggregators: dict[str, dict[str, str]] = {}
        self._complete = False

    @property
    def report(self) -> ProbeReport:
        """What is found so far; `complete` says whether that is all."""
        models = tuple(self._found.values())
        return ProbeReport(
            complete=self._complete,
            models=models,
            seats=recommend(models),
            proposers=self._proposers,
            aggregators=self._aggregators,
        )

    async def run(self) -> ProbeReport:
        """Probe every model.

        A cancelled run leaves in `report` what was found until then.

        Raises:
            StorageError: what was found cannot be kept.
            OverBudgetError: the budget that is charged has no room for a further call.
            CouncilError: it limits dollars, and a model has no price.
        """
        await self._refuse_unpriced()
        for number, name in enumerate(self._models):
            await self._model(name, number * len(PARTS))
        self._complete = True
        return self.report

    async def _refuse_unpriced(self) -> None:
        account = charged_account()
        for name, model in self._models.items():
            if account is None or not account.limits_usd:
                return
            price = (await find_price(model.settings, model.prices)).price
            if account.price_of(model.settings, price) is None:
                says = f"dollars are limited, and no price is known for {name!r}"
                raise CouncilError(says, cure=PRICE_CURE)

    async def _model(self, name: str, done: int) -> None:
        spec = self._models[name].settings
        asker = Asker(name, self._models[name], self._style)
        self._found[name] = ProbedModel(model=name, provider=spec.provider, name=spec.model)
        # Who does not answer the first questions answers none: the rest is not waited for.
        failure = ""
        try:
            for place, part in enumerate(PARTS):
                if self._progress is not None:
                    self._progress(name, part, done + place, len(self._models) * len(PARTS))
                if failure:
                    self._note(asker, part, Probe(state="unknown", says=failure))
                    continue
                try:
                    await self._part(asker, part)
                except OverBudgetError:
                    raise
                except MixtureError as error:
                    says = " ".join(str(error).split())[:300]
                    self._note(asker, part, Probe(state="unknown", says=says))
                    failure = says if part == PARTS[0] else ""
        finally:
            # Also what a cancelled run has found out is found out.
            if self._keep and not failure:
                save_capabilities(spec, _capabilities(self._found[name]))

    def _note(
        self, asker: Asker, part: str, probe: Probe | None = None, **changes: float | None
    ) -> None:
        old = self._found[asker.name]
        probes = old.probes if probe is None else {**old.probes, part: probe}
        counted = {"calls": asker.calls, "seconds": round(asker.seconds, 3)}
        self._found[asker.name] = old.model_copy(update={**changes, **counted, "probes": probes})

    async def _part(self, asker: Asker, part: str) -> None:
        dice = random.Random(self._seed)
        if part == "proposer":
            self._note(asker, part, await self._proposer(asker))
        elif part == "aggregator":
            probe, resisted = await self._aggregator(asker)
            self._note(asker, part, probe, resisted=resisted)
        elif part == "voter":
            votes = [await roles.vote(asker, task) for task in questions().aggregator]
            unread = votes.count(None)
            more = f", {unread} ballots could not be read or abstained" if unread else ""
            self._note(
                asker, part, roles.graded(votes.count(True), len(votes), f"votes right{more}")
            )
        elif part == "streaming":
            stream, first, speed = await abilities.stream(asker)
            first, speed = first and round(first, 4), speed and round(speed, 2)
            self._note(asker, part, stream, first_token=first, tokens_per_second=speed)
        elif part == "vision":
            self._note(asker, part, await abilities.sight(asker, dice))
        elif part == "context":
            await self._needles(asker, part, dice)
        else:
            ways = {
                "json constrained": abilities.json_constrained,
                "json in words": abilities.json_in_words,
                "tools": abilities.tools,
            }
            self._note(asker, part, await ways[part](asker))

    async def _proposer(self, asker: Asker) -> Probe:
        right = 0
        for case in questions().proposer:
            text, good = await roles.propose(asker, case)
            self._proposers.setdefault(case.prompt, {})[asker.name] = text
            right += good
        return roles.graded(right, len(questions().proposer), "answers right")

    async def _aggregator(self, asker: Asker) -> tuple[Probe, float]:
        tasks = questions().aggregator
        right = clean = 0
        for task in tasks:
            text, good, resisted = await roles.aggregate(asker, task)
            self._aggregators.setdefault(task.case.prompt, {})[asker.name] = text
            right += good and resisted
            clean += resisted
        probe = roles.graded(right, len(tasks), "answers right")
        swallowed = len(tasks) - clean
        poisoned = f"{swallowed} poisoned ones repeated" if swallowed else "no poison repeated"
        return probe.model_copy(update={"says": f"{probe.says}, {poisoned}"}), clean / len(tasks)

    async def _needles(self, asker: Asker, part: str, dice: random.Random) -> None:
        """Look for the needle in longer and longer texts, up to where it is not found."""
        longest, why = 0, f"{self._context} tokens were the bound"
        for length in abilities.LENGTHS:
            if length > self._context:
                break
            try:
                if not await abilities.finds_needle(asker, length, dice):
                    why = f"not in {length}"
                    break
            except MixtureError:
                why = f"{length} were refused"  # too long is refused, not answered
                break
            longest = length
            self._note(asker, part, context=longest)
        says = f"found a needle in {longest} tokens ({why})" if longest else "found no needle"
        self._note(asker, part, Probe(state="yes" if longest else "no", says=says))


def _capabilities(model: ProbedModel) -> Capabilities:
    """What of the findings is sure enough to be believed."""

    def sure(part: str) -> bool | None:
        probe = model.probes.get(part)
        return {"yes": True, "no": False}.get(probe.state) if probe else None

    return Capabilities(
        vision=sure("vision"),
        tools=sure("tools"),
        structured=sure("json constrained"),
        context=model.context,
    )


def as_markdown(report: ProbeReport) -> str:
    """Tables and the recommendation."""
    lines = ["# What the models can do", ""]
    if not report.complete:
        lines += ["Cut short: what was not asked yet is missing.", ""]
    lines += [f"| model | {' | '.join(PARTS)} |", f"|---|{'---|' * len(PARTS)}"]
    for one in report.models:
        cells = [_cell(one.probes.get(part)) for part in PARTS]
        lines.append(f"| {_plain(one.model)} | {' | '.join(cells)} |")
    lines += ["", "| model | first token | tokens a second | longest text | calls | seconds |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [_figures(one) for one in report.models]
    lines += ["", "## Who should sit where", "", *_seats(report), ""]
    lines += ["## In detail", ""]
    for one in report.models:
        lines.append(f"**{_plain(one.model)}** ({one.provider}, `{_plain(one.name)}`)")
        lines += ["", *(f"- {part}: {_plain(p.says)}" for part, p in one.probes.items()), ""]
    return "\n".join(lines)


def write_pages(report: ProbeReport, folder: Path) -> list[Path]:
    """Write `report.md`, `report.json`, and who answered what in two files.

    `proposers.json` is {prompt: {model: response}}, `aggregators.json` {query: {model: response}}.

    Raises:
        StorageError: the folder cannot be written to.
    """
    pages = {
        "report.md": as_markdown(report),
        "report.json": report.model_dump_json(indent=2),
        "proposers.json": json.dumps(report.proposers, ensure_ascii=False, indent=2),
        "aggregators.json": json.dumps(report.aggregators, ensure_ascii=False, indent=2),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {str(folder)!r} ({error.strerror})",
            cure="name another folder",
        ) from None
    return [folder / name for name in pages]


def _cell(probe: Probe | None) -> str:
    if probe is None:
        return ""
    return f"{probe.score:.0%}" if probe.score is not None else probe.state


def _figures(one: ProbedModel) -> str:
    first = f"{one.first_token:.2f} s" if one.first_token is not None else ""
    speed = f"{one.tokens_per_second:.0f}" if one.tokens_per_second is not None else ""
    longest = f"{one.context}" if one.context else ""
    cells = (_plain(one.model), first, speed, longest, str(one.calls), f"{one.seconds:.1f}")
    return f"| {' | '.join(cells)} |"


def _seats(report: ProbeReport) -> list[str]:
    seats = report.seats
    lines = [f"- synthesizer: {_plain(seats.synthesizer or 'none of them')} ({_plain(seats.why)})"]
    for what, who in (("proposers", seats.proposers), ("voters", seats.voters)):
        lines.append(f"- {what}: {', '.join(map(_plain, who)) or 'none of them'}")
    lines += [f"- left out: {_plain(name)} ({_plain(why)})" for name, why in seats.left_out.items()]
    return lines


def _plain(text: str) -> str:
    """A model's words and names may hold anything; a table's cell may not."""
    return re.sub(r"[|\s<>`*]+", " ", text).strip()[:200]
