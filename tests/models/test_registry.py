"""Which provider, which key, which client."""

from __future__ import annotations

import asyncio
import gc
import sys
from importlib.machinery import PathFinder

import pytest

from mom_council.councils.schema import Council, Model
from mom_council.errors import CouncilError, ProviderNotInstalledError, UnknownNameError
from mom_council.models.clients import close_loop_resources, loop_resources
from mom_council.models.providers import missing, open_model
from mom_council.models.resolved import key_of
from mom_council.vendors import VENDORS

HERE = "http://127.0.0.1:9/v1"


def model(**more) -> Model:
    return Model.model_validate({"provider": "openai", "model": "m", "base_url": HERE, **more})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for provider in VENDORS.values():
        if provider.key_env:
            monkeypatch.delenv(provider.key_env, raising=False)


def test_the_usual_key_goes_home_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-usual")
    assert key_of(model(base_url=None)) == "sk-usual"
    assert key_of(model(base_url="https://api.openai.com/v1/")) == "sk-usual"
    assert key_of(model()) is None
    assert key_of(model(base_url="https://api.openai.com.example.org/v1")) is None


def test_a_variable_that_is_named_must_be_set(monkeypatch):
    monkeypatch.setenv("FAR_KEY", "  ")
    with pytest.raises(ProviderNotInstalledError, match="'FAR_KEY'"):
        key_of(model(api_key_env="FAR_KEY"))


async def test_a_model_is_opened_once_for_each_set_of_parameters():
    here = await loop_resources()
    one = await open_model(here, model())
    assert await open_model(here, model()) is one
    assert await open_model(here, model(), {"temperature": 0.5}) is not one
    assert await open_model(here, model(api_key_env=None, timeout=5)) is one


async def test_many_at_once_open_one():
    here = await loop_resources()
    opened = await asyncio.gather(*(open_model(here, model(model="n")) for _ in range(20)))
    assert len({id(one) for one in opened}) == 1


async def test_opened_models_do_not_pile_up():
    here = await loop_resources()
    for seed in range(300):
        await open_model(here, model(), {"seed": seed})
    assert len(here.models) <= 256


async def test_each_loop_has_its_own_room():
    here = await loop_resources()
    assert await loop_resources() is here
    assert await asyncio.to_thread(asyncio.run, loop_resources()) is not here
    await close_loop_resources()
    assert await loop_resources() is not here


@pytest.mark.parametrize("name", ["base_url", "max_retries", "streaming"])
async def test_parameters_do_not_reach_where_a_field_rules(name):
    with pytest.raises(CouncilError, match=name):
        await open_model(await loop_resources(), model(), {name: 1})


async def test_a_provider_nobody_knows_is_refused_with_a_near_miss():
    with pytest.raises(UnknownNameError, match="'anthropic'"):
        await open_model(await loop_resources(), model(provider="antropic", base_url=None))


@pytest.mark.parametrize(
    ("provider", "cure"),
    [
        ("anthropic", "pip install 'mom-council[anthropic]'"),
        ("mistralai", "pip install 'mom-council[mistral]'"),
        ("deepseek", "pip install 'mom-council[deepseek]'"),
        ("cohere", "pip install 'mom-council[cohere]'"),
        ("huggingface", "pip install 'mom-council[huggingface]'"),
        ("fireworks", "pip install langchain-fireworks"),
    ],
)
async def test_a_missing_package_is_named_with_its_cure(provider, cure, monkeypatch):
    package = VENDORS[provider].package if provider in VENDORS else f"langchain_{provider}"

    class Without(PathFinder):
        """A machine on which the package is not installed."""

        @classmethod
        def find_spec(cls, name, path=None, target=None):
            return None if name == package else super().find_spec(name, path, target)

    monkeypatch.delitem(sys.modules, package, raising=False)
    others = [one for one in sys.meta_path if one is not PathFinder]
    monkeypatch.setattr(sys, "meta_path", [*others, Without])
    with pytest.raises(ProviderNotInstalledError) as caught:
        await open_model(await loop_resources(), model(provider=provider))
    assert cure in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_council_lacks_is_listed_once():
    council = Council.model_validate(
        {
            "name": "test",
            "models": {
                "a": {"provider": "openai", "model": "x"},
                "b": {"provider": "openai", "model": "x"},
                "c": {"provider": "ollama", "model": "y"},
                "d": {"provider": "openai", "model": "z"},
            },
            "characters": [{"name": "A", "model": "a"}],
            "synthesizer": {"model": "a"},
        }
    )
    [error] = missing(council.models.values())
    assert error.what == "'openai' needs a key for 'x', 'z'"
    assert "'OPENAI_API_KEY'" in error.cure


async def test_resources_that_were_closed_do_not_take_the_next_ones_with_them():
    await loop_resources()
    await close_loop_resources()
    following = await loop_resources()
    gc.collect()  # ends the generator that would have closed the first ones with the loop
    for _ in range(5):
        await asyncio.sleep(0)
    assert await loop_resources() is following
