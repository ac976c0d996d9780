"""A council made from what is on this machine, from the keys that are set, or from names.

Three characters speak on one to three models; the strongest model also writes the answer.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Sequence
from typing import Any

from mom_council.councils.loader import load_council, to_yaml
from mom_council.councils.schema import Council
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.models.memory import ModelMemory, main_memory
from mom_council.models.resolved import is_near
from mom_council.models.weights import SHIPPED, downloaded_weights
from mom_council.runs.installed import (
    AvailableModels,
    InstalledModel,
    billions,
    choose_models,
    expected_seconds,
    install_line,
    strength,
)
from mom_council.vendors import VENDORS, Vendor
from mom_council.vendors.local import EMBEDDED
from mom_council.vendors.ollama import OLLAMA
from mom_council.vendors.openai import OPENAI

MORE = "; `mom models` says more"
CHANGE = f"Change it with -m MODEL or -c COUNCIL{MORE}."

_MOST_SERVED = 12
"""Models of a server up to which one may choose among them: more are a market, which costs."""

_SMALL_ANSWER = 300
"""Tokens that a downloaded model of less than a billion parameters may write."""

_CHARACTERS = (
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
    {
        "name": "Kofi",
        "personality": "A historian. You ask what is known, from where, and what was tried before.",
    },
    {
        "name": "Lena",
        "personality": "A teacher. You explain simply, with an example, and leave nothing out.",
    },
    {
        "name": "Ravi",
        "personality": "A lawyer. You read every word of the question and look for exceptions.",
    },
)


def automatic_council(available: AvailableModels) -> tuple[Council, str]:
    """The council of what is here, and the line that says what is asked, why, and for how long."""
    if available.served and is_near(str(available.server)):
        return _of_server(available)
    if available.ollama:
        return _of_ollama(available)
    if available.served and len(available.served) <= _MOST_SERVED:
        return _of_server(available)
    if vendors := [VENDORS[name] for name in available.keys if VENDORS[name].default_model]:
        return _of_keys(vendors[:3], available.lacking)
    if available.weights:
        return _of_weights(available)
    return _of_server(available)


def _of_ollama(available: AvailableModels) -> tuple[Council, str]:
    memory = available.memory or MAIN_MEMORY
    selection = choose_models(available.ollama, memory)
    common = {"provider": OLLAMA.name, "base_url": available.ollama_url, **OLLAMA.found_settings}
    models = [{**common, "model": one.name} for one in selection.seated]
    council = _council_of("ollama", models, quorum=1)
    named = ", ".join(one.title for one in selection.seated)
    line = f"Asking {named} on Ollama: {selection.reason}. "
    line += f"A question takes about {_about(expected_seconds(selection.seated, memory))}. "
    if len(available.ollama) == 1:
        line += "A second model, of another family, would make the vote worth more. "
    return council, line + CHANGE


def _about(seconds: float) -> str:
    """A time that is a guess: "10 s", "2 minutes"."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{round(seconds / 60)} minutes"


def _of_server(available: AvailableModels) -> tuple[Council, str]:
    """Of the server that OPENAI_BASE_URL names; what it loads for each model is its own affair."""
    served = [InstalledModel(name, 0) for name in available.served]
    preferred = [one for one in served if one.name == OPENAI.default_model]
    many = len(served) > _MOST_SERVED
    if preferred or many:
        seated: Sequence[InstalledModel] = preferred or served[:1]
        reason = "of its many models one is asked"
    else:
        selection = choose_models(served, ModelMemory(10**15, "assumed"))
        seated, reason = selection.seated, selection.reason.partition(" that fit")[0]
    common = {"provider": OPENAI.name, "base_url": available.server, **OPENAI.found_settings}
    if available.server_key:
        common["api_key_env"] = OPENAI.key_env
    council = _council_of("server", [{**common, "model": one.name} for one in seated], quorum=1)
    named = ", ".join(one.title for one in seated)
    return (
        council,
        f"Asking {named} at {available.server}: {reason.partition(', and')[0]}. {CHANGE}",
    )


