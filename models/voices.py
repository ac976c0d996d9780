"""What is in memory or is not: a model of this machine, loaded in one way.

Ollama loads a model anew when the size of its context changes, and unloads it five minutes after
its last call. So a model that several voices of a council share is asked with one context, the
largest of theirs, and what shares a lane is kept for as long as the lane says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mom_council.councils.schema import Council, Lane, Model

LOCAL = ("ollama", "embedded")
"""Providers whose models are loaded on hardware that a lane can plan for."""

_RUNNER = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap")
"""Ollama's options that load a model anew when they change."""
_KEPT = Lane().keep_alive


@dataclass(frozen=True, slots=True)
class ModelInstance:
    """A model, loaded in one way."""

    provider: str
    base_url: str | None
    model: str
    options: tuple[tuple[str, Any], ...] = ()
    spec: Model | None = field(default=None, compare=False)


def instance_of(spec: Model) -> ModelInstance:
    """The voice that a model of a council is."""
    if spec.provider == "embedded":
        options: tuple[tuple[str, Any], ...] = (
            ("context", spec.context),
            ("slots", spec.concurrency),
        )
        return ModelInstance("embedded", None, spec.model, options, spec)
    asked = {"num_ctx": spec.context, **spec.params}
    options = tuple((name, asked[name]) for name in _RUNNER if asked.get(name) is not None)
    return ModelInstance(spec.provider, spec.base_url, full_name(spec.model), options, spec)


def full_name(model: str) -> str:
    """A model's name as Ollama lists it: with its tag."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def settled(council: Council, key: str) -> Model:
    """A model as it is asked: with what keeps its server from loading it more often than needed."""
    spec = council.models[key]
    if spec.provider != "ollama":
        return spec
    whose = (spec.base_url, full_name(spec.model))
    contexts = [
        int(size)
        for one in council.models.values()
        if one.provider == "ollama" and (one.base_url, full_name(one.model)) == whose
        if (size := one.params.get("num_ctx") or one.context)
    ]
    params = dict(spec.params)
    if contexts:
        params["num_ctx"] = max(contexts)
    if spec.lane is not None:
        lane = council.lanes.get(spec.lane)
        params.setdefault("keep_alive", lane.keep_alive if lane else _KEPT)
    return spec if params == spec.params else spec.model_copy(update={"params": params})
