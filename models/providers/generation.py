"""How a local model is loaded and how it writes: the `params` of a council, typed and checked."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mom_council.errors import CouncilError

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
        said: dict[str, Any] = {
            "do_sample": self.samples,
            "num_beams": self.num_beams if self.num_beams > 1 else None,
            "early_stopping": self.early_stopping if self.num_beams > 1 else None,
            "length_penalty": self.length_penalty if self.num_beams > 1 else None,
            "num_return_sequences": self.sequences if self.sequences > 1 else None,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "repetition_penalty": self.repetition_penalty,
        }
        if self.samples is not False:
            said |= {name: getattr(self, name) for name in ("top_k", "top_p", "min_p")}
            said["temperature"] = self.temperature
        return {name: value for name, value in said.items() if value is not None}


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
            known = [name for name in Settings.model_fields if name[0] == str(first["loc"][0])[:1]]
            what = f"is nothing that huggingface takes; near it there is {known or 'nothing'}"
        raise CouncilError(f"{model!r}: {where}: {what}") from None
