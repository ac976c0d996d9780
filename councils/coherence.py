"""What holds a council together beyond each field on its own: names that meet, seats taken once.

Pure: given a council whose fields are sound, yields what would keep it from sitting.

Everything that keeps a council from sitting, each with its place: what an editor needs.

`loader.load_council` tells the same in one message; a form wants every line at its own field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from mom_council.councils.refusals import Path, Problem, in_words, nearest
from mom_council.councils.schema import RESERVED, Council, sameness, voter_node
from mom_council.councils.sections import BUNDLED
from mom_council.councils.yaml import as_plain
from mom_council.redaction import quote
from mom_council.vendors import VENDORS, vendor_of
from mom_council.voting.methods import EQUAL_ANSWERS, METHODS

_PARTS = (("annotator", "model"), ("classifier", "model"), ("painter", "writer"))


def problems(council: Council) -> Iterator[Problem]:
    """Yield every reason why `council` cannot sit as it is written."""
    for check in CHECKS:
        yield from check(council)


def _models_are_known(council: Council) -> Iterator[Problem]:
    names = tuple(council.models)
    for path, name in model_pointers(council):
        if name not in council.models:
            says = f"{quote(name)} is no key of `models`"
            yield Problem(path, says, True, nearest(name, names))


def model_pointers(council: Council) -> Iterator[tuple[Path, str]]:
    """Every place that names one of the council's models, with the name."""
    for key, model in council.models.items():
        for index, fallback in enumerate(model.fallbacks):
            yield ("models", key, "fallbacks", index), fallback
    for index, character in enumerate(council.characters):
        yield ("characters", index, "model"), character.model
    yield ("synthesizer", "model"), council.synthesizer.model
    if council.deliberation.likeness is not None:
        yield ("deliberation", "likeness", "model"), council.deliberation.likeness.model
    for part, key in (*_PARTS, ("painter", "model")):
        name = getattr(getattr(council, part), key, None)
        if name is not None:
            yield (part, key), name


def _who_draws_does_not_talk(council: Council) -> Iterator[Problem]:
    for path, name in model_pointers(council):
        model = council.models.get(name)
        draws = path == ("painter", "model")
        if model is None or path[0] == "models":
            continue
        vendor = vendor_of(model.provider)
        if draws and not vendor.draws:
            able = " or ".join(sorted(one.name for one in VENDORS.values() if one.draws))
            says = f"{quote(name)} is on {quote(model.provider)}, which makes no pictures; a "
            yield Problem(path, f"{says}painter's model is on {able}")
        elif not draws and vendor.draws and not vendor.talks:
            says = f"is on {vendor.name}, which draws and does not talk"
            yield Problem(path, f"{quote(name)} {says}")


def _tools_are_known(council: Council) -> Iterator[Problem]:
    tools = (*council.tools, *BUNDLED)
    lists: list[tuple[Path, tuple[str, ...]]]
    lists = [(("characters", i, "tools"), c.tools) for i, c in enumerate(council.characters)]
    lists.append((("synthesizer", "tools"), council.synthesizer.tools))
    for path, names in lists:
        for index, name in enumerate(names):
            if name not in tools:
                says = f"{quote(name)} is no key of `tools`"
                yield Problem((*path, index), says, True, nearest(name, tools))


def _fallbacks_end(council: Council) -> Iterator[Problem]:
    reported: set[frozenset[str]] = set()
    done: set[str] = set()
    for start in council.models:
        # A walk with its own stack: a chain may be longer than Python likes to recurse.
        trail, branches = [start], [iter(council.models[start].fallbacks)]
        while branches:
            name = next(branches[-1], None)
            if name is None:
                branches.pop()
                done.add(trail.pop())
            elif name in trail:
                circle = [*trail[trail.index(name) :], name]
                if frozenset(circle) not in reported:
                    reported.add(frozenset(circle))
                    turns = " -> ".join(quote(one).strip("'") for one in circle)
                    path: Path = ("models", circle[-2], "fallbacks")
                    says = f"turn in a circle: {turns}"
                    yield Problem(path, says, cure="leave one of them out")
            elif name in council.models and name not in done:
                trail.append(name)
                branches.append(iter(council.models[name].fallbacks))


def _characters_are_distinct(council: Council) -> Iterator[Problem]:
    nodes = {sameness(name): f"the graph has a node {name!r} of its own" for name in RESERVED}
    voters = {sameness(voter_node(one.name)): one.name for one in council.characters}
    for index, name in enumerate(character.name for character in council.characters):
        path, same = ("characters", index, "name"), sameness(name)
        if same in nodes:
            says = f"{quote(name)} is taken: {nodes[same]}"
            yield Problem(path, says, cure="choose another name")
        elif same in voters:
            says = f"{quote(name)} is taken: the node in which {quote(voters[same])} votes has it"
            yield Problem(path, says, cure="choose another name")
        nodes.setdefault(same, f"characters[{index}] is called {quote(name)}")


