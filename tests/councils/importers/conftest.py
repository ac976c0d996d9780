"""Foreign files in a folder of their own, and their councils on the stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.importers import Imported, import_council
from mom_council.councils.loader import load_council, to_yaml
from mom_council.councils.schema import Council
from mom_council.tests.councils.importers.written import as_json
from mom_council.tests.stage import Stage

Bring = Callable[..., Imported]


@pytest.fixture
def bring(tmp_path: Path) -> Bring:
    """Writes foreign files into a folder and imports the first; it reads back as it is written."""

    def write(files: dict[str, Any]) -> Imported:
        for name, content in files.items():
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
            else:
                text = content if isinstance(content, str) else as_json(content)
                (tmp_path / name).write_text(text, encoding="utf-8")
        found = import_council(tmp_path / next(iter(files)))
        (tmp_path / "again.yaml").write_text(to_yaml(found.council), encoding="utf-8")
        assert load_council(tmp_path / "again.yaml") == found.council
        return found

    return write


def on_stage(council: Council, stage: Stage) -> Council:
    """The council with every voice asked on the stage, by its key, with its parameters."""
    values = council.model_dump(mode="json", exclude_defaults=True)
    for key, voice in values["models"].items():
        kept = {name: voice[name] for name in ("params", "fallbacks") if name in voice}
        values["models"][key] = {
            "provider": "openai",
            "model": key,
            "base_url": stage.openai_url,
            "retries": 0,
            "timeout": 10,
            **kept,
        }
    return load_council(values)


def places(notes: tuple[Any, ...]) -> set[str]:
    """Which places notes are about."""
    return {note.place for note in notes}
