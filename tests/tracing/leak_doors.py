"""The leak search at every door: servers, tools, commands, exports, the page and Python.

`leaks.py` asks one council at the terminal. Here a vendor (`EchoingVendor`) gives its key back in
29 places of a reply, in six forms and three protocols, and the same councils are asked through
`mom serve` (chat completions, responses, messages), `mom mcp` (both ways), commands, exports, the
page, and LangGraph's own streams. Every byte that left or stayed is searched.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from mom_council.tests.tracing.echoing_vendor import FORMS, PLACES, WORD, EchoingVendor
from mom_council.tests.tracing.langsmith_office import Office
from mom_council.tests.tracing.leaks import LANGSMITH_KEY, Places, file_contents

_LETTERS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
MOM = [sys.executable, "-c", "from mom_council.cli import main; main()"]
QUESTION = f"Which harbour is called {WORD.title()}?"
PROTOCOLS = ("openai", "ollama", "anthropic")
SERVER_KEY = "client-7Hq2vXw9Lz4Tn6Rb"
ADMIN_KEY = "admin-Yk3pJ8sDf5Gm1Qc7"
OTEL_KEY = "collector-Uv6eWa2Xo9Bi4Zt"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}


@dataclass
class Workplace:
    """A home folder with councils whose vendors repeat their keys."""

    folder: Path
    vendor: EchoingVendor
    office: Office
    collector: Office
    env: dict[str, str]
    keys: dict[str, str]
    """By whose it is."""
    councils: list[Path]
    seen: dict[str, bytes] = field(default_factory=dict)
    """What was printed and answered, by door."""

    def add(self, door: str, *parts: bytes | str) -> None:
        """Keep what came out of a door."""
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            self.seen[door] = self.seen.get(door, b"") + b"\n" + data

    def run(self, *arguments: str, text: str = "") -> None:
        """A command, whose output is kept."""
        done = subprocess.run(
            [*MOM, *arguments],
            env=self.env,
            cwd=self.folder,
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=240,
        )
        words = [one for one in arguments if one.isalpha()]
        self.add(f"terminal: mom {' '.join(words[:2])}", done.stdout, done.stderr)

    @property
    def places(self) -> Places:
        """All that left, was printed or is stored."""
        places = Places()
        for model, data in self.vendor.requests:
            name = f"sent to {model}"
            places.left[name] = places.left.get(name, b"") + data
        for name, office in (("LangSmith", self.office), ("the collector", self.collector)):
            if office.requests:
                places.left[f"sent to {name}"] = b"\n".join(office.bodies)
        places.stored |= self.seen
        for file in sorted(self.folder.rglob("*")):
            if file.is_file():
                name = str(file.relative_to(self.folder))
                places.stored[name] = b"\n".join(file_contents(file))
        return places


@contextmanager
def workplace(
    places: Sequence[str], tracing: Mapping[str, bool], env: Mapping[str, str], turn: int = 0
) -> Iterator[Workplace]:
    """Councils of these places, accepted by `mom trust`."""
    with (
        tempfile.TemporaryDirectory() as home,
        EchoingVendor() as vendor,
        Office() as office,
        Office() as collector,
    ):
        folder = Path(home)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LANG", "MOM_", "OTEL"))
        }
        keys: dict[str, str] = {}
        named: dict[str, str] = {}
        made = random.Random(13)
        councils = []
        for number, place in enumerate(places):
            models: dict[str, Any] = {}
            for step, protocol in enumerate((*PROTOCOLS, "the writer")):
                form = [*FORMS][(number + step + turn) % len(FORMS)]
                variable = f"GATE_{step}"
                if variable not in named:
                    letters = "".join(made.choices(_LETTERS, k=22))
                    keys[protocol] = named[variable] = f"{letters}{made.randrange(10**6):06}"
                models[f"m{step}"] = {
                    "provider": protocol if protocol in PROTOCOLS else "openai",
                    "model": f"{place}-{form}",
                    "base_url": vendor.url + ("/v1" if step in (0, 3) else ""),
                    "api_key_env": variable,
                    "retries": 0,
                    "timeout": 20,
                }
            characters = [
                {"name": protocol.title(), "model": f"m{step}", "personality": "brief"}
                for step, protocol in enumerate(PROTOCOLS)
            ]
            file = folder / f"c{number}.yaml"
            file.write_text(
                json.dumps(
                    {
                        "name": f"c{number}",
                        "models": models,
                        "characters": characters,
                        "deliberation": {
                            "method": "borda",
                            "rounds": {"min": 1, "max": 1},
                            "quorum": 0.3,
                        },
                        "synthesizer": {"model": "m3"},
                        "tracing": dict(tracing),
                    }
                )
            )
            councils.append(file)
        environment = {
            **kept,
            **named,
            "HOME": home,
            "MOM_DATA_DIR": str(folder / "data"),
            "MOM_CONFIG_DIR": str(folder / "config"),
            "LANGSMITH_ENDPOINT": office.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{OTEL_KEY}",
            "OTEL_METRIC_EXPORT_INTERVAL": "2000",
            "MOM_SERVER_KEYS": f"ann={SERVER_KEY}",
            "MOM_ADMIN_KEY": ADMIN_KEY,
            **env,
        }
        at = Workplace(folder, vendor, office, collector, environment, keys, councils)
        allowed = [part for variable in named for part in ("--key", variable)]
        done = subprocess.run(
            [*MOM, "trust", *map(str, councils), *allowed],
            env=environment,
            cwd=home,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        at.add("terminal: mom trust", done.stdout, done.stderr)
        yield at


@contextmanager
def server_of(at: Workplace, *command: str) -> Iterator[str]:
    """A server as a process; its log is kept. Yields its address without a path."""
    offered = [part for file in at.councils for part in ("-c", str(file))]
    log = at.folder / f"log of {' '.join(command)}.log"
    with (
        log.open("w") as written,
        subprocess.Popen(
            [*MOM, *command, "--only", "--port", "0", *offered],
            env=at.env,
            cwd=at.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.search(r"http://[\d.]+:\d+", line)
            assert match, line + log.read_text()
            yield match[0]
        finally:
            process.terminate()
            process.wait(60)


def ask_server(at: Workplace, log: str) -> None:
    """Every dialect of `mom serve`, whole and streamed, with tools, threads and repeats."""
    with (
        server_of(at, "serve", "--log", log, "--log-level", "debug") as url,
        httpx.Client(base_url=url, timeout=120, trust_env=False) as client,
    ):
        client.headers["Authorization"] = f"Bearer {SERVER_KEY}"

        def send(door: str, path: str, body: Any, **headers: str) -> httpx.Response:
            response = client.post(path, json=body, headers=headers)
            told = json.dumps([[*pair] for pair in response.headers.items()])
            at.add(f"serve: {door}", told, response.content)
            return response

        asked = [{"role": "user", "content": QUESTION}]
        for file in at.councils:
            name = file.stem
            body = {"model": name, "messages": asked}
            once = {"Idempotency-Key": f"again-{name}"}
            send("chat", "/v1/chat/completions", body, **{"X-Thread-Id": f"t-{name}"}, **once)
            send("chat", "/v1/chat/completions", body, **{"X-Thread-Id": f"t-{name}"}, **once)
            tools = {"tools": [TOOL], "tool_choice": "auto"}
            send("chat stream", "/v1/chat/completions", {**body, **tools, "stream": True})
            asks = {"model": name, "input": QUESTION}
            made = send("responses", "/v1/responses", asks).json()
            if "id" in made:
                at.add("serve: responses", client.get(f"/v1/responses/{made['id']}").content)
            send("responses stream", "/v1/responses", {**asks, "stream": True})
            thinks = {"max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}
            send("messages stream", "/v1/messages", {**body, **thinks, "stream": True})
            used = {"name": "weather", "description": "w", "input_schema": {"type": "object"}}
            send("messages", "/v1/messages", {**body, "max_tokens": 99, "tools": [used]})
        odd = {"X-Request-Id": SERVER_KEY, "X-Thread-Id": f"mine/{ADMIN_KEY}"}
        send("errors", f"/v1/{SERVER_KEY}?api_key={SERVER_KEY}", {"model": "c0"}, **odd)
        send("errors", "/v1/chat/completions", {"model": LANGSMITH_KEY, "messages": asked})
        for path in ("/metrics", "/v1/models", "/ready", "/version", "/health"):
            response = client.get(path)
            at.add("serve: looks", repr(response.headers), response.content)


async def _use_tools(at: Workplace, session: ClientSession, door: str) -> None:
    async def progress(done: float, total: float | None, message: str | None) -> None:
        at.add(door, message or "")

    await session.initialize()
    at.add(door, (await session.list_tools()).model_dump_json())
    for file in at.councils:
        asked = {"question": QUESTION, "council": file.stem, "thread": f"m-{file.stem}"}
        result = await session.call_tool("ask", asked, progress_callback=progress)
        at.add(door, result.model_dump_json())
        last = await session.call_tool("explain_last_verdict", {"thread": f"m-{file.stem}"})
        at.add(door, last.model_dump_json())
    at.add(door, (await session.list_resources()).model_dump_json())
    at.add(door, (await session.call_tool("list_councils", {})).model_dump_json())


def ask_tools_over_stdio(at: Workplace) -> None:
    """`mom mcp` as an agent starts it."""

    async def run() -> None:
        offered = [part for file in at.councils for part in ("-c", str(file))]
        started = StdioServerParameters(
            command=MOM[0],
            args=[*MOM[1:], "mcp", "--only", "--log-level", "debug", *offered],
            env=at.env,
            cwd=at.folder,
        )
        with (at.folder / "log of mcp stdio.log").open("w") as log:
            async with (
                stdio_client(started, errlog=log) as (read, write),
                ClientSession(read, write) as session,
            ):
                await _use_tools(at, session, "mcp: stdio")

    asyncio.run(run())


def ask_tools_over_http(at: Workplace) -> None:
    """`mom mcp --http`."""

    async def run(url: str) -> None:
        headers = {"Authorization": f"Bearer {SERVER_KEY}"}
        async with (
            httpx.AsyncClient(headers=headers, trust_env=False, timeout=120) as client,
            streamable_http_client(f"{url}/mcp", http_client=client) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await _use_tools(at, session, "mcp: http")

    with server_of(at, "mcp", "--http", "--log", "json", "--log-level", "debug") as url:
        asyncio.run(run(url))


def ask_commands(at: Workplace) -> None:
    """Commands, batches, and what they export."""
    rows = at.folder / "rows.csv"
    rows.write_text(f"question\n{QUESTION}\n")
    for number, file in enumerate(at.councils[:: len(at.councils) // 6 or 1]):
        council = ("--council", str(file))
        kinds = (("--json",), ("--debug",), ("--full",), ())
        at.run("ask", QUESTION, *council, "--thread", f"a{number}", *kinds[number % len(kinds)])
    first = ("--council", str(at.councils[0]))
    at.run("batch", "rows.csv", "out.csv", *first, "--trace", "--json")
    at.run("batch", "rows.csv", "out.jsonl", *first)
    export_all(at)


def export_all(at: Workplace) -> None:
    """What is stored, as the commands print and write it."""
    at.run("trace", "list")
    at.run("trace", "show", "last")
    at.run("threads", "list", "--json")
    at.run("threads", "show", "a0")
    at.run("storage", "export", "exported")
    at.run("storage", "check")
    at.run("cache", "show")


_IN_PROCESS = """
import asyncio, json, sys
from langchain_core.messages import HumanMessage
from mom_council import council
async def main():
    modes = ["values", "updates", "messages", "custom", "debug", "tasks", "checkpoints"]
    for file in sys.argv[1:]:
        asked = {"messages": [HumanMessage(QUESTION)]}
        graph = council(file)
        try:
            async for one in graph.astream(asked, stream_mode=modes, subgraphs=True):
                print(repr(one))
        except Exception as error:
            print(repr(error))
        try:
            async for one in graph.astream_events(asked, version="v2"):
                print(repr(one))
        except Exception as error:
            print(repr(error))