def _everyone_has_one_seat(council: Council) -> Iterator[Problem]:
    if not council.layers:
        return
    members = tuple(character.name for character in council.characters)
    seat: dict[str, str] = {}
    for row, layer in enumerate(council.layers):
        if not layer:
            cure = "name who speaks in it, or leave it out"
            yield Problem(("layers", row), "is empty", cure=cure)
        for place, name in enumerate(layer):
            path: Path = ("layers", row, place)
            if name not in members:
                says = f"{quote(name)} is no character"
                yield Problem(path, says, True, nearest(name, members))
            elif name in seat:
                says = f"{quote(name)} sits in {seat[name]} already"
                yield Problem(path, says, cure="a character has one seat")
            seat.setdefault(name, f"layers[{row}][{place}]")
    for index, name in enumerate(members):
        if name not in seat:
            says = f"{quote(name)} sits in no layer"
            cure = "add it to one, or leave out `layers`"
            yield Problem(("characters", index, "name"), says, cure=cure)


def _dropout_leaves_someone(council: Council) -> Iterator[Problem]:
    chance = council.synthesizer.dropout
    if chance > 0 and len(council.characters) == 1:
        says = f"is {chance:g}, which would leave nobody: there is one character"
        yield Problem(("synthesizer", "dropout"), says, cure="set it to 0")


def _cascade_has_somewhere_to_go(council: Council) -> Iterator[Problem]:
    if not council.deliberation.cascade:
        return
    if len(council.seats) < 2:
        says = "needs two layers: `layers: [[who is cheap, ...], [who is strong]]`"
        yield Problem(("deliberation", "cascade"), says)
    elif len(council.seats[0]) < 2:
        says = "holds one character, which always agrees with itself"
        yield Problem(("layers", 0), says, cure="seat two or more there")


def _lanes_are_used(council: Council) -> Iterator[Problem]:
    named = tuple(dict.fromkeys(m.lane for m in council.models.values() if m.lane is not None))
    for name in council.lanes:
        if name not in named:
            cure = nearest(name, named) or "write `lane` into those that share it"
            yield Problem(("lanes", name), "is no model's `lane`", True, cure)


def _depth_has_a_judge(council: Council) -> Iterator[Problem]:
    if council.deliberation.depth == "annotator" and council.annotator is None:
        says = "needs one: `annotator: {model: ...}` reads how hard a question is"
        yield Problem(("deliberation", "depth"), says)


def _stopping_has_votes(council: Council) -> Iterator[Problem]:
    rules = council.deliberation
    path: Path = ("deliberation", "stop")
    method = METHODS[rules.method]
    if rules.waves and (rules.stop == "all" or not method.stop_rules):
        says = "need a rule that may stop between them: `stop: lossless` and `method: answers`"
        yield Problem(("deliberation", "waves"), says)
    if rules.stop == "all":
        return
    if rules.stop in method.stop_rules:
        return
    other = next(each.name for each in METHODS.values() if rules.stop in each.stop_rules)
    if not method.stop_rules:
        says = f"is {rules.stop!r}, and under {rules.method!r} nothing is settled before all spoke"
        cure = f"set it to 'all', or the method to {EQUAL_ANSWERS!r}"
    else:
        what = "judges answers" if rules.stop == "calibrated" else "counts single votes"
        says = f"is {rules.stop!r}, which {what}, and the method is {rules.method!r}"
        cure = f"set it to 'lossless', or the method to {other!r}"
    yield Problem(path, says, cure=cure)


def _people_sit_as_characters(council: Council) -> Iterator[Problem]:
    people = {key for key, model in council.models.items() if vendor_of(model.provider).is_person}
    for path, name in model_pointers(council):
        if name in people and path[0] != "characters":
            says = f"{quote(name)} is a person, who answers and votes in a seat of `characters`"
            yield Problem(path, says, cure="name a model here")
    for key in people:
        if council.models[key].fallbacks:
            says = "stand for a person, who is absent or abstains instead"
            yield Problem(("models", key, "fallbacks"), says, cure="leave them out")


CHECKS: tuple[Callable[[Council], Iterator[Problem]], ...] = (
    _models_are_known,
    _tools_are_known,
    _who_draws_does_not_talk,
    _fallbacks_end,
    _characters_are_distinct,
    _everyone_has_one_seat,
    _dropout_leaves_someone,
    _cascade_has_somewhere_to_go,
    _lanes_are_used,
    _depth_has_a_judge,
    _stopping_has_votes,
    _people_sit_as_characters,
)

__all__ = ["Problem", "problems_in"]


def problems_in(values: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with a council as it is written; nothing where it can sit.

    Names that meet are looked at once every field is sound on its own, as the loader does.
    """
    faults, plain = as_plain(values)
    if faults:
        return tuple(faults)
    try:
        council = Council.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        return tuple(in_words(error))
    return tuple(problems(council))
