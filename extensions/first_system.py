"""Extensions of MixtureOfModels, the Gradio program, adapted to ours.

Such a class has `init`, `get_ui_components`, `pre_process(message, history)`,
`post_process(response, history)` and `get_extension_name`; it derives from `extensions.Extension`.
`pre_process` returns the message, or a tuple that begins with it and the history, or yields such
tuples; `history` is a list of pairs (what was asked, what was answered). A third value that is true
says that the extension has answered by itself, in the last pair: here the council answers, and
reads that as material. Its Gradio components are not drawn.
"""

from __future__ import annotations

import importlib.util
import inspect
from types import ModuleType
from typing import Any

from langchain_core.messages import HumanMessage

from mom_council.extensions.protocol import At, Change, Extension

_HOOKS = ("pre_process", "post_process")


def is_one(kind: type) -> bool:
    """Whether a class is such an extension."""
    return hasattr(kind, "get_extension_name") and any(hasattr(kind, hook) for hook in _HOOKS)


def modules() -> dict[str, ModuleType]:
    """What such an extension finds when it imports `extensions` and, where it is not here, gradio.

    Its components are never drawn, so a Gradio that makes nothing is all that it needs.
    """
    ours = ModuleType("extensions")
    ours.Extension = type("Extension", (), {})  # type: ignore[attr-defined]
    stand_ins = {"extensions": ours}
    if importlib.util.find_spec("gradio") is None:
        stand_ins["gradio"] = _Nothing("gradio")
    return stand_ins


class _Nothing(ModuleType):
    """A module in which every name stands for something that makes nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Inert()


class _Inert:
    def __call__(self, *_: Any, **__: Any) -> _Inert:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> _Inert:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def adapted(kind: type) -> type:
    """One of our extensions that calls one of theirs."""
    return type(kind.__name__, (_Adapted,), {"theirs": kind, "description": _line(kind)})


class _Adapted(Extension):
    theirs: type
    nodes = ("classifier", "character", "synthesizer")

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._one = self.theirs()
        for name, value in dict(settings).items():
            if not hasattr(self._one, name) or callable(getattr(self._one, name)):
                raise ValueError(f"{self.theirs.__name__} has no setting {name!r}")
            setattr(self._one, name, value)

    async def open(self) -> None:
        init = getattr(self._one, "init", None)
        if init is not None:
            # What it would be given is the other program's own engine, which there is not here.
            await _result(init(None) if inspect.signature(init).parameters else init())

    async def before(self, at: At) -> Change | None:
        if not hasattr(self._one, "pre_process"):
            return None
        if at.node != "classifier":
            answered = (at.kept or {}).get("answered")
            return Change(material=answered) if answered else None
        returned = await _last(self._one.pre_process(at.question, _pairs(at)))
        message, rest = _split_returned(returned, "pre_process")
        answered = str(rest[0][-1][1]) if len(rest) > 1 and rest[1] and rest[0] else ""
        return Change(
            question=message if message != at.question else None, keep={"answered": answered}
        )

    async def on_answer(self, at: At, answer: str) -> str | None:
        if not hasattr(self._one, "post_process"):
            return None
        pairs = [*_pairs(at), (at.question, answer)]
        returned = await _last(self._one.post_process(answer, pairs))
        return _split_returned(returned, "post_process")[0]


def _pairs(at: At) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for message in at.conversation:
        if isinstance(message, HumanMessage):
            pairs.append((message.text, ""))
        elif pairs:
            pairs[-1] = (pairs[-1][0], message.text)
    return pairs


def _split_returned(returned: Any, hook: str) -> tuple[str, tuple[Any, ...]]:
    """The text, and what stands beside it."""
    first, *rest = returned if isinstance(returned, tuple) and returned else (returned,)
    if not isinstance(first, str):
        raise TypeError(f"{hook} gave {type(first).__name__!r} where a text is right")
    return first, tuple(rest)


async def _last(value: Any) -> Any:
    """What a hook gives in the end, be it a value, a coroutine or an asynchronous generator."""
    if not hasattr(value, "__aiter__"):
        return await _result(value)
    returned = [each async for each in value]
    return returned[-1] if returned else None


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _line(kind: type) -> str:
    return (inspect.getdoc(kind) or "an extension of MixtureOfModels").partition("\n")[0]
