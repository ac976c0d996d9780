"""Ollama: models on this machine or in this house."""

from __future__ import annotations

from mom_council.vendors.profile import Vendor

OLLAMA = Vendor(
    name="ollama",
    title="Ollama",
    aliases=("ollama",),
    package="langchain_ollama",
    chat="ollama:open_chat",
    thin_wire=True,
    embeddings="ollama:open_embeddings",
    server="ollama_server",
    address_variables=("OLLAMA_API_URL", "OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"),
    usual_address="http://127.0.0.1:11434",
    free=True,
    billed_models="-cloud|:cloud",  # Ollama's own, on its servers
    imported_params={
        "max_length": "num_predict",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "repetition_penalty": "repeat_penalty",
    },
    schema="format",
    json_object="format",
    form_with_tools=False,
    tool_choice=None,
    sees="ollama_server:sees",
    window="ollama_server:window",
    window_option="num_ctx",
    load_options=("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap"),
    default_tag="latest",
    installed="ollama_server:installed",
    start="ollama serve",
    fetch="ollama pull {model}",
    # One call at a time: whichever model is loaded has the GPU for itself.
    found_settings={"lane": "gpu", "concurrency": 1, "timeout": 300},
)
