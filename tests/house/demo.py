"""Which files of the product the demo question runs through.

    python -m mom_council.tests.house.demo

asks the embedded demo council one question from Python, and prints every product file in which at
least one function ran: the trip through the house, without the door. (Version 0.1 went through 84.)
Files that only define something are not counted, nor is what a file runs while it is loaded. The
tiny models run inside a process of their own, which is not looked into.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType

from mom_council.tests.house.sources import ROOT

QUESTION = "What is 17 + 25?"
_IS_FUNCTION = 0x1  # inspect.CO_OPTIMIZED: set for functions, not for modules and class bodies


def entered_files() -> list[str]:
    """The product's files that the demo question runs through, from the root."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "MOM_DATA_DIR": f"{folder}/data",
            "MOM_CONFIG_DIR": f"{folder}/config",
            "PYTHONWARNINGS": "ignore",
        }
        ran = subprocess.run(
            [sys.executable, "-m", "mom_council.tests.house.demo", f"{folder}/entered.json"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if ran.returncode or "42" not in ran.stdout:
            raise RuntimeError(f"the demo question was not answered: {ran.stdout}{ran.stderr}")
        entered: list[str] = json.loads(Path(folder, "entered.json").read_text("utf-8"))
        return entered


def ask_and_record(target: Path) -> None:
    """Ask the question in this process, and write which files it ran through."""
    files: set[str] = set()

    def notice(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event != "call" or code.co_filename in files or not code.co_flags & _IS_FUNCTION:
            return
        if not _is_loading(frame):
            files.add(code.co_filename)

    import mom_council

    threading.setprofile(notice)
    sys.setprofile(notice)
    try:
        result = mom_council.council("demo").invoke({"messages": [("user", QUESTION)]})
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    target.write_text(json.dumps(sorted(_from_root(files))), "utf-8")
    print(result["messages"][-1].text)


def _is_loading(frame: FrameType) -> bool:
    """Whether a function runs because a file of the product is being loaded."""
    caller = frame.f_back
    while caller is not None:
        inside = caller.f_globals.get("__name__") != "__main__"
        if inside and caller.f_code.co_name == "<module>":
            return True
        caller = caller.f_back
    return False


def _from_root(files: set[str]) -> set[str]:
    inside = {Path(file).resolve() for file in files if "<" not in file}
    paths = {
        file.relative_to(ROOT.resolve()) for file in inside if file.is_relative_to(ROOT.resolve())
    }
    return {path.as_posix() for path in paths if path.parts[0] not in {"tests", ".venv"}}


if __name__ == "__main__":
    if sys.argv[1:]:
        ask_and_record(Path(sys.argv[1]))
    else:
        print(*entered_files(), sep="\n")
