"""The `mom` command. Each command imports heavy modules only when it runs."""

from __future__ import annotations

import gc

ALLOCATIONS = 100_000
"""New objects after which Python looks for garbage; it would do so after some hundreds."""


def main() -> None:
    """Run the `mom` command."""
    # Little of what is made while modules are loaded is garbage; looking for it takes 0.1 s.
    gc.set_threshold(ALLOCATIONS)
    try:
        from mom_council.seams.python import defer_imports

        defer_imports()
        from mom_council.cli.app import run

        run()
    except KeyboardInterrupt:  # while Python was still loading
        raise SystemExit(130) from None
