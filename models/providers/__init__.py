"""The code that talks to vendors; here, how a model is opened with it, once for each event loop.

A vendor's profile says which module is its own. The modules are imported when they are first used,
since each brings a vendor's library. Nobody but `models.speaking` retries.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from mom_council.councils.schema import Model
from mom_council.errors import (
    CapabilityError,
    CouncilError,
    MixtureError,
    ProviderNotInstalledError,
    UnknownNameError,
)
from mom_council.models import wire
from mom_council.models.capabilities import adapt_params
from mom_council.models.clients import open_in_thread
from mom_council.models.resolved import key_of, key_variable, missing_key, with_address
from mom_council.redaction import redact, remember_secret
from mom_council.seams.clients import langchain_packages
from mom_council.vendors import VENDORS, Vendor, load_code, vendor_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.clients import LoopResources
    from mom_council.models.prices import Meter


@dataclass(frozen=True, slots=True)
class Opening:
    """A model that is to be opened, and everything that this takes."""

    spec: Model
    base_url: str | None
    """Where its server is, when not at the vendor's own address."""
    key: str | None
    """None: its server wants none."""
    params: Mapping[str, Any]
    """As the vendor takes them."""
    resources: LoopResources

    @property
    def vendor(self) -> Vendor:
        """Whose model it is."""
        return vendor_of(self.spec.provider)

    @property
    def address(self) -> str | None:
        """Where its server is; None where its library knows."""
        address = self.base_url or self.vendor.base_url
        if address is None or not (path := self.vendor.deployment_path):
            return address
        root = re.sub(r"/openai(/.*)?$", "", address.rstrip("/"))  # whole addresses are copied
        return root + path.format(model=quote(self.spec.model, safe=""))

    @property
    def query(self) -> dict[str, str]:
        """What each request's address ends with."""
        version = self.params.get("api_version") or self.vendor.api_version
        return {"api-version": str(version)} if self.vendor.api_version else {}

    @property
    def key_headers(self) -> dict[str, str]:
        """The header that holds the key; a server without keys is sent a word in its place."""
        if name := self.vendor.key_header:
            return {name: self.key or ""}
        return {"authorization": f"Bearer {self.key or 'none'}"}

    @property
    def has_wire(self) -> bool:
        """Whether its replies are streamed over our own wire (see `models.wire`)."""
        address = urlsplit(self.address or "")
        return self.vendor.thin_wire and wire.is_on() and address.username is None

    @property
    def at_home(self) -> bool:
        """Whether it is asked at its vendor's own address."""
        return self.vendor.is_at_home(self.base_url)


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """What is to be drawn; what is None is left to whoever draws."""

    prompt: str
    negative: str = ""
    size: tuple[int, int] | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture that is to be drawn, and whom to tell."""

    opening: Opening
    order: ImageOrder
    meter: Meter
    on_step: Callable[[int, int], None]
    """Is called with the step and how many there are, where the drawing goes in steps."""


class DrawnPicture(NamedTuple):
    """A picture as it came out, before anybody has looked at it."""

    content: bytes
    seed: int | None
    filtered: bool = False


_HAVE_A_PLACE = frozenset(
    {"model", "model_name", "model_provider", "base_url", "max_retries", "streaming", "stream"}
)
"""What `params` may not set, because the voice has a field for it or `speaking` decides it."""

_OPEN_AT_MOST = 256
"""Opened models kept for one event loop; each set of parameters is one."""


async def open_model(
    resources: LoopResources, spec: Model, params: Mapping[str, Any] | None = None
) -> BaseChatModel:
    """The chat model of a voice; `params` override those in the council.

    Raises:
        ProviderNotInstalledError: its package or its key variable is missing.
        UnknownNameError: nobody knows the provider.
        CouncilError: `params` hold what they may not, or what the provider does not take.
    """
    merged = {**spec.params, **(params or {})}
    sent_params = {name: value for name, value in merged.items() if value is not None}
    sent_params = adapt_params(spec, sent_params, resources.limits)
    if spec.chat_model is not None:
        return _open(Opening(spec, None, None, sent_params, resources))
    base_url, key = await _address_and_key(spec)
    written = json.dumps(sent_params, sort_keys=True, default=repr) if sent_params else ""
    same = (spec.provider, spec.model, base_url, key, spec.context, written)
    if same not in resources.models:
        async with resources.opening:
            if same not in resources.models:
                # Importing a provider takes a second, and reads files.
                try:
                    opening = Opening(spec, base_url, key, sent_params, resources)
                    opened = await open_in_thread(_open, opening)
                except (TypeError, ValueError) as error:
                    raise CouncilError(
                        f"{spec.provider} cannot open {spec.model!r} with the params "
                        f"{[*sent_params]}: {redact(str(error))}"
                    ) from None
                if len(resources.models) >= _OPEN_AT_MOST:
                    del resources.models[next(iter(resources.models))]
                resources.models[same] = opened
    return resources.models[same]


async def model_profile(resources: LoopResources, spec: Model) -> Mapping[str, Any]:
    """What LangChain knows of a model (`max_input_tokens`, ...); empty: nothing.

    Raises:
        MixtureError: the model cannot be opened.
    """
    chat: Any = await open_model(resources, spec)
    opened = await chat.open_langchain() if hasattr(chat, "open_langchain") else chat
    return getattr(opened, "profile", None) or {}


def missing(models: Iterable[Model]) -> list[MixtureError]:
    """What models need and this machine has not: packages, and variables with keys.

    One error for each need; none is raised. Nothing is asked over the network.
    """
    needs: dict[str, MixtureError] = {}
    keyless: dict[tuple[str, str], dict[str, None]] = {}
    for spec in models:
        try:
            check(spec)
            name = key_variable(spec)
        except MixtureError as error:
            needs[str(error)] = error
            continue
        if name is not None and not os.environ.get(name, "").strip():
            keyless.setdefault((spec.provider, name), {})[spec.model] = None
    keys = [
        missing_key(provider, [*names], variable) for (provider, variable), names in keyless.items()
    ]
    return [*needs.values(), *keys]


def check(spec: Model) -> None:
    """See that a voice's provider is known and its package here.

    Raises:
        ProviderNotInstalledError: the package is missing.
        UnknownNameError: nobody knows the provider.
        CouncilError: `params` hold what they may not.
    """
    _check(spec, spec.params)


async def _address_and_key(spec: Model) -> tuple[str | None, str | None]:
    """Where the model's server is, and the key that goes there."""
    if (engine := vendor_of(spec.provider).engine) is None:
        return spec.base_url, key_of(spec)
    # Asked every time: an engine that died is started again, elsewhere.
    endpoint = await asyncio.to_thread(load_code(engine), spec)
    remember_secret(endpoint.api_key or "")
    return endpoint.base_url, endpoint.api_key


