"""`mom chat`: a conversation in the terminal, and its commands."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mom_council.cli import ask, failure, options
from mom_council.runs.words import inert

if TYPE_CHECKING:
    from mom_council.cli.session import Session
    from mom_council.deliberation.context import CouncilContext
    from mom_council.runs.page_store import KeptAnswer

COMMANDS = {
    "/help": "what can be typed here",
    "/models": "who answers, and on which model",
    "/council NAME|FILE": "go on with another council; alone: which one is asked",
    "/resume": "go on with a question that was stopped; what was finished is not asked again",
    "/retry": "ask the last question once more; the former answer is kept",
    "/answer NUMBER": "go back to another answer of a question that was asked more than once",
    "/save FILE": "write the conversation as Markdown",
    "/exit": "end the conversation; so do exit, Ctrl-D and /bye",
}
_ENDS = ("/exit", "/quit", "/bye", "exit", "quit", "bye")
_FOR_THE_COUNCIL = ("/image", "/text")
"""What a question may begin with: it says whether an answer is drawn or written."""
_AGAIN = "/retry"
"""Stands for the last question, asked once more."""
_RESUME = "/resume"
"""Stands for the question that was stopped, where it stopped."""
_QUOTES = '"""'
_HISTORY = 1000
"""Lines of history that are kept."""


def chat(
    council: options.Council = None,
    model: options.Models = None,
    thread: ask.Thread = None,
    continue_: ask.Continue = False,
    full: options.Full = False,
    debug: options.Debug = False,
    paid: options.Paid = False,
    db: options.Database = None,
    no_color: options.NoColor = False,
) -> None:
    """Talk with the council, question after question.

    /help lists the commands; /exit, exit or Ctrl-D ends the chat. Ctrl-C stops the answer, not the
    chat; /resume goes on with it. For a question of several lines, end each line but the last with
    a backslash, or type three quotes before and after it.
    """
    show = options.choose_show(debug=debug, full=full)
    name = options.thread_named(thread) if thread is not None else None
    if continue_ and name is not None:
        raise typer.BadParameter("--continue and --thread do not go together; choose one")
    from mom_council.cli.session import Session
    from mom_council.errors import MixtureError

    talk = ChatSession(debug=debug)
    named = options.council_named(council, model)
    newest = continue_
    while True:
        with Session(named, db=db, show=show, thread=name, newest=newest, talks=True) as session:
            try:
                code = talk.hold(session)
            except CouncilSwitched as switched:
                named, name, newest = switched.council, session.thread, False
                continue
            except MixtureError as error:
                failure.tell(str(error))
                code = failure.exit_code(error)
        raise typer.Exit(code)


class CouncilSwitched(Exception):  # noqa: N818 - no fault
    """Raised to go on with another council."""

    def __init__(self, council: str) -> None:
        self.council = council


