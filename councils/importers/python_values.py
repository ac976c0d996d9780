"""What the names of a Python file would hold, found without running it.

Read are literals, names that were set before, texts and lists put together of these, `a or b`, `a
if b else c`, lists that grow (`+=`, `append`, `extend`, also in a loop), what a class of the file's
own sets, and what the environment's file says: `os.getenv("NAME", usual)` and functions of the
file's own that are called in the same way. All else is not read, and listed with its name.
"""

from __future__ import annotations

import ast
import json
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mom_council.errors import CouncilError

_MOST_STEPS = 20_000
_MOST_ENTRIES = 100_000


class _UnreadableError(Exception):
    """An expression of a kind that is not read."""


_FAILURES = (_UnreadableError, TypeError, ValueError, RecursionError, ArithmeticError)


class PythonValues:
    """The names of a file with their values.

    Args:
        text: the file.
        env: what its environment's file sets; this machine's environment is not looked at.
        origin: what the file is called, for errors.

    Raises:
        CouncilError: it is no Python.
    """

    def __init__(self, text: str, env: Mapping[str, str], origin: str) -> None:
        self._env = env
        self._steps = _MOST_STEPS
        self.found: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        """Names that hold what a variable of the environment says, with that variable."""
        self.unread: dict[str, str] = {}
        """Names that ask for models and could not be read, and why."""
        self._holders: set[str] = set()
        """The file's own classes, and names that hold an object of one."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text)
        except SyntaxError as error:
            raise CouncilError(
                f"{origin}: line {error.lineno}: is no Python ({error.msg})"
            ) from None
        except (ValueError, RecursionError, MemoryError):
            raise CouncilError(f"{origin}: is no Python that can be read") from None
        self._read(tree.body)

    def get(self, name: str) -> Any:
        """What a name holds; None where it is not set, or cannot be read."""
        return self.found.get(name)

    def _read(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.Assign):
                for target in statement.targets:
                    self._set(target, statement.value)
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                self._set(statement.target, statement.value)
            elif isinstance(statement, ast.If):
                self._branch(statement)
            elif isinstance(statement, ast.ClassDef | ast.Try | ast.With):
                self._holders |= {getattr(statement, "name", "")}
                self._read(statement.body)
            else:
                self._change(statement)

    def _change(self, statement: ast.stmt) -> None:
        """A statement that may change what was set before."""
        if isinstance(statement, ast.AugAssign):
            self._set(statement.target, _grown(statement))
        elif isinstance(statement, ast.Expr) and (grown := _grown_by_call(statement.value)):
            self._set(*grown)
        elif isinstance(statement, ast.For):
            self._loop(statement)
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self._forget(statement)

    def _loop(self, statement: ast.For) -> None:
        """Go through a loop over entries that can be read; else its names hold nothing known."""
        try:
            entries = self._value(statement.iter)
        except _FAILURES:
            entries = None
        if not isinstance(entries, list | dict):
            self._forget(statement)
            return
        for one in entries:
            self._steps -= 1
            try:
                self._bind(statement.target, one)
            except _UnreadableError:
                self._steps = -1
            if self._steps < 0:
                self._forget(statement)
                return
            self._read(statement.body)

    def _bind(self, target: ast.expr, value: Any) -> None:
        """Let a name, or each of several, hold a value."""
        if isinstance(target, ast.Name):
            self.found[target.id] = value
        elif (
            isinstance(target, ast.Tuple | ast.List)
            and isinstance(value, list | tuple)
            and len(value) == len(target.elts)
        ):
            for name, one in zip(target.elts, value, strict=True):
                self._bind(name, one)
        else:
            raise _UnreadableError

    def _forget(self, statement: ast.stmt) -> None:
        """What a statement changes that is not read holds nothing that is known."""
        for name in changed_names(statement) & self.found.keys():
            self._lose(name)

    def _lose(self, name: str) -> None:
        self.found.pop(name, None)
        if "MODEL" in name.upper():
            self.unread[name] = "is computed, and the file is not run; write the value out"

    def _branch(self, statement: ast.If) -> None:
        """The branch that would be taken; where that cannot be told, what only one of them sets."""
        try:
            taken = statement.body if self._value(statement.test) else statement.orelse
        except _FAILURES:
            before = dict(self.found)
            self._read(statement.orelse)
            self._read(statement.body)
            self.found |= before
            return
        self._read(taken)

    def _set(self, target: ast.expr, value: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            try:
                self._bind(target, self._value(value))
            except _FAILURES:
                self._forget(ast.Assign([target], value))
            return
        if isinstance(value, ast.Call) and ast.unparse(value.func) in self._holders:
            self._holders.add(target.id)
        if (variable := self._variable(value)) is not None:
            self.variables[target.id] = variable
        try:
            self.found[target.id] = self._value(value)
        except _FAILURES:
            self._lose(target.id)
        else:
            self.unread.pop(target.id, None)

    def _variable(self, node: ast.expr) -> str | None:
        """The variable that an expression asks the environment for."""
        if isinstance(node, ast.BoolOp):
            return self._variable(node.values[0])
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            return _constant_text(node.slice)
        if not isinstance(node, ast.Call) or not node.args:
            return None
        name = ast.unparse(node.func).lower()
        return _constant_text(node.args[0]) if "env" in name or "secret" in name else None

    def _value(self, node: ast.expr) -> Any:
        self._steps -= 1
        if self._steps < 0:
            raise _UnreadableError
        read = _READERS.get(type(node))
        if read is None:
            raise _UnreadableError
        value = read(self, node)
        if isinstance(value, str | list | dict) and len(value) > _MOST_ENTRIES:
            raise _UnreadableError  # a file can double a text in each of its lines
        return value

    def constant(self, node: ast.Constant) -> Any:
        """A text, a number, True, False or None."""
        return node.value

    def name(self, node: ast.Name) -> Any:
        """What was set before."""
        if node.id not in self.found:
            raise _UnreadableError
        return self.found[node.id]

    def sequence(self, node: ast.List | ast.Tuple | ast.Set) -> list[Any]:
        """A list."""
        values: list[Any] = []
        for one in node.elts:
            values += self._value(one.value) if isinstance(one, ast.Starred) else [self._value(one)]
        return values

    def mapping(self, node: ast.Dict) -> dict[Any, Any]:
        """A mapping of texts."""
        values: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            values |= {self._value(key): self._value(value)} if key else self._value(value)
        return values

    def sum_of(self, node: ast.BinOp) -> Any:
        """Texts or lists, one after the other; small numbers, calculated."""
        left, right = self._value(node.left), self._value(node.right)
        calculate = _OPERATORS.get(type(node.op))
        if isinstance(left, str | list) and isinstance(node.op, ast.Add):
            return left + right
        if isinstance(left, list) and isinstance(node.op, ast.Mult) and right in range(65):
            return left * right
        if isinstance(node.op, ast.Pow) and not (abs(left) <= 1000 and right in range(11)):
            raise _UnreadableError
        if calculate is None or not (_is_small(left) and _is_small(right)):
            raise _UnreadableError
        return calculate(left, right)

    def choice(self, node: ast.BoolOp) -> Any:
        """`a or b`, `a and b`."""
        stops: Callable[[Any], bool] = bool if isinstance(node.op, ast.Or) else lambda one: not one
        value: Any = None
        for one in node.values:
            value = self._value(one)
            if stops(value):
                return value
        return value

    def condition(self, node: ast.IfExp) -> Any:
        """`a if b else c`; where b cannot be told, the one that can be read."""
        try:
            return self._value(node.body if self._value(node.test) else node.orelse)
        except _FAILURES:
            try:
                return self._value(node.body)
            except _FAILURES:
                return self._value(node.orelse)

    def comparison(self, node: ast.Compare) -> bool:
        """`a == b`, `a != b`, `a in b`."""
        if len(node.ops) != 1:
            raise _UnreadableError
        left, right = self._value(node.left), self._value(node.comparators[0])
        sign = type(node.ops[0])
        if sign in (ast.Eq, ast.NotEq):
            return (left == right) is (sign is ast.Eq)
        if sign in (ast.In, ast.NotIn):
            return (left in right) is (sign is ast.In)
        if sign in (ast.Is, ast.IsNot):
            return (left is right) is (sign is ast.Is)
        raise _UnreadableError

    def negation(self, node: ast.UnaryOp) -> Any:
        """`not a`, `-1`."""
        value = self._value(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.USub) and isinstance(value, int | float):
            return -value
        raise _UnreadableError

    def formatted(self, node: ast.JoinedStr) -> str:
        """A text with values in it."""
        parts = []
        for one in node.values:
            if isinstance(one, ast.FormattedValue) and one.format_spec is not None:
                raise _UnreadableError
            parts.append(self._value(one.value if isinstance(one, ast.FormattedValue) else one))
        return "".join(map(str, parts))

    def part(self, node: ast.Slice) -> slice:
        """`[1:]`, `[:3]`."""
        return slice(*(one and self._value(one) for one in (node.lower, node.upper, node.step)))

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> list[Any]:
        """`[m.strip() for m in models if m.strip()]`, with one loop or several."""
        before = dict(self.found)
        values: list[Any] = []
        try:
            self._gather(node.generators, node.elt, values)
        finally:
            self.found = before
        return values

    def _gather(self, loops: list[ast.comprehension], entry: ast.expr, values: list[Any]) -> None:
        if not loops:
            values.append(self._value(entry))
            return
        for one in self._value(loops[0].iter):
            self._bind(loops[0].target, one)
            if all(self._value(test) for test in loops[0].ifs):
                self._gather(loops[1:], entry, values)

    def attribute(self, node: ast.Attribute) -> Any:
        """`settings.models`, where a class of the file's own sets it."""
        if ast.unparse(node.value) not in self._holders or node.attr not in self.found:
            raise _UnreadableError
        return self.found[node.attr]

    def entry(self, node: ast.Subscript) -> Any:
        """`os.environ["NAME"]`, `MODELS["large"]`, `MODELS[0]`."""
        if (variable := self._variable(node)) is not None:
            return self._env.get(variable)
        try:
            return self._value(node.value)[self._value(node.slice)]
        except (LookupError, TypeError):
            raise _UnreadableError from None

    def call(self, node: ast.Call) -> Any:
        """What asks the environment, with a usual value; and the plain methods of texts."""
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            text = self._value(node.func.value)
            if not isinstance(text, str):
                raise _UnreadableError
            return getattr(text, node.func.attr)(*[self._value(one) for one in node.args])
        name = ast.unparse(node.func)
        if name in _CONVERSIONS and len(node.args) == 1 and not node.keywords:
            return _CONVERSIONS[name](self._value(node.args[0]))
        named = {one.arg: one.value for one in node.keywords if one.arg}
        if name == "dict" and not node.args:
            return {key: self._value(value) for key, value in named.items()}
        if name.rpartition(".")[2].lower() == "field":  # of a dataclass, of pydantic
            factory = named.get("default_factory")
            usual = factory.body if isinstance(factory, ast.Lambda) else named.get("default")
            if usual is None and not node.args:
                raise _UnreadableError
            return self._value(usual or node.args[0])
        variable = self._variable(node)
        if variable is None:
            return self._view(node)
        usuals = [*node.args[1:], *([named["default"]] if "default" in named else [])]
        default = self._value(usuals[0]) if usuals else None
        return self._env.get(variable, default)

    def _view(self, node: ast.Call) -> Any:
        """What a plain method of a list or a mapping gives."""
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _VIEWS:
            raise _UnreadableError
        holder = self._value(node.func.value)
        if not isinstance(holder, list | dict) or not hasattr(holder, node.func.attr):
            raise _UnreadableError
        result = getattr(holder, node.func.attr)(*[self._value(one) for one in node.args])
        return result if node.func.attr in ("get", "copy") else list(result)


