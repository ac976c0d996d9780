"""The models page: what can be reached from here, what each can, and a call to hear it."""

from __future__ import annotations

import os

import streamlit as st
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council, preset_names
from mom_council.councils.schema import Council
from mom_council.errors import MixtureError
from mom_council.models.registry import missing
from mom_council.models.resolved import ResolvedModel, resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.runs.discovery import VARIABLE
from mom_council.ui import background, reach, session
from mom_council.ui import council_choice as chosen_council
from mom_council.ui.reach import Survey, Voice
from mom_council.ui.safe import inert, one_line
from mom_council.vendors import VENDORS

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
            st.session_state["survey"] = session.page_state().wait_for(reach.survey(os.environ))
    found: Survey = st.session_state["survey"]
    council = _council()
    if council is not None:
        _own_models(council, found)
    if not found.real and (council is None or _lacks(council, found)):
        _nothing(found)
    _places(found)
    _table(found)
    _test_call(found, council)
    _councils(found)


def _council() -> Council | None:
    """The council that this tab asks; None where nobody chose one, or it cannot be opened."""
    if not chosen_council.source() and not os.environ.get(VARIABLE):
        return None
    try:
        return chosen_council.chosen().council
    except MixtureError:
        return None


def _own_models(council: Council, found: Survey) -> None:
    """The models of the council that answers in the chat, each with what it lacks."""
    st.subheader(f"Models of {inert(council.name, 64)}", anchor=False)
    for key, model in council.models.items():
        lacks = _lacks(council.model_copy(update={"models": {key: model}}), found)
        mark = ":orange[:material/warning:]" if lacks else ":green[:material/check:]"
        where = f" · {one_line(model.base_url, 80)}" if model.base_url else ""
        line = inert(f"{model.provider} · {model.model}{where}", 200)
        st.markdown(f"{mark} **{inert(key, 64)}** · {line}")
        for need in lacks:
            st.caption(inert(need))


