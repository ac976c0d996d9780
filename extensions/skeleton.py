"""A working extension to begin from: a folder with code, config.json and a test that passes."""

from __future__ import annotations

import json
from pathlib import Path

from mom_council.errors import StorageError
from mom_council.extensions.finding import NAME
from mom_council.paths import ensure

_CODE = '''"""{name}: says in one line what it does."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from mom_council.extensions import At, Change, Extension


class {kind}Settings(BaseModel):
    """What a council may set; a page draws it as a form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str = Field(default="Keep it short.", description="what everyone reads before answering")
    sign: bool = Field(default=True, description="whether the answer is signed")


class {kind}(Extension):
    """The manual of all hooks: `python -m pydoc mom_council.extensions.protocol`."""

    description = "gives everyone a note to read, and signs the answer"
    Settings = {kind}Settings
    nodes = ("character",)
    settings: {kind}Settings

    async def before(self, at: At) -> Change | None:
        """Called before each character speaks."""
        return Change(material=self.settings.note)

    async def on_answer(self, at: At, answer: str) -> str | None:
        """Called with the council's answer."""
        return f"{{answer}}\\n\\n({name})" if self.settings.sign else None
'''

_TEST = '''"""Run with `python -m pytest`; it asks the tiny models that come with the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mom_council import council, load_council

_spec = importlib.util.spec_from_file_location("{kind}", Path(__file__).parent / "extension.py")
extension = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(extension)


def test_it_signs_the_answer():
    use = {{"use": "{name}", "settings": {{"note": "Answer with a number."}}}}
    desk = load_council("demo").model_dump() | {{"extensions": [use]}}
    sitting = council(desk, extensions={{"{name}": extension.{kind}}})
    result = sitting.invoke({{"messages": [("user", "What is 17 + 25?")]}})
    assert result["messages"][-1].text.endswith("({name})")
    assert not any("{name}" in note for note in result["status"].notes)
'''


def write_skeleton(name: str, parent: Path) -> Path:
    """Write an extension called `name` into a folder of that name; nothing is overwritten.

    Raises:
        ValueError: the name is none.
        StorageError: the folder is there already, or cannot be made.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot name an extension: letters, digits, - and _, at most 64, beginning "
            "with a letter or digit"
        )
    folder = ensure(parent) / name
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise StorageError(
            f"{str(folder)!r} is there already", cure="choose another name"
        ) from None
    words = [word for word in name.replace("-", "_").split("_") if word]
    kind = "".join(word[:1].upper() + word[1:] for word in words)
    kind = kind if kind.isidentifier() else f"Extension{kind}"
    about = {
        "name": name,
        "version": "0.1.0",
        "description": "gives everyone a note to read, and signs the answer",
        "author": "",
        "requires": [],
    }
    told = {"name": name, "kind": kind}
    (folder / "extension.py").write_text(_CODE.format(**told), "utf-8")
    (folder / f"test_{name.replace('-', '_')}.py").write_text(_TEST.format(**told), "utf-8")
    (folder / "config.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    return folder
