"""A conversation as one model was taught to read it: its chat template, made to fit and to hold.

Templates are Jinja, and transformers runs them in its sandbox. Some refuse a system message, or one
that is not the first, or two messages of one side in a row; for those it is folded into what the
person says. A conversation that is longer than the model's context loses the middle of its longest
messages: the question stands at the beginning of ours, and what is to be done at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from mom_council.councils.secrecy import shown
from mom_council.errors import CouncilError

Turn = dict[str, str]

_CUT = "\n[...]\n"
_LEAST = 48
"""Tokens that are left of a message which is shortened."""
_TRIES = 12


def read_template(written: str | None) -> str | None:
    """A template as a council gives it: the text itself, or the file that holds it.

    Raises:
        CouncilError: there is no such file.
    """
    if written is None or "{" in written or "\n" in written:
        return written
    try:
        return Path(written).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CouncilError(
            f"params.chat_template: {shown(written)} cannot be read ({reason}); give a "
            "file, or the template itself"
        ) from None


def render(tokenizer: Any, turns: list[Turn], template: str | None, *, fold: bool | None) -> str:
    """The text that the model goes on from.

    Args:
        tokenizer: the model's own.
        turns: who said what.
        template: in place of the tokenizer's own.
        fold: whether system messages become the person's; None: where the template refuses them,
            or leaves them out.

    Raises:
        CouncilError: there is no template, or it does not work.
    """
    if template is None and not tokenizer.chat_template:
        raise CouncilError(
            "the model has no chat template; give one as `params: {chat_template: FILE}`, or take "
            "the model's sibling that was taught to chat"
        )
    if not fold:
        try:
            text = _apply(tokenizer, turns, template)
        except TemplateError:
            if fold is False:
                raise _broken(tokenizer, turns, template) from None
        else:
            told = [turn["content"].strip() for turn in turns if turn["role"] == "system"]
            if fold is False or all(one in text for one in told):
                return text
    turns = folded(turns)
    try:
        return _apply(tokenizer, turns, template)
    except TemplateError:
        raise _broken(tokenizer, turns, template) from None


def folded(turns: list[Turn]) -> list[Turn]:
    """The conversation without system messages, the two sides by turns, the person first."""
    made: list[Turn] = []
    for turn in turns:
        role = "assistant" if turn["role"] == "assistant" else "user"
        if made and made[-1]["role"] == role:
            made[-1] = {"role": role, "content": f"{made[-1]['content']}\n\n{turn['content']}"}
        elif not made and role == "assistant":
            made += [{"role": "user", "content": "(The conversation begins here.)"}, dict(turn)]
        else:
            made.append({"role": role, "content": turn["content"]})
    return made


def fitted(
    tokenizer: Any, turns: list[Turn], room: int, template: str | None, *, fold: bool | None
) -> tuple[list[int], int]:
    """The prompt's tokens, at most `room` of them; and how many there were before.

    Raises:
        CouncilError: see `render`.
    """
    ids = _ids(tokenizer, render(tokenizer, turns, template, fold=fold))
    whole = len(ids)
    for _ in range(_TRIES):
        over = len(ids) - room
        if over <= 0:
            return ids, whole
        if not _shorten_longest(tokenizer, turns := [dict(turn) for turn in turns], over):
            break
        ids = _ids(tokenizer, render(tokenizer, turns, template, fold=fold))
    return (ids, whole) if len(ids) <= room else (ids[-room:], whole)


def _shorten_longest(tokenizer: Any, turns: list[Turn], over: int) -> bool:
    """Take the middle out of the longest message; False when none can be shortened."""
    tokens = [_ids(tokenizer, turn["content"]) for turn in turns]
    place = max(range(len(turns)), key=lambda one: len(tokens[one]))
    longest = tokens[place]
    left = max(_LEAST, len(longest) - over - len(_ids(tokenizer, _CUT)) - 4)
    if left >= len(longest) - 1:
        return False
    head, tail = longest[: left // 2], longest[len(longest) - (left - left // 2) :]
    parts = (tokenizer.decode(part, skip_special_tokens=True) for part in (head, tail))
    turns[place]["content"] = _CUT.join(parts)
    return True


def _ids(tokenizer: Any, text: str) -> list[int]:
    # The template has written whatever special tokens there are to be.
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def _apply(tokenizer: Any, turns: list[Turn], template: str | None) -> str:
    text: str = tokenizer.apply_chat_template(
        turns, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    return text


def _broken(tokenizer: Any, turns: list[Turn], template: str | None) -> CouncilError:
    try:
        _apply(tokenizer, turns, template)
    except TemplateError as error:
        line = " ".join(str(error).split())[:200]
        return CouncilError(f"the chat template does not take this conversation: {line}")
    raise AssertionError("it failed a moment ago")
