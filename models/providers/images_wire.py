"""Pictures from `/v1/images/generations`: OpenAI's own, and the servers that speak its protocol."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from openai import AsyncOpenAI, BadRequestError

from mom_council.errors import ModelUnavailableError
from mom_council.models.providers.diffusion import Drawn
from mom_council.models.providers.openai_wire import StrictOpenAI

if TYPE_CHECKING:
    import httpx2

    from mom_council.councils.schema import Model
    from mom_council.models.painting import ImageOrder
    from mom_council.models.usage import Meter

_FILTERED = ("content_policy_violation", "moderation_blocked", "content_filter", "safety")
"""What vendors call it when their filter declines a picture."""


async def draw_there(
    spec: Model,
    order: ImageOrder,
    *,
    base_url: str,
    key: str | None,
    at_home: bool,
    client: httpx2.AsyncClient,
    meter: Meter,
) -> Drawn:
    """Ask a server for one picture.

    Sent are the model, the prompt, what `params` say and what the council's painter says; nothing
    that it does not say, because OpenAI refuses what others need.
    """
    sdk = (AsyncOpenAI if at_home else StrictOpenAI)(
        api_key=key or "none",
        base_url=base_url,
        max_retries=0,
        timeout=client.timeout,
        http_client=client,
    )
    more: dict[str, Any] = dict(spec.params)
    if not spec.model.startswith("gpt-image"):  # which sends nothing else, and refuses to be asked
        more.setdefault("response_format", "b64_json")
    said = {
        "size": f"{order.size[0]}x{order.size[1]}" if order.size else None,
        "negative_prompt": order.negative or None,
        "steps": order.steps,
        "guidance_scale": order.guidance,
        "seed": order.seed,
    }
    more |= {name: value for name, value in said.items() if value is not None}
    try:
        answer = await sdk.images.generate(
            model=spec.model, prompt=order.prompt, n=1, extra_body=more
        )
    except BadRequestError as error:
        if _is_filter(error):
            return Drawn(b"", None, filtered=True)
        raise
    if usage := getattr(answer, "usage", None):
        meter.read({"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens})
    return Drawn(_content(answer, spec), order.seed)


def _is_filter(error: BadRequestError) -> bool:
    told = f"{error.code or ''} {error.type or ''} {error.body or ''}".lower()
    return any(word in told for word in _FILTERED)


def _content(answer: Any, spec: Model) -> bytes:
    pictures = getattr(answer, "data", None) or []
    if pictures and (text := pictures[0].b64_json):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return b""
    if pictures and pictures[0].url:
        raise ModelUnavailableError(
            f"{spec.model!r} sent an address in place of the picture, and none is fetched",
            cure="have its server send `b64_json`",
        )
    return b""
