"""The `.env` of MixtureOfModels: where Ollama is, and how warm the GPU may get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mom_council.councils.importers.findings import Draft, Report
from mom_council.councils.importers.voices import Voices
from mom_council.councils.loader import load_council
from mom_council.councils.refusals import Problem, refusal
from mom_council.councils.secrecy import fault_in_address, shown

KEYS = ("OLLAMA_API_URL", "GRADIO_PORT", "GPU_TEMP_LIMIT", "DEBUG_MODE", "TOKEN_MODE")
_USUAL = ("http://localhost:11434", "http://127.0.0.1:11434")
_NAME = ".env"


def read(env: Mapping[str, str], report: Report) -> Draft:
    """A council out of the `.env` alone: the characters are those of the preset `home`."""
    url = ollama_url(env, report)
    home = load_council("home").model_dump(mode="json", exclude_defaults=True)
    voices = Voices()
    keys = {
        key: voices.key(**{**spec, "base_url": url, "fallbacks": None})
        for key, spec in home["models"].items()
    }
    report.turn("characters", "a .env has none; these are the preset's called 'home'")
    return Draft(
        {
            "models": voices.written,
            "characters": [{**one, "model": keys[one["model"]]} for one in home["characters"]],
            "synthesizer": {**home["synthesizer"], "model": keys[home["synthesizer"]["model"]]},
            **take_env(env, report),
        }
    )


def ollama_url(env: Mapping[str, str], report: Report) -> str | None:
    """Where Ollama is, without the `/v1` of its other protocol; None: where it usually is.

    Raises:
        CouncilError: it is no address.
    """
    written = env.get("OLLAMA_API_URL")
    if written is None:
        return None
    if fault := fault_in_address(written):
        raise refusal(_NAME, [Problem(("OLLAMA_API_URL",), fault.replace("`api_key_env`", "it"))])
    url = written.rstrip("/").removesuffix("/v1").rstrip("/")
    if url in _USUAL:
        return None
    report.turn("OLLAMA_API_URL", f"each model's base_url is {url}, by Ollama's own protocol")
    return url


def take_env(env: Mapping[str, str], report: Report) -> dict[str, Any]:
    """The sections that the environment fills, and what becomes of its other lines.

    Raises:
        CouncilError: the temperature is no number, or none that a GPU could have.
    """
    sections: dict[str, Any] = {}
    if limit := env.get("GPU_TEMP_LIMIT"):
        sections["thermal"] = _thermal(limit)
    if port := env.get("GRADIO_PORT"):
        report.leave(
            "GRADIO_PORT", f"a council has no port; start the page with mom ui --port {port[:5]}"
        )
    if env.get("DEBUG_MODE", "").lower() in ("true", "1", "yes", "on"):
        report.leave("DEBUG_MODE", "is asked for question by question: mom ask --debug")
    if env.get("TOKEN_MODE", "true").lower() not in ("true", "1", "yes", "on"):
        report.leave("TOKEN_MODE", "what a question cost is always counted; --quiet leaves it out")
    return sections


def _thermal(limit: str) -> dict[str, float]:
    try:
        degrees = float(limit)
    except ValueError:
        degrees = float("nan")
    if not 20 <= degrees <= 120:
        says = f"must be a number from 20 to 120 degrees Celsius, is {shown(limit)}"
        raise refusal(_NAME, [Problem(("GPU_TEMP_LIMIT",), says)])
    # The same 7 degrees as between our own limit and its end.
    return {"limit": degrees, "resume": max(degrees - 7, 10)}
