"""Each way in which a council may be wrong, and what is said about it."""

# ruff: noqa: E501  (a table is read along its lines)

from __future__ import annotations

import copy
import string
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mom_council.councils.loader import council_from_yaml, load_council, preset_names, preset_path
from mom_council.councils.schema import RESERVED, voter_node
from mom_council.errors import CouncilError, UnknownNameError

GOOD: dict[str, Any] = {
    "name": "desk",
    "models": {
        "quick": {"provider": "ollama", "model": "llama3.2"},
        "deep": {"provider": "ollama", "model": "qwen3:8b", "fallbacks": ["quick"]},
    },
    "characters": [{"name": "Ada", "model": "quick"}, {"name": "Boris", "model": "deep"}],
    "synthesizer": {"model": "deep"},
}
DELETED = object()


def bad(**changes: Any) -> dict[str, Any]:
    """GOOD with `a__0__b=value` put at a[0].b."""
    council = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *inner, last = path.split("__")
        place: Any = council
        for step in inner:
            place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
        if value is DELETED:
            del place[last]
        else:
            place[int(last) if last.isdigit() else last] = value
    return council


def outcome(load: Callable[[Any], object], source: Any) -> str:
    """What is said of `source`; nothing when it loads. Any other error comes through."""
    try:
        load(source)
    except CouncilError as refused:
        return str(refused) or "nothing was said"
    return ""


