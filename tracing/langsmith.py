"""LangSmith: only where its own variable switches it on and its key is set.

LangSmith's client posts whenever LANGSMITH_TRACING is on, key or no key, and then holds the exit of
the program for up to 18 s. So a door settles the matter once, before its first question.

A council may forbid it (`tracing: {langsmith: false}`) or keep texts back (`content: false`). Its
graph then brings a tracer of its own, which LangChain takes in place of the usual one.

OpenTelemetry's own variables are read here too; what is sent there is made in `tracing.otel`.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import re
import sys
import threading
from collections.abc import Collection, Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from mom_council.redaction import redact, redact_tree

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler

    from mom_council.councils.sections import Tracing

KEYS = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
SWITCHES = (
    "LANGSMITH_TRACING_V2",
    "LANGCHAIN_TRACING_V2",
    "LANGSMITH_TRACING",
    "LANGCHAIN_TRACING",
)
ON = ("true", "1", "yes", "on")
_TIMEOUTS = (2_000, 5_000)  # milliseconds to connect and to read
_LAST_WAIT = 3.0  # seconds that the end of the program waits for what is not sent yet


def is_switched_on(env: Mapping[str, str]) -> bool:
    """Whether one of LangSmith's own variables says that runs are traced."""
    switch = next((env[name] for name in SWITCHES if env.get(name)), "")
    return switch.strip().lower() in ON


def has_key(env: Mapping[str, str]) -> bool:
    """Whether LangSmith's key is set."""
    return any(env.get(name, "").strip() for name in KEYS)


def settle_langsmith(
    env: MutableMapping[str, str] = os.environ, *, secret_names: Collection[str] = ()
) -> bool:
    """Switch LangSmith on where its variable says so and its key is set; else off for good.

    Args:
        env: the environment, which is changed: it says afterwards what holds.
        secret_names: environment variables to redact although their names do not say so.

    Returns:
        Whether questions are traced by LangSmith.
    """
    on = is_switched_on(env) and has_key(env)
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

    cached: Any = utils.get_env_var
    cached.cache_clear()  # it remembers what the variables were
    if on:
        client: Any = _LazyClient(tuple(secret_names))
        langsmith.configure(client=client, enabled=True)
    else:
        langsmith.configure(enabled=False)


class _LazyClient:
    """Stands for LangSmith's client until a run is sent: the client connects when it is made."""

    def __init__(self, secret_names: tuple[str, ...]) -> None:
        self._secret_names = secret_names
        self._opening = threading.Lock()
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._opening:
            if self._client is None:
                self._client = _open_client(self._secret_names)
        return getattr(self._client, name)


def _open_client(secret_names: Collection[str]) -> Any:
    """LangSmith's client, which redacts what it sends and holds nobody's exit for long."""
    import langsmith
    from urllib3.util import Retry

    def clean(tree: Any) -> Any:
        if not _first_copy.get():
            tree = _with_references(tree)
        return redact_tree(tree, secret_names)

    class RedactingClient(langsmith.Client):
        """Sends no key: neither in what was said, nor in how a model was built and called.

        The anonymizer sees inputs, outputs, errors and metadata only. The serialized constructor
        and the parameters of a call would go out as they are.
        """

        def create_run(self, *args: Any, **fields: Any) -> None:
            """Post the beginning of a run, without its constructor.

            Pictures go with the inputs of the first run alone; every other place refers to them.
            """
            token = _first_copy.set(fields.get("parent_run_id") is None)
            try:
                super().create_run(*args, **_cleaned(fields))
            finally:
                _first_copy.reset(token)

        def update_run(self, *args: Any, **fields: Any) -> None:
            """Post the end of a run."""
            super().update_run(*args, **_cleaned(fields))

    def _cleaned(run: dict[str, Any]) -> dict[str, Any]:
        run.pop("serialized", None)
        for part in ("extra", "tags", "name", "events"):
            if run.get(part) is not None:
                run[part] = clean(_with_references(run[part]))
        return run

    retries = Retry(total=1, backoff_factor=0.2, allowed_methods=None, raise_on_status=False)
    logging.getLogger("langsmith.client").addFilter(_LogOnce())
    client = RedactingClient(anonymizer=clean, timeout_ms=_TIMEOUTS, retry_config=retries)
    atexit.register(client.flush, timeout=_LAST_WAIT)
    return client


