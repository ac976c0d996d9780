"""The question's budget: the account that the calls of its nodes are charged to.

What was spent so far stands in the state, in the segments of the nodes that are through. What the
nodes of one superstep spend side by side stands in one account that they share. So a question that
is resumed, in another process too, goes on with what it has left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakValueDictionary

from langgraph.runtime import Runtime

from mom_council.councils.coherence import model_pointers
from mom_council.councils.schema import Council
from mom_council.deliberation.conversation import question_text
from mom_council.deliberation.fan_out import superstep_of
from mom_council.deliberation.selectors import candidates, total_usage
from mom_council.deliberation.state import CouncilState
from mom_council.errors import CouncilError
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.prices import charged_account, find_price
from mom_council.models.resolved import ResolvedModel, resolve_model
from mom_council.models.spending import (
    NOTHING,
    PRICE_CURE,
    Account,
    Amount,
    Need,
    SpendingLimits,
    known_price,
)
from mom_council.records import Usage

_SHARES = {
    "classifier": Amount(2, 2, 2),
    "image_reader": Amount(2, 2, 2),
    "annotator": Amount(2, 2, 2),
    "painter": Amount(1, 2, 2),
}
"""Of nodes that another call is to follow: how many calls are kept back for it, and which part of
the tokens and dollars: one half. The painter lets go of it before the picture is drawn."""
_USUAL_PROPOSAL = 400
"""Tokens of a proposal that nobody has written yet."""
_INSTRUCTIONS = 800
"""Tokens of the synthesizer's prompt beside what it reads."""
_ANSWER = 512
"""Tokens that are kept back for the answer itself."""

_accounts: WeakValueDictionary[tuple[str, ...], Account] = WeakValueDictionary()
"""By superstep, for as long as one of its nodes runs."""


async def open_account(
    state: CouncilState, runtime: Runtime[Any], council: Council, node: str
) -> Account | None:
    """The account of a node's calls; None where the question may spend what it likes.

    Args:
        state: the table.
        runtime: the run.
        council: its rules.
        node: the node's kind: `character`, `synthesizer`, ...

    Raises:
        CouncilError: dollars are limited, and a model has no price.
    """
    budget, parent = council.budget, charged_account()
    limits = SpendingLimits(budget.calls, budget.tokens, budget.usd)
    if budget.usd is not None or (parent is not None and parent.limits_usd):
        await refuse_unpriced(council)
    if not limits.are_set:
        return parent
    key, keep = superstep_of(runtime), NOTHING
    if share := _SHARES.get(node):
        tokens, usd = (budget.tokens or 0) // share.tokens, (budget.usd or 0.0) / share.usd
        keep = Amount(share.calls, tokens, usd)
    elif node != "synthesizer":
        keep = await _for_the_answer(state, council)
    account = _accounts.get(key)
    if account is None:
        begins = node == "classifier"
        account = _accounts[key] = Account(
            limits,
            NOTHING if begins else amount_of(total_usage(state)),
            parent=parent,
            keep=keep,
            worst_price=budget.worst_price,
        )
    return account


def amount_of(usage: Usage) -> Amount:
    """What was used, as an account counts it."""
    return Amount(usage.calls, usage.tokens or 0, usage.usd or 0.0)


async def refuse_unpriced(council: Council, keys: Iterable[str] | None = None) -> None:
    """See that dollars can be counted, for every model that may be asked.

    Args:
        council: whose models they are.
        keys: of those that are asked, with their fallbacks; left out: all that the council may ask.

    Raises:
        CouncilError: the price of one is not known.
    """
    unknown = []
    for model in models_asked(council, keys):
        price = (await find_price(model.settings, council.prices)).price
        if known_price(model.settings, price, council.budget.worst_price) is None:
            unknown.append(model.key)
    if unknown:
        raise CouncilError(
            f"dollars are limited, and no price is known for {', '.join(map(repr, unknown))}",
            cure=PRICE_CURE,
        )


def models_asked(council: Council, keys: Iterable[str] | None = None) -> Iterator[ResolvedModel]:
    """Every model that a question may reach, fallbacks included, each once; people left out."""
    if keys is None:
        pointed = (key for path, key in model_pointers(council) if path[0] != "models")
        keys = dict.fromkeys(pointed)
    chains = [resolve_model(council, key).chain for key in keys]
    models = {model.key: model for chain in chains for model in chain}
    yield from (model for model in models.values() if not model.is_person)


async def _for_the_answer(state: CouncilState, council: Council) -> Amount:
    """What is kept back for the synthesizer: a call, and a third of the rest at the most."""
    standing = candidates(state, council) if state.get("proposals") else []
    texts = [question_text(state), *(proposal.text for proposal in standing)]
    proposals = max(0, len(council.seats[-1]) - len(standing)) * _USUAL_PROPOSAL
    prompt = _INSTRUCTIONS + proposals + sum(most_prompt_tokens([], text) for text in texts)
    writer = resolve_model(council, council.synthesizer.model)
    price = known_price(
        writer.settings,
        (await find_price(writer.settings, council.prices)).price,
        council.budget.worst_price,
    )
    whole, budget = Need(prompt, _ANSWER, _ANSWER, price).amount(_ANSWER), council.budget
    return Amount(
        1,
        0 if budget.tokens is None else min(whole.tokens, budget.tokens // 3),
        0.0 if budget.usd is None else min(whole.usd, budget.usd / 3),
    )
