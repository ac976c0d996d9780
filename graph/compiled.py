"""A council's graph as its callers hold it: edits are checked before they are stored."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import END, START
from langgraph.graph import StateGraph
from langgraph.types import StateUpdate
from typing_extensions import TypedDict

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.state import CouncilInput, CouncilOutput, CouncilState, CouncilUpdate
from mom_council.errors import CouncilError
from mom_council.records import Status
from mom_council.redaction import logger
from mom_council.seams.langgraph import ForkableGraph, quieten_nodes
from mom_council.tracing.langsmith import exported_signals, tracers_of
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models import BaseChatModel

    from mom_council.extensions.hook_run import Hooks

_log = logger(__name__)

NO_MODELS: Mapping[str, BaseChatModel] = MappingProxyType({})


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
        quieten_nodes(compiled.nodes)
        return CouncilGraph(**vars(compiled))


def council_tracers(council: Council) -> list[BaseCallbackHandler]:
    """The tracers that a council's graph brings along: one for each way that needs its own."""
    rules = council.tracing
    tracers = [] if rules.langsmith and rules.content else tracers_of(rules)
    if not (any(name.startswith("OTEL_") for name in os.environ) and exported_signals(os.environ)):
        return tracers
    try:
        from mom_council.tracing.otel import CouncilTelemetry
    except ImportError as error:
        _log.warning(
            "OpenTelemetry is switched on, but %s is missing: pip install 'mom-council[otel]'",
            error.name,
        )
        return tracers
    return [*tracers, CouncilTelemetry(council.name, content=council.tracing.content)]


def supersteps_at_most(council: Council) -> int:
    """The most steps one question can take, with the most rounds that any run may ask for."""
    turns = len(council.characters) if council.deliberation.mode == "sequential" else 0
    turns = max(turns, len(council.seats) + len(council.deliberation.waves))
    # Seating, thermal_wait, speaking, equality_check, quorum; thermal_wait, votes, consensus.
    a_round = 5 * turns + 3
    return 20 * a_round + 10


def load_with_models(
    source: Council | str | Mapping[str, Any], models: Mapping[str, BaseChatModel]
) -> Council:
    """Load a council, with the caller's chat models where it has some."""
    if models:
        from mom_council.models.providers.caller import load_with_objects

        return load_with_objects(source, models)
    council = load_council(source)
    if any(vendor_of(model.provider).from_caller for model in council.models.values()):
        from mom_council.models.providers.caller import refuse_missing_models

        refuse_missing_models(council)
    return council


def check_models(state: CouncilState, council: Council, *, begins: bool) -> CouncilUpdate:
    """See that a question goes on with the chat models that it was begun with.

    Returns what is to be noted of them, where a question begins.

    Raises:
        CouncilError: some of them are not here.
    """
    keys = [key for key, model in council.models.items() if model.chat_model is not None]
    asked_with = state.get("chat_models") or []
    if begins:
        return {"chat_models": keys} if keys or asked_with else {}
    if missing := [key for key in asked_with if key not in keys]:
        raise CouncilError(
            f"the question was begun with chat models of the program's for {missing}",
            cure="open the council with the same `models`, and resume the thread",
        )
    return {}


def voters_of(council: Council) -> tuple[str, ...]:
    """Who may be asked for a ballot: nobody, where there is no method that asks, or no choice."""
    if not council.deliberation.asks_voters or len(council.characters) < 3:
        return ()
    return tuple(c.name for c in council.characters if c.votes)


def open_hooks(council: Council, extensions: Mapping[str, Any] | None) -> Hooks | None:
    """What is called around the nodes; a council without extensions loads nothing for it."""
    if not council.extensions:
        return None
    from mom_council.extensions.hook_run import Hooks

    return Hooks(council, extensions)
