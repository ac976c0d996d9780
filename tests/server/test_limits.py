"""What a server may spend in a day, and what each key may: never exceeded, and told with a 429."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.yaml import written
from mom_council.errors import MixtureError, OverBudgetError
from mom_council.models.spending import Need, Reservation, reserve
from mom_council.records import Usage
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.tables import Tables
from mom_council.server.errors import Refusal
from mom_council.server.limits import SPENDING, DayLimits, ServerBudget, read_limits
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY, Serve
from mom_council.tests.server.test_several import process
from mom_council.tests.stage import Reply, Stage

BODY = {"model": "desk", "messages": [{"role": "user", "content": "Which?"}]}


def calls_in(*stages: Stage) -> int:
    return sum(len(stage.calls) for stage in stages)


def test_limits_are_read() -> None:
    limits = read_limits(
        ["server:usd=20,calls=1000", "each:rate=30,tokens=2e6", "ann:usd=0.5,at_once=3"], ["ann"]
    )
    assert limits == {
        "server": DayLimits(usd=20.0, calls=1000),
        "each": DayLimits(rate=30, tokens=2_000_000),
        "ann": DayLimits(usd=0.5, at_once=3),
    }


@pytest.mark.parametrize(
    "line", ["server", "server:", "server:usd", "server:usd=-1", "server:euro=3", "bob:usd=1",
             "each:calls=1 000", "ann:usd=1;server:usd=2"],
)  # fmt: skip
def test_what_is_no_limit_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(MixtureError) as refused:
        read_limits([line], ["ann"])
    assert "\n" not in str(refused.value)


def test_a_limit_that_stands_twice_is_refused() -> None:
    with pytest.raises(MixtureError, match="twice"):
        read_limits(["server:usd=1", "server:usd=2"])


@pytest.mark.slow
def test_a_key_asks_so_many_questions_a_day(stage: Stage, serve: Serve, tmp_path: Path) -> None:
    seat(stage)
    other = f"{KEY}-of-bob"
    limits = read_limits(["each:questions=2", "ann:questions=1"], ["ann", "bob"])
    place = str(tmp_path / "threads.db")
    served = serve(desk(stage), keys=f"ann={KEY},bob={other}", limits=limits, database=place)
    ann, bob = ({"Authorization": f"Bearer {key}"} for key in (KEY, other))
    assert served.post(BODY, headers=ann).status_code == 200
    refused = served.post(BODY, headers=ann)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "insufficient_quota"
    assert error["message"].startswith("The key ann's limit of 1 questions a day is reached")
    assert 1 <= int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["x-should-retry"] == "false"
    assert [served.post(BODY, headers=bob).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.slow
def test_a_rate_counts_the_questions_of_a_minute(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    seat(stage)
    limits = read_limits(["each:rate=2"])
    served = serve(desk(stage), limits=limits, database=str(tmp_path / "threads.db"))
    answers = [served.post(BODY) for _ in range(5)]  # which may cross into the next minute
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].json()["error"]["code"] == "rate_limit_exceeded"
    assert "Your limit of 2 questions a minute" in refused[0].json()["error"]["message"]
    assert 1 <= int(refused[0].headers["retry-after"]) <= 60
    assert "x-should-retry" not in refused[0].headers


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
def test_a_key_has_so_many_questions_at_once(
    stage: Stage, serve: Serve, tmp_path: Path, streamed: bool
) -> None:
    gate = threading.Event()

    async def wait_for_the_gate(_: object) -> None:
        await asyncio.to_thread(gate.wait)

    seat(stage, hold=wait_for_the_gate)
    other = f"{KEY}-of-bob"
    limits = read_limits(["each:at_once=1,questions=2"], ["ann", "bob"])
    place = str(tmp_path / "threads.db")
    served = serve(desk(stage), keys=f"ann={KEY},bob={other}", limits=limits, database=place)
    ann, bob = ({"Authorization": f"Bearer {key}"} for key in (KEY, other))
    body = BODY | {"stream": streamed}
    try:
        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(served.post, body, headers=ann)]
            stage.wait_for(3, 60, started=True)
            refused = served.post(body, headers=ann)
            running.append(threads.submit(served.post, body, headers=bob))
            stage.wait_for(6, 60, started=True)
            gate.set()
            assert [answer.result().status_code for answer in running] == [200, 200]
    finally:
        gate.set()
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert error["message"].startswith("The key ann's limit of 1 questions at once is reached")
    assert refused.headers["retry-after"] == "1"
    assert served.post(body, headers=ann).status_code == 200, "its place is free again"
    assert served.post(body, headers=ann).json()["error"]["code"] == "insufficient_quota"


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
def test_a_days_calls_are_never_exceeded(
    stage: Stage, serve: Serve, tmp_path: Path, streamed: bool
) -> None:
    seat(stage)
    limits = read_limits(["server:calls=17"])
    served = serve(desk(stage), limits=limits, database=str(tmp_path / "threads.db"))
    body = BODY | {"stream": streamed}
    with ThreadPoolExecutor(4) as threads:
        answers = [*threads.map(lambda _: served.post(body), range(8))]
    assert calls_in(stage) <= 17
    assert any(answer.status_code == 200 for answer in answers)
    last = served.post(body)
    assert last.status_code == 429
    assert "The server's limit of 17 calls a day is reached" in last.json()["error"]["message"]


@pytest.mark.slow
def test_a_days_limits_count_across_restarts(stage: Stage, serve: Serve, tmp_path: Path) -> None:
    seat(stage)
    limits = read_limits(["each:calls=9"])
    place = str(tmp_path / "threads.db")
    for _ in range(4):
        serve(desk(stage), limits=limits, database=place).post(BODY)
    assert 7 <= calls_in(stage) <= 9


@pytest.mark.slow
def test_a_repeated_request_is_not_counted_twice(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    seat(stage)
    limits = read_limits(["each:questions=1"])
    served = serve(desk(stage), limits=limits, database=str(tmp_path / "threads.db"))
    answers = [served.post(BODY, headers={"Idempotency-Key": "a"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert served.post(BODY).status_code == 429


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["server:usd=5", "each:tokens=9000"])
def test_what_replies_say_is_charged(
    stage: Stage, serve: Serve, tmp_path: Path, limit: str
) -> None:
    seat(stage)
    spent = {"usd": 0.0, "tokens": 0}

    def reply(body: dict[str, Any]) -> Reply:
        read, wrote = 200, min(300, int(body.get("max_tokens") or body["max_completion_tokens"]))
        spent["tokens"] += read + wrote
        spent["usd"] += (read * 1.0 + wrote * 2.0) / 1e6 * 1000
        return Reply("What the council says.", usage=(read, wrote))

    council = desk(stage, deliberation={"method": "none"}).model_dump(mode="json")
    for name in ("ada", "boris", "clara", "pen"):
        stage.model(name, reply=reply)
        council["models"][name]["price"] = {"input": 1000.0, "output": 2000.0}
    place = str(tmp_path / "threads.db")
    served = serve(load_council(council), limits=read_limits([limit]), database=place)
    with ThreadPoolExecutor(4) as threads:
        [*threads.map(lambda _: served.post(BODY), range(12))]
    assert calls_in(stage) > 0
    assert spent["usd"] <= 5 + 1e-9 or "usd" not in limit
    assert spent["tokens"] <= 9000 or "tokens" not in limit
    assert served.post(BODY).status_code == 429


@pytest.mark.slow
def test_two_servers_share_a_days_limit(stage: Stage, tmp_path: Path) -> None:
    seat(stage, latency=0.05)
    council = tmp_path / "desk.yaml"
    council.write_text(written(desk(stage)), "utf-8")
    place = (
        "-c",
        str(council),
        "--only",
        "--db",
        str(tmp_path / "t.db"),
        "--limit",
        "server:calls=20",
    )

    def ask(url: str) -> int:
        return httpx.post(
            f"{url}/chat/completions", json=BODY, timeout=90, trust_env=False
        ).status_code

    with process(*place) as (one, _), process(*place) as (two, _), ThreadPoolExecutor(4) as threads:
        codes = [*threads.map(ask, [one, two] * 5)]
        assert ask(one) == ask(two) == 429
    assert calls_in(stage) <= 20
    assert 200 in codes


@pytest.mark.slow
def test_a_killed_servers_reservation_stays_counted(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    stage.model("pen", reply="word " * 60, tokens_per_second=20)
    council = tmp_path / "desk.yaml"
    council.write_text(written(desk(stage)), "utf-8")
    place = (
        "-c",
        str(council),
        "--only",
        "--db",
        str(tmp_path / "t.db"),
        "--limit",
        "each:calls=8",
    )
    with process(*place) as (url, server), ThreadPoolExecutor(1) as threads:
        asked = threads.submit(httpx.post, f"{url}/chat/completions", json=BODY, timeout=90)
        stage.wait_for(1, 30, started=True, model="pen")
        server.kill()
        assert isinstance(asked.exception(), httpx.HTTPError)
    with process(*place) as (url, _):
        answer = httpx.post(f"{url}/chat/completions", json=BODY, timeout=90, trust_env=False)
    assert answer.status_code == 429, "7 of 8 calls were made, and a question needs 2"


@pytest.mark.slow
def test_unknown_prices_are_refused_before_the_first_call(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    seat(stage)
    limits = read_limits(["server:usd=1"])
    served = serve(desk(stage), limits=limits, database=str(tmp_path / "threads.db"))
    answer = served.post(BODY)
    assert answer.status_code == 500
    assert "no price is known" in answer.json()["error"]["message"]
    assert not stage.calls


class _Permuter:
    """Requests of random sizes at several servers, which end in a random order, or never."""

    def __init__(self, dice: random.Random, limits: DayLimits, servers: list[ServerBudget]) -> None:
        self.dice, self.limits, self.servers = dice, limits, servers
        self.spent: list[int] = []
        """Tokens of each request that ended."""
        self.under_way: list[Reservation] = []
        self.asking: list[asyncio.Task[None]] = []

    async def ask(self) -> None:
        dice = self.dice
        need = Need(dice.randint(10, 200), dice.randint(16, 900), 16, None)
        try:
            account = await dice.choice(self.servers).admit("")
            assert account is not None
            self.under_way.append(await reserve(account, need))
        except (Refusal, OverBudgetError):
            return
        tokens = sum(self.spent) + sum(one.amount.tokens for one in self.under_way)
        assert len(self.spent) + len(self.under_way) <= (self.limits.calls or 0)
        assert tokens <= (self.limits.tokens or 0)

    def end_one(self) -> None:
        reservation = self.under_way.pop(self.dice.randrange(len(self.under_way)))
        read = self.dice.randint(1, reservation.need.input_tokens)
        wrote = self.dice.randint(0, reservation.output)
        self.spent.append(read + wrote)
        reservation.settle(Usage(calls=1, input_tokens=read, output_tokens=wrote))

    def act(self) -> None:
        choice = self.dice.random()
        if choice < 0.5:
            self.asking.append(asyncio.create_task(self.ask()))
        elif choice < 0.65 and self.asking:
            self.dice.choice(self.asking).cancel()
        elif self.under_way:
            self.end_one()

    async def end_all(self) -> None:
        while self.under_way or not all(task.done() for task in self.asking):
            if self.under_way:
                self.end_one()
            await asyncio.wait(self.asking, timeout=0.01)
        for task in self.asking:
            if not task.cancelled():
                task.result()
        for server in self.servers:
            await server.drain()


@pytest.mark.parametrize("seed", range(25))
async def test_no_order_of_completions_exceeds_a_limit(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    limits = DayLimits(calls=dice.randint(3, 12), tokens=dice.randint(500, 4000))
    async with AsyncExitStack() as stack:
        place = str(tmp_path / "threads.db")
        savers = [await stack.enter_async_context(open_checkpointer(place)) for _ in range(3)]
        servers = [ServerBudget({"server": limits}, Tables(one, SPENDING)) for one in savers]
        permuter = _Permuter(dice, limits, servers)
        for _ in range(40):
            permuter.act()
            for _ in range(dice.randint(0, 3)):
                await asyncio.sleep(0)
        await permuter.end_all()
        rows = await Tables(savers[0]).run("SELECT calls, tokens FROM mom_spending")
        assert rows == [(len(permuter.spent), sum(permuter.spent))], "the ledger tells it all"


async def test_a_new_day_begins_with_nothing_spent(tmp_path: Path) -> None:
    async with open_checkpointer(str(tmp_path / "t.db")) as saver:
        tables = Tables(saver, SPENDING)
        yesterday = "2026-01-01"
        await tables.run(
            "INSERT INTO mom_spending VALUES ('server', ?, 9, 9, 9, 9.0)", (yesterday,)
        )
        minute = f"{yesterday}T10:00"
        await tables.run("INSERT INTO mom_spending VALUES ('server', ?, 9, 0, 0, 0.0)", (minute,))
        budget = ServerBudget({"server": DayLimits(calls=9, questions=9)}, tables)
        account = await budget.admit("ann")
        assert account is not None
        assert account.remaining()[0] == 9
        rows = await tables.run("SELECT period, questions FROM mom_spending ORDER BY period")
        assert rows == [(yesterday, 9), (f"{datetime.now(UTC):%Y-%m-%d}", 1)]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def read(self) -> datetime:
        return self.now


async def is_admitted(budget: ServerBudget) -> bool:
    try:
        await budget.admit("ann")
    except Refusal:
        return False
    return True


async def test_a_clock_that_is_set_back_refills_no_day(tmp_path: Path) -> None:
    clock, limits = Clock(), {"server": DayLimits(questions=3)}
    async with open_checkpointer(str(tmp_path / "t.db")) as saver:
        tables = Tables(saver, SPENDING)
        running = ServerBudget(limits, tables, clock.read)
        assert [await is_admitted(running) for _ in range(4)] == [True, True, True, False]
        for wrong in ("2026-11-26", "2026-10-01", "1970-01-01", "2026-11-27"):
            clock.now = datetime.fromisoformat(f"{wrong}T09:00+00:00")
            assert not await is_admitted(running), wrong
            assert not await is_admitted(ServerBudget(limits, tables, clock.read)), wrong
        clock.now = datetime(2040, 1, 1, tzinfo=UTC)
        assert await is_admitted(running)
        clock.now = datetime(2026, 11, 27, 13, tzinfo=UTC)
        assert not await is_admitted(running)
        clock.now = datetime(2026, 11, 28, tzinfo=UTC)
        assert [await is_admitted(running) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("seed", range(5))
async def test_no_way_back_and_no_restart_refills_a_day(tmp_path: Path, seed: int) -> None:
    dice, clock, limits = random.Random(seed), Clock(), {"server": DayLimits(questions=5)}
    true = clock.now
    async with open_checkpointer(str(tmp_path / "t.db")) as saver:
        tables = Tables(saver, SPENDING)
        budget = ServerBudget(limits, tables, clock.read)
        admitted = [await is_admitted(budget) for _ in range(6)]
        for _ in range(20):
            clock.now = true - timedelta(days=dice.choice((20_000, 300, 30, 1, 0)))
            if dice.random() < 0.3:
                budget = ServerBudget(limits, tables, clock.read)
            admitted.append(await is_admitted(budget))
    assert admitted.count(True) == 5
