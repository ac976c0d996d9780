"""The plain values that a Python file gives names to, read from its syntax and never run."""

from __future__ import annotations

import ast
import warnings
from typing import Any

from mom_council.councils.importers.findings import Report
from mom_council.councils.plain import as_plain
from mom_council.errors import CouncilError


def literals(text: str, origin: str, report: Report) -> dict[str, Any]:
    """Every name of the file's top level with its value, where that is a literal.

    Raises:
        CouncilError: it is no Python.
    """
    found: dict[str, Any] = {}
    for statement in _parsed(text, origin).body:
        targets, value = _assigned(statement)
        if targets is None:
            if not isinstance(statement, ast.Import | ast.ImportFrom) and not _is_text(statement):
                kind = type(statement).__name__.lower()
                report.leave(f"line {statement.lineno}", f"a {kind} is not run")
            continue
        for target in targets:
            if not isinstance(target, ast.Name):
                report.leave(f"line {statement.lineno}", "only plain names are read")
                continue
            try:
                read = ast.literal_eval(value) if value is not None else None
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                cure = "write the value out"
                if target.id == "token":
                    cure = "a key comes from the environment alone: HF_TOKEN"
                report.leave(target.id, f"is computed, and the file is not run; {cure}")
                found.pop(target.id, None)
                continue
            if as_plain({target.id: read})[0]:
                report.leave(
                    target.id, "is neither text nor a number, nor a list or mapping of them"
                )
                continue
            if target.id in found:
                report.turn(target.id, "is set twice; the last one counts, as in Python")
            found[target.id] = list(read) if isinstance(read, set | tuple) else read
    return found


def _parsed(text: str, origin: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in somebody's strings
            return ast.parse(text)
    except SyntaxError as error:
        says = f"line {error.lineno}: is no Python ({error.msg}); look at the quotes and brackets"
        raise CouncilError(f"{origin}: {says}") from None
    except (ValueError, RecursionError, MemoryError):
        raise CouncilError(f"{origin}: is no Python that can be read") from None


def _assigned(statement: ast.stmt) -> tuple[list[ast.expr] | None, ast.expr | None]:
    if isinstance(statement, ast.Assign):
        return statement.targets, statement.value
    if isinstance(statement, ast.AnnAssign):
        return [statement.target], statement.value
    return None, None


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
