"""`mom cache`: the answers that are kept for identical requests."""

from __future__ import annotations

from typing import Annotated

import typer

from mom_council.cli.failure import write_json
from mom_council.runs.words import one_line

app = typer.Typer(
    help="See and empty the cache of answers.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def stats(
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Say where the cache lies, how large it is, and whose answers are in it."""
    from datetime import UTC, datetime

    from mom_council.models.cache import stats as counted

    found = counted()
    if json:
        write_json(found.model_dump(mode="json"))
        return
    print(found.path)
    if not found.answers:
        print("It is empty; a council with a `cache:` section fills it.")
        return
    print(f"{found.answers} answers, {found.bytes / 1e6:.1f} MB, {found.expired} past their time")
    if found.oldest is not None:
        oldest = datetime.fromtimestamp(found.oldest, UTC).astimezone()
        print(f"the oldest of {oldest:%Y-%m-%d %H:%M}")
    for model, many in found.models.items():
        print(f"{many:6}  {one_line(model, 80)}")


@app.command()
def clear() -> None:
    """Forget every answer; the next question is asked anew."""
    from mom_council.models.cache import clear as emptied

    print(f"The cache is empty; {emptied() / 1e6:.1f} MB are free again.")
