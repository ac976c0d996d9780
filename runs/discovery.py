"""What this machine could ask, and the council that is made of it for those who named none.

What `mom ask` asks: the council somebody named, else the best that this machine can seat.

    named on the command line > MOM_COUNCIL > Ollama > keys > downloaded weights > the demo

Nothing here fails because something is missing or broken: what cannot be used was not found. The
notice says what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Character, Council, Model, Synthesizer
from mom_council.errors import CouncilError, StorageError
from mom_council.models.addresses import is_near, ollama_address, with_address
from mom_council.models.providers.embedded import is_installed
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.weights import downloaded_weights
from mom_council.paths import data_dir, ensure
from mom_council.redaction import fault_in_address
from mom_council.vendors import VENDORS, Vendor, vendor_of
from mom_council.vendors.local import EMBEDDED
from mom_council.vendors.ollama import OLLAMA

OLLAMA_TIMEOUT = 0.5
"""Seconds that a question may be held up by an Ollama that does not answer."""

_NOT_FOR_CHAT = ("embed", "minilm", "bge-", "rerank", "guard", "-ocr", "moondream")
"""Parts of names of models that do not chat; their families say so too, when they are told."""
_FAMILIES_NOT_FOR_CHAT = ("bert", "xlm-roberta", "embed", "clip")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that is on this machine."""

    name: str
    size: int
    """Bytes."""
    family: str = ""


@dataclass(frozen=True, slots=True)
class AvailableModels:
    """What could be asked. Keys are told by the name of their provider; they are not kept."""

    ollama_url: str | None = None
    """Where Ollama answers; None: it does not."""
    ollama: tuple[InstalledModel, ...] = ()
    """Its chat models, smallest first."""
    keys: tuple[str, ...] = ()
    """Providers whose key and whose package are here."""
    lacking: tuple[str, ...] = ()
    """Providers whose key is here and whose package is not."""
    weights: tuple[InstalledModel, ...] = ()
    """Downloaded, smallest first; none where llama.cpp is not installed."""


async def find_models(
    env: Mapping[str, str], *, ollama_url: str | None = None, weights_dir: Path | None = None
) -> AvailableModels:
    """Look for everything at once; takes at most half a second, and a tenth of it as a rule."""
    url = ollama_url or ollama_address(env)
    (answers, chat_models), weights = await asyncio.gather(
        _models_on_ollama(url), asyncio.to_thread(_weights, weights_dir)
    )
    with_key = [name for name, one in VENDORS.items() if env.get(one.key_env or "", "").strip()]
    usable = [name for name in with_key if importlib.util.find_spec(VENDORS[name].package)]
    return AvailableModels(
        ollama_url=url if answers else None,
        ollama=chat_models,
        keys=tuple(usable),
        lacking=tuple(name for name in with_key if name not in usable),
        weights=weights,
    )


async def _models_on_ollama(url: str) -> tuple[bool, tuple[InstalledModel, ...]]:
    """Whether Ollama answers there, and its chat models."""
    if fault_in_address(url):
        return False, ()
    listing = await ask_ollama("GET", f"{url}/api/tags", seconds=OLLAMA_TIMEOUT)
    try:
        return (False, ()) if listing is None else (True, _chat_models(listing["models"]))
    except Exception:  # something else may well listen there, and say anything at all
        return False, ()


def _chat_models(cards: list[dict[str, Any]]) -> tuple[InstalledModel, ...]:
    available: dict[str, InstalledModel] = {}
    for card in cards:
        name, size = card["name"], int(card.get("size") or 0)
        family = str((card.get("details") or {}).get("family") or name.partition(":")[0])
        can = card.get("capabilities") or ["completion"]
        # What runs in a cloud is not on this machine, and may cost money.
        away = card.get("remote_host") or name.endswith(("-cloud", ":cloud"))
        silent = any(part in name.lower() for part in _NOT_FOR_CHAT) or any(
            part in family.lower() for part in _FAMILIES_NOT_FOR_CHAT
        )
        if name and "completion" in can and not away and not silent:
            # One model may be there by two names.
            available.setdefault(
                str(card.get("digest") or name), InstalledModel(name, size, family)
            )
    return tuple(sorted(available.values(), key=lambda one: (one.size, one.name)))


def _weights(folder: Path | None) -> tuple[InstalledModel, ...]:
    if not is_installed():
        return ()
    files = downloaded_weights(folder)
    sized = [InstalledModel(name, file.stat().st_size) for name, file in files.items()]
    return tuple(sorted(sized, key=lambda one: (one.size, one.name)))


LARGE = 12_000_000_000
"""Bytes of weights that a single GPU at home no longer takes."""
SMALL = 700_000_000
"""Bytes below which a model is left out, where three larger ones are there."""

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
)

_BETTER = "install Ollama and `ollama pull llama3.2`, or set a key, or run `mom download`"


