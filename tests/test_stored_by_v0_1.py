"""What version 0.1 stored is still read, whatever the modules are called by now.

`fixtures/v0_1/` was written by version 0.1.0. Each `read_...` here reads one part of it;
`expected.json` holds what version 0.1.0 read there. A later version may read more, never less.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, get_args
from unittest import mock

import httpx
import pytest
import typer
from langchain_core.messages import BaseMessage
from langgraph.types import Command
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic import BaseModel

import mom_council
from mom_council import CouncilContext, load_council, open_checkpointer, read_event, resume
from mom_council import errors as house_errors
from mom_council.batch.engine import local_engine
from mom_council.batch.job import BatchJob, run_batch
from mom_council.cli import app as cli_app
from mom_council.cli import failure as exits
from mom_council.councils import loader as saved
from mom_council.councils.loader import preset_names
from mom_council.councils.recording import read_panels, read_recording
from mom_council.deliberation import events
from mom_council.deliberation.people import requests_in
from mom_council.evals.cases import Case
from mom_council.evals.run import evaluate
from mom_council.evals.scorecard import EvalJournal
from mom_council.graph.council import compile_council
from mom_council.models.ledger import Ledger
from mom_council.models.resolved import member_models
from mom_council.runs.page_store import PageStore
from mom_council.runs.threads import delete_thread, list_threads, show_thread
from mom_council.tests.graph.desk import (
    proposals,
    question,
    seat,
    speaking,
    voting,
)
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tracing.store import TraceStore

STORED = Path(__file__).parent / "fixtures" / "v0_1"
PORT = "127.0.0.1:9/"
"""What the council files say in place of the stage's address."""
NOW = 1_800_000_000.0
"""A time after the fixtures were made, at which the ledger is read: what it knows fades."""
COUNCILS = sorted(
    file.name for file in STORED.iterdir() if file.suffix == ".yaml" or file.stem == "old_style"
)
THREADS = ("pets", "quorum", "killed", "person", "leave", "picture")
DELIBERATIONS: tuple[dict[str, Any], ...] = (
    *({"method": one} for one in ("plurality", "approval", "borda", "ranked_pairs", "score")),
    *({"method": one} for one in ("answers", "similarity", "best_confidence", "none")),
    *({"method": one} for one in ("consensus", "voting")),
    *({"method": "answers", "stop": one} for one in ("all", "lossless", "threshold")),
    *({"method": "answers", "stop": one} for one in ("beta", "dirichlet", "calibrated")),
    {"method": "answers", "stop": "beta", "sure": 0.9, "waves": [1, 2]},
    {"method": "score", "ballots": "always", "mode": "sequential", "order": "strength"},
    {"method": "borda", "weights": "learned", "topic": "law", "hears": "opposite"},
    {"method": "plurality", "depth": "annotator", "grace": 0, "quorum": 0, "minimum": 3},
)
"""Laid over desk.yaml: every method, with its other names, and every rule for stopping."""
ERRORS = (
    "MixtureError",
    "CouncilError",
    "UnknownNameError",
    "CapabilityError",
    "ModelError",
    "ProviderNotInstalledError",
    "ModelUnavailableError",
    "DeliberationError",
    "QuorumError",
    "ThermalError",
    "BudgetError",
    "StorageError",
)


# What was expected, and how it is compared.


def expected(name: str) -> Any:
    """What version 0.1.0 read."""
    return json.loads((STORED / "expected.json").read_text("utf-8"))[name]


def differences(now: Any, then: Any, at: str = "") -> list[str]:
    """What is no longer as it was. A mapping may have gained keys, nothing else may change."""
    if isinstance(now, dict) and isinstance(then, dict):
        lost = [f"{at}.{key} is gone" for key in then if key not in now]
        both = [(f"{at}.{key}", now[key], then[key]) for key in then if key in now]
    elif isinstance(now, list) and isinstance(then, list):
        lost = [f"{at} has {len(now)} for {len(then)}"] if len(now) != len(then) else []
        both = [(f"{at}[{i}]", *pair) for i, pair in enumerate(zip(now, then, strict=False))]
    else:
        close = isinstance(now, float) and isinstance(then, float | int)
        same = now == (pytest.approx(then, rel=1e-6) if close else then)
        return [] if same else [f"{at} is {now!r}, was {then!r}"]
    return [*lost, *(line for path, one, other in both for line in differences(one, other, path))]