def _of_keys(vendors: Sequence[Vendor], lacking: Sequence[str]) -> tuple[Council, str]:
    models = [
        {
            "provider": vendor.name,
            "model": vendor.default_model,
            "api_key_env": vendor.key_env,
            **vendor.found_settings,
        }
        for vendor in vendors
    ]
    council = _council_of("keys", models, quorum=0.6, grace=15, thermal=None)
    variables = ", ".join(str(vendor.key_env) for vendor in vendors)
    names = ", ".join(str(vendor.default_model) for vendor in vendors)
    more = f" {install_line(lacking[0])}" if lacking else ""
    return council, f"Asking {names}, because {variables} is set.{more} {CHANGE}"


def _of_weights(available: AvailableModels) -> tuple[Council, str]:
    chosen = choose_models(available.weights, MAIN_MEMORY).seated
    # One model answers three at a time in one batch; several would fight for the same cores.
    common: dict[str, Any] = {
        "provider": EMBEDDED.name,
        "concurrency": 3 if len(chosen) == 1 else 1,
        **EMBEDDED.found_settings,
    }
    rules: dict[str, Any] = {"quorum": 1}
    if all(billions(one) < 1 for one in chosen):
        # Models this small often find no end, and cannot vote: their equal answers are counted.
        common["params"] = {"max_tokens": _SMALL_ANSWER}
        rules |= {"method": "answers", "rounds": {"min": 1, "max": 1}, "prompts": "short"}
    council = _council_of("weights", [{**common, "model": one.name} for one in chosen], **rules)
    named = ", ".join(one.name for one in chosen)
    return council, f"Asking {named}, by llama.cpp on this machine; Ollama would serve larger ones."


def _council_of(
    name: str,
    models: Sequence[dict[str, Any]],
    *,
    thermal: dict[str, Any] | None = {},  # noqa: B006 - only read
    prompts: str = "standard",
    **rules: Any,
) -> Council:
    """Three characters on one to three models; the last of them, the largest, synthesizes."""
    keys = _keys([model["model"] for model in models])
    voices = dict(zip(keys, models, strict=True))
    writer = keys[-1]
    voices[writer] = {**voices[writer], "fallbacks": keys[:-1]}
    on = [*keys, *[writer] * (3 - len(keys))]
    return load_council(
        {
            "name": name,
            "models": voices,
            "characters": [
                {**who, "model": key} for who, key in zip(_CHARACTERS, on, strict=False)
            ],
            "deliberation": {"method": "borda", "rounds": {"min": 1, "max": 2}, **rules},
            "synthesizer": {"model": writer},
            "prompts": prompts,
            "thermal": thermal,
        }
    )


def _keys(names: Sequence[str]) -> list[str]:
    """Names for a council's models: what providers call them, without slashes and colons."""
    plain = [re.sub(r"[^\w.-]+", "-", name.removesuffix(":latest"))[:60] for name in names]
    return [key if plain.count(key) == 1 else f"{key}.{n}" for n, key in enumerate(plain, 1)]


def council_in_words(
    council: Council, notice: str | None, *, name: str | None = None, rounds: int | None = None
) -> str:
    """The YAML of a council that was made here, with a comment at each part."""
    if rounds is not None:
        limits = council.deliberation.rounds.model_copy(update={"max": rounds, "min": 1})
        rules = council.deliberation.model_copy(update={"rounds": limits})
        council = council.model_copy(update={"deliberation": rules})
    if name is not None:
        council = council.model_copy(update={"name": name})
    about = (notice or "").removesuffix(CHANGE)
    lines = [f"# {line}" for line in textwrap.wrap(about, 96)]
    for line in to_yaml(council).splitlines():
        part = line.partition(":")[0]
        if part in _PARTS:
            lines += ["", *(f"# {comment}" for comment in textwrap.wrap(_PARTS[part], 96))]
        lines.append(line)
    return "\n".join(lines).strip() + "\n"


_PARTS = {
    "models": "Who can be asked. Models in one lane share one GPU and take turns; `fallbacks` are "
    "asked when a model does not answer.",
    "characters": "Who speaks: a personality on a model. Add, remove and rename as you like.",
    "deliberation": "How they come to an answer: `method` says how the votes are counted, `rounds` "
    "how often they may speak, `quorum` which share must have answered.",
    "synthesizer": "Who writes the one answer that you read.",
    "thermal": "Whether a hot GPU is waited for.",
}
"""What stands above each part of a council's YAML."""


