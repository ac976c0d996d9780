"""Councils for those who named none: out of whatever was found, three seats and a synthesizer.

What `mom ask` sits with: the council somebody named, else the best that this machine can seat.

    named on the command line > MOM_COUNCIL > Ollama > keys > downloaded weights > the demo

Nothing here fails because nothing is installed, and the notice says what is asked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from mom_council.councils.loader import load_council
from mom_council.councils.models import HUMAN
from mom_council.councils.schema import Character, Council, Model, Synthesizer
from mom_council.models.findings import Found, Weights, find_voices, is_near
from mom_council.models.providers import PROVIDERS
from mom_council.models.providers.embedded import is_installed

KEY_MODELS = {
    "openai": "gpt-5.4",
    "anthropic": "claude-sonnet-4-6",
    "mistralai": "mistral-medium-latest",
    "deepseek": "deepseek-chat",
    "cohere": "command-a-03-2025",
}
"""Which model is asked where only a key was found; a council's own file names any other."""

LARGE = 12_000_000_000
"""Bytes of weights that a single GPU at home no longer takes."""
SMALL = 700_000_000
"""Bytes below which a model is left out, where three larger ones are there."""

_SEATS = (
    {
        "name": "Marta",
        "personality": "A practical engineer. You look for the answer that works, and say what "
        "could break.",
    },
    {
        "name": "Idris",
        "personality": "A mathematician. You take a question apart and check every step.",
    },
    {
        "name": "Noor",
        "personality": "A skeptic. You ask what is really meant, and look for the error in the "
        "obvious answer before you give yours.",
    },
)

_BETTER = "install Ollama and `ollama pull llama3.2`, or set a key, or run `mom download`"


def default_council(found: Found) -> tuple[Council, str]:
    """The best council that needs nothing that is not here, and the line that says what it is.

    It is called by where its models come from: `ollama`, `keys`, `weights`, else `demo`.
    """
    if found.ollama:
        return _of_ollama(found)
    if vendors := [vendor for vendor in found.keys if vendor in KEY_MODELS]:
        return _of_keys(vendors[:3], found.lacking)
    if found.weights:
        return _of_weights(found)
    return load_council("demo"), _demo_line(found)


def choose_models(known: Sequence[Weights]) -> list[Weights]:
    """Up to three of the models (given smallest first): of different families, none too large."""
    able = [one for one in known if one.size <= LARGE] or list(known[:1])
    grown = [one for one in able if one.size >= SMALL]
    if len(grown) >= 3:
        able = grown
    firsts = {one.family or one.name: one for one in reversed(able)}  # the smallest of each family
    ordered = sorted(firsts.values(), key=able.index)
    ordered += [one for one in able if one not in ordered]
    return sorted(ordered[:3], key=able.index)


def _of_ollama(found: Found) -> tuple[Council, str]:
    chosen = choose_models(found.ollama)
    # One call at a time: whichever model is loaded has the GPU for itself.
    common = {
        "provider": "ollama",
        "base_url": found.ollama_url,
        "lane": "gpu",
        "concurrency": 1,
        "timeout": 300,
    }
    council = _seat("ollama", [{**common, "model": one.name} for one in chosen], quorum=1)
    named = ", ".join(one.name for one in chosen)
    return council, f"Asking {named} on Ollama; `mom councils` shows others. {_few(chosen)}".strip()


def _of_keys(vendors: Sequence[str], lacking: Sequence[str]) -> tuple[Council, str]:
    models = [
        {
            "provider": vendor,
            "model": KEY_MODELS[vendor],
            "api_key_env": PROVIDERS[vendor].key_env,
            "timeout": 90,
        }
        for vendor in vendors
    ]
    council = _seat("keys", models, quorum=0.6, grace=15, thermal=None)
    variables = ", ".join(str(PROVIDERS[vendor].key_env) for vendor in vendors)
    named = ", ".join(KEY_MODELS[vendor] for vendor in vendors)
    more = f" {_install(lacking[0])}" if lacking else ""
    return council, f"Asking {named}, because {variables} is set.{more}"


def _of_weights(found: Found) -> tuple[Council, str]:
    chosen = choose_models(found.weights)
    # One model answers three at a time in one batch; several would fight for the same cores.
    common = {
        "provider": "embedded",
        "lane": "embedded",
        "concurrency": 3 if len(chosen) == 1 else 1,
        "timeout": 600,
        "price": {"input": 0, "output": 0},
    }
    council = _seat("weights", [{**common, "model": one.name} for one in chosen], quorum=1)
    named = ", ".join(one.name for one in chosen)
    return council, f"Asking {named}, by llama.cpp on this machine; Ollama would serve larger ones."


def _seat(
    name: str,
    models: Sequence[dict[str, Any]],
    *,
    thermal: dict[str, Any] | None = {},  # noqa: B006 - only read
    **rules: Any,
) -> Council:
    """Three characters on one to three models; the last of them, the largest, synthesizes."""
    keys = _keys([model["model"] for model in models])
    voices = dict(zip(keys, models, strict=True))
    writer = keys[-1]
    voices[writer] = {**voices[writer], "fallbacks": keys[:-1]}
    on = (keys * 3)[:3] if len(keys) != 2 else [*keys, writer]
    return load_council(
        {
            "name": name,
            "models": voices,
            "characters": [{**seat, "model": key} for seat, key in zip(_SEATS, on, strict=True)],
            "deliberation": {"method": "borda", "rounds": {"min": 1, "max": 2}, **rules},
            "synthesizer": {"model": writer},
            "thermal": thermal,
        }
    )


def _keys(names: Sequence[str]) -> list[str]:
    """Names for a council's models: what providers call them, without slashes and colons."""
    plain = [re.sub(r"[^\w.-]+", "-", name.removesuffix(":latest"))[:60] for name in names]
    return [key if plain.count(key) == 1 else f"{key}.{n}" for n, key in enumerate(plain, 1)]


def _few(chosen: Sequence[Weights]) -> str:
    return "A second model, of another family, would make the vote worth more." * (len(chosen) < 2)


def _install(vendor: str) -> str:
    one = PROVIDERS[vendor]
    return f"{one.key_env} is set too: `pip install 'mom-council[{one.extra}]'` to use it."


def _demo_line(found: Found) -> str:
    what = (
        "No models were found, so three of about 1 MB answer that come with this package; "
        "they only know small sums, comparisons and simple facts."
    )
    lines = [what]
    if not is_installed():
        lines.append("They need llama.cpp: `pip install xllamacpp`.")
    if found.ollama_url:
        lines.append("Ollama runs, but has no chat model that fits: `ollama pull llama3.2`.")
    elif found.lacking:
        lines.append(_install(found.lacking[0]))
    else:
        lines.append(f"For real ones {_BETTER}.")
    return " ".join(lines)


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
    voters = sum(who.votes for who in council.characters) if rules.asks_voters else 0
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
