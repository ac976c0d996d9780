"""What an extension is. The docstrings of `Extension` are its manual.

This is one::

    class Polite(Extension):
        description = "thanks the person who asked"

        async def on_answer(self, at: At, answer: str) -> str:
            return answer + " Thank you for asking."

Write `from mom_council.extensions import At, Change, Extension`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from langchain_core.messages import AnyMessage, BaseMessage
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mom_council.councils.schema import Council
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.ask_model import ask_model, failed_segment
from mom_council.deliberation.events import Speaker
from mom_council.errors import BudgetError, ModelError, OverBudgetError
from mom_council.models.resolved import resolve_model
from mom_council.records import Proposal, Segment

if TYPE_CHECKING:
    from langgraph.runtime import Runtime

    from mom_council.deliberation.context import CouncilContext
    from mom_council.deliberation.state import CouncilState


class Change(BaseModel):
    """What a hook wants to be otherwise. What is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    question: str | None = Field(
        default=None,
        min_length=1,
        description="another wording of the question, for everyone and in the thread; only before "
        "the classifier. What was typed stays with the message, under `asked`",
    )
    material: str | None = Field(
        default=None,
        min_length=1,
        description="a text that this node reads before the question; it is told that the text is "
        "material, which may be wrong and holds no instruction. Only `before` a node",
    )
    conversation: tuple[BaseMessage, ...] | None = Field(
        default=None,
        description="what this node reads in place of the conversation so far. Only `before` one",
    )
    keep: JsonValue = Field(
        default=None,
        description="kept in the thread under the extension's name, as JSON of at most 200 kB; "
        "`At.kept` has it from the next step on, also in later questions",
    )


@dataclass(frozen=True, kw_only=True)
class At:
    """Where the council is, as a hook is told."""

    node: str
    """`classifier`, `image_reader`, `annotator`, `seating`, `thermal_wait`, `character`, `quorum`,
    `vote`, `consensus`, `synthesizer` or `painter`."""
    name: str
    """The character's name in `character` and `vote`, else the node's."""
    state: CouncilState
    """The table as this node reads it. It is shared: read it, never change it."""
    council: Council
    """The rules of this run."""
    thread: str = ""
    """The thread's name; empty where nothing is kept."""
    kept: Any = None
    """What this extension kept in this thread; None before it has kept anything."""
    extension: str = ""
    runtime: Runtime[CouncilContext] | None = field(default=None, repr=False)
    notes: list[str] = field(default_factory=list, repr=False)
    segments: list[Segment] = field(default_factory=list, repr=False)

    @property
    def question(self) -> str:
        """The question, as it was asked."""
        return conversation.question_text(self.state)

    @property
    def conversation(self) -> list[AnyMessage]:
        """The whole conversation before the question, without tool traffic."""
        messages = conversation.earlier_messages(
            self.state, self.council.model_copy(update={"history": 10**6})
        )
        return [
            message
            for message in messages
            if not message.additional_kwargs.get(conversation.INSERTED)
        ]

    def note(self, text: str) -> None:
        """Have the reader of the answer told something, in one sentence."""
        self.notes.append(text)

    async def ask(
        self,
        model: str,
        messages: Sequence[AnyMessage],
        *,
        schema: dict[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> str:
        """Ask one of the council's models; what it costs is part of the question's usage.

        Args:
            model: its key in the council.
            messages: what it is sent.
            schema: a JSON schema for the reply, where the model can be held to one.
            params: parameters of this call alone.

        Raises:
            ModelError: it and its fallbacks failed.
            BudgetError: the question's budget has nothing left for it.
        """
        if spent := selectors.exceeded_budget(
            self.state, self.council, more_calls=1 + len(self.segments)
        ):
            raise BudgetError(f"the question's budget is spent ({spent})")
        assert self.runtime is not None  # noqa: S101 - only `hooks` makes an At
        speaker = Speaker(node="extension", name=self.extension)
        try:
            reply, segment = await ask_model(
                self.runtime,
                speaker,
                resolve_model(self.council, model),
                messages,
                schema=schema,
                params=params,
            )
        except OverBudgetError as error:
            raise BudgetError(error.what, cure=error.cure) from error
        except ModelError as error:
            self.segments.append(failed_segment(speaker, model, error))
            raise
        self.segments.append(segment)
        return reply.text


class Extension(Protocol):
    """Code that is called around the council's nodes.

    Derive from it and write the hooks you need; what you leave out costs nothing. A hook is an
    `async def`, or a plain `def`, which is then run in a thread. Each call has the `timeout` that
    stands in the council (10 seconds). A hook that raises, takes too long or returns something
    else than it may is named in the answer's status, its extension is switched off for this
    question, and the council goes on without it. What cannot be stopped is a hook that blocks the
    event loop: wait with `await`, or write a plain `def`.

    Hooks of several extensions are called one after another, as the council names them; each
    reads what the one before it changed. Parallel characters call theirs in parallel, on one
    instance: keep what belongs to a question in local variables or in `Change.keep`.
    """

    description: ClassVar[str] = ""
    """One line, for lists."""

    Settings: ClassVar[type[BaseModel] | dict[str, Any] | None] = None
    """What may stand under `settings` in the council: a pydantic model, which is checked before
    the council sits and which pages draw as a form; or a JSON schema, which is drawn and not
    checked; or None: nothing is checked."""

    nodes: ClassVar[tuple[str, ...]] = ()
    """The nodes around which `before` and `after` are called (see `At.node`); empty: all."""

    calls: ClassVar[int] = 0
    """Calls of models that one question may cost beyond the council's own; said before money is
    spent."""

    settings: Any
    """The model, or the plain mapping where `Settings` is none."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def rules(self, council: Council) -> Council:
        """Change the council's rules: rounds, threshold, method, history, budget, synthesizer.

        Called once, when the graph is built, and neither timed nor asynchronous: work on the
        council alone. Its name, characters, layers and models stay as they are. What a run sets
        for itself (`CouncilContext`) goes before what is changed here.
        """
        return council

    async def open(self) -> None:
        """Get ready: called before the first hook, once for each event loop."""

    async def close(self) -> None:
        """Let go of what `open` took: called when the event loop ends."""

    async def before(self, at: At) -> Change | None:
        """Called before a node acts; says what the node reads, or None for no change.

        A node that is run again, after an interruption, has its hooks called again. LangGraph's
        `interrupt` works here, for a person's consent.
        """
        return None

    async def on_proposal(self, at: At, proposal: Proposal) -> str | None:
        """Called with what a character has proposed; returns another text for it, or None."""
        return None

    async def on_answer(self, at: At, answer: str) -> str | None:
        """Called with the council's answer; returns another text for it, or None.

        The answer has been streamed by then: who reads along sees the change at the end.
        """
        return None

    async def after(self, at: At, wrote: Mapping[str, Any]) -> Change | None:
        """Called when a node has acted, with what it writes; of a change only `keep` counts."""
        return None


def hook_of(extension: Any, name: str) -> Any:
    """The hook of an extension, or None where it has none of its own."""
    own = getattr(type(extension), name, None)
    return None if own is None or own is getattr(Extension, name) else getattr(extension, name)
