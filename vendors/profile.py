"""What a vendor's profile says, every fact about one value of `provider`; and the table of all."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from mom_council.plugins import PluginTable

Params = Mapping[str, Any]


def install_line(extra: str) -> str:
    """The line that adds an extra to the environment that this process runs in."""
    command = f"pip install 'mom-council[{extra}]'"
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == Path(sys.executable).parent:
        return command
    # The pip of the PATH, where there is one, would put it elsewhere.
    here = shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is not None:
        return f"{here} -m {command}"
    # `uv tool install`, and pipx where it uses uv, leave pip out.
    if shutil.which("uv"):
        return f"uv {command.replace('install', f'install --python {here}', 1)}"
    return f"{here} -m ensurepip && {here} -m {command}"


SchemaWay = Literal["argument", "body", "format", "library"]
"""How a request carries a JSON schema: as LangChain's `response_format`, as a field of the body
(OpenAI's protocol), as Ollama's `format`, or as the model's own LangChain class asks for it."""


ANSWER_BOUNDS = (
    *("max_tokens", "max_completion_tokens", "num_predict", "max_new_tokens", "max_output_tokens"),
)
"""What parameters are called that limit an answer's length."""


CALLER_WISHES = ("reasoning_effort", "verbosity", "logit_bias", "service_tier")
"""Fields of a client's request that are handed on where the vendor's models take them."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Parameters that are left out of a request, and when."""

    params: tuple[str, ...]
    when: Callable[[Params], bool] = lambda params: True
    """Is given the parameters under the vendor's own names."""
    models: str = ""
    """A regular expression for the beginning of the model's name; empty: every model."""
    anywhere: bool = False
    """Whether it holds for other servers that speak the vendor's protocol, too."""
    case: str = "always"
    """When that is, in words; for `docs/models.md`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Who answers for the models of one `provider`.

    A field that names code (`chat`, `embeddings`, ...) is written `module:function`, the module
    in `models/providers/` or, with a dot in it, in the package that brings the profile. It is
    imported when it is first used: importing a vendor's library takes a second, and it may not be
    installed.
    """

    name: str
    """What stands in a council's `provider`."""
    title: str
    """What people call it."""
    aliases: tuple[str, ...] = ()
    """What other systems call it; for the importers."""

    # How its models are opened.
    package: str = ""
    """The module that must be importable; empty: LangChain says which."""
    extra: str | None = None
    """The extra of this package that installs it; None: it always comes along."""
    got_by: str | None = None
    """The command that gets it, where that is simpler than its extra."""
    chat: str | None = None
    """What opens a chat model (`models.providers.Opening`); None: its models do not talk."""
    thin_wire: bool = False
    """Whether its replies can be streamed over our own wire; see `models.wire`."""
    embeddings: str | None = "langchain:open_embeddings"
    """What opens an embedding model; None: it has none."""
    embeds_once: Mapping[str, Any] = field(default_factory=dict)
    """With what its embedding library sends one request and never another by itself."""
    pictures: str | None = None
    """What draws a picture (`models.providers.Drawing`); None: its models do not draw."""
    engine: str | None = None
    """What starts the server that answers, on this machine, and returns its address and key."""
    server: str | None = None
    """The module that tells what its server has in memory: `loaded_among`, `model_sizes`,
    `unload`."""

    # Where it is, and what it costs.
    base_url: str | None = None
    """Its own address. Its usual key is sent there and nowhere else."""
    address_variables: tuple[str, ...] = ()
    """The variables with which people say where it is; the first that is set holds."""
    usual_address: str | None = None
    """Where it is as a rule: on this machine."""
    deployment_path: str = ""
    """What stands between an address and the protocol's own paths, with `{model}` for the model's
    name; where it is set, every council names the address and the key's variable."""
    api_version: str = ""
    """The version that each request names, unless `params: {api_version: ...}` names another."""
    key_header: str = ""
    """The header that holds the key alone; empty: `Authorization: Bearer`."""
    shared_protocol: bool = False
    """Whether a `base_url` names another server that speaks its protocol, under its own rules."""
    key_env: str | None = None
    """The variable that holds its key unless the council names another; None: it needs none."""
    free: bool = False
    """Whether it sends no bill."""
    billed_models: str = ""
    """A regular expression for the ends of names of models that are billed all the same."""

    # Who answers.
    is_person: bool = False
    """Whether a person answers, who is asked in the run and not over a network."""
    from_caller: bool = False
    """Whether the program that opens the council hands its models over as objects."""
    is_recording: bool = False
    """Whether recorded answers are replayed, which cost what they cost when they were recorded."""
    from_files: bool = False
    """Whether `model` may be a file or a folder of weights on this machine."""
    heats: bool = False
    """Whether drawing a picture is work for this machine's GPU."""

    # What its requests look like.
    names: Mapping[str, str] = field(default_factory=dict)
    """What it calls a parameter, where that is not the usual name."""
    excludes: tuple[Exclusion, ...] = ()
    """What it refuses, in the order in which it is left out. Docs: `docs/models.md`."""
    caller_wishes: tuple[str, ...] = ()
    """Which of `CALLER_WISHES` its models take."""
    imported_params: Mapping[str, str] = field(
        default_factory=lambda: {
            "max_length": "max_tokens",
            "temperature": "temperature",
            "top_p": "top_p",
        }
    )
    """What it calls each setting of a foreign file; what is not there, it does not take."""

    # What its models can do, unless the council or probing says otherwise.
    schema: SchemaWay | None = None
    """How a reply is held to a JSON schema; None: only in words."""
    json_object: SchemaWay | None = None
    """How a reply is held to any JSON object; None: only in words."""
    form_with_tools: bool = True
    """Whether one request may hold tools and a form of the reply; a server that writes by a grammar
    would call none."""
    tools: bool = True
    """Whether tools are offered in its own way first, before they are offered in words."""
    tool_choice: str | None = "any"
    """What its library calls it that a tool must be called; None: it is said in words alone."""
    parallel_tool_calls: bool = False
    """Whether it can be told to call one tool at a time."""
    vision: str = ""
    """A regular expression for the beginning of the names of models that see; empty: none is
    known to."""
    sees: str | None = None
    """What finds out whether a model sees; None: `vision` alone says so."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Kinds of files (`pdf`, `audio`) that its models read, each with a regular expression for the
    beginning of their names."""
    window: str | None = None
    """What asks a model's server how many tokens the model reads at once; None: nothing does."""
    profiled: str = ""
    """A regular expression for the beginning of the names of models that LangChain may have a
    profile of; empty: of none."""
    window_option: str | None = None
    """The parameter that says with how large a window a model is loaded; None: it has its own."""
    thoughts: str = "yes"
    """Whether a model's thoughts come apart from its answer, in words; for `docs/models.md`."""
    says_end: bool = True
    """Whether a whole reply always says that it is over, so that one that does not was cut."""

    # How its models get into memory, and onto this machine.
    load_options: tuple[str, ...] = ()
    """Options that load a model anew when they change; empty: it is not loaded by us."""
    default_tag: str | None = None
    """The tag of a model whose name has none."""
    installed: str | None = None
    """What lists the models that the server at an address has; None: it serves any of its own."""
    start: str | None = None
    """The command that starts the server."""
    fetch: str | None = None
    """The command that brings a model onto the machine, with `{model}` for its name."""

    # How it is found when nobody named a council.
    default_model: str | None = None
    """The model that is asked where only the key was found."""
    found_settings: Mapping[str, Any] = field(default_factory=dict)
    """What a council says of its models when it is made of what was found."""

    @property
    def is_loaded(self) -> bool:
        """Whether its models are loaded on hardware that a lane can plan for."""
        return bool(self.load_options)

    @property
    def install(self) -> str | None:
        """The command that installs its package; None: it always comes along."""
        if self.got_by:
            return self.got_by
        return install_line(self.extra) if self.extra else None

    @property
    def talks(self) -> bool:
        """Whether its models answer in words."""
        return self.chat is not None

    @property
    def draws(self) -> bool:
        """Whether its models make pictures."""
        return self.pictures is not None

    def is_at_home(self, base_url: str | None) -> bool:
        """Whether a model with this `base_url` is asked at the vendor's own address."""
        return base_url is None or base_url.rstrip("/") == self.base_url

    def bills(self, model: str) -> bool:
        """Whether a call of the model at the vendor's own address may be billed."""
        if not self.free:
            return True
        return bool(self.billed_models and re.search(f"(?:{self.billed_models})$", model))

    def full_name(self, model: str) -> str:
        """The model's name as its server lists it: with a tag, where models have one."""
        if self.default_tag is None or ":" in model.rpartition("/")[2]:
            return model
        return f"{model}:{self.default_tag}"


VENDORS: PluginTable[Vendor] = PluginTable({}, Vendor, "mom_council.vendors")
"""By what a council writes in `provider`; `vendors/__init__.py` adds ours."""


def vendor_of(provider: str) -> Vendor:
    """The profile of a `provider`; of one that is not in the table, what is assumed of it."""
    try:
        return VENDORS[provider]
    except KeyError:
        return Vendor(
            name=provider,
            title=provider,
            chat="langchain:open_chat",
            profiled=".",
            says_end=False,
        )


def load_code(place: str) -> Any:
    """The function that a profile names as `module:function`; its module is imported now.

    The module is one of `models/providers/`; with a dot in it, it is one of an installed package.
    """
    module, _, name = place.partition(":")
    path = module if "." in module else f"mom_council.models.providers.{module}"
    return getattr(import_module(path), name)
