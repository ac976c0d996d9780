"""What a server and each key may spend in a day, on the accounts of `models.spending`.

    mom serve --limit server:usd=20 --limit each:questions=500,rate=30 --limit ann:usd=2,at_once=3

What is spent stands in a table beside the threads, so it counts across restarts and over all
servers of one database. A call is reserved there before it leaves, by one statement that adds only
what still fits: however many servers there are, a limit is never exceeded. What a killed server had
reserved stays counted, since it may have been billed.

A day is one of UTC. A clock that is set back begins no day anew: the latest day that was counted
goes on. `rate` counts questions by the minute. `at_once` counts those of this process
alone: in a table, what a killed server was answering would be counted for ever.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from mom_council.errors import MixtureError
from mom_council.models.spending import LEAST_CALLS, NOTHING, Account, Amount, SpendingLimits
from mom_council.redaction import logger
from mom_council.runs.tables import Tables
from mom_council.server.errors import Refusal

_log = logger(__name__)

VARIABLE = "MOM_SERVER_LIMITS"
SERVER = "server"
"""Who stands for all keys together."""
EACH = "each"
"""Who stands for every key that has no limits of its own."""
_CURE = f"write it as server:usd=20, each:questions=500,rate=30 or NAME:calls=1000; or {VARIABLE}"

SPENDING = (
    "CREATE TABLE IF NOT EXISTS mom_spending (account TEXT NOT NULL, period TEXT NOT NULL, "
    "questions BIGINT NOT NULL, calls BIGINT NOT NULL, tokens BIGINT NOT NULL, "
    "usd DOUBLE PRECISION NOT NULL, PRIMARY KEY (account, period))"
)
_BEGIN = (
    "INSERT INTO mom_spending VALUES (?, ?, 0, 0, 0, 0) ON CONFLICT (account, period) DO NOTHING"
)
_READ = "SELECT questions, calls, tokens, usd FROM mom_spending WHERE account = ? AND period = ?"
_ADD = (
    "UPDATE mom_spending SET questions = questions + ?, calls = calls + ?, tokens = tokens + ?, "
    "usd = usd + ? WHERE account = ? AND period = ?"
)
_TAKE = (
    f"{_ADD} AND questions + ? <= ? AND calls + ? <= ? AND tokens + ? <= ? AND usd + ? <= ? "
    "RETURNING questions, calls, tokens, usd"
)
_LATEST_DAY = "SELECT max(period) FROM mom_spending WHERE length(period) = 10 AND period < ?"
_FORGET_MINUTES = "DELETE FROM mom_spending WHERE length(period) > 10 AND period < ?"
_NO_LIMIT = 2**62
_WRITTEN_IN = 2025
"""No clock that is right says an earlier year."""
_MINUTE = "a minute"


@dataclass(frozen=True, slots=True)
class DayLimits:
    """What may be asked at once, and asked and spent in a day; None is no limit."""

    questions: int | None = None
    rate: int | None = None
    """Questions in a minute."""
    at_once: int | None = None
    """Questions that are answered or wait, in this process."""
    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None

    @property
    def spending(self) -> SpendingLimits:
        """Those of them that models are charged to."""
        return SpendingLimits(self.calls, self.tokens, self.usd)


def read_limits(written: Sequence[str], keys: Sequence[str] = ()) -> dict[str, DayLimits]:
    """The limits by whom they are for: `server`, `each`, or the name of a key.

    Args:
        written: each `WHO:WHAT=NUMBER,...`.
        keys: names of the server's keys.

    Raises:
        MixtureError: one is no limit, stands twice, or is of a key that there is not.
    """
    limits: dict[str, DayLimits] = {}
    kinds = {field.name for field in fields(DayLimits)}
    for one in written:
        who, _, rest = one.partition(":")
        values: dict[str, float | int] = {}
        for part in rest.split(","):
            name, _, number = part.partition("=")
            if name not in kinds or not re.fullmatch(r"\d+(\.\d+)?(e\d)?", number):
                raise MixtureError(f"{one!r} is no limit of a server", cure=_CURE)
            values[name] = float(number) if name == "usd" else int(float(number))
        if who not in (SERVER, EACH, *keys):
            names = ", ".join((SERVER, EACH, *keys))
            raise MixtureError(f"{one!r} is of nobody here", cure=f"there are {names}")
        if who in limits:
            raise MixtureError(f"the limits of {who!r} stand twice", cure=_CURE)
        limits[who] = DayLimits(**values)  # type: ignore[arg-type]
    return limits


class _SharedDay:
    """One account's row of a day: what all servers of the database have spent and reserved.

    Args:
        tables: where it is.
        account: whose.
        day: which.
        limits: of the account.
    """

    def __init__(self, tables: Tables, account: str, day: str, limits: DayLimits) -> None:
        self._tables = tables
        self._place = (account, day)
        most = (limits.questions, limits.calls, limits.tokens, limits.usd)
        self._most = tuple(_NO_LIMIT if one is None else one for one in most)
        self._own = NOTHING
        """What this server has added to the row."""
        self._lock = asyncio.Lock()
        self._returns: set[asyncio.Task[None]] = set()

    async def read(self) -> Amount:
        """What others have taken; see `take`."""
        async with self._lock:
            rows = await self._tables.run(_READ, self._place)
            return self._others(rows[0] if rows else (0, 0, 0, 0.0))

    async def take(self, amount: Amount, questions: int = 0) -> tuple[bool, Amount]:
        """Add an amount where it fits; whether it did, and what others have taken."""
        added = (questions, *amount)
        bounds = (number for pair in zip(added, self._most, strict=True) for number in pair)
        values = (*added, *self._place, *bounds)
        async with self._lock:
            rows = await self._tables.run(_TAKE, values)
            if not rows:
                await self._tables.run(_BEGIN, self._place)
                rows = await self._tables.run(_TAKE, values)
            is_taken = bool(rows)
            if is_taken:
                self._own = self._own.plus(amount)
            rows = rows or await self._tables.run(_READ, self._place)
            return is_taken, self._others(rows[0])

    def give_back(self, amount: Amount, questions: int = 0) -> None:
        """Take an amount off again, when the store has time for it."""
        task = asyncio.get_running_loop().create_task(self._give_back(amount, questions))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)

    async def _give_back(self, amount: Amount, questions: int) -> None:
        async with self._lock:
            added = NOTHING.minus(amount)
            try:
                await self._tables.run(_ADD, (-questions, *added, *self._place))
            except MixtureError as error:  # then it stays counted
                _log.warning("what a call left over could not be given back: %s", error)
                return
            self._own = self._own.plus(added)

    async def drain(self) -> None:
        """Wait until everything is written down."""
        await asyncio.gather(*self._returns)

    def _others(self, row: Sequence[float]) -> Amount:
        return Amount(int(row[1]), int(row[2]), float(row[3])).minus(self._own)


class DayAccount(Account):
    """What a server or a key may spend on a day.

    Args:
        name: `server`, or `key` with the key's name.
        limits: of the day.
        day: its row.
        parent: the server's account, for a key.
    """

    def __init__(
        self, name: str, limits: DayLimits, day: _SharedDay, parent: Account | None
    ) -> None:
        self.name = name
        self.day = day
        words = f"{_whose(name)} budget a day"
        super().__init__(limits.spending, owner=words, parent=parent, shared=day)

    @property
    def is_used_up(self) -> bool:
        """Whether there is no room for a further question."""
        calls, tokens, usd = self.remaining(when_settled=True)
        return calls < LEAST_CALLS or tokens <= 0 or usd <= 0


class ServerBudget:
    """The limits of a server, and what was spent of them.

    Args:
        limits: as `read_limits` reads them.
        tables: where what is spent is written down.
        clock: says what time it is, in UTC.
    """

    def __init__(
        self,
        limits: Mapping[str, DayLimits],
        tables: Tables,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = limits
        self._tables = tables
        self._clock = clock
        self._date = ""
        """Today, as the clock says."""
        self._accounts: dict[str, DayAccount] = {}
        self._under_way: Counter[str] = Counter()
        self._today = ""

    @asynccontextmanager
    async def question(self, owner: str) -> AsyncIterator[Account | None]:
        """Count a question of a key as under way, and as asked; what it is charged to, as `admit`.

        Raises:
            Refusal: a limit is reached: 429.
            StorageError: what is spent cannot be read.
        """
        scopes = self._scopes(owner)
        for name, limits in scopes:
            if limits.at_once is not None and self._under_way[name] >= limits.at_once:
                raise _too_many(name, limits.at_once)
        names = [name for name, _ in scopes]
        self._under_way.update(names)
        try:
            yield await self.admit(owner)
        finally:
            self._under_way.subtract(names)

    async def admit(self, owner: str) -> Account | None:
        """Let a question of a key in; the account that it is charged to, None without a limit.

        Raises:
            Refusal: a limit is reached: 429, which one, and when it begins again.
            StorageError: what is spent cannot be read.
        """
        now = self._clock()
        if self._date != f"{now:%Y-%m-%d}":
            await self._begin_day(await self._day_at(now))
            self._date = f"{now:%Y-%m-%d}"
        account: DayAccount | None = None
        counted: list[_SharedDay] = []
        try:
            for name, limits in self._scopes(owner):
                account = self._account(name, limits, account)
                account.others = await account.day.read()
                if account.is_used_up:
                    raise _refusal(name, f"{limits.spending.in_words()} a day", now)
                for row, most, period in self._counters(account, limits, now):
                    if not (await row.take(NOTHING, questions=1))[0]:
                        raise _refusal(name, f"{most} questions {period}", now)
                    counted.append(row)
        except Refusal:
            for row in counted:  # a question that is not answered does not count
                row.give_back(NOTHING, questions=1)
            raise
        return account

    def spent_refusal(self, account: Account | None) -> Refusal | None:
        """Why a question found no room for an answer, where that was a limit of a day."""
        for one in account.chain if account else ():
            if isinstance(one, DayAccount) and one.has_refused:
                limit = f"{one.limits.in_words()} a day"
                return _refusal(one.name, limit, self._clock())
        return None

    async def drain(self) -> None:
        """Wait until everything is written down."""
        for account in self._accounts.values():
            await account.day.drain()

    async def _day_at(self, now: datetime) -> str:
        """The day that is counted: today, or a later one that was counted already.

        One that is more than a year ahead was counted by a clock that was wrong, unless it is this
        one that is wrong.
        """
        is_wrong = now.year < _WRITTEN_IN
        ahead = "9999" if is_wrong else f"{now + timedelta(days=366):%Y-%m-%d}"
        [(latest,)] = await self._tables.run(_LATEST_DAY, (ahead,))
        return max(f"{now:%Y-%m-%d}", latest or "")

    async def _begin_day(self, today: str) -> None:
        """Begin new accounts where a day begins; counts of minutes are no longer wanted."""
        if today == self._today:
            return
        await self.drain()
        self._today, self._accounts = today, {}
        await self._tables.run(_FORGET_MINUTES, (today,))

    def _scopes(self, owner: str) -> list[tuple[str, DayLimits]]:
        """Whose limits hold for a key: the server's first, then its own."""
        own = None if owner in (SERVER, EACH) else self._limits.get(owner)
        both = {SERVER: self._limits.get(SERVER), _key(owner): own or self._limits.get(EACH)}
        return [(name, limits) for name, limits in both.items() if limits is not None]

    def _account(self, name: str, limits: DayLimits, parent: Account | None) -> DayAccount:
        if name not in self._accounts:
            day = _SharedDay(self._tables, name, self._today, limits)
            self._accounts[name] = DayAccount(name, limits, day, parent)
        return self._accounts[name]

    def _counters(
        self, account: DayAccount, limits: DayLimits, now: datetime
    ) -> list[tuple[_SharedDay, int, str]]:
        """The rows that count a question, the most of each, and for how long."""
        counters = []
        if limits.rate is not None:
            most = DayLimits(questions=limits.rate)
            minute = _SharedDay(self._tables, account.name, f"{now:%Y-%m-%dT%H:%M}", most)
            counters.append((minute, limits.rate, _MINUTE))
        if limits.questions is not None:
            counters.append((account.day, limits.questions, "a day"))
        return counters


