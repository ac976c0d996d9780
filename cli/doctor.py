"""`mom doctor`: what could be wrong on this machine, and its cure."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mom_council.cli import failure as exits


def doctor(
    council: Annotated[
        str | None,
        typer.Option(
            "--council",
            "-c",
            metavar="NAME|FILE",
            help="Also see whether this council can sit here; MOM_COUNCIL where it is left out.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for what could be wrong on this machine, and say its cure.

    Nothing is asked beyond this machine and the Ollama servers of the council, nothing is changed,
    and no key is shown. Exit code 0: nothing failed, warnings aside; 1: something did.
    """
    import asyncio

    from mom_council.cli.failure import write_json
    from mom_council.doctor.examination import examine
    from mom_council.runs.words import in_a_row, one_line

    found = asyncio.run(examine(dict(os.environ), council))
    failed = sum(one.state == "fail" for one in found)
    if json:
        write_json({"ok": not failed, "findings": [one.model_dump() for one in found]})
    else:
        for one in found:
            print(f"{one.state:4}  {one_line(one.about)}: {in_a_row(one.says)}")
            if one.cure:
                print(f"      -> {one_line(one.cure)}")
        warned = sum(one.state == "warn" for one in found)
        print(f"\n{len(found) - failed - warned} ok, {warned} to look at, {failed} failed")
    if failed:
        raise typer.Exit(exits.FAILED)
