"""How long a prompt is, how much its model can read, and what is shortened to fit.

A server that is sent more than its window holds cuts the prompt, and most say nothing: Ollama
drops the beginning of a conversation and answers what is left. Only the tokens that it counted
tell. So a prompt is measured before it is sent: Ollama is asked to load as large a window as it
takes, and of what others wrote the longest text is shortened first (`pack_prompt`).
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError
from mom_council.models.capabilities import model_address
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.lanes import answer_bound
from mom_council.models.providers import model_profile
from mom_council.models.resolved import ResolvedModel
from mom_council.records import Note
from mom_council.vendors import load_code, vendor_of

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage, BaseMessage


BYTES_A_TOKEN = 3.2
"""UTF-8 bytes of a token, on the safe side: English has 4 to 5, code and other scripts fewer."""
_MOST_CHARACTERS_A_TOKEN = 8
"""No tokenizer averages more over a text whose repeated characters are left out."""
_TOO_SHORT_TO_JUDGE = 6_000
"""Characters up to which a prompt fits the smallest window that servers use, 2048 tokens."""
_REPEATED = re.compile(r"(.)\1{3,}|\s+", re.DOTALL)
_USUAL_WINDOW = 4_096
"""Tokens that Ollama's models are loaded with when nobody says; less is not asked for."""
_STEP = 1_024
_UNBOUNDED_ANSWER = 2_048
"""Tokens that are left for an answer without a limit of its own."""
_LONGEST_ANSWER = 4_096
"""Tokens that an answer may have where a budget limits it and nobody else does."""
_PICTURE_TOKENS = 1_024
"""What a picture takes, about: vendors count from 85 to 1,600."""


def count_prompt_tokens(messages: Sequence[BaseMessage]) -> int:
    """Tokens that messages take at the most, by their length: nothing is asked."""
    text = others = 0
    for message in messages:
        content = message.content
        if isinstance(content, str):
            text += len(content.encode("utf-8", "replace"))
            continue
        text += len(message.text.encode("utf-8", "replace"))
        for block in content:
            if isinstance(block, dict) and "image" in str(block.get("type")):
                others += _PICTURE_TOKENS
            others += file_tokens(block)
    return math.ceil(text / BYTES_A_TOKEN) + others


def file_tokens(block: Any) -> int:
    """Tokens that a PDF or a sound takes, about: a page of 100 kB up to 3,000, as vendors count."""
    if not isinstance(block, dict) or block.get("type") not in ("file", "audio"):
        return 0
    return _PICTURE_TOKENS + len(str(block.get("base64") or "")) // 32


_WORD = re.compile(r"[A-Za-z]+")
_OF_A_REQUEST = 64
_OF_A_MESSAGE = 8
"""Tokens that a chat template adds."""
_MOST_OF_A_PICTURE = 2_048


def most_prompt_tokens(messages: Sequence[BaseMessage], *schemas: Any) -> int:
    """More tokens than messages take, whoever counts: what a limited budget reserves for them.

    About twice what English takes. A tokenizer takes at the most one token for a digit, a sign, or
    a byte of another script, and rarely more than one for two letters.

    Args:
        messages: what is sent.
        schemas: tools and forms of the reply that go along, as JSON values.
    """
    tokens = _OF_A_REQUEST + len(messages) * _OF_A_MESSAGE
    for message in messages:
        parts = message.content if isinstance(message.content, list) else [message.content]
        tokens += sum(map(_most_of_part, parts))
        tokens += _most_of_part(getattr(message, "tool_calls", None) or "")
        tokens += _most_of_part(message.additional_kwargs or "")
    return tokens + sum(_most_of_part(schema) for schema in schemas if schema)


def _most_of_part(part: Any) -> int:
    if isinstance(part, str):
        return _most_tokens(part)
    kind = str(part.get("type")) if isinstance(part, dict) else ""
    if "image" in kind:
        return _MOST_OF_A_PICTURE
    if kind == "text":
        return _most_tokens(str(part.get("text") or ""))
    if kind in ("file", "audio"):
        return 2 * file_tokens(part)
    return _most_tokens(json.dumps(part, ensure_ascii=False, default=str))


