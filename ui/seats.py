"""Who sits where in a draft: characters added, moved, copied and taken out. Pure.

An index is a character's place in `characters`; an edit of somebody who is not there changes
nothing.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mom_council.ui.draft import Draft, characters, fresh_name, voices

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
    made = deepcopy(draft)
    layers = _layers(made)
    names = [one.get("name") for one in characters(made)]
    model = next(iter(voices(made)), "")
    made["characters"] = [
        *characters(made),
        {"name": fresh_name("New character", names), "model": model},
    ]
    row = layers[layer] if layer is not None and 0 <= layer < len(layers) else layers[-1]
    row.append(len(names))
    return _with(made, layers)


def duplicate(draft: Draft, index: int) -> Draft:
    """With a copy of a character right after it, under a name of its own."""
    if not _is_there(draft, index):
        return draft
    made = deepcopy(draft)
    copy = deepcopy(made["characters"][index])
    names = [one.get("name") for one in characters(made)]
    copy["name"] = fresh_name(str(copy.get("name") or "New character"), names)
    layers = _renumbered(_layers(made), lambda seat: seat + (seat > index))
    made["characters"].insert(index + 1, copy)
    for row in layers:
        if index in row:
            row.insert(row.index(index) + 1, index + 1)
    return _with(made, layers)


def remove(draft: Draft, index: int) -> Draft:
    """Without a character; a layer that nobody is left in goes with it."""
    if not _is_there(draft, index):
        return draft
    made = deepcopy(draft)
    layers = [[seat for seat in row if seat != index] for row in _layers(made)]
    layers = _renumbered(layers, lambda seat: seat - (seat > index))
    del made["characters"][index]
    return _with(made, [row for row in layers if row] or [[]])


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
    made = deepcopy(draft)
    seated = made["characters"]
    seated[index], seated[other] = seated[other], seated[index]
    return made


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
    wanted = row + by
    alone = len(layers[row]) == 1
    if wanted < 0 or wanted > len(layers) or (alone and wanted == len(layers)):
        return draft
    layers[row].remove(index)
    if wanted == len(layers):
        layers.append([])
    layers[wanted].append(index)
    return _with(deepcopy(draft), [one for one in layers if one])


def _layers(draft: Draft) -> Seats:
    """The layers, with the default filled in."""
    found = draft.get("layers")
    if isinstance(found, list) and found:
        return [list(row) for row in found]
    return [list(range(len(characters(draft))))]


def _with(draft: Draft, layers: Seats) -> Draft:
    """The draft with these layers; one layer of all in their order is not written down."""
    if layers == [list(range(len(characters(draft))))]:
        draft.pop("layers", None)
    else:
        draft["layers"] = layers
    return draft


def _renumbered(layers: Seats, number: Any) -> Seats:
    return [[number(seat) if isinstance(seat, int) else seat for seat in row] for row in layers]


def _sits(draft: Draft, seat: Any) -> bool:
    return isinstance(seat, int) and _is_there(draft, seat)


def _is_there(draft: Draft, index: int) -> bool:
    return 0 <= index < len(characters(draft))
