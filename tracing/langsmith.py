"""LangSmith, where its key is set; without a key not a byte goes out.

LangSmith's client posts whenever LANGSMITH_TRACING is on, key or no key, and then holds the exit of
the program for up to 18 s. So a door settles the matter once, before its first question.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Collection, MutableMapping
from typing import Any

from mom_council.redaction import redact, redact_tree

KEYS = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
SWITCHES = (
    "LANGSMITH_TRACING_V2",
    "LANGCHAIN_TRACING_V2",
    "LANGSMITH_TRACING",
    "LANGCHAIN_TRACING",
)
OFF = ("false", "0", "no", "off")
_TIMEOUTS = (2_000, 5_000)  # milliseconds to connect and to read
_LAST_WAIT = 3.0  # seconds that the end of the program waits for what is not sent yet


def settle_langsmith(
    env: MutableMapping[str, str] = os.environ, *, secret_names: Collection[str] = ()
) -> bool:
    """Switch LangSmith on where its key is set and nothing says `false`; else off for good.

    Args:
        env: the environment, which is changed: it says afterwards what holds.
        secret_names: environment variables to redact although their names do not say so.

    Returns:
        Whether questions are traced by LangSmith.
    """
    switch = next((env[name].strip().lower() for name in SWITCHES if env.get(name)), "")
    on = any(env.get(name, "").strip() for name in KEYS) and switch not in OFF
    for name in SWITCHES:
        env.pop(name, None)
    env["LANGSMITH_TRACING"] = "true" if on else "false"
    if on:
        env["LANGSMITH_USE_DAEMON"] = (
            "true"  # else its threads hold the exit for as long as they like
        )
    if on or "langsmith" in sys.modules:
        _configure(on, secret_names)
    return on


def _configure(on: bool, secret_names: Collection[str]) -> None:
    import langsmith
    from langsmith import utils
    from urllib3.util import Retry

    cached: Any = utils.get_env_var
    cached.cache_clear()  # it remembers what the variables were
    if not on:
        langsmith.configure(enabled=False)
        return

    def clean(tree: Any) -> Any:
        return redact_tree(tree, secret_names)

    class RedactingClient(langsmith.Client):
        """Sends no key: neither in what was said, nor in how a model was built and called.

        The anonymizer sees inputs, outputs, errors and metadata only. The serialized constructor
        and the parameters of a call would go out as they are.
        """

        def create_run(self, *args: Any, **fields: Any) -> None:
            """Post the beginning of a run, without its constructor."""
            super().create_run(*args, **_cleaned(fields))

        def update_run(self, *args: Any, **fields: Any) -> None:
            """Post the end of a run."""
            super().update_run(*args, **_cleaned(fields))

    def _cleaned(run: dict[str, Any]) -> dict[str, Any]:
        run.pop("serialized", None)
        for part in ("extra", "tags", "name", "events"):
            if run.get(part) is not None:
                run[part] = clean(run[part])
        return run

    retries = Retry(total=1, backoff_factor=0.2, allowed_methods=None, raise_on_status=False)
    logging.getLogger("langsmith.client").addFilter(_LogOnce())
    client = RedactingClient(anonymizer=clean, timeout_ms=_TIMEOUTS, retry_config=retries)
    langsmith.configure(client=client, enabled=True)
    atexit.register(client.flush, timeout=_LAST_WAIT)


class _LogOnce(logging.Filter):
    """LangSmith's client complains of every batch, in many lines; once in one line is enough."""

    def __init__(self) -> None:
        super().__init__()
        self._logged = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        if record.levelno < logging.WARNING:
            return True
        is_first, self._logged = not self._logged, True
        first = redact(record.getMessage().splitlines()[0][:200])
        record.msg, record.args = f"LangSmith misses traces; answers do not ({first})", ()
        return is_first
