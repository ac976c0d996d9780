"""The `.env` of AI for Web Devs: two llama.cpp servers, the small one to classify."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mom_council.councils.importers.checkout import Docker, files_in
from mom_council.councils.importers.foreign import Draft, ModelSection, Report, free
from mom_council.councils.loader import read_text
from mom_council.councils.refusals import Problem, refusal
from mom_council.errors import CouncilError
from mom_council.redaction import fault_in_address, names_a_secret, quote

KEYS = ("INFERENCE_API_URL", "INFERENCE_SMALL_API_URL", "INFERENCE_MODEL_NAME")
_LARGE, _SMALL = "INFERENCE", "INFERENCE_SMALL"
_NAME = ".env"

_REASONS = {
    "APP_PORT": "a council has no port; start the page with mom ui --port",
    "APP_DEBUG": "is asked for question by question: mom ask --debug",
    "WERKZEUG": "there is no such server here",
    "INFINITY": "embeddings are an extension's affair",
    "EMBEDDING": "embeddings are an extension's affair",
    "OPENSEARCH": "searching documents is an extension's affair",
    "DB_": "threads are kept where --db or MOM_DATABASE says: postgresql://user@host/name",
    "POSTGRES": "threads are kept where --db or MOM_DATABASE says: postgresql://user@host/name",
    "INFERENCE": "it is set where the llama.cpp server is started",
}


def read(env: Mapping[str, str], report: Report) -> Draft:
    """One character on the large server, which writes the answer too; the small one classifies.

    Raises:
        CouncilError: there is no address of the large server, or one that is none.
    """
    voices = ModelSection()
    large = _voice(env, _LARGE, voices)
    if large is None:
        says = "is missing: the address of the llama.cpp server"
        raise refusal(_NAME, [Problem(("INFERENCE_API_URL",), says)])
    small = _voice(env, _SMALL, voices, params={"temperature": 0.01})
    report.turn("characters", "one: a single large model answered there")
    report.leave("Stable Diffusion", "stands in no .env; `painter` names a model that draws")
    for name in env:
        _tell(name, report)
    values: dict[str, Any] = {
        "models": voices.written,
        "characters": [{"name": "Answerer", "model": large}],
        "synthesizer": {"model": large},
        "deliberation": {"method": "none", "rounds": {"min": 1, "max": 1}},
        "thermal": None,
    }
    if small:
        values["classifier"] = {"model": small}
    return Draft(values)


def variables_of(docker: Docker) -> dict[str, str]:
    """What a `.env` would say of the llama.cpp servers of a compose file: the largest one first."""
    servers = sorted(docker.llama_servers, key=lambda one: -one.size)
    variables: dict[str, str] = {}
    for prefix, server in zip((_LARGE, _SMALL), servers, strict=False):
        variables[f"{prefix}_API_URL"] = f"http://{server.name}:{server.port}"
        if server.context:
            variables[f"{prefix}_CONTEXT_SIZE"] = server.context
        if server.model:
            variables[f"{prefix}_MODEL_NAME"] = server.model
    return variables


def _voice(
    env: Mapping[str, str], server: str, voices: ModelSection, params: dict[str, Any] | None = None
) -> str | None:
    url = env.get(f"{server}_API_URL")
    if url is None:
        return None
    if fault := fault_in_address(url):
        raise refusal(
            _NAME, [Problem((f"{server}_API_URL",), fault.replace("`api_key_env`", "it"))]
        )
    url = url.rstrip("/")
    return voices.key(
        provider="openai",
        model=env.get(f"{server}_MODEL_NAME") or "default",
        base_url=url if url.endswith("/v1") else f"{url}/v1",
        context=_context(env, server),
        params=params,
    )


def _context(env: Mapping[str, str], server: str) -> int | None:
    name = f"{server}_CONTEXT_SIZE"
    if name not in env:
        return None
    if not env[name].isdecimal() or int(env[name][:9]) < 64:
        says = f"must be a number of tokens, 64 or more, is {quote(env[name])}"
        raise refusal(_NAME, [Problem((name,), says)])
    return int(env[name][:9])


_SERVER_VARIABLES = {
    f"{server}_{what}"
    for server in (_LARGE, _SMALL)
    for what in ("API_URL", "MODEL_NAME", "CONTEXT_SIZE")
}


def _tell(name: str, report: Report) -> None:
    if name in _SERVER_VARIABLES:
        return
    if names_a_secret(name):
        report.leave(name, "a key or password is never copied")
        return
    reason = next((says for start, says in _REASONS.items() if name.startswith(start)), None)
    report.leave(name, reason or "is no line that a council has a place for")


# -- who draws ------------------------------------------------------------------------------------

_DRAWS = "from_pretrained"
_ADAPTS = "load_lora_weights"


def with_painter(draft: Draft, top: Path, report: Report) -> Draft:
    """The council with the pipeline that the checkout's own code draws with.

    The code is parsed, not run: the names that it hands to `from_pretrained` and to
    `load_lora_weights` are read.
    """
    for file in files_in(top):
        if file.suffix == ".py" and (named := _pipeline_in(file)):
            model, lora = named
            key = free("painter", draft.values["models"])
            spec: dict[str, Any] = {"provider": "diffusers", "model": model}
            if lora:
                spec["params"] = {"lora": lora}
            draft.values["models"][key] = spec
            draft.values["painter"] = {"model": key, **_drawing_in(file)}
            report.left[:] = [note for note in report.left if note.place != "Stable Diffusion"]
            report.turn(str(file.relative_to(top)), f"draws with {model}; so does `painter`")
            break
    return draft


def _pipeline_in(file: Path) -> tuple[str, str] | None:
    """The pipeline and the LoRA that a file of code loads; None where it loads no pipeline."""
    try:
        text = read_text(file)
        tree = ast.parse(text) if "Pipeline" in text and _DRAWS in text else None
    except (CouncilError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if tree is None:
        return None
    texts: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (text := _text_of(node.value)):
            for target in node.targets:
                texts[ast.unparse(target).rpartition(".")[2]] = text
    weights = {_DRAWS: "", _ADAPTS: ""}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        whose, name = ast.unparse(node.func.value), node.func.attr
        if (name == _DRAWS and "Pipeline" not in whose) or name not in weights or not node.args:
            continue
        first = node.args[0]
        value = texts.get(ast.unparse(first).rpartition(".")[2], "")
        weights[name] = weights[name] or _text_of(first) or value
    return (weights[_DRAWS], weights[_ADAPTS]) if weights[_DRAWS] else None


def _drawing_in(file: Path) -> dict[str, Any]:
    """How a pipeline is called: its steps, its guidance and the picture's size, where written."""
    called: dict[str, Any] = {}
    for node in ast.walk(ast.parse(read_text(file))):
        if isinstance(node, ast.Call):
            for one in node.keywords:
                if one.arg and isinstance(one.value, ast.Constant):
                    called.setdefault(one.arg, one.value.value)
    settings: dict[str, Any] = {}
    steps, guidance = called.get("num_inference_steps"), called.get("guidance_scale")
    if isinstance(steps, int) and 1 <= steps <= 200:
        settings["steps"] = steps
    if isinstance(guidance, int | float) and 0 <= guidance <= 50:
        settings["guidance"] = guidance
    width, height = called.get("width"), called.get("height")
    if all(isinstance(one, int) and 64 <= one <= 4096 for one in (width, height)):
        settings["size"] = f"{width}x{height}"
    if isinstance(without := called.get("negative_prompt"), str) and without.strip():
        settings["negative"] = without.strip()[:2_000]
    return settings


def _text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""
