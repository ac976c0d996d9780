"""The extensions of one council: loading and describing them, and calling their code safely.

Nothing that an extension does takes the answer down: a hook that raises or takes too long is a
`HookFailed`, which the council reports and goes on from.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, Field, ValidationError

from mom_council.councils.schema import Council
from mom_council.councils.schema import ExtensionEntry as Written
from mom_council.errors import CouncilError, MixtureError
from mom_council.extensions import first_system
from mom_council.extensions.finding import FoundExtension, find
from mom_council.extensions.protocol import hook_of
from mom_council.records import Record
from mom_council.redaction import redact

_LONGEST = 200


class HookFailed(Exception):  # noqa: N818 - it ends a hook, it is no error of ours
    """A hook came to nothing; the text says why."""


_TO_END = 0.5
"""Seconds that a cancelled hook gets to end."""


async def guarded(hook: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
    """What a hook returns.

    Coroutines run on the loop, plain functions in a thread of their own. One that is out of time is
    cancelled and hardly waited for, because it may not listen.

    Raises:
        Failed: it raised, left the process, was cancelled by itself, or was out of time.
        GraphBubbleUp: it interrupts the graph, which is LangGraph's own affair.
    """
    task = asyncio.ensure_future(_call(hook, arguments))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_TO_END)  # what it asked is charged as it ends
            raise HookFailed(f"it took longer than {seconds:g} s")
        if task.cancelled():
            raise HookFailed("it cancelled itself")
        return task.result()
    finally:
        task.cancel()


async def _call(hook: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        if inspect.iscoroutinefunction(hook):
            return await hook(*arguments)
        returned = await _in_a_thread(hook, arguments)
        return await returned if inspect.isawaitable(returned) else returned
    except (GraphBubbleUp, HookFailed):
        raise
    except (Exception, SystemExit) as error:
        raise HookFailed(in_a_line(error)) from error


async def _in_a_thread(hook: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Run a function in a daemon thread: one that never ends holds up no pool and no exit."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(value)
        else:  # a future takes no StopIteration
            ended.set_exception(HookFailed(in_a_line(error)) if _odd(error) else error)

    def run() -> None:
        value, failure = None, None
        try:
            value = context.run(hook, *arguments)
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="extension", daemon=True).start()
    return await ended


def _odd(error: BaseException) -> bool:
    return isinstance(error, StopIteration | KeyboardInterrupt | GeneratorExit)


def in_a_line(error: BaseException) -> str:
    """An error in one short line, without any secret; one of ours is a sentence already."""
    text = " ".join(redact(str(error)).split())
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    if text and isinstance(error, MixtureError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class LoadedExtension:
    """An extension that is loaded. Its instances are one for each event loop, as its clients are.

    Args:
        written: what the council says of it.
        source: where it is.
        where: its place in the council, for messages.

    Raises:
        CouncilError: its settings are not what it takes.
        Failed: its code cannot be run here; the text says why.
    """

    def __init__(self, written: Written, source: FoundExtension, where: str) -> None:
        self.name = source.name
        self.use = written.use
        self.seconds = written.timeout
        self.source = source
        self._code = load_code(source)
        self.kind = self._code if inspect.isclass(self._code) else type(self._code)
        self._settings = self._check_settings(written.settings, where)
        self._first = self._make()
        self._spare = [self._first]
        self._open: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}

    def calls(self, hook: str, node: str = "") -> bool:
        """Whether it has this hook, around this node."""
        nodes = getattr(self.kind, "nodes", ())
        return hook_of(self._first, hook) is not None and (not nodes or not node or node in nodes)

    def hears(self, node: str) -> bool:
        """Whether it has any hook that is called when this node acts."""
        more = {"character": ("on_proposal",), "synthesizer": ("on_answer",)}.get(node, ())
        return any(self.calls(hook, node) for hook in ("before", "after")) or any(
            self.calls(hook) for hook in more
        )

    def rules(self, council: Council) -> Council:
        """The council as it would have it.

        Raises:
            Failed: it raised, or what it returned is no council that can sit in these seats.
        """
        hook = hook_of(self._first, "rules")
        if hook is None:
            return council
        try:
            changed = hook(council)
            if not isinstance(changed, Council):
                raise TypeError(f"it returned {type(changed).__name__!r} where a Council is right")
            values = changed.model_dump()
            changed = Council.model_validate(values)
            if values["models"] == council.model_dump()["models"]:
                # With the chat models that the caller handed over, which no dump has.
                changed = changed.model_copy(update={"models": council.models})
        except (Exception, SystemExit) as error:
            raise HookFailed(in_a_line(error)) from error
        for part in ("name", "models", "characters", "layers", "extensions"):
            if getattr(changed, part) != getattr(council, part):
                raise HookFailed(
                    f"it changed the council's {part!r}, which its graph is built from"
                )
        return changed

    async def call(self, hook: str, *arguments: Any) -> Any:
        """What one of its hooks returns.

        Raises:
            Failed: it came to nothing.
        """
        instance = await self._here()
        return await guarded(getattr(instance, hook), *arguments, seconds=self.seconds)

    async def _here(self) -> Any:
        """The running loop's instance, opened."""
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            for other in [other for other in self._open if other.is_closed()]:
                del self._open[other]
            self._open[loop] = loop.create_task(self._opened())
        opening = self._open[loop]
        try:
            # Shielded: whoever waits may be cancelled, and others wait for it too.
            instance, _ = await asyncio.shield(opening)
        except HookFailed:
            self._open.pop(loop, None)  # the next question tries again
            raise
        return instance

    async def _opened(self) -> tuple[Any, AsyncGenerator[None, None] | None]:
        # Made in a thread, where it may read files.
        instance = self._spare.pop() if self._spare else await asyncio.to_thread(self._make)
        if hook_of(instance, "open") is not None:
            try:
                await guarded(instance.open, seconds=self.seconds)
            except HookFailed as error:
                raise HookFailed(f"it could not be opened: {error}") from error
        if hook_of(instance, "close") is None:
            return instance, None
        farewell = _farewell(instance, self.seconds)
        await anext(farewell)
        return instance, farewell

    def _make(self) -> Any:
        if not inspect.isclass(self._code):
            return self._code
        try:
            make: Any = self._code
            return make(self._settings) if inspect.signature(make).parameters else make()
        except (Exception, SystemExit) as error:
            raise HookFailed(in_a_line(error)) from error

    def _check_settings(self, settings: Mapping[str, Any], where: str) -> Any:
        settings_type = getattr(self.kind, "Settings", None)
        if not (inspect.isclass(settings_type) and issubclass(settings_type, BaseModel)):
            return dict(settings)
        try:
            return settings_type.model_validate(settings)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            at = ".".join([f"{where}.settings", *map(str, first["loc"])])
            raise CouncilError(f"{at}: {first['msg']}") from None


