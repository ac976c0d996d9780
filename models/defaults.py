"""Councils for those who named none: out of whatever was found, three seats and a synthesizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.models.findings import Found, Weights
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
