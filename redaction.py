"""Taking secrets out of text that people will read: errors, logs, traces.

Redacted are the values of every environment variable whose name says that it holds a secret, and
whatever is shaped like a vendor's key, wherever it came from.

What is, or may be, a secret: it has no place in a council and is never repeated in a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)S?$", re.IGNORECASE)
_SHORTEST = 8
"""Characters; a shorter value ("none", "true") is no key, and hiding it would garble the text."""

_SHAPES = re.compile(
    r"""
    \b(?:sk|pk|rk|gsk|hf|xai|lsv2|lsv2_pt|lsv2_sk|ghp|gho|glpat|nvapi|r8|tgp|pplx|csk|fw)[-_]
        [A-Za-z0-9*][A-Za-z0-9_*.\-]{6,}
    | \bAIza[A-Za-z0-9_\-]{20,}
    | \beyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}(?:\.[A-Za-z0-9_\-]*)?
    | (?<=Bearer\ )[A-Za-z0-9._~+/=*\-]{6,}
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)
    """,
    re.VERBOSE,
)


def redact(text: str) -> str:
    """The text without any key: the environment's, or one that is shaped like a vendor's."""
    for name in list(os.environ):
        value = os.environ.get(name, "")  # another thread may just have taken it away
        if len(value) >= _SHORTEST and value in text and _SECRET_NAME.search(name):
            text = text.replace(value, REDACTED)
    return _SHAPES.sub(REDACTED, text)


HIDDEN = "(not shown: it may be a key)"

_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|xai)[-_]|gsk_|gh[opsu]_|github_pat_|glpat-|hf_|r8_|nvapi-|pplx-"
    r"|xox[a-z]-|AIza|AKIA|ya29\.|eyJ|(?i:bearer|basic)\s+(?=\S{16}))[A-Za-z0-9_\-./+=]{8,}"
)
"""How the vendors' keys and tokens begin."""
_RUN = re.compile(r"[A-Za-z0-9]{24,}")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")

_SECRET_ENDS = re.compile(
    "(api|access|secret|private)key|secrets?|password|passwd|passphrase|credentials?|authorization"
    "|authentication|cookie|bearer"
)
_TEXT_TOKENS = re.compile("eos|bos|pad|unk|sep|cls|mask|stop|start|end|begin|max|min")
"""`eos_token` and its like are pieces of text, not passes."""


def begins_like_a_key(text: str) -> bool:
    """Whether `text` holds something that begins as the vendors' keys do."""
    return _KEY.search(text) is not None


def may_be_a_key(text: str) -> bool:
    """Whether `text` is better not repeated: it begins like a key, or holds a long random run."""
    return begins_like_a_key(text) or any(
        not run.isalpha() and not run.isdigit() for run in _RUN.findall(text)
    )


def names_a_secret(key: str) -> bool:
    """Whether `key` says that its value is a secret: `api_key`, `token`, `Authorization`, ..."""
    words = [word.lower() for word in _WORDS.findall(key)] or [""]
    if words[-1] == "token":
        return len(words) < 2 or not _TEXT_TOKENS.fullmatch(words[-2])
    return any(_SECRET_ENDS.fullmatch(end) for end in (words[-1], "".join(words[-2:])))


def secrets_in(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of each thing in `value`, at any depth, that is or may be a secret."""
    if isinstance(value, str):
        if begins_like_a_key(value):
            yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            name = HIDDEN if may_be_a_key(str(key)) else str(key)[:60]
            place = f"{path}.{name}" if path else name
            if name == HIDDEN or names_a_secret(name):
                yield place
            else:
                yield from secrets_in(inner, place)
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield from secrets_in(inner, f"{path}[{index}]")


def refuse_secrets(values: dict[str, Any], cure: str) -> dict[str, Any]:
    """Hand `values` back.

    Raises:
        ValueError: something in them is, or may be, a secret.
    """
    for place in secrets_in(values):
        raise ValueError(f"{place}: is, or may be, a secret; leave it out and {cure}")
    return values


def fault_in_address(url: str) -> str | None:
    """Say what is wrong with a server's address, without repeating it; None: nothing."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        login, query = "@" in parts.netloc, parts.query
    except ValueError:
        whole, login, query = None, False, ""
    if login or any(names_a_secret(pair.partition("=")[0]) for pair in query.split("&") if pair):
        return "holds a login or a key; leave it out and name its variable in `api_key_env`"
    if begins_like_a_key(url):
        return "holds a key; leave it out and name its variable in `api_key_env`"
    if not whole or not url.isprintable() or " " in url:
        return "must be a web address, like http://127.0.0.1:8000/v1"
    return None


def shown(value: object) -> str:
    """A value as a message may repeat it: by repr and short; never a container, never a key."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return HIDDEN if may_be_a_key(value) else _short(value)
    if isinstance(value, int | float):
        return repr(value) if abs(value) < 10**18 else "a very large number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a Python {type(value).__name__}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