def council_of_models(names: Sequence[str], available: AvailableModels) -> Council:
    """The council of the models that somebody named, each `NAME` or `PROVIDER/NAME`.

    Raises:
        UnknownNameError: some are not on this machine; all of them, with the line that gets them.
        CouncilError: there are more than six.
    """
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if len(names) > len(_CHARACTERS):
        raise CouncilError(
            f"{len(names)} models are named, and a council of -m has at most {len(_CHARACTERS)}",
            cure="write a council file: mom init",
        )
    models = [_named_model(name, available) for name in names]
    if lacking := [name for name, model in zip(names, models, strict=True) if model is None]:
        what = f"{', '.join(lacking)}: not on this machine"
        if wrong := available.trouble or available.server_trouble:
            what = f"{', '.join(lacking)}: {wrong}"
        raise UnknownNameError(what, cure=_how_to_get(lacking, available))
    settings = [model for model in models if model is not None]
    if all(model["provider"] == OLLAMA.name for model in settings):
        strengths = {one.name: strength(one) for one in (*available.ollama, *available.silent)}
        settings.sort(key=lambda model: strengths.get(OLLAMA.full_name(model["model"]), 0.0))
    local = all(VENDORS[model["provider"]].free for model in settings)
    rules = {"quorum": 1} if local else {"quorum": 0.6, "grace": 15}
    return _council_of("models", settings, **rules)


def _named_model(name: str, available: AvailableModels) -> dict[str, Any] | None:
    """The entry of a council for a model that somebody named; None: it is not here."""
    prefix, slash, rest = name.partition("/")
    vendor = VENDORS.get(prefix)
    on_ollama = _on_ollama(rest if vendor is OLLAMA else name, available)
    if on_ollama is not None:
        return _entry(OLLAMA, on_ollama, available)
    if slash and vendor is not None:
        return None if vendor is OLLAMA else _entry(vendor, rest, available)
    if name in available.served:
        return {**_entry(OPENAI, name, available), "base_url": available.server}
    if name in {one.name for one in available.weights} | set(downloaded_weights(SHIPPED)):
        return _entry(EMBEDDED, name, available)
    for key in () if ":" in name else available.keys:  # with a tag it is a name of Ollama's
        if name.partition("-")[0] == str(VENDORS[key].default_model).partition("-")[0]:
            return _entry(VENDORS[key], name, available)
    return None


def _entry(vendor: Vendor, name: str, available: AvailableModels) -> dict[str, Any]:
    entry = {"provider": vendor.name, "model": name, **vendor.found_settings}
    if vendor is OLLAMA:
        entry["base_url"] = available.ollama_url
    elif vendor.key_env and vendor.base_url and not (vendor is OPENAI and available.server):
        entry["api_key_env"] = vendor.key_env
    return entry


def _on_ollama(name: str, available: AvailableModels) -> str | None:
    """A model of Ollama as it is called there; without a tag it may be the only, or the best."""
    here = (*available.ollama, *available.silent)
    if OLLAMA.full_name(name) in {one.name for one in here}:
        return name
    tagged = [one for one in here if one.name.partition(":")[0] == name]
    return max(tagged, key=strength).name if tagged else None


def _how_to_get(names: Sequence[str], available: AvailableModels) -> str:
    """One line that gets all the models."""
    pulls = " && ".join(
        f"ollama pull {shlex.quote(name.removeprefix('ollama/'))}" for name in names
    )
    if available.trouble:
        return "look what holds it up: ollama ps"
    if available.server_trouble:
        return f"start that server, or start Ollama (`ollama serve`), then: {pulls}"
    if available.ollama_url is None:
        return f"start Ollama (`ollama serve`), then: {pulls}"
    return f"`{pulls}` gets them" if len(names) > 1 else f"`{pulls}` gets it"


MAIN_MEMORY = ModelMemory((main_memory() or 8_000_000_000) * 3 // 4, "RAM")
"""What models of ours may take of this machine's memory."""
