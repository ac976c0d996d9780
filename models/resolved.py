"""A model as it is asked: one entry of a council's `models:` with all that asking it takes.

Its own settings, the models that are asked instead, its lane, where its prices stand, and where
answers are kept. It is made once from a council; nothing else in `models` knows councils. Also
where it is asked, and which key goes there: to its owner, never to another vendor.

Ollama loads a model anew when the size of its context changes, and unloads it five minutes after
its last call. So a model that several entries of a council share is asked with one context, the
largest of theirs, and what shares a lane is kept for as long as the lane says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from mom_council.councils.schema import Cache, Character, Council, LaneRules, Model
from mom_council.errors import CouncilError, ProviderNotInstalledError, UnknownNameError
from mom_council.redaction import fault_in_address, remember_secret
from mom_council.vendors import Vendor, vendor_of
from mom_council.vendors.ollama import OLLAMA
from mom_council.vendors.openai import OPENAI

_KEEP_ALIVE = LaneRules().keep_alive


@dataclass(frozen=True, slots=True)
class ModelInstance:
    """A model of this machine, loaded in one way: what is in memory or is not."""

    provider: str
    base_url: str | None
    model: str
    options: tuple[tuple[str, Any], ...] = ()
    spec: Model | None = field(default=None, compare=False)

    @property
    def name(self) -> tuple[str, str | None, str]:
        """What it is, however it is loaded."""
        return self.provider, self.base_url, self.model


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """The lane of a model: what it shares with others, as the council has it."""

    name: str
    """What the council calls it; a lane of one model has the model's key."""
    shared: Hashable
    """What two models have in common that are in one lane."""
    width: int | None
    """Calls at a time; None is no limit."""
    rules: LaneRules | None
    """Its section in the council, where it has one."""
    plans: bool
    """Whether several of its models are loaded on this machine, so that their order matters."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model, ready to be asked."""

    key: str
    """What the council calls it."""
    settings: Model
    """Its own entry: provider, parameters, key variable, time limits, retries, abilities."""
    fallbacks: tuple[ResolvedModel, ...] = ()
    """Who is asked when it does not answer, in order: theirs included, each once."""
    lane: LaneSettings | None = None
    """None where it shares nothing and has no limit."""
    prices: str | None = None
    """The file of prices that the council names; None: the usual one. See `models.prices`."""
    cache: Cache | None = None
    """How long answers are kept; None: they are not."""

    @property
    def chain(self) -> tuple[ResolvedModel, ...]:
        """The model and its fallbacks, in the order they are asked."""
        return (self, *self.fallbacks)

    @property
    def instance(self) -> ModelInstance:
        """What is loaded for it."""
        return instance_of(self.settings)

    @property
    def is_person(self) -> bool:
        """Whether it is a person, who is asked by the graph."""
        return vendor_of(self.settings.provider).is_person

    def with_vision(self, vision: bool) -> ResolvedModel:
        """The model, declared to see pictures or not to."""
        return replace(self, settings=self.settings.model_copy(update={"vision": vision}))

    def alone(self) -> ResolvedModel:
        """The model without its fallbacks."""
        return replace(self, fallbacks=())


def resolve_model(council: Council, key: str) -> ResolvedModel:
    """The model `key` of a council. It is made once for all runs of the council.

    Raises:
        UnknownNameError: the council has no such model, or a fallback is none.
        CouncilError: the environment's address of its vendor is no address.
    """
    models = {name: with_address(one) for name, one in council.models.items()}
    addresses = tuple(one.base_url for one in models.values())
    # A run lays its settings over a council by copying it, and the copies share these parts.
    same = (id(council.models), id(council.lanes), council.prices, council.cache, addresses)
    if same not in _recent:
        source = _Source(models, council.lanes, council.prices, council.cache)
        _recent[same] = (council, source, {})
    _, source, resolved = _recent[same]
    if key not in resolved:
        resolved[key] = source.resolve(key, council.name)
    while len(_recent) > _RECENT_AT_MOST:
        _recent.pop(next(iter(_recent)), None)
    return resolved[key]


def resolve_character(council: Council, who: Character) -> ResolvedModel:
    """The model of a character, whose own word on whether it sees stands for the model's.

    Raises:
        UnknownNameError: as `resolve_model` does.
    """
    model = resolve_model(council, who.model)
    if who.vision is None or who.vision == model.settings.vision:
        return model
    return model.with_vision(who.vision)


