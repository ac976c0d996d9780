"""The vendors' terms: which parameters are called what, and which are refused together.

The council asks in one language (`temperature`, `top_p`, `max_tokens`, `seed`, ...), and its nodes
set a temperature of their own; some vendors answer some of that with a 400. What a vendor's
profile says is renamed or left out before it is sent. Profiles age with every new model, so a
vendor that says outright which parameter it does not take is asked again without it, and not sent
it again in this process.
"""

from __future__ import annotations

import re
from typing import Any

from mom_council.councils.schema import Model
from mom_council.models.retry import Failure
from mom_council.vendors import Params, vendor_of

_MAY_GO = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"),
    *("top_logprobs", "logit_bias", "stop"),
    *("top_k", "min_p", "seed", "random_seed", "p", "k"),
)
"""What is left out when a vendor says that it does not take it; a length limit, say, never is."""
_SAYS_NO = re.compile(
    r"unsupported|not supported|does not support|deprecated|not permitted|not allowed"
    r"|incompatible|not compatible|cannot both|only the default",
    re.IGNORECASE,
)

_refused: dict[tuple[str, str | None, str], frozenset[str]] = {}
"""Parameters that a model was found not to take."""


def adapt_params(spec: Model, params: Params) -> dict[str, Any]:
    """The parameters as the voice's vendor takes them.

    Where others speak a vendor's protocol, its terms hold at its own address only.
    """
    vendor = vendor_of(spec.provider)
    taken = {vendor.names.get(name, name): value for name, value in params.items()}
    for name in _refused.get(_whose(spec), ()):
        taken.pop(name, None)
    elsewhere = vendor.shared_protocol and not vendor.is_at_home(spec.base_url)
    for exclusion in vendor.excludes:
        holds = exclusion.anywhere or not elsewhere
        if holds and re.match(exclusion.models, spec.model):
            for name in exclusion.params:
                if name in taken and exclusion.when(taken):
                    del taken[name]
    return taken


def accepts(spec: Model, params: Params, name: str) -> bool:
    """Whether one of the parameters is sent, under whatever name."""
    called = vendor_of(spec.provider).names.get(name, name)
    return called in adapt_params(spec, params)


def remember_rejection(spec: Model, params: Params, failure: Failure) -> bool:
    """Whether the vendor named a parameter that it does not take; it is left out from now on."""
    if failure.status not in (400, 422) or not _SAYS_NO.search(failure.reason):
        return False
    known = _refused.get(_whose(spec), frozenset())
    names = vendor_of(spec.provider).names
    sent = {names.get(name, name) for name, value in params.items() if value is not None}
    named = [
        name
        for name in _MAY_GO
        if name in sent - known and re.search(rf"\b{name}\b", failure.reason)
    ]
    if not named:
        return False
    if "both" in failure.reason and len(named) > 1:
        named = named[1:]  # one of them may stay
    _refused[_whose(spec)] = known | {*named}
    return True


def _whose(spec: Model) -> tuple[str, str | None, str]:
    return spec.provider, spec.base_url, spec.model
