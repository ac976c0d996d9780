"""Builds the scripted NVML of `fake_nvml.c` and runs code against it in a process of its own.

A process of its own, because the binding keeps the first library that it loads, and because the
machine that runs the tests may have a real one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("fake_nvml.c")

PREAMBLE = """
import ctypes, json, os, sys
from pathlib import Path
fake = ctypes.CDLL(os.environ["FAKE_NVML_LIBRARY"], mode=ctypes.RTLD_GLOBAL)
counter = lambda name: ctypes.c_int.in_dll(fake, name).value
from mom_council.models.thermal import *
nowhere = Path(os.environ["FAKE_NVML_SCRIPT"]).parent / "no-hwmon"
read = lambda: read_temperatures(nowhere)
say = lambda value: print(json.dumps(value))
"""


def build(folder: Path, *, old_driver: bool = False) -> Path:
    """Compile the library into a folder.

    Raises:
        RuntimeError: there is no C compiler, or it refused the source.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise RuntimeError(
            "these tests need a C compiler (cc, gcc or clang) to build a scripted NVML; "
            "install one, for instance with `apt install gcc`"
        )
    library = folder / ("old" if old_driver else "new") / "libnvidia-ml.so.1"
    library.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    command += ["-Wl,-soname,libnvidia-ml.so.1", *(["-DOLD_DRIVER"] if old_driver else [])]
    built = subprocess.run(
        [*command, "-o", library, SOURCE], capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise RuntimeError(f"{compiler} refused {SOURCE.name}:\n{built.stderr}")
    return library


def play(library: Path, script: Sequence[str], code: str, **env: str) -> Any:
    """Run code against the library; what it hands to `say` comes back.

    Args:
        library: what `build` built.
        script: one line per poll.
        code: Python; `read`, `say`, `counter` and the names of the thermal module are there.
        env: further environment variables.
    """
    lines = library.with_name("script.txt")
    lines.write_text("\n".join(script) + "\n", encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "FAKE_NVML_LIBRARY": str(library),
            "FAKE_NVML_SCRIPT": str(lines),
            **env,
        },
    )
    if ran.returncode:
        raise AssertionError(f"the code against the scripted NVML failed:\n{ran.stderr}")
    return json.loads(ran.stdout)
