"""Where a model is asked, and which key goes there: to its owner, never to another vendor."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from mom_council.councils.schema import Model
from mom_council.errors import ProviderNotInstalledError
from mom_council.redaction import remember_secret
from mom_council.vendors import vendor_of
from mom_council.vendors.ollama import OLLAMA


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
    """The variable that holds the voice's key; None where it needs none."""
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
    usual = os.environ.get(vendor.address_env or "") or vendor.usual_address
    return spec.base_url or vendor.base_url or usual or spec.provider


def ollama_address(env: Mapping[str, str]) -> str:
    """Where Ollama should be: OLLAMA_API_URL, else OLLAMA_HOST as Ollama itself reads it."""
    address = (env.get("OLLAMA_API_URL") or env.get("OLLAMA_HOST") or "").strip().rstrip("/")
    if not address:
        return str(OLLAMA.usual_address)
    scheme, cut, rest = address.partition("://")
    place, slash, path = (rest if cut else address).partition("/")
    if place.startswith(":"):
        place = f"127.0.0.1{place}"
    # Where a server listens on every address, a client goes to this machine.
    place = place.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
    if not place.rpartition("]")[2].count(":"):
        place += {"https": ":443", "http": ":80"}.get(scheme if cut else "", ":11434")
    return f"{scheme if cut else 'http'}://{place}{slash}{path.removesuffix('api')}".rstrip("/")


def is_near(url: str) -> bool:
    """Whether an address is on this machine or in this house, where no proxy and no bill stand."""
    try:
        host = urlsplit(url).hostname or ""
        if host.endswith((".local", ".lan")) or not re.search(r"[.:]", host):
            return True
        return ip_address(host).is_private
    except ValueError:
        return False