def _nothing(found: Survey) -> None:
    """How to get models."""
    tiny = (
        "Only the tiny models that come with this package can be asked."
        if found.voices
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


def _places(found: Survey) -> None:
    """Ollama, the keys, the weights: there or not."""
    first, second, third = st.columns(3)
    chat = [voice for voice in found.voices if voice.place == "ollama"]
    with first, st.container(border=True):
        st.markdown("**Ollama**")
        if found.found.ollama_url:
            st.markdown(f":green[:material/check:] {len(chat)} models for chat")
        else:
            st.markdown(":gray[:material/close: does not answer]")
        st.caption(f"`{one_line(found.ollama_url).replace('`', '')}`")
    with second, st.container(border=True):
        st.markdown("**Keys**")
        for name in found.found.keys:
            st.markdown(f":green[:material/check:] {name} · `{VENDORS[name].key_env}` is set")
        for name in found.found.lacking:
            st.markdown(f":orange[:material/warning:] {name} · `{VENDORS[name].key_env}` is set")
            st.caption(f"`{reach.needed(name)}` to use it")
        if not (found.found.keys or found.found.lacking):
            st.markdown(":gray[:material/close: none in the environment]")
    with third, st.container(border=True):
        st.markdown("**On this machine**")
        if not found.engine:
            st.markdown(":gray[:material/close: llama\\.cpp is not installed]")
            st.caption("`pip install xllamacpp`")
            return
        for place in ("downloaded", "shipped"):
            number = sum(voice.place == place for voice in found.voices)
            mark = ":green[:material/check:]" if number else ":gray[:material/close:]"
            st.markdown(f"{mark} {number} {_PLACES[place]}")


def _table(found: Survey) -> None:
    """Every model with what is known of it."""
    if not found.voices:
        return
    st.subheader("What can be asked", anchor=False)
    rows = [_row(voice) for voice in found.voices]
    st.dataframe(rows, hide_index=True, width="stretch", key="voices")


def _row(voice: Voice) -> dict[str, str]:
    return {
        "Model": one_line(voice.model, 80) or "any",
        "Where": _PLACES[voice.place] if voice.place != "key" else voice.provider,
        "Size": "unknown" if voice.size is None else _bytes(voice.size),
        "Vision": _yes(voice.vision),
        "Tools": _yes(voice.tools),
        "Context": "unknown" if voice.context is None else f"{voice.context:,} tokens",
    }


def _yes(known: bool | None) -> str:
    return "unknown" if known is None else "yes" if known else "no"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _test_call(found: Survey, council: Council | None) -> None:
    st.subheader("A test call", anchor=False)
    st.caption("One short question to one model. A vendor may bill it.")
    other = "another model …"
    own = [*council.models] if council is not None else []
    names = [f"{one_line(key, 64)} (of this council)" for key in own]
    names += [f"{one_line(one.model, 80)} ({_PLACES[one.place]})" for one in found.voices]
    left, right = st.columns(2)
    with left:
        at = st.selectbox("Which", range(len(names) + 1), key="test-which",
                          format_func=lambda index: [*names, other][index])  # fmt: skip
    with right:
        question = st.text_input("What to ask", _QUESTION, key="test-question", max_chars=2000)
    key = own[at] if council is not None and at < len(own) else ""
    chosen = None
    if not key:
        chosen = _other() if at == len(names) else found.voices[at - len(own)]
    running = "test-call" in st.session_state and st.session_state["test-call"].running
    named = bool(key or (chosen is not None and chosen.model.strip()))
    ready = named and bool(question.strip()) and not running
    if st.button("Ask", key="test-ask", icon=":material/send:", disabled=not ready):
        _send(_model_to_try(council, key, chosen), question)
    if "test-call" in st.session_state:
        _hear()


def _other() -> Voice:
    """A model that was not found, by its name."""
    one, two, three = st.columns(3)
    provider = one.selectbox("Provider", [*VENDORS], key="test-provider")
    model = two.text_input("Model", key="test-model")
    address = three.text_input("Address", key="test-address", placeholder="the usual one")
    return Voice("key", provider, model, address.strip() or None)


def _model_to_try(
    council: Council | None, key: str, voice: Voice | None
) -> ResolvedModel | MixtureError:
    """The council's own model by its key, or a model that was found; or what is wrong with it."""
    try:
        if council is not None and key:
            return resolve_model(council, key)
        if voice is None:
            raise AssertionError("a test call has a model")
        return reach.model_to_try(voice.provider, voice.model.strip(), voice.base_url)
    except MixtureError as error:
        return error


def _send(model: ResolvedModel | MixtureError, question: str) -> None:
    if isinstance(model, MixtureError):
        st.error(inert(model))
        return
    asked = speak(model, [HumanMessage(question)])
    st.session_state["test-call"] = background.start(asked)


def _hear() -> None:
    """What came of the call; looked for twice a second until it is there."""
    running = st.session_state["test-call"].running

    @st.fragment(run_every=0.5 if running else None)
    def answer() -> None:
        call: background.BackgroundCall[Reply] = st.session_state["test-call"]
        if call.running:
            st.caption(f"Waiting for an answer … {call.seconds:.0f} s")
            if st.button("Stop", key="test-stop", icon=":material/stop:"):
                call.stop()
            return
        if running:
            st.rerun()
        _heard(call)

    answer()


def _heard(call: background.BackgroundCall[Reply]) -> None:
    if error := call.error():
        st.error(inert(error, 600), icon=":material/error:")
        return
    reply = call.result()
    if reply is None:
        return
    with st.container(border=True, key="test-answer"):
        st.text(reply.text.strip()[:4000] or "(it answered nothing)")
    told: list[str] = [f"{reply.usage.seconds:.2f} s"]
    told.append("speed unknown" if (rate := _rate(reply)) is None else f"{rate:.0f} tokens/s")
    if reply.usage.tokens is not None:
        told.append(f"{reply.usage.input_tokens or 0} + {reply.usage.output_tokens or 0} tokens")
    if reply.first_token is not None:
        told.append(f"first token after {reply.first_token:.2f} s")
    st.caption(" · ".join(told))


def _rate(reply: Reply) -> float | None:
    """Tokens a second while it spoke; None where nobody counted, or it came all at once."""
    tokens = reply.usage.output_tokens
    spoke = reply.usage.seconds - (reply.first_token or 0.0)
    return tokens / spoke if tokens and spoke > 0.001 else None


def _councils(found: Survey) -> None:
    """Which councils could sit here, and what the others lack."""
    st.subheader("Councils in the package", anchor=False)
    for name in preset_names():
        lacks = _preset_lacks(name, found)
        mark = ":orange[:material/warning:]" if lacks else ":green[:material/check:]"
        with st.container(gap="xxsmall"):
            st.markdown(f"{mark} **{inert(name)}**")
            for line in lacks:
                st.caption(inert(line))


def _preset_lacks(name: str, found: Survey) -> list[str]:
    try:
        return _lacks(load_council(name), found)
    except MixtureError as error:
        return [str(error)]


def _lacks(council: Council, found: Survey) -> list[str]:
    return [*map(str, missing(council.models.values())), *reach.unpulled(council, found)]