def _most_tokens(text: str) -> int:
    words = [len(word) for word in _WORD.findall(text)]
    # A word takes in one blank before it; every other sign counts as a token of its own.
    signs = len(text.encode("utf-8", "replace")) - sum(words) - len(words)
    return max(0, signs) + sum((length + 1) // 2 for length in words)


def prompt_cut_note(model: str, messages: Sequence[BaseMessage], tokens: int | None) -> Note | None:
    """What to say where a server read far fewer tokens than were sent; None where it read all.

    Args:
        model: its key in the council.
        messages: what was sent.
        tokens: what the server says it read; None or 0: it did not say.
    """
    if not tokens:
        return None
    text = "\n".join([message.text for message in messages])
    if len(text) < max(_TOO_SHORT_TO_JUDGE, tokens * _MOST_CHARACTERS_A_TOKEN):
        return None
    shortest = len(_REPEATED.sub(" ", text)) / _MOST_CHARACTERS_A_TOKEN
    if shortest <= tokens:
        return None
    says = (
        f"{model!r} read {tokens:,} tokens of a prompt of {len(text):,} characters: its server cut "
        "the prompt. Give the model a larger window (`context` in the council's file)."
    )
    return Note(text=says, kind="prompt_cut", about=model)


def answer_tokens(params: Mapping[str, Any]) -> int:
    """Tokens that are left for the answer: its limit, where it has one."""
    return answer_bound(params) or _UNBOUNDED_ANSWER


async def most_answer_tokens(
    spec: Model, messages: Sequence[BaseMessage], here: LoopResources
) -> int:
    """Tokens that an answer may have where a budget needs a limit and the council names none."""
    if vendor_of(spec.provider).window_option is not None:
        return _UNBOUNDED_ANSWER  # a longer one would have the model loaded with a larger window
    window = await window_of(spec, here)
    if window is None:
        return _LONGEST_ANSWER
    return min(_LONGEST_ANSWER, max(window - count_prompt_tokens(messages), window // 4))


async def window_of(spec: Model, here: LoopResources) -> int | None:
    """Tokens that a model reads at once, question and answer together; None: not known.

    What the council says counts, except where the server loads as large a window as it is asked
    for: there it is what the model itself can read. Each server is asked once; of a model that its
    server does not tell, LangChain's profile of the vendor's own models counts.
    """
    vendor = vendor_of(spec.provider)
    if spec.context is not None and vendor.window_option is None:
        return spec.context
    address = model_address(spec)
    if address not in here.windows:
        window = await load_code(vendor.window)(spec) if vendor.window is not None else None
        here.windows[address] = window or await _profiled_window(spec, here)
    return here.windows[address]


async def _profiled_window(spec: Model, here: LoopResources) -> int | None:
    """The window that LangChain's profile of a model says; None: it has none of it."""
    profiled = vendor_of(spec.provider).profiled
    if not profiled or not re.match(profiled, spec.model):
        return None  # opening one takes a second, so no model is opened that has no profile
    try:
        profile = await model_profile(here, spec)
    except MixtureError:
        return None
    window = profile.get("max_input_tokens")
    return window if isinstance(window, int) else None


async def with_window_for(
    spec: Model, messages: Sequence[BaseMessage], params: Mapping[str, Any], here: LoopResources
) -> Model:
    """A model's settings, with as large a window as the longest prompt so far takes.

    Never less than the council says, and never more than the model can read. A vendor whose models
    have a window of their own gets the settings as they are, and so does a prompt that fits anyway.

    Args:
        spec: its settings.
        messages: what it is about to be sent.
        params: with what it is asked, in the council's words.
        here: the loop's, where windows are remembered.
    """
    option = vendor_of(spec.provider).window_option
    if option is None:
        return spec
    address = model_address(spec)
    least = int(params.get(option) or spec.context or 0)
    needed = count_prompt_tokens(messages) + answer_tokens(params)
    needed = max(math.ceil(needed / _STEP) * _STEP, here.loaded_windows.get(address, 0))
    if needed <= max(least, _USUAL_WINDOW):
        return spec
    if (most := await window_of(spec, here)) is not None:
        needed = max(min(needed, most), least)
    here.loaded_windows[address] = needed
    return spec.model_copy(update={"params": {**spec.params, option: needed}})


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
    *,
    seconds: float | None = None,
) -> PackedPrompt:
    """A call's messages, with the texts in them shortened where its model could not read them all.

    Args:
        model: who is asked. Its fallbacks are taken to read as much.
        texts: what may be shortened: proposals, each of which stands in the prompt once.
        compose: makes the messages of the texts.
        params: parameters of this call alone.
        seconds: how long its server may take to say what the model can read; None: its own limit.
    """
    texts = [*texts]
    quoted = [without_middle(text, LONGEST_QUOTE) for text in texts]
    notes: tuple[Note, ...] = ()
    if quoted != texts:
        oversized = sum(before != after for before, after in zip(texts, quoted, strict=True))
        what = "a text is" if oversized == 1 else f"{oversized} texts are"
        says = f"{what} too long to be quoted whole, and {model.key!r} was sent its ends alone."
        notes = (Note(text=says, kind="prompt_cut", about=model.key),)
    texts = quoted
    messages = compose([*texts])
    needed = count_prompt_tokens(messages)
    if needed <= _FITS_EVERYWHERE or model.is_person:
        return PackedPrompt(messages, notes)
    settings = model.settings
    window = None
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            window = await window_of(settings, await loop_resources())
    if window is None:
        return PackedPrompt(messages, notes)
    # An answer's limit may be as large as the window: then half of it is for the prompt.
    answer = answer_tokens({**settings.params, **(params or {})})
    share = window - min(answer, window // 2)
    if needed <= share:
        return PackedPrompt(messages, notes)
    excess, packed = 0.0, [*texts]
    for _ in range(_MOST_TRIES):
        # What is said about the texts, such as how they compare, changes with them.
        if (over := count_prompt_tokens(messages) - share) <= 0:
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
    if count_prompt_tokens(messages) > share:
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
    if len(text) * 4 <= most or (size := _size(text)) <= most:  # four bytes a letter at most
        return text
    letters = max(0, len(text) * (most - _MARK) // size)
    head, tail = text[: letters - letters // 3], text[len(text) - letters // 3 :]
    return f"{head}\n[... {len(text) - letters:,} characters left out ...]\n{tail}"
