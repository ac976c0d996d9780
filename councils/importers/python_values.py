"""What the names of a Python file would hold, found without running it.

Read are literals, names that were set before, texts put together of these, `a or b`, `a if b else
c`, and what the environment's file says: `os.getenv("NAME", usual)` and functions of the file's own
that are called in the same way. All else is not read, and listed with its name.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mom_council.errors import CouncilError

_MOST_STEPS = 20_000
_MOST_ENTRIES = 100_000


class _UnreadableError(Exception):
    """An expression of a kind that is not read."""


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
                self._read(statement.body)

    def _branch(self, statement: ast.If) -> None:
        """The branch that would be taken; where that cannot be told, what only one of them sets."""
        try:
            taken = statement.body if self._value(statement.test) else statement.orelse
        except _UnreadableError:
            before = dict(self.found)
            self._read(statement.orelse)
            self._read(statement.body)
            self.found |= before
            return
        self._read(taken)

    def _set(self, target: ast.expr, value: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            return
        variable = self._variable(value)
        if variable is not None:
            self.variables[target.id] = variable
        try:
            self.found[target.id] = self._value(value)
        except (_UnreadableError, TypeError, ValueError, RecursionError, ArithmeticError):
            self.found.pop(target.id, None)
            if "MODEL" in target.id:
                self.unread[target.id] = "is computed, and the file is not run; write the value out"
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
        """Texts or lists, one after the other."""
        left, right = self._value(node.left), self._value(node.right)
        if not isinstance(node.op, ast.Add) or not isinstance(left, str | list):
            raise _UnreadableError
        return left + right

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
        except _UnreadableError:
            try:
                return self._value(node.body)
            except _UnreadableError:
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

    def comprehension(self, node: ast.ListComp) -> list[Any]:
        """`[m.strip() for m in models if m.strip()]`: each entry, stripped where it is a text."""
        if len(node.generators) != 1:
            raise _UnreadableError
        loop = node.generators[0]
        if not isinstance(loop.target, ast.Name):
            raise _UnreadableError
        before = dict(self.found)
        values = []
        try:
            for one in self._value(loop.iter):
                self.found[loop.target.id] = one
                if all(self._value(test) for test in loop.ifs):
                    values.append(self._value(node.elt))
        finally:
            self.found = before
        return values

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
        if name in _CONVERSIONS and len(node.args) == 1:
            return _CONVERSIONS[name](self._value(node.args[0]))
        variable = self._variable(node)
        if variable is None:
            raise _UnreadableError
        usual = [*node.args[1:], *(one.value for one in node.keywords if one.arg == "default")]
        default = self._value(usual[0]) if usual else None
        return self._env.get(variable, default)


def _constant_text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


_METHODS = ("split", "strip", "lower", "upper", "rstrip", "lstrip", "removesuffix")
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "tuple": list,
    "bool": bool,
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
    ast.Subscript: PythonValues.entry,
    ast.Call: PythonValues.call,
}