def member_models(council: Council) -> dict[str, Model]:
    """The model of each character, for what is learned of models (`models.ledger`)."""
    return {who.name: council.models[who.model] for who in council.characters}


def resolve_alone(settings: Model, key: str = "model") -> ResolvedModel:
    """A model that stands in no council; its fallbacks are left out."""
    alone = with_address(settings).model_copy(update={"fallbacks": ()})
    return _Source({key: alone}, {}, None, None).resolve(key, "")


@dataclass(frozen=True, slots=True)
class _Source:
    """What of a council decides how its models are asked."""

    models: Mapping[str, Model]
    lanes: Mapping[str, LaneRules]
    prices: str | None
    cache: Cache | None

    def resolve(self, key: str, name: str) -> ResolvedModel:
        chain = [self._single(one) for one in self._chain(key, name)]
        return replace(chain[0], fallbacks=tuple(chain[1:]))

    def _chain(self, key: str, name: str) -> Iterator[str]:
        """The model and its fallbacks, theirs included, each once."""
        passed: set[str] = set()
        rest = [key]
        while rest:
            one = rest.pop(0)
            if one in passed:
                continue
            if one not in self.models:
                raise UnknownNameError(
                    f"council {name!r} has no model {one!r}; it has {[*self.models]}"
                )
            passed.add(one)
            yield one
            rest = [*self.models[one].fallbacks, *rest]

    def _single(self, key: str) -> ResolvedModel:
        settings = self._settings(key)
        # What a caller's own model is set to, nobody knows: its answers are not kept.
        cache = self.cache if settings.chat_model is None else None
        return ResolvedModel(key, settings, lane=self._lane(key), prices=self.prices, cache=cache)

    def _settings(self, key: str) -> Model:
        """Its entry, with what keeps a server from loading it more often than needed."""
        settings = self.models[key]
        if "num_ctx" not in vendor_of(settings.provider).load_options:
            return settings
        name = instance_of(settings).name
        contexts = [
            int(size)
            for one in self.models.values()
            if instance_of(one).name == name
            if (size := one.params.get("num_ctx") or one.context)
        ]
        params = dict(settings.params)
        if contexts:
            params["num_ctx"] = max(contexts)
        if settings.lane is not None:
            lane = self.lanes.get(settings.lane)
            params.setdefault("keep_alive", lane.keep_alive if lane else _KEEP_ALIVE)
        return settings.model_copy(update={"params": params})

    def _lane(self, key: str) -> LaneSettings | None:
        settings = self.models[key]
        rules = None if settings.lane is None else self.lanes.get(settings.lane)
        sharing = {key: settings}
        if settings.lane is not None:
            sharing = {name: one for name, one in self.models.items() if one.lane == settings.lane}
        width = min((one.concurrency for one in sharing.values() if one.concurrency), default=None)
        if rules is not None:
            width = rules.concurrency or width
        elif width is None:
            return None
        shared = settings.lane or (settings.provider, settings.base_url, settings.model)
        local = any(vendor_of(one.provider).is_loaded for one in sharing.values())
        planned = local and (rules is None or rules.order == "planned")
        plans = planned and len({instance_of(self._settings(name)) for name in sharing}) > 1
        return LaneSettings(settings.lane or key, shared, width, rules, plans)


_RECENT_AT_MOST = 64
_recent: dict[Hashable, tuple[Council, _Source, dict[str, ResolvedModel]]] = {}
"""The newest councils' models. A council is held, so that no other has the ids of its parts."""


def instance_of(settings: Model) -> ModelInstance:
    """What is loaded for a model."""
    vendor = vendor_of(settings.provider)
    values = {
        "context": settings.context,
        "num_ctx": settings.context,
        "slots": settings.concurrency,
        **settings.params,
    }
    options = tuple(
        (name, values[name]) for name in vendor.load_options if values.get(name) is not None
    )
    # An engine of ours has another address whenever it is started.
    base_url = None if vendor.engine else settings.base_url
    return ModelInstance(
        settings.provider, base_url, vendor.full_name(settings.model), options, settings
    )


def key_of(spec: Model) -> str | None:
    """The key that goes with the voice's address; None where none does.

    Raises:
        ProviderNotInstalledError: the variable that should hold it is not set.
    """
    name = key_variable(spec)
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise missing_key(spec.provider, [spec.model], name)
    remember_secret(key)
    return key


