"""The planned order takes as few loads as any order could."""

from __future__ import annotations

from itertools import combinations, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from mom_council.models.memory import how_many_fit, loads_as_they_come, plan, to_leave

MODELS = "abcd"
FAN_OUTS = st.lists(st.sets(st.sampled_from(MODELS), min_size=1), min_size=1, max_size=4)
LOADED = st.sets(st.sampled_from(MODELS + "x"))
ROOM = st.integers(1, 3)


def fewest(fan_outs: list[set[str]], loaded: set[str], room: int) -> int:
    """By trying every order of every fan-out and every choice of who makes room."""
    states = {frozenset(loaded): 0}
    for models in fan_outs:
        after: dict[frozenset[str], int] = {}
        for start, spent in states.items():
            for order in permutations(models):
                for end, loads in _runs(order, start, room).items():
                    after[end] = min(after.get(end, 10**6), spent + loads)
        states = after
    return min(states.values())


def played(fan_outs: list[set[str]], loaded: set[str], room: int) -> int:
    """Loads when each fan-out is played by its own plan, model by model."""
    held, loads = sorted(loaded), 0
    for place, models in enumerate(fan_outs):
        planned = plan(sorted(models), held, room, fan_outs[place + 1 :])
        for turn, model in enumerate(planned.order):
            if model in held:
                held.remove(model)
            else:
                loads += 1
                while len(held) >= room:
                    held.remove(to_leave(held, planned.order[turn:], planned.stays) or held[0])
            held.append(model)
    return loads


def _runs(order: tuple[str, ...], start: frozenset[str], room: int) -> dict[frozenset[str], int]:
    now = {start: 0}
    for model in order:
        then: dict[frozenset[str], int] = {}
        for held, loads in now.items():
            if model in held:
                then[held] = min(then.get(held, 10**6), loads)
                continue
            leaving = max(0, len(held) - room + 1)
            for gone in combinations(sorted(held), leaving):
                new = held - set(gone) | {model}
                then[new] = min(then.get(new, 10**6), loads + 1)
        now = then
    return now


@settings(max_examples=300)
@given(FAN_OUTS, LOADED, ROOM)
def test_no_order_of_several_fan_outs_takes_fewer_loads(fan_outs, loaded, room):
    loaded = set(sorted(loaded)[:room])
    least = fewest(fan_outs, loaded, room)
    assert plan(sorted(fan_outs[0]), loaded, room, fan_outs[1:]).loads == least
    assert played(fan_outs, loaded, room) == least


@given(st.lists(st.sampled_from(MODELS), min_size=1, max_size=12), LOADED, ROOM)
def test_a_plan_never_takes_more_loads_than_first_come_first_served(calls, loaded, room):
    held = sorted(loaded)[:room]
    assert plan(calls, held, room).loads <= loads_as_they_come(calls, held, room)


@given(st.lists(st.sampled_from(MODELS), max_size=12), LOADED, ROOM, FAN_OUTS)
def test_everyone_takes_a_turn_once_and_the_loaded_before_the_others(calls, loaded, room, ahead):
    order = plan(calls, loaded, room, ahead).order
    assert sorted(order) == sorted(set(calls))
    places = [model in loaded for model in order]
    assert places == sorted(places, reverse=True)


def test_nine_calls_on_three_models_take_three_loads_and_then_two():
    seats = list("abc") * 3
    assert loads_as_they_come(seats, [], 1) == 9
    assert plan(seats, [], 1).loads == 3
    assert played([set(seats)] * 3, set(), 1) == 3 + 2 + 2


def test_who_writes_next_is_loaded_last():
    assert plan("abc", (), 1, ["a"]).order == ("b", "c", "a")
    # It would be first, where it must be last two fan-outs on: so it is not last here.
    assert plan("ab", (), 1, ["ab", "b"]).order == ("b", "a")


def test_who_stays_leaves_last_and_who_is_wanted_never():
    assert to_leave(["a", "b", "c"], {"c"}, {"a"}) == "b"
    assert to_leave(["a", "c"], {"c"}, {"a"}) == "a"
    assert to_leave(["a"], {"a"}, ()) is None


def test_very_many_models_are_planned_at_once():
    many = range(40)
    planned = plan(many, many[:5], 8, [many[20:30]])
    assert planned.order[:5] == (0, 1, 2, 3, 4)
    assert planned.loads == 35 + 2


def test_as_many_fit_as_the_largest_leave_room_for():
    assert how_many_fit([4, 4, 2], 10) == 2
    assert how_many_fit([4, 4, 2], 12) == 3
    assert how_many_fit([20], 10) == 1
