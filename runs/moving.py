"""For `mom import`: which models of a council are here, what could replace others, and a test run.

Only this machine and its own network are asked which models they have. An address in a stranger's
file is never called before the file is trusted.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.councils.importers.checkout import files_in
from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council, Model
from mom_council.errors import MixtureError, QuorumError, UnknownNameError
from mom_council.models.providers import missing
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import is_near, ollama_address, openai_server_address, with_address
from mom_council.runs.discovery import find_models
from mom_council.runs.installed import AvailableModels, InstalledModel, why_no_chat
from mom_council.vendors import VENDORS, vendor_of

QUESTION = "What is 17 + 25? Answer with the number."
"""What an imported council is asked once."""
_SECONDS = 2.0
"""How long a server of this machine may take to list its models."""


@dataclass(frozen=True, slots=True)
class MissingModel:
    """A model of a council that cannot be asked here."""

    key: str
    model: str
    why: str
    cure: str
    stand_in: str = ""
    """What could be asked in its place: a key of the council, or `provider/model`."""


@dataclass(frozen=True, slots=True)
class TrialRun:
    """How the one run went."""

    answered: tuple[str, ...]
    absent: tuple[tuple[str, str], ...]
    """Each with its reason."""
    answer: str = ""
    error: str = ""

    @property
    def size(self) -> int:
        """How many were asked."""
        return len(self.answered) + len(self.absent)


# -- what is here ---------------------------------------------------------------------------------


async def find_missing(
    council: Council, env: Mapping[str, str]
) -> tuple[list[MissingModel], AvailableModels]:
    """The models of a council that are not here, each with what could stand in, and what is here.

    Those that nobody of the council uses are left out. An address far away is not asked.
    """
    here, servers = await asyncio.gather(find_models(env), _listings(council))
    lacking: list[MissingModel] = []
    for key in used_models(council):
        absent = _lack(key, council.models[key], servers, env)
        if absent is not None:
            lacking.append(absent)
    options = await _options(council, here, servers, env, {one.key for one in lacking})
    return _with_stand_ins(lacking, options, council), here


def used_models(council: Council) -> list[str]:
    """The keys of the models that somebody of the council speaks with."""
    roles = (council.synthesizer.model, council.classifier.model)
    reader = council.annotator.model if council.annotator else None
    used = dict.fromkeys([*(who.model for who in council.characters), *roles, reader])
    return [key for key in used if key]


async def _listings(council: Council) -> dict[str, frozenset[str] | None]:
    """What each near server of the council lists, by its address; None: it does not answer."""
    addresses = {
        url: _lists_as_ollama(one) for one in council.models.values() if (url := _near(one))
    }
    listings = await asyncio.gather(*(_listed(url, ollama) for url, ollama in addresses.items()))
    return dict(zip(addresses, listings, strict=True))


def _lists_as_ollama(model: Model) -> bool:
    return vendor_of(model.provider).usual_address is not None


def _near(model: Model) -> str:
    """Where a near server is asked for the model; empty: it is far, or there is none."""
    vendor = vendor_of(model.provider)
    if vendor.usual_address is not None:
        url = with_address(model).base_url or ollama_address(os.environ)
    elif vendor.shared_protocol:
        url = model.base_url or openai_server_address(os.environ) or ""
    else:
        return ""
    return url if url and is_near(url) else ""


async def _listed(url: str, ollama: bool) -> frozenset[str] | None:
    path = f"{url}/api/tags" if ollama else f"{url.rstrip('/')}/models"
    listing = await ask_ollama("GET", path, seconds=_SECONDS)
    if listing is None:
        return None
    cards = listing.get("models" if ollama else "data")
    cards = [one for one in cards if isinstance(one, dict)] if isinstance(cards, list) else []
    return frozenset(str(one.get("name" if ollama else "id") or "") for one in cards)


def _lack(
    key: str, model: Model, servers: Mapping[str, frozenset[str] | None], env: Mapping[str, str]
) -> MissingModel | None:
    vendor = vendor_of(model.provider)
    if vendor.is_person or vendor.from_caller or vendor.is_recording:
        return None
    download = _download(model, env) if vendor.from_files else ""
    if needs := missing([model]):
        steps = [str(needs[0].cure or ""), download]
        return MissingModel(key, model.model, _first(needs[0]), ", then ".join(filter(None, steps)))
    if url := _near(model):
        return _not_listed(key, model, url, servers.get(url))
    return MissingModel(key, model.model, "not downloaded", download) if download else None


def _download(model: Model, env: Mapping[str, str]) -> str:
    """The command that gets the model's files; empty: they are here."""
    if Path(model.model).expanduser().exists():
        return ""
    name = re.sub(r"[^\w.-]", "--", model.model)
    hub = Path(env.get("HF_HOME") or "~/.cache/huggingface").expanduser() / "hub"
    return "" if (hub / f"models--{name}").is_dir() else f"hf download {model.model}"


