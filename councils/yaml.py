"""YAML of councils, read strictly and written as a person would write it.

Tags, repeated keys and bombs are refused, and plain values are those of YAML 1.2: `no`, `on` and
`12:30` are text here, and `1e-3` is a number, which PyYAML alone sees the other way round. Merge
keys (`<<`) are not read. A written council has no defaults, and short things are on one line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mom_council.councils.refusals import Path, Problem, in_words, refusal
from mom_council.councils.schema import Council, Section
from mom_council.errors import CouncilError
from mom_council.redaction import quote

S = TypeVar("S")

# Far beyond any council, and far below what would hold up the reader.
MOST_CHARACTERS = 1_000_000
MOST_NODES = 20_000
MOST_DEPTH = 32


def as_plain(values: Mapping[Any, Any]) -> tuple[list[Problem], dict[str, Any]]:
    """Copy `values`, aliases unfolded; with what in them is no plain value, and where.

    A `Section` inside (a `Model(...)`, say) counts as what is written for it.
    """
    copy = _Copy()
    return copy.problems, copy.mapping(values, ())


class _Copy:
    """One copying: what it found wrong, and how much it may still copy."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.left = MOST_NODES

    def of(self, value: Any, path: Path) -> Any:
        self.left -= 1
        if self.left < 0 or len(path) > MOST_DEPTH:
            # Said once: an alias to itself would say it without end.
            if self.left >= 0 or self.left == -1:
                most = f"more than {MOST_NODES} values, or {MOST_DEPTH} levels"
                self.problems.append(
                    Problem(path[:3], f"holds {most}", cure="write a simpler council")
                )
                self.left = -1
            return None
        if isinstance(value, Section):
            value = value.model_dump(mode="json", exclude_unset=True)
        if isinstance(value, Mapping):
            return self.mapping(value, path)
        if isinstance(value, list | tuple):
            return [self.of(inner, (*path, index)) for index, inner in enumerate(value)]
        return self.scalar(value, path)

    def mapping(self, values: Mapping[Any, Any], path: Path) -> dict[str, Any]:
        return {key: self.of(value, (*path, key)) for key, value in self.items(values, path)}

    def items(self, values: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, Any]]:
        for key, value in values.items():
            if not isinstance(key, str):
                says = f"the key {quote(key)} must be text; put it in quotes"
                self.problems.append(Problem(path, says))
            elif (text := self.text(key, path)) is not None:
                yield text, value

    def scalar(self, value: Any, path: Path) -> Any:
        if isinstance(value, str):
            return self.text(value, path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < 2**63:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        number = isinstance(value, int | float)
        kind = (
            "a finite number of fewer digits" if number else "text, a number, a list or a mapping"
        )
        self.problems.append(Problem(path, f"must be {kind}, is {quote(value)}"))
        return None

    def text(self, value: str, path: Path) -> str | None:
        try:
            # JSON writes what lies beyond 16 bits as two halves; YAML leaves them apart.
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.problems.append(Problem(path, "holds half a character", cure="retype it"))
            return None


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
        raise CouncilError(f"{origin}: {_problem_text(error)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        unprintable = f"line {line}: holds a character that YAML does not allow"
        raise CouncilError(f"{origin}: {unprintable}", cure="retype the line") from None


def read_settings(path: FilePath, shape: TypeAdapter[S], about: str, root: type[Section]) -> S:
    """Read a file of settings that the user wrote, other than a council.

    Args:
        path: the file.
        shape: what it must hold.
        about: what that is, after "a mapping of", for its refusal.
        root: the section whose keys a wrong key is compared with.

    Raises:
        CouncilError: it cannot be read, or holds something else; each line names a place.
    """
    try:
        if not path.is_file():
            raise CouncilError(f"{path}: is no regular file", cure="write the settings to one")
        with path.open("rb") as file:
            text = file.read(MOST_CHARACTERS + 1).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise CouncilError(f"{quote(str(path))}: cannot be read ({reason})") from None
    values = read_yaml(text, str(path))
    if not isinstance(values, Mapping):
        raise CouncilError(f"{path}: is no mapping of {about}", cure="the documentation shows one")
    problems, plain = as_plain(values)
    if problems:
        raise refusal(str(path), problems)
    try:
        return shape.validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise refusal(str(path), in_words(error, root)) from None


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
                raise _build_error(f"more than {most} {things}; write a simpler council", event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _build_error(f"the tag {quote(tag)} is not read; leave it out", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                raise _build_error("a key must be a plain name", key)
            if key.value in seen:
                raise _build_error(f"{quote(key.value)} stands twice here; keep one", key)
            seen.add(key.value)
        # Not SafeConstructor's: that one reads merge keys.
        return yaml.constructor.BaseConstructor.construct_mapping(self, node, deep)


def line_of(text: str, place: str) -> int | None:
    """The line of a YAML text on which a place such as `models.deep.fallbacks[0]` stands.

    Of a place that is not there it is the line of what holds it; None: the text cannot be read.
    """
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    line = None
    for name, index in re.findall(r"([\w-]+)|\[(\d+)\]", place):
        if isinstance(node, MappingNode):
            pair = next((one for one in node.value if one[0].value == name), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, SequenceNode) and index and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _int(loader: _Loader, node: ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _float(loader: _Loader, node: ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def _build_error(says: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(problem=says, problem_mark=at.start_mark)


def _problem_text(error: yaml.MarkedYAMLError) -> str:
    mark, says = error.problem_mark or error.context_mark, error.problem or "is no YAML"
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if isinstance(error, yaml.constructor.ConstructorError):
        return f"{place}{says}"
    if "'\\t'" in says:
        return f"{place}a tab; indent with blanks"
    if isinstance(error, yaml.composer.ComposerError):  # its words hold names from the text
        says = "an alias to nothing, an anchor set twice, or a second document"
    return f"{place}{says}; look at the quotes, colons and indentation there"


N = TypeVar("N", MappingNode, SequenceNode)

_WIDTH = 96


def written(council: Council) -> str:
    """Write `council` as YAML that loads to an equal council."""
    values = council.model_dump(mode="json", exclude_defaults=True)
    rules = council.deliberation
    # What a file says is not what it leaves open, though it be the default.
    stated = {name: getattr(rules, name) for name in rules.LEFT_OPEN if not rules.leaves_open(name)}
    if stated:
        values["deliberation"] = {**values.get("deliberation", {}), **stated}
    return as_yaml(values)


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
        return _choose_style(super().represent_sequence(tag, sequence, flow_style))

    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> MappingNode:
        return _choose_style(super().represent_mapping(tag, mapping, flow_style))


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


def _choose_style(node: N) -> N:
    node.flow_style = 0 < _length(node) <= _WIDTH - 8
    return node


def _length(node: Node) -> int:
    """The room that `node` takes on one line; beyond any when it needs several."""
    if isinstance(node, ScalarNode):
        return len(node.value) + 4 if node.style != "|" else 10_000
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    nested = isinstance(node, MappingNode) and any(isinstance(p, MappingNode) for p in parts)
    return 10_000 if nested else 2 + sum(map(_length, parts))