_first_copy: ContextVar[bool] = ContextVar("pictures_are_sent", default=False)
"""Set while a run is posted that carries the pictures themselves."""

_DATA_ADDRESS = re.compile(r"data:([\w.+/-]+);base64,([A-Za-z0-9+/=_-]{256,})")
_BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{2000,}")
"""Nothing but base64, and too long for a word or a key: a picture, a sound or a file."""


def _with_references(value: Any) -> Any:
    """A copy of a tree in which a digest stands for each picture and other long data."""
    if isinstance(value, str):
        if _BASE64.fullmatch(value):
            return _reference(value, "data")
        if ";base64," in value:
            return _DATA_ADDRESS.sub(lambda match: _reference(match[2], match[1]), value)
        return value
    if isinstance(value, Mapping):
        return {name: _with_references(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_references(part) for part in value]
    return value


def _reference(data: str, media: str) -> str:
    digest = hashlib.sha256(data.encode()).hexdigest()[:16]
    return f"[{media}, {len(data) * 3 // 4} bytes, sha256 {digest}]"


def exported_signals(env: Mapping[str, str]) -> tuple[str, ...]:
    """What OpenTelemetry's own variables say is sent: traces, metrics, both, or nothing."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    signals = []
    for signal in ("traces", "metrics"):
        exporter = env.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip()
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
        has_endpoint = env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get(own)
        if exporter != "none" and (exporter or has_endpoint):
            signals.append(signal)
    return tuple(signals)


def flush_telemetry() -> None:
    """Send to OpenTelemetry's exporters what is not sent yet, where they are in use."""
    telemetry: Any = sys.modules.get("mom_council.tracing.otel")
    if telemetry is not None and telemetry.exports.cache_info().currsize:
        telemetry.exports().flush()


def tracers_of(rules: Tracing) -> list[BaseCallbackHandler]:
    """The tracers with which a council's graph keeps LangSmith to the council's `tracing:`.

    LangChain adds its own tracer only where none is there yet, so these stand in its place, also
    in a program of somebody else's. A council that lets everything be sent needs none.
    """
    from langchain_core.tracers.langchain import LangChainTracer, get_client
    from langsmith.run_helpers import get_current_run_tree
    from langsmith.utils import tracing_is_enabled

    def sends() -> bool:
        # Below a run of ours LangSmith says that it is tracing, also where that run is not sent.
        above = get_current_run_tree()
        is_unsent = above is not None and getattr(above, "ls_client", None) is _NO_CLIENT
        return rules.langsmith and not is_unsent and tracing_is_enabled() is True

    class CouncilTracer(LangChainTracer):
        """Sends times, names, models and counts of tokens, or nothing at all."""

        @property
        def client(self) -> Any:
            """LangSmith's client; it is not opened where nothing is sent."""
            return get_client() if sends() else _NO_CLIENT

        @client.setter
        def client(self, value: Any) -> None:
            pass

        def _end_trace(self, run: Any) -> None:
            super()._end_trace(run)
            # LangChain's own lives for one question, and keeps an entry of each run in it.
            self.order_map.pop(run.id, None)

        def _persist_run_single(self, run: Any) -> None:
            if sends():
                _remove_texts(run)
                super()._persist_run_single(run)

        @staticmethod
        def _update_run_single(run: Any) -> None:
            if sends():
                _remove_texts(run)
                LangChainTracer._update_run_single(run)

    return [CouncilTracer(client=_NO_CLIENT)]


_NO_CLIENT: Any = object()


def _remove_texts(run: Any) -> None:
    """Take out of a run what anybody said: all but its name, its times and its metadata."""
    run.inputs, run.serialized = {}, None
    run.outputs = {} if run.outputs else run.outputs
    run.error = run.error and run.error.partition("(")[0].partition(":")[0].strip()[:80]
    run.events = [
        {key: event[key] for key in ("name", "time") if key in event} for event in run.events
    ]
    harmless = ("metadata", "runtime", "__disabled", "inputs_is_truthy", "defers_inputs")
    run.extra = {name: run.extra[name] for name in harmless if name in run.extra}


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
