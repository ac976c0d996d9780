"""Which models are meant: keys of a council, or `provider:model`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.errors import UnknownNameError
from mom_council.models.weights import SHIPPED, downloaded_weights


def models_named(
    names: Sequence[str], council: Council | None, base_url: str | None = None
) -> tuple[Council, dict[str, str]]:
    """A council that has the models, and their keys in it, each with the name it was given.

    Args:
        names: of the models; none: all of the council.
        council: whose keys are meant.
        base_url: where a `provider:model` is served, if not at the usual place.

    Raises:
        UnknownNameError: a name stands for nothing.
        CouncilError: a model cannot be called that.
    """
    if council is not None and not names:
        return council, {key: key for key in council.models}
    models: dict[str, Any] = {} if council is None else dict(council.models)
    keys: dict[str, str] = {}
    for name in dict.fromkeys(names):
        if name in models:
            keys[name] = name
            continue
        provider, _, model = name.partition(":")
        if not model or not provider.isidentifier():
            known = [*models]
            near = get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else "write it as provider:model"
            raise UnknownNameError(f"there is no model {name!r}", cure=meant)
        key = name.replace(":", " ").replace("/", "_")[:64]
        voice = {"provider": provider, "model": model, "base_url": base_url, "timeout": 300}
        models[key] = {field: value for field, value in voice.items() if value is not None}
        keys[key] = name
    if council is None:
        return _council(models), keys
    written = council.model_dump(exclude_unset=True)
    return load_council({**written, "models": {**written["models"], **_new(models)}}), keys


def _new(models: dict[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in models.items() if isinstance(one, dict)}


def _council(models: dict[str, Any]) -> Council:
    """The smallest council that has the models."""
    first = next(iter(models))
    return load_council(
        {
            "name": "probe",
            "models": models,
            "characters": [{"name": "One", "model": first}],
            "synthesizer": {"model": first},
            "thermal": None,
            "prompts": "short" if _all_tiny(models) else "standard",
        }
    )


def _all_tiny(models: dict[str, Any]) -> bool:
    """Whether they are all of those that come with the package, and know one way of being asked."""
    tiny = downloaded_weights(SHIPPED)
    return all(
        one.get("provider") == "embedded" and one.get("model") in tiny for one in models.values()
    )
