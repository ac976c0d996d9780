"""Python and its packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator, Mapping

from mom_council.doctor.finding import Finding, fail, ok, warn

PACKAGE = "mom-council"
NEWEST = (3, 14)
"""What the tests have not run on yet."""


def version(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether this Python is one that the package runs on."""
    here = platform.python_version()
    if sys.version_info >= NEWEST:  # an older one than 3.11 does not get as far as here
        yield warn("python", f"is {here}, which is not tested", "3.11 to 3.13 are")
    else:
        yield ok("python", f"{here} at {sys.executable}")


def packages(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether what always comes along is here, in versions that fit."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in importlib.metadata.requires(PACKAGE) or ()]
    missing, old = [], []
    for one in wanted:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            here = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(one)
            continue
        if not one.specifier.contains(here, prereleases=True):
            old.append(f"{one.name} {here} (wanted: {one.specifier})")
    if missing:
        names = " ".join(f"'{one.name}{one.specifier}'" for one in missing)
        yield fail("packages", f"{len(missing)} are missing", f"pip install {names}")
    if old:
        cure = f"pip install --upgrade {PACKAGE}"
        yield warn("packages", f"versions that do not fit: {', '.join(old)}", cure)
    if not missing and not old:
        yield ok("packages", f"{PACKAGE} {importlib.metadata.version(PACKAGE)} and what it needs")


_EXTRAS = {
    "ui": ("streamlit", "the chat page"),
    "server": ("fastapi", "the endpoint"),
    "studio": ("langgraph_cli", "LangGraph Studio"),
    "postgres": ("psycopg", "threads in PostgreSQL"),
    "mcp": ("langchain_mcp_adapters", "tools of MCP servers"),
    "anthropic": ("langchain_anthropic", "Anthropic"),
    "mistral": ("langchain_mistralai", "Mistral"),
    "deepseek": ("langchain_deepseek", "DeepSeek"),
    "cohere": ("langchain_cohere", "Cohere"),
    "huggingface": ("transformers", "local Hugging Face models"),
    "images": ("diffusers", "pictures drawn here"),
    "parquet": ("pyarrow", "Parquet files"),
    "ray": ("ray", "batches on Ray"),
}


def extras(env: Mapping[str, str]) -> Iterator[Finding]:
    """Which extras are here; none of them is needed before it is used."""
    here = [extra for extra, (module, _) in _EXTRAS.items() if importlib.util.find_spec(module)]
    away = [f"{extra} ({what})" for extra, (_, what) in _EXTRAS.items() if extra not in here]
    says = f"installed: {', '.join(here) or 'none'}"
    if away:
        says += f"; not installed: {', '.join(away)}"
    yield ok("extras", says)
