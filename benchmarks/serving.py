"""A crowd on `mom serve`: `python -m mom_council.benchmarks.serving`.

The server and the models (a stage) are processes of their own; everything is on loopback and shares
the machine's cores with the clients, which are measured from outside.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import aiohttp
import yaml

from mom_council.benchmarks.speed import stage_apart

NAMES = ("Ada", "Boris", "Clara")
CALLS = 7  # three answers, three ballots, the synthesizer
TEXT = '{"reason": "It covers the same distance in less time.", "vote": "A"} ' * 6


class Talk(NamedTuple):
    """One conversation."""

    seconds: float
    first: float
    fault: str = ""


class Sample(NamedTuple):
    """The server's process at one moment."""

    megabytes: float
    cpu: float


class Process(NamedTuple):
    """A running server."""

    url: str
    pid: int

    def sample(self) -> Sample:
        """What it holds and has used."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        held = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Sample(int(held.split()[1]) / 1024, ticks / os.sysconf("SC_CLK_TCK"))


@contextmanager
def served(base_url: str) -> Iterator[Process]:
    """`mom serve` with a council of three that vote, in a process of its own."""
    voice = {"provider": "openai", "model": "voice", "base_url": base_url, "timeout": 300}
    council = {
        "name": "bench",
        "models": {"voice": voice},
        "characters": [{"name": n, "model": "voice", "personality": f"{n}, brief"} for n in NAMES],
        "synthesizer": {"model": "voice"},
        "deliberation": {"rounds": {"max": 1}, "quorum": 1.0, "ballots": "always"},
        "thermal": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(yaml.safe_dump(council), "utf-8")
        code = "from mom_council.cli import main; main()"
        command = [sys.executable, "-c", code, "serve", "-c", str(file), "--only", "--port", "0"]
        env = {**os.environ, "MOM_DATA_DIR": folder, "NO_PROXY": "127.0.0.1"}
        log = Path(folder) / "serve.log"  # a line for each request
        with (
            log.open("w") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
            ) as server,
        ):
            try:
                assert server.stdout is not None
                line = server.stdout.readline()
                if not line:
                    raise SystemExit(f"the server did not start:\n{log.read_text()}")
                yield Process(line.split()[4], server.pid)
            finally:
                server.terminate()


async def talk(client: aiohttp.ClientSession, url: str, number: int, rude: float) -> Talk | None:
    """One conversation; None where the client was to hang up on the way, and did."""
    body = {
        "model": "bench",
        "stream": number % 2 == 0,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"Which train is faster, and why? ({number})"},
        ],
    }
    leaves = rude and number % round(1 / rude) == 0
    began = time.perf_counter()
    first, read = 0.0, b""
    try:
        async with client.post(f"{url}/chat/completions", json=body) as reply:
            async for part in reply.content.iter_any():
                first = first or time.perf_counter() - began
                read += part
                if leaves:
                    return None
            if reply.status != 200:
                return Talk(0, 0, f"{reply.status} {read[:200]!r}")
    except (aiohttp.ClientError, TimeoutError) as error:
        return Talk(0, 0, repr(error))
    whole = read.endswith(b"data: [DONE]\n\n") if body["stream"] else read.endswith(b"}")
    if not whole or b'"finish_reason":"stop"' not in read or b'"degraded":true' in read:
        return Talk(0, 0, f"not whole: {read[-200:]!r}")
    return Talk(time.perf_counter() - began, first)


async def crowd(server: Process, at_once: int, seconds: float, rude: float) -> dict[str, Any]:
    """So many conversations at a time for so long; what came of them."""
    talks: list[Talk] = []
    left = number = 0
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        await asyncio.gather(*(talk(client, server.url, n * 2, 0) for n in range(8)))
        samples = [server.sample()]
        end = time.monotonic() + seconds

        async def converse() -> None:
            nonlocal left, number
            while time.monotonic() < end:
                number += 1
                told = await talk(client, server.url, number, rude)
                if told is None:
                    left += 1
                else:
                    talks.append(told)

        async def watch() -> None:
            while True:
                await asyncio.sleep(seconds / 12)
                samples.append(server.sample())

        began = time.monotonic()
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(converse() for _ in range(at_once)))
        watching.cancel()
        lasted = time.monotonic() - began
        samples.append(server.sample())
    return {"talks": talks, "left": left, "lasted": lasted, "samples": samples}


def main() -> None:
    """Measure and print."""
    told = argparse.ArgumentParser(prog="serving", description="A crowd on `mom serve`.")
    told.add_argument("--at-once", type=int, default=200)
    told.add_argument("--seconds", type=float, default=60)
    told.add_argument("--latency", type=float, default=2.0, help="seconds of each model call")
    told.add_argument("--chunks", type=int, default=84, help="chunks of each answer")
    told.add_argument("--rude", type=float, default=0.0, help="share of clients that hang up")
    given = told.parse_args()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load before {load}")
    path = 3 * given.latency
    print(
        f"{given.at_once} conversations at once for {given.seconds:g} s, half of them streamed: "
        f"{CALLS} calls of {given.latency:g} s each, critical path {path:g} s"
    )
    script = {"reply": {"text": TEXT, "chunks": given.chunks}, "latency": given.latency}
    with stage_apart(script) as models, served(models) as server:
        seen = asyncio.run(crowd(server, given.at_once, given.seconds, given.rude))
    report(seen, path)


class Figures(NamedTuple):
    """What a crowd saw, and what it cost the server."""

    answered: int
    faults: int
    a_second: float
    cpu_ms: float
    """Of the server's CPU for each conversation."""
    p50: float
    """Of a conversation's time over the critical path."""
    p99: float
    megabytes_before: float
    megabytes: float
    """At the most."""
    megabytes_half_way: float
    megabytes_at_end: float


