"""`mom models`, `mom use`, `mom init`, `mom probe`: which models there are and what they can do."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council.cli import failure, options
from mom_council.cli import failure as exits
from mom_council.errors import OverBudgetError
from mom_council.runs.words import one_line

if TYPE_CHECKING:
    from mom_council.evals.probing.probe import Probing
    from mom_council.evals.probing.report import ProbeReport
    from mom_council.models.prices import FoundPrice
    from mom_council.runs.discovery import Choice
    from mom_council.runs.installed import AvailableModels, InstalledModel, Selection


def models(
    council: options.Council = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the models that can be asked here, what they can do, and which are missing.

    With --council: the models that this council needs, and the command that gets missing ones.
    """
    import asyncio

    from mom_council.runs.discovery import (
        OLLAMA_PATIENCE,
        choose_council,
        find_models,
        used_council,
    )
    from mom_council.runs.plan import council_prices, price_lines

    env = {**os.environ, "MOM_PAID": "1"}  # nobody is asked
    available = asyncio.run(find_models(env, patience=OLLAMA_PATIENCE, say=failure.tell))
    selection = _selection(available)
    named = council or env.get("MOM_COUNCIL") or used_council()
    choice = asyncio.run(choose_council(named, env))
    prices = asyncio.run(council_prices(choice.council))
    lacking = _lacking(choice, available)
    if json:
        failure.write_json(_as_object(available, selection, choice, lacking, prices))
        return
    for line in _describe_models(available, selection):
        failure.show(line)
    failure.show(f"\n{_asked_line(choice, named)}")
    for line in price_lines(prices):
        failure.show(f"  {line}")
    if lacking:
        pulls = " && ".join(f"ollama pull {shlex.quote(name)}" for name in lacking)
        failure.show(
            f"Missing in {choice.council.name!r}: {', '.join(lacking)}. Get it with: {pulls}"
        )
    elif advice := _advice(available, selection):
        failure.show(advice)


def _selection(available: AvailableModels) -> Selection | None:
    if not available.ollama or available.memory is None:
        return None
    from mom_council.runs.installed import choose_models

    return choose_models(available.ollama, available.memory)


def _describe_models(available: AvailableModels, selection: Selection | None) -> list[str]:
    from mom_council.models.weights import SHIPPED, downloaded_weights
    from mom_council.vendors import VENDORS

    lines = []
    if available.trouble:
        lines.append(f"Ollama: {available.trouble}; look what holds it up: ollama ps")
    elif available.ollama_url is None:
        lines.append("Ollama: does not answer; get it from ollama.com, or start it: ollama serve")
    else:
        memory = f", {available.memory.in_words}" if available.memory else ""
        lines.append(f"Ollama at {available.ollama_url}{memory}")
        lines += _table(available, selection)
    if available.server:
        lines.append(f"Server at {available.server}")
        lines += [f"  {name}" for name in available.served[:20]] or ["  lists no model that chats"]
    for name in available.keys:
        one = VENDORS[name]
        lines.append(f"{one.title}: {one.key_env} is set; asks {one.default_model or 'any model'}")
    for name in available.lacking:
        one = VENDORS[name]
        lines.append(f"{one.title}: {one.key_env} is set, the package is missing: {one.install}")
    for weights in available.weights:
        lines.append(f"Downloaded: {weights.name} ({weights.size / 1e9:.1f} GB), by llama.cpp")
    tiny = ", ".join(downloaded_weights(SHIPPED))
    return [*lines, f"In the package: {tiny} (1 MB each, for trying the command)"]


def _table(available: AvailableModels, selection: Selection | None) -> list[str]:
    from mom_council.runs.installed import billions, maker, why_no_chat

    everything = [*available.ollama[::-1], *available.silent[::-1]]
    if not everything:
        return ["  no models yet"]
    longest = max(len(one.title) for one in everything)
    seated = selection.seated if selection is not None else ()
    reasons = {one.name: why for one, why in selection.left_out} if selection is not None else {}
    reasons |= {one.name: why_no_chat(one) or "" for one in available.silent}
    lines = []
    for one in sorted(everything, key=lambda one: one not in seated):
        can = ", ".join(word for word in one.abilities if word in ("tools", "vision", "thinking"))
        mark = "*" if one in seated else " "
        facts = f"{one.title:{longest}}  {_count(billions(one)):>5}  {one.size / 1e9:5.1f} GB"
        about = "; ".join(filter(None, (can, reasons.get(one.name, ""))))
        lines.append(f"{mark} {facts}  {maker(one):10} {about}".rstrip())
    return [*lines, "  * asked when nobody names a council"]


