"""docs/models.md: its YAML loads, its tables say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mom_council.councils.loader import council_from_yaml
from mom_council.councils.schema import Model
from mom_council.models.prices import read_prices
from mom_council.vendors import VENDORS, Exclusion, Vendor
from mom_council.vendors.compatible import COMPATIBLE

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


def test_each_vendor_of_the_network_has_its_voice_on_the_page() -> None:
    shown = {voice(block).provider for block in VOICES}
    own_names = {"ollama", "azure"}  # their models have the names that their users gave them
    assert shown == {one.name for one in VENDORS.values() if one.default_model} | own_names


def vendor_row(vendor: Vendor) -> str:
    """What the page's table says of a vendor."""
    # On this machine the line may name its Python.
    line = vendor.got_by or f"pip install 'mom-council[{vendor.extra}]'"
    install = f"`{line}`" if vendor.install else "included"
    key = f"`{vendor.key_env}`" if vendor.key_env else "none"
    return f"| `{vendor.name}` | {vendor.title} | {install} | {key} | {vendor.thoughts} |"


def exclusion_row(vendor: Vendor, exclusion: Exclusion) -> str:
    """What the page's table says of parameters that are left out, by their usual names."""
    usual = {theirs: ours for ours, theirs in vendor.names.items()}
    names = ", ".join(f"`{usual.get(name, name)}`" for name in exclusion.params)
    return f"| {vendor.title} | {exclusion.case} | {names} |"


def compatible_row(vendor: Vendor) -> str:
    """What the page's table says of a vendor with OpenAI's protocol."""
    key = f"`{vendor.key_env}`" if vendor.key_env else "none"
    rules = [(rule.case, ", ".join(f"`{one}`" for one in rule.params)) for rule in vendor.excludes]
    refused = "; ".join(f"{names} ({case})" for case, names in rules) or "nothing known"
    return f"| `{vendor.name}` | `{vendor.base_url}` | {key} | {refused} |"


TABLES = {
    "compatible": [
        "| provider | address | key | refuses |",
        "|---|---|---|---|",
        *(compatible_row(one) for one in COMPATIBLE.values()),
    ],
    "vendors": [
        "| provider | who answers | install | key | reasoning is stored separately |",
        "|---|---|---|---|---|",
        *(vendor_row(one) for one in VENDORS.values() if one.package),
    ],
    "exclusions": [
        "| vendor | when | left out |",
        "|---|---|---|",
        *(exclusion_row(one, rule) for one in VENDORS.values() for rule in one.excludes),
    ],
}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_page_are_the_profiles(name: str) -> None:
    [table] = re.findall(rf"<!-- {name} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert table.splitlines() == TABLES[name]


def test_the_price_table_of_the_page_is_one(tmp_path: Path) -> None:
    [block] = [block for block in BLOCKS if block not in VOICES]
    (tmp_path / "prices.yaml").write_text(block, "utf-8")
    assert {*read_prices(tmp_path / "prices.yaml")} == {"openai", "https://openrouter.ai/api/v1"}
