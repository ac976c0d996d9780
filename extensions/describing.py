"""What there is to know of a council's extensions without asking it anything: for pages."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from mom_council.councils.schema import Council
from mom_council.councils.schema import Extension as Written
from mom_council.errors import CouncilError
from mom_council.extensions.finding import Found, find
from mom_council.extensions.loaded import Failed, Seat, loaded
from mom_council.records import Record


class Described(Record):
    """An extension, as a page shows it."""

    name: str = Field(description="what `CouncilContext.extensions_off` switches it off by")
    kind: str = Field(default="", description="given, bundled, installed, folder or module")
    description: str = ""
    version: str = ""
    author: str = ""
    settings: dict[str, Any] = Field(default_factory=dict, description="as the council has them")
    settings_schema: dict[str, Any] | None = Field(
        default=None, description="a JSON schema to draw a form by; None: it takes none"
    )
    problem: str = Field(default="", description="why it cannot be called here; empty: it can")


def extensions_of(
    council: Council, given: Mapping[str, Any] | None = None
) -> tuple[Described, ...]:
    """A council's extensions in the order they are called. Loads their code, calls no hook."""
    return tuple(_described(one, given) for one in council.extensions)


def describe(found: Found, written: Written | None = None) -> Described:
    """What there is to know of an extension. Loads its code."""
    about = found.manifest
    known: dict[str, Any] = {
        "name": found.name,
        "kind": found.kind,
        "description": about.description if about else "",
        "version": about.version if about else "",
        "author": about.author if about else "",
        "settings": dict(written.settings) if written else {},
    }
    try:
        kind = loaded(found)
        kind = kind if inspect.isclass(kind) else type(kind)
        says = getattr(kind, "description", "") or inspect.getdoc(kind) or ""
        known["description"] = known["description"] or says.partition("\n")[0]
        known["settings_schema"] = _schema(getattr(kind, "Settings", None))
        Seat(written or Written(use=found.name), found, "extensions")
    except (CouncilError, Failed) as error:
        known["problem"] = str(error)
    return Described(**known)


def described_without_loading(found: Found) -> Described:
    """What there is to know without running any code but the package's own."""
    if found.kind == "bundled":
        return describe(found)
    about = found.manifest
    return Described(
        name=found.name,
        kind=found.kind,
        description=about.description if about else "",
        version=about.version if about else "",
        author=about.author if about else "",
        problem=found.problem or "",
    )


def problems_of(council: Council) -> list[str]:
    """Why extensions of a council cannot be called here, a line each. Loads their code."""
    return [
        f"extension {one.name!r}: {one.problem}" for one in extensions_of(council) if one.problem
    ]


def _described(written: Written, given: Mapping[str, Any] | None) -> Described:
    try:
        return describe(find(written.use, given), written)
    except CouncilError as error:
        return Described(name=written.use, settings=dict(written.settings), problem=str(error))


def _schema(wanted: Any) -> dict[str, Any] | None:
    if inspect.isclass(wanted) and issubclass(wanted, BaseModel):
        return wanted.model_json_schema()
    return dict(wanted) if isinstance(wanted, Mapping) else None
