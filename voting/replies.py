"""What a model sent, without its wrapping: thoughts removed, JSON found, refusals recognised.

It knows nothing of questions or votes; `answers` and `ballots` read on from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_TAG = r"(?:think|thinking|thought|thoughts|reasoning|reflection)"
_THOUGHT = re.compile(rf"<{_TAG}>.*?</{_TAG}>", re.IGNORECASE | re.DOTALL)
_CLOSING = re.compile(rf"^.*</{_TAG}>", re.IGNORECASE | re.DOTALL)
_OPENING = re.compile(rf"<{_TAG}>.*$", re.IGNORECASE | re.DOTALL)
_CHANNEL = re.compile(r"^.*<\|channel\|>final<\|message\|>", re.DOTALL)
_TOKEN = re.compile(r"</s>|<s>|<eos>|<end_of_turn>|<\|[a-z_]{2,24}\|>")
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_LONGEST = 40_000

_REFUSAL = re.compile(
    r"\b(?:"
    r"i (?:really |honestly |simply )?(?:do not|don't|dont) (?:really )?(?:know|"
    r"have (?:an|the|enough|any) (?:answer|information|idea|data|context))"
    r"|i (?:can ?not|can't|cant|could not|couldn't|will not|won't|must) "
    r"(?:help|assist|answer|provide|comply|fulfil|fulfill|do that|do this|discuss|create|generate|"
    r"engage|support|continue|give|offer|decline|refuse|determine|decide|choose|vote|say)"
    r"|i(?: am|'m) (?:not able|unable|not allowed|not permitted|not sure|not certain|"
    r"not comfortable|unsure)"
    r"|i (?:must |have to |would )?(?:decline|refuse|abstain)"
    r"|(?:i have )?no idea"
    r"|sorry,? (?:but )?(?:i )?(?:can't|cannot|won't)"
    r"|as an ai\b[^.]{0,80}\b(?:cannot|can't|unable|not able|don't)"
    r")",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"^(?:unknown|not known|n/?a|no answer|idk|abstain|pass)[.!]?$", re.IGNORECASE
)


def plain(text: str) -> str:
    """The reply without thoughts and control tokens, stripped.

    A closing tag alone ends thoughts that began in the prompt; an opening tag alone begins
    thoughts that were cut off, so nothing after it is an answer. Only the end of a very long
    reply is kept, because that is where answers and votes stand.
    """
    text = text[-_LONGEST:]
    text = _CHANNEL.sub("", text)
    text = _OPENING.sub("", _CLOSING.sub("", _THOUGHT.sub("", text)))
    return straight(_TOKEN.sub(" ", text)).strip()


def straight(text: str) -> str:
    """Typographic quotes and odd blanks as their plain forms."""
    return text.translate(_PLAIN)


_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "\u200b": "", "\ufeff": ""})


def json_values(text: str) -> list[Any]:
    """Every JSON object or array of a reply, outermost only, in order.

    Fences and prose around them are passed over; a trailing comma is forgiven. What is not JSON
    is left out, never repaired by guessing.
    """
    return [value for value, _ in json_spans(text)]


def json_spans(text: str) -> Iterator[tuple[Any, int]]:
    """The same, each with the place where it ends."""
    decoder = json.JSONDecoder(strict=False)
    at = 0
    tries = 0
    # A bound on the attempts: text full of opening brackets must not cost quadratic time.
    while tries < 200 and (found := re.search(r"[{\[]", text[at:])):
        start = at + found.start()
        tries += 1
        try:
            value, end = _decode(decoder, text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield value, end
        at = end


def _decode(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, start)
    except ValueError:
        mended = _TRAILING_COMMA.sub(lambda comma: " " + comma[1], text[start:])
        value, end = decoder.raw_decode(mended)
        return value, start + end


def is_refusal(text: str) -> bool:
    """Whether a reply declines to answer, or says that it does not know.

    Only its first two sentences are looked at: a long answer that admits a doubt further down is
    still an answer, and so is "I am not sure, but the answer is 42".
    """
    said = plain(text)
    if _UNKNOWN.match(said):
        return True
    opening = " ".join(re.split(r"(?<=[.!?])\s+|\n+", said)[:2])[:300]
    found = _REFUSAL.search(opening)
    if not found:
        return False
    return not re.search(
        r"\banswer(?: is|:)|\\boxed|\"answer\"|"
        r"\b(?:but|however)\b[^.]{0,40}\b(?:is|be|say|guess|think)\b",
        said[found.end() :],
        re.IGNORECASE,
    )
