"""Councils on a stage: what most tests of the graph sit with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Event, read_event
from mom_council.graph.council import compile_council
from mom_council.testing.replies import candidates_in, character_reply, text_of, texts_in
from mom_council.tests.stage import Call, Stage

PERSONAS = {
    "Ada": "You count twice.",
    "Boris": "You doubt everything.",
    "Clara": "You think in pictures.",
    "Dmitri": "You are brief.",
    "Elena": "You know the law.",
    "Farid": "You like birds.",
}
ALL = tuple(PERSONAS)

_PROPOSAL = re.compile(r'<proposal number="\d+"[^>]*>\n(.*?)\n</proposal\b', re.DOTALL)
_ANSWER = re.compile(r'<answer number="\d+"[^>]*>\n(.*?)\n</answer\b', re.DOTALL)
_OWN = re.compile(r"<own_answer\b[^>]*>\n(.*?)\n</own_answer\b", re.DOTALL)

_FENCED = re.compile(r'<(\w+)[^>]* fence="([0-9a-f]{12})">\n(.*?)\n</\1 fence="\2">', re.DOTALL)


def unfenced(text: str) -> str:
    """A text of a prompt without the tags around what others wrote."""
    inner = _FENCED.sub(r"\3", text)
    return inner if inner == text else unfenced(inner)


def written(
    stage: Stage, names: Sequence[str] = ("Ada", "Boris", "Clara"), **changes: Any
) -> dict[str, Any]:
    """A council as its file says it: X sits on the stage's model `x`, the synthesizer on `pen`.

    A mapping among the changes is laid over the section of its name.
    """
    keys = [name.lower() for name in names]
    made: dict[str, Any] = {
        "name": "desk",
        "models": {key: voice(stage, key) for key in [*keys, "pen"]},
        "characters": [
            {"name": name, "model": name.lower(), "personality": PERSONAS[name]} for name in names
        ],
        "synthesizer": {"model": "pen"},
        "thermal": None,
        "deliberation": {"rounds": {"min": 1, "max": 1}, "quorum": 1.0},
    }
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(made.get(key), dict):
            made[key] = {**made[key], **value}
        else:
            made[key] = value
    return made


def voice(stage: Stage, name: str, **changes: Any) -> dict[str, Any]:
    """A model on the stage, which is asked once."""
    return {
        "provider": "openai",
        "model": name,
        "base_url": stage.openai_url,
        "retries": 0,
        "timeout": 30,
        **changes,
    }


def desk(stage: Stage, names: Sequence[str] = ("Ada", "Boris", "Clara"), **changes: Any) -> Council:
    """The council that `written` writes."""
    return load_council(written(stage, names, **changes))


def seat(
    stage: Stage,
    answers: Mapping[str, str] | Iterable[str] = ("Ada", "Boris", "Clara"),
    likes: str | Mapping[str, str] = "",
    **script: Any,
) -> None:
    """Write down what characters answer, and whose answer they like in a vote.

    Args:
        stage: where they speak.
        answers: each one's answer; names alone answer differently.
        likes: a part of the answer that a voter votes for; of a mapping, each voter its own.
            Where nothing shown holds it, the first shown is taken.
        script: of each model.
    """
    if not isinstance(answers, Mapping):
        answers = {name: f"The view of {PERSONAS[name]}" for name in answers}
    for name, answer in answers.items():
        liked = likes if isinstance(likes, str) else likes.get(name, "")
        stage.model(name.lower(), reply=character(answer, liked), **script)
    stage.model("pen", reply="What the council says.")


character = character_reply


async def ask(
    council: Council,
    text: str = "What is the best pet?",
    context: CouncilContext | dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What a council answers."""
    return await compile_council(council).ainvoke(question(text), context=context)  # type: ignore[arg-type]


async def told(
    council: Council, text: str = "What is the best pet?", context: CouncilContext | None = None
) -> list[Event]:
    """What a council tells while it answers."""
    stream = compile_council(council).astream(question(text), context=context, stream_mode="custom")
    return [event for event in [read_event(part) async for part in stream] if event is not None]


said = texts_in


def roles(body: dict[str, Any]) -> list[str]:
    """Who says what in a request."""
    return [message["role"] for message in body["messages"]]


def texts(body: dict[str, Any], role: str) -> list[str]:
    """What one role says in a request."""
    return [text_of(message) for message in body["messages"] if message["role"] == role]


candidates = candidates_in


def proposals(body: dict[str, Any]) -> list[str]:
    """What the synthesizer is shown."""
    return _PROPOSAL.findall(said(body))


def others(body: dict[str, Any]) -> list[str]:
    """What a character is shown of others."""
    return _ANSWER.findall(said(body))


def own(body: dict[str, Any]) -> list[str]:
    """What a character is shown of itself."""
    return _OWN.findall(said(body))


def speaking(calls: Sequence[Call]) -> list[Call]:
    """The calls in which somebody answered, not voted."""
    return [call for call in calls if not candidates(call.body)]


def voting(calls: Sequence[Call]) -> list[Call]:
    """The calls in which a character voted."""
    return [call for call in calls if candidates(call.body)]


def question(text: str = "What is the best pet?") -> dict[str, Any]:
    """A graph's input."""
    return {"messages": [{"role": "user", "content": text}]}