def _first(error: MixtureError) -> str:
    return str(error).partition("; ")[0]


def _not_listed(
    key: str, model: Model, url: str, listed: frozenset[str] | None
) -> MissingModel | None:
    vendor = vendor_of(model.provider)
    if listed is None:
        steps = [vendor.start or "start the server"]
        steps += [vendor.fetch.format(model=model.model)] if vendor.fetch else []
        return MissingModel(key, model.model, f"nothing answers at {url}", ", then ".join(steps))
    names = {vendor.full_name(one) for one in listed}
    if vendor.full_name(model.model) in names or (not vendor.fetch and not listed):
        return None
    fetch = vendor.fetch.format(model=model.model) if vendor.fetch else f"see {url}/models"
    return MissingModel(key, model.model, "not on this machine", fetch)


async def _options(
    council: Council,
    here: AvailableModels,
    servers: Mapping[str, frozenset[str] | None],
    env: Mapping[str, str],
    lacking: set[str],
) -> dict[str, str]:
    """What could stand in, by what it is called, with the bare name of each model."""
    options = {}
    used = used_models(council)
    for key, model in council.models.items():
        draws = vendor_of(model.provider).draws and not vendor_of(model.provider).talks
        if key not in used and not draws and _lack(key, model, servers, env) is None:
            options[key] = model.model
    ollama = next((name for name, one in VENDORS.items() if one.usual_address), "")
    options |= {f"{ollama}/{one.title}": one.title for one in here.ollama}
    for url, listed in servers.items():
        like = next((one for one in council.models.values() if _near(one) == url), None)
        if like is not None and not _lists_as_ollama(like):
            for name in sorted(listed or ()):
                if why_no_chat(InstalledModel(name, 0)) is None:
                    options[f"{like.provider}/{name}"] = name
        elif like is not None and like.base_url and listed:
            # An Ollama that is not the usual one: the model stays where its council asks it.
            options |= {f"{ollama}/{one}": one for one in sorted(listed)}
    return options


def _with_stand_ins(
    lacking: list[MissingModel], options: Mapping[str, str], council: Council
) -> list[MissingModel]:
    """Each missing model with its nearest stand-in; no model stands in twice while others could."""
    free = dict(options)
    chosen = []
    for one in lacking:
        free = free or dict(options)
        stand_in = max(free, key=lambda name: _likeness(one.model, free[name]), default="")
        free.pop(stand_in, None)
        chosen.append(MissingModel(one.key, one.model, one.why, one.cure, stand_in))
    return chosen


def _likeness(model: str, name: str) -> tuple[float, float]:
    import difflib

    first, second = (re.sub(r".*/", "", text.lower()) for text in (model, name))
    family = [re.split(r"[\d:._-]", text)[0] for text in (first, second)]
    return float(family[0] == family[1]), difflib.SequenceMatcher(None, first, second).ratio()


def with_models(council: Council, chosen: Mapping[str, str]) -> Council:
    """The council with other models in the places of some.

    Args:
        council: who is asked.
        chosen: by a model's key or its name: another key, a name on the same server, or
            `provider/model`.

    Raises:
        UnknownNameError: the council has no such model.
        CouncilError: it cannot sit like that.
    """
    values = council.model_dump(mode="json", exclude_defaults=True)
    for old, new in chosen.items():
        keys = [key for key, one in council.models.items() if old in (key, one.model)]
        if not keys:
            raise UnknownNameError(
                f"--map: there is no model {old!r}; there are {[*council.models]}",
                cure="name one of them",
            )
        for key in keys:
            values["models"][key] = _replaced(values["models"][key], new, council)
    return load_council(values)


