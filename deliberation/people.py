"""Characters whose model is a person.

    models:
      me: {provider: human, model: Ann, timeout: 60}
    characters:
      - {name: Ann, model: me}

The person's node interrupts the graph (LangGraph's `interrupt`); the others go on speaking, and
whoever runs the graph resumes it with what the person said. Nothing said in `timeout` seconds is an
absence, in a vote an abstention: a graph that waits cannot count seconds, so whoever runs it does,
and resumes with an empty text. `attend` is that, and `mom` does it in the terminal.

Somebody has to be there: a run says so (`CouncilContext.people`) and has a checkpointer. Else the
person is absent at once, and no run waits for nobody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from langgraph.types import Command

from mom_council.deliberation.context import CouncilContext, context_of, steady_time
from mom_council.deliberation.events import Speaker
from mom_council.errors import ModelUnavailableError
from mom_council.models.resolved import ResolvedModel
from mom_council.models.speaking import Reply, all_in_words
from mom_council.records import Attempt, Usage
from mom_council.seams.langgraph import has_checkpointer

KIND = "person"
_NOBODY = Speaker(node="", name="")


@dataclass(frozen=True, slots=True)
class PersonRequest:
    """What a stopped graph waits for: what a person says, or whether tools may be called."""

    id: str
    """Of the interrupt: what is resumed with a mapping from it."""
    kind: Literal["person", "approve", "paused", "other"]
    """`paused`: the question cannot go on by itself; `other`: a question of an extension or of a
    parent graph, which only a program can answer."""
    name: str = ""
    """The person; with `approve`, the character that would call the tools."""
    speaker: Speaker = _NOBODY
    """The character, and whether it speaks or votes (`vote`)."""
    prompt: str = ""
    """What a model in the person's place would be asked."""
    seconds: float | None = None
    """How long the person is waited for; None: nobody said."""
    until: float | None = None
    """Epoch seconds at which that time is over, by `steady_time`; see `seconds_left`."""
    calls: tuple[dict[str, Any], ...] = ()
    """With `approve`: each with `id`, `tool` and `arguments`."""
    value: Any = None
    """With `other` and `paused`: what the interrupt said."""

    @property
    def votes(self) -> bool:
        """Whether a person is asked for a ballot."""
        return self.speaker.node == "vote"


async def ask_person(
    runtime: Runtime[Any],
    speaker: Speaker,
    model: ResolvedModel,
    messages: Sequence[AnyMessage],
) -> Reply:
    """What a person says: the graph stops here, and goes on from here when it is resumed.

    Raises:
        ModelUnavailableError: nobody is there, or nothing was said in time.
    """
    spec = model.settings
    if not has_checkpointer() or not context_of(runtime).people:
        raise ModelUnavailableError(
            f"{spec.model!r} is a person, and nobody is there to be asked: run the council with "
            "CouncilContext(people=True) and a checkpointer"
        )
    question = all_in_words(messages[-1])
    from mom_council.deliberation.interrupts import interrupt_in_turn

    resume_value = interrupt_in_turn(
        runtime,
        {
            "kind": KIND,
            "name": spec.model,
            "speaker": speaker.model_dump(),
            "prompt": question,
            "seconds": spec.timeout,
            "until": steady_time() + spec.timeout,
            **_review(spec.model, speaker, question),
        },
    )
    text = read_reply(resume_value)
    if not text and speaker.node != "vote":
        why = f"{spec.model!r} said nothing in {spec.timeout:g} s"
        raise ModelUnavailableError(
            why, [Attempt(model=model.key, error=why, timed_out=True)], Usage()
        )
    return Reply(
        text=text,
        reasoning="",
        model=model.key,
        usage=Usage(),
        first_token=None,
        finish="stop",
        attempts=(),
    )


def _review(person: str, speaker: Speaker, question: str) -> dict[str, Any]:
    """The request as clients of LangChain draw it: a form with a text."""
    from mom_council.deliberation.interrupts import Action, review_request

    action = "vote" if speaker.node == "vote" else "answer"
    properties = {"text": {"type": "string", "description": "what the person says"}}
    return review_request(
        [Action(action, {"text": ""}, f"{person} is asked:\n\n{question}")],
        ["respond", "edit", "reject"],
        {"type": "object", "properties": properties, "required": ["text"]},
    )


