"""A conversation in the chat template of its model, shortened to fit.

Templates are Jinja, and transformers runs them in its sandbox. Some refuse a system message, or one
that is not the first, or two messages of one side in a row; for those it is folded into what the
person says. A conversation that is longer than the model's context loses the middle of its longest
messages: the question stands at the beginning of ours, and what is to be done at the end.

How a local model is loaded and how it writes: the `params` of a council, typed and checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from jinja2 import TemplateError
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mom_council.errors import CouncilError
from mom_council.redaction import quote

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
            f"params.chat_template: {quote(written)} cannot be read ({reason})",
            cure="give a file, or the template itself",
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
            "the model has no chat template",
            cure=(
                "give one as `params: {chat_template: FILE}`, or take the model's "
                "sibling that was taught to chat"
            ),
        )
    if not fold:
        try:
            text = _apply(tokenizer, turns, template)
        except TemplateError:
            if fold is False:
                raise _describe_broken_template(tokenizer, turns, template) from None
        else:
            instructions = [turn["content"].strip() for turn in turns if turn["role"] == "system"]
            if fold is False or all(one in text for one in instructions):
                return text
    turns = folded(turns)
    try:
        return _apply(tokenizer, turns, template)
    except TemplateError:
        raise _describe_broken_template(tokenizer, turns, template) from None


def folded(turns: list[Turn]) -> list[Turn]:
    """The conversation without system messages, the two sides by turns, the person first."""
    merged: list[Turn] = []
    for turn in turns:
        role = "assistant" if turn["role"] == "assistant" else "user"
        if merged and merged[-1]["role"] == role:
            merged[-1] = {"role": role, "content": f"{merged[-1]['content']}\n\n{turn['content']}"}
        elif not merged and role == "assistant":
            merged += [{"role": "user", "content": "(The conversation begins here.)"}, dict(turn)]
        else:
            merged.append({"role": role, "content": turn["content"]})
    return merged


def fitted(
    tokenizer: Any, turns: list[Turn], limit: int, template: str | None, *, fold: bool | None
) -> tuple[list[int], int]:
    """The prompt's tokens, at most `limit` of them; and how many there were before.

    Raises:
        CouncilError: see `render`.
    """
    ids = _ids(tokenizer, render(tokenizer, turns, template, fold=fold))
    whole = len(ids)
    for _ in range(_TRIES):
        over = len(ids) - limit
        if over <= 0:
            return ids, whole
        if not _shorten_longest(tokenizer, turns := [dict(turn) for turn in turns], over):
            break
        ids = _ids(tokenizer, render(tokenizer, turns, template, fold=fold))
    return (ids, whole) if len(ids) <= limit else (ids[-limit:], whole)


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
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _apply(tokenizer: Any, turns: list[Turn], template: str | None) -> str:
    text: str = tokenizer.apply_chat_template(
        turns, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    return text


def _describe_broken_template(
    tokenizer: Any, turns: list[Turn], template: str | None
) -> CouncilError:
    try:
        _apply(tokenizer, turns, template)
    except TemplateError as error:
        line = " ".join(str(error).split())[:200]
        return CouncilError(f"the chat template does not take this conversation: {line}")
    raise AssertionError("it failed a moment ago")


USUAL_LENGTH = 512
"""New tokens at the most, where nobody says."""


class Settings(BaseModel):
    """Everything that `params` may say for a model of Hugging Face's libraries."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    device: str | None = None
    """cuda, cuda:1, mps, cpu; unset: the first GPU there is, else the processor."""
    dtype: str = "auto"
    """float16, bfloat16, float32; auto: as the weights are stored."""
    chat_template: str | None = None
    """A file, or the Jinja text itself, in place of the model's own."""
    fold_system: bool | None = None
    """Whether system messages become the person's; unset: where the template refuses them."""
    max_new_tokens: int = Field(
        default=USUAL_LENGTH, ge=1, validation_alias=AliasChoices("max_new_tokens", "max_tokens")
    )
    do_sample: bool | None = None
    """Unset: as the temperature says, else as the model's own settings do."""
    temperature: float | None = Field(default=None, ge=0, le=10)
    """0 is the likeliest token every time."""
    top_k: int | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    num_beams: int = Field(default=1, ge=1, le=64)
    num_return_sequences: int = Field(default=1, ge=1, le=64)
    """So many answers are written, and the likeliest of them is given."""
    early_stopping: bool | Literal["never"] | None = None
    no_repeat_ngram_size: int | None = Field(default=None, ge=0)
    repetition_penalty: float | None = Field(default=None, gt=0)
    length_penalty: float | None = None
    seed: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _has_beams_for_its_sequences(self) -> Self:
        if 1 < self.num_beams < self.num_return_sequences:
            raise ValueError(
                f"num_return_sequences is {self.num_return_sequences}, and there are "
                f"{self.num_beams} beams; make it at most num_beams"
            )
        return self

    @property
    def samples(self) -> bool | None:
        """Whether tokens are drawn by chance; None: as the model's own settings say."""
        if self.temperature == 0:
            return False
        if self.do_sample is None and self.temperature is not None:
            return True
        return self.do_sample

    @property
    def sequences(self) -> int:
        """How many answers are written: one, where they would all be the same."""
        if self.num_beams == 1 and not self.samples:
            return 1
        return self.num_return_sequences

    @property
    def streams(self) -> bool:
        """Whether an answer can be told as it is written: beams and several answers cannot."""
        return self.num_beams == 1 and self.sequences == 1

    def arguments(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        arguments: dict[str, Any] = {
            "do_sample": self.samples,
            "num_beams": self.num_beams if self.num_beams > 1 else None,
            "early_stopping": self.early_stopping if self.num_beams > 1 else None,
            "length_penalty": self.length_penalty if self.num_beams > 1 else None,
            "num_return_sequences": self.sequences if self.sequences > 1 else None,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "repetition_penalty": self.repetition_penalty,
        }
        if self.samples is not False:
            arguments |= {name: getattr(self, name) for name in ("top_k", "top_p", "min_p")}
            arguments["temperature"] = self.temperature
        return {name: value for name, value in arguments.items() if value is not None}


def read_settings(params: dict[str, Any], model: str) -> Settings:
    """The settings that a council writes.

    Raises:
        CouncilError: one is unknown, or out of its range.
    """
    try:
        return Settings.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, ("params", *first["loc"])))
        what = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            near = [name for name in Settings.model_fields if name[0] == str(first["loc"][0])[:1]]
            what = f"is nothing that huggingface takes; near it there is {near or 'nothing'}"
        raise CouncilError(f"{model!r}: {where}: {what}") from None
