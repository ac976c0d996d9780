"""`create_moa_from_config` of moa-llm: its configuration, processed by a council."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mom_council.councils.importers.foreign import Imported
from mom_council.councils.importers.table import import_council, import_moa
from mom_council.councils.schema import Council
from mom_council.councils.trust import env_values, is_accepted, review_file
from mom_council.errors import CouncilError
from mom_council.models.clients import run_in_background_loop
from mom_council.redaction import logger

if TYPE_CHECKING:
    from mom_council.runs.ask import OpenCouncil

_log = logger(__name__)

Message = Mapping[str, Any] | str
_KEYS = ["messages", "annotation", "segments"]


def create_moa_from_config(
    config_input: str | os.PathLike[str] | Mapping[str, Any],
    is_file_path: bool | None = None,
    max_workers: int | None = None,
    messages: Sequence[Message] | None = None,
) -> Moa:
    """Make a council of a moa-llm configuration.

    `.env.local` and `.env` of the working folder are read for `PROVIDER_API_KEY` and `BASE_URL`,
    once `mom trust` has accepted them; what the environment says already is not overridden.

    Args:
        config_input: the path of a YAML file, its text, or its values.
        is_file_path: left out, a text of one line is a path.
        max_workers: calls at a time; left out, as many as there are neurons.
        messages: an earlier conversation, put before what is processed.

    Raises:
        CouncilError: something in it cannot be right; each line names a place and the cure.
    """
    _read_env()
    if _is_path(config_input, is_file_path):
        imported = import_council(Path(config_input))  # type: ignore[arg-type]
    else:
        env = {name: os.environ[name] for name in ("BASE_URL",) if name in os.environ}
        imported = import_moa(config_input, env)  # type: ignore[arg-type]
    return Moa(imported, max_workers, messages or ())


def _is_path(config: Any, is_path: bool | None) -> bool:
    if isinstance(config, str) and is_path is None:
        return "\n" not in config.strip()
    return isinstance(config, os.PathLike) or (isinstance(config, str) and bool(is_path))


def _read_env() -> None:
    """Read the files that lie in the working directory, where the user has accepted them."""
    for name in (".env.local", ".env"):
        if Path(name).is_file():
            review = review_file(Path(name))
            if not is_accepted(review):
                _log.warning("%r is not read: it is not trusted yet; mom trust %s", name, name)
                continue
            for variable, value in env_values(Path(name), review).items():
                os.environ.setdefault(variable, value)


class Moa:
    """A mixture of agents, which is a council that proposes in layers and writes once."""

    def __init__(
        self, imported: Imported, max_workers: int | None, messages: Sequence[Message]
    ) -> None:
        self.imported = imported
        """The council, and what of the configuration could not be kept."""
        self._council = _limit_workers(imported.council, max_workers)
        self._before = [_plain(one) for one in messages]
        self._opened = self._open()

    async def process(self, query: str | Sequence[Message]) -> dict[str, Any]:
        """Answer a query, or a conversation whose last message of the user is one.

        Returns:
            `{"content", "response_times", "total_completion_time", "annotated_query"}`;
            `response_times` by "Layer 1 - Neuron 1" and so on, and "Aggregation Layer", in seconds.

        Raises:
            MixtureError: nobody answered, or the council cannot sit.
        """
        added = [query] if isinstance(query, str) else query
        # Copies: the caller's list, and what is in it, stay as they are.
        messages = [dict(one) for one in (*self._before, *(_plain(one) for one in added))]
        began = time.monotonic()
        from mom_council.runs.ask import Run

        # A library keeps nothing that its caller did not ask for.
        run = Run(self._opened, messages, state_keys=_KEYS, traced=False)
        values = await run.finish()
        restated = values["annotation"].restated if values.get("annotation") else ""
        return {
            "content": values["messages"][-1].text,
            "response_times": self._times(values["segments"]),
            "total_completion_time": time.monotonic() - began,
            "annotated_query": restated or None,
        }

    def process_sync(self, query: str | Sequence[Message]) -> dict[str, Any]:
        """As `process`, for callers without an event loop."""
        return run_in_background_loop(self.process, query)

    def _open(self) -> OpenCouncil:
        from mom_council.runs.ask import OpenCouncil

        return OpenCouncil(self._council)

    def _times(self, segments: Sequence[Any]) -> dict[str, float]:
        labels = {
            name: f"Layer {row} - Neuron {place}"
            for row, layer in enumerate(self._council.seats, 1)
            for place, name in enumerate(layer, 1)
        }
        spoken = {one.name: one.usage.seconds for one in segments if one.node == "character"}
        times = {label: spoken[name] for name, label in labels.items() if name in spoken}
        for one in segments:
            if one.node == "synthesizer":
                times["Aggregation Layer"] = one.usage.seconds
        return times


def _limit_workers(council: Council, workers: int | None) -> Council:
    """The council with so many calls at a time, over all of its models."""
    if workers is None:
        return council
    models = {
        key: model.model_copy(update={"lane": "workers", "concurrency": workers})
        for key, model in council.models.items()
    }
    return council.model_copy(update={"models": models})


def _plain(message: Message) -> dict[str, Any]:
    if isinstance(message, str):
        return {"role": "user", "content": message}
    if isinstance(message, Mapping) and "role" in message and "content" in message:
        return {"role": message["role"], "content": message["content"]}
    raise CouncilError("a message is a text, or a mapping of `role` and `content`")