def _key(owner: str) -> str:
    return f"key {owner}" if owner else "key"


def _whose(name: str) -> str:
    if name == SERVER:
        return "the server's"
    return "your" if name == "key" else f"the {name}'s"


def _too_many(name: str, most: int) -> Refusal:
    whose = _whose(name)
    return Refusal(
        429,
        f"{whose[0].upper()}{whose[1:]} limit of {most} questions at once is reached; ask again "
        "when one of them is answered.",
        code="rate_limit_exceeded",
        headers={"Retry-After": "1"},
        limit=f"{'server' if name == SERVER else 'key'} at once",
    )


def _refusal(name: str, limit: str, now: datetime) -> Refusal:
    is_minute = limit.endswith(_MINUTE)
    if is_minute:
        begins = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    else:
        begins = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    seconds = math.ceil((begins - now).total_seconds())
    headers = {"Retry-After": str(seconds)}
    if not is_minute:  # no client shall wait that long
        headers["x-should-retry"] = "false"
    whose = _whose(name)
    return Refusal(
        429,
        f"{whose[0].upper()}{whose[1:]} limit of {limit} is reached; it begins again in "
        f"{seconds} s, at {begins:%H:%M} UTC.",
        code="rate_limit_exceeded" if is_minute else "insufficient_quota",
        headers=headers,
        limit=f"{'server' if name == SERVER else 'key'} a {'minute' if is_minute else 'day'}",
    )
