"""The leak harness: ask a council whose servers repeat their keys, and search every byte after it.

Each model has a key of its own in a variable whose name does not say so, and gives it back in a way
of its own: plain, cut in pieces, in base64, as a thought, as a refusal, in an error. Searched is
what left (the request log of the models' server, and LangSmith's) and what is stored or printed.

    python -m mom_council.tests.tracing.leaks      # write its section of docs/reliability.md
"""

from __future__ import annotations

import base64
import codecs
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mom_council.seams.langgraph import _DICTIONARY
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tests.tracing.langsmith_office import Office

QUESTION = "Which harbour is called Quillermouth?"
CANARY = "quillermouth"
"""A word that stands in the question and in every answer, and nowhere else."""
KEYS = {
    "plain": "gw-3f9c71d08a5e4b62",
    "cut": "gw-91aa0c55d7e34fb8",
    "wrapped": "gw-0d/77+b1c49e0aa2f5",
    "thought": "gw-5b6e2f10c3d84a97",
    "refusing": "gw-c7d2e94f01ba6358",
    "failing": "gw-2a88b0fd96c1e743",
    "breaking": "gw-e04d5c3b7f1298a6",
    "wordy": "harbourmaster-without-digits",
    "short": "zq7-k2w9",
    "shouting": "gw-b83d0f6cA1e7925d",
    "turned": "gw-6e1f90c4D7ba3825",
    "parted": "gw-40c7e9a2F15d8b36e1d2",
    "spaced": "gw-9d2b57e0C83a46f1",
}
"""Model -> its key. None has a shape that anybody knows."""
LANGSMITH_KEY = "lsv2_pt_0123456789abcdef0123456789abcdef"


@dataclass
class Places:
    """Where bytes were found, by the place's name."""

    left: dict[str, bytes] = field(default_factory=dict)
    """What was sent away: to models by the model's name, and to LangSmith."""
    stored: dict[str, bytes] = field(default_factory=dict)
    """Files, unpacked, and what was printed."""

    @property
    def all(self) -> dict[str, bytes]:
        """All of them."""
        return {**self.left, **self.stored}

    @property
    def size(self) -> int:
        """Bytes that were searched."""
        return sum(map(len, self.all.values()))

    def holding(self, text: str) -> list[str]:
        """The places that hold a text, whatever its case."""
        wanted = text.lower().encode()
        return [name for name, data in self.all.items() if wanted in data.lower()]


def forms_of(key: str) -> list[str]:
    """The ways in which a key may be written."""
    wrapped = base64.b64encode(f"Bearer {key}".encode()).decode()
    turned = [codecs.encode(key, "rot13"), key[::-1], base64.b32encode(key.encode()).decode()[:-6]]
    parts = [key[:20], " ".join(key), "-".join(key), "".join(f"\\{ord(one):03o}" for one in key)]
    forms = [key, quote(key, safe=""), key.encode().hex(), wrapped[10:-4], json.dumps(key)[1:-1]]
    return [*forms, *turned, *parts]


def script(stage: Stage) -> None:
    """Let every model give its key back in its own way."""
    said = f"{CANARY} it is. My key is "
    keys = KEYS
    for name in ("plain", "wordy", "short"):
        stage.model(name, reply=f"{said}{keys[name]} indeed.")
    stage.model("shouting", reply=f"{said}{keys['shouting'].upper()} indeed.")
    stage.model("turned", reply=f"{said}{codecs.encode(keys['turned'], 'rot13')} indeed.")
    stage.model("parted", reply=f"{said}{keys['parted'][:20]}... indeed.")
    octal = "".join(f"\\{ord(letter):03o}" for letter in keys["spaced"])
    stage.model("spaced", reply=f"{said}{' '.join(keys['spaced'])} or {octal} indeed.")
    stage.model("cut", reply=Reply(None, chunks=[said, *keys["cut"], " indeed."]))
    wrapped = base64.b64encode(f"Bearer {keys['wrapped']}".encode()).decode()
    forms = (wrapped, quote(keys["wrapped"], safe=""), keys["wrapped"].encode().hex())
    stage.model("wrapped", reply=f"{said}{' or '.join(forms)}")
    stage.model("thought", reply=Reply(f"{CANARY}", reasoning=f"{said}{keys['thought']}"))
    stage.model("refusing", reply=Reply(None, refusal=f"{said}{keys['refusing']}"))
    bad = f"Incorrect API key provided for {CANARY}: {keys['failing']}"
    stage.model("failing", always=Fault.status(401, message=bad))
    broken = f"lost {CANARY} with {keys['breaking']}"
    stage.model("breaking", reply=CANARY, always=Fault.error_in_stream(message=broken))


