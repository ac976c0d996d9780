"""A sandbox for templates of strangers, which bounds their time, output and memory.

Jinja's own sandbox keeps a template away from Python. It does not keep it from a loop without end,
or from a text of gigabytes. Here each rendering has an allowance (`Allowance`) of steps, characters
and CPU time, and everything that can take much is counted before it is done: each turn of a loop,
each call, each text that is written, joined, repeated or padded. Functions, methods and filters
that are not listed cannot be used.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import BlockReference, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

STEPS = 100_000
"""Turns of loops, and calls, in one prompt."""
CHARACTERS = 20_000_000
"""Characters that one prompt may write or handle on the way; far more than any model reads."""
SECONDS = 3.0
"""CPU time of one prompt."""
LARGEST_NUMBER = 10_000
"""The largest number that a filter takes, or a range goes to: a width, a count."""


class TemplateLimitError(jinja2.TemplateRuntimeError):
    """A template takes more than a prompt needs, or uses what is not allowed in one."""


class Allowance:
    """What one rendering may still use."""

    def __init__(self) -> None:
        self._steps = STEPS
        self._characters = CHARACTERS
        self._end = time.thread_time() + SECONDS

    def step(self, characters: int = 0) -> None:
        """Count one turn of a loop or one call, and the text that it handles.

        Raises:
            TemplateLimitError: nothing is left.
        """
        self._steps -= 1
        self._characters -= characters
        if self._steps < 0 or self._characters < 0:
            raise TemplateLimitError("it takes too many steps, or writes too much text")
        if time.thread_time() > self._end:
            raise TemplateLimitError(f"it takes more than {SECONDS:g} s")


_allowance: ContextVar[Allowance] = ContextVar("allowance")


@contextmanager
def allowance() -> Iterator[None]:
    """Within it, templates are rendered with one allowance."""
    token = _allowance.set(Allowance())
    try:
        yield
    finally:
        _allowance.reset(token)


def _step(characters: int = 0) -> None:
    _allowance.get().step(characters)


def _size(value: object, left: int = CHARACTERS) -> int:
    """How much text a value is when it is written; a shared part counts each time."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return 8 + value.bit_length() // 3
    if isinstance(value, Mapping):
        parts: Iterable[Any] = (part for pair in value.items() for part in pair)
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        return 32
    size = 2
    for part in parts:
        size += 2 + _size(part, left - size)
        if size > left:
            raise TemplateLimitError("it writes too much text")
    return size


def _within_limits(values: Iterable[object]) -> int:
    """The size of arguments.

    Raises:
        TemplateLimitError: a number among them is too large for a width or a count.
    """
    size = 0
    for value in values:
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise TemplateLimitError(f"it uses a number above {LARGEST_NUMBER}")
        size += _size(value)
    return size


# -- filters --------------------------------------------------------------------------------------

_LINEAR = """
    abs attr batch capitalize count d default dictsort e escape first float groupby int items last
    length list lower map max min reject rejectattr reverse round select selectattr slice sort
    string title tojson trim truncate unique upper urlencode wordcount
"""
_PADDING = "center indent wordwrap"
"""Filters that may write their arguments once for each character of the text."""


def _counted(function: Callable[..., Any], *, pads: bool) -> Callable[..., Any]:
    """The filter, counted by the size of what it is given and of what it makes."""
    passes = hasattr(function, "jinja_pass_arg")

    @functools.wraps(function)
    def counted(*args: Any, **more: Any) -> Any:
        values = args[1:] if passes else args
        size = _size(values[0]) if values else 0
        others = _within_limits([*values[1:], *more.values()])
        if pads:
            numbers = [one for one in (*values[1:], *more.values()) if isinstance(one, int)]
            size *= 1 + others + max(map(abs, numbers), default=0)
        _step(size + others)
        result = function(*args, **more)
        if isinstance(result, str | list | tuple | dict):
            _step(_size(result))
        return result

    return counted


