"""Taking secrets out of text that people will read: errors, logs, traces.

Redacted are the values of every environment variable whose name says that it holds a secret, and
whatever is shaped like a vendor's key, wherever it came from.
"""

from __future__ import annotations

import os
import re

HIDDEN = "[redacted]"

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
            text = text.replace(value, HIDDEN)
    return _SHAPES.sub(HIDDEN, text)
