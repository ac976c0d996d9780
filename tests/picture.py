"""The README's picture: the graph of the `demo` council, drawn by LangGraph. `make picture`."""

from __future__ import annotations

import re
from pathlib import Path

import mom_council
from mom_council.graph.council import council

README = Path(mom_council.__file__).parent / "README.md"
_BETWEEN = re.compile(r"(?<=<!-- picture -->\n).*?(?=<!-- /picture -->)", re.DOTALL)


def picture() -> str:
    """The block between the README's markers."""
    drawn = council("demo").get_graph()
    for key, node in drawn.nodes.items():
        drawn.nodes[key] = node._replace(metadata=None)  # its name says who it is
    return f"```mermaid\n{drawn.draw_mermaid().strip()}\n```\n"


def shown(readme: str) -> str:
    """What stands between the markers now."""
    found = _BETWEEN.search(readme)
    if found is None:
        raise SystemExit(f"{README} has no lines '<!-- picture -->' and '<!-- /picture -->'")
    return found[0]


def main() -> None:
    """Write the picture into the README."""
    readme = README.read_text("utf-8")
    shown(readme)
    README.write_text(_BETWEEN.sub(lambda _: picture(), readme), "utf-8")


if __name__ == "__main__":
    main()
