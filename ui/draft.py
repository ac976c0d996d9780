"""A council that is being edited: a plain mapping, and the pure functions that change it.

A draft may be wrong in any way while somebody works at it; `check` says how, and nothing that was
written is lost by an edit that makes no sense: it then changes nothing. Between two edits a draft
is as the council's YAML, but for its layers, which seat characters by their place in
`characters` instead of by a name that may just be changing.
An index is a character's place in `characters`; an edit of somebody who is not there changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from mom_council.councils.coherence import problems_in
from mom_council.councils.loader import load_council
from mom_council.councils.refusals import Path
from mom_council.councils.schema import Council, Section
from mom_council.councils.yaml import as_yaml, read_yaml
from mom_council.errors import CouncilError
from mom_council.ui.field_shapes import shapes_of

Draft = dict[str, Any]

_PARTS = {name: shape for name, shape in shapes_of(Council).items() if shape.kind == "section"}
_CAN_GO = (
    *(name for name, part in _PARTS.items() if part.default is not None or not part.optional),
    "lanes",
    "tools",
)
"""Parts that mean the same whether they are empty or left out."""


def draft_of(council: Council) -> Draft:
    """The draft of a council that sits already."""
    return opened(council.model_dump(mode="json", exclude_defaults=True))


def read_draft(text: str, origin: str = "council") -> Draft:
    """The draft in a YAML text; it need not be a council yet, but must have the shape of one.

    Raises:
        CouncilError: it is no YAML, or no form could show it.
    """
    values = read_yaml(text, origin)
    if fault := _misshapen(values):
        raise CouncilError(f"{origin}: {fault}")
    return opened(values)


def opened(values: Mapping[str, Any]) -> Draft:
    """A draft of a council as it is written: seats by place. A name nobody has stays a name."""
    draft = deepcopy(dict(values))
    places: dict[str, list[int]] = {}
    for index, one in enumerate(characters(draft)):
        places.setdefault(str(one.get("name")), []).append(index)
    if isinstance(layers := draft.get("layers"), list):
        draft["layers"] = [
            [places[name].pop(0) if places.get(name) else name for name in layer]
            for layer in layers
        ]
    return draft


def written(draft: Draft) -> Draft:
    """The council as its file would say it."""
    values = deepcopy(draft)
    names = [one.get("name") for one in characters(draft)]
    if "layers" in draft:
        values["layers"] = [
            [names[seat] if isinstance(seat, int) else seat for seat in layer]
            for layer in draft["layers"]
        ]
    return values


def council_of(draft: Draft) -> Council:
    """The council, where it can sit.

    Raises:
        CouncilError: it cannot.
    """
    return load_council(written(draft))


def text_of(draft: Draft) -> str:
    """The draft as YAML, whether or not it can sit."""
    return as_yaml(written(draft))


def check(draft: Draft) -> dict[Path, str]:
    """What keeps the draft from being a council: path -> message. Empty: it can sit."""
    messages: dict[Path, str] = {}
    for problem in problems_in(written(draft)):
        before = messages.get(problem.path)
        messages[problem.path] = f"{before}; {problem.advice}" if before else problem.advice
    return messages


def at(draft: Draft, path: Path, default: Any = None) -> Any:
    """What stands at a path; `default` where nothing does."""
    value: Any = draft
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return default
    return value


def put(draft: Draft, path: Path, value: Any) -> Draft:
    """The draft with `value` at a path; sections on the way are made where they are missing."""
    copy = deepcopy(draft)
    place: Any = copy
    for step in path[:-1]:
        if isinstance(place, dict) and step not in place:
            place[step] = {}
        place = _inner(place, step)
    if not path or not _takes(place, path[-1]):
        return draft
    place[path[-1]] = deepcopy(value)
    return copy


def drop(draft: Draft, path: Path) -> Draft:
    """The draft without what stands at a path; a section that is then empty goes with it."""
    changed = deepcopy(draft)
    place = at(changed, path[:-1]) if path else None
    if not isinstance(place, dict) or path[-1] not in place:
        return draft
    del place[path[-1]]
    emptied = not place and len(path) == 2 and path[0] in _CAN_GO
    return drop(changed, path[:-1]) if emptied else changed


def characters(draft: Draft) -> list[dict[str, Any]]:
    """The characters as they stand there."""
    value = draft.get("characters")
    return value if isinstance(value, list) else []


def extensions(draft: Draft) -> list[dict[str, Any]]:
    """The extensions as they stand there."""
    value = draft.get("extensions")
    return value if isinstance(value, list) else []


def entries(draft: Draft, path: Path = ("models",)) -> dict[str, Any]:
    """The entries of a part that holds them by name: the models, the lanes, the tools."""
    value = at(draft, path)
    return value if isinstance(value, dict) else {}


def fresh_name(name: str, taken: Iterable[object]) -> str:
    """`name`, with a number after it where somebody has it already."""
    names = {str(one).casefold() for one in taken}
    number, fresh = 2, name
    while fresh.casefold() in names:
        fresh, number = f"{name[:56]} {number}", number + 1
    return fresh


def add_entry(draft: Draft, path: Path, values: Mapping[str, Any]) -> tuple[Draft, str]:
    """The draft with one more entry of a part, and its name; a number makes the name its own."""
    name = fresh_name(str(path[-1]).removesuffix("s"), entries(draft, path))
    return put(draft, (*path, name), dict(values)), name


def rename_entry(draft: Draft, path: Path, old: str, new: str) -> Draft:
    """The draft with an entry under another name, and everything that names it changed too."""
    old_entries = entries(draft, path)
    if old not in old_entries or new in old_entries:
        return draft
    renamed = {new if name == old else name: entry for name, entry in old_entries.items()}
    changed = put(draft, path, renamed)
    if len(path) == 1:
        _rename_in(changed, Council, (str(path[0]), old, new))
    return changed


def _rename_in(values: Any, section: type[Section], names: tuple[str, str, str]) -> None:
    """Change every field of a part that names the entry, in place."""
    part, old, new = names
    if not isinstance(values, dict):
        return
    for name, shape in shapes_of(section).items():
        value = values.get(name)
        if shape.key_of == part:
            if isinstance(value, list):
                values[name] = [new if one == old else one for one in value]
            elif value == old:
                values[name] = new
        elif shape.section is not None:
            inner = [value]
            if shape.kind == "sections":
                inner = value if isinstance(value, list) else []
            elif shape.kind == "entries":
                inner = [*value.values()] if isinstance(value, dict) else []
            for one in inner:
                _rename_in(one, shape.section, names)


def _misshapen(values: Any) -> str | None:
    """Why a form could not show these values."""
    if not isinstance(values, dict):
        return "is no mapping of name, models, characters, ..."
    if not all(isinstance(key, str) for key in values):
        return "every key must be text; put it in quotes"
    listed, named = values.get("characters", []), values.get("models", {})
    if not (isinstance(listed, list) and all(isinstance(one, dict) for one in listed)):
        return "characters: must be a list of mappings"
    if not (isinstance(named, dict) and all(isinstance(one, dict) for one in named.values())):
        return "models: must be a mapping of mappings"
    added = values.get("extensions", [])
    if not (isinstance(added, list) and all(isinstance(one, dict) for one in added)):
        return "extensions: must be a list of mappings"
    layers = values.get("layers", [])
    if not (isinstance(layers, list) and all(isinstance(one, list) for one in layers)):
        return "layers: must be a list of lists of names"
    if not all(isinstance(name, str) for layer in layers for name in layer):
        return "layers: hold names, nothing else"
    for section in _PARTS:
        if not isinstance(values.get(section, {}), dict | None):
            return f"{section}: must be a mapping"
    return None


def _inner(place: Any, step: str | int) -> Any:
    try:
        return place[step]
    except (KeyError, IndexError, TypeError):
        return None


def _takes(place: Any, step: str | int) -> bool:
    if isinstance(place, dict):
        return isinstance(step, str)
    return isinstance(place, list) and isinstance(step, int) and 0 <= step < len(place)


Seats = list[list[Any]]


def columns(draft: Draft) -> list[list[int]]:
    """The layers as places in `characters`; those in no layer in one more column."""
    layers = [[seat for seat in row if _sits(draft, seat)] for row in _layers(draft)]
    return [*layers, rest] if (rest := unseated(draft)) else layers


def unseated(draft: Draft) -> list[int]:
    """Who sits in no layer."""
    seated = {seat for row in _layers(draft) for seat in row}
    return [index for index in range(len(characters(draft))) if index not in seated]


def add_character(draft: Draft, layer: int | None = None) -> Draft:
    """With one more character, in a layer (the last where none is given)."""
    changed = deepcopy(draft)
    layers = _layers(changed)
    names = [one.get("name") for one in characters(changed)]
    model = next(iter(entries(changed)), "")
    changed["characters"] = [
        *characters(changed),
        {"name": fresh_name("New character", names), "model": model},
    ]
    row = layers[layer] if layer is not None and 0 <= layer < len(layers) else layers[-1]
    row.append(len(names))
    return _with(changed, layers)


def duplicate(draft: Draft, index: int) -> Draft:
    """With a copy of a character right after it, under a name of its own."""
    if not _is_there(draft, index):
        return draft
    changed = deepcopy(draft)
    copy = deepcopy(changed["characters"][index])
    names = [one.get("name") for one in characters(changed)]
    copy["name"] = fresh_name(str(copy.get("name") or "New character"), names)
    layers = _renumber(_layers(changed), lambda seat: seat + (seat > index))
    changed["characters"].insert(index + 1, copy)
    for row in layers:
        if index in row:
            row.insert(row.index(index) + 1, index + 1)
    return _with(changed, layers)


def remove(draft: Draft, index: int) -> Draft:
    """Without a character; a layer that nobody is left in goes with it."""
    if not _is_there(draft, index):
        return draft
    changed = deepcopy(draft)
    layers = [[seat for seat in row if seat != index] for row in _layers(changed)]
    layers = _renumber(layers, lambda seat: seat - (seat > index))
    del changed["characters"][index]
    return _with(changed, [row for row in layers if row] or [[]])


def move(draft: Draft, index: int, by: int) -> Draft:
    """With a character before (-1) or after (+1) its neighbour in the same layer."""
    layers = _layers(draft)
    row = next((row for row in layers if index in row), None)
    place = row.index(index) + by if row else -1
    if not _is_there(draft, index) or row is None or not 0 <= place < len(row):
        return draft
    other = row[place]
    if not _sits(draft, other):
        return draft
    # The order of `characters` is the order of ties and of the screen, so it moves along; the
    # places in the row then name each other's characters already.
    changed = deepcopy(draft)
    seated = changed["characters"]
    seated[index], seated[other] = seated[other], seated[index]
    return changed


def shift(draft: Draft, index: int, by: int) -> Draft:
    """With a character in the layer before or after; beyond the last one a new layer is made.

    Who sat in no layer gets a seat in the last one.
    """
    if not _is_there(draft, index):
        return draft
    layers = _layers(draft)
    row = next((at for at, row in enumerate(layers) if index in row), None)
    if row is None:
        layers[-1].append(index)
        return _with(deepcopy(draft), layers)
    target = row + by
    alone = len(layers[row]) == 1
    if target < 0 or target > len(layers) or (alone and target == len(layers)):
        return draft
    layers[row].remove(index)
    if target == len(layers):
        layers.append([])
    layers[target].append(index)
    return _with(deepcopy(draft), [one for one in layers if one])


def _layers(draft: Draft) -> Seats:
    """The layers, with the default filled in."""
    rows = draft.get("layers")
    if isinstance(rows, list) and rows:
        return [list(row) for row in rows]
    return [list(range(len(characters(draft))))]


def _with(draft: Draft, layers: Seats) -> Draft:
    """The draft with these layers; one layer of all in their order is not written down."""
    if layers == [list(range(len(characters(draft))))]:
        draft.pop("layers", None)
    else:
        draft["layers"] = layers
    return draft


def _renumber(layers: Seats, number: Any) -> Seats:
    return [[number(seat) if isinstance(seat, int) else seat for seat in row] for row in layers]


def _sits(draft: Draft, seat: Any) -> bool:
    return isinstance(seat, int) and _is_there(draft, seat)


def _is_there(draft: Draft, index: int) -> bool:
    return 0 <= index < len(characters(draft))
