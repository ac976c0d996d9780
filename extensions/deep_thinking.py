"""Deep thinking: the council thinks, votes and thinks again, until it agrees."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from mom_council.councils.schema import Council, MethodName, Share
from mom_council.extensions.protocol import Extension


class ThinkingSettings(BaseModel):
    """How long it may think, and what counts as agreement."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(default=5, ge=2, le=20, description="maximum number of rounds")
    threshold: Share = Field(default=0.7, description="share of the vote that ends it")
    early_stop: bool = Field(default=True, description="stop once they agree; off: all rounds")
    method: MethodName | None = Field(
        default=None,
        description="how votes are counted; left out: as the council does, and by scores of 0 to "
        "10 where it does not vote",
    )


class DeepThinking(Extension):
    """The council's own rounds of speaking and voting, more of them, for one switch."""

    description = "2 to 20 rounds of thinking, voting and thinking again, until they agree"
    Settings = ThinkingSettings
    settings: ThinkingSettings

    def rules(self, council: Council) -> Council:
        """Raise the rounds; all else is the deliberation that every council has."""
        settings, rules = self.settings, council.deliberation
        method = settings.method or (rules.method if rules.asks_voters else "score")
        least = 2 if settings.early_stop else settings.rounds
        changed = rules.model_copy(
            update={
                "method": method,
                "threshold": settings.threshold,
                "rounds": rules.rounds.model_copy(update={"min": least, "max": settings.rounds}),
            }
        )
        return council.model_copy(update={"deliberation": changed})
