"""The product's files as parsed code, and who imports whom."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mom_council

PACKAGE = "mom_council"
ROOT = Path(mom_council.__file__).parent
OUTSIDE = ("tests", "testing/", "benchmarks", "docs", "examples", ".ci")
"""Folders that no question runs through: not in the package, but for `testing/`, which is what our
own tests and those of programs share."""


class Source(NamedTuple):
    """One file of the product."""

    path: str
    """From the root, with slashes: `graph/council.py`."""
    module: str
    """As it is imported: `mom_council.graph.council`."""
    text: str
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The first folder of the path; the file itself at the root."""
        return self.path.split("/")[0]

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return self.text.count("\n")


class Import(NamedTuple):
    """That one file of the product imports another."""

    importer: str
    imported: str
    at_start: bool
    """Whether it happens when the file is loaded, and not in a function."""


@cache
def product() -> tuple[Source, ...]:
    """Every Python file of the package, as git lists it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]
    return tuple(_read(path) for path in sorted(paths) if not path.startswith(OUTSIDE))


@cache
def imports() -> tuple[Import, ...]:
    """Every import of one product file by another; those for type checkers alone are left out."""
    known = {source.module for source in product()}
    arrows = {
        Import(source.module, imported, at_start)
        for source in product()
        for name, at_start in imported_names(source.tree)
        if (imported := _module_of(name, known)) and imported != source.module
    }
    return tuple(sorted(arrows))


@cache
def floors() -> tuple[tuple[str, ...], ...]:
    """The floors of the house from the top down, as the import contract lists them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    [layers] = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    return tuple(
        tuple(
            name.strip().removeprefix(f"{PACKAGE}.") for name in layer.replace("|", ":").split(":")
        )
        for layer in layers
        if layer != f"{PACKAGE}.benchmarks"
    )


def imported_names(tree: ast.AST, *, at_start: bool = True) -> Iterator[tuple[str, bool]]:
    """The dotted names that code imports, and whether it does so when it is loaded.

    `from a import b` gives `a.b`: only the caller knows whether `b` is a module.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_for_type_checkers(node.test):
            for other in node.orelse:
                yield from imported_names(other, at_start=at_start)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, at_start) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", at_start) for alias in node.names)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imported_names(node, at_start=at_start and not inside)


def _read(path: str) -> Source:
    text = (ROOT / path).read_text("utf-8")
    module = f"{PACKAGE}.{path.removesuffix('.py').replace('/', '.')}"
    module = module.removesuffix(".__init__")
    return Source(path, module, text, ast.parse(text))


def _module_of(name: str, known: set[str]) -> str | None:
    """The product's module that holds a dotted name."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name if name.startswith(f"{PACKAGE}.") else None


def _is_for_type_checkers(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