def _constant_text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def changed_names(statement: ast.stmt) -> set[str]:
    """The names whose values a statement sets or could change in place."""
    names = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        holder = node.value if isinstance(node, ast.Attribute | ast.Subscript) else None
        is_called = isinstance(node, ast.Attribute) and node.attr in _CHANGES
        if isinstance(holder, ast.Name) and (is_called or not isinstance(node.ctx, ast.Load)):  # type: ignore[attr-defined]
            names.add(holder.id)
    return names


_CHANGES = (
    *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update"),
    *("setdefault", "add", "discard"),
)
"""Methods that change a list, a mapping or a set in place."""


def _grown(statement: ast.AugAssign) -> ast.expr:
    """`name += value` as the sum that it is."""
    target = statement.target
    read = ast.Name(target.id, ast.Load()) if isinstance(target, ast.Name) else target
    return ast.BinOp(read, statement.op, statement.value)


def _grown_by_call(call: ast.expr) -> tuple[ast.Name, ast.expr] | None:
    """`name.append(value)`, `name.extend(values)`: the name, and the sum that it holds then."""
    if not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
        return None
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
        return None
    added = {
        "append": ast.List([call.args[0]], ast.Load()),
        "extend": ast.List([ast.Starred(call.args[0], ast.Load())], ast.Load()),
    }.get(call.func.attr)
    name = call.func.value
    return (name, ast.BinOp(name, ast.Add(), added)) if added else None


