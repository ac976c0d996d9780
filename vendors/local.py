"""Who answers without a vendor: models on this machine, recorded answers, people."""

from __future__ import annotations

from mom_council.vendors.profile import Exclusion, Vendor

# llama.cpp in a process of our own: downloaded weights, and the tiny models of the package.
EMBEDDED = Vendor(
    name="embedded",
    title="llama.cpp on this machine",
    package="xllamacpp",
    extra="embedded",
    got_by="mom download engine",
    chat="chat_completions:open_chat",
    thin_wire=True,
    engine="embedded:open_embedded",
    server="embedded",
    free=True,
    from_files=True,
    schema="body",
    json_object="body",
    form_with_tools=False,
    tools=False,
    sees="embedded:sees",
    load_options=("context", "slots"),
    found_settings={"lane": "embedded", "timeout": 600, "price": {"input": 0, "output": 0}},
)

# Weights of Hugging Face, run by transformers in this process.
HUGGINGFACE = Vendor(
    name="huggingface",
    title="local Hugging Face models",
    package="transformers",
    extra="huggingface",
    chat="huggingface:open_chat",
    free=True,
    from_files=True,
    tools=False,
    excludes=(Exclusion(("frequency_penalty", "presence_penalty")),),
    imported_params={
        "max_length": "max_new_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "repetition_penalty": "repetition_penalty",
    },
)

# Stable Diffusion and its like, run by diffusers in this process. They draw and do not talk.
DIFFUSERS = Vendor(
    name="diffusers",
    title="pictures drawn here",
    package="diffusers",
    extra="images",
    pictures="diffusers:draw",
    free=True,
    heats=True,
    thoughts="none",
    tools=False,
)

# Recorded answers, served as models.
REPLAY = Vendor(
    name="replay",
    title="recorded answers",
    package="langchain_core",
    chat="replay:open_chat",
    free=True,
    is_recording=True,
    thoughts="none",
    tools=False,
)

# A person in a seat of the council; `model` is the person's name.
HUMAN = Vendor(
    name="human",
    title="a person",
    package="langgraph",  # whoever runs the graph asks the person: `deliberation.people`
    free=True,
    is_person=True,
    thoughts="none",
    tools=False,
)

# A chat model that the program hands over: `council(..., models={"deep": chat_model})`.
CALLER = Vendor(
    name="caller",
    title="a chat model of the program that opens the council",
    package="langchain_core",
    chat="caller:open_chat",
    from_caller=True,
    schema="library",
    says_end=False,
)

# The model of the program that asks over MCP (sampling); `model` is a hint for it.
MCP_HOST = Vendor(
    name="mcp_host",
    title="the model of the program that asks over MCP",
    package="langchain_core",
    chat="sampling:open_chat",
    free=True,
    thoughts="none",
    tools=False,
    excludes=(Exclusion(("top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")),),
)
