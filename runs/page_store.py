"""What the page stores beside the threads: their owners, names, councils, thumbs, other answers.

It is a small SQLite file of its own, because the store of threads may be a PostgreSQL elsewhere and
its tables are LangGraph's. Each call opens the file anew: any thread may call.

When a question is asked again, the new answer replaces the old one in the thread; the page's store
keeps the checkpoint of the old one. To show it again, the thread continues from that checkpoint, so
its debate, its label and the questions after it are there again.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage

from mom_council import paths
from mom_council.paths import DatabaseLayout, open_database
from mom_council.records import Record
from mom_council.runs.leases import ThreadLease

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    Graph = CompiledStateGraph[Any, Any, Any, Any]


Thumb = Literal["up", "down"]

LONGEST_TITLE = 120
_TABLES = """
CREATE TABLE IF NOT EXISTS threads (
    id TEXT PRIMARY KEY, reader TEXT NOT NULL, title TEXT NOT NULL, council TEXT NOT NULL,
    used REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_reader ON threads (reader, used);
CREATE TABLE IF NOT EXISTS thumbs (
    thread TEXT NOT NULL, answer TEXT NOT NULL, thumb TEXT NOT NULL, trace TEXT NOT NULL,
    given REAL NOT NULL, PRIMARY KEY (thread, answer)
) STRICT;
CREATE TABLE IF NOT EXISTS texts (thread TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS drafts (reader TEXT PRIMARY KEY, council TEXT NOT NULL) STRICT;
"""
_ANSWERS = """
CREATE TABLE IF NOT EXISTS answers (
    thread TEXT NOT NULL, question TEXT NOT NULL, first TEXT NOT NULL, head TEXT NOT NULL,
    PRIMARY KEY (thread, question)
) STRICT;
"""
FILE = "shelf.db"
LAYOUT = DatabaseLayout(
    "names and thumbs",
    (_TABLES, _ANSWERS),
    cure=f"move the file away, or set {paths.VARIABLE} to a folder that can be written to",
    write_ahead=False,
)


class ListedThread(Record):
    """One thread of the list."""

    id: str
    reader: str
    title: str
    council: str
    """A preset's name, a path, or a council's YAML; empty: the one chosen for the machine."""
    used: float


class KeptAnswer(Record):
    """One of several answers to a question; each was asked for by a message of its own."""

    question: str
    """The id of the message that asked for it."""
    first: str
    """The id of the message that asked for the first of them."""
    head: str
    """The checkpoint at which the conversation with this answer was left; empty while it is shown
    for the first time."""


class PageStore:
    """The store in one folder.

    Raises:
        StorageError: (every method) the file cannot be read or written; with the cure.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def put(self, thread: str, *, reader: str, title: str, council: str) -> None:
        """Add a thread, or move it to the front; its first title stays."""
        row = (thread, reader, shortened(title), council, time.time())
        with self._open() as db:
            db.execute(
                "INSERT INTO threads VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET council = excluded.council, used = excluded.used",
                row,
            )

    def find(self, thread: str) -> ListedThread | None:
        """A thread, whoever's it is; None where it is not listed."""
        with self._open() as db:
            row = db.execute("SELECT * FROM threads WHERE id = ?", (thread,)).fetchone()
        return ListedThread(**dict(row)) if row else None

    def of(self, reader: str, search: str = "", limit: int = 200) -> list[ListedThread]:
        """A reader's threads, the last used first; `search` is a part of the title or the text."""
        part = "%" + "".join(f"\\{c}" if c in "\\%_" else c for c in search.strip()) + "%"
        with self._open() as db:
            rows = db.execute(
                "SELECT threads.* FROM threads LEFT JOIN texts ON texts.thread = threads.id "
                "WHERE reader = ? AND (title LIKE ? ESCAPE '\\' OR text LIKE ? ESCAPE '\\') "
                "ORDER BY used DESC LIMIT ?",
                (reader, part, part if search.strip() else "", limit),
            ).fetchall()
        return [ListedThread(**dict(row)) for row in rows]

    def rename(self, thread: str, title: str) -> None:
        """Give a thread another title; an empty one changes nothing."""
        if title := shortened(title):
            with self._open() as db:
                db.execute("UPDATE threads SET title = ? WHERE id = ?", (title, thread))

    def forget(self, thread: str) -> None:
        """Take a thread, its text and its thumbs off the list; no file is made for it."""
        if not ((self._folder or paths.data_dir()) / FILE).exists():
            return
        with self._open() as db:
            db.execute("PRAGMA secure_delete = ON")  # no word of it stays in a free page
            db.execute("DELETE FROM threads WHERE id = ?", (thread,))
            db.execute("DELETE FROM thumbs WHERE thread = ?", (thread,))
            db.execute("DELETE FROM texts WHERE thread = ?", (thread,))
            db.execute("DELETE FROM answers WHERE thread = ?", (thread,))

    def keep_text(self, thread: str, text: str) -> None:
        """Keep what was asked and answered in a thread, so that a search finds it."""
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (thread, text))

    def without_text(self, reader: str) -> list[str]:
        """A reader's threads whose text nobody has kept yet."""
        with self._open() as db:
            rows = db.execute(
                "SELECT id FROM threads WHERE reader = ? AND id NOT IN (SELECT thread FROM texts)",
                (reader,),
            )
            return [str(row["id"]) for row in rows]

    def rate(self, thread: str, answer: str, thumb: Thumb | None, *, trace: str = "") -> None:
        """Keep a thumb with an answer; None takes it back."""
        with self._open() as db:
            if thumb is None:
                db.execute("DELETE FROM thumbs WHERE thread = ? AND answer = ?", (thread, answer))
            else:
                row = (thread, answer, thumb, trace, time.time())
                db.execute("INSERT OR REPLACE INTO thumbs VALUES (?, ?, ?, ?, ?)", row)

    def thumbs(self, thread: str) -> dict[str, Thumb]:
        """The thumbs of a thread, by the answer's message id."""
        with self._open() as db:
            rows = db.execute("SELECT answer, thumb FROM thumbs WHERE thread = ?", (thread,))
            return {row["answer"]: row["thumb"] for row in rows}

    def keep_answer(self, thread: str, answer: KeptAnswer) -> None:
        """Keep where one of several answers is; its place among them stays."""
        with self._open() as db:
            db.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?) ON CONFLICT (thread, question) "
                "DO UPDATE SET head = excluded.head",
                (thread, answer.question, answer.first, answer.head),
            )

    def drop_answer(self, thread: str, question: str) -> None:
        """Forget one of several answers, by the message that asked for it."""
        with self._open() as db:
            db.execute("DELETE FROM answers WHERE thread = ? AND question = ?", (thread, question))

    def answers(self, thread: str) -> tuple[KeptAnswer, ...]:
        """The answers of the questions that were asked more than once, the oldest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT question, first, head FROM answers WHERE thread = ? ORDER BY rowid",
                (thread,),
            )
            return tuple(KeptAnswer(**dict(row)) for row in rows)

    def draft(self, reader: str) -> str | None:
        """The council that a reader was working at, as YAML; None where it was none."""
        with self._open() as db:
            row = db.execute("SELECT council FROM drafts WHERE reader = ?", (reader,)).fetchone()
        return str(row["council"]) if row else None

    def keep_draft(self, reader: str, council: str | None) -> None:
        """Keep what a reader is working at, in place of what was; None forgets it."""
        with self._open() as db:
            if council is None:
                db.execute("DELETE FROM drafts WHERE reader = ?", (reader,))
            else:
                db.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?)", (reader, council))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        folder = self._folder or paths.data_dir()
        with open_database(folder / FILE, LAYOUT) as db:
            db.row_factory = sqlite3.Row
            yield db


def shortened(title: str) -> str:
    """A title of one line."""
    line = " ".join(title.split())
    return line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1].rstrip() + "…"


def last_turn(messages: Sequence[BaseMessage]) -> tuple[HumanMessage | None, AIMessage | None]:
    """The last question of a conversation, and its answer where there is one."""
    answer = None
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return message, answer
        if isinstance(message, AIMessage) and message.text and answer is None:
            answer = message
    return None, None


def repeat_question(question: HumanMessage, answer: AIMessage | None) -> list[BaseMessage]:
    """What puts a last question once more, in the place of its answer; the new question is last."""
    old = [m.id for m in (question, answer) if m is not None and m.id]
    new = HumanMessage(question.content, id=str(uuid.uuid4()))
    return [*(RemoveMessage(id=one) for one in old), new]


def keep_former(store: PageStore, thread: str, *, old: str, new: str, head: str) -> None:
    """Keep where a last answer is, whose question is asked again.

    Args:
        store: where it is kept.
        thread: the conversation.
        old: the id of the message that asked for the answer.
        new: the id of the message that asks again.
        head: the checkpoint of the answer.
    """
    first = {one.question: one.first for one in store.answers(thread)}.get(old, old)
    store.keep_answer(thread, KeptAnswer(question=old, first=first, head=head))
    store.keep_answer(thread, KeptAnswer(question=new, first=first, head=""))


def answers_of(store: PageStore, thread: str, question: str) -> list[KeptAnswer]:
    """The answers that can be shown in the place of a question's answer, that one among them."""
    answers = store.answers(thread)
    first = {one.question: one.first for one in answers}.get(question)
    return [one for one in answers if one.first == first and (one.head or one.question == question)]


