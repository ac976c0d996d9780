"""Holding a reply to a JSON schema, in each provider's own way, where it can be done at all.

A server that answers the schema with a 400 is asked again without it, once; if it then answers,
it is not sent a schema again in this process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Model
from mom_council.models.capabilities import probed_capabilities
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.retry import Failure

_REFUSALS = (400, 422)

_unable: set[tuple[str, str | None, str]] = set()
"""Models that were found not to take a schema: provider, address, name."""


def uses_responses_api(chat: BaseChatModel) -> bool:
    """Whether a model of OpenAI's is asked through its newer interface, `/v1/responses`."""
    asks: Callable[[dict[str, Any]], bool] | None = getattr(chat, "_use_responses_api", None)
    return asks is not None and asks({**(getattr(chat, "model_kwargs", None) or {})})


class SchemaConstraint:
    """One call's schema, from its first try to its last."""

    def __init__(self, spec: Model, schema: dict[str, Any] | None) -> None:
        self._schema = schema
        self._way = vendor_of(spec.provider).schema
        if spec.structured == "json_schema":
            self._way = self._way or "argument"
        self._whose = (spec.provider, spec.base_url, spec.model)
        self._sent = (
            schema is not None
            and self._way is not None
            and spec.structured != "text"
            and self._whose not in _unable
            and (
                spec.structured == "json_schema"
                or probed_capabilities(spec).structured is not False
            )
        )
        self._given_up = False

    def arguments(self, chat: BaseChatModel) -> dict[str, Any]:
        """What `astream` is given for it."""
        if not self._sent or self._schema is None:
            return {}
        if self._way == "format":
            return {"format": self._schema}
        named = re.sub(r"[^A-Za-z0-9_-]", "_", str(self._schema.get("title") or "reply"))[:64]
        body = {"name": named, "schema": self._schema, "strict": True}
        wanted = {"type": "json_schema", "json_schema": body}
        if self._way == "body" and not uses_responses_api(chat):
            # As `response_format` the SDK would parse the unfinished JSON again with every chunk,
            # and raise where an answer is cut off. On the wire it is the same.
            extra = getattr(chat, "extra_body", None) or {}
            return {"extra_body": {**extra, "response_format": wanted}}
        if self._way == "body":
            extra = getattr(chat, "extra_body", None) or {}
            return {"extra_body": {**extra, "text": {"format": {"type": "json_schema", **body}}}}
        return {"response_format": wanted}

    def refused_by(self, failure: Failure) -> bool:
        """Whether the schema may be why it failed; from now on this call goes without."""
        if not self._sent or failure.status not in _REFUSALS:
            return False
        self._sent, self._given_up = False, True
        return True

    def answered(self) -> None:
        """An answer came; without the schema, where that was given up: then that was the cause."""
        if self._given_up:
            _unable.add(self._whose)
