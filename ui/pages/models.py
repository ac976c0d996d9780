"""The models page: what can be reached from here, what each can do, and a test call.

No key is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import streamlit as st
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council, load_model, preset_names
from mom_council.councils.schema import Council
from mom_council.errors import MixtureError
from mom_council.models.clients import loop_resources
from mom_council.models.providers import missing, open_model
from mom_council.models.providers.embedded import is_installed
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import (
    ResolvedModel,
    key_variable,
    ollama_address,
    resolve_alone,
    resolve_model,
)
from mom_council.models.speaking import Reply, speak
from mom_council.models.weights import SHIPPED, downloaded_weights
from mom_council.runs.discovery import VARIABLE, find_models
from mom_council.runs.installed import AvailableModels
from mom_council.runs.words import counted, writing_speed
from mom_council.ui import council_choice as chosen_council
from mom_council.ui import session
from mom_council.ui.safe import inert, one_line
from mom_council.ui.session import BackgroundCall, start_call
from mom_council.vendors import VENDORS, vendor_of

_QUESTION = "What is 2 + 3? Answer in one word."
_PLACES = {
    "ollama": "Ollama",
    "key": "by key",
    "downloaded": "downloaded",
    "shipped": "in the package",
}


def page() -> None:
    """Draw the page."""
    st.title("Models", anchor=False)
    look = st.button("Refresh", icon=":material/refresh:", key="look-again")
    if look or "survey" not in st.session_state:
        with st.spinner("Looking around …"):
            st.session_state["survey"] = session.page_state().wait_for(survey_models(os.environ))
    survey: ModelSurvey = st.session_state["survey"]
    council = _council()
    if council is not None:
        _own_models(council, survey)
    if not survey.real and (council is None or _lacks(council, survey)):
        _nothing(survey)
    _places(survey)
    _table(survey)
    _draw_keys(council)
    _test_call(survey, council)
    _councils(survey)


def _council() -> Council | None:
    """The council that this tab asks; None where nobody chose one, or it cannot be opened."""
    if not chosen_council.source() and not os.environ.get(VARIABLE):
        return None
    try:
        return chosen_council.chosen().council
    except MixtureError:
        return None


def _own_models(council: Council, survey: ModelSurvey) -> None:
    """The models of the council that answers in the chat, each with what it lacks."""
    st.subheader(f"Models of {inert(council.name, 64)}", anchor=False)
    for key, model in council.models.items():
        lacks = _lacks(council.model_copy(update={"models": {key: model}}), survey)
        mark = ":orange[:material/warning:]" if lacks else ":green[:material/check:]"
        where = f" · {one_line(model.base_url, 80)}" if model.base_url else ""
        line = inert(f"{model.provider} · {model.model}{where}", 200)
        st.markdown(f"{mark} **{inert(key, 64)}** · {line}")
        for need in lacks:
            st.caption(inert(need))


def _nothing(survey: ModelSurvey) -> None:
    """How to get models."""
    tiny = (
        "Only the tiny models that come with this package can be asked."
        if survey.voices
        else "No model can be asked."
    )
    st.info(
        f"{tiny} For real ones, any of these will do:\n\n"
        "- install [Ollama](https://ollama.com) and run `ollama pull llama3.2`\n"
        "- set a vendor's key, such as `OPENAI_API_KEY`, in the environment or in `.env`, and "
        "start the page again\n"
        "- run `mom download`, which fetches weights for llama\\.cpp",
        icon=":material/lightbulb:",
    )


def _places(survey: ModelSurvey) -> None:
    """Ollama, the keys, the weights: there or not."""
    first, second, third = st.columns(3)
    chat = [voice for voice in survey.voices if voice.place == "ollama"]
    with first, st.container(border=True):
        st.markdown("**Ollama**")
        if survey.available.ollama_url:
            st.markdown(f":green[:material/check:] {counted(len(chat), 'model')} for chat")
        else:
            st.markdown(":gray[:material/close: does not answer]")
        st.caption(f"`{one_line(survey.ollama_url).replace('`', '')}`")
    with second, st.container(border=True):
        st.markdown("**Keys**")
        for name in survey.available.keys:
            st.markdown(f":green[:material/check:] {VENDORS[name].title}")
        for name in survey.available.lacking:
            st.markdown(f":orange[:material/warning:] {VENDORS[name].title}")
            st.caption(f"`{VENDORS[name].install or ''}` to use it")
        if not (survey.available.keys or survey.available.lacking):
            st.markdown(":gray[:material/close: none is set]")
        st.caption("The list is below.")
    with third, st.container(border=True):
        st.markdown("**On this machine**")
        if not survey.engine:
            st.markdown(":gray[:material/close: llama\\.cpp is not installed]")
            st.caption("`mom download engine`")
            return
        for place in ("downloaded", "shipped"):
            number = sum(voice.place == place for voice in survey.voices)
            mark = ":green[:material/check:]" if number else ":gray[:material/close:]"
            st.markdown(f"{mark} {number} {_PLACES[place]}")


def _draw_keys(council: Council | None) -> None:
    """Every variable that holds a key: whether it is set, and the line that sets it."""
    needed: dict[str, list[str]] = {}
    for key, model in council.models.items() if council is not None else ():
        with contextlib.suppress(MixtureError):  # the list of its models says what is wrong
            if variable := key_variable(model):
                needed.setdefault(variable, []).append(key)
    usual = {one.key_env: one.title for one in VENDORS.values() if one.key_env}
    names = sorted({*needed, *usual})
    lines = {name: _line_that_sets(name) for name in names if not _is_set(name)}
    st.subheader("Keys", anchor=False)
    st.caption(
        "Keys are read from the environment. This page does not ask for one and stores none. Type "
        "the line with your key where you start `mom ui`, and start it again. Or write it into "
        "the file `.env`, and type `mom trust .env` once."
    )
    for name in names:
        users = f" · needed by {', '.join(needed[name])}" if name in needed else ""
        about = inert(f"{usual.get(name, 'of this council')}{users}")
        if name not in lines:
            st.markdown(f":green[:material/check: set] **{inert(name, 80)}** · {about}")
        elif name in needed:
            st.markdown(f":orange[:material/warning: missing] **{inert(name, 80)}** · {about}")
            st.code(lines.pop(name), language=None)
    if lines:
        with st.expander(f"Not set ({len(lines)})", icon=":material/key:"):
            for name, line in lines.items():
                st.markdown(f"{inert(usual[name])}: `{line}`")


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable, "").strip())


def _line_that_sets(variable: str) -> str:
    """The line for a shell of this machine."""
    return f'$env:{variable} = "your key"' if os.name == "nt" else f'export {variable}="your key"'


def _table(survey: ModelSurvey) -> None:
    """Every model with what is known of it."""
    if not survey.voices:
        return
    st.subheader("What can be asked", anchor=False)
    rows = [_row(voice) for voice in survey.voices]
    st.dataframe(rows, hide_index=True, width="stretch", key="voices")


def _row(voice: AvailableModel) -> dict[str, str]:
    return {
        "Model": one_line(voice.model, 80) or "any",
        "Where": _PLACES[voice.place] if voice.place != "key" else voice.provider,
        "Size": "unknown" if voice.size is None else _bytes(voice.size),
        "Vision": _yes(voice.vision),
        "Tools": _yes(voice.tools),
        "Context": "unknown" if voice.context is None else f"{voice.context:,} tokens",
    }


def _yes(value: bool | None) -> str:
    if value is None:
        return "unknown"
    return "yes" if value else "no"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _test_call(survey: ModelSurvey, council: Council | None) -> None:
    st.subheader("A test call", anchor=False)
    st.caption("One short question to one model. A vendor may bill it.")
    other = "another model …"
    own = [*council.models] if council is not None else []
    names = [f"{one_line(key, 64)} (of this council)" for key in own]
    names += [f"{one_line(one.model, 80)} ({_PLACES[one.place]})" for one in survey.voices]
    left, right = st.columns(2)
    with left:
        at = st.selectbox("Which", range(len(names) + 1), key="test-which",
                          format_func=lambda index: [*names, other][index])  # fmt: skip
    with right:
        question = st.text_input("What to ask", _QUESTION, key="test-question", max_chars=2000)
    key = own[at] if council is not None and at < len(own) else ""
    chosen = None
    if not key:
        chosen = _other() if at == len(names) else survey.voices[at - len(own)]
    running = "test-call" in st.session_state and st.session_state["test-call"].running
    named = bool(key or (chosen is not None and chosen.model.strip()))
    ready = named and bool(question.strip()) and not running
    if st.button("Ask", key="test-ask", icon=":material/send:", disabled=not ready):
        _send(_model_to_try(council, key, chosen), question)
    if "test-call" in st.session_state:
        _draw_call()


def _other() -> AvailableModel:
    """A model that was not found, by its name."""
    one, two, three = st.columns(3)
    provider = one.selectbox("Provider", [*VENDORS], key="test-provider")
    model = two.text_input("Model", key="test-model")
    address = three.text_input("Address", key="test-address", placeholder="the usual one")
    return AvailableModel("key", provider, model, address.strip() or None)


def _model_to_try(
    council: Council | None, key: str, voice: AvailableModel | None
) -> ResolvedModel | MixtureError:
    """The council's own model by its key, or a model that was found; or what is wrong with it."""
    try:
        if council is not None and key:
            return resolve_model(council, key)
        if voice is None:
            raise AssertionError("a test call has a model")
        return model_to_try(voice.provider, voice.model.strip(), voice.base_url)
    except MixtureError as error:
        return error


