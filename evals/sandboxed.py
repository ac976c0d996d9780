"""What runs in the sandbox, as a script: it isolates itself, then runs an answer or its check.

    python -I -S -B sandboxed.py ROLE FOLDER SOCKET VERDICT SECONDS MEGABYTES FILE_MB MAY_BE_OPEN

The text to run comes on stdin. Two processes run, each isolated by itself, so that neither reads
the other: `answer` runs what a model wrote and then serves its names over SOCKET; `check` runs the
case's check, where these names stand for calls to the other process, and writes to VERDICT how it
ended. What a call returns is copied as plain data, so no object of the answer can pretend to equal
anything. It imports nothing of ours: it runs with an empty environment and without site-packages.
"""

from __future__ import annotations

import ast
import builtins
import collections
import datetime
import decimal
import fractions
import json
import operator
import os
import runpy
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LARGEST = 8 * 2**20
"""Bytes of one message between the two."""


def main() -> None:
    """Isolate the process, and play its role."""
    role, folder = sys.argv[1:3]
    sock, verdict, seconds, megabytes, file_megabytes, may_be_open = map(int, sys.argv[3:9])
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    isolation = runpy.run_path(str(Path(__file__).with_name("isolation.py")))
    layers = isolation["isolate"](folder, file_megabytes)
    isolation["limit"](seconds, megabytes, file_megabytes)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    isolated = {"namespaces", "root"} <= layers or {"landlock", "seccomp"} <= layers
    line = MessageLine(sock)
    if role == "answer":
        os.close(verdict)
        line.send({"isolated": isolated})
        if isolated or may_be_open:
            ServedAnswer(line).run(text)
        os._exit(0)
    other = line.receive()
    both = isolated and bool(other and other.get("isolated"))
    result: dict[str, Any] = {"ok": False, "why": "not isolated"}
    if both or may_be_open:
        result = check(line, text)
    os.write(verdict, json.dumps({**result, "isolated": both}).encode()[:60_000])
    os._exit(0)


# -- the line between the two ---------------------------------------------------------------------


class MessageLine:
    """Messages over a socket: a length, then JSON."""

    def __init__(self, number: int) -> None:
        self._number = number

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        body = json.dumps(message).encode()
        if len(body) > LARGEST:
            raise ValueError("a value is too large to be handed over")
        rest = memoryview(struct.pack("<I", len(body)) + body)
        while rest:
            rest = rest[os.write(self._number, rest) :]

    def receive(self) -> dict[str, Any] | None:
        """The next message; None where the other has left."""
        head = self._read(4)
        if head is None or (size := struct.unpack("<I", head)[0]) > LARGEST:
            return None
        body = self._read(size)
        try:
            message = json.loads(body) if body is not None else None
        except ValueError:
            return None
        return message if isinstance(message, dict) else None

    def _read(self, size: int) -> bytes | None:
        parts = b""
        while len(parts) < size:
            try:
                part = os.read(self._number, min(size - len(parts), 65536))
            except OSError:
                return None
            if not part:
                return None
            parts += part
        return parts


