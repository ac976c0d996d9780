"""The graph of a council: every node and every edge; then how its callers hold it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial, update_wrapper
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import StateUpdate
from typing_extensions import TypedDict

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council, voter_node
from mom_council.deliberation.ask_model import begin_calls
from mom_council.deliberation.context import CouncilContext, apply_context, context_of
from mom_council.deliberation.fan_out import Races, is_cool_now
from mom_council.deliberation.schedule import (
    asks_ballots_in_waves,
    check_models,
    supersteps_at_most,
    voters_of,
)
from mom_council.deliberation.selectors import (
    chosen_weights,
    effective_council,
    reweighted,
    with_weights,
)
from mom_council.deliberation.state import CouncilInput, CouncilOutput, CouncilState, CouncilUpdate
from mom_council.graph.edges import (
    after_classifier,
    after_consensus,
    after_image_reader,
    after_quorum,
    after_seating,
    is_idle,
    skip_idle,
    to_speakers,
)
from mom_council.models.clients import run_in_background_loop
from mom_council.models.prices import read_table
from mom_council.models.tools.toolset import NO_TOOLS, CallerTools, refuse_tools
from mom_council.nodes.annotator import annotator
from mom_council.nodes.character import character
from mom_council.nodes.classifier import classifier
from mom_council.nodes.comparison import comparison
from mom_council.nodes.consensus import consensus
from mom_council.nodes.equality_check import equality_check
from mom_council.nodes.image_reader import image_reader
from mom_council.nodes.painter import painter
from mom_council.nodes.quorum import quorum
from mom_council.nodes.seating import seating
from mom_council.nodes.synthesizer import synthesizer
from mom_council.nodes.thermal_wait import thermal_wait
from mom_council.nodes.vote import vote
from mom_council.records import Status
from mom_council.redaction import logger, remember_variables
from mom_council.seams.langgraph import (
    ForkableGraph,
    OpenEnds,
    as_edge,
    as_node,
    as_thread_writer,
    quieten_nodes,
)
from mom_council.tracing.langsmith import exported_signals, tracers_of
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models import BaseChatModel

    from mom_council.extensions.hook_run import Hooks

_log = logger(__name__)

NO_MODELS: Mapping[str, BaseChatModel] = MappingProxyType({})

NodeFunction = Callable[[CouncilState, Runtime[CouncilContext], Council], Awaitable[CouncilUpdate]]
Look = Callable[[CouncilState, Runtime[CouncilContext], Council], Awaitable[bool]]
Rule = Callable[[CouncilState, Runtime[CouncilContext] | None], Council]
Decide = Callable[[CouncilState, Council], str | list[str]]


def build_graph(
    council: Council | str,
    extensions: Mapping[str, Any] | None = None,
    *,
    tools: CallerTools = NO_TOOLS,
    models: Mapping[str, BaseChatModel] = NO_MODELS,
) -> CouncilBuilder:
    """Build the uncompiled graph of a council, from the arguments that `council` takes.

    Compile it as it is for a subgraph or a server; give `compile` a checkpointer for threads.

    Raises:
        CouncilError: as `council` does, or the council's table of prices cannot be read.
    """
    council = load_with_models(council, models)
    hooks = open_hooks(council, extensions)
    ruled = _under(council, hooks)
    council = council if hooks is None else hooks.rules()
    remember_variables(council.key_variables)
    if council.tools or tools:
        refuse_tools(council.tools, tools)
    read_table(council.prices)  # a table that is wrong is said before anybody is asked

    graph = CouncilBuilder(
        CouncilState,
        context_schema=CouncilContext,
        input_schema=CouncilInput,
        output_schema=CouncilOutput,
    )
    _add_nodes(graph, council, tools, partial(_serve, ruled=ruled, hooks=hooks))
    look = is_cool_now if hooks is None and not is_idle("thermal_wait", council) else None
    _add_edges(graph, council, partial(_decide, ruled=ruled, look=look), skips=hooks is None)
    return graph


def _add_nodes(
    graph: CouncilBuilder,
    council: Council,
    tools: CallerTools,
    serve: Callable[..., Runnable[Any, Any]],
) -> None:
    races = Races()
    equipped = update_wrapper(partial(synthesizer, tools=tools), synthesizer)
    for act in (classifier, image_reader, annotator, seating, thermal_wait, quorum, consensus):
        graph.add_node(act.__name__, serve(act))
    if council.synthesizer.compare == "model":
        graph.add_node("comparison", serve(comparison))
    if council.deliberation.checks_equality:
        graph.add_node("equality_check", serve(equality_check))
    for answers in (equipped, painter):
        graph.add_node(answers.__name__, serve(answers))
    for name in (c.name for c in council.characters):
        graph.add_node(name, serve(character(name, races, tools), name=name))
    for name in voters_of(council):
        graph.add_node(voter_node(name), serve(vote(name, races), name=name))


def _add_edges(
    graph: CouncilBuilder,
    council: Council,
    decide: Callable[..., Runnable[Any, Any]],
    *,
    skips: bool,
) -> None:
    """Join the nodes.

    `decide` makes an edge of a decision. With `skips`, a node that would do nothing costs no
    superstep: the edge before it leads to whatever comes after it. It is drawn all the same. Not
    where extensions are called around each node.
    """
    ends = OpenEnds if skips else lambda named: named
    skip: Callable[[Decide], Decide] = skip_idle if skips else lambda decision: decision
    speakers = [c.name for c in council.characters]
    voters = [voter_node(name) for name in voters_of(council)]

    graph.add_edge(START, "classifier")
    graph.add_conditional_edges(
        "classifier",
        decide(skip(after_classifier)),
        ends(["painter", "image_reader", "annotator"]),
    )
    graph.add_edge("painter", END)
    graph.add_edge("annotator", "seating")
    for node, after, end in (
        ("image_reader", after_image_reader, "annotator"),
        ("seating", after_seating, "thermal_wait"),
    ):
        graph.add_conditional_edges(node, decide(skip(after)), ends([end]))
    graph.add_conditional_edges("thermal_wait", decide(to_speakers), [*speakers, *voters])
    next_node = "quorum"
    if council.deliberation.checks_equality:
        next_node = "equality_check"
        graph.add_edge("equality_check", "quorum")
    for name in speakers:
        graph.add_edge(name, next_node)
    after_layer = ["seating", "consensus", *(["thermal_wait"] if voters else [])]
    graph.add_conditional_edges("quorum", decide(skip(after_quorum)), ends(after_layer))
    for name in voters:
        graph.add_edge(name, "consensus")
    last = "synthesizer"
    if council.synthesizer.compare == "model":
        last = "comparison"
        graph.add_edge("comparison", "synthesizer")
    after_count: dict[Hashable, str] = {"seating": "seating", "synthesizer": last}
    if voters and asks_ballots_in_waves(council):
        after_count["thermal_wait"] = "thermal_wait"
    graph.add_conditional_edges("consensus", decide(skip(after_consensus)), ends(after_count))
    graph.add_edge("synthesizer", END)


def council(
    source: Council | str | dict[str, Any] = "demo",
    extensions: Mapping[str, Any] | None = None,
    *,
    tools: CallerTools = NO_TOOLS,
    models: Mapping[str, BaseChatModel] = NO_MODELS,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> CouncilGraph:
    """Open a council: its compiled graph, ready to be invoked, streamed, or added as a node.

    Without a checkpointer it uses its parent's, as a subgraph.

    Example:
        `council("home").invoke({"messages": [("user", "Is 91 prime?")]})["messages"][-1].content`

    Args:
        source: the name of a preset, the path of a YAML file, a mapping, or a `Council`.
        extensions: your classes or instances, by the names that the council's `extensions` use.
        tools: functions or LangChain tools, for the keys of `tools` that have no other source.
        models: LangChain chat models of yours, by the keys of `models` that they stand for. They
            are never stored: to go on with a thread, open the council with the same keys.
        checkpointer: where threads are kept.

    Raises:
        CouncilError: the council cannot sit as it is written, or wants tools or models that are
            not there.
    """
    council = load_with_models(source, models)
    return compile_council(council, checkpointer, extensions, tools=tools)


def compile_council(
    council: Council,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    extensions: Mapping[str, Any] | None = None,
    *,
    tools: CallerTools = NO_TOOLS,
) -> CouncilGraph:
    """Compile a council's graph, with room for its longest deliberation."""
    built = build_graph(council, extensions, tools=tools)
    graph = built.compile(checkpointer=checkpointer, name=council.name)
    tracers = council_tracers(council)
    return graph.with_config(recursion_limit=supersteps_at_most(council), callbacks=tracers)


