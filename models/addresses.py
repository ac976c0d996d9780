"""Where a model is asked, and which key goes there: to its owner, never to another vendor."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from mom_council.councils.schema import Model
from mom_council.errors import CouncilError, ProviderNotInstalledError
from mom_council.redaction import fault_in_address, remember_secret
from mom_council.vendors import Vendor, vendor_of
from mom_council.vendors.ollama import OLLAMA
from mom_council.vendors.openai import OPENAI


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
