"""The `mom` command: a door to the council. A command imports what is heavy when it runs."""

from __future__ import annotations


def main() -> None:
    """Run the `mom` command."""
    try:
        from mom_council.cli.app import run

        run()
    except KeyboardInterrupt:  # while Python was still loading
        raise SystemExit(130) from None
