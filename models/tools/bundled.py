"""The tools that come along. They read nothing, write nothing and reach nothing."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_TWO: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_ONE: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "gcd": math.gcd,
    "log": math.log,
    "max": max,
    "min": min,
    "round": round,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_LONGEST = 500
_BITS = 4096
"""Of a whole number: larger ones cost time and are no answer to anything."""


def calculator(expression: str) -> str:
    """Work out an arithmetic expression, such as "17 * 25 + sqrt(2)".

    Knows + - * / // % **, brackets, pi, e, abs, ceil, cos, exp, floor, gcd, log, max, min, round,
    sin, sqrt and tan.
    """
    if len(expression) > _LONGEST:
        raise ValueError(f"the expression is longer than {_LONGEST} characters")
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError("this is no arithmetic expression") from None
    return str(_value(tree.body))


def clock() -> str:
    """Tell the date and the time, here and in UTC."""
    now = datetime.now(UTC)
    return f"{now.astimezone():%A, %Y-%m-%d %H:%M:%S %Z} ({now:%Y-%m-%d %H:%M:%S} UTC)"


TOOLS: dict[str, Callable[..., str]] = {"calculator": calculator, "clock": clock}


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return node.value
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp() if type(node.op) in _ONE:
            return _ONE[type(node.op)](_value(node.operand))
        case ast.BinOp() if type(node.op) in _TWO:
            return _applied(node.op, _value(node.left), _value(node.right))
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(one) for one in node.args)))
    raise ValueError(f"{ast.unparse(node)[:60]!r} is nothing that is worked out here")


def _applied(sign: ast.operator, left: Any, right: Any) -> Any:
    whole = isinstance(left, int) and isinstance(right, int)
    if isinstance(sign, ast.Pow) and whole and abs(right) * max(1, abs(left).bit_length()) > _BITS:
        raise ValueError("the power is too large")
    return _bounded(_TWO[type(sign)](left, right))


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise ValueError("the number is too large")
    if isinstance(value, complex):
        raise ValueError("the result is no real number")  # noqa: TRY004 - its value, not its type
    return value