class Values:
    """Values as JSON: plain data is copied, anything else is a number that stands for it."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self._errors: dict[str, type[BaseException]] = {}

    def pack(self, value: Any) -> Any:
        """A value as it is sent. The exact type counts: a subclass may pretend to be anything."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return ["v", value] if kind is not float else ["f", repr(value)]
        if kind in (list, tuple, set, frozenset, collections.deque):
            return [kind.__name__, [self.pack(one) for one in value]]
        if kind in (dict, collections.OrderedDict, collections.defaultdict, collections.Counter):
            return ["dict", [[self.pack(key), self.pack(one)] for key, one in value.items()]]
        if kind in (bytes, bytearray):
            return ["bytes", value.hex()]
        if kind in _WRITTEN:
            return ["w", kind.__name__, *map(self.pack, _WRITTEN[kind](value))]
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["e", *named(value)]
        self.kept.append(value)
        return ["r", len(self.kept) - 1]

    def error(self, name: str, base: str) -> type[BaseException]:
        """The kind of error that stands here for one of the other's: built in, or made for it."""
        kind = getattr(builtins, base, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = RuntimeError
        if name == base:
            return kind
        return self._errors.setdefault(name, type(name, (kind,), {}))

    def unpack(self, sent: Any, remote: Callable[[int], Any]) -> Any:
        """The value that was sent; `remote` makes what stands for one of the other's."""
        kind, *rest = sent
        if kind == "v":
            return rest[0]
        if kind == "f":
            return float(rest[0])
        if kind == "bytes":
            return bytes.fromhex(rest[0])
        if kind == "dict":
            return {self.unpack(k, remote): self.unpack(v, remote) for k, v in rest[0]}
        if kind == "w":
            return _BUILDERS[rest[0]](*(self.unpack(one, remote) for one in rest[1:]))
        if kind == "own":
            return self.kept[rest[0]]
        if kind == "r":
            return remote(*rest)
        if kind == "e":
            return self.error(*rest)
        return _COLLECTIONS[kind](self.unpack(one, remote) for one in rest[0])


_COLLECTIONS: dict[str, Any] = {
    kind.__name__: kind for kind in (list, tuple, set, frozenset, collections.deque)
}
_WRITTEN: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    complex: lambda v: (v.real, v.imag),
    range: lambda v: (v.start, v.stop, v.step),
    fractions.Fraction: lambda v: (v.numerator, v.denominator),
    decimal.Decimal: lambda v: (str(v),),
    datetime.date: lambda v: (v.year, v.month, v.day),
    datetime.datetime: lambda v: (v.isoformat(),),
    datetime.time: lambda v: (v.isoformat(),),
    datetime.timedelta: lambda v: (v.days, v.seconds, v.microseconds),
}
_BUILDERS: dict[str, Any] = {kind.__name__: kind for kind in _WRITTEN}
_BUILDERS |= {kind.__name__: kind.fromisoformat for kind in (datetime.datetime, datetime.time)}

_COPIES: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda v: bytes(bytes.__iter__(v)),
    tuple: lambda v: tuple(tuple.__iter__(v)),
    list: lambda v: list(list.__iter__(v)),
    dict: lambda v: dict(dict.items(v)),
    set: lambda v: set(set.__iter__(v)),
    frozenset: lambda v: frozenset(frozenset.__iter__(v)),
}
"""An object as plain data, where its class is built on such data; its own methods have no say."""


def plain_copy(value: Any) -> list[Any]:
    """The plain data that an object is built on, in a list; empty where it is built on none."""
    return [_COPIES[kind](value) for kind in type(value).__mro__ if kind in _COPIES][:1]


def named(kind: type) -> tuple[str, str]:
    """A kind of error: its name, and that of the built-in kind which it is (or the same)."""
    bases = (one.__name__ for one in kind.__mro__ if getattr(builtins, one.__name__, None) is one)
    return kind.__name__, next(bases, "Exception")


def error_line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:250]}".rstrip()


# -- the answer's side ----------------------------------------------------------------------------


