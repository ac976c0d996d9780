"""Who may ask: bearer keys from the environment, of which only the digests stay in memory."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address

from mom_council.errors import MixtureError

VARIABLE = "MOM_SERVER_KEYS"
SHORTEST = 16
EVERYONE = ""
"""The owner of requests where no key is asked for."""

_NAMED = re.compile(r"([A-Za-z0-9_-]{1,32})=(.+)")
_CURE = f"{VARIABLE} holds keys, or name=key, with commas between them"


class Keys:
    """The keys that are accepted; without any, everybody on this machine may ask."""

    def __init__(self, written: str = "") -> None:
        """Read the keys.

        Raises:
            MixtureError: one is too short to be one, or a name stands twice.
        """
        self._digests: dict[str, bytes] = {}
        for number, part in enumerate(filter(None, re.split(r"[,\s]+", written)), 1):
            found = _NAMED.fullmatch(part)
            key = found[2] if found else part
            digest = _digest(key)
            name = found[1] if found else f"key-{digest.hex()[:8]}"
            if len(key) < SHORTEST:
                raise MixtureError(
                    f"key {number} in {VARIABLE} has fewer than {SHORTEST} characters: "
                    "make one with `openssl rand -hex 24`"
                )
            if name in self._digests:
                raise MixtureError(f"{name!r} stands twice in {VARIABLE}", cure=_CURE)
            self._digests[name] = digest

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Keys:
        """The keys that MOM_SERVER_KEYS holds.

        Raises:
            MixtureError: as above.
        """
        return cls(env.get(VARIABLE, ""))

    def __bool__(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._digests)

    def owner(self, authorization: str | None) -> str | None:
        """Whose key an Authorization header holds; None: nobody's.

        It takes as long whether a key is nearly right or not at all.
        """
        scheme, _, key = (authorization or "").partition(" ")
        given = _digest(key.strip() if scheme.lower() == "bearer" else "")
        owner = None
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                owner = name
        return owner


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
