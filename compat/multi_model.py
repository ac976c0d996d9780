"""`MultiModelInference` of memories-dev: several models on one question, one answer of theirs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from mom_council.compat.load_model import LoadModel, PrintableAnswer
from mom_council.councils.importers.foreign import Names, Report, Voices
from mom_council.councils.loader import load_council
from mom_council.deliberation.pauses import is_pause, paused_error
from mom_council.errors import CouncilError
from mom_council.models.clients import run_in_background_loop

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

Aggregation = Literal["consensus", "voting", "best_confidence"]


class MultiModelInference:
    """A council of models without personas, which answer at the same time.

    `consensus` takes the answer that is most like the rest, `voting` has the models vote on each
    other's (three are needed for a choice), `best_confidence` takes who says it is surest.

    Args:
        models: by the names that the responses get; a plain list is named by the models' own.
        aggregation_method: how one answer is chosen. No model writes it anew.

    Raises:
        CouncilError: there is no such method, or there are no models.
    """

    def __init__(
        self,
        models: Mapping[str, LoadModel] | Sequence[LoadModel],
        aggregation_method: Aggregation = "consensus",
    ) -> None:
        if aggregation_method not in get_args(Aggregation):
            known = ", ".join(get_args(Aggregation))
            raise CouncilError(f"there is no method {aggregation_method!r}; there are: {known}")
        named = models if isinstance(models, Mapping) else _named(models)
        self._models = dict(named)
        self._method = aggregation_method
        voices, names = Voices(), Names(Report())
        self._seats = {key: names.take(str(key)) for key in named}
        keys = {key: voices.key(**model.spec) for key, model in named.items()}
        first = next(iter(keys.values()), "")
        self._council = load_council(
            {
                "name": "compat",
                "models": voices.written,
                "characters": [{"name": self._seats[k], "model": keys[k]} for k in keys],
                "deliberation": {
                    "method": aggregation_method,
                    "rounds": {"min": 1, "max": 1},
                    "quorum": 1.0,
                },
                "synthesizer": {"model": first},
                "thermal": None,
            }
        )
        self._graph = self._compiled()
        self._config: RunnableConfig | None = None

    def get_responses(self, prompt: str) -> dict[str, dict[str, Any]]:
        """Ask every model: `{name: {"text", "error"}}`; one that fails holds up nobody."""
        self._config = {"configurable": {"thread_id": uuid.uuid4().hex}}
        asked = {"messages": [{"role": "user", "content": prompt}]}
        return self._responses(self._run(asked, "quorum"))

    def get_aggregated_response(self) -> dict[str, Any]:
        """Choose one of the responses to the last prompt.

        Returns:
            `{"text", "model", "confidence", "agreed_by", "method", "responses"}`: the answer, who
            gave it, the share that stands behind it, who else gave it.

        Raises:
            CouncilError: no prompt was given yet.
            QuorumError: no model answered.
        """
        if self._config is None:
            raise CouncilError(
                "there are no responses yet", cure="call get_responses(prompt) first"
            )
        values = self._run(None, "synthesizer")
        verdict = values["verdicts"][-1]
        texts = {one.character: one.text for one in values["proposals"]}
        leader = verdict.leader or next(iter(texts))
        option = next((o for o in verdict.options if leader in o.members), None)
        names = {seat: key for key, seat in self._seats.items()}
        return PrintableAnswer(
            text=texts[leader],
            model=names[leader],
            confidence=verdict.share,
            agreed_by=[names[one] for one in (option.members if option else (leader,))],
            method=self._method,
            responses=self._responses(values),
        )

    def cleanup(self) -> None:
        """Forget the keys that came as arguments."""
        for model in self._models.values():
            model.cleanup()

    def _compiled(self) -> Any:
        from langgraph.checkpoint.memory import InMemorySaver

        from mom_council.graph.council import compile_council
        from mom_council.runs.checkpoints import thread_serializer

        return compile_council(self._council, InMemorySaver(serde=thread_serializer()))

    def _run(self, update: Any, until: str) -> dict[str, Any]:
        """Let the council go on until just before a node; what lies on the table then."""

        async def go_on() -> dict[str, Any]:
            before = await self._graph.aget_state(self._config)
            if update is not None or until not in before.next:
                await self._graph.ainvoke(update, self._config, interrupt_before=[until])
            after = await self._graph.aget_state(self._config)
            for one in after.interrupts:
                if is_pause(one.value):
                    raise paused_error(one.value)
            values: dict[str, Any] = after.values
            return values

        return run_in_background_loop(go_on)

    def _responses(self, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        texts = {one.character: one.text for one in values.get("proposals", [])}
        errors = {one.character: one.detail or one.reason for one in values.get("absences", [])}
        return {
            key: {"text": texts.get(seat), "error": None if seat in texts else errors.get(seat)}
            for key, seat in self._seats.items()
        }


def _named(models: Sequence[LoadModel]) -> dict[str, LoadModel]:
    names = Names(Report())
    return {names.take(str(model.spec["model"])): model for model in models}
