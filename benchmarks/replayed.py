"""Whether the whole graph decides as the rules do: recorded answers, played through a council.

    python -m mom_council.benchmarks.replayed FOLDER [--questions 60] [--json]

For every panel of FOLDER and every rule below, the rule decides by itself, and a council with the
same setting sits through its graph on the provider `replay`. Both learn from the fold `cal` alone
(the council through a ledger of its own), and every question that they decide otherwise is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import HumanMessage

from mom_council import paths
from mom_council.councils.loader import load_council
from mom_council.councils.recording import (
    RecordedQuestion,
    find_recordings,
    load_recording,
    read_panels,
    write_recording,
)
from mom_council.councils.schema import Council
from mom_council.errors import MixtureError
from mom_council.evals.asking import map_concurrently
from mom_council.evals.cascades import cascade_council, cascading, fit_cascade
from mom_council.evals.fitting import teach
from mom_council.evals.reports import table
from mom_council.evals.rules import (
    Fit,
    RuleDecision,
    confident,
    learned_exit,
    plain_majority,
    stopping,
)
from mom_council.evals.sheet import Line, Sheet, lay_out
from mom_council.graph.council import compile_council
from mom_council.models.ledger import Ledger
from mom_council.records import Record, Segment, Verdict
from mom_council.voting.early_exit import beta, dirichlet, lossless_in_order
from mom_council.voting.reading import read_answer

_PLAIN = {"stop": "all", "order": "seats", "weights": "written"}
_EARLY = {"stop": "lossless", "order": "strength", "weights": "written"}


class Setting(NamedTuple):
    """A rule, and the council that follows it."""

    fit: Fit
    rules: Mapping[str, Any]


def settings(voters: int) -> dict[str, Setting]:
    """The rules for a panel of so many, by name."""
    singly = [*range(1, voters)]
    return {
        "plain majority": Setting(plain_majority, _PLAIN),
        "learned": Setting(confident, {**_PLAIN, "weights": "learned"}),
        "fitted, as it is by default": Setting(learned_exit, {}),
        "learned, one by one": Setting(learned_exit, {"stop": "calibrated", "waves": singly}),
        "lossless exit": Setting(stopping(lossless_in_order), _EARLY),
        "wave 3, 5, all": Setting(
            stopping(lossless_in_order, (3, 2, voters)), {**_EARLY, "waves": [3, 5]}
        ),
        "beta 95 %": Setting(stopping(beta()), {**_EARLY, "stop": "beta", "waves": singly}),
        "dirichlet 95 %": Setting(
            stopping(dirichlet()), {**_EARLY, "stop": "dirichlet", "waves": singly}
        ),
    }


class Agreement(Record):
    """How a rule and its council compare on the same questions."""

    dataset: str
    seats: str
    rule: str
    questions: int
    winners: int
    """Questions on which the council's answer is another than the rule's."""
    calls: int
    """Questions on which it asked another number of characters."""
    accuracy: float
    """Of the rule."""
    through_graph: float
    """Of the council."""
    saved: float
    """Share of the characters' calls that the council did without."""
    confidence: float | None
    """The greatest difference of the two confidences, where the rule has one."""


async def compare(
    questions: Sequence[RecordedQuestion],
    models: Sequence[str],
    *,
    dataset: str = "",
    seats: str = "panel",
    strong: str | None = None,
    number: int | None = None,
) -> list[Agreement]:
    """Compare every rule with its council on the fold `eval` of a recording.

    Args:
        questions: of a recording.
        models: who sits.
        dataset: for the report.
        seats: for the report.
        strong: the model that a cascade escalates to; None: no cascade.
        number: of questions; all of the fold if left out.
    """
    with _own_folder() as folder:
        path = folder / "read.jsonl"
        read = [_as_read(question) for question in questions]
        write_recording(path, read)
        return await _compared(path, read, models, dataset, seats, strong, number)


async def _compared(
    path: Path,
    questions: Sequence[RecordedQuestion],
    models: Sequence[str],
    dataset: str,
    seats: str,
    strong: str | None,
    number: int | None,
) -> list[Agreement]:
    sheet = lay_out(questions, models)
    cal = sheet.fold("cal")
    asked = {one.id: one for one in questions}
    scored = sheet.fold("eval").lines[:number]
    found = []
    made = {
        name: (_seated(path, models, cal, one.rules), one.fit(cal), scored)
        for name, one in settings(len(models)).items()
    }
    if strong is not None:
        others = [model for model in models if model != strong]
        whole = lay_out(questions, [*others, strong])
        cascade = fit_cascade(whole.fold("cal"), len(others), dataset).cascade
        seated = load_council(_plain(path, whole.models))
        council = cascade_council(seated, [who.name for who in seated.characters], cascade)
        made["cascade"] = (council, cascading(cascade), whole.fold("eval").lines[:number])
    teach(Ledger(), path, council=_seated(path, models, cal, {}))
    for name, (council, rule, lines) in made.items():
        pairs = [
            (line, rule(line), verdict, calls)
            async for line, (verdict, calls) in _play(council, lines, asked)
        ]
        found.append(_told(dataset, seats, name, len(council.characters), pairs))
    return found


