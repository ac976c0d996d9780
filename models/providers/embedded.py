"""Models of this machine, by llama.cpp: no server to install, no key, no network.

`open_embedded` starts an engine (see `llama_engine`) for some weights and says where it listens
and with which key: it speaks the OpenAI protocol, on 127.0.0.1 alone, to those who have the key.
One engine serves every council of this process that asks for the same weights and settings.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mom_council.councils.refusals import nearest
from mom_council.councils.schema import Model
from mom_council.errors import (
    CouncilError,
    MixtureError,
    ModelUnavailableError,
    ProviderNotInstalledError,
    UnknownNameError,
)
from mom_council.models.weights import SHIPPED, downloaded_weights, is_gguf
from mom_council.paths import weights_dir
from mom_council.redaction import quote

if TYPE_CHECKING:
    from mom_council.models.resolved import ModelInstance

SHIPPED_CONTEXT = 512
"""Tokens a conversation with the shipped models may have: what they were trained on."""
CONTEXT = 4096
"""Tokens for all others where the council does not say; llama.cpp lowers it to what they know."""
SLOTS = 4
"""Conversations at a time where the council does not say."""
START_TIMEOUT = 300.0
"""Seconds; large weights on a slow disk take minutes."""
SMALL = 64_000_000
"""Bytes of weights below which threads cost more to wake than they save."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine listens, and the key it asks for, which no other process knows."""

    base_url: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Load:
    weights: Path
    name: str
    context: int
    slots: int


@dataclass(frozen=True, slots=True)
class _Engine:
    program: subprocess.Popen[str]
    endpoint: Endpoint

    def runs(self) -> bool:
        return self.program.poll() is None

    def stop(self) -> None:
        self.program.kill()
        _release(self.program)


_engines: dict[_Load, Future[_Engine]] = {}
_lock = threading.Lock()


def open_embedded(spec: Model) -> Endpoint:
    """Have an engine serve the weights that `spec` names, and say where.

    Blocks until it serves (0.1 s for the shipped weights, seconds for gigabytes): call it in a
    thread. Each slot has `spec.context` tokens, there are `spec.concurrency` slots. An engine that
    has died is started again.

    Raises:
        UnknownNameError: there are no weights of that name.
        CouncilError: the file is missing, or holds no GGUF weights.
        ProviderNotInstalledError: there is no llama.cpp here.
        ModelUnavailableError: llama.cpp could not start with these weights.
    """
    load = _load(spec)
    with _lock:
        engine = _engines.get(load)
        if engine and engine.done() and not engine.result().runs():
            engine.result().stop()
            engine = None
        future = engine or Future()
        _engines[load] = future
    if engine is None:
        _start_into(future, load)
    return future.result().endpoint


def close_embedded() -> None:
    """Stop every engine of this process; whoever still reads an answer loses it."""
    with _lock:
        stopping = list(_engines.values())
        _engines.clear()
    for future in stopping:
        if future.exception() is None:
            future.result().stop()


def is_running(spec: Model) -> bool:
    """Whether the engine of `spec` runs, so that asking it loads nothing."""
    with contextlib.suppress(MixtureError), _lock:
        engine = _engines.get(_load(spec))
        return engine is not None and engine.done() and engine.result().runs()
    return False


def stop_embedded(spec: Model) -> None:
    """Stop the engine of `spec`, if it runs; the next to ask starts it again."""
    with contextlib.suppress(MixtureError), _lock:
        engine = _engines.get(_load(spec))
        if engine is not None and engine.done():
            del _engines[_load(spec)]
            engine.result().stop()


async def loaded_among(
    instances: Sequence[ModelInstance],
) -> tuple[list[ModelInstance], list[ModelInstance]]:
    """Which of some models have an engine that runs, and of which that is known: of all."""

    def running() -> list[ModelInstance]:
        return [one for one in instances if one.spec is not None and is_running(one.spec)]

    return await asyncio.to_thread(running), list(instances)


async def model_sizes(instances: Sequence[ModelInstance]) -> list[int | None]:
    """Bytes of each model's weights; None where there are none."""
    return await asyncio.to_thread(lambda: [_size(one.model) for one in instances])