asyncio.run(main())
"""


def forms_of(key: str) -> list[bytes]:
    """The ways in which a key is looked for."""
    coded = key.encode()
    middle = [base64.b64encode(bytes(shift) + coded)[4:-4] for shift in range(3)]
    escaped = [written(key).encode() for written in FORMS.values()]
    spelled = [repr(key)[1:-1].encode(), coded.hex().upper().encode(), coded[:20], coded[-20:]]
    numbers = [", ".join(map(str, coded)).encode(), ",".join(map(str, coded)).encode()]
    apart = [json.dumps([*key])[1:-1].encode()]
    return [*middle, *escaped, *spelled, *numbers, *apart]


Setting = tuple[str, Mapping[str, bool], Mapping[str, str], Sequence[str], Sequence[str]]
_ALL = {
    "LANGSMITH_API_KEY": LANGSMITH_KEY,
    "LANGSMITH_TRACING": "true",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
}
SETTINGS: tuple[Setting, ...] = (
    ("everything on", {}, _ALL, (), ()),
    ("langsmith: false", {"langsmith": False}, _ALL, (), ("sent to LangSmith",)),
    (
        "content: false",
        {"content": False},
        _ALL,
        ("sent to LangSmith", "sent to the collector", "data/traces/traces.db"),
        (),
    ),
    ("local: false", {"local": False}, {}, (), ("data/traces/traces.db",)),
)
"""What is set; `tracing:`; the environment; places without a word of anybody; absent places."""


def faults_of(setting: Setting) -> tuple[list[str], Places]:
    """What leaked at any door under a setting, in words; and where it was looked for.

    Each setting has a part of the vendor's places, so that all of them together have each once.
    """
    _, tracing, env, wordless, absent = setting
    turn = SETTINGS.index(setting)
    with workplace(PLACES[turn :: len(SETTINGS)], tracing, env, turn) as at:
        for use in DOORS.values():
            use(at)
        places = at.places
        faults = leaks_in(at, places)
    faults += [f"{place} exists" for place in absent if place in places.all]
    said = {name for name in places.holding(WORD) if name.startswith(tuple(wordless) or "no place")}
    return [*faults, *(f"{name} holds what was said" for name in sorted(said))], places


def leaks_in(at: Workplace, places: Places) -> list[str]:
    """Which place holds whose key."""
    known = {
        **at.keys, "LangSmith": LANGSMITH_KEY, "the server": SERVER_KEY, "admin": ADMIN_KEY,
        "the collector": OTEL_KEY,
    }  # fmt: skip
    lines = []
    for owner, key in known.items():
        forms = forms_of(key)
        for name, data in places.all.items():
            held = [form for form in forms if form in data]
            if held:
                at_ = data.find(held[0])
                lines.append(f"{name}: the key of {owner}: {data[max(0, at_ - 80) : at_ + 90]!r}")
    return lines


_ON_THE_PAGE = """
import os, sys, time
from pathlib import Path
from streamlit.testing.v1 import AppTest
from mom_council.ui import session
session._reader = lambda: "0" * session.LENGTH
for file in sys.argv[1:]:
    os.environ["MOM_COUNCIL"] = file
    page = AppTest.from_file(str(Path(session.__file__).parent / "pages" / "script.py"))
    page.default_timeout = 60
    page.run()
    page.chat_input[0].set_value(QUESTION).run()
    state = session.page_state()
    while state.jobs.running():
        time.sleep(0.05)
    page.run()
    print(repr([*page]))
    for one in [*page.markdown, *page.caption, *page.error, *page.get("html")]:
        print(getattr(one, "value", None) or one.proto.body)
    for one in page.get("bidi_component"):
        print(one.proto.json)
session.page_state().close()
"""


def _run_python(at: Workplace, door: str, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"QUESTION = {QUESTION!r}\n{program}", *map(str, at.councils)],
        env=at.env,
        cwd=at.folder,
        capture_output=True,
        check=False,
        timeout=400,
    )
    at.add(door, done.stdout, done.stderr)


def ask_in_python(at: Workplace) -> None:
    """LangGraph's own streams, in every mode."""
    _run_python(at, "python: streams", _IN_PROCESS)


def ask_on_the_page(at: Workplace) -> None:
    """The chat page; what it stores is searched with the other files."""
    _run_python(at, "page", _ON_THE_PAGE)


DOORS = {
    "serve": lambda at: ask_server(at, "json"),
    "mcp stdio": ask_tools_over_stdio,
    "mcp http": ask_tools_over_http,
    "commands": ask_commands,
    "python": ask_in_python,
    "page": ask_on_the_page,
}