def figures(seen: dict[str, Any], path: float) -> Figures:
    """Sum up what was seen; `path` is the critical path in seconds."""
    good = [talk for talk in seen["talks"] if not talk.fault]
    wall = sorted(talk.seconds for talk in good)
    samples: list[Sample] = seen["samples"]
    cpu = samples[-1].cpu - samples[0].cpu
    held = [sample.megabytes for sample in samples]
    return Figures(
        answered=len(good),
        faults=len(seen["talks"]) - len(good),
        a_second=len(good) / seen["lasted"],
        cpu_ms=1000 * cpu / max(len(good) + seen["left"], 1),
        p50=median(wall) / path,
        p99=quantiles(wall, n=100)[98] / path,
        megabytes_before=held[0],
        megabytes=max(held),
        megabytes_half_way=held[len(held) // 2],
        megabytes_at_end=held[-1],
    )


def report(seen: dict[str, Any], path: float) -> None:
    """Print what was seen."""
    all_of_it = figures(seen, path)
    left = seen["left"]
    print(f"\n{all_of_it.answered} answered, {all_of_it.faults} errors, {left} hung up on purpose")
    print(
        f"{all_of_it.a_second:.1f} answers a second; CPU of the server "
        f"{all_of_it.cpu_ms:.0f} ms a conversation"
    )
    print(
        f"p50 {all_of_it.p50 * path:.2f} s = {all_of_it.p50:.2f} of the critical path, "
        f"p99 {all_of_it.p99 * path:.2f} s = {all_of_it.p99:.2f}"
    )
    print(
        f"memory: {all_of_it.megabytes_before:.0f} MB before, {all_of_it.megabytes:.0f} at the "
        f"most, {all_of_it.megabytes_half_way:.0f} after half of the run, "
        f"{all_of_it.megabytes_at_end:.0f} at "
        "the end"
    )
    for fault in [talk.fault for talk in seen["talks"] if talk.fault][:5]:
        print(f"error: {fault}")
    sys.exit(bool(all_of_it.faults))


if __name__ == "__main__":
    main()