def _replaced(old: Mapping[str, Any], new: str, council: Council) -> dict[str, Any]:
    """A model's entry for another model; what only the old one's server takes is left out."""
    if new in council.models:
        other = council.models[new].model_dump(mode="json", exclude_defaults=True)
        return {**other, "provider": council.models[new].provider}
    head, sign, rest = new.partition("/")
    provider, name = (head, rest) if sign and head in VENDORS else (str(old["provider"]), new)
    if provider == old["provider"]:
        return {**old, "model": name}
    same = {name: old[name] for name in ("lane", "concurrency", "timeout", "vision") if name in old}
    warmth = (old.get("params") or {}).get("temperature")
    params = {} if warmth is None else {"params": {"temperature": warmth}}
    like = next(
        (one for one in council.models.values() if one.provider == provider and _near(one)), None
    )
    base = {"base_url": like.base_url} if like is not None and like.base_url else {}
    return {"provider": provider, "model": name, **base, **same, **params}


# -- the one run ----------------------------------------------------------------------------------


async def try_council(council: Council, question: str = QUESTION) -> TrialRun:
    """Ask an imported council once, and say who answered. Nothing is kept."""
    from mom_council.runs.ask import OpenCouncil, Run, open_runs

    names = [who.name for who in council.characters]
    try:
        async with open_runs() as saver:
            messages = [{"role": "user", "content": question}]
            run = Run(OpenCouncil(council, saver), messages, thread="trial", traced=False)
            async for _ in run.events():
                pass
    except QuorumError as error:
        reasons = {one.character: one.detail or one.reason for one in error.absences}
        absent = tuple((name, reasons.get(name, "did not answer")) for name in names)
        return TrialRun((), absent, error=str(error))
    except MixtureError as error:
        return TrialRun((), tuple((name, "was not asked") for name in names), error=str(error))
    status = run.values["status"]
    answered = tuple(name for name in names if name in status.spoke)
    reasons = {one.character: one.detail or one.reason for one in status.absent}
    return TrialRun(
        answered,
        tuple((name, reasons.get(name, "was not asked")) for name in names if name not in answered),
        run.values["messages"][-1].text,
    )


def without_choices(council: Council) -> Council:
    """The council as a question of words needs it: nobody draws, and no model is left over."""
    values = council.model_dump(mode="json", exclude_defaults=True)
    values.pop("painter", None)
    used = set(used_models(council))
    waiting = [*used]
    while waiting:
        for key in council.models[waiting.pop()].fallbacks:
            if key not in used:
                used.add(key)
                waiting.append(key)
    values["models"] = {key: one for key, one in values["models"].items() if key in used}
    return load_council(values)


# -- conversations --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForeignChat:
    """A conversation of another system."""

    name: str
    messages: tuple[tuple[str, str], ...]
    """Each as who speaks (`user`, `assistant`) and what."""


_MOST_CHATS = 10_000
_INPUT = "__input__"
"""What LangGraph calls the node that a question comes from."""
_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "ai": "assistant"}


def chats_in(folder: Path) -> list[ForeignChat]:
    """The conversations of a checkout: JSON files of messages, SQLite files with a table of them.

    PostgreSQL is not asked.
    """
    chats: list[ForeignChat] = []
    for file in files_in(folder):
        if file.suffix in (".json", ".jsonl") and file.name not in ("package.json",):
            chats += _json_chats(file)
        elif file.suffix in (".db", ".sqlite", ".sqlite3"):
            chats += _sqlite_chats(file)
        if len(chats) >= _MOST_CHATS:
            break
    return chats[:_MOST_CHATS]


def _json_chats(file: Path) -> Iterator[ForeignChat]:
    try:
        text = file.read_text("utf-8")
        lines = text.splitlines() if file.suffix == ".jsonl" else [text]
        documents = [json.loads(line) for line in lines if '"role"' in line]
    except (OSError, ValueError, RecursionError):
        return
    for number, value in enumerate(documents):
        several = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
        bare = several and "role" in value[0]
        for place, one in enumerate(value if several and not bare else [value]):
            written = one.get("messages") if isinstance(one, dict) else one
            if messages := _messages(written):
                name = str(one.get("id") or "") if isinstance(one, dict) else ""
                yield ForeignChat(name or f"{file.stem}-{number + place + 1}", messages)


