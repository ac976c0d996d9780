"""Do budgets hold? Councils of many shapes, under many limits, against the log of requests.

    python -m mom_council.benchmarks.budgets --runs 240 --write docs/reliability.md

Each run is one question, made from a seed: who sits, on which wire, with which retries, faults,
fallbacks, layers, rounds and readers, and what of calls, tokens and dollars it may spend. The
models are a server of ours, which answers in an order of its own (each with another delay), uses as
many tokens as its request allows, or fewer, and says so, or not. What it was really asked is what
is compared with the limit, and with what the status says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.errors import MixtureError
from mom_council.graph.council import compile_council
from mom_council.tests.stage import Call, Fault, Reply, Stage

_NAMES = ("Ada", "Boris", "Clara", "Dmitri", "Elena")
_METHODS = ("borda", "plurality", "approval", "score", "none", "similarity")
_LENGTHS = ("max_tokens", "max_completion_tokens")
_FAULTS = (
    *(Fault.status(500, retry_after=0), Fault.status(429, retry_after=0)),
    *(Fault.truncated(), Fault.reset(after=1), Fault("empty"), Fault("length"), None, None),
)
_LABEL = re.compile(r'<candidate label="(\w+)">')


@dataclass
class Trial:
    """One question under limits, and what came of it."""

    seed: int
    limits: dict[str, float]
    shape: str
    used: dict[str, float] = field(default_factory=dict)
    """By the log of requests."""
    told: dict[str, float] = field(default_factory=dict)
    """By the status; empty where there was no answer."""
    estimated: bool = False
    answered: bool = False
    ended: str = ""
    """How: written, voted, or the error's name."""
    unlimited: int = 0
    """Requests that did not say how long their answer may be, though tokens or dollars were
    limited."""

    @property
    def over(self) -> list[str]:
        """Which limits were exceeded."""
        return [name for name, limit in self.limits.items() if self.used[name] > limit * (1 + 1e-9)]

    @property
    def miscounted(self) -> list[str]:
        """What the status says otherwise than the log does; estimates may say more."""
        wrong = []
        for name, told in self.told.items():
            used = self.used[name]
            more = self.estimated and name != "calls"
            if told < used * (1 - 1e-9) or (told > used * (1 + 1e-9) and not more):
                wrong.append(f"{name}: {told:g} for {used:g}")
        return wrong


class _Server:
    """What the scripted models say, and what each answer took."""

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        self._stage = stage
        self._dice = dice
        self.usage: dict[int, tuple[int, int]] = {}

    def reply(self, body: dict[str, Any]) -> Reply:
        """An answer, a ballot, or a judgement, of a length that the request allows."""
        read = sum(_length(message.get("content")) for message in body.get("messages") or ()) // 4
        read = max(1, int((read + 1) * self._dice.uniform(0.5, 1.2)))
        allowed = _allowed(body) or 3_000
        written = self._dice.choice((allowed, self._dice.randint(1, allowed), min(allowed, 120)))
        self.usage[id(body)] = (read, written)
        says = (read, written) if self._dice.random() < 0.85 else None
        return Reply(self._text(body), usage=says)

    def _text(self, body: dict[str, Any]) -> str:
        said = "\n".join(str(message.get("content")) for message in body.get("messages") or ())
        labels = _LABEL.findall(said)
        if not labels:
            return f"I say: {self._dice.choice(('cats', 'dogs', 'fish', 'none at all'))}. " * 4
        self._dice.shuffle(labels)
        ballot = {"vote": labels[0], "ranking": labels, "approved": labels[:1]}
        return json.dumps({**ballot, "scores": dict.fromkeys(labels, 5)})

    def spent(self, call: Call) -> tuple[int, int]:
        """Tokens that a request took; a refused one took none."""
        if call.status >= 400:
            return 0, 0
        if "/embed" in call.path:
            return sum(map(len, call.body["input"])) // 4 + 1, 0
        return self.usage.get(id(call.body), (0, 0))


def _length(content: Any) -> int:
    return len(content if isinstance(content, str) else json.dumps(content or ""))


def _allowed(body: dict[str, Any]) -> int | None:
    options = body.get("options") or {}
    named = [body.get(name) for name in _LENGTHS] + [options.get("num_predict")]
    return next((int(one) for one in named if one), None)


def _council(stage: Stage, dice: random.Random, limits: dict[str, float]) -> dict[str, Any]:
    names = _NAMES[: dice.randint(2, 5)]
    keys = [name.lower() for name in names]
    models: dict[str, dict[str, Any]] = {}
    for key in (*keys, "pen", "reader", "spare"):
        provider = dice.choice(("openai", "openai", "ollama"))
        models[key] = {
            "provider": provider,
            "model": key,
            "base_url": stage.address(provider),
            "retries": dice.randint(0, 2),
            "timeout": 20,
            "price": {"input": dice.choice((0.5, 3, 15)), "output": dice.choice((2, 15, 75))},
        }
        if dice.random() < 0.2:
            models[key]["params"] = {"max_tokens": dice.choice((80, 500, 2000))}
        if key != "spare" and dice.random() < 0.3:
            models[key]["fallbacks"] = ["spare"]
        if dice.random() < 0.2:
            models[key] |= {"lane": "one", "concurrency": dice.randint(1, 2)}
    layers = [list(names)]
    if len(names) > 3 and dice.random() < 0.4:
        layers = [list(names[:2]), list(names[2:])]
    rules: dict[str, Any] = {
        "method": dice.choice(_METHODS),
        "rounds": {"min": 1, "max": dice.randint(1, 3)},
        "quorum": dice.choice((1.0, 1.0, 0.6)),
        "grace": dice.choice((0.0, 0.05)),
        "mode": dice.choice(("independent", "independent", "sequential")),
    }
    if rules["method"] == "similarity":
        embedding = {"provider": "openai", "model": "near", "base_url": stage.openai_url}
        models["near"] = {**embedding, "price": {"input": 1, "output": 0}, "retries": 1}
        rules["likeness"] = {"model": "near"}
    council: dict[str, Any] = {
        "name": "tried",
        "models": models,
        "characters": [{"name": name, "model": key} for name, key in zip(names, keys, strict=True)],
        "layers": layers,
        "deliberation": rules,
        "synthesizer": {"model": "pen", "compare": dice.choice(("words", "model"))},
        "thermal": None,
        "tracing": {"local": False, "langsmith": False},
        "budget": limits,
    }
    if dice.random() < 0.4:
        council["annotator"] = {"model": "reader"}
    return council


