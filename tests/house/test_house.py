"""The house does not fall back behind what it has reached: `make house` prints the same."""

from __future__ import annotations

import ast

import pytest

from mom_council.tests.house import demo, names, shape
from mom_council.tests.house.limits import LIMITS, SEARCHES, sizes
from mom_council.tests.house.sources import imported_names


@pytest.mark.parametrize("name", SEARCHES)
def test_no_more_is_found_than_the_ceiling_allows(name: str) -> None:
    number, ceiling = len(SEARCHES[name]()), LIMITS[name].ceiling
    assert number <= ceiling, "see them with `python -m mom_council.tests.house --all`"


def test_the_house_does_not_grow() -> None:
    for name, size in sizes().items():
        assert size <= LIMITS[name].ceiling, name


@pytest.mark.slow
def test_the_demo_question_runs_through_few_files() -> None:
    entered = demo.entered_files()
    assert "graph/edges.py" in entered
    assert len(entered) <= LIMITS["files entered by the demo question"].ceiling, entered


def test_a_ceiling_is_never_below_its_goal() -> None:
    assert all(limit.ceiling >= limit.goal for limit in LIMITS.values())


@pytest.mark.parametrize("name", ["told", "_given", "Found", "PageHouse", "take_a_seat_in_room"])
def test_a_participle_alone_and_a_second_metaphor_are_banned(name: str) -> None:
    assert names.is_banned(name)


@pytest.mark.parametrize("name", ["given_by_caller", "FoundExtension", "roommate", "benchmark"])
def test_a_name_that_says_of_what_is_allowed(name: str) -> None:
    assert not names.is_banned(name)


def test_every_way_to_bind_a_variable_is_seen_and_a_field_is_none() -> None:
    code = (
        "class Given:\n    kept: int = 0\n    made = 1\n"
        "def f():\n    a = [b for b in ()]\n    with g() as c, h() as (d, *e):\n        pass\n"
        "    try:\n        i = j = (k := 1)\n    except E as m:\n        pass\n"
        "    match a:\n        case [n, *_] as o:\n            return lambda p: p\n"
    )
    assert "".join(name for _, name in sorted(names.variables(ast.parse(code)))) == "abcdeijkmnop"


def test_imports_for_type_checkers_are_no_imports() -> None:
    code = "if TYPE_CHECKING:\n    import a.b\nimport c\ndef f():\n    from d import e\n"
    assert [*imported_names(ast.parse(code))] == [("c", True), ("d.e", False)]


def test_circles_are_found_through_several_files() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert [sorted(group) for group in shape.strongly_connected(arrows)] == [["a", "b", "c"]]