def told(council: Any) -> str:
    with pytest.raises(CouncilError) as refused:
        load_council(council)
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        # what is missing, unknown, or of the wrong kind
        ({"name": DELETED}, "name: is missing: the council's name"),
        ({"synthesizer__model": DELETED}, "synthesizer.model: is missing: a key of `models`"),
        ({"models__deep__model": DELETED}, "models.deep.model: is missing: the provider's name"),
        ({"layrs": []}, "layrs: unknown key; did you mean 'layers'?"),
        ({"models__deep__fallback": []}, "models.deep.fallback: unknown key; did you mean 'fallbacks'?"),
        ({"characters__0__persona": "x"}, "characters[0].persona: unknown key; did you mean 'personality'?"),
        ({"deliberation__rounds__often": 3}, "deliberation.rounds.often: unknown key; known: 'min', 'max'"),
        ({"annotator": {"model": "quick", "modle": 1}}, "annotator.modle: unknown key; did you mean 'model'?"),
        ({"models": []}, "models: must be a mapping, is a list"),
        ({"models": {}}, "models: must not be empty"),
        ({"models__deep": "qwen3:8b"}, "models.deep: must be a mapping, is 'qwen3:8b'"),
        ({"models__deep__fallbacks": "quick"}, "models.deep.fallbacks: must be a list, is 'quick'; put it in brackets"),
        ({"models__deep__timeout": "60"}, "models.deep.timeout: must be a number, is '60'; write it without quotes"),
        ({"models__deep__timeout": True}, "models.deep.timeout: must be a number, is true"),
        ({"models__deep__model": 4}, "models.deep.model: must be text, is 4; put it in quotes"),
        ({"models__deep__model": ""}, "models.deep.model: must not be empty"),
        ({"models__deep__retries": 1.5}, "models.deep.retries: must be a whole number, is 1.5"),
        ({"models__deep__vision": "yes"}, "models.deep.vision: must be true or false, is 'yes'"),
        ({"models__a/b": {"provider": "p", "model": "m"}}, "models['a/b']: must be one line without"),
        ({"characters": []}, "characters: must not be empty"),
        ({"characters__0__name": "a|b"}, "characters[0].name: must be one line without"),
        ({"characters__0__name": "Ada "}, "characters[0].name: must be one line without"),
        ({"characters__0__name": "x" * 65}, "characters[0].name: must have at most 64 characters, is 'xxx"),
        ({"synthesizer": None}, "synthesizer: must be a mapping, is null"),
        ({"cache": b"x"}, "cache: must be text, a number, a list or a mapping, is a Python bytes"),
        # bad ranges
        ({"deliberation__threshold": 7}, "deliberation.threshold: must be at most 1, is 7"),
        ({"deliberation__quorum": -0.5}, "deliberation.quorum: must be at least 0, is -0.5"),
        ({"models__deep__timeout": 0}, "models.deep.timeout: must be more than 0, is 0"),
        ({"seed": 2**32}, "seed: must be less than 4294967296, is 4294967296"),
        ({"seed": 10**30}, "seed: must be a finite number of fewer digits, is a very large number"),
        ({"synthesizer__dropout": 1}, "synthesizer.dropout: must be less than 1, is 1"),
        ({"deliberation__rounds": {"min": 3, "max": 2}}, "deliberation.rounds: min must be at most max, is 3 with max 2"),
        ({"deliberation__rounds": {"min": 3}}, "deliberation.rounds: min must be at most max, is 3 with max 2"),
        ({"thermal": {"limit": 60}}, "thermal: resume must be at most limit, is 68 with limit 60"),
        ({"deliberation__method": "brda"}, "deliberation.method: must be 'plurality', 'approval', 'borda', 'ranked_pairs', 'score', 'answers', 'similarity', 'best_confidence' or 'none', is 'brda'; did you mean 'borda'?"),
        # seats
        ({"characters__1__name": "Ada"}, "characters[1].name: 'Ada' is taken: characters[0] is called 'Ada'; choose another name"),
        ({"characters__1__name": "ADA"}, "characters[1].name: 'ADA' is taken: characters[0] is called 'Ada'"),
        ({"characters__1__name": "\uff21da"}, "is taken: characters[0] is called 'Ada'"),
        ({"characters__1__name": "Ada votes"}, "characters[1].name: 'Ada votes' is taken: the node in which 'Ada' votes has it"),
        ({"characters__1__name": "Quorum"}, "characters[1].name: 'Quorum' is taken: the graph has a node 'quorum' of its own"),
        ({"layers": [["Ada", "Boris"], []]}, "layers[1]: is empty; name who speaks in it"),
        ({"layers": [["Ada", "Boris"], ["Ada"]]}, "layers[1][0]: 'Ada' sits in layers[0][0] already; a character has one seat"),
        ({"layers": [["Ada"]]}, "characters[1].name: 'Boris' sits in no layer; add it to one"),
        ({"layers": ["Ada"]}, "layers[0]: must be a list, is 'Ada'; put it in brackets"),
        ({"characters": [{"name": "Ada", "model": "quick"}], "synthesizer__dropout": 0.5}, "synthesizer.dropout: is 0.5, which would leave nobody"),
        # fallbacks
        ({"models__quick__fallbacks": ["deep"]}, "models.deep.fallbacks: turn in a circle: quick -> deep -> quick; leave one of them out"),
        ({"models__quick__fallbacks": ["quick"]}, "models.quick.fallbacks: turn in a circle: quick -> quick"),
        # addresses
        ({"models__deep__base_url": "ftp://x"}, "models.deep.base_url: must be a web address, like http://"),
        ({"models__deep__base_url": "localhost:11434"}, "models.deep.base_url: must be a web address"),
        ({"models__deep__base_url": "http://"}, "models.deep.base_url: must be a web address"),
        ({"models__deep__base_url": "http://[::1"}, "models.deep.base_url: must be a web address"),
        ({"models__deep__base_url": "http://a:99999/v1"}, "models.deep.base_url: must be a web address"),
    ],
)  # fmt: skip
def test_a_wrong_council_is_told_where_what_and_what_would_be_right(
    changes: dict[str, Any], line: str
):
    message = told(bad(**changes))
    assert message.startswith("council: ")
    assert line in message
    assert "\n" not in message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"characters__0__model": "quik"}, "characters[0].model: 'quik' is no key of `models`; did you mean 'quick'?"),
        ({"characters__0__model": "gpt:4/x"}, "characters[0].model: 'gpt:4/x' is no key of `models`; known: 'quick', 'deep'"),
        ({"models__deep__fallbacks": ["Quick"]}, "models.deep.fallbacks[0]: 'Quick' is no key of `models`; did you mean 'quick'?"),
        ({"synthesizer__model": "deeep"}, "synthesizer.model: 'deeep' is no key of `models`; did you mean 'deep'?"),
        ({"annotator__model": "depe"}, "annotator.model: 'depe' is no key of `models`; did you mean 'deep'?"),
        ({"classifier__model": "x"}, "classifier.model: 'x' is no key of `models`"),
        ({"painter__model": "x"}, "painter.model: 'x' is no key of `models`"),
        ({"layers": [["Ada", "Boris", "Borsi"]]}, "layers[0][2]: 'Borsi' is no character; did you mean 'Boris'?"),
    ],
)  # fmt: skip
def test_a_name_that_stands_for_nothing_is_an_unknown_name(changes: dict[str, Any], line: str):
    with pytest.raises(UnknownNameError) as refused:
        load_council(bad(**changes))
    assert str(refused.value).startswith(f"council: {line}")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("model: quick}", "modle: quick}"),
        ("{name: Ada", "{nmae: Ada"),
        ("characters:", "charcters:"),
    ],
)
def test_one_wrong_character_is_one_problem(right: str, wrong: str):
    text = """
name: desk
models: {quick: {provider: ollama, model: llama3.2}}
characters:
  - {name: Ada, model: quick}
synthesizer: {model: quick}
"""
    assert council_from_yaml(text).name == "desk"
    with pytest.raises(CouncilError) as refused:
        council_from_yaml(text.replace(right, wrong, 1))
    assert len(str(refused.value).splitlines()) == 1, str(refused.value)
    assert "did you mean" in str(refused.value)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_character_cannot_take_the_name_of_a_node(name: str):
    assert f"the graph has a node {name!r}" in told(bad(characters__0__name=name))