def default_council(available: AvailableModels) -> tuple[Council, str]:
    """The best council that needs nothing that is not here, and the line that says what it is.

    It is called by where its models come from: `ollama`, `keys`, `weights`, else `demo`.
    """
    if available.ollama:
        return _of_ollama(available)
    if vendors := [VENDORS[name] for name in available.keys if VENDORS[name].default_model]:
        return _of_keys(vendors[:3], available.lacking)
    if available.weights:
        return _of_weights(available)
    return load_council("demo"), _demo_line(available)


def choose_models(installed: Sequence[InstalledModel]) -> list[InstalledModel]:
    """Up to three of the models (given smallest first): of different families, none too large."""
    able = [one for one in installed if one.size <= LARGE] or list(installed[:1])
    grown = [one for one in able if one.size >= SMALL]
    if len(grown) >= 3:
        able = grown
    firsts = {one.family or one.name: one for one in reversed(able)}  # the smallest of each family
    ordered = sorted(firsts.values(), key=able.index)
    ordered += [one for one in able if one not in ordered]
    return sorted(ordered[:3], key=able.index)


def _of_ollama(available: AvailableModels) -> tuple[Council, str]:
    chosen = choose_models(available.ollama)
    common = {"provider": OLLAMA.name, "base_url": available.ollama_url, **OLLAMA.found_settings}
    council = _council_of("ollama", [{**common, "model": one.name} for one in chosen], quorum=1)
    named = ", ".join(one.name for one in chosen)
    return council, f"Asking {named} on Ollama; `mom councils` shows others. {_few(chosen)}".strip()


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
    more = f" {_install(lacking[0])}" if lacking else ""
    return council, f"Asking {names}, because {variables} is set.{more}"


def _of_weights(available: AvailableModels) -> tuple[Council, str]:
    chosen = choose_models(available.weights)
    # One model answers three at a time in one batch; several would fight for the same cores.
    common = {
        "provider": EMBEDDED.name,
        "concurrency": 3 if len(chosen) == 1 else 1,
        **EMBEDDED.found_settings,
    }
    council = _council_of("weights", [{**common, "model": one.name} for one in chosen], quorum=1)
    named = ", ".join(one.name for one in chosen)
    return council, f"Asking {named}, by llama.cpp on this machine; Ollama would serve larger ones."


def _council_of(
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
            "characters": [{**who, "model": key} for who, key in zip(_CHARACTERS, on, strict=True)],
            "deliberation": {"method": "borda", "rounds": {"min": 1, "max": 2}, **rules},
            "synthesizer": {"model": writer},
            "thermal": thermal,
        }
    )


def _keys(names: Sequence[str]) -> list[str]:
    """Names for a council's models: what providers call them, without slashes and colons."""
    plain = [re.sub(r"[^\w.-]+", "-", name.removesuffix(":latest"))[:60] for name in names]
    return [key if plain.count(key) == 1 else f"{key}.{n}" for n, key in enumerate(plain, 1)]


def _few(chosen: Sequence[InstalledModel]) -> str:
    if len(chosen) > 1:
        return ""
    return "A second model, of another family, would make the vote worth more."


def _install(vendor: str) -> str:
    one = VENDORS[vendor]
    return f"{one.key_env} is set too: `{one.install}` to use it."


def _demo_line(available: AvailableModels) -> str:
    what = (
        "No models were found, so three of about 1 MB answer that come with this package; "
        "they only know small sums, comparisons and simple facts."
    )
    lines = [what]
    if not is_installed():
        lines.append("They need llama.cpp: `pip install xllamacpp`.")
    if available.ollama_url:
        lines.append("Ollama runs, but has no chat model that fits: `ollama pull llama3.2`.")
    elif available.lacking:
        lines.append(_install(available.lacking[0]))
    else:
        lines.append(f"For real ones {_BETTER}.")
    return " ".join(lines)


VARIABLE = "MOM_COUNCIL"

Source = Literal["named", "environment", "ollama", "keys", "weights", "demo"]


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
    available = await find_models(env)
    council, line = await asyncio.to_thread(default_council, available)
    return Choice(council, line, costs_money(council), cast(Source, council.name))


def unread_notice(choice: Choice) -> str | None:
    """The notice of a choice, but the demo's only once: it is remembered in the data directory.

    What changed in it (llama.cpp is missing now, Ollama runs now) is said again.
    """
    if choice.source != "demo" or choice.notice is None:
        return choice.notice
    try:
        folder = ensure(data_dir())
        file = folder / "demo-notice.txt"
        if file.is_file() and file.read_text("utf-8") == choice.notice:
            return None
        file.write_text(choice.notice, "utf-8")
    except (OSError, UnicodeDecodeError, StorageError):
        pass  # nothing can be remembered here, so it is said each time
    return choice.notice


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
    vendor = vendor_of(model.provider)
    with contextlib.suppress(CouncilError):
        model = with_address(model)
    if vendor.free:
        return vendor.bills(model.model)
    return model.base_url is None or not is_near(model.base_url)