async def show_answer(
    graph: Graph, store: PageStore, thread: str, other: KeptAnswer, *, current: str, head: str
) -> bool:
    """Put another answer in the place of the one that is shown, with what was asked after it.

    Args:
        graph: the council, compiled with the thread's checkpointer.
        store: where the answers are kept.
        thread: the conversation.
        other: the answer to show.
        current: the id of the message that asked for the answer that is shown now.
        head: the checkpoint to come back to; empty where that question has no answer.

    Returns:
        False where the other answer is not stored any more.

    Raises:
        ThreadBusyError: another program answers in it.
        StorageError: it cannot be read or written.
    """
    if not await _return_to(graph, thread, other.head):
        store.drop_answer(thread, other.question)
        return False
    if head:
        store.keep_answer(thread, KeptAnswer(question=current, first=other.first, head=head))
    else:
        store.drop_answer(thread, current)
    return True


async def _return_to(graph: Graph, thread: str, head: str) -> bool:
    """Make a thread what it was at an earlier checkpoint; False where that is gone."""
    config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_id": head}}
    saver: Any = graph.checkpointer
    if await saver.aget_tuple(config) is None:
        return False
    async with ThreadLease(saver, thread, wait=0):
        await graph.aupdate_state(config, {"messages": []}, as_node="synthesizer")
    return True