def reads_the_same(now: Any, name: str) -> None:
    assert differences(json.loads(json.dumps(now)), expected(name)) == []


def plainly(value: Any) -> Any:
    """A value of a thread as JSON, with the name of each record's class, not of its module."""
    if isinstance(value, BaseMessage):
        told = {"type": value.type, "text": value.text, "id": value.id, "content": value.content}
        return {"a": type(value).__name__, **told}
    if isinstance(value, BaseModel):
        return {"a": type(value).__name__, **value.model_dump(mode="json")}
    if isinstance(value, dict):
        return {str(key): plainly(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plainly(one) for one in value]
    return value


# What is read, and how.


class Ended(NamedTuple):
    """How a call of the command ended."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> Ended:
    """Call `mom` in this process, with nobody at the terminal."""
    streams = {
        "stdin": io.TextIOWrapper(io.BytesIO(), encoding="utf-8"),
        "stdout": io.TextIOWrapper(io.BytesIO(), encoding="utf-8"),
        "stderr": io.TextIOWrapper(io.BytesIO(), encoding="utf-8"),
    }
    with mock.patch.multiple(sys, **streams), pytest.raises(SystemExit) as left:
        cli_app.run(list(arguments))
    told = []
    for name in ("stdout", "stderr"):
        streams[name].flush()
        told.append(streams[name].buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
    return Ended(int(left.value.code or 0), *told)


def council_text(name: str, url: str) -> str:
    """A council's file, with the address of a server that is there."""
    return (STORED / name).read_text("utf-8").replace(PORT, url.removeprefix("http://") + "/")


def opened(name: str, stage: Stage) -> Any:
    """A stored council, sitting on the stage."""
    return load_council(mapping_of(council_text(name, stage.url)))


def mapping_of(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


class Till:
    """The tools of till.yaml; it counts what is done with them."""

    def __init__(self) -> None:
        self.looked = 0
        self.paid: list[int] = []

    def look(self) -> str:
        """Look what is in the till."""
        self.looked += 1
        return "100 in the till"

    def pay(self, amount: int) -> str:
        """Pay an amount."""
        self.paid.append(amount)
        return f"paid {amount}"

    @property
    def tools(self) -> dict[str, Callable[..., str]]:
        return {"look": self.look, "pay": self.pay}


async def read_threads(db: Path) -> dict[str, Any]:
    """The list of threads, and each as it is shown."""
    async with open_checkpointer(str(db)) as saver:
        listed = [one.model_dump(mode="json") for one in await list_threads(saver)]
        shown = {one["id"]: plainly(await show_thread(saver, one["id"])) for one in listed}
    return {"listed": listed, "shown": shown}


def read_commands(db: Path) -> dict[str, str]:
    """What the command prints of the threads, without times of the reader's zone."""
    listed = command("threads", "list", "--db", str(db)).out
    shown = {name: command("threads", "show", name, "--db", str(db)).out for name in THREADS}
    return {"": re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "WHEN", listed), **shown}


async def read_states(db: Path) -> dict[str, Any]:
    """Everything that stands in each thread, in every one of its checkpoints."""
    seats = {"pets": "desk", "quorum": "strict", "killed": "strict", "person": "people"}
    seats |= {"leave": "till", "picture": "gallery"}
    states = {}
    async with open_checkpointer(str(db)) as saver:
        for thread, name in seats.items():
            tools = Till().tools if name == "till" else {}
            graph = compile_council(load_council(STORED / f"{name}.yaml"), saver, tools=tools)
            now = await graph.aget_state(config(thread))
            history = [found async for found in graph.aget_state_history(config(thread))]
            states[thread] = {
                "values": plainly(now.values),
                "next": sorted(now.next),
                "metadata": dict(now.metadata or {}),
                "waits": [plainly(one.value) for one in now.interrupts],
                "failed": sorted(str(task.error) for task in now.tasks if task.error),
                "history": [
                    {
                        "next": sorted(found.next),
                        "holds": {key: kinds(value) for key, value in found.values.items()},
                    }
                    for found in history
                ],
            }
    return states


def kinds(value: Any) -> Any:
    """What a value is made of, by the names of its classes."""
    if isinstance(value, list | tuple):
        return [kinds(one) for one in value]
    return type(value).__name__


def read_councils(name: str) -> Any:
    return load_council(STORED / name).model_dump(mode="json")


def read_deliberations() -> list[Any]:
    plain = mapping_of((STORED / "desk.yaml").read_text("utf-8"))
    return [
        load_council(plain | {"deliberation": one}).deliberation.model_dump(mode="json")
        for one in DELIBERATIONS
    ]


def read_ledger(folder: Path) -> dict[str, Any]:
    """The ledger at a fixed time, and what it says of two councils."""
    ledger = Ledger(folder)
    known = ledger.outcomes(at=NOW)
    sitting = load_council(STORED / "replayed.yaml")
    return {
        "outcomes": {"/".join(key): [one.right, one.wrong] for key, one in known.items()},
        "fits": [one.model_dump(mode="json") for one in ledger.fits()],
        "kinds": list(ledger.kinds()),
        "panel": plainly(ledger.trust(member_models(sitting), sitting.seats[0], "sums").fitted),
        "shown": sorted([one.model, one.kind] for one in ledger.show()),
    }


def read_traces(folder: Path) -> list[Any]:
    store = TraceStore(folder)
    loaded = [store.load(one.id) for one in store.summaries()]
    return [one.model_dump(mode="json") for one in loaded if one is not None]


def read_recordings() -> dict[str, Any]:
    found = {
        name: [one.model_dump(mode="json") for one in read_recording(STORED / name)]
        for name in ("recording.jsonl", "replies.jsonl.gz")
    }
    panels = read_panels(STORED / "panels.json")
    return {**found, "panels": {key: one.model_dump(mode="json") for key, one in panels.items()}}


def read_shelf(folder: Path) -> dict[str, Any]:
    shelf = PageStore(folder)
    return {
        "ann": [one.model_dump(mode="json") for one in shelf.of("ann")],
        "ben": [one.model_dump(mode="json") for one in shelf.of("ben")],
        "thumbs": shelf.thumbs("pets"),
        "draft": shelf.draft("ann"),
    }


def read_kept_councils() -> dict[str, Any]:
    return {
        name: load_council(file).model_dump(mode="json")
        for name, file in saved.saved_councils().items()
    }


async def read_evaluation(folder: Path) -> dict[str, Any]:
    """The scorecard of the stored journal, from its rows alone."""
    journal = folder / "evaluation.jsonl"
    before = journal.read_bytes()
    card = await evaluate(load_council(folder / "replayed.yaml"), cases(folder), path=journal)
    assert journal.read_bytes() == before, "rows that are there are not made again"
    return card.model_dump(mode="json")


def cases(folder: Path) -> list[Case]:
    return [Case(question=one.question, gold=one.gold, id=one.id) for one in sums(folder)]


def sums(folder: Path) -> list[Any]:
    """The questions of the evaluation: the recording's fold for scoring."""
    return [one for one in read_recording(folder / "recording.jsonl") if one.fold == "eval"]


def read_options() -> dict[str, list[str]]:
    """Every command, with the names of its options and arguments."""
    cli_app.register()
    return dict(_options(typer.main.get_command(cli_app.app), "mom"))


def _options(one: Any, path: str) -> Iterable[tuple[str, list[str]]]:
    named = [name for each in one.params for name in (*each.opts, *each.secondary_opts)]
    yield path, sorted(named)
    for name, below in getattr(one, "commands", {}).items():
        yield from _options(below, f"{path} {name}")


def read_event_kinds() -> dict[str, list[str]]:
    """Every event that there is, with the names of its fields."""
    known = get_args(get_args(events.Event)[0])
    return {one.model_fields["kind"].default: sorted(one.model_fields) for one in known}


def seat_desk(stage: Stage) -> None:
    """Who sits in desk.yaml: Boris is liked most, Ada and Clara dissent."""
    likes = {"Ada": "doubt", "Boris": "twice", "Clara": "doubt"}
    seat(stage, likes=likes)
    stage.model("reader", reply=json.dumps({"restated": "Which pet is best?", "kind": "open"}))


async def read_run(stage: Stage) -> list[list[Any]]:
    """The events of one run, in order: kind, who it is about, the names of its fields."""
    seat_desk(stage)
    graph = compile_council(opened("desk.yaml", stage))
    told = [part async for part in graph.astream(question(), stream_mode="custom")]
    assert all(read_event(part) is not None for part in told)
    return [
        [
            part["kind"],
            "/".join(str(part.get("speaker", {}).get(key, "")) for key in ("node", "name")),
            sorted(part),
        ]
        for part in told
    ]


def in_turn(run: list[list[Any]]) -> dict[str, list[str]]:
    """Of each speaker its events, in order; how often somebody says a piece is left out."""
    turns: dict[str, list[str]] = {}
    for kind, who, _ in run:
        turn = turns.setdefault(who, [])
        if not turn or turn[-1] != kind:
            turn.append(kind)
    return turns


def read_json_answer(stage: Stage, folder: Path) -> dict[str, Any]:
    """What `mom ask --json` prints, with times and ids at nothing."""
    seat_desk(stage)
    file = folder / "desk.yaml"
    file.write_text(council_text("desk.yaml", stage.url), encoding="utf-8")
    asked = command("ask", "--json", "Which pet?", "-c", str(file), "-t", "pets")
    assert asked.code == 0, asked.err
    return normalised(json.loads(asked.out))


def normalised(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        if key == "times":
            return {"total": 0.0, "segments": dict.fromkeys(value["segments"], 0.0)}
        return {name: normalised(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [normalised(one) for one in value]
    if key == "trace":
        return "TRACE"
    if key in ("seconds", "first_token", "tokens_per_second"):
        return None if value is None else 0.0
    return value


def shape(value: Any) -> Any:
    """The keys of a JSON value, all the way down; of a list, those of its members together."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        merged: dict[str, Any] = {}
        for one in value:
            merged |= shape(one) if isinstance(one, dict) else {}
        return merged
    return ""


def read_exit_codes(stage: Stage, folder: Path) -> dict[str, int]:
    """How each kind of call ends."""
    seat_desk(stage)
    files = {}
    for name in ("desk.yaml", "strict.yaml"):
        files[name] = str(folder / name)
        (folder / name).write_text(council_text(name, stage.url), encoding="utf-8")
    poor, wrong, allowed = folder / "poor.yaml", folder / "wrong.yaml", folder / "allowed.yaml"
    text = council_text("strict.yaml", stage.url)
    poor.write_text(f"{text}budget: {{calls: 1}}\n", encoding="utf-8")
    wrong.write_text("name: nobody\n", encoding="utf-8")
    leave = text.replace("model: ada}", "model: ada, tools: [sums]}").replace("minimum: 3", "")
    tools = "tools:\n  sums: {bundled: calculator, approve: true}\n"
    allowed.write_text(leave.replace("{method: borda,", "{method: none,") + tools, encoding="utf-8")
    broken = folder / "broken.db"
    broken.write_bytes(b"not a database " * 1000)
    ask = ("ask", "-q", "Which pet?", "-c")
    codes = {
        "answered": command(*ask, files["desk.yaml"], "-t", "pets").code,
        "a version": command("--version").code,
        "no question": command("ask", "-c", files["desk.yaml"]).code,
        "an unknown option": command("ask", "--rouns", "3", "hi").code,
        "an unknown command": command("aks").code,
        "no such thread": command("resume", "nobody").code,
        "nothing is open": command("resume", "pets", "-c", files["desk.yaml"]).code,
        "no such trace": command("trace", "show", "abc").code,
        "no such council": command("councils", "show", "hoem").code,
        "a council that cannot sit": command("councils", "check", str(wrong)).code,
        "a file that is no store": command(*ask, files["desk.yaml"], "--db", str(broken)).code,
        "a spent budget": command(*ask, str(poor)).code,
    }
    stage.model("ada", reply=[calling("sums", expression="6 * 7"), "42."])
    codes["waits for leave"] = command(*ask, str(allowed)).code
    for name in ("ada", "boris", "clara"):
        stage.model(name, always=Fault.status(500))
    codes["nobody answered"] = command(*ask, files["desk.yaml"]).code
    codes["a missed quorum"] = command(*ask, files["strict.yaml"]).code
    return codes


def calling(tool: str, **args: Any) -> Reply:
    return Reply(None, tool_calls=[{"name": tool, "args": args, "id": f"c_{tool}"}])


def read_errors() -> dict[str, int]:
    """Every error's name, with the code that the command ends with."""
    found = {}
    for name in ERRORS:
        kind = getattr(house_errors, name)
        about = {"answered": 0, "needed": 1} if name == "QuorumError" else {}
        found[name] = exits.exit_code(kind("because", **about))
    return found


def read_codes() -> dict[str, int]:
    """The codes that have a name."""
    return {name: value for name, value in vars(exits).items() if name.isupper()}


# The tests.


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A copy of everything, because what is opened may be written to."""
    return Path(shutil.copytree(STORED, tmp_path / "stored"))


async def test_the_threads_are_listed_and_shown_as_they_were(stored: Path) -> None:
    reads_the_same(await read_threads(stored / "threads.sqlite"), "threads")


def test_the_command_prints_the_same_of_the_threads(stored: Path) -> None:
    reads_the_same(read_commands(stored / "threads.sqlite"), "commands")


async def test_everything_in_every_checkpoint_comes_back_as_the_record_it_was(stored: Path) -> None:
    states = await read_states(stored / "threads.sqlite")
    reads_the_same(states, "states")
    held = {one["a"] for state in states.values() for one in records_in(state)}
    assert {"Proposal", "Ballot", "Absence", "Segment", "Verdict", "Status", "Annotation"} <= held
    assert {"Seating", "Sight", "Trust"} <= held


def records_in(value: Any) -> list[dict[str, Any]]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) and "a" in value else []
    return [*own, *(found for one in below for found in records_in(one))]


async def test_a_finished_conversation_goes_on_and_is_remembered(
    stored: Path, stage: Stage
) -> None:
    seat_desk(stage)
    async with open_checkpointer(str(stored / "threads.sqlite")) as saver:
        graph = compile_council(opened("desk.yaml", stage), saver)
        result = await graph.ainvoke(question("And a bird?"), config("pets"))
        view = await show_thread(saver, "pets")
    assert [m.text for m in result["messages"]][::2] == ["A cat?", "Or a dog?", "And a bird?"]
    sent = str(speaking(stage.calls_to("ada"))[0].body)
    assert "A cat?" in sent
    assert "What the council says." in sent
    assert view is not None
    assert (view.summary.turns, view.summary.state) == (3, "answered")


@pytest.mark.slow
async def test_served_and_over_mcp_a_conversation_of_that_version_goes_on(
    stored: Path, stage: Stage
) -> None:
    seat_desk(stage)
    (stored / "desk.yaml").write_text(council_text("desk.yaml", stage.url), encoding="utf-8")
    variables = {**os.environ, "MOM_DATA_DIR": str(stored / "data")}
    program = ["-c", "from mom_council.cli import main; main()"]
    places = ("-c", "desk.yaml", "--only", "--db", "threads.sqlite")
    command = [sys.executable, *program, "serve", "--port", "0", *places]
    with subprocess.Popen(
        command,
        cwd=stored,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            lines = iter(process.stdout or ())
            url = next(found[0] for line in lines if (found := re.search(r"http://[\d.:]+", line)))
            asked = [{"role": "user", "content": "And a bird?"}]
            body = {"model": "desk", "messages": asked, "metadata": {"thread_id": "pets"}}
            with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
                answer = client.post("/v1/chat/completions", json=body)
        finally:
            process.terminate()
            process.wait()
    assert answer.status_code == 200, answer.text
    assert "A cat?" in str(speaking(stage.calls_to("ada"))[-1].body)
    started = StdioServerParameters(
        command=sys.executable, args=[*program, "mcp", *places], env=variables, cwd=stored
    )
    async with stdio_client(started) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        explained = await session.call_tool("explain_last_verdict", {"thread": "pets"})
        assert not explained.isError, explained
        more = await session.call_tool("ask", {"question": "And a fish?", "thread": "pets"})
        assert not more.isError, more
    sent = str(speaking(stage.calls_to("ada"))[-1].body)
    assert all(words in sent for words in ("A cat?", "Or a dog?", "And a bird?", "And a fish?"))


async def test_after_a_missed_quorum_only_the_absent_are_asked_again(
    stored: Path, stage: Stage
) -> None:
    seat(stage)
    async with open_checkpointer(str(stored / "threads.sqlite")) as saver:
        graph = compile_council(opened("strict.yaml", stage), saver)
        result = await resume(graph, config("quorum"))
        view = await show_thread(saver, "quorum")
    assert result["messages"][-1].text == "What the council says."
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert [call.model for call in speaking(stage.calls)] == ["clara", "pen"]
    assert sorted(call.model for call in voting(stage.calls)) == ["ada", "boris", "clara"]
    assert "Ada said this in version 0.1." in proposals(stage.calls_to("pen")[0].body)
    assert view is not None
    assert view.summary.state == "answered"


async def test_a_run_that_was_stopped_on_the_way_repeats_no_finished_call(
    stored: Path, stage: Stage
) -> None:
    seat(stage)
    async with open_checkpointer(str(stored / "threads.sqlite")) as saver:
        graph = compile_council(opened("strict.yaml", stage), saver)
        result = await resume(graph, config("killed"))
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert sorted(call.model for call in speaking(stage.calls)) == ["boris", "clara", "pen"]
    assert "Ada said this in version 0.1." in proposals(stage.calls_to("pen")[0].body)


def test_the_command_resumes_it_with_the_council_that_was_named(
    stored: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    monkeypatch.chdir(stored)
    (stored / "strict.yaml").write_text(council_text("strict.yaml", stage.url), encoding="utf-8")
    ended = command("resume", "-q", "killed", "--db", "threads.sqlite")
    assert (ended.code, ended.out) == (0, "What the council says.\n"), ended.err
    assert "ada" not in [call.model for call in speaking(stage.calls)]


async def test_the_person_who_was_waited_for_answers_and_votes(stored: Path, stage: Stage) -> None:
    seat(stage)
    there = CouncilContext(people=True)
    async with open_checkpointer(str(stored / "threads.sqlite")) as saver:
        graph = compile_council(opened("people.yaml", stage), saver)
        [wanted] = requests_in((await graph.aget_state(config("person"))).interrupts)
        assert (wanted.name, wanted.speaker.name) == ("Ms K.", "Clara")
        said: Any = Command(resume={wanted.id: "I say: my cat."})
        held = await graph.ainvoke(said, config("person"), context=there)
        [wanted] = requests_in(held["__interrupt__"])
        assert wanted.speaker.node == "vote"
        vote: Any = Command(resume={wanted.id: "A"})
        result = await graph.ainvoke(vote, config("person"), context=there)
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert result["status"].verdict.ballots == 3
    assert [call.model for call in speaking(stage.calls)] == ["pen"]
    shown = proposals(stage.calls_to("pen")[0].body)
    assert {"I say: my cat.", "Ada said this in version 0.1."} <= set(shown)


async def test_leave_that_was_waited_for_is_given_and_nothing_is_done_twice(
    stored: Path, stage: Stage
) -> None:
    seat(stage, ("Ada", "Boris"))
    stage.model("ada", reply="Ada is done.")
    till = Till()
    async with open_checkpointer(str(stored / "threads.sqlite")) as saver:
        graph = compile_council(opened("till.yaml", stage), saver, tools=till.tools)
        allowed: Any = Command(resume="yes")
        result = await graph.ainvoke(allowed, config("leave"))
    assert (till.looked, till.paid) == (0, [7]), "it had looked in version 0.1"
    assert [call.model for call in stage.calls] == ["ada", "pen"]
    sent = str(stage.calls_to("ada")[0].body)
    assert "100 in the till" in sent
    assert "paid 7" in sent
    assert result["status"].spoke == ("Ada", "Boris")


async def test_a_stored_thread_can_be_deleted(stored: Path) -> None:
    async with open_checkpointer(str(stored / "threads.sqlite")) as saver:
        assert await delete_thread(saver, "pets")
        assert "pets" not in [one.id for one in await list_threads(saver)]


def test_the_dictionary_that_threads_are_packed_with_is_known_to_be_used() -> None:
    """Otherwise the tests above would not notice that it was changed."""
    with closing(sqlite3.connect(f"file:{STORED / 'threads.sqlite'}?mode=ro", uri=True)) as db:
        kinds_of = {kind for (kind,) in db.execute("SELECT DISTINCT type FROM checkpoints")}
        kinds_of |= {kind for (kind,) in db.execute("SELECT DISTINCT type FROM writes")}
    assert "msgpack+z1" in kinds_of


@pytest.mark.parametrize("name", COUNCILS)
def test_a_council_file_loads_to_the_same_council(name: str) -> None:
    found = read_councils(name)
    assert differences(found, expected("councils")[name]) == []


def test_every_method_and_every_rule_for_stopping_loads_as_it_did() -> None:
    reads_the_same(read_deliberations(), "deliberations")


def test_the_presets_have_kept_their_names() -> None:
    assert set(expected("presets")) <= set(preset_names())


def test_the_ledger_reads_the_same(stored: Path) -> None:
    reads_the_same(read_ledger(stored / "data"), "ledger")


def test_the_traces_read_the_same(stored: Path) -> None:
    reads_the_same(read_traces(stored / "data" / "traces"), "traces")


def test_the_recordings_read_the_same() -> None:
    reads_the_same(read_recordings(), "recordings")


def test_the_page_finds_its_conversations_thumbs_and_draft(stored: Path) -> None:
    reads_the_same(read_shelf(stored / "data"), "shelf")


def test_the_page_finds_the_councils_that_were_kept(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOM_DATA_DIR", str(stored / "data"))
    reads_the_same(read_kept_councils(), "kept councils")


def test_what_lies_in_the_usual_folder_is_found_without_a_setting(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 0.1 kept everything in a folder called `mixture-of-models`."""
    old = "-".join(("mixture", "of", "models"))
    shutil.copytree(stored / "data", tmp_path / "share" / old)
    shutil.copy(stored / "threads.sqlite", tmp_path / "share" / old / "threads.db")
    monkeypatch.delenv("MOM_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert "pets" in command("threads", "list").out
    assert "A cat?" in command("trace", "list").out
    assert "sums" in command("weights", "show").out
    assert sorted(saved.saved_councils()) == sorted(expected("kept councils"))


async def test_an_evaluation_goes_on_from_its_journal(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stored)
    now, then = await read_evaluation(stored), expected("evaluation")
    # The intervals of version 0.1 had no width where all answers were right, or no way was better.
    assert differences(without_bounds(now), without_bounds(then)) == []


def without_bounds(value: Any) -> Any:
    """A result without the bounds of its intervals."""
    if isinstance(value, dict):
        rest = {key: one for key, one in value.items() if key not in ("low", "high")}
        return {key: without_bounds(one) for key, one in rest.items()}
    return [without_bounds(one) for one in value] if isinstance(value, list) else value


def in_order(then: Any, now: Any) -> Any:
    """What was expected, with its keys in the order of what is there now."""
    if isinstance(then, dict):
        return {key: in_order(then[key], value) for key, value in now.items() if key in then}
    if isinstance(then, list):
        return [in_order(*pair) for pair in zip(then, now, strict=True)]
    return then


@pytest.mark.parametrize("name", COUNCILS)
def test_a_journal_of_an_evaluation_is_the_same_councils(name: str, tmp_path: Path) -> None:
    """Settings that a council has gained since, and does not use, make it no other council."""
    council = load_council(STORED / name)
    then = in_order(expected("councils")[name], council.model_dump(mode="json"))
    written = json.dumps(then, ensure_ascii=False, separators=(",", ":"))
    told = (written + json.dumps({"scorer": "auto"})).encode()
    head = {"evaluation": council.name, "fingerprint": hashlib.sha256(told).hexdigest()[:16]}
    journal = tmp_path / "evaluation.jsonl"
    journal.write_text(json.dumps(head) + "\n", encoding="utf-8")
    assert EvalJournal(journal, council, scorer="auto").rows == {}


async def test_a_batch_goes_on_where_it_was(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stored)
    output = stored / "answers.jsonl"
    before = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    job = BatchJob(load_council("replayed.yaml"), stored / "questions.jsonl", output)
    progress = await run_batch(job, local_engine())
    assert (progress.before, progress.done, progress.errors) == (2, 3, 0)
    after = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert differences(after[:2], before[:2]) == []
    assert [row["error"] for row in before] == [None, None, "not asked yet"]
    assert [row["council_answer"] for row in after] == expected("batch")
    assert not output.with_name("answers.jsonl.batch").exists()


def test_an_answer_as_json_has_the_same_keys(stage: Stage, tmp_path: Path) -> None:
    now, then = read_json_answer(stage, tmp_path), expected("answer")
    assert differences(shape(now), shape(then)) == []
    for key in ("answer", "thread"):
        assert now[key] == then[key]
    # `dissent` is now who still disagrees after the vote; who voted with the others is `joined`.
    assert now["status"]["dissent"] + now["status"]["joined"] == then["status"]["dissent"]
    for key in ("council", "spoke", "absent", "stop_reason", "rounds", "written_by"):
        assert differences(now["status"][key], then["status"][key]) == []


async def test_a_run_tells_the_same_events_in_the_same_order(stage: Stage) -> None:
    now, then = await read_run(stage), expected("run")
    assert in_turn(now) == in_turn(then)
    fields = {kind: set(names) for kind, _, names in now}
    for kind, _, names in then:
        assert set(names) <= fields[kind], kind


def test_every_event_has_kept_its_name_and_its_fields() -> None:
    now = read_event_kinds()
    for kind, fields in expected("events").items():
        assert set(fields) <= set(now[kind]), kind


def test_every_failure_ends_with_the_code_it_had(stage: Stage, tmp_path: Path) -> None:
    assert read_exit_codes(stage, tmp_path) == expected("exit codes")


def test_every_error_and_every_code_has_kept_its_name() -> None:
    assert differences(read_errors(), expected("errors")) == []
    assert differences(read_codes(), expected("codes")) == []


def test_the_public_names_are_there() -> None:
    names = expected("names")
    assert len(names) == 13
    assert set(names) <= set(mom_council.__all__)
    assert all(hasattr(mom_council, name) for name in names)


def test_every_command_has_kept_its_options() -> None:
    now = read_options()
    for path, names in expected("options").items():
        assert path in now
        assert set(names) <= set(now[path]), path


def test_of_two_readings_what_is_added_is_no_difference_and_what_is_lost_is() -> None:
    then: dict[str, Any] = {"a": [1, {"b": 11}], "c": None}
    assert differences({**then, "more": 1}, then) == []
    assert differences({"a": [1, {"b": 12}], "c": None}, then)
    assert differences({"a": [1], "c": None}, then)
    assert differences({"a": then["a"]}, then)
