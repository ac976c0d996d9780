"""Made-up recordings whose truth is known, for the tests of rules and reports."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mom_council.councils.recording import RecordedAnswer, RecordedQuestion
from mom_council.evals.sheet import Sheet, lay_out


def made_up(
    accuracies: Sequence[float],
    number: int = 400,
    *,
    seed: int = 0,
    options: int = 6,
    prices: Sequence[float] | None = None,
    silent: float = 0.0,
) -> list[RecordedQuestion]:
    """Questions that models of these accuracies answered, each erring on its own."""
    rng = random.Random(seed)
    prices = prices or [1e-4 * (at + 1) for at in range(len(accuracies))]
    questions = []
    for at in range(number):
        models = {}
        for model, (accuracy, usd) in enumerate(zip(accuracies, prices, strict=True)):
            ok = rng.random() < accuracy
            ans: str | None = "0" if ok else str(rng.randrange(1, options))
            if rng.random() < silent:
                ans, ok = None, False
            models[f"m{model}"] = RecordedAnswer(ans=ans, ok=1 if ok else 0, chars=10, usd=usd)
        fold = "eval" if at % 2 else "cal"
        questions.append(RecordedQuestion(id=f"q{at}", fold=fold, gold="0", models=models))
    return questions


def made_sheet(accuracies: Sequence[float], number: int = 400, **more: object) -> Sheet:
    """The same as a sheet of all models."""
    questions = made_up(accuracies, number, **more)  # type: ignore[arg-type]
    return lay_out(questions, [f"m{at}" for at in range(len(accuracies))])
