"""Fitting what others wrote into a model's window: the longest text is shortened first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import AnyMessage

from mom_council.models.clients import loop_resources
from mom_council.models.context_window import (
    BYTES_A_TOKEN,
    answer_tokens,
    count_prompt_tokens,
    window_of,
)
from mom_council.models.resolved import ResolvedModel
from mom_council.records import Note

LONGEST_QUOTE = 200_000
"""Bytes of one text of somebody's that others are sent at the most, however large their windows."""
_FITS_EVERYWHERE = 2_048
"""Tokens of a prompt for which no server is asked how large its model's window is."""
_MOST_TRIES = 3
_MARK = 44
"""Bytes of the line that stands for what was left out."""
_LEAST = 200
"""Bytes that are left of a text at the least."""


class PackedPrompt(NamedTuple):
    """The messages of a call, as its model can read them, and what is to be said of that."""

    messages: list[AnyMessage]
    notes: tuple[Note, ...] = ()


async def pack_prompt(
    model: ResolvedModel,
    texts: Sequence[str],
    compose: Callable[[list[str]], list[AnyMessage]],
    params: Mapping[str, Any] | None = None,
) -> PackedPrompt:
    """A call's messages, with the texts in them shortened where its model could not read them all.

    Args:
        model: who is asked. Its fallbacks are taken to read as much.
        texts: what may be shortened: proposals, each of which stands in the prompt once.
        compose: makes the messages of the texts.
        params: parameters of this call alone.
    """
    quoted = [without_middle(text, LONGEST_QUOTE) for text in texts]
    notes: tuple[Note, ...] = ()
    if oversized := sum(before != after for before, after in zip(texts, quoted, strict=True)):
        what = "a text is" if oversized == 1 else f"{oversized} texts are"
        says = f"{what} too long to be quoted whole, and {model.key!r} was sent its ends alone."
        notes = (Note(text=says, kind="prompt_cut", about=model.key),)
    texts = quoted
    messages = compose([*texts])
    needed = count_prompt_tokens(messages)
    if needed <= _FITS_EVERYWHERE or model.is_person:
        return PackedPrompt(messages, notes)
    settings = model.settings
    if (window := await window_of(settings, await loop_resources())) is None:
        return PackedPrompt(messages, notes)
    # An answer's limit may be as large as the window: then half of it is for the prompt.
    answer = answer_tokens({**settings.params, **(params or {})})
    room = window - min(answer, window // 2)
    if needed <= room:
        return PackedPrompt(messages, notes)
    excess, packed = 0.0, [*texts]
    for _ in range(_MOST_TRIES):
        # What is said about the texts, such as how they compare, changes with them.
        if (over := count_prompt_tokens(messages) - room) <= 0:
            break
        excess += over * BYTES_A_TOKEN
        most = _largest_size([_size(text) for text in texts], excess)
        packed = [without_middle(text, most) for text in texts]
        messages = compose(packed)
    shortened = sum(before != after for before, after in zip(texts, packed, strict=True))
    says = f"{model.key!r} reads {window:,} tokens, and its prompt takes about {needed:,}"
    if shortened:
        what = "the longest text" if shortened == 1 else f"the {shortened} longest texts"
        says += f": the middle of {what} was left out"
    if count_prompt_tokens(messages) > room:
        says += "; it may not have been read whole"
    cut = Note(text=f"{says}.", kind="prompt_cut", about=model.key)
    return PackedPrompt(messages, (*notes, cut))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _largest_size(sizes: Sequence[int], excess: float) -> int:
    """The size to which longer texts are shortened, so that all together lose `excess` bytes."""
    left, longest = sum(sizes) - excess, len(sizes)
    for size in sorted(sizes):
        if size * longest > left:
            return max(int(left / longest), _LEAST)
        left, longest = left - size, longest - 1
    return max(sizes, default=0)


def without_middle(text: str, most: int) -> str:
    """A text of so many bytes: its beginning, and its end, where answers stand."""
    if (size := _size(text)) <= most:
        return text
    kept = max(0, len(text) * (most - _MARK) // size)
    head, tail = text[: kept - kept // 3], text[len(text) - kept // 3 :]
    return f"{head}\n[... {len(text) - kept:,} characters left out ...]\n{tail}"
