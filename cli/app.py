"""The `mom` command: its commands, its `--help`, and how errors leave it."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mom_council.cli import failure
from mom_council.cli import failure as exits
from mom_council.errors import MixtureError

SECTIONS = {
    "Ask": ("demo", "ask", "chat", "resume", "batch", "ui"),
    "Set up": (
        "models",
        "use",
        "init",
        "councils",
        "import",
        "extensions",
        "doctor",
        "probe",
        "download",
        "trust",
    ),
    "Serve": ("serve", "mcp"),
    "Measure": ("pays", "tune", "eval", "record", "revote", "audit", "keeps", "weights"),
    "What is kept": ("threads", "trace", "cache", "storage"),
}
"""Of `mom` itself. A command that stands in none of them is listed under `Commands`."""


class CommandGroup(TyperGroup):
    """A group whose commands' sentences are wrapped, and not cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write every section that has commands."""
        left = self.list_commands(ctx)
        for heading, names in self.sections().items():
            here = [name for name in names if name in left]
            left = [name for name in left if name not in here]
            self._write(heading, here, formatter)
        self._write("Commands", left, formatter)

    def sections(self) -> dict[str, tuple[str, ...]]:
        """The commands under their headings; what is left out comes last."""
        return {}

    def _write(self, heading: str, names: list[str], formatter: Any) -> None:
        if names:
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(limit=200)) for name in names]
                )


class Mom(CommandGroup):
    """`mom` itself."""

    def sections(self) -> dict[str, tuple[str, ...]]:
        """By what they are for."""
        return SECTIONS


# Typer brings a Click of its own; this is what all its refusals have in common.
_Refusal: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")

EPILOG = (
    "Exit codes: 0 answered, 1 storage or download failed, 2 wrong usage, 3 the council file is "
    "wrong, 4 nobody answered, 5 stopped by budget or heat, or waiting for approval, 130 Ctrl-C, "
    "143 SIGTERM."
)

_IN_PLAIN_WORDS = (
    (r"Input should be greater than or equal to", "must be at least"),
    (r"Input should be less than or equal to", "must be at most"),
    (r"Input should be greater than", "must be more than"),
    (r"Input should be less than", "must be less than"),
    (r"Input should be a valid integer.*", "must be a whole number"),
    (r"Input should be a valid number.*", "must be a number"),
    (r"Input should be", "must be"),
)
"""What the library of the options says of a value, and how people say it."""
_EXPLAINED = ("MissingParameter", "BadOptionUsage", "NoSuchOption")

