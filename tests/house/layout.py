"""The picture of the house in docs/layout.md, drawn from the code's imports: `make layout`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from mom_council.tests.house.shape import arrows_between, reachable
from mom_council.tests.house.sources import PACKAGE, ROOT, floors, imports, product

PAGE = ROOT / "docs" / "layout.md"
_BETWEEN = re.compile(r"(?<=<!-- house -->\n).*?(?=<!-- /house -->)", re.DOTALL)


def house() -> str:
    """The picture of the rooms, and a line about each, from the top floor down."""
    rooms = [room for floor in floors() for room in floor]
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {one} --> {other}" for one, other in direct_arrows(rooms)]
    lines += ["```", "", "| package | contents |", "|---|---|"]
    about = {source.module: ast.get_docstring(source.tree) or "" for source in product()}
    for room in rooms:
        first = about[f"{PACKAGE}.{room}"].partition("\n")[0]
        lines.append(f"| `{room}` | {first} |")
    return "\n".join(lines) + "\n"


def direct_arrows(rooms: list[str]) -> list[tuple[str, str]]:
    """The imports between rooms, without those that lead where another way leads too."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for importer, imported in arrows_between(imports()):
        if importer in rooms and imported in rooms:
            arrows[importer].add(imported)
    return [
        (room, other)
        for room in rooms
        for other in sorted(arrows[room], key=rooms.index)
        if not any(other in reachable(third, arrows) for third in arrows[room] - {other})
    ]


def main() -> None:
    """Write the picture into the page."""
    page = PAGE.read_text("utf-8")
    PAGE.write_text(_BETWEEN.sub(lambda _: house(), page), "utf-8")


def drawn(page: str) -> str:
    """The picture that the page has now."""
    picture = _BETWEEN.search(page)
    return picture[0] if picture else ""


if __name__ == "__main__":
    main()
