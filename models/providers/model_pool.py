"""Weights of Hugging Face in this process: loaded once, and used by one call at a time.

Nothing is ever fetched here: gigabytes come when somebody says so, not because a question was
asked. What is missing is named with the command that gets it.

All calls run on one thread. They share the same hardware, so two at once are no faster, and need
the memory of two. The calls run in the order in which they come, but for this: a call whose weights
are loaded goes before one that would have to load others, so that a round does not load two models
by turns.

A council's layers may be more than the memory holds at once. Whoever wants a model borrows it; what
nobody borrows stays loaded until another does not fit beside it, and then those that were unused
longest go first. What was freed is loaded again when it is wanted.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mom_council.errors import CouncilError, ModelUnavailableError
from mom_council.redaction import quote

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


def folder_of(name: str) -> Path:
    """The folder that holds the model called `name`: a path, or a hub's name for it.

    Raises:
        ModelUnavailableError: it was not downloaded yet.
        CouncilError: it is neither a folder nor a hub's name.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if not _REPOSITORY.fullmatch(name):
        raise CouncilError(
            f"{quote(name)} is no folder here, and no name like 'owner/model'",
            cure="name one of them",
        )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        raise ModelUnavailableError(
            f"{quote(name)} is not on this machine, and nothing is downloaded unasked",
            cure=f"get it once with `hf download {name}`, or name the folder that holds it",
        ) from None


def weights_in(folder: Path) -> list[Path]:
    """The files of weights in a folder and its parts, without second copies in half precision.

    Raises:
        CouncilError: there are none in a format that holds numbers and nothing else.
    """
    files = sorted(file for file in folder.rglob("*.safetensors") if file.is_file())
    plain = [file for file in files if ".fp16." not in file.name and ".non_ema." not in file.name]
    if weights := plain or files:
        return weights
    if any(file.suffix in _PICKLED for file in folder.rglob("*")):
        raise CouncilError(
            (
                f"{quote(str(folder))} has its weights in pickled files, which can run "
                "code when they are opened"
            ),
            cure="get them as .safetensors",
        )
    raise CouncilError(
        f"{quote(str(folder))} holds no weights (.safetensors)", cure="look at its path"
    )


OVERTAKEN = 64
"""Later calls that may be served before an earlier one: nobody waits for ever."""


@dataclass(slots=True)
class _Job:
    key: Hashable
    work: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    overtaken: int = 0


class ModelThread:
    """Calls in line for one thread; `loaded()` says whose weights are in memory."""

    def __init__(self, loaded: Callable[[], Collection[Hashable]]) -> None:
        self._loaded = loaded
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bench")
        self._line: list[_Job] = []
        self._lock = threading.Lock()

    def submit(self, key: Hashable, work: Callable[[], Any]) -> Future[Any]:
        """Get in line with work that needs the weights called `key`; cancel it to leave."""
        job = _Job(key, work)
        with self._lock:
            self._line.append(job)
        self._pool.submit(self._serve)
        return job.future

    def _serve(self) -> None:
        with self._lock:
            job = self._next()
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = job.work()
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _next(self) -> _Job:
        first = self._line[0]
        if first.overtaken < OVERTAKEN:
            loaded = self._loaded()
            chosen = next((job for job in self._line if job.key in loaded), first)
        else:
            chosen = first
        place = self._line.index(chosen)
        for earlier in self._line[:place]:
            earlier.overtaken += 1
        return self._line.pop(place)


_MARGIN = 1.15
"""What a model takes over its weights: activations, caches, what the allocator cannot use."""


@dataclass(slots=True)
class _Held:
    thing: Any
    size: int
    device: str
    borrowers: int = 0


class ModelPool:
    """Loaded models by what they were loaded from. Any thread may borrow."""

    def __init__(self, free: Callable[[str], int | None] | None = None) -> None:
        """`free(device)` says how many bytes are free there; None: nobody knows."""
        self._free = free or free_memory
        self._held: dict[Hashable, _Held] = {}
        self._door = threading.Lock()
        self._count = threading.Lock()

    @contextlib.contextmanager
    def lend(
        self, key: Hashable, load: Callable[[], Any], *, size: int, device: str
    ) -> Iterator[Any]:
        """A loaded model, which is not freed while the `with` lasts.

        Args:
            key: what makes it this model: its folder, precision, device.
            load: makes it where it is not here; one at a time.
            size: bytes of its weights, as far as files tell.
            device: where it goes.
        """
        with self._door:
            held = self._held.pop(key, None)
            if held is None:
                self._free_memory_for(int(size * _MARGIN), device)
                held = _Held(load(), size, device)
            self._held[key] = held  # at the end of the line
            with self._count:
                held.borrowers += 1
        try:
            yield held.thing
        finally:
            with self._count:
                held.borrowers -= 1

    def loaded(self) -> list[Hashable]:
        """What is here, the next to go first."""
        return list(self._held)

    @property
    def size(self) -> int:
        """Bytes of the weights that are here."""
        return sum(held.size for held in list(self._held.values()))

    def clear(self) -> None:
        """Free everything that nobody borrows."""
        with self._door:
            for key in [key for key, held in self._held.items() if not held.borrowers]:
                del self._held[key]
            _sweep()

    def _free_memory_for(self, needs: int, device: str) -> None:
        while (free := self._free(device)) is not None and free < needs:
            idle = next(
                (
                    key
                    for key, held in self._held.items()
                    if held.device == device and not held.borrowers
                ),
                None,
            )
            if idle is None:
                return  # it is tried all the same: an estimate may be wrong
            del self._held[idle]
            _sweep()


def best_device(wish: str | None = None) -> str:
    """Where models go: as wished, else the first GPU there is, else the processor."""
    import torch

    if wish:
        return wish
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def free_memory(device: str) -> int | None:
    """Bytes that are free on a device, as it says itself; None where it does not."""
    import torch

    if device.startswith("cuda"):
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + int(idle)
    if device == "mps":
        most = torch.mps.recommended_max_memory()
        return int(most) - int(torch.mps.driver_allocated_memory())
    return _free_of_the_processor()


def _free_of_the_processor() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _sweep() -> None:
    """Hand what was let go back to the system."""
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch is not None and torch.backends.mps.is_available():
        torch.mps.empty_cache()


MODEL_POOL = ModelPool()
"""The process's own."""
