"""The vendors' terms: which parameters are called what, and which are refused together.

The council asks in one language (`temperature`, `top_p`, `max_tokens`, `seed`, ...), and its nodes
set a temperature of their own; some vendors answer some of that with a 400. What the table says is
renamed or left out before it is sent. The table ages with every new model, so a vendor that says
outright which parameter it does not take is asked again without it, and not sent it again in this
process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mom_council.councils.schema import Model
from mom_council.models.providers import PROVIDERS
from mom_council.models.retry import Failure

OPENAI = PROVIDERS["openai"].home
Params = Mapping[str, Any]


class Term(NamedTuple):
    """What is left out, of which models' parameters, and when."""

    left_out: tuple[str, ...]
    when: Callable[[Params], bool] = lambda params: True
    models: str = ""
    """A regular expression for the beginning of the model's name; empty: every model."""
    anywhere: bool = False
    """Whether it holds for others, too, who speak the vendor's protocol."""


_SAMPLING = ("temperature", "top_p", "top_k")
_OPENAI = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty"),
    *("logprobs", "top_logprobs", "logit_bias", "stop"),
)
"""What OpenAI's reasoning models refuse."""


_CHAT_ALONE = ("seed", "stop", "presence_penalty", "frequency_penalty", "logit_bias")
"""What OpenAI's newer interface, `/v1/responses`, does not know."""


def _responds(params: Params) -> bool:
    asked = params.get("use_responses_api")
    return bool("reasoning" in params if asked is None else asked)


def _reasons(params: Params) -> bool:
    effort = params.get("reasoning_effort") or (params.get("reasoning") or {}).get("effort")
    return effort not in (None, "none")


def _thinks(params: Params) -> bool:
    return (params.get("thinking") or {}).get("type") in ("enabled", "adaptive")


TERMS: dict[str, tuple[Term, ...]] = {
    "openai": (
        Term(_CHAT_ALONE, _responds, anywhere=True),
        Term(_OPENAI, models=r"o\d|codex-|gpt-5(?!\.|-chat)"),
        Term(_OPENAI, _reasons, models=r"gpt-(5\.|[6-9])(?!.*chat)"),
    ),
    "anthropic": (
        Term(("seed", "frequency_penalty", "presence_penalty", "logit_bias", "min_p")),
        Term(
            _SAMPLING,
            models=r"claude-(opus-4-[7-9]|(opus|sonnet|haiku)-([5-9]|\d\d)(?!\d)|fable|mythos)",
        ),
        Term(("temperature", "top_k"), _thinks),
        Term(("top_p",), lambda params: _thinks(params) and params["top_p"] < 0.95),
        Term(("top_p",), lambda params: params.get("temperature") is not None),
    ),
    "mistralai": (
        Term(("top_k", "min_p", "logit_bias")),
        Term(("top_p",), lambda params: params.get("temperature") == 0),
    ),
    "deepseek": (Term(("logprobs", "top_logprobs"), models="deepseek-reasoner"),),
    "cohere": (
        Term(("min_p", "logit_bias")),
        Term(("p",), lambda params: params["p"] >= 1),
    ),
}
"""Each vendor's, in the order they are applied. Docs: `docs/models.md`."""

NAMES: dict[str, dict[str, str]] = {
    "anthropic": {"stop": "stop_sequences", "max_completion_tokens": "max_tokens"},
    "mistralai": {"seed": "random_seed", "max_completion_tokens": "max_tokens"},
    "cohere": {
        "top_p": "p",
        "top_k": "k",
        "stop": "stop_sequences",
        "max_completion_tokens": "max_tokens",
    },
}
"""What a vendor calls a parameter, where it is not the usual name."""

_MAY_GO = (*_OPENAI, "top_k", "min_p", "seed", "random_seed", "p", "k")
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

    OpenAI's terms hold at its own address only: others who speak its protocol have their own.
    """
    names = NAMES.get(spec.provider, {})
    taken = {names.get(name, name): value for name, value in params.items()}
    for name in _refused.get(_whose(spec), ()):
        taken.pop(name, None)
    elsewhere = spec.provider == "openai" and spec.base_url is not None
    elsewhere = elsewhere and str(spec.base_url).rstrip("/") != OPENAI
    for term in TERMS.get(spec.provider, ()):
        if re.match(term.models, spec.model) and (term.anywhere or not elsewhere):
            for name in term.left_out:
                if name in taken and term.when(taken):
                    del taken[name]
    return taken


def accepts(spec: Model, params: Params, name: str) -> bool:
    """Whether one of the parameters is sent, under whatever name."""
    called = NAMES.get(spec.provider, {}).get(name, name)
    return called in adapt_params(spec, params)


def remember_rejection(spec: Model, params: Params, failure: Failure) -> bool:
    """Whether the vendor named a parameter that it does not take; it is left out from now on."""
    if failure.status not in (400, 422) or not _SAYS_NO.search(failure.reason):
        return False
    known = _refused.get(_whose(spec), frozenset())
    names = NAMES.get(spec.provider, {})
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