def council_file(folder: Path, stage: Stage, tracing: Mapping[str, bool]) -> Path:
    """A council of all those models; each is also a voter, and one writes the answer."""
    models = {
        name: {
            "provider": "openai",
            "model": name,
            "base_url": stage.openai_url,
            "api_key_env": f"GATE_{place}",
            "retries": 0,
        }
        for place, name in enumerate(KEYS)
    }
    rules = {
        "name": "harbour",
        "models": models,
        "characters": [
            {"name": name.title(), "model": name, "personality": "brief"} for name in KEYS
        ],
        "deliberation": {"method": "borda", "rounds": {"min": 2, "max": 2}, "quorum": 0.3},
        "annotator": {"model": "plain"},
        "synthesizer": {"model": "cut", "compare": "model"},
        "tracing": dict(tracing),
    }
    file = folder / "harbour.yaml"
    file.write_text(json.dumps(rules))
    return file


def ask(
    tracing: Mapping[str, bool] | None = None,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    *,
    shows: bool = False,
) -> Places:
    """Ask the council once, as a user does, and gather all that was sent, stored and printed.

    Args:
        tracing: the council's `tracing:`.
        env: variables of the process.
        options: further arguments of `mom ask`.
        shows: whether the thread and the trace are printed afterwards, too, and the same is asked
            in a conversation and in a batch.
    """
    with tempfile.TemporaryDirectory() as home, Stage() as stage, Office() as office:
        script(stage)
        folder = Path(home)
        council = council_file(folder, stage, tracing or {})
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LANG", "MOM_"))}
        environment = {
            **kept,
            **{f"GATE_{place}": key for place, key in enumerate(KEYS.values())},
            "HOME": home,
            "MOM_DATA_DIR": str(folder / "data"),
            "MOM_CONFIG_DIR": str(folder / "config"),
            "LANGSMITH_ENDPOINT": office.url,
            **(env or {}),
        }
        mom = [sys.executable, "-c", "from mom_council.cli import main; main()"]
        commands = [
            ["ask", QUESTION, "--council", str(council), "--thread", "t1", "--debug", *options],
            ["threads", "show", "t1"],
            ["chat", "--council", str(council)],
            ["batch", "rows.jsonl", "answers.jsonl", "--council", str(council)],
        ]
        (folder / "rows.jsonl").write_text(json.dumps({"question": QUESTION}))
        allowed = [part for place in range(len(KEYS)) for part in ("--key", f"GATE_{place}")]
        trusted = [*mom, "trust", str(council), *allowed]
        subprocess.run(trusted, env=environment, cwd=home, capture_output=True, check=True)
        places = Places()
        for command in commands if shows else commands[:1]:
            done = subprocess.run(
                [*mom, *command],
                env=environment,
                cwd=home,
                capture_output=True,
                input=f"{QUESTION}\n".encode(),
                check=False,
                timeout=180,
            )
            places.stored[f"terminal: mom {command[0]}"] = done.stdout + done.stderr
        council.unlink()
        for call in stage.calls:
            name = f"sent to {call.model}"
            sent = json.dumps([call.body, dict(call.headers)]).encode()
            places.left[name] = places.left.get(name, b"") + sent
        if office.requests:
            places.left["sent to LangSmith"] = b"\n".join(office.bodies)
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                places.stored[str(file.relative_to(folder))] = b"\n".join(file_contents(file))
        return places


def file_contents(file: Path) -> Iterator[bytes]:
    """A file's bytes, and those of its cells where it is a database, unpacked."""
    yield file.read_bytes()
    if file.suffix not in (".db", ".sqlite"):
        return
    with sqlite3.connect(file) as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for table in tables:
            for row in db.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    yield from _unpacked(cell)


def _unpacked(cell: Any) -> Iterator[bytes]:
    if isinstance(cell, str):
        yield cell.encode()
    if not isinstance(cell, bytes):
        return
    yield cell
    for unpack in (zlib.decompressobj(), zlib.decompressobj(zdict=_DICTIONARY)):
        try:
            yield unpack.decompress(cell)
        except zlib.error:
            continue