def _size(name: str) -> int | None:
    try:
        return find_weights(name).stat().st_size
    except (MixtureError, OSError):
        return None


async def unload(instance: ModelInstance) -> None:
    """Stop the engine of a model."""
    if instance.spec is not None:
        await asyncio.to_thread(stop_embedded, instance.spec)


async def sees(spec: Model) -> bool:
    """Whether the weights see: with the second file beside them."""
    try:
        return eyes_of(find_weights(spec.model)) is not None
    except MixtureError:
        return False


def is_installed() -> bool:
    """Whether llama.cpp is here; it is not loaded to find out."""
    return importlib.util.find_spec("xllamacpp") is not None


ENGINE = "xllamacpp>=2026.9"
ENGINE_MEGABYTES = 34
"""Of its download; 102 MB on the disk."""


def install_command() -> list[str] | None:
    """The command that adds llama.cpp to the environment of this process; None: there is none."""
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        return [*pip, "install", "--only-binary", ":all:", ENGINE]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable, "--no-build", ENGINE]
    return None


def install_engine() -> None:
    """Add llama.cpp to the environment of this process; the installer checks its checksum.

    Raises:
        ProviderNotInstalledError: it could not be installed.
    """
    command = install_command()
    package = ENGINE.partition(">")[0]
    cure = (
        f"`uv tool install --with {package} mom-council`, or `pipx inject mom-council {package}`, "
        "or `pip install` it where mom-council is; or install Ollama instead"
    )
    if command is None:
        raise ProviderNotInstalledError("llama.cpp needs pip or uv to be installed", cure=cure)
    # What the installer says of itself goes where progress is shown; stdout is for answers.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # noqa: S603
    importlib.invalidate_caches()
    if done.returncode or not is_installed():
        raise ProviderNotInstalledError(
            f"llama.cpp could not be installed by {command[0]!r}", cure=cure
        )


def _load(spec: Model) -> _Load:
    weights = find_weights(spec.model)
    usual = SHIPPED_CONTEXT if is_shipped(spec.model) else CONTEXT
    return _Load(weights, spec.model, spec.context or usual, spec.concurrency or SLOTS)


def is_shipped(name: str) -> bool:
    """Whether the weights of this name come with the package."""
    return find_weights(name).parent == SHIPPED


def find_weights(name: str) -> Path:
    """The file of the weights called `name`: shipped, downloaded, or a path to a .gguf file.

    Raises:
        UnknownNameError: there are none of that name.
        CouncilError: the file is missing, or holds no GGUF weights.
    """
    if name.lower().endswith(".gguf") or "/" in name or os.sep in name:
        return _weights_at(name)
    for folder in (SHIPPED, weights_dir()):
        if (file := folder / f"{name}.gguf").is_file():
            return file
    near = nearest(name, sorted(downloaded_weights() | downloaded_weights(SHIPPED)))
    other = "give the path of a .gguf file, or get some with `mom download`"
    raise UnknownNameError(
        f"there are no weights {quote(name)}",
        cure=f"{near}; {other}" if near else other,
    )


def _weights_at(name: str) -> Path:
    try:
        file = Path(name).expanduser().absolute()
        if is_gguf(file):
            return file
        says = "is no GGUF file; llama.cpp reads no other"
    except IsADirectoryError:
        says = "is a folder; name the .gguf file in it"
    except FileNotFoundError:
        says = "does not exist; look at its path, or get weights with `mom download`"
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no path"
        says = f"cannot be read ({reason}); look at its path and its permissions"
    raise CouncilError(f"the weights file {quote(name)} {says}")


def eyes_of(weights: Path) -> Path | None:
    """The second file with which llama.cpp models see, where it lies beside the weights.

    It is called as its publishers call it: `NAME-mmproj.gguf`, or `mmproj-NAME.gguf`, and NAME may
    leave out how the weights are rounded (`-Q4_K_M`).
    """
    bare = re.sub(r"[-.](q\d\w*|iq\d\w*|bf16|f16|f32)$", "", weights.stem, flags=re.IGNORECASE)
    for name in dict.fromkeys((weights.stem, bare)):
        for file in (f"{name}-mmproj.gguf", f"mmproj-{name}.gguf"):
            if (eyes := weights.with_name(file)).is_file():
                return eyes
    return None