def load_extensions(
    council: Council, from_caller: Mapping[str, Any] | None = None
) -> tuple[tuple[LoadedExtension, ...], dict[str, str]]:
    """A council's extensions in their order, and why those that are missing cannot be loaded.

    Raises:
        CouncilError: one stands for nothing, may not be named, stands twice, or has settings that
            it does not take.
    """
    extensions: list[LoadedExtension] = []
    missing: dict[str, str] = {}
    for index, written in enumerate(council.extensions):
        where = f"council {council.name!r}: extensions[{index}]"
        try:
            source = find(written.use, from_caller)
        except CouncilError as error:
            raise type(error)(f"{where}.use: {error}") from None
        if source.name in {*missing, *(extension.name for extension in extensions)}:
            raise CouncilError(
                f"{where}.use: {written.use!r} stands there twice", cure="leave one out"
            )
        try:
            extensions.append(LoadedExtension(written, source, where))
        except HookFailed as error:
            missing[source.name] = str(error)
    return tuple(extensions), missing


def load_code(source: FoundExtension) -> Any:
    """The class of an extension, or the instance that a caller gave.

    Raises:
        CouncilError: there is no extension where it should be.
        Failed: its code cannot be run here; the text says why.
    """
    if source.problem:
        raise HookFailed(source.problem)
    try:
        code = source.load()
    except CouncilError:
        raise
    except ModuleNotFoundError as error:
        raise HookFailed(f"it needs the package {error.name!r}, which is not here") from error
    except (Exception, SystemExit) as error:
        raise HookFailed(in_a_line(error)) from error
    if inspect.isclass(code) and first_system.is_one(code):
        return first_system.adapted(code)
    return code