def test_two_voters_nodes_cannot_be_one():
    assert voter_node("Ada") == "Ada votes"
    assert "is taken" in told(bad(characters__0__name="Ada  votes", characters__1__name="Ada"))


def test_a_long_circle_of_fallbacks_is_shown_once():
    names = [f"m{n}" for n in range(300)]
    models = {
        name: {"provider": "p", "model": "x", "fallbacks": [after]}
        for name, after in zip(names, [*names[1:], "m7"], strict=True)
    }
    message = told(bad(models={**GOOD["models"], **models}))
    assert message.count("turn in a circle") == 1
    assert "m7 -> m8" in message


def test_fallbacks_that_meet_again_without_turning_back_are_no_circle():
    ways = {name: {"provider": "p", "model": "x", "fallbacks": ["deep", "quick"]} for name in "ab"}
    top = {"provider": "p", "model": "x", "fallbacks": ["a", "b", "quick"]}
    load_council(bad(models={**GOOD["models"], **ways, "top": top}))


def test_every_problem_has_its_line_and_the_origin_stands_once():
    council = bad(layrs=[], deliberation__threshold=7, seed="x")
    with pytest.raises(CouncilError) as refused:
        council_from_yaml(yaml.safe_dump(council), "desk.yaml")
    lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("desk.yaml: ")
    assert str(refused.value).count("desk.yaml") == 1


def test_a_flood_of_problems_is_cut_short():
    message = told(bad(**{f"unknown{n}": 1 for n in range(50)}))
    assert len(message.splitlines()) == 21
    assert message.endswith("\n... and more of the kind")


@pytest.mark.timeout(20)
def test_a_flood_of_unknown_names_is_told_without_delay():
    models = {f"m{n}": {"provider": "p", "model": "x", "fallbacks": [f"n{n}"]} for n in range(3000)}
    assert "models.m0.fallbacks[0]: 'n0' is no key" in told(bad(models=models))


def test_the_first_line_of_several_bears_the_first_place():
    assert told(bad(seed=-1, history=-1)).splitlines() == [
        "council: history: must be at least 0, is -1",
        "seed: must be at least 0, is -1",
    ]


PLANTED = [
    "sk-proj-Zx9Qw8Er7Ty6Ui5Op4",
    "sk_live_9f8e7d6c5b4a39281706",
    "hf_QwErTyUiOpAsDfGhJkLz",
    "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "gsk_Zx9Qw8Er7Ty6Ui5Op4Zx9Qw8",
    "AIzaSyA1B2C3D4E5F6G7H8I9J0K1L2M3N4O5P6Q",
]
PLACES: list[Callable[[str], dict[str, Any]]] = [
    lambda key: bad(models__deep__api_key_env=key),
    lambda key: bad(models__deep__api_key=key),
    lambda key: bad(models__deep__token=key),
    lambda key: bad(models__deep__params={"api_key": key}),
    lambda key: bad(models__deep__params={"default_headers": {"Authorization": f"Bearer {key}"}}),
    lambda key: bad(models__deep__params={"headers": [{"openaiApiKey": key}]}),
    lambda key: bad(models__deep__base_url=f"https://user:{key}@example.org/v1"),
    lambda key: bad(models__deep__base_url=f"https://example.org/v1?api_key={key}"),
    lambda key: bad(models__deep__base_url=f"{key}@example.org"),
    lambda key: bad(models__deep__timeout=key),
    lambda key: bad(models__deep=key),
    lambda key: bad(models__deep__fallbacks=key),
    lambda key: bad(models__deep__fallbacks=[key]),
    lambda key: bad(**{key: 1}),
    lambda key: bad(characters__0__model=key),
    lambda key: bad(deliberation__method=key),
    lambda key: bad(seed={"api_key": key}),
    lambda key: bad(layers=[["Ada", "Boris", key]]),
    lambda key: bad(extensions=[{"use": "mine", "settings": {"password": key}}]),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(PLACES)))