def compile_synthesizer(
    council: Council, *, hooked: bool = False
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The synthesizer alone, as a graph: it writes anew from the whole state of a question.

    Args:
        council: whose.
        hooked: whether the council's extensions and its rules of tracing hold, as in a run.
    """
    hooks = open_hooks(council, None) if hooked else None
    ruled = _under(council, hooks) if hooked else lambda state, runtime: council
    graph: StateGraph[CouncilState, CouncilContext, CouncilState, CouncilOutput] = StateGraph(
        CouncilState, context_schema=CouncilContext, output_schema=CouncilOutput
    )
    graph.add_node("synthesizer", _serve(synthesizer, ruled, hooks))
    graph.add_edge(START, "synthesizer")
    tracers = council_tracers(council) if hooked else []
    return graph.compile().with_config(callbacks=tracers)


def compile_comparison(council: Council) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The comparison alone, as a graph: it compares the proposals of a finished question."""
    graph: StateGraph[CouncilState, CouncilContext, CouncilState, CouncilState] = StateGraph(
        CouncilState, context_schema=CouncilContext
    )
    graph.add_node("comparison", _serve(comparison, lambda state, runtime: council, None))
    graph.add_edge(START, "comparison")
    return graph.compile()


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


def open_hooks(council: Council, extensions: Mapping[str, Any] | None) -> Hooks | None:
    """What is called around the nodes; a council without extensions loads nothing for it."""
    if not council.extensions:
        return None
    from mom_council.extensions.hook_run import Hooks

    return Hooks(council, extensions)


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


def _under(council: Council, hooks: Hooks | None) -> Rule:
    """The rules that nodes and edges go by: this run's, and as deep as the question takes."""

    def ruled(state: CouncilState, runtime: Runtime[CouncilContext] | None) -> Council:
        context = context_of(runtime)
        written = council if hooks is None else hooks.rules(context.extensions_off)
        effective = apply_context(written, context)
        if edited := state.get("settings"):
            effective = apply_context(effective, edited)
        return with_weights(effective_council(state, effective), chosen_weights(state, context))

    return ruled


def _serve(
    act: NodeFunction, ruled: Rule, hooks: Hooks | None = None, name: str = ""
) -> Runnable[Any, Any]:
    """Make a node of an act, for all callers: under this run's rules, with the hooks around it."""
    called = act.__name__
    act = act if hooks is None else hooks.around(act, name or called)

    async def run(state: CouncilState, runtime: Runtime[CouncilContext]) -> CouncilUpdate:
        council = ruled(state, runtime)
        if weights := chosen_weights(state, context_of(runtime)):
            state = reweighted(state, weights)
        models = check_models(state, council, begins=called == "classifier")
        await begin_calls(state, runtime, council, called)
        update: dict[str, Any] = {**await act(state, runtime, council)}
        # An empty list adds nothing, and would be a row in the store and a turn of its channel.
        for key in [key for key, value in update.items() if isinstance(value, list) and not value]:
            del update[key]
        update |= models  # which replace those that the last question was begun with
        return cast(CouncilUpdate, update or {"step": "nothing to do"})

    def run_sync(state: CouncilState, runtime: Runtime[CouncilContext]) -> CouncilUpdate:
        return run_in_background_loop(run, state, runtime)

    return as_node(run_sync, run, name=called)


def _decide(decision: Decide, ruled: Rule, look: Look | None) -> Runnable[Any, Any]:
    """Make an edge of a decision, under this run's rules; without a run, under the council's.

    `look` says whether the hardware is cool already, so that the wait for it costs no superstep.
    """

    def decide(state: CouncilState, runtime: Runtime[CouncilContext] | None) -> str | list[str]:
        return decision(state, ruled(state, runtime))

    if look is None:
        return as_edge(decide, name=decision.__name__)

    async def decide_and_look(
        state: CouncilState, runtime: Runtime[CouncilContext] | None
    ) -> str | list[str]:
        council, chosen = ruled(state, runtime), decide(state, runtime)
        if chosen != "thermal_wait" or runtime is None:
            return chosen
        return to_speakers(state, council) if await look(state, runtime, council) else chosen

    def decide_sync(state: CouncilState, runtime: Runtime[CouncilContext]) -> str | list[str]:
        return run_in_background_loop(decide_and_look, state, runtime)

    return as_edge(decide_sync, decide_and_look, name=decision.__name__)


class CouncilResult(TypedDict):
    """What a council returns: the conversation with the answer, and the label on it."""

    messages: list[AnyMessage]
    status: Status


class CouncilGraph(ForkableGraph):
    """A compiled council: LangGraph's own graph, whose every checkpoint can be forked.

    It takes a question as a text or a list of messages too. Where its checkpointer is a store of
    ours, it writes a thread alone: whoever comes second waits.

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
        parts = super().astream(_as_input(input), *arguments, **options)
        config = arguments[0] if arguments else options.get("config")
        return as_thread_writer(self.checkpointer, config, parts)

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
        """Edit a thread, as `bulk_update_state` does; `aupdate_state` goes through here."""
        return await super().abulk_update_state(config, self._read(supersteps))

    def _read(self, supersteps: Sequence[Sequence[StateUpdate]]) -> list[list[StateUpdate]]:
        return [[self._read_edit(edit) for edit in edits] for edits in supersteps]

    def _read_edit(self, edit: StateUpdate) -> StateUpdate:
        edit = StateUpdate(*edit)
        if not isinstance(edit.values, Mapping):
            return edit
        from mom_council.deliberation.edits import read_update

        names = [name for name in self.nodes if name not in (START, END)]
        return edit._replace(values=read_update(edit.values, names))


def _as_input(question: Any) -> Any:
    messages = [HumanMessage(question)] if isinstance(question, str) else question
    return {"messages": messages} if isinstance(messages, list) else messages


class CouncilBuilder(StateGraph[CouncilState, CouncilContext, CouncilInput, CouncilOutput]):
    """A council's graph before it is compiled."""

    def compile(self, *args: Any, **options: Any) -> CouncilGraph:
        """Compile it, with the arguments of LangGraph's own `compile`."""
        compiled = super().compile(*args, **options)
        quieten_nodes(compiled.nodes)
        return CouncilGraph(**vars(compiled))
