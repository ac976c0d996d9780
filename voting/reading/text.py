"""What a model sent, as people may see it: without thoughts and control tokens. And its JSON.

Models mark their thoughts in many dialects. One function removes them all; what it leaves is both
what people see and what answers and votes are read from.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

_LONGEST = 40_000
"""Characters at the end of a reply that answers and votes are read from."""

# --- thoughts ---------------------------------------------------------------------------------

_WORDS = (
    r"think|thinking|thought|thoughts|reason|reasoning|reflection|scratchpad|"
    r"inner_monologue|internal_monologue|seed:think|mm:think|antthinking"
)
_OPEN = (
    rf"<(?:{_WORDS})(?:\s[^<>\n]{{0,80}})?>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|"
    r"<\|start_thinking\|>|<\|begin_of_thinking\|>|<\|channel>thought|<unused94>thought"
)
_CLOSE = (
    rf"</(?:{_WORDS})\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|end_thinking\|>|"
    r"<\|end_of_thinking\|>|<channel\|>|<unused95>"
)
_MARK = re.compile(rf"(?P<open>{_OPEN})|(?P<close>{_CLOSE})", re.IGNORECASE)
_SPOKEN = re.compile(r"\AThinking\.\.\.\n.*?\n\s*\.\.\.done thinking\.\s*", re.DOTALL)

# --- control tokens ---------------------------------------------------------------------------

_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*(?:final|response)\b[^<]{0,40}<\|message\|>", re.I)
_OTHER_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary|thought)\b", re.I)
_BARE_CHANNEL = re.compile(r"\A\s*analysis(?=[A-Z]|\s).*?assistant\s?final", re.DOTALL)
_NEXT_TURN = re.compile(
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|start\|>|<\|start_of_role\|>)\s*user\b"
    r"|<[|｜](?:user|User)[|｜]>",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"(?:<\|im_start\|>|<start_of_turn>|<\|start\|>|<\|start_header_id\|>|<\|start_of_role\|>)"
    r"\s*(?:assistant|model|system)\b[ \t]*(?:<\|end_header_id\|>|<\|end_of_role\|>)?\s*",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"<[|｜][A-Za-z0-9_▁/:-]{1,40}[|｜]>|<\|?/?(?:bos|eos|pad|unk|end_of_turn|start_of_turn|"
    r"end_of_text|endoftext|im_end|im_start|eot_id|eot|sep)\|?>|\[/?INST\]|<</?SYS>>|"
    r"◁/?(?:answer|response)▷|<unused\d{1,3}>",
    re.IGNORECASE,
)
_ENDS = ("</s>", "<s>")


def visible_text(text: str) -> str:
    """The reply without thoughts and control tokens, stripped: what people see.

    A closing mark alone ends thoughts that began in the prompt. An opening mark alone begins
    thoughts that were cut off, so nothing after it is an answer. A mark in backticks or inside a
    code block is text that the reply talks about, and stays.
    """
    if "<" in text or "[" in text or "◁" in text:
        text = _without_channels(text)
        text = _without_thoughts(text)
        text = _without_tokens(text)
    if text.startswith("Thinking...\n"):
        text = _SPOKEN.sub("", text, count=1)
    if text.lstrip().startswith("analysis") and "assistant" in text:
        text = _BARE_CHANNEL.sub("", text, count=1)
    return text.strip()


def _without_channels(text: str) -> str:
    """Harmony: what the last `final` channel says; nothing where there are thoughts alone."""
    if "channel|>" not in text.lower():
        return text
    finals = list(_FINAL_CHANNEL.finditer(text))
    if finals:
        text = text[finals[-1].end() :]
        return re.split(r"<\|(?:return|end|call)\|>", text, maxsplit=1)[0]
    other = _OTHER_CHANNEL.search(text)
    if other is None:
        return text
    ended = text.rfind("<|end|>")
    after = text[ended:] if ended > other.start() else ""
    return text[: other.start()] + (after if "<|channel|>" not in after else "")


def _without_thoughts(text: str) -> str:
    kept: list[str] = []
    at = opened = 0
    thinking = in_code = False
    fences = [fence.start() for fence in _FENCE.finditer(text)]
    passed = 0
    for mark in _MARK.finditer(text):
        if thinking:
            if mark["close"]:
                thinking = in_code = False
                at = mark.end()
            continue
        while passed < len(fences) and fences[passed] < mark.start():
            in_code = not in_code if fences[passed] >= at else in_code
            passed += 1
        # A mark in backticks or in a block of code is talked about.
        if in_code or _in_backticks(text, mark):
            continue
        if mark["open"]:
            kept.append(text[at : mark.start()])
            thinking = True
            opened = mark.start()
        else:
            kept.clear()
            at = mark.end()
    if thinking:
        return "".join(kept) if _opens_thoughts(text, opened) else "".join([*kept, text[opened:]])
    return "".join([*kept, text[at:]]) if at else text


_FENCE = re.compile("```")


def _in_backticks(text: str, mark: re.Match[str]) -> bool:
    before, after = text[max(0, mark.start() - 3) : mark.start()], text[mark.end() : mark.end() + 3]
    return (before[-1:] == "`" and before != "```") or (after[:1] == "`" and after != "```")


def _opens_thoughts(text: str, at: int) -> bool:
    """Whether an opening mark that nothing closes begins thoughts: it begins the text or a line."""
    before = text[max(0, at - 200) : at].rstrip(" \t")
    return not before or before.endswith(("\n", ">"))


def _without_tokens(text: str) -> str:
    turn = _NEXT_TURN.search(text)
    if turn and text[: turn.start()].strip():
        text = text[: turn.start()]
    text = _ROLE.sub("", text)
    text = _TOKEN.sub(lambda token: "" if token.start() == 0 else " ", text)
    text = text.strip()
    while text[-4:].lower() in _ENDS or text[-3:].lower() in _ENDS:
        text = text[: text.rindex("<")].rstrip()
    return text[3:] if text[:3].lower() == "<s>" and "</s>" not in text else text


# --- plain text -------------------------------------------------------------------------------

_STRAIGHT = str.maketrans({
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "「": '"', "」": '"',
    "『": '"', "』": '"', "\u200b": "", "\ufeff": "", "\u200e": "", "\u200f": "", "\u2060": "",
    "\u00ad": "", "\u202a": "", "\u202c": "", "\u2028": "\n", "\u2029": "\n", "\u0085": "\n",
    "：": ":", "，": ",", "；": ";", "（": "(", "）": ")", "［": "[", "］": "]", "！": "!",
    "？": "?", "％": "%", "＝": "=", "＋": "+", "－": "-", "．": ".", "／": "/", "｛": "{",
    "｝": "}", "＄": "$", "￥": "¥", "∕": "/", "⁄": "/", "٫": ".", "٬": ",", "٪": "%", "،": ",",
    "؛": ";", "؟": "?",
})  # fmt: skip
_WIDE = re.compile(r"[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_DIGIT = re.compile(r"[^\W\x00-\x7f_]")


def plain_text(text: str) -> str:
    """What people see, its last 40,000 characters, with quotes, digits and signs written plainly.

    Only the end of a very long reply is kept, because that is where answers and votes stand.
    """
    if len(text) > 10 * _LONGEST:
        text = text[-10 * _LONGEST :]
    return straight(visible_text(text)[-_LONGEST:]).strip()


def straight(text: str) -> str:
    """Typographic quotes, wide letters, digits of other scripts and odd blanks as plain ones."""
    if text.isascii():
        return text
    text = text.translate(_STRAIGHT)
    text = _WIDE.sub(lambda sign: chr(ord(sign[0]) - 0xFEE0), text)
    return _DIGIT.sub(_plain_digit, text)


def _plain_digit(sign: re.Match[str]) -> str:
    value = unicodedata.decimal(sign[0], None)
    return sign[0] if value is None else str(value)


# --- JSON -------------------------------------------------------------------------------------

_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_OPENING = re.compile(r"[{\[]")
_MOST_TRIES = 200


def json_values(text: str) -> list[Any]:
    """Every JSON object or array of a reply, outermost only, in order.

    Fences and prose around them are passed over; a trailing comma is forgiven. What is not JSON
    is left out, never repaired by guessing.
    """
    return [value for value, _, _ in json_spans(text)]


def json_spans(text: str) -> Iterator[tuple[Any, int, int]]:
    """The same, each with the places where it starts and ends."""
    decoder = json.JSONDecoder(strict=False)
    at = 0
    # A bound on the attempts: text full of opening brackets must not cost quadratic time.
    for _ in range(_MOST_TRIES):
        bracket = _OPENING.search(text, at)
        if bracket is None:
            return
        start = bracket.start()
        try:
            value, end = _decode(decoder, text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield value, start, end
        at = end


def _decode(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, start)
    except ValueError:
        if not _TRAILING_COMMA.search(text, start):
            raise
        mended = _TRAILING_COMMA.sub(lambda comma: " " + comma[1], text[start:])
        value, end = decoder.raw_decode(mended)
        return value, start + end
