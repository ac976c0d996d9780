"""What of a request a model takes: its parameters, and a JSON schema for its reply.

The council asks in one language (`temperature`, `top_p`, `max_tokens`, `seed`, ...), and its nodes
set a temperature of their own; some vendors answer some of that with a 400. What a vendor's profile
says is renamed or left out before it is sent. Profiles age with every new model, so a model whose
vendor says outright which parameter it does not take is asked again without it. The same holds for
a schema: a server that answers it with a 400 is asked again without it, once. What was found out so
is remembered for the event loop (`LearnedLimits`).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Model
from mom_council.models.capabilities import probed_capabilities
from mom_council.models.retry import Failure
from mom_council.seams.clients import uses_responses_api
from mom_council.vendors import Params, vendor_of
from mom_council.vendors.profile import CALLER_WISHES

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.retry import Failure


_MAY_GO = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"),
    *("top_logprobs", "logit_bias", "stop"),
    *("top_k", "min_p", "seed", "random_seed", "p", "k"),
    *CALLER_WISHES,
)
"""What is left out when a vendor says that it does not take it; a length limit, say, never is."""
_ABOUT_ITS_VALUE = re.compile(
    r"above_max|below_min|out_of_range|greater_than|less_than|invalid_type|_parsing"
    r"|\bbetween\b|greater than|less than|at (least|most)|above max|below min|out of range|[<>]="
    r"|not of type|expected an? |valid (number|integer|string|list)",
    re.IGNORECASE,
)
"""How a server says that a parameter is taken, and only this value is not."""

ModelAddress = tuple[str, str | None, str, int]
"""A model, wherever it stands in councils: provider, address, name, number of a caller's."""


@dataclass(slots=True)
class LearnedLimits:
    """What an event loop's calls found that models do not take, beyond their vendors' profiles."""

    params: dict[ModelAddress, frozenset[str]] = field(default_factory=dict)
    """Parameters that a model does not take."""
    no_schema: set[ModelAddress] = field(default_factory=set)
    """Models that take no JSON schema."""
    no_json_object: set[ModelAddress] = field(default_factory=set)
    """Models that cannot be held to a JSON object."""
    no_tool_choice: set[ModelAddress] = field(default_factory=set)
    """Models that cannot be told to call a tool, or to call one alone."""
    no_tools: set[ModelAddress] = field(default_factory=set)
    """Models that take no tools in their provider's own way."""


def adapt_params(spec: Model, params: Params, limits: LearnedLimits) -> dict[str, Any]:
    """The parameters as the voice's vendor takes them.

    Where others speak a vendor's protocol, its terms hold at its own address only.
    """
    vendor = vendor_of(spec.provider)
    taken = {vendor.names.get(name, name): value for name, value in params.items()}
    for name in limits.params.get(model_address(spec), ()):
        taken.pop(name, None)
    elsewhere = vendor.shared_protocol and not vendor.is_at_home(spec.base_url)
    for exclusion in vendor.excludes:
        holds = exclusion.anywhere or not elsewhere
        if holds and re.match(exclusion.models, spec.model):
            for name in exclusion.params:
                if name in taken and exclusion.when(taken):
                    del taken[name]
    return taken


def with_met_wishes(spec: Model, params: Params) -> dict[str, Any]:
    """The parameters of a question, without what its caller wishes and the vendor has not."""
    met = vendor_of(spec.provider).caller_wishes
    return {
        name: value for name, value in params.items() if name not in CALLER_WISHES or name in met
    }


def accepts(spec: Model, params: Params, name: str, limits: LearnedLimits) -> bool:
    """Whether one of the parameters is sent, under whatever name."""
    called = vendor_of(spec.provider).names.get(name, name)
    return called in adapt_params(spec, params, limits)


def remember_rejection(
    spec: Model, params: Params, failure: Failure, limits: LearnedLimits
) -> bool:
    """Whether the vendor named a parameter that it does not take; it is left out from now on.

    The field of the refusal that names it counts first, then its name in the words. In which words
    it is refused does not matter, unless they say that only its value is wrong.
    """
    if failure.status not in (400, 422):
        return False
    if _ABOUT_ITS_VALUE.search(f"{failure.code} {failure.reason}"):
        return False
    rejected = limits.params.get(model_address(spec), frozenset())
    names = vendor_of(spec.provider).names
    sent = {names.get(name, name) for name, value in params.items() if value is not None}
    may_go = [name for name in _MAY_GO if name in sent - rejected]
    blamed = re.split(r"[.\[\]]+", failure.param)
    culprits = [name for name in may_go if name in blamed]
    culprits = culprits or [name for name in may_go if _names(failure.reason, name)]
    if not culprits:
        return False
    if "both" in failure.reason and len(culprits) > 1:
        culprits = culprits[1:]  # one of them may stay
    limits.params[model_address(spec)] = rejected | {*culprits}
    return True


