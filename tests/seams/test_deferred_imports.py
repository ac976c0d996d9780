"""What the command loads: deferred packages are whole when they are used, and few are used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mom_council.seams.python import DEFERRED
from mom_council.tests.stage import Stage

NOT_FOR_A_QUESTION = {
    *("openai", "langchain_openai", "ollama", "langchain_ollama", "langchain", "anthropic"),
    *("httpx", "httpcore", "httpcore2", "websockets", "psutil._common", "xllamacpp", "pynvml"),
    *("rich", "pygments", "streamlit", "fastapi", "uvicorn", "mcp", "prometheus_client"),
    *("numpy", "pandas", "sqlalchemy", "psycopg", "jsonschema", "jsonschema_rs", "PIL"),
    *("plotext", "torch", "transformers", "pyarrow", "math_verify", "sympy"),
    *("langgraph_sdk.client", "langsmith.types.run", "langsmith.evaluation"),
}
"""Modules that cost time, and that a question to a server of OpenAI's protocol does not use."""

COUNCIL = """\
name: desk
models:
  voice: {provider: openai, model: voice, base_url: URL}
characters:
  - {name: Ada, model: voice, personality: calm}
  - {name: Bob, model: voice, personality: quick}
synthesizer: {model: voice}
"""


def imported_by(*arguments: str) -> set[str]:
    """The modules that a process of Python's reports as imported."""
    command = [sys.executable, "-X", "importtime", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = [line for line in ran.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_a_question_loads_nothing_that_it_does_not_use(tmp_path: Path, stage: Stage) -> None:
    stage.model("voice", reply="42")
    council = tmp_path / "desk.yaml"
    council.write_text(COUNCIL.replace("URL", stage.openai_url), encoding="utf-8")
    loaded = imported_by("-m", "mom_council", "ask", "-q", "-c", str(council), "What is 17 + 25?")
    assert {"langgraph.graph.state", "aiohttp"} <= loaded
    assert loaded & NOT_FOR_A_QUESTION == set()


def test_help_and_the_bare_import_load_no_library_of_models() -> None:
    for arguments in (("-m", "mom_council", "--help"), ("-c", "import mom_council")):
        loaded = {name.partition(".")[0] for name in imported_by(*arguments)}
        assert loaded & {"langgraph", "langchain_core", "langsmith", "pydantic", "aiohttp"} == set()


USED = {
    "langgraph_sdk": "get_client",
    "langgraph_sdk.auth": "Auth",
    "langsmith.types": "Run",
    "httpx2": "AsyncClient",
    "psutil": "Process",
}


@pytest.mark.parametrize("name", DEFERRED)
def test_a_deferred_package_is_whole_once_it_is_used(name: str) -> None:
    code = f"""
from importlib import import_module
from threading import Barrier, Thread
from mom_council.seams.python import defer_imports
defer_imports()
import langgraph.graph
module, together, found = import_module({name!r}), Barrier(4), []
def use():
    together.wait()
    found.append(module.{USED[name]})
threads = [Thread(target=use) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
deferred = {{one for one in dir(module) if not one.startswith("__")}}
import json
print(json.dumps([len(found), len(set(map(id, found))), sorted(deferred)]))
"""
    plainly = f"""
import json
from importlib import import_module
import langgraph.graph
module = import_module({name!r})
print(json.dumps(sorted(one for one in dir(module) if not one.startswith("__"))))
"""
    pytest.importorskip(name)
    [uses, things, deferred] = run_code(code)
    assert (uses, things) == (4, 1)
    assert set(run_code(plainly)) <= set(deferred)


def run_code(code: str) -> list[Any]:
    """What some code prints as JSON in a process of its own."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    printed: list[Any] = json.loads(ran.stdout)
    return printed