def _as_read(question: RecordedQuestion) -> RecordedQuestion:
    """The question with a number for each answer, equal ones as a council reads them.

    So that what is compared is the deciding: how answers are read is measured elsewhere.
    """
    numbers: dict[str, str] = {}
    answers = {}
    for name, answer in question.models.items():
        said = answer.ans and (
            read_answer(f"Answer: {answer.ans}", kind="closed").bare or answer.ans
        )
        number = numbers.setdefault(said, str(len(numbers) + 1)) if said else None
        answers[name] = answer.model_copy(update={"ans": number, "text": None})
    return question.model_copy(update={"models": answers})


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A data folder for this comparison: it must not teach the user's own ledger."""
    before = os.environ.get(paths.VARIABLE)
    with tempfile.TemporaryDirectory(prefix="mom-replayed-") as folder:
        os.environ[paths.VARIABLE] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[paths.VARIABLE]
            else:
                os.environ[paths.VARIABLE] = before


async def _play(
    council: Council, lines: Sequence[Line], asked: Mapping[str, RecordedQuestion]
) -> AsyncIterator[tuple[Line, tuple[Verdict | None, int]]]:
    graph = compile_council(council)

    async def act(line: Line) -> tuple[Verdict | None, int]:
        try:
            state: Any = await graph.ainvoke(
                {"messages": [HumanMessage(_whole(asked[line.id]))]},
                output_keys=["status", "segments"],
            )
        except MixtureError:  # nobody answered
            return None, len(council.characters)
        segments: list[Segment] = state["segments"]
        calls = sum(one.node == "character" for one in segments)
        return state["status"].verdict, calls

    async for line, outcome in map_concurrently(lines, act, 8):
        yield line, outcome


def _whole(question: RecordedQuestion) -> str:
    """A question with its options, which tell apart questions of the same words."""
    return "\n".join([question.question, *(question.options or ())])


def _told(
    dataset: str,
    seats: str,
    rule: str,
    voters: int,
    pairs: Sequence[tuple[Line, RuleDecision, Verdict | None, int]],
) -> Agreement:
    winners = calls = 0
    ours = theirs = saved = 0.0
    apart: list[float] = []
    for line, decision, verdict, asked in pairs:
        said = verdict.options[0].answer if verdict and verdict.options else None
        # What is level by the rule is a tie to the council too, which takes the one asked first.
        winners += bool(decision.answers) and said not in decision.answers
        calls += asked != decision.asked
        theirs += decision.score(line)
        level = len(decision.answers) > 1 and said in decision.answers
        ours += decision.score(line) if level else said in line.right
        saved += 1 - asked / voters
        if decision.confidence is not None and verdict and verdict.confidence is not None:
            apart.append(abs(decision.confidence - verdict.confidence))
    number = max(1, len(pairs))
    return Agreement(
        dataset=dataset,
        seats=seats,
        rule=rule,
        questions=len(pairs),
        winners=winners,
        calls=calls,
        accuracy=theirs / number,
        through_graph=ours / number,
        saved=saved / number,
        confidence=max(apart, default=None),
    )


def _seated(path: Path, models: Sequence[str], cal: Sheet, rules: Mapping[str, Any]) -> Council:
    prices = {model: price or 0.0 for model, price in zip(cal.models, cal.prices, strict=True)}
    return load_council(
        {
            **_plain(path, models),
            "models": {
                model: {
                    **_recorded(path, model),
                    "price": {"input": 0, "output": 1e6 * prices.get(model, 0.0)},
                }
                for model in models
            },
            "deliberation": {**_ROUNDS, **rules},
        }
    )


_ROUNDS: dict[str, Any] = {"method": "answers", "rounds": {"min": 1, "max": 1}, "quorum": 1.0}


def _plain(path: Path, models: Sequence[str]) -> dict[str, Any]:
    return {
        "name": "replayed",
        "models": {model: _recorded(path, model) for model in models},
        "characters": [{"name": f"Seat {at}", "model": m} for at, m in enumerate(models, 1)],
        "synthesizer": {"model": models[0]},
        "thermal": None,
    }


def _recorded(path: Path, model: str) -> dict[str, Any]:
    return {"provider": "replay", "model": model, "params": {"recording": str(path)}}


def as_markdown(found: Iterable[Agreement]) -> str:
    """The comparison, to be read."""
    head = (
        "rule, through the whole graph",
        "n",
        "other winner",
        "other number asked",
        "rule, %",
        "graph, %",
        "calls saved, %",
        "confidence apart",
    )
    rows = [
        (
            f"{one.dataset}, {one.seats}: {one.rule}",
            str(one.questions),
            str(one.winners),
            str(one.calls),
            f"{100 * one.accuracy:.1f}",
            f"{100 * one.through_graph:.1f}",
            f"{100 * one.saved:.1f}",
            "" if one.confidence is None else f"{one.confidence:.1e}",
        )
        for one in found
    ]
    return table(head, rows) + "\n"


async def compare_folder(folder: Path, number: int | None) -> list[Agreement]:
    """Compare on every panel of a folder."""
    files = find_recordings(folder)
    found = []
    for dataset, panels in read_panels(folder / "panels.json").items():
        questions = load_recording(files[dataset])
        for seats, models in (("panel", panels.panel), ("mixed", panels.mixed)):
            if models:
                found += await compare(
                    questions,
                    models,
                    dataset=dataset,
                    seats=seats,
                    strong=panels.strong if seats == "panel" else None,
                    number=number,
                )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; give the exit code: 0, 1 where they differ, 2 for a wrong folder."""
    parser = argparse.ArgumentParser(prog="replayed", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="recordings and panels.json")
    parser.add_argument("--questions", type=int, default=60, help="of each panel; 0: all")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        found = asyncio.run(compare_folder(chosen.folder, chosen.questions or None))
    except (MixtureError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if chosen.json:
        rows = [one.model_dump(mode="json") for one in found]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        sys.stdout.write(as_markdown(found))
    return int(any(one.winners for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
