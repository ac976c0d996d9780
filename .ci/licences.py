"""The licences of everything that this environment has; fails at one that binds who uses it."""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distributions

OPEN = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Unlicense|Zlib|HPND|CC0|"
    r"0BSD|CNRI|LGPL|Lesser)\b",
    re.IGNORECASE,
)
BINDING = re.compile(
    r"\b(AGPL|Affero|GPL(?!.*exception)|SSPL|BUSL|Business Source|Commons Clause)\b"
)


def licence_of(one: Distribution) -> str:
    """What a package says of its licence, in one line."""
    about = one.metadata
    named = about.get("License-Expression") or ""
    classed = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    written = (about.get("License") or "").strip().partition("\n")[0]
    return named or ", ".join(classed) or written or _from_file(one)


def _from_file(one: Distribution) -> str:
    for file in one.files or ():
        if re.match(r"(LICEN[CS]E|COPYING)", file.name, re.IGNORECASE):
            return " ".join(file.read_text(encoding="utf-8").split())[:80]
    return "unknown"


def main() -> int:
    """Print each package with its licence; 1 where one has to be looked at."""
    packages = sorted({(one.metadata["Name"], licence_of(one)) for one in distributions()})
    doubtful = [
        (name, licence)
        for name, licence in packages
        if BINDING.search(licence) or not OPEN.search(licence)
    ]
    print(f"{len(packages)} packages, {len(packages) - len(doubtful)} with an open licence")
    for name, licence in doubtful:
        print(f"  {name}: {licence}", file=sys.stderr)
    return int(bool(doubtful))


if __name__ == "__main__":
    sys.exit(main())
