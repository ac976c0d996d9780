"""A council as the YAML that somebody would have written: no defaults, short things on one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mom_council.councils.reading import RESOLVERS
from mom_council.councils.schema import Council

N = TypeVar("N", MappingNode, SequenceNode)

_WIDTH = 96


def written(council: Council) -> str:
    """Write `council` as YAML that loads to an equal council."""
    return as_yaml(council.model_dump(mode="json", exclude_defaults=True))


def as_yaml(values: Mapping[str, Any]) -> str:
    """Write plain values, be they a council yet or not, as YAML that reads to equal values."""
    text: str = yaml.dump(
        dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH
    )
    return text


class _Dumper(yaml.SafeDumper):
    # What either YAML takes for something else than text is quoted, so that any reader agrees.
    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML declares it so)
        first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *RESOLVERS.get(first, [])]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *RESOLVERS}
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> SequenceNode:
        return _fitted(super().represent_sequence(tag, sequence, flow_style))

    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> MappingNode:
        return _fitted(super().represent_mapping(tag, mapping, flow_style))


def _text(dumper: _Dumper, value: str) -> Node:
    # Unicode's own line breaks would be read back as blanks anywhere but in double quotes.
    odd = any(sign in value for sign in "\r\x85\u2028\u2029")
    style = '"' if odd else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _number(dumper: _Dumper, value: float) -> Node:
    if value.is_integer() and abs(value) < 1e15:  # 120, as people write it, not 120.0
        return dumper.represent_scalar("tag:yaml.org,2002:int", str(int(value)))
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)


def _fitted(node: N) -> N:
    node.flow_style = 0 < _length(node) <= _WIDTH - 8
    return node


def _length(node: Node) -> int:
    """The room that `node` takes on one line; beyond any when it needs several."""
    if isinstance(node, ScalarNode):
        return len(node.value) + 4 if node.style != "|" else 10_000
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    nested = isinstance(node, MappingNode) and any(isinstance(p, MappingNode) for p in parts)
    return 10_000 if nested else 2 + sum(map(_length, parts))
