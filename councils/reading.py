"""YAML, read strictly: no tags, no doubled keys, no bombs, and only YAML 1.2's plain values.

Plain `no`, `on` and `12:30` are text here, and `1e-3` is a number, which PyYAML alone sees the
other way round. Merge keys (`<<`) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from mom_council.councils.plain import MOST_CHARACTERS, MOST_DEPTH, MOST_NODES
from mom_council.councils.secrecy import shown
from mom_council.errors import CouncilError

MOST_ALIASES = 64

_INT, _FLOAT = (
    re.compile(r"[-+]?[0-9]{1,19}\Z"),
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]{1,18}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?\Z"),
)
RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
"""First character of a plain scalar -> what it may be, tried in order."""
for _tag, _pattern, _first in (
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    for _character in _first:
        RESOLVERS.setdefault(_character, []).append((f"tag:yaml.org,2002:{_tag}", _pattern))


def read_yaml(text: str, origin: str) -> Any:
    """Read one YAML document into plain values.

    Raises:
        CouncilError: it is no YAML, or is more than a council has any use for; with its line.
    """
    if len(text) > MOST_CHARACTERS:
        raise CouncilError(f"{origin}: is longer than 1 MB; a council fits on a screen")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader, only stricter)
    except yaml.MarkedYAMLError as error:
        raise CouncilError(f"{origin}: {_told(error)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        unprintable = f"line {line}: holds a character that YAML does not allow"
        raise CouncilError(f"{origin}: {unprintable}; retype the line") from None


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = RESOLVERS

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.count = self.depth = self.aliases = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self.count += 1
        self.depth += 1
        self.aliases += isinstance(event, yaml.AliasEvent)
        for most, actual, things in (
            (MOST_NODES, self.count, "values"),
            (MOST_DEPTH, self.depth, "levels"),
            (MOST_ALIASES, self.aliases, "aliases"),
        ):
            if actual > most:
                raise _refused(f"more than {most} {things}; write a simpler council", event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refused(f"the tag {shown(tag)} is not read; leave it out", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                raise _refused("a key must be a plain name", key)
            if key.value in seen:
                raise _refused(f"{shown(key.value)} stands twice here; keep one", key)
            seen.add(key.value)
        # Not SafeConstructor's: that one reads merge keys.
        return yaml.constructor.BaseConstructor.construct_mapping(self, node, deep)


def _int(loader: _Loader, node: ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _float(loader: _Loader, node: ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def _refused(says: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(problem=says, problem_mark=at.start_mark)


def _told(error: yaml.MarkedYAMLError) -> str:
    mark, says = error.problem_mark or error.context_mark, error.problem or "is no YAML"
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if isinstance(error, yaml.constructor.ConstructorError):
        return f"{place}{says}"
    if "'\\t'" in says:
        return f"{place}a tab; indent with blanks"
    if isinstance(error, yaml.composer.ComposerError):  # its words hold names from the text
        says = "an alias to nothing, an anchor set twice, or a second document"
    return f"{place}{says}; look at the quotes, colons and indentation there"
