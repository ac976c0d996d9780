"""The public face: every name is there, explained, and in the docs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_type_hints

import pytest

import mom_council
from mom_council.deliberation.context import CouncilContext

PAGE = Path(mom_council.__file__).parent / "docs" / "embedding.md"
NAMES = mom_council.__all__


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_can_be_imported_and_explains_itself(name: str) -> None:
    found = getattr(mom_council, name)
    assert found.__name__ == name
    assert found.__module__.startswith("mom_council.")
    assert len(inspect.getdoc(found) or "") > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_in_the_docs(name: str) -> None:
    assert re.search(rf"^\| `{name}\b", PAGE.read_text("utf-8"), re.MULTILINE), name


@pytest.mark.parametrize("name", [name for name in NAMES if name[0].islower()])
def test_a_public_function_is_typed(name: str) -> None:
    function = inspect.unwrap(getattr(mom_council, name))
    written = function.__annotations__
    assert set(written) == {*inspect.signature(function).parameters, "return"}


def test_the_docs_name_every_setting_of_a_run() -> None:
    text = PAGE.read_text("utf-8")
    internal = {"resumed_at", "form"}
    for setting in set(CouncilContext.model_fields) - internal:
        assert f"`{setting}`" in text, setting


def test_the_names_are_in_order_and_listed() -> None:
    assert sorted(NAMES) == NAMES
    assert set(NAMES) <= set(dir(mom_council))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'counsel'"):
        mom_council.counsel  # noqa: B018


def test_a_records_fields_are_all_typed() -> None:
    for name in ("Ballot", "Proposal", "Status", "Verdict"):
        record = getattr(mom_council, name)
        assert set(record.model_fields) <= set(get_type_hints(record))
