"""The front door of a program: a question in, a typed answer out, without a word of LangGraph.

answer = ask("What is 17 + 25?", council="demo")
answer.text, answer.dissent, answer.cost
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import DeliberationError, InputError
from mom_council.graph.council import NO_MODELS, load_with_models
from mom_council.models.clients import run_in_background_loop
from mom_council.models.images import picture_block
from mom_council.records import Status
from mom_council.runs.ask import OpenCouncil, Run, open_runs
from mom_council.runs.checkpoints import MEMORY

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


@dataclass(frozen=True, slots=True)
class CouncilAnswer:
    """What a council answered."""

    text: str
    status: Status
    thread: str | None = None
    """The conversation that it belongs to; None where nothing is kept."""

    @property
    def dissent(self) -> tuple[str, ...]:
        """The characters that still disagree after the vote."""
        return self.status.dissent

    @property
    def cost(self) -> float | None:
        """US dollars; None where no price is known."""
        return self.status.usage.usd


async def aask(
    question: str,
    *,
    council: Council | str | Mapping[str, Any] = "demo",
    models: Mapping[str, BaseChatModel] = NO_MODELS,
    images: Sequence[str | Path] = (),
    thread: str | None = None,
    context: CouncilContext | None = None,
) -> CouncilAnswer:
    """Ask a council.

    Args:
        question: in words.
        council: a preset's name, a YAML file, a mapping, or a `Council`.
        models: LangChain chat models of yours, by the keys of `models` that they stand for.
        images: paths of pictures that the question is about.
        thread: a conversation to go on with, kept where `mom` keeps its threads; left out, nothing
            is kept.
        context: settings of this question.

    Raises:
        MixtureError: the council cannot sit, or could not answer.
    """
    content: Any = question
    if images:
        pictures = await asyncio.to_thread(_read_pictures, [Path(image) for image in images])
        content = [{"type": "text", "text": question}, *pictures]
    rules = load_with_models(council, models)
    async with open_runs(MEMORY if thread is None else None) as saver:
        opened = OpenCouncil(rules, None if thread is None else saver)
        run = Run(
            opened,
            [{"role": "user", "content": content}],
            thread=thread,
            context=context or CouncilContext(),
            state_keys=("messages", "status"),
        )
        values = await run.finish()
    status = values.get("status")
    if status is None:
        raise DeliberationError("the council gave no answer")
    return CouncilAnswer(values["messages"][-1].text, status, thread)


def _read_pictures(files: Sequence[Path]) -> list[dict[str, Any]]:
    try:
        return [picture_block(file.read_bytes(), file.name) for file in files]
    except OSError as error:
        raise InputError(f"a picture cannot be read: {error}") from error


def ask(
    question: str,
    *,
    council: Council | str | Mapping[str, Any] = "demo",
    models: Mapping[str, BaseChatModel] = NO_MODELS,
    images: Sequence[str | Path] = (),
    thread: str | None = None,
    context: CouncilContext | None = None,
) -> CouncilAnswer:
    """Ask a council, for callers without an event loop: as `aask`.

    Raises:
        MixtureError: the council cannot sit, or could not answer.
    """
    return run_in_background_loop(
        lambda: aask(
            question,
            council=council,
            models=models,
            images=images,
            thread=thread,
            context=context,
        )
    )
