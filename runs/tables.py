"""Tables of our own beside the threads of a store, in SQLite, PostgreSQL or memory.

    requests = Tables(saver, "CREATE TABLE IF NOT EXISTS ...")
    rows = await requests.run("INSERT INTO ... VALUES (?, ?) RETURNING ...", ("a", 1))

One dialect serves the three: `?` for a value, `ON CONFLICT`, `RETURNING`. Each statement is a
transaction of its own, which is committed on return.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

from mom_council.runs.checkpoints import storage_errors, to_postgres
from mom_council.seams.stores import GroupedSqliteSaver

_TRIES = 5
"""Servers that start at once may trip each other while PostgreSQL makes a table."""


class Tables:
    """Some tables in a store.

    Args:
        saver: the store. One that is none of ours keeps them in memory.
        create: the statements that make the tables where they are missing.
    """

    def __init__(self, saver: Any, *create: str) -> None:
        self._saver = saver
        self._create = create
        self._is_ready = False
        self._opening = asyncio.Lock()
        self._memory: sqlite3.Connection | None = None

    async def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; returns its rows.

        Raises:
            StorageError: the store cannot be used.
        """
        async with self._opening:
            if not self._is_ready:
                for one in self._create:
                    await self._make(one)
                self._is_ready = True
        return await self._run(statement, values)

    async def _make(self, statement: str) -> None:
        for number in range(1, _TRIES + 1):
            try:
                await self._run(statement, ())
            except Exception:
                if number == _TRIES:
                    raise
            else:
                return

    async def _run(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        saver = self._saver
        with storage_errors(getattr(saver, "place", "memory")):
            if isinstance(saver, GroupedSqliteSaver):
                async with saver.transaction():
                    rows = await saver.conn.execute_fetchall(statement, values)
                    return [tuple(row) for row in rows]
            if hasattr(saver, "take_lease") and hasattr(saver, "conn"):
                async with saver.conn.connection() as conn:
                    cursor = await conn.execute(to_postgres(statement), values)
                    records = await cursor.fetchall() if cursor.description else []
                    return [tuple(row.values()) for row in records]
            if self._memory is None:
                self._memory = sqlite3.connect(":memory:", check_same_thread=False)
            with self._memory:
                return self._memory.execute(statement, values).fetchall()
