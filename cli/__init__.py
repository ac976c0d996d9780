"""The `mom` command. Each command imports heavy modules only when it runs."""

from __future__ import annotations


def main() -> None:
    """Run the `mom` command."""
    try:
        from mom_council.cli.app import run

        run()
    except KeyboardInterrupt:  # while Python was still loading
        raise SystemExit(130) from None
