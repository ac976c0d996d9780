"""A small recording of our own, and councils that replay it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.councils.recording import RecordedAnswer, RecordedQuestion, write_recording
from mom_council.councils.schema import Council

SKILL = {"ant": 0.6, "bee": 0.7, "cat": 0.75, "dog": 0.65, "owl": 0.9}
"""How often each recorded model is right."""


def sums(number: int = 30, seed: int = 7) -> list[RecordedQuestion]:
    """Additions, with answers of five models of known skill; some are silent now and then."""
    dice = random.Random(seed)
    made = []
    for at in range(number):
        one, other = dice.randint(10, 99), dice.randint(10, 99)
        gold = one + other
        answers = {}
        for name, skill in SKILL.items():
            said: int | None = gold if dice.random() < skill else gold + dice.choice([1, 10, 100])
            if dice.random() < 0.05:
                said = None
            answers[name] = RecordedAnswer(
                ans=None if said is None else str(said),
                ok=int(said == gold),
                chars=40,
                usd=0.001 if name != "owl" else 0.02,
                input_tokens=30,
                output_tokens=10,
                seconds=0.5,
            )
        made.append(
            RecordedQuestion(
                id=f"sum-{at}",
                dataset="sums",
                fold="cal" if at % 2 else "eval",
                question=f"What is {one} + {other}?",
                gold=str(gold),
                models=answers,
            )
        )
    return made


def kept(path: Path, questions: list[RecordedQuestion] | None = None) -> Path:
    """A recording on disk."""
    write_recording(path, sums() if questions is None else questions)
    return path


def replayed(
    path: Path, models: tuple[str, ...] = ("ant", "bee", "cat"), **changes: Any
) -> Council:
    """A council whose members are recorded: `Ant` sits on `ant`."""
    keys = dict.fromkeys([*models, "owl"])
    made: dict[str, Any] = {
        "name": "replayed",
        "models": {
            key: {"provider": "replay", "model": key, "params": {"recording": str(path)}}
            for key in keys
        },
        "characters": [{"name": key.title(), "model": key} for key in models],
        "synthesizer": {"model": models[0]},
        "thermal": None,
        "deliberation": {"rounds": {"min": 1, "max": 1}, "quorum": 1.0, "method": "answers"},
    }
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = {**made[key], **value} if both else value
    return load_council(made)
