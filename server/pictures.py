"""A drawn picture on its way to a client: in the text, as Markdown; a chat has no other place."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from mom_council.graph.events import Answered
from mom_council.models.gallery import hung, take_down


async def in_text(answered: Answered, *, kept: bool) -> str:
    """The answer's text with its pictures in it.

    Args:
        answered: the answer.
        kept: whether a thread still names their files; else they are deleted.
    """
    if not answered.pictures:
        return answered.text
    return await asyncio.to_thread(_drawn, answered.text, [*answered.pictures], kept)


def _drawn(text: str, blocks: list[dict[str, Any]], kept: bool) -> str:
    shown = [
        f"![picture](data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()})"
        for file, _ in hung(blocks)
    ]
    if not kept:
        take_down(blocks)
    return "\n\n".join((text, *shown))
