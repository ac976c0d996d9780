"""The lint of names: no participle alone, no second metaphor, one meaning for a word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mom_council.tests.house.shape import functions
from mom_council.tests.house.sources import Source, product

PARTICIPLES = frozenset(
    [
        "told",
        "given",
        "found",
        "known",
        "asked",
        "kept",
        "said",
        "wanted",
        "made",
        "shown",
        "settled",
        "heard",
        "gone",
    ]
)
"""Words that are no name by themselves: a name says what was told, and by whom."""

METAPHORS = frozenset(
    [
        "room",
        "rooms",
        "shelf",
        "shelves",
        "desk",
        "desks",
        "bench",
        "benches",
        "belt",
        "belts",
        "hands",
        "purse",
        "purses",
        "belongings",
        "house",
        "houses",
        "kit",
        "kits",
        "ear",
        "ears",
        "errand",
        "errands",
    ]
)
"""Words of a second picture beside the council's."""


def banned_names() -> list[str]:
    """Modules, classes, functions and parameters whose name is banned, with their file."""
    return [
        f"{source.path}: {kind} {name}"
        for source in product()
        for kind, name in names_of(source)
        if is_banned(name)
    ]


def names_of(source: Source) -> Iterator[tuple[str, str]]:
    """The names that a file gives to others: its own, its classes, functions and parameters."""
    yield "module", source.module.rpartition(".")[2]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            yield "class", node.name
    for function in functions(source):
        yield "function", function.name
        arguments = function.args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            yield "parameter", f"{each.arg} of {function.name}"


def banned_variables() -> list[str]:
    """Variables whose name is banned, with their file and line."""
    return [
        f"{source.path}:{line}: {name}"
        for source in product()
        for line, name in sorted(variables(source.tree))
        if is_banned(name)
    ]


def variables(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What is bound by `=`, `for`, `with`, `except`, `case`, `:=` or a lambda, with its line.

    The fields of a class are left out: files, events and callers know them by their names.
    """
    fields = {
        id(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in ast.iter_child_nodes(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if id(node) not in fields:
                yield node.lineno, node.id
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs) and node.name:
            yield node.lineno, node.name
        elif isinstance(node, ast.Lambda):
            for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                yield each.lineno, each.arg


def is_banned(name: str) -> bool:
    """Whether a name is a participle alone, or has a word of a second metaphor."""
    name = name.partition(" of ")[0]
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]
    if len(words) == 1 and words[0] in PARTICIPLES:
        return True
    return not METAPHORS.isdisjoint(words)
