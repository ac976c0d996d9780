"""llama.cpp, as a program of its own: `models.providers.embedded` starts it and talks to it.

It is not imported, it is run. One line of JSON comes in (what to load, the key to ask for), one
goes out (where it listens, or why not), and then it serves until its standard input ends, which
happens also when whoever started it was killed. It knows nothing of councils and imports nothing
of this package, so that it starts in a tenth of a second.

Why a program of its own: xllamacpp holds Python's lock while it loads weights and while it stops,
never stops while someone is still reading a stream, and ends the whole program when memory runs
out. Here that costs one engine, not the question and everything else the program was doing.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from typing import Any


def main() -> None:
    """Serve what the first line of standard input asks for until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    order = json.loads(sys.stdin.readline())
    sys.path[:] = order["path"]
    with tempfile.TemporaryFile() as log:
        # llama.cpp writes to the descriptors themselves; nothing of it may reach a terminal.
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            server: Any = _serve(order)
            answer = {"url": server.listening_address}
        except Exception as error:
            time.sleep(0.1)  # the log is written by a thread of its own
            log.seek(0)
            answer = {"error": _reason(log.read().decode(errors="replace")) or str(error)}
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    if "url" in answer:
        sys.stdin.read()
    # There is nothing to keep, and an orderly stop would wait for the last reader of a stream.
    os._exit(0)


def _serve(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["weights"]
    params.mmproj.path = order["eyes"]
    params.model_alias = {order["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.n_parallel = order["slots"]
    params.n_ctx = order["context"] * order["slots"]  # llama.cpp divides it among the slots
    params.cpuparams.n_threads = order["threads"]
    params.cpuparams_batch.n_threads = order["threads"]
    # n_gpu_layers stays at "as many as fit", which is all of them, or none without a GPU.
    params.cache_ram_mib = 256  # of old prompts; the default is 8 GB
    params.warmup = order["warmup"]
    params.use_jinja = True
    params.ui = params.endpoint_slots = params.endpoint_metrics = params.endpoint_props = False
    params.verbosity = 1  # errors
    return xllamacpp.Server(params)


def _reason(log: str) -> str:
    """What llama.cpp said first of what went wrong, without its time stamps."""
    lines = [re.sub(r"^[\d.]+ E |^\w+: ", "", line.strip()) for line in log.splitlines()]
    messages = [re.sub(r"^(\w+|\w+ +\w+): +", "", line) for line in lines if line]
    best = [line for line in messages if line.startswith("error loading model: ")] or messages
    return best[0][:300] if best else ""


if __name__ == "__main__":
    main()
