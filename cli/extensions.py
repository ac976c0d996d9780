"""`mom extensions`: what can be called around the nodes, and a new one to begin from.

The new one is a folder with code, config.json and a test that passes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mom_council.errors import StorageError
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
    from mom_council.extensions.finding import NAME  # it imports LangChain

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
    names = {"name": name, "kind": kind}
    (folder / "extension.py").write_text(_CODE.format(**names), "utf-8")
    (folder / f"test_{name.replace('-', '_')}.py").write_text(_TEST.format(**names), "utf-8")
    (folder / "config.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    return folder


app = typer.Typer(
    help="List extensions, or begin one of your own.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_() -> None:
    """List the extensions that a council may name.

    Bundled ones, installed packages, and folders of your own; a folder's code is not run. What one
    needs and is not here stands below it.
    """
    from mom_council.extensions.finding import every
    from mom_council.extensions.loaded import described_without_loading
    from mom_council.runs.words import one_line

    for entry in every():
        if isinstance(entry, Exception):
            print(f"  {one_line(str(entry))}")
            continue
        about = described_without_loading(entry)
        version = f" {about.version}" if about.version else ""
        says = one_line(f"{about.description}{version}")
        print(f"{one_line(about.name):16} {about.kind:10} {says}".rstrip())
        if about.problem:
            print(f"  {one_line(about.problem)}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What a council calls it.")],
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="FOLDER",
            help="Where it is put; left out: among your own, in the data directory.",
        ),
    ] = None,
) -> None:
    """Write a working extension to begin from, with a test."""
    from mom_council.extensions.finding import BUNDLED, VARIABLE, home

    if name in BUNDLED:
        raise typer.BadParameter(f"{name!r} is a bundled one's name; choose another")
    parent = home() if into is None else into.absolute()
    try:
        folder = write_skeleton(name, parent)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    print(f"{folder} is ready: edit extension.py in it.")
    print(f"A council calls it with:  extensions: [{{use: {name}}}]")
    if into is not None:
        print(f"It is found where {VARIABLE} names its parent:  export {VARIABLE}={parent}")
