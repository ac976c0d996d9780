"""A vendor is one profile: what it says is whole, and what it names is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mom_council.vendors import VENDORS, Vendor, load_code, vendor_of

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_stands_in_the_table_under_its_own_name(name: str) -> None:
    assert VENDORS[name].name == name
    assert vendor_of(name) is VENDORS[name]


def test_no_two_vendors_have_one_title_or_one_alias() -> None:
    titles = [one.title for one in VENDORS.values()]
    aliases = [alias for one in VENDORS.values() for alias in one.aliases]
    assert len(titles) == len({*titles})
    assert len(aliases) == len({*aliases})


HEAVY = ("huggingface", "diffusers")
"""Vendors whose packages only `make test-heavy` installs."""


@pytest.mark.parametrize(
    "vendor",
    [
        pytest.param(one, id=name, marks=[pytest.mark.heavy] if name in HEAVY else [])
        for name, one in VENDORS.items()
    ],
)
def test_the_code_that_a_profile_names_is_there(vendor: Vendor) -> None:
    places = [vendor.chat, vendor.embeddings, vendor.pictures, vendor.engine, vendor.sees]
    if vendor.server:
        tasks = ("loaded_among", "model_sizes", "unload")
        places += [f"{vendor.server}:{task}" for task in tasks]
    assert all(callable(load_code(place)) for place in places if place)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda one: one.name)
def test_a_vendor_has_one_kind_of_answer(vendor: Vendor) -> None:
    assert vendor.talks or vendor.draws or vendor.is_person
    assert vendor.extra is None or vendor.extra in EXTRAS
    assert vendor.key_env is None or vendor.base_url, "a usual key goes to a usual address"
    assert vendor.default_model is None or vendor.key_env


def test_a_vendor_that_only_langchain_knows_is_assumed_little_of() -> None:
    other = vendor_of("fireworks")
    assert (other.name, other.talks) == ("fireworks", True)
    assert not other.draws
    assert not other.is_person
    assert not other.says_end
    assert other.bills("any")


def test_a_name_has_its_tag_where_its_server_lists_tags() -> None:
    ollama = VENDORS["ollama"]
    assert ollama.full_name("llama3.2") == "llama3.2:latest"
    assert ollama.full_name("host:5000/llama3.2") == "host:5000/llama3.2:latest"
    assert ollama.full_name("qwen3:8b") == "qwen3:8b"
    assert VENDORS["openai"].full_name("gpt-5.4") == "gpt-5.4"


def test_what_runs_on_ollamas_own_servers_is_billed() -> None:
    ollama = VENDORS["ollama"]
    assert not ollama.bills("llama3.2")
    assert ollama.bills("gpt-oss:120b-cloud")
    assert ollama.bills("qwen3:cloud")
