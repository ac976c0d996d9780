"""Which council is asked: the one that was named, else the best that this machine can run.

    named on the command line > MOM_COUNCIL > `mom use` > a server of OpenAI's protocol in this
    house > Ollama > keys > downloaded weights > the demo

Nothing fails here because something is missing or broken: what cannot be used was not found. The
notice says which council is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Character, Council, Model, Synthesizer
from mom_council.errors import ConsentError, CouncilError, StorageError
from mom_council.models.providers.embedded import is_installed
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import is_near, ollama_address, openai_server_address, with_address
from mom_council.models.weights import downloaded_weights
from mom_council.paths import data_dir, ensure
from mom_council.redaction import fault_in_address
from mom_council.runs.installed import (
    AvailableModels,
    InstalledModel,
    describe_models,
    install_line,
    served_models,
    why_no_chat,
)
from mom_council.runs.words import counted
from mom_council.vendors import VENDORS, vendor_of
from mom_council.vendors.openai import OPENAI

OLLAMA_TIMEOUT = 0.5
"""Seconds after which an Ollama that does not answer is slow, or not there."""
OLLAMA_PATIENCE = 20.0
"""Seconds that a slow one gets before a question goes elsewhere."""

Say = Callable[[str], None]


def _say_nothing(line: str) -> None:
    """For whoever shows nothing."""


async def find_models(
    env: Mapping[str, str],
    *,
    ollama_url: str | None = None,
    weights_dir: Path | None = None,
    patience: float = OLLAMA_TIMEOUT,
    say: Say = _say_nothing,
) -> AvailableModels:
    """Look for everything at once; a tenth of a second as a rule, `patience` at most.

    Args:
        env: the environment, with keys and addresses.
        ollama_url: where Ollama should be; left out, where the environment says.
        weights_dir: the folder of downloaded weights.
        patience: seconds that an Ollama gets that is there and does not answer.
        say: is told that it is waited for.
    """
    url = ollama_url or ollama_address(env)
    (cards, trouble), weights, (server, served) = await asyncio.gather(
        _cards_on_ollama(url, patience, say),
        asyncio.to_thread(_weights, weights_dir),
        _served(env, url, patience, say),
    )
    chatting: tuple[InstalledModel, ...] = ()
    silent: tuple[InstalledModel, ...] = ()
    memory = None
    if cards:
        models, memory = await describe_models(url, cards, env)
        chatting = tuple(one for one in models if why_no_chat(one) is None)
        silent = tuple(one for one in models if one not in chatting)
    with_key = [
        name
        for name, one in VENDORS.items()
        if env.get(one.key_env or "", "").strip() and not (server and one is OPENAI)
    ]
    usable = [name for name in with_key if importlib.util.find_spec(VENDORS[name].package)]
    return AvailableModels(
        ollama_url=None if cards is None else url,
        trouble=trouble,
        ollama=chatting,
        silent=silent,
        memory=memory,
        server=server,
        served=served,
        server_key=bool(env.get(str(OPENAI.key_env), "").strip()),
        keys=tuple(usable),
        lacking=tuple(name for name in with_key if name not in usable),
        weights=weights,
    )


async def _cards_on_ollama(
    url: str, patience: float, say: Say
) -> tuple[list[dict[str, Any]] | None, str]:
    """What Ollama says of each of its models (None: it says nothing), and what is wrong there."""
    if fault_in_address(url):
        return None, ""
    asking = asyncio.ensure_future(
        ask_ollama("GET", f"{url}/api/tags", seconds=max(patience, OLLAMA_TIMEOUT))
    )
    await asyncio.wait({asking}, timeout=OLLAMA_TIMEOUT)
    if not asking.done():
        if not await listens(url):
            asking.cancel()
            return None, ""
        if patience > OLLAMA_TIMEOUT:
            say(f"Ollama at {url} answers slowly; it is waited for, {patience:g} s at most.")
    listing = await asking
    try:
        if listing is None:
            return None, f"Ollama at {url} does not answer" if await listens(url) else ""
        cards = [card for card in listing["models"] if card["name"]]
        return [card for card in cards if _is_here(card)], ""
    except Exception:  # something else may well listen there, and say anything at all
        return None, f"what listens at {url} does not answer as Ollama does"


async def listens(url: str) -> bool:
    """Whether anything takes connections at an address."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(OLLAMA_TIMEOUT):
            _, writer = await asyncio.open_connection(parts.hostname or "", port)
        writer.close()
        return True
    return False


def _is_here(card: dict[str, Any]) -> bool:
    # What runs in a cloud is not on this machine, and may cost money.
    return not (card.get("remote_host") or card["name"].endswith(("-cloud", ":cloud")))