def _is_small(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e12


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_VIEWS = ("values", "keys", "items", "copy", "get")
_METHODS = ("split", "splitlines", "strip", "lower", "upper", "rstrip", "lstrip", "removesuffix")
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "tuple": list,
    "bool": bool,
    "dict": dict,
    "set": lambda values: list(dict.fromkeys(values)),
    "sorted": sorted,
    "len": len,
    "json.loads": json.loads,
}
_READERS: dict[type[ast.expr], Callable[[PythonValues, Any], Any]] = {
    ast.Constant: PythonValues.constant,
    ast.Name: PythonValues.name,
    ast.List: PythonValues.sequence,
    ast.Tuple: PythonValues.sequence,
    ast.Set: PythonValues.sequence,
    ast.Dict: PythonValues.mapping,
    ast.BinOp: PythonValues.sum_of,
    ast.BoolOp: PythonValues.choice,
    ast.IfExp: PythonValues.condition,
    ast.Compare: PythonValues.comparison,
    ast.UnaryOp: PythonValues.negation,
    ast.JoinedStr: PythonValues.formatted,
    ast.ListComp: PythonValues.comprehension,
    ast.SetComp: PythonValues.comprehension,
    ast.GeneratorExp: PythonValues.comprehension,
    ast.Attribute: PythonValues.attribute,
    ast.Slice: PythonValues.part,
    ast.Subscript: PythonValues.entry,
    ast.Call: PythonValues.call,
}