app = typer.Typer(
    name="mom",
    cls=Mom,
    help="Mixture of Models: a council of language models answers one question together.",
    epilog=EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line; every error of ours becomes one line and an exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    _ready_streams()
    code = exits.FAILED
    try:
        _read_env(words)
        # The doctor asks nobody, and says how the switch was set.
        if "doctor" not in words[:1] and any("TRACING" in name for name in os.environ):
            from mom_council.tracing.langsmith import settle_langsmith

            settle_langsmith()  # for the commands, too, that ask models without a council
        code = _command(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has left (`mom ... | head`): nothing more to say.
        code = exits.LEFT
    except OSError as error:
        failure.tell(f"the output cannot be written ({error.strerror}); `mom threads list` has it")
        code = exits.FAILED
    _close_quietly()
    sys.exit(code)


def _command(arguments: list[str]) -> int:
    register()
    as_json = failure.wants_json(arguments)
    try:
        code = app(arguments, prog_name="mom", standalone_mode=False)
        return int(code or exits.ANSWERED)
    except MixtureError as error:
        if _is_accepted_now(error):
            return _command(arguments)
        kind, code = type(error).__name__, exits.exit_code(error)
        return failure.refuse(kind, str(error), code, as_json=as_json, **failure.details(error))
    except _Refusal as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.ctx.get_help())
            return exits.ANSWERED
        return failure.refuse("UsageError", _describe_refusal(error), exits.USAGE, as_json=as_json)
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # Typer's own way with it
            return exits.LEFT
        raise
    except (KeyboardInterrupt, typer.Abort):
        line = "interrupted; nothing was asked"
        return failure.refuse("Interrupted", line, exits.INTERRUPTED, as_json=as_json)


def _is_accepted_now(error: MixtureError) -> bool:
    """Whether a file that was not trusted is shown now, and accepted on the terminal.

    The command is then run again. Nothing was asked before: files are looked at first.
    """
    if not hasattr(error, "review"):
        return False
    from mom_council.cli.trust import accept_on_terminal

    return accept_on_terminal(error.review)


def _describe_refusal(error: Any) -> str:
    """A refusal in one line, with the way out."""
    message: str = error.format_message().strip().rstrip(".")
    kind = type(error).__name__
    message = message.removeprefix("Invalid value: ").replace("Value error, ", "")
    command = error.ctx.command_path if error.ctx else "mom"
    for written, plain in _IN_PLAIN_WORDS:
        message = re.sub(written, plain, message)
    looks_asked = not str(getattr(error, "option_name", "")).startswith("--")
    if kind == "NoSuchOption" and command == "mom ask" and looks_asked:
        return f"{message}; put -- before a question that starts with -: mom ask -- '-2 + 5?'"
    if message.startswith("No such command") and command != "mom":
        return f"{message}; {command} --help lists its commands"
    if message.startswith("No such command"):
        return f'{message}; a question is asked with mom ask "..."; mom --help lists the commands'
    if message.startswith("Got unexpected extra argument"):
        return f'{message}; a question goes in quotes: mom ask "What is 17 + 25?"'
    if message.startswith("Invalid value for") or kind in _EXPLAINED:
        return f"{message}; {command} --help says more"
    return message


def register() -> None:
    """Add the commands, once."""
    from mom_council.cli import (
        ask,
        batch,
        chat,
        councils,
        demo,
        evals,
        extensions,
        machine,
        mcp,
        models,
        moving,
        pays,
        serve,
        storage,
        stored,
        trust,
        weights,
    )

    if app.registered_commands:
        return
    app.command("ask")(ask.ask)
    app.command("demo")(demo.demo)
    app.command("chat")(chat.chat)
    app.command("resume")(ask.resume)
    app.add_typer(stored.threads_app, name="threads", cls=CommandGroup)
    app.add_typer(councils.app, name="councils", cls=CommandGroup)
    app.command("batch")(batch.batch)
    app.command("import")(moving.import_)
    app.add_typer(extensions.app, name="extensions", cls=CommandGroup)
    app.add_typer(stored.traces_app, name="trace", cls=CommandGroup)
    app.add_typer(stored.cache_app, name="cache", cls=CommandGroup)
    app.add_typer(storage.app, name="storage", cls=CommandGroup)
    app.command("models")(models.models)
    app.command("use")(models.use)
    app.command("init")(models.init)
    app.command("doctor")(machine.doctor)
    app.command("download")(machine.download)
    app.command("trust")(trust.trust)
    app.command("ui")(serve.ui)
    app.command("serve")(serve.serve)
    app.add_typer(mcp.app, name="mcp", cls=CommandGroup)
    app.command("pays")(pays.pays)
    app.command("tune")(pays.tune)
    app.command("eval")(evals.evaluate)
    app.command("probe")(models.probe)
    app.command("record")(evals.record)
    app.command("revote")(evals.revote)
    app.command("audit")(evals.audit)
    app.command("keeps")(evals.fact_retention)
    app.add_typer(weights.app, name="weights", cls=CommandGroup)


def _ready_streams() -> None:
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            # A terminal in the C locale must not turn an answer into a traceback.
            stream.reconfigure(errors="surrogateescape" if name == "stdin" else "replace")


def _close_quietly() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _read_env(arguments: list[str]) -> None:
    if any(os.path.isfile(name) for name in (".env.local", ".env")):  # noqa: PTH113
        from mom_council.cli.trust import read_env

        read_env(arguments)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options before any command."""
    if version:
        from importlib.metadata import version as installed

        print(f"mom {installed('mom-council')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit
