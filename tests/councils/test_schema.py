"""The schema explains itself: to Studio's forms and to `mom councils check`."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mom_council.councils import schema
from mom_council.councils.schema import Model, Section

SECTIONS = sorted(
    (
        thing
        for thing in vars(schema).values()
        if isinstance(thing, type) and issubclass(thing, Section)
    ),
    key=lambda section: section.__name__,
)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_of_every_section_says_what_it_is(section: type[Section]):
    assert section.__doc__
    silent = [name for name, field in section.model_fields.items() if not field.description]
    assert silent == []


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_section_has_a_json_schema_for_studio(section: type[Section]):
    assert section.model_json_schema()["type"] == "object"


def test_every_public_name_is_exported():
    public = {thing.__name__ for thing in SECTIONS}
    assert public <= set(schema.__all__)


def test_a_section_is_frozen():
    with pytest.raises(ValidationError):
        Model(provider="p", model="x").model = "y"  # type: ignore[misc]


def test_a_model_built_in_python_never_repeats_a_key_that_was_put_into_it():
    planted = "sk-proj-0123456789abcdefghij"
    for fields in (
        {"api_key_env": planted},
        {"api_key": planted},
        {"params": {"api_key": planted}},
    ):
        with pytest.raises(ValidationError) as refused:
            Model(provider="openai", model="x", **fields)  # type: ignore[arg-type]
        assert planted not in str(refused.value)


@pytest.mark.parametrize("field", ["timeout", "first_token"])
def test_a_limit_is_a_finite_number(field: str):
    with pytest.raises(ValidationError):
        Model(provider="p", model="x", **{field: float("nan")})  # type: ignore[arg-type]
