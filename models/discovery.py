"""What `mom ask` sits with: the council somebody named, else the best that this machine can seat.

    named on the command line > MOM_COUNCIL > Ollama > keys > downloaded weights > the demo

Nothing here fails because nothing is installed, and the notice says what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from mom_council.councils.loader import load_council
from mom_council.councils.schema import UNASKED, Character, Council, Model, Synthesizer
from mom_council.councils.voices import HUMAN
from mom_council.models.defaults import default_council
from mom_council.models.findings import Found, find_voices, is_near

__all__ = [
    "Choice",
    "Found",
    "calls_at_most",
    "choose_council",
    "cost_notice",
    "costs_money",
    "default_council",
    "find_voices",
]

VARIABLE = "MOM_COUNCIL"

Source = Literal["named", "environment", "ollama", "keys", "weights", "demo"]

_FREE = frozenset({"ollama", "embedded", "huggingface", "diffusers", "replay", HUMAN})
"""Providers that send no bill."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The council that sits, and why it is this one. It holds no key."""

    council: Council
    notice: str | None
    """One line for who named no council; None where one was named."""
    costs_money: bool
    source: Source


async def choose_council(named: str | None, env: Mapping[str, str]) -> Choice:
    """Choose the council: the one called `named`, or MOM_COUNCIL's, or out of what there is.

    Raises:
        CouncilError: the named council cannot sit, or there is none of that name.
    """
    name = named or env.get(VARIABLE)
    if name:
        council = await asyncio.to_thread(load_council, name)
        return Choice(council, None, costs_money(council), "named" if named else "environment")
    found = await find_voices(env)
    council, line = await asyncio.to_thread(default_council, found)
    return Choice(council, line, costs_money(council), cast(Source, council.name))


def calls_at_most(council: Council) -> int:
    """How many calls of models one question takes in the worst case, retries aside."""
    speakers = sum(_turns(council.character(name)) for layer in council.seats for name in layer)
    rules = council.deliberation
    asked = rules.method not in UNASKED
    voters = sum(character.votes for character in council.characters) if asked else 0
    readers = bool(council.annotator) + bool(council.classifier.model)
    return readers + rules.rounds.max * (speakers + voters) + _turns(council.synthesizer)


def _turns(who: Character | Synthesizer) -> int:
    """How many calls one answer takes: each call of a tool may take another."""
    return 1 + (who.tool_calls if who.tools else 0)


def cost_notice(choice: Choice, more_calls: int = 0) -> str | None:
    """The line to show before money is spent: which models, how many calls; None: it is free.

    `more_calls` are those of the council's extensions.
    """
    if not choice.costs_money:
        return None
    paid = {
        f"{model.model} ({model.provider})": None
        for model in choice.council.models.values()
        if _may_cost(model)
    }
    calls = calls_at_most(choice.council) + more_calls
    most = choice.council.budget.calls
    calls = calls if most is None else min(calls, most)
    return f"This may cost money: {', '.join(paid)}; at most {calls} calls a question."


def costs_money(council: Council) -> bool:
    """Whether asking this council may send a bill."""
    return any(_may_cost(model) for model in council.models.values())


def _may_cost(model: Model) -> bool:
    """Whether a call may be billed; what is not known is taken for what costs."""
    if model.price is not None:
        return model.price.input > 0 or model.price.output > 0
    if model.provider in _FREE:
        return model.model.endswith(("-cloud", ":cloud"))  # Ollama's own, on its servers
    return model.base_url is None or not is_near(model.base_url)
