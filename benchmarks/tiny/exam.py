"""The exam: held-out questions, asked through llama.cpp, as the product asks them.

    python -m mom_council.benchmarks.tiny.exam

prints a Markdown table. Needs `xllamacpp`, and neither torch nor a download.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mom_council.benchmarks.tiny.corpus import held_out
from mom_council.benchmarks.tiny.questions import Question
from mom_council.benchmarks.tiny.words import REFUSAL
from mom_council.models.weights import SHIPPED
from mom_council.prompts import render

QUESTIONS = Path(__file__).with_name("heldout.jsonl")
WEIGHTS = tuple(SHIPPED / f"tiny-{number}.gguf" for number in (1, 2, 3))
KINDS = ("add", "subtract", "compare", "fact", "kind", "route")
_SLOTS, _CONTEXT = 4, 512
_PERSONA = {
    "name": "Nadia",
    "personality": "A level-headed surveyor. You measure, then you answer.",
}

Ask = Callable[[str, str], str]  # system, user -> reply


@contextlib.contextmanager
def asking(weights: Path) -> Iterator[Ask]:
    """Open a model in llama.cpp; the value asks it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.port = 0
    params.n_parallel = _SLOTS
    params.n_ctx = _CONTEXT * _SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = -1
    server = xllamacpp.Server(params)

    def ask(system: str, user: str) -> str:
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": user})
        body = {"messages": messages, "temperature": 0, "max_tokens": 48}
        request = urllib.request.Request(
            f"{server.listening_address}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer: str = json.load(reply)["choices"][0]["message"]["content"]
        return answer.strip()

    yield ask  # the engine stops when nobody holds it any more


def read_questions(file: Path = QUESTIONS) -> list[Question]:
    """Read the exam."""
    rows = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return [Question(**(row | {"wrong": tuple(row["wrong"])})) for row in rows]


def write_questions(file: Path = QUESTIONS, count: int = 480) -> None:
    """Write the exam anew; it is always the same."""
    lines = (json.dumps(q._asdict(), ensure_ascii=False) for q in held_out(count))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ask_all(ask: Ask, prompts: Sequence[tuple[str, str]]) -> list[str]:
    """Ask many prompts, a few at once."""
    with ThreadPoolExecutor(_SLOTS) as pool:
        return list(pool.map(lambda prompt: ask(*prompt), prompts))


def majority(answers: Sequence[str]) -> str:
    """What most say; the first of them at a tie."""
    return max(answers, key=lambda answer: (answers.count(answer), -answers.index(answer)))


def wilson(right: int, count: int) -> tuple[float, float]:
    """Give the 95 % interval of a share."""
    if not count:
        return 0.0, 1.0
    z, share = 1.96, right / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def sit(weights: Sequence[Path], exam: Sequence[Question]) -> str:
    """Let the models sit the exam; give the results as Markdown."""
    texts = [q.text for q in exam]
    with contextlib.ExitStack() as stack:
        models = [stack.enter_context(asking(file)) for file in weights]
        with_persona = [_character(text, []) for text in texts]
        alone = [ask_all(model, with_persona) for model in models]
        together = list(zip(*alone, strict=True))
        again = [
            ask_all(m, [_character(*p) for p in zip(texts, together, strict=True)]) for m in models
        ]
        ballots = [
            ask_all(m, [_vote(*p) for p in zip(texts, together, strict=True)]) for m in models
        ]
        merged = [
            ask_all(m, [_synthesizer(*p) for p in zip(texts, together, strict=True)])
            for m in models
        ]
    rows: dict[str, list[bool]] = {}
    gold = [q.answer for q in exam]
    for file, answers in zip(weights, alone, strict=True):
        rows[f"{file.stem} alone"] = _marks(answers, gold)
    rows["majority of the three"] = _marks([majority(a) for a in together], gold)
    rows["any of the three right"] = [g in a for a, g in zip(together, gold, strict=True)]
    rows["majority, second round"] = _marks(_majorities(again), gold)
    rows["majority of the ballots"] = _marks(_majorities(ballots), gold)
    for file, answers in zip(weights, merged, strict=True):
        rows[f"synthesizer {file.stem}"] = _marks(answers, gold)
    voices: dict[str, Sequence[str]] = {
        file.stem: answers for file, answers in zip(weights, alone, strict=True)
    }
    voices["majority"] = [majority(a) for a in together]
    return f"{_accuracies(rows, exam)}\n\n{_refusals(voices, exam)}\n"


def _character(question: str, earlier: Sequence[str]) -> tuple[str, str]:
    return render("character", style="tiny", question=question, earlier=list(earlier), **_PERSONA)


def _vote(question: str, given: Sequence[str]) -> tuple[str, str]:
    candidates = [{"label": "ABC"[i], "text": text} for i, text in enumerate(given)]
    return render("vote", style="tiny", question=question, candidates=candidates, **_PERSONA)


def _synthesizer(question: str, given: Sequence[str]) -> tuple[str, str]:
    proposals = [
        {"text": text, "support": f"{given.count(text)} of {len(given)} votes"} for text in given
    ]
    return render("synthesizer", style="tiny", question=question, proposals=proposals)


def _majorities(columns: Sequence[Sequence[str]]) -> list[str]:
    return [majority(answers) for answers in zip(*columns, strict=True)]


def _marks(answers: Sequence[str], gold: Sequence[str]) -> list[bool]:
    return [answer == right for answer, right in zip(answers, gold, strict=True)]


def _accuracies(rows: dict[str, list[bool]], exam: Sequence[Question]) -> str:
    kinds = [kind for kind in (*KINDS, "unknown") if any(q.kind == kind for q in exam)]
    counts = [sum(q.kind == kind for q in exam) for kind in kinds]
    heads = [f"{kind} ({count})" for kind, count in zip(kinds, counts, strict=True)]
    lines = [
        f"| right, in % | all ({len(exam)}) | 95 % interval | " + " | ".join(heads) + " |",
        "|---" * (len(kinds) + 3) + "|",
    ]
    for name, marks in rows.items():
        low, high = wilson(sum(marks), len(marks))
        cells = [
            f"{_percent(sum(m for m, q in zip(marks, exam, strict=True) if q.kind == kind), count)}"
            for kind, count in zip(kinds, counts, strict=True)
        ]
        lines.append(
            f"| {name} | {_percent(sum(marks), len(marks))} | {low:.1%} to {high:.1%} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def _refusals(voices: dict[str, Sequence[str]], exam: Sequence[Question]) -> str:
    lines = [
        "| | refused, out of scope | 95 % interval | refused though in scope | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for name, answers in voices.items():
        cells = []
        for outside in (True, False):
            asked = [
                a for a, q in zip(answers, exam, strict=True) if (q.answer == REFUSAL) == outside
            ]
            refused = sum(answer == REFUSAL for answer in asked)
            low, high = wilson(refused, len(asked))
            cells += [f"{refused} of {len(asked)}", f"{low:.1%} to {high:.1%}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("weights", nargs="*", type=Path, help="GGUF files; ours by default")
    parser.add_argument("--write", action="store_true", help="write heldout.jsonl anew, and stop")
    args: Any = parser.parse_args()
    if args.write:
        write_questions()
        return
    print(sit(args.weights or WEIGHTS, read_questions()))


if __name__ == "__main__":
    main()
