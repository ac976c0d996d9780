"""The picture in docs/layout.md: the `demo` council's graph, with votes (`make picture`)."""

from __future__ import annotations

import re
from pathlib import Path

import mom_council
from mom_council.councils.loader import load_council
from mom_council.graph.council import council

PAGE = Path(mom_council.__file__).parent / "docs" / "layout.md"
_BETWEEN = re.compile(r"(?<=<!-- picture -->\n).*?(?=<!-- /picture -->)", re.DOTALL)


def picture() -> str:
    """The block between the page's markers."""
    demo = load_council("demo").model_dump(mode="json", exclude_defaults=True)
    demo["deliberation"]["method"] = "plurality"
    drawn = council(load_council(demo)).get_graph()
    for key, node in drawn.nodes.items():
        drawn.nodes[key] = node._replace(metadata=None)  # its name says who it is
    return f"```mermaid\n{drawn.draw_mermaid().strip()}\n```\n"


def shown(page: str) -> str:
    """What stands between the markers now."""
    found = _BETWEEN.search(page)
    if found is None:
        raise SystemExit(f"{PAGE} has no lines '<!-- picture -->' and '<!-- /picture -->'")
    return found[0]


def main() -> None:
    """Write the picture into the page."""
    page = PAGE.read_text("utf-8")
    shown(page)
    PAGE.write_text(_BETWEEN.sub(lambda _: picture(), page), "utf-8")


if __name__ == "__main__":
    main()
