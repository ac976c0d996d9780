"""`mom weights`: the reliability ledger, and what it says each model's word should weigh."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mom_council.cli.failure import write_json
from mom_council.cli.options import Database, no_thread, place, thread_named
from mom_council.runs.words import counted

if TYPE_CHECKING:
    from mom_council.councils.recording import RecordedQuestion

Way = Literal["up", "down", "none"]

app = typer.Typer(
    help="Show, fit and reset what is known of how often each model is right.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def show(
    council: Annotated[
        str | None,
        typer.Option("--council", "-c", metavar="NAME|FILE", help="The weights of its characters."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="Of this kind of question: a category, or a data set.")
    ] = None,
    options: Annotated[
        float, typer.Option(min=2, help="How many answers there are to choose from.")
    ] = 2.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how often each model was right, or what that makes each character of a council weigh.

    It learns from gold answers, checks that ran, and thumbs; never from what other models liked.
    """
    from mom_council.models.ledger import Ledger
    from mom_council.models.resolved import member_models

    ledger = Ledger()
    if council is not None:
        from mom_council.councils.loader import load_council

        weights = ledger.weights(
            member_models(load_council(council)), kind or "general", options=options
        )
        if json:
            write_json(weights)
        else:
            print("\n".join(f"{weight:8.3f}  {name}" for name, weight in weights.items()))
        return
    reliabilities = ledger.show(kind)
    if json:
        write_json([one._asdict() for one in reliabilities])
        return
    if not reliabilities:
        print("The ledger is empty; mom weights fit FILE learns from a recording.")
        return
    from mom_council.evals.reports import table

    rows = [
        (
            one.model,
            one.kind,
            f"{100 * one.accuracy:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})",
            f"{one.outcomes:.1f}",
        )
        for one in reliabilities
    ]
    print(table(("model", "kind", "right, %", "outcomes"), rows))


@app.command()
def apply(
    council: Annotated[
        str, typer.Argument(metavar="COUNCIL", help="A preset's name or a YAML file.")
    ],
    kind: Annotated[str, typer.Option(help="The kind of question it is to answer.")] = "general",
    options: Annotated[
        float, typer.Option(min=2, help="How many answers there are to choose from.")
    ] = 2.0,
) -> None:
    """Print a council as YAML, with the weights that its models have earned."""
    from mom_council.councils.loader import load_council, to_yaml
    from mom_council.deliberation.selectors import with_weights
    from mom_council.models.ledger import Ledger
    from mom_council.models.resolved import member_models
    from mom_council.runs.words import inert

    loaded = load_council(council)
    earned = Ledger().weights(member_models(loaded), kind, options=options)
    rounded = {name: round(weight, 3) for name, weight in earned.items()}
    print(inert(to_yaml(with_weights(loaded, rounded))), end="")


@app.command()
def fit(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording with gold answers; or `shipped`.")
    ],
    council: Annotated[
        str | None,
        typer.Option(
            "--council",
            "-c",
            metavar="NAME|FILE",
            help="Fit the panel of this council's models too; all that were recorded, if left out.",
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="The kind of question; as the recording says, if left out.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Learn from the fold `eval` too; then do not score on it.")
    ] = False,
) -> None:
    """Learn from a recording how often each model is right, and how sure a vote is.

    A file that was learned from before counts once. What is fitted serves councils of just these
    models, and less exactly every council of models that the ledger knows.
    """
    from mom_council.evals.fitting import teach
    from mom_council.evals.sheet import recording_path
    from mom_council.models.ledger import Ledger

    loaded = None
    if council is not None:
        from mom_council.councils.loader import load_council

        loaded = load_council(council)
    learned = teach(
        Ledger(),
        recording_path(file),
        council=loaded,
        kind=kind,
        fold=None if everything else "cal",
    )
    print(f"learned from {counted(learned.answers, 'answer')}; mom weights show has the result")
    if learned.whole and not everything:
        print("the recording has one fold, so all of it was learned from: do not score on it")
    for one in learned.fits:
        some = f"also any {len(one.steps)} or fewer of these models"
        who = ", ".join(one.models) or some
        print(f"learned from {one.basis}: {who}")


@app.command()
def ask(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording; it needs no gold answers.")
    ],
    council: Annotated[
        str | None,
        typer.Option(
            "--council",
            "-c",
            metavar="NAME|FILE",
            help="The council to fit; all models that were recorded, if left out.",
        ),
    ] = None,
    number: Annotated[int, typer.Option(min=1, max=100, help="Questions at most.")] = 10,
    kind: Annotated[
        str, typer.Option(help="The kind of question; as the recording says, if left out.")
    ] = "",
) -> None:
    """Ask you for the right answers to the questions that teach most about a council.

    They are written into the recording, and the council is fitted to them and to how its models
    agree on all the others. Ten answers are worth most of what hundreds are.
    """
    from mom_council.councils.loader import load_council
    from mom_council.councils.recording import load_recording, write_recording
    from mom_council.evals.fitting import columns, judge, most_informative, teach
    from mom_council.models.ledger import Ledger

    loaded = load_council(council) if council is not None else None
    questions = list(load_recording(file))
    recorded = dict.fromkeys(name for one in questions for name in one.models)
    seats = [*recorded] if loaded is None else columns(loaded, questions)
    chosen = most_informative(questions, seats, number)
    if not chosen:
        print("There is no question without a gold answer on which the models differ.")
    answered = 0
    for at, question in enumerate(chosen, 1):
        answers = [question.models[seat].ans for seat in seats if seat in question.models]
        print(f"\n{at} of {len(chosen)}: ", end="")
        try:
            right = _ask_which_is_right(question, answers)
        except typer.Abort:  # Ctrl-C, or no more lines: what was answered counts
            if not answered:
                raise
            print()
            break
        if right is None:
            break
        if right:
            questions[questions.index(question)] = judge(question, right)
            write_recording(file, questions)
            answered += 1
    if not any(one.gold is not None for one in questions):
        return
    learned = teach(Ledger(), file, council=loaded, kind=kind, fold=None)
    print(f"learned from {counted(learned.answers, 'answer')}; mom weights show has the result")