def _start_into(future: Future[_Engine], load: _Load) -> None:
    try:
        engine = _start(load)
    except BaseException as error:
        with _lock:
            if _engines.get(load) is future:
                del _engines[load]  # so that the next to ask tries again
        future.set_exception(error)
        raise
    future.set_result(engine)


def _start(load: _Load) -> _Engine:
    if not is_installed():
        raise ProviderNotInstalledError(
            f"{quote(load.name)} needs llama.cpp, and its package 'xllamacpp' is not installed",
            cure="`mom download engine` (where it has no wheel, install Ollama instead)",
        )
    key = secrets.token_urlsafe(32)
    program = _launch()
    clock = threading.Timer(START_TIMEOUT, program.kill)
    clock.daemon = True
    clock.start()
    try:
        # By its standard input, because command lines and environments can be read by others.
        answer = _exchange(program, {**_order(load), "key": key})
    except BaseException:
        program.kill()
        _release(program)
        raise
    finally:
        clock.cancel()
    if "url" not in answer:
        _release(program)
        reason = answer.get("error") or _death(program.returncode)
        raise ModelUnavailableError(
            f"llama.cpp cannot serve {quote(load.name)}: {reason}",
            cure="try smaller weights, a smaller 'context', or get the file again",
        )
    return _Engine(program, Endpoint(f"{answer['url']}/v1", key))


def _order(load: _Load) -> dict[str, object]:
    small = load.weights.stat().st_size < SMALL
    return {
        "path": [str(place) for place in sys.path],
        "weights": str(load.weights),
        "eyes": str(eyes_of(load.weights) or ""),
        "name": load.name,
        "context": load.context,
        "slots": load.slots,
        "threads": 1 if small else _threads(),
        "warmup": not small,
    }


def _threads() -> int:
    """One core less than there are; of many processors half are hyperthreads.

    llama.cpp's threads wait for each other in a loop. Where another program takes one of their
    cores (the council itself, a browser), all of them wait: with a thread on each of two busy
    cores, a model of 135M answered three times as slowly as with one, for 2.4 times the CPU.
    """
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        usable = os.cpu_count() or 2
    return max(1, usable - 1) if usable <= 4 else max(4, usable // 2)


def _launch() -> subprocess.Popen[str]:
    script = Path(__file__).with_name("llama_engine.py")
    try:
        return subprocess.Popen(  # noqa: S603 - our own file, by our own interpreter
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            # Ctrl-C is for the council, which then stops its engines.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        raise ModelUnavailableError(
            f"llama.cpp cannot be started ({error.strerror or error})",
            cure="is the Python that runs this still in its place?",
        ) from None


def _exchange(program: subprocess.Popen[str], order: dict[str, object]) -> dict[str, str]:
    """Hand the order over and read the answer; empty when the program ended without one."""
    if program.stdin is None or program.stdout is None:
        raise AssertionError("started with pipes")
    try:
        program.stdin.write(json.dumps(order) + "\n")
        program.stdin.flush()
        line = program.stdout.readline()
    except BrokenPipeError:
        line = ""
    answer: dict[str, str] = json.loads(line or "{}")
    return answer


def _release(program: subprocess.Popen[str]) -> None:
    """Close a program's pipes and wait for its end, which is near."""
    for pipe in (program.stdin, program.stdout):
        if pipe is not None:
            pipe.close()
    program.wait()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"its engine was ended by signal {-code}, most often for want of memory"
    return f"its engine ended with code {code}"


def _forget() -> None:
    """In a forked child: the engines are the parent's to stop; the child starts its own."""
    global _lock
    _lock = threading.Lock()
    for future in _engines.values():
        if future.done() and future.exception() is None:
            future.result().program.returncode = 0  # it is not the child's to wait for
    _engines.clear()


atexit.register(close_embedded)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