def read_reply(reply: Any) -> str:
    """What a resume value says: a text, `{"text": ...}`, a ballot as a mapping, or a decision."""
    from mom_council.deliberation.interrupts import read_reviews

    if reviews := read_reviews(reply):
        review = reviews[0]
        if review.kind == "edit":
            return read_reply(review.args)
        return review.text if review.kind in ("respond", "comment") else ""
    if isinstance(reply, Mapping) and reply and "text" not in reply:
        return json.dumps(dict(reply), default=str)
    reply = reply.get("text") if isinstance(reply, Mapping) else reply
    return reply.strip() if isinstance(reply, str) else ""


def requests_in(interrupts: Sequence[Any]) -> tuple[PersonRequest, ...]:
    """What a stopped graph waits for, one request for each interrupt."""
    return tuple(_request(one) for one in interrupts)


def _request(interrupt_: Any) -> PersonRequest:
    request = interrupt_.value
    kind = request.get("kind") if isinstance(request, dict) else None
    if kind == KIND:
        return PersonRequest(
            id=interrupt_.id,
            kind="person",
            name=str(request["name"]),
            speaker=Speaker.model_validate(request["speaker"]),
            prompt=str(request["prompt"]),
            seconds=float(request["seconds"]),
            until=float(request["until"]) if "until" in request else None,
        )
    if kind == "approve":
        speaker = Speaker.model_validate(request["speaker"])
        return PersonRequest(
            id=interrupt_.id,
            kind="approve",
            name=speaker.name,
            speaker=speaker,
            calls=tuple(request["calls"]),
        )
    return PersonRequest(
        id=interrupt_.id, kind="paused" if kind == "paused" else "other", value=request
    )


def seconds_left(request: PersonRequest) -> float | None:
    """How long a person who is asked now is waited for; None: nobody said.

    The deadline survives a restart of the program. Where it passed before anybody could be asked,
    or a clock that was set has moved it beyond the whole time, the person has the whole time.
    """
    if request.seconds is None or request.until is None:
        return request.seconds
    left = request.until - steady_time()
    return left if 0 < left <= request.seconds else request.seconds


async def attend(
    graph: Any,
    graph_input: Any,
    config: RunnableConfig,
    ask: Callable[[PersonRequest], Awaitable[str | Mapping[str, Any] | None]],
    *,
    context: Any = None,
) -> dict[str, Any]:
    """Run a graph in which people sit, asking each of them when it is their turn.

    Several who are wanted at once are asked at once. Who says nothing in time is absent, or
    abstains, and the graph goes on.

    Args:
        graph: a council, or a larger graph with one in it, compiled with a checkpointer.
        graph_input: its input, or None to go on with an open question.
        config: holds `configurable.thread_id`.
        ask: asks a person; what it returns is what they said, None for nothing.
        context: the run's; of a council's own, `people` is set.

    Returns:
        The graph's output; with `__interrupt__` where something else than a person is waited for.
    """
    if context is None or isinstance(context, CouncilContext):
        context = (context or CouncilContext()).model_copy(update={"people": True})
    while True:
        result: dict[str, Any] = await graph.ainvoke(graph_input, config, context=context)
        requests = requests_in(result.get("__interrupt__", ()))
        people = [one for one in requests if one.kind == "person"]
        if not people:
            return result
        answers = await asyncio.gather(*(_in_time(ask, one) for one in people))
        graph_input = Command(
            resume={one.id: text for one, text in zip(people, answers, strict=True)}
        )
        if isinstance(context, CouncilContext):  # time that a person took is not the question's
            context = context.model_copy(update={"resumed_at": steady_time()})


async def _in_time(
    ask: Callable[[PersonRequest], Awaitable[str | Mapping[str, Any] | None]],
    request: PersonRequest,
) -> str | Mapping[str, Any]:
    try:
        async with asyncio.timeout(seconds_left(request)):
            return await ask(request) or ""
    except TimeoutError:
        return ""
