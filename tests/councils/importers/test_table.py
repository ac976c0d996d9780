"""Which file is whose; and files that are nobody's, too large, broken, or ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mixture_of_models.councils.importers import import_council
from mixture_of_models.councils.loader import preset_path
from mixture_of_models.errors import CouncilError
from mixture_of_models.tests.councils.importers.conftest import Bring
from mixture_of_models.tests.councils.importers.written import CHARACTERS, MODEL_CONFIG


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
    with pytest.raises(CouncilError, match="there is no such file"):
        import_council(tmp_path / "characters.json")
    with pytest.raises(CouncilError, match="is a folder"):
        import_council(tmp_path)
