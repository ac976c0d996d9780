"""The errors: one tree, drawn as it is, and each with a cure in the docs."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from mom_council import errors
from mom_council.errors import MixtureError, ModelUnavailableError, QuorumError

PAGE = Path(errors.__file__).parent / "docs" / "errors.md"
CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and issubclass(found, Exception)
}


def tree() -> dict[str, str]:
    """Each error's parent, as the module's docstring draws it."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"( +)(\w+Error)\b", line)
        if not found:
            continue
        depth = len(found[1])
        above = [one for one in above if one[0] < depth]
        parents[found[2]] = above[-1][1] if above else "RuntimeError"
        above.append((depth, found[2]))
    return parents


def test_the_drawn_tree_is_the_tree() -> None:
    assert tree() == {name: found.__bases__[0].__name__ for name, found in CLASSES.items()}


def test_every_error_is_a_mixture_error_and_says_what_it_is() -> None:
    for found in CLASSES.values():
        assert issubclass(found, MixtureError)
        assert found.__doc__


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_has_a_cure_in_the_docs(name: str) -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}`")]
    assert len(rows) == 1, f"docs/errors.md has no row for {name}"
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert len(cells) == 3
    assert all(cells), rows[0]


def test_the_docs_name_no_error_that_there_is_not() -> None:
    named = set(re.findall(r"`(\w+Error)`", PAGE.read_text("utf-8")))
    assert named <= set(CLASSES)


def test_an_error_carries_what_happened_and_its_cure() -> None:
    error = MixtureError("a is gone; b is not", cure="write a; or b")
    assert (error.what, error.cure) == ("a is gone; b is not", "write a; or b")
    assert str(error) == "a is gone; b is not; write a; or b"
    again = pickle.loads(pickle.dumps(error))
    assert (again.what, again.cure, str(again)) == (error.what, error.cure, str(error))
    assert str(MixtureError("nothing can be done")) == "nothing can be done"


def test_a_quorum_error_carries_its_numbers() -> None:
    error = QuorumError("1 of 3 answered", answered=1, needed=2)
    assert (error.answered, error.needed, error.absences) == (1, 2, ())
    assert str(error) == "1 of 3 answered"


def test_an_unavailable_model_carries_its_attempts() -> None:
    assert ModelUnavailableError("no answer").attempts == ()