def opening_of(resources: LoopResources, spec: Model) -> Opening:
    """What opens a model that has one address and one key, with the council's parameters.

    Raises:
        ProviderNotInstalledError: the variable that should hold its key is not set.
    """
    spec = with_address(spec)
    return Opening(spec, spec.base_url, key_of(spec), spec.params, resources)


def _open(opening: Opening) -> BaseChatModel:
    spec = opening.spec
    _check(spec, opening.params)
    if opening.vendor.chat is None:
        raise CapabilityError(
            f"{spec.model!r} on {spec.provider} does not talk", cure="name another model"
        )
    opened: BaseChatModel = load_code(opening.vendor.chat)(opening)
    return opened


def _check(spec: Model, params: Mapping[str, Any]) -> None:
    for name in params:
        if name in _HAVE_A_PLACE:
            raise CouncilError(
                f"{name!r} cannot stand in the params of {spec.model!r}: there is a field for it"
            )
    vendor = vendor_of(spec.provider)
    if vendor.deployment_path and not (spec.base_url and spec.api_key_env):
        raise CouncilError(
            f"{spec.model!r} on {spec.provider} has no address or no key",
            cure="write `base_url: https://RESOURCE.openai.azure.com` and `api_key_env`",
        )
    package = vendor.package or _package_of_langchain(spec.provider)
    if importlib.util.find_spec(package) is None:
        install = vendor.install or f"pip install {package.replace('_', '-')}"
        raise ProviderNotInstalledError(
            f"{spec.provider!r} needs a package that is not here", cure=install
        )


def _package_of_langchain(provider: str) -> str:
    """The package with which LangChain opens a provider that has no profile, or no package in it.

    Raises:
        UnknownNameError: LangChain does not know it.
    """
    packages = langchain_packages()
    if (package := packages.get(provider)) is not None:
        return package
    near = get_close_matches(provider, [*VENDORS, *packages], n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"there are {[*VENDORS]}"
    raise UnknownNameError(f"no provider is called {provider!r}", cure=meant)
