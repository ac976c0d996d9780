"""How often the advice of `mom pays` is right, on random panels of recorded answers.

    python -m mom_council.benchmarks.pays FOLDER [--panels 60] [--questions 50]

A panel of 3, 5 or 7 models takes plain votes on so many questions of a recording; the verdict on
them is compared with the questions that are left. So `lost` is what somebody loses who followed the
advice: points of accuracy of the other choice above the one advised.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

from mom_council.councils.recording import RecordedQuestion, find_recordings, load_recording
from mom_council.evals.cases import Case
from mom_council.evals.reports import table
from mom_council.evals.scorecard import COUNCIL, EvalRow, member
from mom_council.evals.verdict import Panel, judge
from mom_council.records import Usage

_SIZES = (3, 5, 7)


def voted(questions: Sequence[RecordedQuestion], models: Sequence[str]) -> Panel:
    """A panel that takes a plain vote of recorded answers; a tie falls to the earlier member."""
    members: dict[str, list[EvalRow]] = {name: [] for name in models}
    cases, ours = [], []
    for one in questions:
        cases.append(Case(id=one.id, question=one.id, gold="right"))
        for name in models:
            answer = one.models[name]
            row = EvalRow(
                case=one.id,
                system=member(name),
                ok=bool(answer.ok),
                answer=answer.ans,
                usage=Usage(calls=1, usd=answer.usd),
            )
            members[name].append(row)
        said = [members[name][-1] for name in models]
        answers = [row.answer for row in said if row.answer is not None]
        first = max(answers, key=answers.count) if answers else None
        ok = any(row.ok and row.answer == first for row in said)
        usage = sum((row.usage for row in said), Usage())
        ours.append(EvalRow(case=one.id, system=COUNCIL, ok=ok, answer=first, usage=usage))
    return Panel("panel", cases, ours, members, dict.fromkeys(models, 1.0))


def share_right(rows: Sequence[EvalRow]) -> float:
    """How often rows are right."""
    return sum(row.ok for row in rows) / len(rows)


def measure(folder: Path, panels: int, questions: int, seed: int) -> dict[str, list[float]]:
    """For each advice, what following it gained in points, on the questions that were left."""
    gained: dict[str, list[float]] = {}
    dice = random.Random(seed)
    for path in find_recordings(folder).values():
        whole = load_recording(path)
        known = sorted({name for one in whole for name in one.models})
        complete = [one for one in whole if one.models.keys() >= set(known) and one.gold]
        strength = {name: sum(one.models[name].ok for one in complete) for name in known}
        ranked = sorted(known, key=lambda name: -strength[name])
        for number in range(panels):
            size = min(dice.choice(_SIZES), len(ranked))
            first = dice.randrange(len(ranked) - size + 1)
            models = dice.sample(ranked, size) if number % 2 else ranked[first : first + size]
            dice.shuffle(models)
            order = dice.sample(complete, len(complete))
            for advice, points in _follow(order[:questions], order[questions:], models):
                gained.setdefault(advice, []).append(points)
    return gained


def _follow(
    seen: Sequence[RecordedQuestion], unseen: Sequence[RecordedQuestion], models: Sequence[str]
) -> list[tuple[str, float]]:
    verdict, rest = judge(voted(seen, models)), voted(unseen, models)
    council = share_right(rest.ours)
    alone = share_right(rest.members[verdict.member or models[0]])
    sign = -1 if verdict.advice == "member" else 1
    followed: list[tuple[str, float]] = [(verdict.advice, 100 * sign * (council - alone))]
    left = list(models)
    for drop in verdict.drop:
        before = share_right(voted(unseen, left).ours)
        left.remove(drop.member)
        followed.append(("drop", 100 * (share_right(voted(unseen, left).ours) - before)))
    return followed


def main() -> None:
    """Print how often each advice was right."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of recordings")
    parser.add_argument("--panels", type=int, default=60, help="of each recording")
    parser.add_argument("--questions", type=int, default=50, help="that a verdict stands on")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    gained = measure(chosen.folder, chosen.panels, chosen.questions, chosen.seed)
    head = ("advice", "times", "gained, points", "worst", "lost over a point, %")
    rows = [
        (
            advice,
            str(len(points)),
            f"{statistics.fmean(points):+.1f}",
            f"{min(points):+.1f}",
            f"{100 * sum(one < -1 for one in points) / len(points):.0f}",
        )
        for advice, points in sorted(gained.items())
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