_LONGEST = 2000
"""Signs of a question or an answer that are shown to a person."""


def _ask_which_is_right(question: RecordedQuestion, answers: list[str | None]) -> str | None:
    """The right answer as a person gives it; empty: skipped, None: no further question.

    Raises:
        typer.Abort: nobody answers any more.
    """
    from mom_council.runs.words import inert, one_line

    options = list(dict.fromkeys(one for one in answers if one is not None))
    print(inert(question.question[:_LONGEST]))
    for label, text in enumerate(question.options or ()):
        print(f"   ({chr(ord('A') + label)}) {one_line(text, _LONGEST)}")
    for at, option in enumerate(options, 1):
        print(f"  {at}. {one_line(option, _LONGEST)}  ({answers.count(option)} of {len(answers)})")
    while True:
        reply: str = typer.prompt(
            "Which is right? Its number, or the answer after '='; nothing skips, q ends",
            default="",
            show_default=False,
        )
        reply = reply.strip()
        if reply.casefold() == "q":
            return None
        right = reply.removeprefix("=").strip()
        if right == reply and reply:
            number = int(reply) if reply.isdecimal() and len(reply) < len("1000") else 0
            right = options[number - 1] if 0 < number <= len(options) else ""
        if right:
            print(f"  right: {one_line(right, 80)}")
        if right or not reply:
            return right
        short = one_line(reply, 80)
        print(f"  {short!r} is not one of 1 to {len(options)}; for that answer say ={short}")


@app.command()
def cascade(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording, with or without gold answers.")
    ],
    strong: Annotated[
        str,
        typer.Option(
            "--strong", "-s", metavar="NAME", help="Who is asked where the cheap ones differ."
        ),
    ],
    council: Annotated[
        str | None,
        typer.Option(
            "--council",
            "-c",
            metavar="NAME|FILE",
            help="The council to choose from; the recorded models, replayed, if left out.",
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="The kind of question; as the recording says, if left out.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Choose by the fold `eval` too; then do not score on it.")
    ] = False,
) -> None:
    """Print a council that asks cheap models first, and a strong one where they do not agree.

    Which models, in which order, and how many must agree is chosen by what was recorded. Where
    nothing can be saved without losing more than half a point, it says so, and the council asks
    the strong one alone. A model without a recorded price is never taken for a cheap one.
    """
    from mom_council.councils.loader import load_council, to_yaml
    from mom_council.evals.cascades import cascade_from_recording
    from mom_council.evals.sheet import recording_path
    from mom_council.runs.words import inert

    chosen, result = cascade_from_recording(
        recording_path(file),
        strong,
        council=load_council(council) if council is not None else None,
        kind=kind,
        fold=None if everything else "cal",
    )
    print(inert(chosen.in_words([who.name for who in result.characters])), file=sys.stderr)
    print(inert(to_yaml(result)), end="")


@app.command()
def thumb(
    way: Annotated[Way, typer.Argument(help="up: the answer was right; down: it was wrong.")],
    thread: Annotated[
        str | None,
        typer.Option("--thread", "-t", metavar="THREAD", help="Whose last answer; the newest."),
    ] = None,
    db: Database = None,
) -> None:
    """Judge the last answer of a thread; it credits the models that gave it.

    `none` takes a thumb back. Nothing is learned from an answer that is no single one.
    """
    import asyncio

    from mom_council.evals.fitting import rate
    from mom_council.runs.checkpoints import open_checkpointer
    from mom_council.runs.threads import list_threads

    async def run() -> int:
        async with open_checkpointer(place(db)) as saver:
            name = thread
            if name is None:
                newest = await list_threads(saver, 1)
                if not newest:
                    raise typer.BadParameter("there are no threads yet")
                name = newest[0].id
            if await saver.aget_tuple({"configurable": {"thread_id": thread_named(name)}}) is None:
                raise no_thread(name)
            return await rate(saver, name, up={"up": True, "down": False}.get(way))

    print(f"updated {counted(asyncio.run(run()), 'model')}")


@app.command()
def reset(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="As mom weights show names it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget every model.")] = False,
) -> None:
    """Forget what was learned about one model, or about all."""
    if (model is None) == (not everything):
        raise typer.BadParameter("name a model, or give --all")
    from mom_council.models.ledger import Ledger

    print(f"forgot {Ledger().reset(model)} records")