def _names(words: str, name: str) -> bool:
    """Whether a refusal names a parameter, as it was sent or as `presencePenalty`."""
    head, *rest = name.split("_")
    joined = head + "".join(part.capitalize() for part in rest)
    written = "|".join(map(re.escape, {name, joined}))
    # A name of one letter or one plain word could stand in any sentence: it must be marked.
    if len(name) == 1 or name == "stop":
        written = rf"['`\"](?:{written})['`\"]"
    return re.search(rf"(?<!\w)(?:{written})(?!\w)", words) is not None


def model_address(spec: Model) -> ModelAddress:
    """What is learned of a model is kept under this."""
    return spec.provider, spec.base_url, spec.model, spec.number


_REFUSALS = (400, 422)


class SchemaConstraint:
    """One call's schema, or that it is to be a JSON object, from its first try to its last."""

    def __init__(
        self,
        spec: Model,
        schema: dict[str, Any] | None,
        limits: LearnedLimits,
        *,
        as_json: bool = False,
    ) -> None:
        self._schema = schema
        self._address = model_address(spec)
        self._given_up = False
        if schema is None:
            self._way = vendor_of(spec.provider).json_object
            self._refused_at = limits.no_json_object
            is_able = as_json
        else:
            self._way = vendor_of(spec.provider).schema
            self._refused_at = limits.no_schema
            if spec.structured == "json_schema":
                self._way = self._way or "argument"
            is_able = (
                spec.structured == "json_schema"
                or probed_capabilities(spec).structured is not False
            )
        self._sent = (
            is_able
            and self._way is not None
            and spec.structured != "text"
            and self._address not in self._refused_at
        )

    def arguments(self, chat: BaseChatModel) -> dict[str, Any]:
        """What `astream` is given for it."""
        if not self._sent:
            return {}
        if self._way == "library":
            return schema_arguments(chat, self._schema or {})
        if self._way == "format":
            return {"format": "json" if self._schema is None else self._schema}
        response_format: dict[str, Any] = {"type": "json_object"}
        flat = response_format
        if self._schema is not None:
            title = re.sub(r"[^A-Za-z0-9_-]", "_", str(self._schema.get("title") or "reply"))[:64]
            body = {"name": title, "schema": self._schema, "strict": True}
            response_format = {"type": "json_schema", "json_schema": body}
            flat = {"type": "json_schema", **body}
        if self._way == "body":
            # As `response_format` the SDK would parse the unfinished JSON again with every chunk,
            # and raise where an answer is cut off. On the wire it is the same.
            extra = getattr(chat, "extra_body", None) or {}
            if uses_responses_api(chat):
                return {"extra_body": {**extra, "text": {"format": flat}}}
            return {"extra_body": {**extra, "response_format": response_format}}
        return {"response_format": response_format}

    def refused_by(self, failure: Failure) -> bool:
        """Whether the schema may be why it failed; from now on this call goes without."""
        if not self._sent or failure.status not in _REFUSALS or failure.is_about_words:
            return False
        self._sent, self._given_up = False, True
        return True

    def answered(self) -> None:
        """An answer came; without the schema, where that was given up: then that was the cause."""
        if self._given_up:
            self._refused_at.add(self._address)


def schema_arguments(chat: BaseChatModel, schema: dict[str, Any]) -> dict[str, Any]:
    """How the model's own class holds a reply to a JSON schema; nothing where it has no way.

    A way by a tool is none: the reply would come as a call.
    """
    titled = {"title": "reply", "description": "The reply.", **schema}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a model is too old for it
            structured: Any = chat.with_structured_output(titled, method="json_schema")
    except (NotImplementedError, ValueError, TypeError):
        return {}
    arguments = dict(getattr(getattr(structured, "first", None), "kwargs", {}))
    return {} if "tools" in arguments else arguments
