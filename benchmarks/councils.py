"""The councils that are measured, and the graph around them that a caller would have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.graph.council import compile_council
from mom_council.runs.checkpoints import open_checkpointer

NAMES = ("Ada", "Boris", "Clara", "Dmitri", "Elena", "Farid")
QUESTION = "A train leaves at nine and another at ten. Which one is faster, and why?"


def two_layers(base_url: str) -> Council:
    """Six proposers, six that improve on them, a synthesizer: 13 calls, no ballots."""
    improvers = [f"{name} again" for name in NAMES]
    return _council(
        base_url,
        [*NAMES, *improvers],
        layers=[list(NAMES), improvers],
        deliberation={"method": "none", "rounds": {"min": 1, "max": 1}, "quorum": 1.0},
    )


def six_that_vote(base_url: str) -> Council:
    """Six proposers, six ballots, a synthesizer: 13 calls a turn."""
    deliberation = {"rounds": {"min": 1, "max": 1}, "quorum": 1.0, "ballots": "always"}
    return _council(base_url, NAMES, deliberation=deliberation)


def _council(base_url: str, names: Any, **more: Any) -> Council:
    voice = {"provider": "openai", "model": "voice", "base_url": base_url, "timeout": 120}
    characters = [
        {"name": name, "model": "voice", "personality": f"You are {name}, and you are brief."}
        for name in names
    ]
    written = {"name": "bench", "models": {"voice": voice}, "characters": characters}
    return load_council({**written, "synthesizer": {"model": "voice"}, "thermal": None, **more})


@asynccontextmanager
async def sitting(council: Council, url: str | None) -> AsyncIterator[Any]:
    """The compiled council, with its threads kept at `url`, or nowhere."""
    if url is None:
        yield compile_council(council)
        return
    async with open_checkpointer(url) as saver:
        yield compile_council(council, saver)
