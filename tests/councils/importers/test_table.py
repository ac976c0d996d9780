"""Which file is whose; and files that are nobody's, too large, broken, or ours."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mom_council.councils.importers import import_council
from mom_council.councils.loader import preset_path
from mom_council.errors import CouncilError
from mom_council.tests.councils.importers.conftest import Bring
from mom_council.tests.councils.importers.written import (
    CHARACTERS,
    MOA_AS_IT_IS,
    MODEL_CONFIG,
)


def test_a_file_is_known_by_what_is_in_it_whatever_it_is_called(bring: Bring) -> None:
    assert bring({"friends.txt": CHARACTERS}).format == "characters.json"
    assert bring({"friends.txt": MODEL_CONFIG}).format == "model_config.json"
    yaml = "aggregation_layer: {model: x}\nproposal_layers: [{neurons: [{model: y}]}]\n"
    assert bring({"friends.json": yaml}).format == "moa_config.yaml"
    assert bring({"friends.json": yaml}).council.name == "friends"


def test_a_council_of_ours_is_said_to_be_one() -> None:
    with pytest.raises(CouncilError, match="is a council already"):
        import_council(preset_path("home"))


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.json", "{}", ["none of the files that can be imported"]),
        ("a.yaml", "- 1\n", ["none of the files"]),
        ("a.yaml", "", ["none of the files"]),
        ("characters.json", "[]", ["is a list, and must be a mapping"]),
        ("characters.json", '{"characters": [1,}', ["line 1, column"]),
        ("characters.json", '{"characters": [], "characters": []}', ["'characters' stands twice"]),
        ("characters.json", '{"characters": NaN}', ["NaN is no number"]),
        ("characters.json", '{"characters": [{"name": "\\ud800"}]}', ["half a character"]),
        ("characters.json", '{"characters":' + "[" * 100_000, ["nested too deeply"]),
        ("characters.json", '{"characters":' + "9" * 5000 + "}", ["characters.json"]),
        ("characters.json", "{" + " " * 1_000_001 + "}", ["larger than 1 MB"]),
        ("characters.json", json.dumps(CHARACTERS).encode("utf-16"), ["not UTF-8"]),
        ("moa_config.yaml", "a: &a [*a]\naggregation_layer: *a\n", ["moa_config.yaml"]),
        ("moa_config.yaml", "aggregation_layer: {model: \tx}", ["moa_config.yaml"]),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_its_name(
    bring: Bring, name: str, content: Any, parts: list[str]
) -> None:
    with pytest.raises(CouncilError) as refused:
        bring({name: content})
    for part in parts:
        assert part in str(refused.value)


def test_a_key_in_a_text_is_not_carried_along(bring: Bring) -> None:
    leaky = {"characters": [{"name": "A", "model": "m", "personality": "sk-abcdefghijklmnop"}]}
    with pytest.raises(CouncilError, match=r"characters\[0\].personality: holds what may be a key"):
        bring({"characters.json": {**leaky, "human_output": {"name": "B", "model": "m"}}})


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CouncilError, match=r"there is no such file; `mom import --help` says"):
        import_council(tmp_path / "characters.json")
    with pytest.raises(CouncilError, match="is a folder"):
        import_council(tmp_path)


_ODD: list[Any] = [
    *(None, True, -1, 7, 10**30, 0.5, "", "x" * 70_000, "a/b:c|d", "\n", "sk-abcdefghijklmnop"),
    *([], ["a"], [None], {}, {"a": 1}, "Synthesizer", "quorum", "http://u:p@h/", "\x00", "🎭" * 30),
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    for step, below in inner.items() if isinstance(inner, dict) else ():
        yield (*path, step)
        yield from _places(below, (*path, step))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("written", [CHARACTERS, MODEL_CONFIG, yaml.safe_load(MOA_AS_IT_IS)])
def test_whatever_is_changed_in_a_file_it_is_read_or_refused(
    bring: Bring, written: dict[str, Any], seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(25):
        made = copy.deepcopy(written)
        for _ in range(dice.randint(1, 3)):
            *way, last = dice.choice([*_places(made)] or [("x",)])
            inner: Any = made
            for step in way:
                inner = inner[step]
            if dice.random() < 0.2 and isinstance(inner, dict) and last in inner:
                inner[dice.choice(["modell", "api_key", "", " x", "9"])] = inner.pop(last)
            else:
                inner[last] = copy.deepcopy(dice.choice(_ODD))
        try:
            told = repr(bring({"file.json": made}))  # which reads it back, too
        except CouncilError as refused:
            told = str(refused)
        assert "sk-abc" not in told