class ServedAnswer:
    """What a model wrote, run once, and then asked over the line."""

    def __init__(self, line: MessageLine) -> None:
        self._line, self._values = line, Values()
        self._names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}

    def run(self, text: str) -> None:
        """Run the code, then answer until the other leaves."""
        try:
            exec(compile(text, "answer", "exec"), self._names)  # noqa: S102 - what it is for
        except BaseException as error:
            self._line.send({"failed": error_line(error)})
            return
        self._line.send({"ready": True})
        while (message := self._line.receive()) is not None:
            self._line.send(self._answer(message))

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            values = [self._values.unpack(one, self._callback) for one in message["args"]]
            more = {k: self._values.unpack(v, self._callback) for k, v in message["more"].items()}
            value = self._values.pack(self._do(message["do"], values, more))
            # What was handed over may have been changed in its place: a list that is sorted.
            return {"value": value, "args": [self._values.pack(one) for one in values]}
        except BaseException as error:
            kind = type(error)
            if isinstance(error, StopIteration) and message["do"] != "next":
                kind = RuntimeError  # it would end a loop of the check's before all was checked
            return {"error": named(kind), "text": str(error)[:500]}

    def _do(self, what: str, values: list[Any], more: dict[str, Any]) -> Any:
        if what == "name":
            return self._names[values[0]]
        if what == "set":
            self._names[values[0]] = values[1]
            return None
        if what == "call":
            return values[0](*values[1:], **more)
        if what == "iter":
            return [one for _, one in zip(range(100_000), values[0], strict=False)]
        if what == "next":
            return next(values[0])
        if what == "isinstance":
            return isinstance(values[0], values[1])
        if what == "same":
            return values[0] is values[1]
        if what == "copy":
            return plain_copy(values[0])
        if what in ("getattr", "setattr", *_BUILTINS):
            return getattr(builtins, what)(*values)
        return getattr(operator, what)(*values)

    def _callback(self, number: int) -> Any:
        def call(*args: Any) -> Any:
            packed = [self._values.pack(one) for one in args]
            self._line.send({"callback": number, "args": packed})
            answer = self._line.receive()
            if answer is None or "value" not in answer:
                raise RuntimeError("the function of the check failed")
            return self._values.unpack(answer["value"], self._callback)

        return call


# -- the check's side -----------------------------------------------------------------------------