def _join(value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    parts = [*_turns(value, 0)]
    if attribute is not None:
        raise TemplateLimitError("join takes no attribute here; use map before it")
    _step(_size(parts) + len(d) * len(parts))
    return str(d).join(map(str, parts))


def _replace(value: object, old: str, new: str, count: int = -1) -> str:
    text, old, new = str(value), str(old), str(new)
    _step(len(text) + text.count(old) * len(new))
    return text.replace(old, new, count)


def _sum(value: Iterable[Any], attribute: object = None, start: float = 0) -> Any:
    numbers = [*_turns(value, 0)]
    if attribute is not None or not all(isinstance(one, int | float) for one in [*numbers, start]):
        raise TemplateLimitError("sum adds numbers alone")
    return sum(numbers, start)


def _turns(iterable: Iterable[Any], body: int) -> Iterator[Any]:
    """The turns of a loop, each counted with the plain text of its body."""
    for one in iterable:
        _step(body)
        yield one


def _together(parts: list[Any]) -> str:
    """What `~` joins."""
    _step(_size(parts))
    return "".join(map(str, parts))


# -- calls ----------------------------------------------------------------------------------------

_TEXT_METHODS = """
    capitalize casefold count endswith find isalnum isalpha isdigit isspace lower lstrip partition
    removeprefix removesuffix rfind rpartition rsplit rstrip split splitlines startswith strip
    swapcase title upper
"""
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS.split()),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    LoopContext: frozenset({"cycle", "changed"}),
    Cycler: frozenset({"next", "reset"}),
}


def _may_be_called(what: object) -> bool:
    if isinstance(what, Macro | LoopContext | BlockReference | Joiner):
        return True
    if what in (range, dict, Namespace, Joiner, Cycler):
        return True
    owner, name = getattr(what, "__self__", None), getattr(what, "__name__", "")
    return any(isinstance(owner, kind) and name in names for kind, names in _METHODS.items())


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with an allowance for each rendering."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, **how: Any) -> None:
        # Not optimized: that would work out parts of a template before anything is counted.
        super().__init__(finalize=_written, optimized=False, **how)
        builtin_filters = self.filters
        counted: dict[str, Callable[..., Any]] = {
            name: _counted(builtin_filters[name], pads=name in _PADDING.split())
            for name in (*_LINEAR.split(), *_PADDING.split())
        }
        self.filters = {
            **counted,
            "join": _join,
            "replace": _replace,
            "sum": _sum,
            "_turns": _turns,
            "_call": _step,
            "_together": _together,
        }
        self.globals = {name: self.globals[name] for name in ("range", "dict", "namespace")}
        self.globals |= {"joiner": Joiner, "cycler": Cycler}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = _filtered(loop.iter, "_turns", [nodes.Const(_plain_text(loop))])
        macros: tuple[Any, Any] = (nodes.Macro, nodes.CallBlock)
        for macro in tree.find_all(macros):
            size = nodes.Const(_plain_text(macro), lineno=macro.lineno)
            counted = nodes.ExprStmt(_filtered(size, "_call", []), lineno=macro.lineno)
            macro.body.insert(0, counted)
        _replace_joins(tree)
        return tree

    def call(self, context: Any, what: Any, /, *args: Any, **more: Any) -> Any:
        """Call a function of a template, where it is allowed."""
        if not _may_be_called(what):
            raise TemplateLimitError("it calls what a prompt may not call")
        if what is range:
            _within_limits(args)
        _step(_size(args) + _size(more) + _size(getattr(what, "__self__", "")))
        if isinstance(what, LoopContext) and args:
            args = (_turns(args[0], 0), *args[1:])
        return super().call(context, what, *args, **more)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Work out `left operator right`, where its result cannot be large."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            if operator == "**":
                _within_limits([left, right])
            if operator == "*":
                _step(_size(left) + _size(right))
            if operator == "**" and (abs(right) > 64 or abs(left) > LARGEST_NUMBER):
                raise TemplateLimitError("it uses a large power")
        elif operator == "+":
            _step(_size(left) + _size(right))
        else:
            raise TemplateLimitError(f"{operator!r} is for numbers alone")
        return super().call_binop(context, operator, left, right)


def _written(value: Any) -> Any:
    """Count what is written."""
    if not isinstance(value, jinja2.Undefined):
        _step(_size(value))
    return value


def _plain_text(node: nodes.Node) -> int:
    """How much text of its own a part of a template writes."""
    return sum(len(text.data) for text in node.find_all(nodes.TemplateData))


def _filtered(node: Any, name: str, args: list[nodes.Expr]) -> nodes.Filter:
    return nodes.Filter(node, name, args, [], None, None, lineno=node.lineno)


def _replace_joins(tree: nodes.Node) -> None:
    """Put a counted filter in the place of each `a ~ b`."""
    for field, value in tree.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(tree, field, _counted_join(value))
        elif isinstance(value, list):
            value[:] = [_counted_join(o) if isinstance(o, nodes.Node) else o for o in value]


def _counted_join(node: nodes.Node) -> nodes.Node:
    _replace_joins(node)
    if not isinstance(node, nodes.Concat):
        return node
    parts = nodes.List(node.nodes, lineno=node.lineno)
    return _filtered(parts, "_together", [])