async def _served(
    env: Mapping[str, str], ollama_url: str, patience: float, say: Say
) -> tuple[str | None, tuple[str, ...]]:
    """Where the server is that OPENAI_BASE_URL names, and its models; nothing for Ollama's own."""
    url = openai_server_address(env)
    if url is None or fault_in_address(url) or url.removesuffix("/v1") == ollama_url:
        return None, ()
    asking = asyncio.ensure_future(served_models(url, env, patience))
    await asyncio.wait({asking}, timeout=OLLAMA_TIMEOUT)
    if not asking.done() and is_near(url) and patience > OLLAMA_TIMEOUT:
        if not await listens(url):
            asking.cancel()
            return url, ()
        say(f"The server at {url} answers slowly; it is waited for, {patience:g} s at most.")
    return url, await asking or ()


def _weights(folder: Path | None) -> tuple[InstalledModel, ...]:
    files = downloaded_weights(folder) if is_installed() else {}
    if not files:
        return ()
    sized = [InstalledModel(name, file.stat().st_size) for name, file in files.items()]
    return tuple(sorted(sized, key=lambda one: (one.size, one.name)))


_BETTER = "install Ollama and `ollama pull llama3.2`, or set a key, or run `mom download`"


def default_council(available: AvailableModels) -> tuple[Council, str]:
    """The best council that needs nothing that is not here, and the line that says what it is.

    It is called by where its models come from: `ollama`, `server`, `keys`, `weights`, else `demo`.
    """
    keys = [name for name in available.keys if VENDORS[name].default_model]
    if available.ollama or available.served or keys or available.weights:
        from mom_council.runs.automatic import automatic_council

        return automatic_council(available)
    return load_council("demo"), _demo_line(available)


def _demo_line(available: AvailableModels) -> str:
    what = (
        "No models were found, so three of about 1 MB answer that come with this package; "
        "they only know small sums, comparisons and simple facts."
    )
    lines = [what]
    if not is_installed():
        lines.append("They need the engine llama.cpp: `mom download engine` (34 MB).")
    if available.ollama_url:
        lines.append("Ollama runs, but has no chat model that fits: `ollama pull llama3.2`.")
    elif available.lacking:
        lines.append(install_line(available.lacking[0]))
    else:
        lines.append(f"For real ones {_BETTER}.")
    return " ".join(lines)


VARIABLE = "MOM_COUNCIL"
AUTO = "auto"
"""The name by which people ask for the council that is made of what is here."""
MODELS = "models:"
"""How the name of a council of models begins that somebody named one by one."""