def _count(number: float) -> str:
    return f"{number:.1f}B" if number >= 1 else f"{number * 1000:.0f}M"


def _asked_line(choice: Choice, named: str | None) -> str:
    if choice.notice is None:
        members = ", ".join(one.model for one in choice.council.models.values())
        back = "" if choice.source != "used" else "; `mom use auto` goes back to what is here"
        return f"mom ask asks {named!r}: {members}{back}"
    from mom_council.runs.automatic import MORE

    line = choice.notice.replace("Asking", "mom ask asks", 1)
    return line.replace(MORE, "")  # this is `mom models`


def _lacking(choice: Choice, available: AvailableModels) -> list[str]:
    """The models of a council that the usual Ollama should have and has not."""
    from mom_council.vendors.ollama import OLLAMA

    here = {OLLAMA.full_name(one.name) for one in (*available.ollama, *available.silent)}
    needed = [
        one.model
        for one in choice.council.models.values()
        if one.provider == OLLAMA.name and one.base_url in (None, available.ollama_url)
    ]
    return [name for name in dict.fromkeys(needed) if OLLAMA.full_name(name) not in here]


def _advice(available: AvailableModels, selection: Selection | None) -> str:
    """What would make the council better, in one line."""
    if available.ollama_url is None:
        return ""
    from mom_council.models.memory import memory_for_models
    from mom_council.runs.installed import models_to_pull

    memory = available.memory or memory_for_models((), here=True)
    seated = selection.seated if selection is not None else ()
    more = models_to_pull(seated, memory, 2 if seated else 3)
    if not more:
        return ""
    pulls = " && ".join(f"ollama pull {shlex.quote(one.name)}" for one in more)
    size = sum(one.size for one in more) / 1e9
    why = "Of other makers and about as strong" if seated else "Fit this machine"
    return f"{why} ({size:.1f} GB): {pulls}"


def _as_object(
    available: AvailableModels,
    selection: Selection | None,
    choice: Choice,
    lacking: list[str],
    prices: dict[str, FoundPrice],
) -> dict[str, Any]:
    def described(one: InstalledModel) -> dict[str, Any]:
        return {"name": one.name, "bytes": one.size, "abilities": list(one.abilities)}

    left_out = selection.left_out if selection is not None else ()
    return {
        "ollama": available.ollama_url,
        "memory": None if available.memory is None else available.memory._asdict(),
        "installed": [described(one) for one in (*available.ollama, *available.silent)],
        "asked": [one.name for one in selection.seated] if selection is not None else [],
        "reason": selection.reason if selection is not None else None,
        "left_out": {one.name: reason for one, reason in left_out},
        "server": available.server,
        "served": list(available.served),
        "keys": list(available.keys),
        "weights": [one.name for one in available.weights],
        "council": {
            "name": choice.council.name,
            "source": choice.source,
            "models": [one.model for one in choice.council.models.values()],
        },
        "missing": lacking,
        "prices": {key: price.as_object() for key, price in prices.items()},
    }


def use(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE", help="A preset, a YAML file, or auto: the best models here."
        ),
    ] = None,
    model: options.Models = None,
) -> None:
    """Use this council from now on, unless a question names another.

    -c and MOM_COUNCIL have priority over it. Without a name, it prints which council is used.
    """
    import asyncio

    from mom_council.runs.discovery import AUTO, MODELS, choose_council, use_council, used_council

    named = options.council_named(name, model)
    if named is None:
        failure.show(used_council() or AUTO)
        return
    env = {**os.environ, "MOM_PAID": "1"}  # nobody is asked
    choice = asyncio.run(choose_council(named, env))  # refuses what cannot sit
    stored = named if named.startswith(MODELS) else options.whole_path(named)
    use_council(None if named == AUTO else stored)
    members = ", ".join(dict.fromkeys(one.model for one in choice.council.models.values()))
    failure.show(f"mom ask now asks {named}: {members}")
    if variable := os.environ.get("MOM_COUNCIL"):
        failure.tell(f"MOM_COUNCIL={variable} has priority over it in this shell")