def key_variable(spec: Model) -> str | None:
    """The variable that holds the voice's key; None where it needs none.

    Raises:
        CouncilError: the environment's address of its vendor is no address.
    """
    spec = with_address(spec)
    vendor = vendor_of(spec.provider)
    return spec.api_key_env or (vendor.key_env if vendor.is_at_home(spec.base_url) else None)


def missing_key(provider: str, models: Sequence[str], name: str) -> ProviderNotInstalledError:
    """The error that says which variable is not set."""
    return ProviderNotInstalledError(
        f"{provider!r} needs a key for {', '.join(map(repr, models))}",
        cure=f"set the environment variable {name!r}, or write it into '.env'",
    )


def address_of(spec: Model) -> str:
    """Where a model is asked, for messages and as a part of the cache's key."""
    vendor = vendor_of(spec.provider)
    return spec.base_url or vendor.base_url or _in_environment(vendor, os.environ) or spec.provider


def with_address(spec: Model, env: Mapping[str, str] = os.environ) -> Model:
    """The model with its whole address, as the environment has it where the council names none.

    `OPENAI_BASE_URL` is read as OpenAI's own library reads it: the usual key goes there too.

    Raises:
        CouncilError: the variable holds something that is no address.
    """
    vendor = vendor_of(spec.provider)
    if not vendor.address_variables:
        return spec
    address = spec.base_url or _in_environment(vendor, env)
    if not address or (spec.base_url and vendor.shared_protocol):
        return spec
    if spec.base_url is None and (fault := fault_in_address(address)):
        variable = next(name for name in vendor.address_variables if env.get(name, "").strip())
        raise CouncilError(f"the address in {variable} {fault}", cure=f"correct {variable}")
    if vendor.shared_protocol:
        key = spec.api_key_env or (vendor.key_env if env.get(str(vendor.key_env)) else None)
        return spec.model_copy(update={"base_url": address, "api_key_env": key})
    return spec.model_copy(update={"base_url": server_root(address)})


def _in_environment(vendor: Vendor, env: Mapping[str, str]) -> str | None:
    """Where the environment says that a vendor's models are; None: it says nothing."""
    for name in vendor.address_variables:
        if address := env.get(name, "").strip():
            return openai_address(address) if vendor.shared_protocol else server_root(address)
    return None


def ollama_address(env: Mapping[str, str]) -> str:
    """Where Ollama should be, as the environment says it or as it is by itself."""
    return _in_environment(OLLAMA, env) or str(OLLAMA.usual_address)


def openai_server_address(env: Mapping[str, str]) -> str | None:
    """Where another server that speaks OpenAI's protocol is; None: no variable names one."""
    address = _in_environment(OPENAI, env)
    return None if address is None or OPENAI.is_at_home(address) else address


_CALLS = re.compile(
    r"/(chat/completions|completions|responses|embeddings|models"
    r"|api/(chat|generate|tags|ps|show|embed))$"
)
"""Paths of single calls, which people paste with the address."""


def server_root(address: str) -> str:
    """An Ollama's address as people write it: with or without scheme, port, `/v1`, `/api`."""
    scheme, place, path = _parts(address)
    if not place.rpartition("]")[2].count(":"):
        place += {"https": ":443", "http": ":80"}.get(scheme, ":11434")
    path = re.sub(r"/(v1|api)$", "", path)
    return f"{scheme or 'http'}://{place}{path}"


def openai_address(address: str) -> str:
    """An address of OpenAI's protocol as people write it: with or without scheme and `/v1`."""
    scheme, place, path = _parts(address)
    near = is_near(f"http://{place}")
    path = f"{path}/v1" if path in ("", "/api") else path
    return f"{scheme or ('http' if near else 'https')}://{place}{path}"


def _parts(address: str) -> tuple[str, str, str]:
    """Scheme, host with port, and path of an address; what is not there is empty."""
    scheme, cut, rest = address.strip().strip("\"'").rstrip("/").partition("://")
    place, slash, path = (rest if cut else scheme).partition("/")
    if place.startswith(":"):
        place = f"127.0.0.1{place}"
    # Where a server listens on every address, a client goes to this machine.
    place = place.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
    path = _CALLS.sub("", f"{slash}{path}".rstrip("/")).rstrip("/")
    return (scheme.lower() if cut else ""), place, path


def is_near(url: str) -> bool:
    """Whether an address is on this machine or in this house, where no proxy and no bill stand."""
    try:
        host = urlsplit(url).hostname or ""
        if host.endswith((".local", ".lan")) or not re.search(r"[.:]", host):
            return True
        return ip_address(host).is_private
    except ValueError:
        return False
