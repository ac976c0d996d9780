"""How well replies are read: figures over a folder of replies whose answers are known.

    python -m mom_council.benchmarks.reading FOLDER [--fuzz 100000]

`--fuzz` reads so many random texts and mutated replies too, as answers and as ballots: nothing may
raise, and nothing may take long.

The folder holds `inputs.json` (`pairs`: two replies and whether they state the same answer),
`choice_transcripts.jsonl` and `sum_transcripts.jsonl` (`tail`: the end of a reply, `stated`: its
answer) and `math_golds.jsonl` (`gold`); what is not there is left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mom_council.voting.ballots import Candidate, read_ballot
from mom_council.voting.methods import METHODS
from mom_council.voting.reading import are_same, read_answer, read_value, same_answer

_WRAPPERS: dict[str, Callable[[str], str]] = {
    "sentence": lambda gold: f"The answer is {gold}.",
    "mathematics": lambda gold: f"Therefore, the answer is ${gold}$.",
    "box": lambda gold: f"So it is \\boxed{{{gold}}}.",
    "JSON": lambda gold: json.dumps({"answer": gold}),
    "####": lambda gold: f"We count.\n#### {gold}",
    "label": lambda gold: f"Answer: {gold}",
}
_SHORT = (
    "42", "**42**", "The answer is 42.", "Answer: C", "(B)", "$42.00$", "Paris", "x = 5", "#### 18",
    "\\boxed{\\frac{1}{2}}", "Answer: 2:30 PM", "1,234", '{"answer": 42}', "5 km", "yes",
)  # fmt: skip
_LONG = 1_000_000
_REPEATED = ("```", "the answer is 42. ", "[", "<think>a</think>", "1,", "\\boxed{", "答案是", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="reading", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--examples", type=int, default=5, help="misread rows to print of each")
    parser.add_argument("--fuzz", type=int, default=0, help="random texts to read")
    parser.add_argument("--seed", type=int, default=0, help="of the random texts")
    chosen = parser.parse_args(arguments)
    folder: Path = chosen.folder
    lines: list[str] = []
    if (folder / "inputs.json").exists():
        pairs = json.loads((folder / "inputs.json").read_text("utf-8"))["pairs"]
        wrong = [pair for pair in pairs if same_answer(pair["a"], pair["b"]) != pair["equal"]]
        lines += _figure("pairs", len(pairs), wrong, chosen.examples)
    for name in ("choice", "sum"):
        rows = _rows(folder / f"{name}_transcripts.jsonl")
        wrong = [row for row in rows if not _is_read(row)]
        lines += _figure(f"{name} transcripts", len(rows), wrong, chosen.examples)
    lines += _golds([row["gold"] for row in _rows(folder / "math_golds.jsonl")], chosen.examples)
    lines += _times()
    if chosen.fuzz:
        texts = [
            row["tail"]
            for name in ("choice", "sum")
            for row in _rows(folder / f"{name}_transcripts.jsonl")
        ]
        found = fuzz(chosen.fuzz, [*texts, *_SHORT], seed=chosen.seed)
        said = f"{len(found.raised)} raised, {1000 * found.slowest:.1f} ms (slowest)"
        lines.append(f"{chosen.fuzz} random texts: {said}")
        lines += [f"    {text!r}" for text in found.raised[: chosen.examples]]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


class Fuzzed(NamedTuple):
    """What reading random texts showed: those that raised, and the longest time of one."""

    raised: list[str]
    slowest: float


_SCRAPS = (
    "Answer: ", "\\boxed{", "}", "####", "```", "<think>", "</think>", '{"answer": ', "**", "$",
    "\\frac{", "^{", "(A)", "B.", "1,000", "3/4", "-", "=", "±", "∞", "12 pm", "5 km", "null",
    "\n", "\u202e", "\x00", "\ud800", "答案是", "उत्तर", "الجواب", "½", "²", "∪", "[1, 2", "'", '"',
    "First: C. ", "9" * 400, "(" * 60, "A > B > C", '{"ranking": ["A"', "| A | 8 |", "vote: B", "!",
    "%", "e9999", "10^", "\\begin{pmatrix}", "&",
)  # fmt: skip


def fuzz(number: int, texts: Sequence[str], *, seed: int = 0) -> Fuzzed:
    """Read random texts, and texts with pieces left out, repeated and mixed in.

    Args:
        number: of texts to read.
        texts: replies to start from.
        seed: of the generator.
    """
    chance = random.Random(seed)
    shown = [Candidate("A", "Ann", "42"), Candidate("B", "Bob", "x = 5"), Candidate("C", "C", "no")]
    methods = [name for name, method in METHODS.items() if method.form is not None]
    raised: list[str] = []
    slowest = 0.0
    for at in range(number):
        text = _mutated(chance.choice(texts), chance) if at % 2 else _random_text(chance)
        began = time.process_time()
        try:
            read_answer(text, kind=chance.choice(("closed", "open", "unknown")))
            read_ballot(text, shown, methods[at % len(methods)])
        except Exception:
            raised.append(text)
        slowest = max(slowest, time.process_time() - began)
    return Fuzzed(raised, slowest)


def _random_text(chance: random.Random) -> str:
    scraps = (chance.choice(_SCRAPS) for _ in range(chance.randint(1, 12)))
    return "".join(
        scrap if chance.random() < 0.8 else chr(chance.randrange(0x110000)) for scrap in scraps
    )


def _mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        start, end = sorted(chance.randint(0, len(text)) for _ in range(2))
        piece = chance.choice(
            (chance.choice(_SCRAPS), "", text[start:end] * 2, text[start:end][::-1])
        )
        text = text[:start] + piece + text[min(end, start + 40) :]
    return text


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def _is_read(row: dict[str, Any]) -> bool:
    stated = read_value(row["stated"])
    return stated is not None and are_same(read_answer(row["tail"], kind="closed"), stated)


def _figure(name: str, number: int, wrong: Sequence[Any], examples: int) -> list[str]:
    if not number:
        return []
    shown = [f"    {json.dumps(row, ensure_ascii=False)[-300:]}" for row in wrong[:examples]]
    return [f"{name}: {number - len(wrong)} of {number}", *shown]


def _golds(golds: Sequence[str], examples: int) -> list[str]:
    wrong: list[Any] = []
    forms: dict[str, set[str]] = {}
    distinct = list(dict.fromkeys(golds))
    for gold in distinct:
        read = [read_answer(wrap(gold), kind="closed") for wrap in _WRAPPERS.values()]
        if not all(are_same(one, other) for one, other in itertools.pairwise(read)):
            wrong.append({gold: [answer.form for answer in read]})
        forms.setdefault(read[0].key, set()).add(gold)
    lines = _figure("golds read the same in every wrapping", len(distinct), wrong, examples)
    equal = [sorted(same) for same in forms.values() if len(same) > 1]
    lines += [f"golds that are counted as equal: {len(equal)} groups"] if distinct else []
    return lines + [f"    {'  =  '.join(same)}" for same in equal]


def _times() -> list[str]:
    """Seconds of the processor, each reply read once that was not read before."""
    short = []
    for at, text in enumerate(_SHORT * 20):
        began = time.process_time()
        read_answer(text + " " * (at // len(_SHORT)))
        short.append(time.process_time() - began)
    long = []
    for scrap in _REPEATED:
        text = scrap * (_LONG // len(scrap))
        began = time.process_time()
        read_answer(text, kind="closed")
        long.append(time.process_time() - began)
    return [
        f"a short answer: {1e6 * statistics.median(short):.0f} µs (median)",
        f"a megabyte of one scrap: {max(long):.2f} s (slowest of {len(long)})",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
