"""Cascades of recorded models: chosen from a sheet, played as a rule, written as a council."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.councils.recording import Fold, RecordingError, in_fold, load_recording
from mom_council.councils.schema import Council
from mom_council.errors import UnknownNameError
from mom_council.evals.rules import Rule, RuleDecision
from mom_council.evals.sheet import Line, Sheet, lay_out
from mom_council.models.ledger import name_of
from mom_council.voting.cascade import (
    Cascade,
    CascadeChoice,
    CascadeRow,
    choose_cascade,
    run_cascade,
)
from mom_council.voting.prior import PriorType, kind_name, prior_type, shipped_prior
from mom_council.voting.reading import read_value


def fit_cascade(cal: Sheet, strong: int, kind: str = "") -> CascadeChoice:
    """Choose a cascade of a sheet's voters, or that the strong one is asked at once.

    Args:
        cal: what to choose by. A sheet without any right answer is one without labels.
        strong: the column that the others escalate to.
        kind: of question, as a recording or the ledger names it.
    """
    labelled = any(line.right for line in cal.lines)
    rows = [
        CascadeRow(line.said, line.right if labelled and line.judged else None, line.usd)
        for line in cal.lines
    ]
    types: Counter[PriorType] = Counter()
    for line in cal.lines:
        read = read_value(next(filter(None, line.said), ""))
        type_ = prior_type(read.type) if read else None
        if type_ is not None:
            types[type_] += 1
    most = max(types, key=lambda one: types[one], default=None)
    name = kind_name(shipped_prior(), most, [kind]) if most else ""
    return choose_cascade(rows, cal.prices, strong, type_=most, kind=name)


def cascading(cascade: Cascade) -> Rule:
    """A cascade as a rule."""

    def decide(line: Line) -> RuleDecision:
        run = run_cascade(cascade, line.said)
        answers = () if run.answer is None else (str(run.answer),)
        return RuleDecision(answers, len(run.asked), sum(line.usd[voter] for voter in run.asked))

    return decide


def cascade_from_recording(
    path: Path,
    strong: str,
    *,
    council: Council | None = None,
    kind: str = "",
    fold: Fold | None = "cal",
) -> tuple[CascadeChoice, Council]:
    """Choose a cascade by a recording, and write the council that sits so.

    Args:
        path: the recording.
        strong: the character that the others escalate to, or its model.
        council: whose characters to choose from; all recorded models if left out.
        kind: of question; as the recording says, if left out.
        fold: which questions; None: all.

    Raises:
        RecordingError: it cannot be read, or has no question of that fold.
        UnknownNameError: the strong one is nobody, or a model was not recorded.
    """
    questions = in_fold(load_recording(path), fold)
    if not questions:
        raise RecordingError(f"{path.name} has no question")
    recorded = [*dict.fromkeys(name for one in questions for name in one.models)]
    chosen = council or recorded_council(path, recorded)
    names = [who.name for who in chosen.characters]
    columns = [recorded_column(chosen, name, recorded) for name in names]
    place = next(
        (at for at, pair in enumerate(zip(names, columns, strict=True)) if strong in pair), None
    )
    if place is None:
        raise UnknownNameError(f"{strong!r} is no character of the council; there are {names}")
    kinds = {one.category or one.dataset for one in questions}
    sort = kind or (kinds.pop() if len(kinds) == 1 else questions[0].dataset)
    choice = fit_cascade(lay_out(questions, columns), place, sort)
    result = cascade_council(chosen, names, choice.cascade)
    if council is None:  # without the models that are not asked
        used = {one.model: result.models[one.model] for one in result.characters}
        result = load_council(result.model_copy(update={"models": used}))
    return choice, result


def recorded_column(council: Council, character: str, recorded: Sequence[str]) -> str:
    """Under which name a character's answers were recorded.

    Raises:
        UnknownNameError: they were not.
    """
    model = council.models[council.character(character).model]
    name = next((one for one in (character, name_of(model), model.model) if one in recorded), None)
    if name is None:
        raise UnknownNameError(f"{character!r} was not recorded; there are {[*recorded]}")
    return name


def cascade_council(council: Council, characters: Sequence[str], cascade: Cascade) -> Council:
    """A council that sits as a cascade says.

    Args:
        council: whose models and other rules stay.
        characters: of the council, in the order of the columns that the cascade was chosen from.
        cascade: what was chosen; one without cheap voters asks the strong one alone.
    """
    strong = council.character(characters[cascade.strong])
    cheap = [council.character(characters[voter]) for voter in cascade.cheap]
    rules: dict[str, Any] = {
        "method": "answers",
        "rounds": {"min": 1, "max": 1},
        "quorum": 1,  # who is missing does not agree
        "weights": "written",
        "stop": "all",
    }
    if cheap:
        rules |= {
            "threshold": cascade.threshold,
            "order": "price",
            "cascade": True,
            "escalation": "joins" if cascade.joins else "decides",
        }
    seats = [who.model_copy(update={"weight": 1.0}) for who in cheap]
    seats.append(strong.model_copy(update={"weight": cascade.joins or 1.0}))
    used = {who.model for who in seats}
    values = council.model_dump(mode="json", exclude_defaults=True)
    values["characters"] = [one.model_dump(mode="json", exclude_defaults=True) for one in seats]
    values["layers"] = [[one.name for one in cheap], [strong.name]] if cheap else []
    values["deliberation"] = rules
    if values["synthesizer"]["model"] not in used:
        values["synthesizer"]["model"] = seats[0].model
    return load_council(values)


def recorded_council(path: Path, models: Sequence[str]) -> Council:
    """A council of recorded models, which the provider `replay` plays."""
    return load_council(
        {
            "name": "recorded",
            "models": {
                f"model-{at}": {
                    "provider": "replay",
                    "model": model,
                    "params": {"recording": str(path)},
                }
                for at, model in enumerate(models, 1)
            },
            "characters": [
                {"name": _character(model, models), "model": f"model-{at}"}
                for at, model in enumerate(models, 1)
            ],
            "synthesizer": {"model": "model-1"},
            "thermal": None,
        }
    )


def _character(model: str, models: Sequence[str]) -> str:
    """A name that a character may have, after its model."""

    def plain(name: str) -> str:
        signs = "".join(sign if sign.isalnum() or sign in "-._" else "-" for sign in name)
        return signs[:48].strip("-._")

    alike = [one for one in models if plain(one).casefold() == plain(model).casefold()]
    return plain(model) if len(alike) == 1 else f"{plain(model)} {1 + alike.index(model)}"