def _limits(dice: random.Random) -> dict[str, float]:
    scale = dice.choice((0.15, 0.5, 1, 3))
    limits = {
        "calls": dice.randint(1, max(2, int(14 * scale))),
        "tokens": int(dice.randint(600, 16_000) * scale),
        "usd": round(dice.uniform(0.005, 0.3) * scale, 4),
    }
    kinds = dice.sample([*limits], dice.choice((1, 1, 2, 3)))
    return {kind: limits[kind] for kind in limits if kind in kinds}


async def try_once(seed: int) -> Trial:
    """Ask the question that a seed makes, and compare what was spent with what might be."""
    dice = random.Random(seed)
    limits = _limits(dice)
    with Stage() as stage:
        written = _council(stage, dice, limits)
        server = _Server(stage, dice)
        for key in written["models"]:
            faults = [dice.choice(_FAULTS) for _ in range(3)] if dice.random() < 0.4 else []
            delay = dice.choice((0.0, 0.01, 0.03, 0.06))
            stage.model(key, reply=server.reply, latency=delay, faults=faults)
        rules = written["deliberation"]
        shape = f"{len(written['characters'])} characters, {rules['method']}"
        trial = Trial(seed, limits, shape)
        question = {"messages": [("user", "What is the best pet for a small flat? " * 8)]}
        status: Any = None
        try:
            graph = compile_council(load_council(written))
            status = (await graph.ainvoke(question))["status"]
            trial.ended = "voted" if status.written_by == "vote" else "written"
        except MixtureError as error:
            trial.ended = type(error).__name__
        _weigh(trial, stage.calls, server, written["models"])
    if status is not None:
        usage = status.usage
        trial.answered, trial.estimated = True, usage.estimated
        trial.told = {"calls": usage.calls}
        if {"tokens", "usd"} & {*limits}:
            trial.told["tokens"] = usage.tokens or 0
        if "usd" in limits:
            trial.told["usd"] = usage.usd or 0.0
    return trial


def _weigh(
    trial: Trial, calls: list[Call], server: _Server, models: dict[str, dict[str, Any]]
) -> None:
    trial.used = {"calls": len(calls), "tokens": 0, "usd": 0.0}
    for call in calls:
        read, written = server.spent(call)
        price = models[call.model]["price"]
        trial.used["tokens"] += read + written
        trial.used["usd"] += (read * price["input"] + written * price["output"]) / 1_000_000
        if "/embed" not in call.path and {"tokens", "usd"} & {*trial.limits}:
            trial.unlimited += _allowed(call.body) is None


def table(trials: Iterable[Trial]) -> str:
    """The table of `docs/reliability.md`."""
    rows = ["| limited | tried | answered | exceeded | counted otherwise than the log |"]
    rows.append("|---|---:|---:|---:|---:|")
    every = list(trials)
    for kind in ("calls", "tokens", "usd"):
        mine = [one for one in every if kind in one.limits]
        answered = sum(one.answered for one in mine)
        over = sum(kind in one.over for one in mine)
        wrong = sum(bool(one.miscounted) for one in mine)
        name = "dollars" if kind == "usd" else kind
        rows.append(f"| {name} | {len(mine)} | {answered} | {over} | {wrong} |")
    return "\n".join(rows)


_PLACE = re.compile(r"(?<=<!-- budgets -->\n).*?(?=<!-- /budgets -->)", re.DOTALL)


def main() -> None:
    """Try, print, and write the table where it is asked for."""
    options = argparse.ArgumentParser(prog="budgets", description=str(__doc__).splitlines()[0])
    options.add_argument("--runs", type=int, default=60, help="questions to ask")
    options.add_argument("--seed", type=int, default=1, help="of the first one")
    options.add_argument("--write", type=Path, help="a document whose table is remade")
    chosen = options.parse_args()

    async def every() -> list[Trial]:
        return [await try_once(chosen.seed + number) for number in range(chosen.runs)]

    trials = asyncio.run(every())
    for one in trials:
        if one.over or one.miscounted or one.unlimited:
            print(f"seed {one.seed}: over {one.over}, {one.miscounted}, {one}")
    requests = int(sum(one.used["calls"] for one in trials))
    ends = Counter(one.ended for one in trials).most_common()
    summary = ", ".join(f"{end} {number}" for end, number in ends)
    text = f"{table(trials)}\n\n{chosen.runs} questions, {requests} requests: {summary}.\n"
    print(text)
    if chosen.write:
        document = chosen.write.read_text("utf-8")
        chosen.write.write_text(_PLACE.sub(lambda _: text, document), "utf-8")


if __name__ == "__main__":
    main()