def init(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the council is written.")
    ] = Path("council.yaml"),
    model: options.Models = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; accept the suggestions.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a council of your own as a YAML file with comments.

    It asks for the models, the number of rounds and the name. With --yes it asks nothing and
    writes the council that `mom ask` would use.
    """
    import asyncio

    from mom_council.councils.loader import council_from_yaml
    from mom_council.councils.trust import accept, review_council
    from mom_council.runs.automatic import council_in_words
    from mom_council.runs.discovery import choose_council

    if file.exists() and not force:
        raise typer.BadParameter(f"{file} is there already; --force overwrites it")
    named = options.council_named(None, model)
    env = {**os.environ, "MOM_PAID": "1"}  # nobody is asked
    choice = asyncio.run(choose_council(named or "auto", env, say=failure.tell))
    name, rounds, choices = file.stem, 2, not yes and sys.stdin.isatty()
    if choices:
        members = ", ".join(dict.fromkeys(one.model for one in choice.council.models.values()))
        typed = input(f"Models [{members}] (another list, or Enter): ").strip()
        if typed:
            names = "models:" + ",".join(typed.replace(",", " ").split())
            choice = asyncio.run(choose_council(names, env, say=failure.tell))
        typed = input("Rounds of answers and votes at most [2]: ").strip()
        rounds = int(typed) if typed.isdigit() and 1 <= int(typed) <= 20 else 2
        name = input(f"Name [{name}]: ").strip() or name
    if why := choice.instead_of:
        failure.tell(f"{why}; models that cost money are written in place of local ones")
    text = council_in_words(choice.council, choice.notice, name=name, rounds=rounds)
    council = council_from_yaml(text, str(file))  # nothing is written that would not be read
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        from mom_council.errors import StorageError

        raise StorageError(f"{file} cannot be written: {error.strerror}") from None
    # The user has just made it, of keys and addresses that are set here; a change is asked about.
    review = review_council(council, text, file)
    if review.lines:
        accept(review, review.odd_variables)
    failure.show(f'{file} is written. Ask it: mom ask -c {file} "..."; always: mom use {file}')


def probe(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="Keys of the council's models, or provider:model, such as ollama:llama3.2. "
            "Left out: all of the council.",
        ),
    ] = None,
    council: Annotated[
        str | None,
        typer.Option("--council", "-c", metavar="NAME|FILE", help="Whose models are meant."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Where provider:model is served."),
    ] = None,
    context: Annotated[
        int, typer.Option("--context", min=0, help="Tokens up to which a needle is looked for.")
    ] = 8192,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Write report.md, report.json, proposers.json and aggregators.json here.",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep",
            help="Remember what was found for councils that do not say what a model can do.",
        ),
    ] = True,
    calls: options.Calls = None,
    tokens: options.Tokens = None,
    usd: options.Dollars = None,
    seconds: options.Seconds = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find out what models can do, by asking each as proposer, voter and aggregator.

    About 25 short calls a model: right answers, poisoned proposals that an aggregator must not
    repeat, streaming, JSON, tools, a picture, a needle in longer and longer texts, speed. Ctrl-C
    keeps what was found. Vendors send a bill for the calls.
    """
    probing = _open_probing(models or [], council, base_url, context=context, keep=keep)
    with options.spending(calls, tokens, usd, seconds):
        code = _run(probing)
        _write_report(probing.report, out, as_json=json)
    if code:
        raise typer.Exit(code)


def _open_probing(
    models: list[str], council: str | None, base_url: str | None, **how: Any
) -> Probing:
    if not models and council is None:
        raise typer.BadParameter(
            "name a model (mom probe ollama:llama3.2) or a council (mom probe -c home)"
        )
    from mom_council.councils.trust import load_trusted_council
    from mom_council.evals.probing.abilities import models_named
    from mom_council.evals.probing.probe import Probing

    seated = load_trusted_council(council) if council else None
    named, style = models_named(models, seated, base_url)
    return Probing(named, style, progress=_progress, **how)


def _write_report(report: ProbeReport, out: Path | None, *, as_json: bool) -> None:
    from mom_council.evals.probing.probe import as_markdown, write_pages

    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if out is not None:
        for path in write_pages(report, out):
            failure.say(f"wrote {path}")
    if as_json:
        failure.write_json(report.model_dump(mode="json"))
    else:
        failure.show(as_markdown(report), end="")


def _run(probing: Probing) -> int:
    """Probe to the end, or to Ctrl-C; the exit code."""
    import asyncio

    from mom_council.models.clients import close_loop_resources

    async def run() -> None:
        try:
            await probing.run()
        finally:
            await close_loop_resources()

    try:
        asyncio.run(run())
    except OverBudgetError as error:
        failure.tell(f"{error}; what was found is below")
    except KeyboardInterrupt:
        failure.tell("interrupted; what was found is below")
        return exits.INTERRUPTED
    answered = any(
        probe.state != "unknown" for one in probing.report.models for probe in one.probes.values()
    )
    return exits.ANSWERED if answered else exits.NOBODY


def _progress(model: str, part: str, done: int, of: int) -> None:
    line = f"{done + 1}/{of} {model}: {part}"
    if sys.stderr.isatty():
        print(f"\r\x1b[K{one_line(line)}", end="", file=sys.stderr, flush=True)
    else:
        failure.say(line)
