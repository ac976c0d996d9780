"""`characters.json` of MixtureOfModels: characters on Ollama, a conclusion and a human voice.

Its `.env` says where Ollama is, and how warm the GPU may get.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mom_council.councils.importers.foreign import Draft, Foreign, ModelSection, Names, Report, seen
from mom_council.councils.loader import load_council
from mom_council.councils.refusals import Problem, refusal
from mom_council.errors import CouncilError
from mom_council.redaction import fault_in_address, quote

KEYS = ("OLLAMA_API_URL", "GRADIO_PORT", "GPU_TEMP_LIMIT", "DEBUG_MODE", "TOKEN_MODE")
_USUAL = ("http://localhost:11434", "http://127.0.0.1:11434")
_NAME = ".env"


def read_environment(env: Mapping[str, str], report: Report) -> Draft:
    """A council out of the `.env` alone: the characters are those of the preset `home`."""
    url = ollama_url(env, report)
    home = load_council("home").model_dump(mode="json", exclude_defaults=True)
    voices = ModelSection()
    keys = {
        key: voices.key(**{**spec, "base_url": url, "fallbacks": None})
        for key, spec in home["models"].items()
    }
    report.turn("characters", "a .env has none; these are the preset's called 'home'")
    return Draft(
        {
            "models": voices.written,
            "characters": [{**one, "model": keys[one["model"]]} for one in home["characters"]],
            "deliberation": {**home.get("deliberation", {}), "quorum": 1.0},
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
        says = f"must be a number from 20 to 120 degrees Celsius, is {quote(limit)}"
        raise refusal(_NAME, [Problem(("GPU_TEMP_LIMIT",), says)])
    # The same 7 degrees as between our own limit and its end.
    return {"limit": degrees, "resume": max(degrees - 7, 10)}


def _listed_interests(value: Any) -> Any:
    """A list of interests, which some files write as one text."""
    if isinstance(value, str):
        return [one.strip() for one in re.split(r"[,;\n]", value) if one.strip()]
    return [] if value is None else value


class Persona(Foreign):
    """One of its characters."""

    name: str = Field(min_length=1, description="what it is called")
    model: str = Field(min_length=1, description="an Ollama model's name")
    personality: str | None = Field(default=None, max_length=20_000)
    speaking_style: str | None = Field(default=None, max_length=4_000)
    thought_process: str | None = Field(default=None, max_length=4_000)
    interests: Annotated[tuple[str, ...], BeforeValidator(_listed_interests)] = ()


class CharactersJson(Foreign):
    """The file."""

    characters: tuple[Persona, ...] = Field(
        min_length=1, max_length=64, description="those who think, as a list"
    )
    conclusion_thinker: Persona | None = None
    human_output: Persona | None = None


def read(values: Any, env: Mapping[str, str], origin: str, report: Report) -> Draft:
    """A council of its characters; who concludes writes the answer, in the human voice."""
    file = seen(CharactersJson, values, origin, report)
    writer = file.conclusion_thinker or file.human_output
    if writer is None:
        raise CouncilError(f"{origin}: conclusion_thinker: is missing: who writes the one answer")
    voices, names, url = ModelSection(), Names(report), ollama_url(env, report)
    characters = []
    for index, who in enumerate(file.characters):
        characters.append(
            {
                "name": names.take(who.name, f"characters[{index}].name"),
                "model": _voice(voices, who.model, url),
                **_traits(who),
                **({"vision": True} if _sees(who.interests) else {}),
            }
        )
    synthesizer = {"model": _voice(voices, writer.model, url), "personality": _as_writer(file)}
    _tell_of_writers(file, voices, url, synthesizer["model"], report)
    report.turn("characters", "they answer each on its own, then vote on each other's answers")
    values = {
        "models": voices.written,
        "characters": characters,
        "synthesizer": synthesizer,
        # On one lane nobody is slow: who is not finished yet waits for its turn.
        "deliberation": {"quorum": 1.0},
        **take_env(env, report),
    }
    return Draft(values)


def _traits(who: Persona) -> dict[str, Any]:
    traits = {
        "personality": who.personality,
        "speaking_style": who.speaking_style,
        "thought_process": who.thought_process,
        "interests": [*who.interests],
    }
    return {name: value for name, value in traits.items() if value}


def _sees(interests: tuple[str, ...]) -> bool:
    """Whether an interest holds the word `vision`; television is another word."""
    return any(re.search(r"(?<![^\W_])vision(?![^\W_])", one, re.IGNORECASE) for one in interests)


def _voice(voices: ModelSection, model: str, url: str | None) -> str:
    # One lane: whichever model is loaded has the GPU for itself.
    return voices.key(
        provider="ollama", model=model, base_url=url, lane="gpu", concurrency=1, timeout=300
    )


def _as_writer(config: CharactersJson) -> str:
    """Who concludes, and in whose voice: one text, because one model writes the answer."""
    parts = [_describe_person(config.conclusion_thinker)] if config.conclusion_thinker else []
    if config.human_output:
        lead = "Write the answer as this person would say it:\n" if parts else ""
        parts.append(lead + _describe_person(config.human_output))
    return "\n\n".join(parts)


def _describe_person(who: Persona) -> str:
    lines = [f"{who.name}. {who.personality or ''}".strip()]
    if who.thought_process:
        lines.append(f"How you think: {who.thought_process}")
    if who.speaking_style:
        lines.append(f"How you speak: {who.speaking_style}")
    if who.interests:
        lines.append(f"What you care about: {', '.join(who.interests)}")
    return "\n".join(lines)


def _tell_of_writers(
    config: CharactersJson, voices: ModelSection, url: str | None, writer: str, report: Report
) -> None:
    if not config.human_output or not config.conclusion_thinker:
        return
    second = _voice(voices, config.human_output.model, url)
    report.turn("human_output", "its voice is the synthesizer's, which spares a call")
    if second != writer:
        voices.written[writer]["fallbacks"] = [second]
        report.turn("human_output.model", f"{second!r} writes when {writer!r} does not answer")
