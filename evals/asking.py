"""Asking one member of a council on its own, and doing a thing to many cases at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from mom_council.councils.schema import Character, Council
from mom_council.deliberation.ask_model import compose_messages
from mom_council.errors import (
    BudgetError,
    CouncilError,
    MixtureError,
    ModelError,
    ModelUnavailableError,
    StorageError,
)
from mom_council.evals.cases import Case
from mom_council.models.ledger import name_of
from mom_council.models.prices import charge_to, charged_account
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import speak
from mom_council.models.spending import Account, SpendingLimits
from mom_council.prompts import render
from mom_council.records import Usage
from mom_council.voting.methods import METHODS

T = TypeVar("T")
R = TypeVar("R")


async def map_concurrently(
    items: Sequence[T], act: Callable[[T], Awaitable[R]], concurrency: int
) -> AsyncIterator[tuple[T, R]]:
    """Each item with what came of it, as they are done.

    What still runs when the caller leaves is cancelled. Where the calls are charged to an account
    that has no room for an item any more, that item is left out, and no further one is begun.

    Args:
        items: in the order they are begun.
        act: what is done to each; its error ends the whole.
        concurrency: how many are under way at a time.
    """
    waiting = iter(items)
    running: dict[asyncio.Future[tuple[R, bool]], T] = {}
    try:
        while True:
            while len(running) < max(1, concurrency) and (one := next(waiting, None)) is not None:
                running[asyncio.ensure_future(_within_budget(act, one))] = one
            if not running:
                return
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                item, (result, is_whole) = running.pop(task), task.result()
                if is_whole:
                    yield item, result
                else:
                    waiting = iter(())
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _within_budget(act: Callable[[T], Awaitable[R]], item: T) -> tuple[R, bool]:
    """What came of an item, and whether the budget had room for all of its calls."""
    account = charged_account()
    if account is None:
        return await act(item), True
    own = Account(SpendingLimits(), parent=account)
    with charge_to(own):
        result = await act(item)
    return result, not own.refusals and own.seconds_left > 0


def refuse_nothing_finished() -> BudgetError:
    """The error of a budget that ended before anything was finished."""
    return BudgetError(
        "the budget is spent, and no question is finished", cure="allow more, or ask fewer"
    )


def describe_fault(error: Exception) -> str:
    """What a question's row says of a fault that ended it; the evaluation goes on.

    Raises:
        CouncilError, StorageError: the fault is of the council or of this machine, so every
            other question would meet it too.
    """
    if isinstance(error, CouncilError | StorageError):
        raise error
    known = isinstance(error, MixtureError)
    return str(error) if known else f"{type(error).__name__}: {error}"


class SoloAnswer(NamedTuple):
    """What a member answered on its own. No text: it failed, and `error` says how."""

    text: str
    usage: Usage
    model: str = ""
    """Provider/model of the voice that answered, fallbacks included."""
    error: str = ""


async def ask_alone(
    council: Council, who: Character, case: Case, *, temperature: float | None = None
) -> SoloAnswer:
    """Ask a member as the graph asks it in the first round.

    Args:
        council: whose prompts, models and limits hold.
        who: the member.
        case: the question.
        temperature: of this call; the member's own if left out.
    """
    prompt = render(
        "character",
        style=council.prompts,
        name=who.name,
        personality=who.personality,
        speaking_style=who.speaking_style,
        thought_process=who.thought_process,
        interests=who.interests,
        question=case.prompt,
        restated="",
        earlier=[],
        own="",
        round=1,
        layer=1,
        method=council.deliberation.method,
        method_instruction=METHODS[council.deliberation.method].character_instruction,
    )
    wanted = who.temperature if temperature is None else temperature
    params = {} if wanted is None else {"temperature": wanted}
    account = charged_account()
    if account is not None:
        worst_price = council.budget.worst_price
        account = Account(SpendingLimits(), parent=account, worst_price=worst_price)
    try:
        model = resolve_model(council, who.model)
        with charge_to(account):
            reply = await speak(model, compose_messages(prompt), params=params)
    except ModelError as error:
        used = error.usage if isinstance(error, ModelUnavailableError) else None
        return SoloAnswer("", used or Usage(), error=str(error))
    except Exception as error:
        return SoloAnswer("", Usage(), error=describe_fault(error))
    return SoloAnswer(reply.text.strip(), reply.usage, name_of(council.models[reply.model]))


async def ask_members(
    council: Council, members: Sequence[Character], case: Case
) -> dict[str, SoloAnswer]:
    """Ask members on their own, side by side; by their names, in this order."""
    answers = await asyncio.gather(*(ask_alone(council, who, case) for who in members))
    return {who.name: answer for who, answer in zip(members, answers, strict=True)}