def _send(model: ResolvedModel | MixtureError, question: str) -> None:
    if isinstance(model, MixtureError):
        st.error(inert(model))
        return
    call = speak(model, [HumanMessage(question)])
    st.session_state["test-call"] = start_call(call)


def _draw_call() -> None:
    """What came of the call; looked for twice a second until it is there."""
    running = st.session_state["test-call"].running

    @st.fragment(run_every=0.5 if running else None)
    def answer() -> None:
        call: BackgroundCall[Reply] = st.session_state["test-call"]
        if call.running:
            st.caption(f"Waiting for an answer … {call.seconds:.0f} s")
            if st.button("Stop", key="test-stop", icon=":material/stop:"):
                call.stop()
            return
        if running:
            st.rerun()
        _draw_reply(call)

    answer()


def _draw_reply(call: BackgroundCall[Reply]) -> None:
    if error := call.error():
        st.error(inert(error, 600), icon=":material/error:")
        return
    reply = call.result()
    if reply is None:
        return
    with st.container(border=True, key="test-answer"):
        st.text(reply.text.strip()[:4000] or "(it answered nothing)")
    facts: list[str] = [f"{reply.usage.seconds:.2f} s"]
    if speed := writing_speed(reply.usage, reply.first_token):
        facts.append(f"{speed:.0f} tokens/s")
    if reply.usage.tokens is not None:
        facts.append(f"{reply.usage.input_tokens or 0} + {reply.usage.output_tokens or 0} tokens")
    if reply.first_token is not None:
        facts.append(f"first token after {reply.first_token:.2f} s")
    st.caption(" · ".join(facts))


