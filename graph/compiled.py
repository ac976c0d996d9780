"""A council's graph as its callers hold it: edits are checked before they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import END, START
from langgraph.graph import StateGraph
from langgraph.types import StateUpdate
from typing_extensions import TypedDict

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.state import CouncilInput, CouncilOutput, CouncilState
from mom_council.records import Status
from mom_council.seams.langgraph import ForkableGraph


class CouncilResult(TypedDict):
    """What a council returns: the conversation with the answer, and the label on it."""

    messages: list[AnyMessage]
    status: Status


class CouncilGraph(ForkableGraph):
    """A compiled council: LangGraph's own graph, whose every checkpoint can be forked.

    It takes a question as a text or a list of messages too.

    `update_state` takes records or plain values (proposals, ballots, verdicts, ...), and refuses
    what does not fit before anything is stored.
    """

    if TYPE_CHECKING:

        def invoke(  # type: ignore[override]
            self,
            input: Any,  # noqa: A002 - LangGraph's own name
            config: RunnableConfig | None = None,
            **options: Any,
        ) -> CouncilResult:
            """Put a question; returns the conversation with the answer."""

        async def ainvoke(  # type: ignore[override]
            self,
            input: Any,  # noqa: A002 - LangGraph's own name
            config: RunnableConfig | None = None,
            **options: Any,
        ) -> CouncilResult:
            """Put a question; returns the conversation with the answer."""

    def stream(self, input: Any, *arguments: Any, **options: Any) -> Any:  # noqa: A002
        """As LangGraph's own; `invoke` goes through here."""
        return super().stream(_as_input(input), *arguments, **options)

    def astream(self, input: Any, *arguments: Any, **options: Any) -> Any:  # noqa: A002
        """As LangGraph's own; `ainvoke` goes through here."""
        return super().astream(_as_input(input), *arguments, **options)

    def bulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Edit a thread; `update_state` goes through here.

        Raises:
            InputError: an unknown key or character, or a value that does not fit.
        """
        return super().bulk_update_state(config, self._read(supersteps))

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Edit a thread; `aupdate_state` goes through here.

        Raises:
            InputError: an unknown key or character, or a value that does not fit.
        """
        return await super().abulk_update_state(config, self._read(supersteps))

    def _read(self, supersteps: Sequence[Sequence[StateUpdate]]) -> list[list[StateUpdate]]:
        return [[self._read_edit(edit) for edit in edits] for edits in supersteps]

    def _read_edit(self, edit: StateUpdate) -> StateUpdate:
        edit = StateUpdate(*edit)
        if not isinstance(edit.values, Mapping):
            return edit
        from mom_council.deliberation.edits import read_update  # a question needs it not

        names = [name for name in self.nodes if name not in (START, END)]
        return edit._replace(values=read_update(edit.values, names))


def _as_input(question: Any) -> Any:
    if isinstance(question, str):
        return {"messages": [HumanMessage(question)]}
    return {"messages": question} if isinstance(question, list) else question


class CouncilBuilder(StateGraph[CouncilState, CouncilContext, CouncilInput, CouncilOutput]):
    """A council's graph before it is compiled."""

    def compile(self, *args: Any, **options: Any) -> CouncilGraph:
        """Compile it, with the arguments of LangGraph's own `compile`."""
        compiled = super().compile(*args, **options)
        return CouncilGraph(**vars(compiled))


def supersteps_at_most(council: Council) -> int:
    """The most steps one question can take, with the most rounds that any run may ask for."""
    turns = len(council.characters) if council.deliberation.mode == "sequential" else 0
    turns = max(turns, len(council.seats) + len(council.deliberation.waves))
    # Seating, thermal_wait, speaking, equality_check, quorum; thermal_wait, votes, consensus.
    a_round = 5 * turns + 3
    return 20 * a_round + 10
