"""From a voice in the council to a chat model that can be asked.

LangChain owns the wire. Decided here: which key goes where (to its owner, never to another
vendor), that nobody but `speaking` retries, and that a model is opened once for each event loop.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Council, Model
from mom_council.errors import (
    CapabilityError,
    CouncilError,
    MixtureError,
    ProviderNotInstalledError,
    UnknownNameError,
)
from mom_council.models.providers import PROVIDERS, UNLISTED, Provider
from mom_council.models.terms import adapt_params
from mom_council.redaction import redact

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.clients import LoopResources

_HAVE_A_PLACE = frozenset(
    {"model", "model_name", "model_provider", "base_url", "max_retries", "streaming", "stream"}
)
"""What `params` may not set, because the voice has a field for it or `speaking` decides it."""

_OPEN_AT_MOST = 256
"""Opened models kept for one event loop; each set of parameters is one."""


async def open_model(
    room: LoopResources, spec: Model, params: Mapping[str, Any] | None = None
) -> BaseChatModel:
    """The chat model of a voice; `params` override those in the council.

    Raises:
        ProviderNotInstalledError: its package or its key variable is missing.
        UnknownNameError: nobody knows the provider.
        CouncilError: `params` hold what they may not, or what the provider does not take.
    """
    merged = {**spec.params, **(params or {})}
    asked = {name: value for name, value in merged.items() if value is not None}
    asked = adapt_params(spec, asked)
    base_url: str | None
    key: str | None
    if spec.provider == "embedded":
        # Asked every time: an engine that died is started again, elsewhere.
        base_url, key = await asyncio.to_thread(_start_engine, spec)
    else:
        base_url, key = spec.base_url, key_of(spec)
    written = json.dumps(asked, sort_keys=True, default=repr)
    same = (spec.provider, spec.model, base_url, key, spec.context, written)
    if same not in room.models:
        async with room.opening:
            if same not in room.models:
                # Importing a provider takes a second, and reads files.
                try:
                    opened = await asyncio.to_thread(_open, room, spec, base_url, key, asked)
                except (TypeError, ValueError) as error:
                    raise CouncilError(
                        f"{spec.provider} cannot open {spec.model!r} with the params "
                        f"{[*asked]}: {redact(str(error))}"
                    ) from None
                if len(room.models) >= _OPEN_AT_MOST:
                    del room.models[next(iter(room.models))]
                room.models[same] = opened
    return room.models[same]


def missing(council: Council) -> list[MixtureError]:
    """What the council's models need and this machine has not: packages, and variables with keys.

    One error for each need; none is raised. Nothing is asked over the network.
    """
    needs: dict[str, MixtureError] = {}
    keyless: dict[tuple[str, str], dict[str, None]] = {}
    for spec in council.models.values():
        try:
            check(spec)
        except MixtureError as error:
            needs[str(error)] = error
            continue
        name = _key_name(spec)
        if name is not None and not os.environ.get(name, "").strip():
            keyless.setdefault((spec.provider, name), {})[spec.model] = None
    keys = [_no_key(provider, [*models], name) for (provider, name), models in keyless.items()]
    return [*needs.values(), *keys]


def check(spec: Model) -> None:
    """See that a voice's provider is known and its package here.

    Raises:
        ProviderNotInstalledError: the package is missing.
        UnknownNameError: nobody knows the provider.
        CouncilError: `params` hold what they may not.
    """
    _check(spec, provider_of(spec), spec.params)


def provider_of(spec: Model) -> Provider:
    """The line of the table that stands for the voice's provider."""
    return PROVIDERS.get(spec.provider, UNLISTED)


def key_of(spec: Model) -> str | None:
    """The key that goes with the voice's address; None where none does.

    Raises:
        ProviderNotInstalledError: the variable that should hold it is not set.
    """
    name = _key_name(spec)
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise _no_key(spec.provider, [spec.model], name)
    return key


def _key_name(spec: Model) -> str | None:
    """The variable that holds the voice's key; None where it needs none."""
    provider = provider_of(spec)
    return spec.api_key_env or (provider.key_env if is_at_home(spec, provider) else None)


def _no_key(provider: str, models: Sequence[str], name: str) -> ProviderNotInstalledError:
    return ProviderNotInstalledError(
        f"{provider!r} needs a key for {', '.join(map(repr, models))}",
        cure=f"set the environment variable {name!r}, or write it into '.env'",
    )


def _start_engine(spec: Model) -> tuple[str, str]:
    from mom_council.models.providers.embedded import open_embedded

    engine = open_embedded(spec)
    return engine.base_url, engine.api_key


def is_at_home(spec: Model, provider: Provider) -> bool:
    """Whether the voice is asked at its provider's own address."""
    return spec.base_url is None or spec.base_url.rstrip("/") == provider.home


def _open(
    room: LoopResources, spec: Model, base_url: str | None, key: str | None, params: dict[str, Any]
) -> BaseChatModel:
    provider = provider_of(spec)
    _check(spec, provider, params)
    if spec.provider in ("openai", "embedded"):
        from mom_council.models.providers.openai_wire import open_openai

        return open_openai(
            spec.model,
            params,
            base_url=base_url or str(provider.home),
            key=key,
            at_home=spec.provider == "openai" and is_at_home(spec, provider),
            client=room.sdk,
        )
    if spec.provider == "ollama":
        from mom_council.models.providers.ollama import open_ollama

        return open_ollama(
            spec.model,
            params,
            base_url=base_url,
            key=key,
            context=spec.context,
            sessions=room.sessions,
        )
    if spec.provider == "huggingface":
        from mom_council.models.providers.huggingface import open_huggingface

        return open_huggingface(spec, params)
    if spec.provider == "diffusers":
        raise CapabilityError(
            f"{spec.model!r} on diffusers draws and does not talk", cure="seat another"
        )
    if spec.provider == "replay":
        from mom_council.models.providers.replay import open_replay

        return open_replay(spec.model, params)
    from mom_council.models.providers.others import open_other

    return open_other(room, spec, provider, key, params)


def _check(spec: Model, provider: Provider, params: Mapping[str, Any]) -> None:
    for name in params:
        if name in _HAVE_A_PLACE:
            raise CouncilError(
                f"{name!r} cannot stand in the params of {spec.model!r}: there is a field for it"
            )
    package = provider.package
    if not package:
        from langchain.chat_models.base import _BUILTIN_PROVIDERS

        if spec.provider not in _BUILTIN_PROVIDERS:
            near = get_close_matches(spec.provider, [*PROVIDERS, *_BUILTIN_PROVIDERS], n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {[*PROVIDERS]}"
            raise UnknownNameError(f"no provider is called {spec.provider!r}", cure=meant)
        package = _BUILTIN_PROVIDERS[spec.provider][0].partition(".")[0]
    if importlib.util.find_spec(package) is None:
        wanted = f"'mom-council[{provider.extra}]'" if provider.extra else package.replace("_", "-")
        raise ProviderNotInstalledError(
            f"{spec.provider!r} needs a package that is not here", cure=f"pip install {wanted}"
        )