SENDS = {"LANGSMITH_API_KEY": LANGSMITH_KEY, "LANGSMITH_TRACING": "true"}
Scenario = tuple[str, Mapping[str, bool], Mapping[str, str], Sequence[str], Sequence[str]]
SCENARIOS: tuple[Scenario, ...] = (
    # What is set, `tracing:`, the environment, and the places where no key and no word may be.
    ("everything on", {}, SENDS, (), ()),
    ("a LangSmith key alone", {}, {"LANGSMITH_API_KEY": LANGSMITH_KEY}, (), ("sent to LangSmith",)),
    (
        "LANGSMITH_TRACING=false",
        {},
        {**SENDS, "LANGSMITH_TRACING": "false"},
        (),
        ("sent to LangSmith",),
    ),
    ("langsmith: false", {"langsmith": False}, SENDS, (), ("sent to LangSmith",)),
    (
        "content: false",
        {"content": False},
        SENDS,
        ("sent to LangSmith", "data/traces/traces.db"),
        (),
    ),
    ("local: false", {"local": False}, {}, (), ("data/traces/traces.db",)),
)
"""What is set; `tracing:`; the environment; places without a word of anybody; absent places."""


def faults_of(scenario: Scenario) -> tuple[list[str], Places]:
    """What leaked under a scenario, in words; and where it was looked for."""
    _, tracing, env, wordless, absent = scenario
    places = ask(tracing, env, shows=not tracing)
    faults = [f"{place} exists" for place in absent if place in places.all]
    faults += [
        f"{place} holds what was said"
        for place in places.holding(CANARY)
        if any(place.startswith(name) for name in wordless)
    ]
    for model, key in {**KEYS, "LangSmith": LANGSMITH_KEY}.items():
        for form in forms_of(key):
            faults += [f"{place} holds the key of {model}" for place in places.holding(form)]
    return faults, places


def main() -> None:
    """Run every scenario, and write what was searched and found."""
    from mom_council.tests.reliability import write_section
    from mom_council.tests.tracing import leak_doors
    from mom_council.tests.tracing.echoing_vendor import FORMS, PLACES

    rows = ["| setting | bytes searched | places | leaks |", "| --- | ---: | ---: | ---: |"]
    searched = leaked = 0
    for scenario in SCENARIOS:
        faults, places = faults_of(scenario)
        searched, leaked = searched + places.size, leaked + len(faults)
        rows.append(f"| {scenario[0]} | {places.size:,} | {len(places.all)} | {len(faults)} |")
        print(rows[-1], *faults, sep="\n", flush=True)
    for setting in leak_doors.SETTINGS:
        faults, places = leak_doors.faults_of(setting)
        searched, leaked = searched + places.size, leaked + len(faults)
        row = f"| all doors: {setting[0]} | {places.size:,} | {len(places.all)} | {len(faults)} |"
        rows.append(row)
        print(row, *faults, sep="\n", flush=True)
    text = (
        "Promise: no key leaves for anybody but its owner, none is stored or printed, and a "
        f"privacy switch does what it says. {len(KEYS)} servers repeat their key (plain, cut, in "
        "base64, as hex, in upper case, in rot13, with blanks, in octal escapes, a part of it, as "
        "a thought, a refusal, an error); every byte that left or stayed is searched for the keys "
        "in twelve forms, and for a word of the question. The doors are `mom ask`, `mom chat`, "
        "`mom batch` and `mom threads show`. Under *all doors* a vendor repeats its key in "
        f"{len(PLACES)} places of a reply (text, thoughts, calls, log probabilities, citations, "
        f"headers, ids, errors, ...), in {len(FORMS)} forms and three protocols, and the councils "
        "are asked through `mom serve` (chat completions, responses and messages, whole, streamed, "
        "repeated, with tools), `mom mcp` over stdio and HTTP, `mom ask`, `mom batch`, the chat "
        "page, and LangGraph's streams in Python; their logs, metrics, OpenTelemetry, LangSmith, "
        "`mom trace` and `mom storage export` are searched as well."
    )
    tried = f"{len(SCENARIOS) + len(leak_doors.SETTINGS)} settings, {searched:,} bytes"
    write_section("leaks", "Secrets and switches", "\n".join([text, "", *rows]), tried, leaked)


if __name__ == "__main__":
    main()
