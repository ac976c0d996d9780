"""OpenRouter's models: its own listing, a request's `models`, or plain names, one a line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mom_council.councils.importers.foreign import Draft, ModelSection, Report
from mom_council.councils.importers.rosters import OPENROUTER, catalogue_draft, why_no_seat
from mom_council.errors import CouncilError

MOST_CHOICES = 40


def read_openrouter(values: Any, env: Mapping[str, str], origin: str, report: Report) -> Draft:
    """A council of OpenRouter's models: its own listing, a request's `models`, or plain names.

    Raises:
        CouncilError: there is no name of a model in it.
    """
    voices, first = ModelSection(), ""
    seats: dict[str, str] = {}
    for key in ("model", "chairman", "chairman_model") if isinstance(values, Mapping) else ():
        first = first or (str(values[key]) if isinstance(values.get(key), str) else "")
    names: dict[str, dict[str, Any]] = {}
    for name, about in _openrouter_entries(values):
        names[name] = names.get(name) or about
    if first and first not in names:
        names = {first: {}, **names}
    left = 0
    for name in names:
        if why := why_no_seat(name):
            report.leave(name[:80], why)
        elif len(seats) < MOST_CHOICES:
            key = voices.key(
                provider="openai",
                model=name,
                base_url=OPENROUTER,
                api_key_env="OPENROUTER_API_KEY",
                **names[name],
            )
            seats[name.rpartition("/")[2]] = key
        else:
            left += 1
    if left:
        report.leave("models", f"{left} more: a council has at most {MOST_CHOICES} choices here")
    if not seats:
        raise CouncilError(f"{origin}: holds no name like 'vendor/model'")
    return catalogue_draft(seats, first.rpartition("/")[2], voices, report)


_LISTED_NAME = re.compile(r"~?[\w.-]+/[\w.:-]+")


def _openrouter_entries(values: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each name, with its price, its context and what it takes, where the list says it."""
    if isinstance(values, Mapping):
        values = values.get("data") or values.get("models") or ()
    if isinstance(values, Mapping):  # by their names; with `provider` it is no list of OpenRouter's
        values = [
            {"id": key, **one}
            for key, one in values.items()
            if isinstance(one, Mapping) and "provider" not in one
        ]
    for one in values if isinstance(values, list) else ():
        about: dict[str, Any] = {}
        if isinstance(one, Mapping):
            about = _abilities_of(one)
            shape = one.get("architecture")
            out = shape.get("output_modalities") if isinstance(shape, Mapping) else None
            if isinstance(out, list) and "text" not in out:
                continue
            one = one.get("id") or one.get("slug") or one.get("model")
        if isinstance(one, str) and _LISTED_NAME.fullmatch(one.strip()):
            yield one.strip(), about


def _abilities_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"price": _price_of(entry.get("pricing"))}
    shape, takes = entry.get("architecture"), entry.get("supported_parameters")
    sees = shape.get("input_modalities") if isinstance(shape, Mapping) else None
    if isinstance(sees, list):
        about["vision"] = "image" in sees
    if isinstance(takes, list) and takes:
        about["tools"] = "tools" in takes
    if isinstance(length := entry.get("context_length"), int) and length >= 64:
        about["context"] = length
    return about


def _price_of(pricing: Any) -> dict[str, float] | None:
    """OpenRouter's dollars a token as dollars a million; None where it says none, or -1."""
    try:
        tokens = [float(pricing["prompt"]), float(pricing["completion"])]
    except (KeyError, TypeError, ValueError):
        return None
    if not all(0 <= one < 1 for one in tokens):
        return None
    return {"input": round(tokens[0] * 1e6, 6), "output": round(tokens[1] * 1e6, 6)}


_PRICES = re.compile(
    r"([\s,;|\"'$€()/.\d-]|\b(free|usd|per|in|out|input|output|tokens?|m|1m|k)\b)*", re.I
)
"""What may stand behind a name in a list: prices."""


def names_in_lines(text: str) -> list[str]:
    """The names of a plain list, one a line; `#` and `//` begin a comment, prices are passed.

    In a table of commas with a heading, they stand in the column `id`, `model` or `slug`; in a list
    with an object a line, under that key.
    """
    names = _names_in_table(text) or _names_in_objects(text)
    for line in () if names else text.splitlines():
        line = re.split(r"#|(?:^|\s)//", line)[0].strip().strip("-*\"', ")
        line = re.sub(r"^\d+[.)]\s+", "", line).lstrip("\"'")
        if not line:
            continue
        named = _LISTED_NAME.match(line)
        if named is None or not _PRICES.fullmatch(line[named.end() :]):
            return []
        names.append(named[0])
    return names


def _names_in_table(text: str) -> list[str]:
    try:
        rows = [*csv.reader(text.lstrip("\ufeff").splitlines()[:5_000])]
    except csv.Error:
        return []
    heads = [head.strip().lower() for head in rows[0]] if rows else []
    column = next((heads.index(one) for one in _NAME_KEYS if one in heads), None)
    if column is None or len(heads) < 2:
        return []
    cells = [row[column].strip() for row in rows[1:] if len(row) > column]
    return cells if cells and all(map(_LISTED_NAME.fullmatch, cells)) else []


def _names_in_objects(text: str) -> list[str]:
    names = []
    for line in text.splitlines() if text.lstrip().startswith("{") else ():
        try:
            entry = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            return []
        named = [name for name, _ in _openrouter_entries([entry])] if entry else []
        if entry and not named:
            return []
        names += named
    return names


_NAME_KEYS = ("id", "model", "slug", "model_id", "name")


def is_openrouter_list(values: Any) -> bool:
    """Whether values are a list of OpenRouter's models."""
    return any(_openrouter_entries(values)) and (
        isinstance(values, list)
        or "data" in values
        or all(isinstance(one, str) for one in values.get("models") or ())
    )