def _councils(survey: ModelSurvey) -> None:
    """Which councils could sit here, and what the others lack."""
    st.subheader("Councils in the package", anchor=False)
    for name in preset_names():
        lacks = _preset_lacks(name, survey)
        mark = ":orange[:material/warning:]" if lacks else ":green[:material/check:]"
        with st.container(gap="xxsmall"):
            st.markdown(f"{mark} **{inert(name)}**")
            for line in lacks:
                st.caption(inert(line))


def _preset_lacks(name: str, survey: ModelSurvey) -> list[str]:
    try:
        return _lacks(load_council(name), survey)
    except MixtureError as error:
        return [str(error)]


def _lacks(council: Council, survey: ModelSurvey) -> list[str]:
    return [*map(str, missing(council.models.values())), *unpulled(council, survey)]


Place = Literal["ollama", "key", "downloaded", "shipped"]

_SHOW_SECONDS = 2.0
_MOST_SHOWN = 60
"""Ollama's models that are asked what they can."""


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """One model that could be asked. None: nobody told."""

    place: Place
    provider: str
    model: str
    base_url: str | None = None
    size: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class ModelSurvey:
    """What is reachable from here."""

    available: AvailableModels
    ollama_url: str
    """Where Ollama was looked for."""
    voices: tuple[AvailableModel, ...]
    engine: bool
    """Whether llama.cpp is installed, which answers for downloaded and shipped weights."""

    @property
    def real(self) -> bool:
        """Whether there is anything beyond the tiny models that come with the package."""
        return any(voice.place != "shipped" for voice in self.voices)