class ChatSession:
    """A conversation at a prompt, over all councils that it goes through."""

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug
        self._typed = sys.stdin.isatty()
        self._greeted = False
        self._readline = _readline() if self._typed else None

    def hold(self, session: Session) -> int:
        """Ask line after line; returns the exit code.

        Raises:
            Switched: the person wants another council.
        """
        if self._typed:
            asks = "" if self._greeted else " · /help lists the commands, exit ends the chat"
            failure.say(f"{session.council.name}: {_members(session)}{asks}")
            self._greeted = True
        while (text := self._next()) is not None:
            if not text.strip():
                continue
            if (question := self._obey(session, text)) is None:
                continue
            try:
                code = self._ask(session, question)
            except typer.BadParameter as error:
                failure.tell(error.format_message().removeprefix("Invalid value: "))
                continue
            if code == failure.TERMINATED:
                return code
        if self._typed:
            self._keep_history()
            failure.say(f"kept: {session.again('chat --thread')}")
        return failure.ANSWERED

    def _obey(self, session: Session, text: str) -> str | None:
        """The question that a line is or asks for; None: it was a command, and is done."""
        word, _, rest = text.strip().partition(" ")
        if text.strip().lower() == "help":
            word = "/help"
        if not word.startswith("/") or word in _FOR_THE_COUNCIL or "/" in word[1:]:
            return text
        rest = rest.strip()
        if word in (_AGAIN, _RESUME):
            return word
        commands: dict[str, Callable[[], None]] = {
            "/help": self._help,
            "/models": lambda: self._models(session),
            "/council": lambda: self._switch(session, rest),
            "/answer": lambda: _Answers(session).show(rest),
            "/save": lambda: self._save(session, rest),
        }
        if (command := commands.get(word)) is not None:
            command()
        else:
            near = get_close_matches(word, [*commands, _AGAIN, _RESUME, "/exit"], 1)
            meant = f"; did you mean {near[0]}?" if near else "; /help lists the commands"
            failure.tell(f"there is no {word}{meant}")
        return None

    def _ask(self, session: Session, question: str) -> int:
        """Ask a question, or the last one once more; returns the exit code."""
        context = ask.context(debug=self._debug)
        if question == _RESUME:
            return _go_on(session, context)
        if question != _AGAIN:
            return session.ask(ask.checked(question), context)
        return _ask_again(session, context.model_copy(update={"seed": secrets.randbelow(2**31)}))

    def _help(self) -> None:
        for command, what in COMMANDS.items():
            failure.say(f"  {command:20} {what}")
        failure.say(f"  {'several lines':20} end a line with \\, or put {_QUOTES} around them")

    def _models(self, session: Session) -> None:
        for who in session.council.characters:
            model = session.council.models[who.model]
            failure.say(f"  {who.name:12} {model.model} ({model.provider})")

    def _switch(self, session: Session, name: str) -> None:
        """Go on with another council, where it can be loaded."""
        if not name:
            failure.say(f"  {session.council.name}; another: /council NAME|FILE")
            return
        from mom_council.councils.loader import load_council
        from mom_council.errors import MixtureError

        try:
            if name != "auto" and not name.startswith("models:"):
                load_council(name)
        except MixtureError as error:
            failure.tell(str(error))
        else:
            raise CouncilSwitched(name)

    def _save(self, session: Session, name: str) -> None:
        file = Path(name or f"{session.thread}.md").expanduser()
        try:
            with file.open("x", encoding="utf-8") as opened:
                opened.write(session.transcript())
        except FileExistsError:
            failure.tell(f"{file} is there already; name another: /save FILE")
        except OSError as error:
            failure.tell(f"{file} cannot be written: {error.strerror}")
        else:
            failure.say(f"  written to {file}")

    def _next(self) -> str | None:
        """The next question or command, of one or several lines; None when there are no more."""
        asked_to_stop = False
        while True:
            try:
                text = self._read("> ")
                if text.strip() == _QUOTES:
                    lines = []
                    while (line := self._read("... ")).strip() != _QUOTES:
                        lines.append(line)
                    return "\n".join(lines)
                while text.endswith("\\"):
                    text = f"{text[:-1]}\n{self._read('... ')}"
            except EOFError:
                if self._typed:
                    print()
                return None
            except KeyboardInterrupt:
                print()
                if asked_to_stop or not self._typed:
                    return None
                asked_to_stop = True
                failure.tell("exit or Ctrl-D ends the chat; so does Ctrl-C once more")
                continue
            return None if text.strip().lower() in _ENDS else text

    def _read(self, prompt: str) -> str:
        return input(prompt if self._typed else "")

    def _keep_history(self) -> None:
        if self._readline is None:
            return
        with contextlib.suppress(Exception):  # a history is no reason to fail
            self._readline.set_history_length(_HISTORY)
            file = _history_file()
            file.touch(mode=0o600)
            self._readline.write_history_file(str(file))


def _go_on(session: Session, context: CouncilContext) -> int:
    """Go on with the question that was stopped."""
    from mom_council.runs.follow import is_open

    if not is_open(session.state()):
        failure.tell("no question was stopped; type a new one")
        return failure.ANSWERED
    return session.resume(context)