_HALF_LETTER = re.compile("[\ud800-\udfff]")  # which no database takes


def _messages(written: Any) -> tuple[tuple[str, str], ...]:
    messages = []
    for one in written if isinstance(written, list) else ():
        if isinstance(one, dict) and (role := _ROLES.get(str(one.get("role")).lower())):
            final = one.get("stage3")
            content = one.get("content") or (
                final.get("response") or final.get("content") if isinstance(final, dict) else None
            )
            if isinstance(content, str) and content.strip():
                messages.append((role, _HALF_LETTER.sub("\ufffd", content)))
    return tuple(messages) if any(role == "user" for role, _ in messages) else ()


def _sqlite_chats(file: Path) -> list[ForeignChat]:
    """The conversations of a SQLite file: of the first table that has roles and texts."""
    try:
        with closing(
            sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as base:
            tables = base.execute("select name from sqlite_master where type = 'table'").fetchall()
            for (table,) in tables:
                quoted = str(table).replace('"', '""')
                names = [row[1] for row in base.execute(f'pragma table_info("{quoted}")')]
                if columns := _columns(names):
                    group, role, text = (name.replace('"', '""') for name in columns)
                    rows = base.execute(
                        f'select "{group}", "{role}", "{text}" from "{quoted}" order by rowid'  # noqa: S608 - quoted
                    ).fetchmany(1_000_000)
                    return _grouped(file.stem, rows)
    except (sqlite3.Error, OSError, ValueError):
        return []
    return []


def _columns(names: Sequence[str]) -> tuple[str, str, str] | None:
    lowered = {name.lower(): name for name in names}
    role = next((lowered[one] for one in ("role", "sender", "author") if one in lowered), None)
    text = next(
        (lowered[one] for one in ("content", "text", "message", "body") if one in lowered), None
    )
    group = next(
        (one for low, one in lowered.items() if low.endswith(("_id", "session"))),
        None,
    )
    return (group or role, role, text) if role and text else None


def _grouped(stem: str, rows: Sequence[tuple[Any, Any, Any]]) -> list[ForeignChat]:
    chats: dict[str, list[dict[str, Any]]] = {}
    for group, role, text in rows:
        named = str(group) if str(group).lower() not in _ROLES else "1"
        chats.setdefault(named, []).append({"role": str(role), "content": text})
    read = {name: _messages(messages) for name, messages in chats.items()}
    return [
        ForeignChat(f"{stem}-{name}"[:100], messages) for name, messages in read.items() if messages
    ]


_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _free_name(chat: ForeignChat, taken: Mapping[str, object]) -> str:
    """What its thread is called; another conversation of the same name has a number behind it."""
    name = shortened = _NO_NAME.sub(" ", f"moved {chat.name}")[:120]
    number = 1
    while taken.get(name, chat.messages) != chat.messages:
        number += 1
        name = f"{shortened} ({number})"
    return name


async def keep_chats(
    chats: Sequence[ForeignChat], council: Council, saver: BaseCheckpointSaver[Any]
) -> int:
    """Keep conversations as threads, which are there once however often this is done; how many.

    Raises:
        StorageError: they cannot be kept.
    """
    from langchain_core.messages import AIMessage, HumanMessage

    from mom_council.graph.council import compile_council
    from mom_council.runs.threads import valid_thread

    graph = compile_council(council, saver)
    count = 0
    taken: dict[str, tuple[tuple[str, str], ...]] = {}
    for chat in chats:
        name = valid_thread(_free_name(chat, taken))
        taken[name] = chat.messages
        config: Any = {"configurable": {"thread_id": name}}
        if await saver.aget_tuple(config) is not None:
            continue
        for role, text in chat.messages:
            speaks = role == "user"
            message = HumanMessage(text) if speaks else AIMessage(text)
            config = await graph.aupdate_state(
                config, {"messages": [message]}, as_node=_INPUT if speaks else "synthesizer"
            )
        count += 1
    return count