async def survey_models(env: Mapping[str, str] = os.environ) -> ModelSurvey:
    """Look around. Nothing fails because something is missing."""
    available = await find_models(env)
    voices = [
        *(
            AvailableModel("ollama", "ollama", one.name, available.ollama_url, one.size)
            for one in available.ollama
        ),
        *(
            AvailableModel("key", name, VENDORS[name].default_model or "")
            for name in available.keys
        ),
        *(
            AvailableModel("downloaded", "embedded", one.name, size=one.size)
            for one in available.weights
        ),
    ]
    if is_installed():
        tiny = await asyncio.to_thread(downloaded_weights, SHIPPED)
        voices += [
            AvailableModel(
                "shipped", "embedded", name, size=file.stat().st_size, vision=False, tools=False
            )
            for name, file in tiny.items()
        ]
    described = await asyncio.gather(*(_describe(one, at) for at, one in enumerate(voices)))
    return ModelSurvey(available, ollama_address(env), tuple(described), is_installed())


def model_to_try(provider: str, model: str, base_url: str | None = None) -> ResolvedModel:
    """A model for one call of it.

    Raises:
        CouncilError: no model can be called that.
    """
    values: dict[str, Any] = {"provider": provider, "model": model, "timeout": 60, "retries": 0}
    if base_url:
        values["base_url"] = base_url
    return resolve_alone(load_model(values))


def unpulled(council: Council, survey: ModelSurvey) -> list[str]:
    """What a council needs of the usual Ollama and does not find there."""
    names = {
        model.model
        for model in council.models.values()
        if vendor_of(model.provider).fetch and model.base_url in (None, survey.ollama_url)
    }
    if names and not survey.available.ollama_url:
        return [f"Ollama does not answer at {survey.ollama_url}"]
    here = {voice.model for voice in survey.voices if voice.place == "ollama"}
    here |= {name.removesuffix(":latest") for name in here}
    lacking = sorted(name for name in names if name not in here)
    return ["ollama pull " + shlex.quote(name) for name in lacking]


async def _describe(voice: AvailableModel, place: int) -> AvailableModel:
    """The voice with what it is known to be able to do."""
    if place >= _MOST_SHOWN:
        return voice
    if voice.place == "ollama" and voice.base_url:
        url = f"{voice.base_url}/api/show"
        card = await ask_ollama("POST", url, {"model": voice.model}, seconds=_SHOW_SECONDS)
        return _as_shown(voice, card or {})
    if voice.place == "key" and voice.model:
        return await _as_profiled(voice)
    return voice


def _as_shown(voice: AvailableModel, card: Mapping[str, Any]) -> AvailableModel:
    can, info = card.get("capabilities"), card.get("model_info")
    is_listed = isinstance(can, list)
    lengths = info.items() if isinstance(info, dict) else ()
    context = next((n for key, n in lengths if str(key).endswith(".context_length")), None)
    return replace(
        voice,
        vision="vision" in can if isinstance(can, list) else None,
        tools="tools" in can if isinstance(can, list) and is_listed else None,
        context=context if isinstance(context, int) else None,
    )


async def _as_profiled(voice: AvailableModel) -> AvailableModel:
    """What LangChain's own tables say of a vendor's model; no request is sent."""
    with contextlib.suppress(Exception):  # a table more or less is no reason to show no page
        spec = model_to_try(voice.provider, voice.model).settings
        profile = getattr(await open_model(await loop_resources(), spec), "profile", None) or {}
        return replace(
            voice,
            vision=profile.get("image_inputs"),
            tools=profile.get("tool_calling"),
            context=profile.get("max_input_tokens"),
        )
    return voice