def _ask_again(session: Session, context: CouncilContext) -> int:
    """Ask the last question once more, and keep the answer that it has."""
    from mom_council.runs.page_store import PageStore, keep_former, last_turn, repeat_question

    state = session.state()
    question, answer = last_turn(state.values.get("messages", []))
    if question is None:
        failure.tell("there is no question yet")
        return failure.ANSWERED
    again = repeat_question(question, answer)
    if answer is not None:
        new, head = str(again[-1].id), str(state.config["configurable"]["checkpoint_id"])
        keep_former(PageStore(), session.thread, old=str(question.id), new=new, head=head)
    code = session.ask_again(again, context)
    _Answers(session).say_place()
    return code


class _Answers:
    """The answers of the newest question of a talk that was asked more than once."""

    def __init__(self, session: Session) -> None:
        from mom_council.runs.page_store import PageStore, answers_of

        self._session, self._store = session, PageStore()
        self._state = session.state()
        self._answers: list[KeptAnswer] = []
        for message in reversed(self._state.values.get("messages", [])):
            if message.type == "human":
                self._question = str(message.id)
                self._answers = answers_of(self._store, session.thread, self._question)
            if len(self._answers) > 1:
                break

    def say_place(self) -> None:
        """Say which answer is the one that counts, and how to get to the others."""
        count = len(self._answers)
        if count > 1:
            current = [one.question for one in self._answers].index(self._question) + 1
            others = " or ".join(f"/answer {n}" for n in range(1, count + 1) if n != current)
            failure.say(f"  answer {current} of {count}; {others} goes back to another")

    def show(self, number: str) -> None:
        """Go back to another answer, and print it."""
        from mom_council.runs.page_store import last_turn, show_answer

        session, count = self._session, len(self._answers)
        if count < 2:
            failure.tell("no question was asked more than once; /retry asks the last one again")
            return
        if not number.isdecimal() or not 1 <= int(number) <= count:
            failure.tell(f"there are {count} answers: /answer 1 to /answer {count}")
            return
        other = self._answers[int(number) - 1]
        if other.question != self._question:
            _, answer = last_turn(self._state.values["messages"])
            head = self._state.config["configurable"]["checkpoint_id"] if answer else ""
            work = show_answer(
                session.opened.graph,
                self._store,
                session.thread,
                other,
                current=self._question,
                head=str(head),
            )
            if not session.wait_for(work):
                failure.tell("that answer is not stored any more")
                return
        _, answer = last_turn(session.state().values.get("messages", []))
        print(inert(str(answer.text)) if answer is not None else "", flush=True)
        _Answers(session).say_place()


def _members(session: Session) -> str:
    council = session.council
    return ", ".join(dict.fromkeys(council.models[one.model].model for one in council.characters))


def _history_file() -> Path:
    from mom_council.paths import data_dir, ensure

    return ensure(data_dir()) / "history.txt"


def _readline() -> Any:
    """Arrow keys, the history of earlier talks, and completion; None where there are none."""
    try:
        import readline
    except ImportError:  # Windows
        return None
    with contextlib.suppress(Exception):
        readline.read_history_file(str(_history_file()))
    readline.set_completer_delims("\t\n")
    readline.set_completer(_complete)
    readline.parse_and_bind("tab: complete")
    readline.parse_and_bind("set enable-bracketed-paste on")
    return readline


def completions(text: str) -> list[str]:
    """What a line that begins so may become: a command, or a council behind `/council`."""
    if text.startswith("/council "):
        from mom_council.councils.loader import preset_names, saved_councils

        names = ["auto", *preset_names(), *map(str, saved_councils().values())]
        lines = [f"/council {name}" for name in names]
    else:
        lines = [command.partition(" ")[0] for command in COMMANDS]
    return [line for line in lines if line.startswith(text)] if text.startswith("/") else []


def _complete(text: str, at: int) -> str | None:
    choices = completions(text)
    return choices[at] if at < len(choices) else None
