"""A stage as a command: `python -m mom_council.testing --port 0 --script FILE.json`.

The first line it prints is its URL. A script file holds what `Stage` and `Stage.model` take::

    {"slots": 1, "default": "ok", "models": {
        "quick": {"reply": ["41", "42"], "latency": 0.2,
                  "faults": [{"kind": "status", "code": 429, "retry_after": 0.1}, null, "hang"]}}}
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path
from typing import Any

from .script import read_script
from .server import Stage


def main() -> None:
    """Serve until a signal says stop."""
    parser = argparse.ArgumentParser(prog="stage", description="Scripted models over HTTP.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, help="a JSON file of models")
    parser.add_argument("--log", type=Path, help="a file for one JSON line per request")
    options = parser.parse_args()
    written: dict[str, Any] = {"default": "ok"}
    if options.script:
        written = json.loads(options.script.read_text("utf-8"))
    default = written.get("default")
    stage = Stage(
        default=None if default is None else read_script({"reply": default}),
        slots=written.get("slots"),
        log=options.log,
        port=options.port,
    )
    for name, script in written.get("models", {}).items():
        stage.scripts[name] = read_script(script)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with stage:
        print(stage.url, flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