async def _farewell(instance: Any, seconds: float) -> AsyncGenerator[None, None]:
    """Closes an instance when its loop ends: asyncio closes the generators that still hang."""
    try:
        yield
    finally:
        with contextlib.suppress(HookFailed):  # there is nobody left to tell
            await guarded(instance.close, seconds=seconds)


class ExtensionInfo(Record):
    """An extension, as a page shows it."""

    name: str = Field(description="what `CouncilContext.extensions_off` switches it off by")
    kind: str = Field(default="", description="given, bundled, installed, folder or module")
    description: str = ""
    version: str = ""
    author: str = ""
    settings: dict[str, Any] = Field(default_factory=dict, description="as the council has them")
    settings_schema: dict[str, Any] | None = Field(
        default=None, description="a JSON schema to draw a form by; None: it takes none"
    )
    problem: str = Field(default="", description="why it cannot be called here; empty: it can")


def extensions_of(
    council: Council, from_caller: Mapping[str, Any] | None = None
) -> tuple[ExtensionInfo, ...]:
    """A council's extensions in the order they are called. Loads their code, calls no hook."""
    return tuple(_describe(one, from_caller) for one in council.extensions)


def describe(source: FoundExtension, written: Written | None = None) -> ExtensionInfo:
    """What there is to know of an extension. Loads its code."""
    about = source.manifest
    fields: dict[str, Any] = {
        "name": source.name,
        "kind": source.kind,
        "description": about.description if about else "",
        "version": about.version if about else "",
        "author": about.author if about else "",
        "settings": dict(written.settings) if written else {},
    }
    try:
        kind = load_code(source)
        kind = kind if inspect.isclass(kind) else type(kind)
        says = getattr(kind, "description", "") or inspect.getdoc(kind) or ""
        fields["description"] = fields["description"] or says.partition("\n")[0]
        fields["settings_schema"] = _schema(getattr(kind, "Settings", None))
        LoadedExtension(written or Written(use=source.name), source, "extensions")
    except (CouncilError, HookFailed) as error:
        fields["problem"] = str(error)
    return ExtensionInfo(**fields)


def described_without_loading(source: FoundExtension) -> ExtensionInfo:
    """What there is to know without running any code but the package's own."""
    if source.kind == "bundled":
        return describe(source)
    about = source.manifest
    return ExtensionInfo(
        name=source.name,
        kind=source.kind,
        description=about.description if about else "",
        version=about.version if about else "",
        author=about.author if about else "",
        problem=source.problem or "",
    )


def problems_of(council: Council) -> list[str]:
    """Why extensions of a council cannot be called here, a line each. Loads their code."""
    return [
        f"extension {one.name!r}: {one.problem}" for one in extensions_of(council) if one.problem
    ]


def _describe(written: Written, from_caller: Mapping[str, Any] | None) -> ExtensionInfo:
    try:
        return describe(find(written.use, from_caller), written)
    except CouncilError as error:
        return ExtensionInfo(name=written.use, settings=dict(written.settings), problem=str(error))


def _schema(settings_type: Any) -> dict[str, Any] | None:
    if inspect.isclass(settings_type) and issubclass(settings_type, BaseModel):
        return settings_type.model_json_schema()
    return dict(settings_type) if isinstance(settings_type, Mapping) else None