@pytest.mark.parametrize("key", PLANTED)
def test_a_key_that_stands_in_a_council_by_mistake_is_refused_and_never_repeated(
    key: str, place: int
):
    council = PLACES[place](key)
    assert key not in told(council)
    with pytest.raises(CouncilError) as refused:
        council_from_yaml(yaml.safe_dump(council))
    assert key not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@given(st.text(string.ascii_letters + string.digits, min_size=4, max_size=60).map("Zq{}".format))
def test_whatever_a_key_looks_like_the_places_for_secrets_never_repeat_it(key: str):
    for place in PLACES[1:8]:
        assert key not in told(place(key))
    with pytest.raises(CouncilError) as refused:
        load_council(bad(models__deep__api_key_env=f"{key}-"))
    assert key not in str(refused.value)


@pytest.mark.parametrize("key", PLANTED)
def test_yaml_that_breaks_off_at_a_key_does_not_repeat_it(key: str):
    for text in (
        f"a: *{key}",
        f"a: !{key} x",
        f"{key}: 1\n{key}: 2",
        f"a: '{key}",
        f"a: {key}: b",
        f"%{key}",
    ):
        with pytest.raises(CouncilError) as refused:
            council_from_yaml(text)
        assert key not in str(refused.value)
    for source in (key, f"{key}/{key}.yaml"):
        with pytest.raises(CouncilError) as refused:
            load_council(source)
        assert key not in str(refused.value) or "/" in source


def test_params_that_only_sound_like_secrets_are_taken():
    load_council(
        bad(
            models__deep__params={
                "max_tokens": 5,
                "eos_token": "</s>",
                "logit_bias": {"50256": -100},
            }
        )
    )
    load_council(bad(models__deep__api_key_env="AZURE_OPENAI_API_KEY_2024"))
    load_council(bad(models__deep__base_url="http://[::1]:11434"))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=4)
    | st.sampled_from(["Ada", "quick", "deep", "borda", "http://x", 1, 0.5]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text(max_size=10) | st.integers() | st.sampled_from([*GOOD, "model", "provider", "fallbacks", "rounds", "min", "params", "deep", "name"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300)
@given(PLAIN)
def test_whatever_is_handed_in_a_council_comes_out_or_a_council_error(source: Any):
    for council in (source, {"name": source}):
        assert outcome(load_council, council)


@settings(max_examples=300)
@given(st.sampled_from(list(GOOD)), PLAIN)
def test_whatever_stands_in_one_place_of_a_council_only_a_council_error_is_raised(
    key: str, value: Any
):
    for council in (bad(**{key: value}), bad(models__deep=value), bad(characters__0=value)):
        assert len(outcome(load_council, council)) < 20_000


@settings(max_examples=300)
@given(st.text() | st.text("{}[]:-*&!?|>'\"%#,\n\t <ab01.~@`", max_size=60))
def test_whatever_the_text_only_a_council_error_is_raised(text: str):
    assert outcome(council_from_yaml, text).startswith("council: ")


@settings(max_examples=300)
@given(st.sampled_from(preset_names()), st.data())
def test_a_preset_with_any_wound_raises_only_a_council_error(name: str, data: st.DataObject):
    text = preset_path(name).read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    wounded = text[:start] + data.draw(st.text("{}[]:-*&!\n ax1\"'", max_size=6)) + text[end:]
    assert outcome(council_from_yaml, wounded) != "nothing was said"


def test_who_draws_does_not_talk_and_who_talks_may_not_draw() -> None:
    written = {
        "name": "studio",
        "models": {
            "talk": {"provider": "ollama", "model": "m"},
            "brush": {"provider": "diffusers", "model": "m"},
        },
        "characters": [{"name": "Ada", "model": "brush"}],
        "synthesizer": {"model": "talk"},
        "painter": {"model": "talk", "writer": "brush"},
    }
    with pytest.raises(CouncilError) as caught:
        load_council(written)
    assert "characters[0].model: 'brush' is on diffusers, which draws" in str(caught.value)
    assert "painter.model: 'talk' is on 'ollama', which makes no pictures" in str(caught.value)
    assert "painter.writer: 'brush' is on diffusers" in str(caught.value)