class Remote:
    """Something of the answer's; whatever is done with it is done over there."""

    _partner: AnswerProcess
    _number: int
    _is_mixed = False
    """Whether it was worked out with a plain value of the check's."""

    def __init__(self, process: AnswerProcess, number: int) -> None:
        object.__setattr__(self, "_partner", process)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Call it."""
        return self._partner.ask("call", self, *args, **more)

    def __getattr__(self, name: str) -> Any:
        """One of its attributes."""
        return self._partner.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._partner.ask("setattr", self, name, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._partner.ask("iter", self))

    def __next__(self) -> Any:
        return self._partner.ask("next", self)

    def __eq__(self, other: object) -> bool:
        # Only two things of the answer's are compared over there: with a plain value of the
        # check's, an object that says it equals everything would pass.
        if isinstance(other, Remote):
            return bool(self._partner.ask("eq", self, other))
        return any(copy == other for copy in self._copies())

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return int(self._number)

    def __instancecheck__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._partner.ask("isinstance", other, self))

    def __contains__(self, one: object) -> bool:
        for copy in self._copies():
            return one in copy
        # Who holds a word that was made up just now says yes to everything.
        made_up = os.urandom(16).hex()
        held = bool(self._partner.ask("contains", self, one))
        return held and (isinstance(one, Remote) or not self._holds(made_up))

    def _holds(self, one: object) -> bool:
        try:
            return bool(self._partner.ask("contains", self, one))
        except Exception:
            return False

    def _copies(self) -> list[Any]:
        return list(self._partner.ask("copy", self))

    def _mixed(self, value: Any) -> Any:
        """What was worked out with a plain value of the check's: an object, and no plain value.

        Else an object whose difference from everything is 0 would be as near as a check wants.
        """
        if not isinstance(value, Remote):
            raise TypeError(_AS_A_NUMBER)
        object.__setattr__(value, "_is_mixed", True)
        return value


_AS_A_NUMBER = "the answer gave an object where the check works with a plain value"


def _compare(name: str) -> None:
    """Order two objects over there, and an object with a plain value by its own plain data."""
    compare = getattr(operator, name)

    def method(self: Remote, other: Any) -> Any:
        if isinstance(other, Remote):
            return self._partner.ask(f"__{name}__", self, other)
        for copy in self._copies():
            return compare(copy, other)
        raise TypeError(_AS_A_NUMBER)

    setattr(Remote, f"__{name}__", method)


def _calculate(name: str) -> None:
    """Calculate over there, where an object comes of it."""

    def method(self: Remote, other: Any) -> Any:
        value = self._partner.ask(f"__{name}__", self, other)
        if isinstance(other, Remote) and not (self._is_mixed or other._is_mixed):
            return value
        for copy in [] if isinstance(value, Remote) else self._copies():
            return getattr(operator, f"__{name}__")(copy, other)
        return self._mixed(value)

    setattr(Remote, f"__{name}__", method)


def _forward(name: str, what: str, make: Callable[[Any], Any] = lambda value: value) -> None:
    def method(self: Remote, *args: Any) -> Any:
        value = make(self._partner.ask(what, self, *args))
        return self._mixed(value) if self._is_mixed and name in _OF_NUMBERS else value

    setattr(Remote, f"__{name}__", method)


_OF_NUMBERS = ("neg", "abs", "bool", "int", "float")
_BUILTINS = ("len", "bool", "str", "repr", "int", "float")
for _name in ("lt", "le", "gt", "ge"):
    _compare(_name)
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    _calculate(_name)
for _name in ("and", "or", "xor"):
    _calculate(_name)
for _name in ("neg", "abs", "getitem", "setitem", "delitem"):
    _forward(_name, f"__{_name}__")
for _name in _BUILTINS:
    _forward(_name, _name)


_CHANGED = (list, dict, set, bytearray, collections.deque)


def _change(value: Any, new: Any) -> None:
    """Give a value the content of another one."""
    if isinstance(value, bytearray):
        value[:] = new
    elif type(value) is type(new) and value != new:
        value.clear()
        (value.extend if isinstance(value, list | collections.deque) else value.update)(new)


class AnswerProcess:
    """The answer's process, as the check asks it."""

    def __init__(self, line: MessageLine) -> None:
        self._line, self._values = line, Values()

    def ask(self, what: str, *args: Any, **more: Any) -> Any:
        """Have something done over there."""
        packed = [self._packed(one) for one in args]
        named = {name: self._packed(value) for name, value in more.items()}
        self._line.send({"do": what, "args": packed, "more": named})
        while True:
            message = self._line.receive()
            if message is None:
                raise SystemExit("the answer's code left early")
            if "callback" not in message:
                break
            self._line.send(self._call_back(message))
        if "error" in message:
            raise self._values.error(*message["error"])(message.get("text", ""))
        for before, after in zip(args, message.get("args", ()), strict=False):
            if type(before) in _CHANGED:
                _change(before, self._values.unpack(after, self._remote))
        return self._values.unpack(message["value"], self._remote)

    def _packed(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return ["own", value._number]
        return self._values.pack(value)

    def _remote(self, number: int) -> Any:
        return Remote(self, number)

    def _call_back(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            args = [self._values.unpack(one, self._remote) for one in message["args"]]
            function = self._values.kept[message["callback"]]
            return {"value": self._packed(function(*args))}
        except Exception as error:
            return {"error": error_line(error)}


class CheckNames(dict[str, Any]):
    """The check's names: its own first, then Python's, then the answer's.

    An answer whose task is a function with one of Python's names is asked for it: there, the check
    uses no other name of the answer's.
    """

    process: AnswerProcess
    may_replace: bool
    """Whether the answer's functions stand in for Python's of the same name."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) and not self.may_replace:
            return getattr(builtins, name)
        return self.process.ask("name", name)


_NAMING = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler


def uses_names_of_an_answer(text: str) -> bool:
    """Whether a check uses names that neither it nor Python has."""
    used: set[str] = set()
    own: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.alias):
            own.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, _NAMING) and node.name:
            own.add(node.name)
    return any(not hasattr(builtins, name) for name in used - own)


def check(line: MessageLine, text: str) -> dict[str, Any]:
    """Run the check against the answer; how it ended."""
    began = line.receive()
    if began is None:
        return {"ok": False, "why": ""}
    if "ready" not in began:
        return {"ok": False, "why": str(began.get("failed", ""))[:300]}
    names = CheckNames({"__name__": "__main__", "__builtins__": builtins.__dict__})
    names.process = AnswerProcess(line)
    try:
        names.may_replace = not uses_names_of_an_answer(text)
        exec(compile(text, "check", "exec"), names)  # noqa: S102 - what it is for
    except BaseException as error:
        # SystemExit too: who leaves before the end of the check has not passed it.
        return {"ok": False, "why": error_line(error)}
    return {"ok": True, "why": ""}


if __name__ == "__main__":
    main()
