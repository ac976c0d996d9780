"""The figures of a measurement, as they are printed and written."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleFigures(_Figures):
    """How a rule did. Shares are 0..1."""

    accuracy: float = Field(description="share of questions that it answered right")
    low: float = Field(description="of the bootstrap interval of the accuracy")
    high: float = Field(description="of the bootstrap interval of the accuracy")
    gain: float = Field(description="accuracy above that of plain majority, on the same questions")
    gain_low: float = Field(description="of the paired bootstrap interval of the gain")
    gain_high: float = Field(description="of the paired bootstrap interval of the gain")
    saved: float = Field(description="share of the panel's calls that it did without")
    usd: float = Field(description="what its calls cost per question, in dollars")


class CascadeFigures(_Figures):
    """How a cascade did against asking the strong model alone."""

    accuracy: float
    strong: float = Field(description="accuracy of the strong model alone")
    price: float = Field(description="of the strong model's price; above 1 it costs more")
    escalated: float = Field(description="share of questions that the strong model had to answer")


class PanelFigures(_Figures):
    """Everything that was measured of a panel."""

    dataset: str
    seats: str = Field(description="`panel` or `mixed`")
    models: tuple[str, ...]
    fitted: int = Field(description="questions that weights and thresholds were fitted on")
    questions: int = Field(description="questions that were scored; no other than those fitted on")
    any_right: float = Field(description="share of questions that some member answered right")
    rules: dict[str, RuleFigures]
    exit_saved: float = Field(description="share of calls that the lossless exit does without")
    exit_flips: int = Field(description="questions on which it changes the winner")
    confidence: float = Field(description="mean confidence of the verdicts")
    calibration_error: float = Field(description="in ten bins of equal width")
    error_by_chance: float = Field(description="what a perfect confidence would show on average")
    cascade: CascadeFigures | None = None


class Target(_Figures):
    """A figure that has to reach something."""

    name: str
    value: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether it does; a rounding error is no failure."""
        short = self.bound - self.value if self.at_least else self.value - self.bound
        return short <= 1e-9
