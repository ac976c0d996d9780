"""docs/models.md: its YAML loads, its tables say what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.loader import council_from_yaml
from mom_council.councils.schema import Model
from mom_council.models.prices import read_prices
from mom_council.vendors import VENDORS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "models.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
VOICES = [block for block in BLOCKS if block.startswith("models:\n")]

SEATED = """
name: page
characters: [{{name: Ada, model: {key}}}]
synthesizer: {{model: {key}}}
{models}
"""


def voice(block: str) -> Model:
    """The voice in a block, seated in the smallest council."""
    key = re.findall(r"^  (\w+):$", block, re.MULTILINE)[0]
    return council_from_yaml(SEATED.format(key=key, models=block)).models[key]


@pytest.mark.parametrize("block", VOICES, ids=lambda block: voice(block).provider)
def test_a_voice_of_the_page_is_five_lines_and_loads(block: str) -> None:
    assert len(block.splitlines()) <= 6
    assert voice(block).provider in VENDORS


def test_each_vendor_has_its_voice_its_extra_and_its_key_on_the_page() -> None:
    shown = {voice(block).provider for block in VOICES}
    assert shown == {"ollama", "openai", "anthropic", "mistralai", "deepseek", "cohere"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for name in shown:
        provider = VENDORS[name]
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        assert (provider.key_env or "none") in row
        if provider.extra:
            assert f"mom-council[{provider.extra}]" in row
            assert provider.extra in extras
        else:
            assert "comes along" in row


def test_the_price_table_of_the_page_is_one(tmp_path: Path) -> None:
    [block] = [block for block in BLOCKS if block not in VOICES]
    (tmp_path / "prices.yaml").write_text(block, "utf-8")
    assert {*read_prices(tmp_path / "prices.yaml")} == {"openai", "https://openrouter.ai/api/v1"}


def test_every_vendor_with_terms_has_its_row() -> None:
    section: Any = PAGE.split("## What is not sent together")[1].split("\n## ")[0]
    for vendor in VENDORS.values():
        if vendor.excludes:
            assert re.search(rf"^\| {vendor.title}", section, re.MULTILINE), vendor
