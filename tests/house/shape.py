"""Findings about the shape of the code: circles, floors, private parts, long functions."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from mom_council.tests.house.sources import (
    PACKAGE,
    Import,
    Source,
    floors,
    imported_names,
    imports,
    product,
)

SEAMS = "seams/"
"""One file a library: they alone may use what is private in LangGraph and in vendors' clients."""
PROVIDERS = "models/providers/"
METHODS = "voting/methods/"
_TABLES = frozenset({"METHODS", "VENDORS"})
"""The tables of methods and vendors themselves: to look a name up in them is right anywhere."""
HTTP_METHOD = "request.method"
"""GET, POST, DELETE: the one method that is none of voting."""
LONGEST = 60
"""Lines of a function."""
_PUBLIC_DESPITE_UNDERSCORE = frozenset({"_replace", "_asdict", "_fields", "_make", "_exit"})


def circles() -> list[str]:
    """Groups of files that import each other, directly or through others."""
    reached = defaultdict(set)
    for arrow in imports():
        reached[arrow.importer].add(arrow.imported)
    return [" <-> ".join(sorted(map(_short, group))) for group in strongly_connected(reached)]


def upward_imports() -> list[str]:
    """Imports from a lower floor to a higher one."""
    height = {room: level for level, names in enumerate(reversed(floors())) for room in names}
    return [
        f"{_short(arrow.importer)} -> {_short(arrow.imported)}"
        for arrow in imports()
        if _height(arrow.importer, height) < _height(arrow.imported, height)
    ]


def provider_comparisons() -> list[str]:
    """Where a provider is compared with a name outside models/providers."""
    return _comparisons({"provider"}, PROVIDERS)


def method_comparisons() -> list[str]:
    """Where a vote method is compared with a name outside voting/methods."""
    return _comparisons({"method", "vote_method"}, METHODS)


def private_uses() -> list[str]:
    """Private modules, names and attributes of other distributions, outside the seams."""
    own = _own_private_names()
    return [
        f"{source.path}: {use}"
        for source in product()
        if not source.path.startswith(SEAMS)
        for use in sorted({*_private_imports(source), *_private_attributes(source, own)})
    ]


def repeated_classes() -> list[str]:
    """Public classes whose name exists in more than one file."""
    places = defaultdict(list)
    for source in product():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(source.path)
    return [f"{name}: {', '.join(paths)}" for name, paths in sorted(places.items()) if paths[1:]]


def long_functions() -> list[str]:
    """Functions of more than `LONGEST` lines."""
    return [
        f"{source.path}: {node.name} has {length} lines"
        for source in product()
        for node in functions(source)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST
    ]


def rooms() -> list[tuple[str, int, int]]:
    """Every room with its files and lines, the largest first."""
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for source in product():
        files[source.folder] += 1
        lines[source.folder] += source.lines
    return [(room, files[room], lines[room]) for room, _ in files.most_common()]


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _short(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.")


def _height(module: str, height: dict[str, int]) -> int:
    """The floor of a module; what is in no room (the public face) is above them all."""
    return height.get(_short(module).split(".")[0], len(height))


def _comparisons(names: set[str], home: str) -> list[str]:
    return [
        f"{source.path}:{node.lineno}: {ast.unparse(node)}"
        for source in product()
        if not source.path.startswith(home)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Compare) and _compares_with_constant(node, names)
    ]


def _compares_with_constant(node: ast.Compare, names: set[str]) -> bool:
    sides = [node.left, *node.comparators]
    named = [_last_name(side) in names for side in sides]
    constant = [_is_constant(side) for side in sides]
    return any(named) and any(constant)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return "" if ast.unparse(node) == HTTP_METHOD else node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_constant(node: ast.expr) -> bool:
    """Whether it is a text, a collection of texts, or a constant of a module by its name."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return bool(node.elts) and all(map(_is_constant, node.elts))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(node.value)
    return _last_name(node).isupper() and _last_name(node) not in _TABLES


def _private_imports(source: Source) -> Iterator[str]:
    for name, _ in imported_names(source.tree):
        first, *rest = name.split(".")
        foreign = first not in {PACKAGE, "__future__"} and first not in sys.stdlib_module_names
        if foreign and any(_is_private(part) for part in (first, *rest)):
            yield f"import {name}"


def _private_attributes(source: Source, own: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own:
            yield f"attribute {node.attr}"
        if isinstance(node, ast.Call) and _last_name(node.func) in {
            "getattr",
            "setattr",
            "hasattr",
        }:
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and _is_private(str(name.value)):
                yield f"attribute {name.value}"


def _own_private_names() -> frozenset[str]:
    """Every private name that the product itself defines."""
    return frozenset({
        *_PUBLIC_DESPITE_UNDERSCORE,
        *(name for source in product() for name in _defined(source.tree) if _is_private(name)),
    })  # fmt: skip


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def strongly_connected(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of more than one node that reach each other."""
    groups: list[list[str]] = []
    grouped: set[str] = set()
    for node in sorted(arrows):
        if node in grouped:
            continue
        ahead = reachable(node, arrows)
        group = [node, *(other for other in ahead - {node} if node in reachable(other, arrows))]
        if len(group) > 1:
            groups.append(group)
            grouped.update(group)
    return groups


def reachable(start: str, arrows: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        for following in arrows.get(ahead.pop(), set()) - reached:
            reached.add(following)
            ahead.append(following)
    return reached


def arrows_between(names: Iterable[Import]) -> set[tuple[str, str]]:
    """The rooms that import each other, by their first folder."""
    pairs = (
        (_short(each.importer).split(".")[0], _short(each.imported).split(".")[0]) for each in names
    )
    return {pair for pair in pairs if pair[0] != pair[1]}
