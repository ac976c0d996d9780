"""Ask the three tiny models some of their held-out questions, and keep what they answer.

    python -m mom_council.benchmarks.record_tiny

writes evals/recorded/tiny.jsonl anew, with a panels.json beside it. The replies are the models'
own, at temperature 0; nothing is made up. Needs llama.cpp (`xllamacpp`), and takes less than a
minute.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mom_council.benchmarks.tiny import exam
from mom_council.benchmarks.tiny import questions as tiny_questions
from mom_council.councils.recording import RecordedAnswer, RecordedQuestion, write_recording
from mom_council.evals.sheet import SHIPPED
from mom_council.prompts import render
from mom_council.voting.reading import read_answer, same_answer

FOLDER = SHIPPED.parent
NUMBER = 276
_KINDS = ("add", "subtract", "compare", "fact", "kind")
_PERSONA = {
    "name": "Nadia",
    "personality": "A level-headed surveyor. You measure, then you answer.",
}


def record(
    asked: Sequence[tiny_questions.Question], weights: Sequence[Path]
) -> list[RecordedQuestion]:
    """The recording of these questions; `cal` and `eval` take turns."""
    prompts = [
        render("character", style="tiny", question=each.text, earlier=[], **_PERSONA)
        for each in asked
    ]
    replies: dict[str, list[str]] = {}
    for file in weights:
        with exam.asking(file) as ask:
            replies[file.stem] = exam.ask_all(ask, prompts)
    return [
        RecordedQuestion(
            id=f"tiny-{at}",
            dataset="tiny",
            fold="eval" if at % 2 else "cal",
            question=each.text,
            gold=each.answer,
            category=each.kind,
            models={
                model: _answer(model, said[at], each.answer) for model, said in replies.items()
            },
        )
        for at, each in enumerate(asked)
    ]


def main() -> int:
    """Write the recording."""
    asked = [each for each in exam.read_questions() if each.kind in _KINDS][:NUMBER]
    FOLDER.mkdir(exist_ok=True)
    questions = record(asked, exam.WEIGHTS)
    number = write_recording(FOLDER / "tiny.jsonl", questions)
    panels = {"tiny": {"panel": [file.stem for file in exam.WEIGHTS]}}
    (FOLDER / "panels.json").write_text(json.dumps(panels, indent=1) + "\n", encoding="utf-8")
    right = {
        model: sum(each.models[model].ok for each in questions) for model in questions[0].models
    }
    sys.stdout.write(f"{number} questions; right: {right}\n")
    return 0


def _answer(model: str, said: str, gold: str) -> RecordedAnswer:
    ans = read_answer(said, kind="closed").bare
    right = same_answer(said, gold)
    ok: Literal[0, 1] = 1 if right else 0
    return RecordedAnswer(ans=ans, ok=ok, chars=len(said), text=said, model=f"embedded/{model}")


if __name__ == "__main__":
    raise SystemExit(main())