Source = Literal["named", "environment", "used", "ollama", "server", "keys", "weights", "demo"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The council that sits, and why it is this one. It holds no key."""

    council: Council
    notice: str | None
    """One line for who named no council; None where one was named."""
    costs_money: bool
    source: Source
    instead_of: str = ""
    """Why the local models are not asked that were expected; empty where none were."""


PAID = "MOM_PAID"
"""Set to 1: models that cost money may be asked in place of local ones, without a question."""

Consent = Callable[[str], bool]


def nobody_consents(question: str) -> bool:
    """For whoever has nobody to ask."""
    return False


async def choose_council(
    named: str | None,
    env: Mapping[str, str],
    *,
    say: Say = _say_nothing,
    consent: Consent = nobody_consents,
) -> Choice:
    """Choose the council: the one called `named`, or MOM_COUNCIL's, or out of what there is.

    Where local models are expected and cannot be asked, models that cost money take their place
    only after a yes.

    Args:
        named: who is to sit; None: the one set before, or the best of what is here.
        env: the environment.
        say: is told what is waited for.
        consent: is asked whether money may be spent.

    Raises:
        CouncilError: the named council cannot sit, or there is none of that name.
        ConsentError: money would be spent in place of a local model, and nobody said yes.
    """
    used = None if named or env.get(VARIABLE) else await asyncio.to_thread(used_council)
    name = named or env.get(VARIABLE) or used
    if name and name != AUTO:
        if name.startswith(MODELS):
            from mom_council.runs.automatic import council_of_models

            models = name.removeprefix(MODELS).split(",")
            available = await find_models(env, patience=OLLAMA_PATIENCE, say=say)
            council = await asyncio.to_thread(council_of_models, models, available)
            meant = Choice(council, None, _may_be_meant_locally(models, council), "named")
            other = "write PROVIDER/MODEL where the vendor's model is meant"
            why = await _require_consent(meant, available, env, consent, other)
        else:
            from mom_council.councils.trust import load_trusted_council

            council, why = await asyncio.to_thread(load_trusted_council, name), ""
        source: Source = "named" if named else "used" if used else "environment"
        return Choice(council, None, costs_money(council), source, why)
    available = await find_models(env, patience=OLLAMA_PATIENCE, say=say)
    council, line = await asyncio.to_thread(default_council, available)
    choice = Choice(council, line, costs_money(council), cast(Source, council.name))
    other = "name a council with --council"
    why = await _require_consent(choice, available, env, consent, other)
    choice = replace(choice, instead_of=why)
    if choice.source in ("ollama", "server"):
        await asyncio.to_thread(_remember_local)
    return choice


async def _require_consent(
    choice: Choice, available: AvailableModels, env: Mapping[str, str], consent: Consent, other: str
) -> str:
    """See that somebody said yes where money would be spent in place of a local model.

    Returns:
        Why no local model is asked; empty where none is expected, or nothing costs money.

    Raises:
        ConsentError: nobody did.
    """
    if not choice.costs_money:
        return ""
    why = await asyncio.to_thread(_why_local_is_expected, available)
    if env.get(PAID, "").strip() in ("1", "yes", "true"):
        return why
    if why and not consent(f"{why[0].upper()}{why[1:]}. {cost_notice(choice)}"):
        raise ConsentError(
            f"{why}, and asking {_paid_names(choice)} instead costs money",
            cure=f"start the local server, {other}, or allow it with --paid (or {PAID}=1)",
        )
    return why


def _may_be_meant_locally(names: Sequence[str], council: Council) -> bool:
    """Whether a model that may cost money was named without its vendor: Ollama may have it too."""
    bare = {name.strip() for name in names if "/" not in name}
    return any(model.model in bare and _may_cost(model) for model in council.models.values())


def _why_local_is_expected(available: AvailableModels) -> str:
    """Why local models would have been asked if they could be; empty where none are expected."""
    if available.ollama_url or available.served:
        return "no local model can be asked" if not (available.ollama or available.served) else ""
    if available.trouble:
        return available.trouble
    if available.server_trouble:
        return available.server_trouble
    with contextlib.suppress(StorageError):
        if (data_dir() / _LOCAL).is_file():
            return "the local models that were asked before do not answer"
    return ""


_LOCAL = "local.txt"
"""Stands in the data directory once local models were chosen."""


def _remember_local() -> None:
    with contextlib.suppress(OSError, StorageError):
        file = ensure(data_dir()) / _LOCAL
        if not file.is_file():
            file.write_text("local models were asked\n", "utf-8")


def used_council() -> str | None:
    """The council that `mom use` has set; None: none is.

    Raises:
        StorageError: what is written there cannot be read. Another council may cost money.
    """
    try:
        file = data_dir() / "council.txt"
    except StorageError:
        return None
    try:
        name = file.read_text("utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise _damaged_choice(file, why) from None
    if not name:
        raise _damaged_choice(file, "it is empty")
    return name


def _damaged_choice(file: Path, why: str) -> StorageError:
    return StorageError(
        f"which council was set by `mom use` cannot be read in {str(file)!r} ({why})",
        cure="delete it, or set another: mom use NAME",
    )


def use_council(name: str | None) -> None:
    """Ask this council from now on where none is named; None: the one made of what is here.

    Raises:
        StorageError: it cannot be written down.
    """
    file = ensure(data_dir()) / "council.txt"
    try:
        if name is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(f"{name}\n", "utf-8")
    except OSError as error:
        raise StorageError(f"{str(file)!r} cannot be written ({error.strerror})") from None


_NOTICES_KEPT = 20


def unread_notice(choice: Choice) -> str | None:
    """The notice of a choice, once: the newest are remembered in the data directory.

    What changed in it (llama.cpp is missing now, another model is asked) is said again.
    """
    if choice.notice is None:
        return None
    try:
        file = ensure(data_dir()) / "notices.txt"
        read = file.read_text("utf-8").splitlines() if file.is_file() else []
        if choice.notice in read:
            return None
        file.write_text("\n".join([*read[1 - _NOTICES_KEPT :], choice.notice, ""]), "utf-8")
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
    calls = calls_at_most(choice.council) + more_calls
    most = choice.council.budget.calls
    calls = calls if most is None else min(calls, most)
    most_calls = counted(calls, "call")
    return f"This may cost money: {_paid_names(choice)}; at most {most_calls} a question."


def _paid_names(choice: Choice) -> str:
    models = [model for model in choice.council.models.values() if _may_cost(model)]
    return ", ".join(dict.fromkeys(f"{model.model} ({model.provider})" for model in models))


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
