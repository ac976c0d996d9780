"""`mom trace`: what every node and every model did, on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mom_council.cli.failure import write_json
from mom_council.runs.words import inert, one_line

app = typer.Typer(help="List and show local traces.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many, newest first.")] = 20,
) -> None:
    """List the traces, newest first."""
    from mom_council.tracing.store import TraceStore

    found = TraceStore().summaries(limit)
    if not found:
        print('There are no traces yet; mom ask "..." leaves one.')
    for one in found:
        when = one.started.astimezone().strftime("%Y-%m-%d %H:%M")
        took = "  never " if one.seconds is None else f"{one.seconds:6.1f} s"
        failed = f"  ({one_line(one.error, 80)})" if one.error else ""
        told = f"{one_line(one.council):10} {one_line(one.question, 60)}"
        print(f"{one.id}  {when}  {took}  {one.calls:3} calls  {told}{failed}")


@app.command()
def show(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="Its id, or the beginning of it.")],
    full: Annotated[bool, typer.Option("--full", help="With every prompt and reply.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print the tree of a trace, with times, tokens and models."""
    from mom_council.tracing.store import TraceStore

    view = TraceStore().load(trace)
    if view is None:
        raise typer.BadParameter(f"there is no trace {trace!r}; mom trace list shows them")
    if json:
        write_json(view.model_dump(mode="json"))
        return
    for depth, span in view.tree():
        print(_line(depth, span))
        if full:
            for line in _said(span):
                print(inert(f"{'  ' * depth}    {line}"))


def _line(depth: int, span: Any) -> str:
    took = "never ended" if span.seconds is None else f"{span.seconds:.3f} s"
    parts = [f"{span.start:7.3f}  {'  ' * depth}{span.name}", took, span.model]
    if span.output_tokens is not None:
        parts.append(f"{span.input_tokens} + {span.output_tokens} tokens")
    if plan := span.about.get("plan"):
        parts.append(one_line(str(plan)))
    if span.error:
        parts.append(f"error: {one_line(span.error)}")
    return inert("  ".join(part for part in parts if part))


def _said(span: Any) -> list[str]:
    lines = [f"[{m.role}] {line}" for m in span.prompt for line in m.text.splitlines()]
    if span.reasoning:
        lines += [f"[thought] {line}" for line in span.reasoning.splitlines()]
    return lines + [f"[reply] {line}" for line in span.reply.splitlines()]
