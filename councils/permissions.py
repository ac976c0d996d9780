"""What a council file asks of this machine: keys, addresses, code, files, weights.

A council that asks for none of them can harm nobody: it talks to models on this machine, with no
key, and does so under its own limits. Every other one is shown to the user first, see `trust`.

What needs no permission: a model on this machine's own address without a key, Ollama where the
environment says it is, the weights in the user's own folder, a person, recorded answers, and
bundled tools. Everything else that reaches out of the council is listed, so a new field of the
schema that reaches out belongs into `permissions` too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from mom_council.councils.refusals import near_miss
from mom_council.councils.schema import Council, Model, Server, Tool
from mom_council.vendors import VENDORS, Vendor, vendor_of


class Permission(NamedTuple):
    """One thing that a council may do only once its user has seen it."""

    text: str
    """What it does: `sends the key in FAR_KEY to https://far.example/v1`."""
    odd_variable: str = ""
    """A variable in it that does not look like a key of that address; it is allowed by name."""


def permissions(council: Council) -> list[Permission]:
    """List what the council asks of this machine, each thing once, in a fixed order.

    Paths are written out in full, as they are from the working directory.
    """
    listed = [
        *(one for model in council.models.values() for one in _of_model(model)),
        *(one for name, tool in council.tools.items() for one in _of_tool(name, tool)),
        *(Permission(f"runs the extension {_in_full(one.use)}") for one in council.extensions),
        *_of_files(council),
    ]
    if council.pictures.fetch:
        listed.append(Permission("loads pictures from web addresses that a question names"))
    return list(dict.fromkeys(listed))


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own, and no name that somebody else resolves."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


# -- models ---------------------------------------------------------------------------------------

_PLAIN_PARAMS = """
temperature top_p top_k min_p typical_p top_a tfs_z seed stop stop_sequences n best_of
max_tokens max_completion_tokens max_output_tokens max_new_tokens num_predict num_ctx num_batch
num_gpu main_gpu num_thread num_keep use_mmap use_mlock keep_alive slots context
frequency_penalty presence_penalty repeat_penalty repetition_penalty repeat_last_n
mirostat mirostat_eta mirostat_tau logprobs top_logprobs logit_bias reasoning reasoning_effort
thinking think thinking_budget effort verbosity service_tier parallel_tool_calls
use_responses_api api_version stream_usage format response_format safe_prompt random_seed do_sample
num_beams device dtype quality size style background guidance_scale num_inference_steps strength
width height negative_prompt dimensions encoding_format user
"""
"""Parameters that change what a model writes, and not where a request goes or what runs here."""


def _of_model(spec: Model) -> Iterator[Permission]:
    vendor = vendor_of(spec.provider)
    if vendor.is_person or vendor.is_recording:
        return
    at_home = vendor.is_at_home(spec.base_url)
    variable = spec.api_key_env or (vendor.key_env if at_home else None)
    address = spec.base_url or _in_environment(vendor) or vendor.base_url
    if spec.provider not in VENDORS or (address is None and _is_remote(vendor)):
        yield Permission(
            f"asks {_in_full(spec.provider)}, whose library finds its own key and address"
            + (f" ({meant})" if (meant := near_miss(spec.provider, [*VENDORS])) else "")
        )
    if variable:
        goal = address or f"the address of {_in_full(spec.provider)}"
        odd = "" if looks_like_its_key(variable, spec) else variable
        yield Permission(f"sends the key in {variable} to {goal}", odd)
    elif address and not is_loopback(address):
        yield Permission(f"sends questions and answers to {address}")
    if vendor.bills(spec.model) and vendor.free:
        yield Permission(f"asks {_in_full(spec.model)}, which may cost money")
    yield from _of_weights(spec, vendor)
    for name, value in spec.params.items():
        if name not in _PLAIN_PARAMS.split():
            yield Permission(
                f"sets {_in_full(name)} to {_in_full(value)} for {_in_full(spec.provider)}"
            )


def _in_environment(vendor: Vendor) -> str | None:
    """Where the user's environment says that another server of a vendor's protocol is."""
    if not vendor.shared_protocol:
        return None
    return next((os.environ[name] for name in vendor.address_variables if name in os.environ), None)


def _is_remote(vendor: Vendor) -> bool:
    return not vendor.free and vendor.usual_address is None


def _of_weights(spec: Model, vendor: Vendor) -> Iterator[Permission]:
    if not (vendor.from_files or vendor.draws) or not vendor.free:
        return
    path = Path(spec.model).expanduser()
    if path.exists() or re.search(r"^[.~/]|\\|\.\w{2,11}$", spec.model):
        yield Permission(f"loads the weights in {_whole(spec.model)}")
    elif "/" in spec.model:
        yield Permission(f"loads the weights {_in_full(spec.model)} of the Hugging Face hub")


KEY_NAME = re.compile(r"(?:^|_)(?:API_?)?(?:KEY|TOKEN)(?:_?\w{1,8})?$", re.IGNORECASE)
_OTHER_SECRETS = re.compile(
    r"SECRET|PASSW|PRIVATE|CREDENTIAL|SESSION|COOKIE|CERT|"
    r"^(?:AWS|AZURE|GCP|GCLOUD|GOOGLE_APPLICATION|GITHUB|GH|GITLAB|BITBUCKET|SSH|GPG|NPM|PYPI|TWINE|"
    r"DOCKER|KUBE|VAULT|OP|STRIPE|PAYPAL|SLACK|DISCORD|TELEGRAM|TWILIO|SENDGRID|DATABASE|DB|PG|"
    r"POSTGRES|MYSQL|REDIS|LANGSMITH|LANGCHAIN|SENTRY|DATADOG|DD|CI|MOM)_",
    re.IGNORECASE,
)


def looks_like_its_key(variable: str, spec: Model) -> bool:
    """Whether a variable's name is one under which people keep a key of a model's own server.

    A vendor's usual variable belongs to the vendor's own address alone. A name that is known for
    secrets of another kind (AWS_..., GITHUB_..., ..._SECRET) belongs to no model.
    """
    owners = [vendor for vendor in VENDORS.values() if vendor.key_env == variable]
    if owners:
        own_address = vendor_of(spec.provider).base_url
        address = spec.base_url or own_address
        return any(
            (vendor.name == spec.provider and vendor.is_at_home(spec.base_url))
            or (address is not None and _server(address) == _server(vendor.base_url or ""))
            for vendor in owners
        )
    return bool(KEY_NAME.search(variable)) and not _OTHER_SECRETS.search(variable)


def _server(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: another port is another server, and without TLS everybody reads."""
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or url, parts.port or usual


# -- tools and files ------------------------------------------------------------------------------


def _of_tool(name: str, tool: Tool) -> Iterator[Permission]:
    if tool.python:
        yield Permission(f"runs the Python function {tool.python} (tool {_in_full(name)})")
    if tool.mcp is not None:
        yield from _of_server(name, tool.mcp)


def _of_server(name: str, server: Server) -> Iterator[Permission]:
    program = server.permission.removeprefix("mcp:")
    does = "asks the MCP server at" if server.url else "starts the program"
    yield Permission(f"{does} {program} (tool {_in_full(name)})")
    for variable in (*server.env, *filter(None, [server.key_env])):
        odd = "" if KEY_NAME.search(variable) and not _OTHER_SECRETS.search(variable) else variable
        yield Permission(f"gives the variable {variable} to {program}", odd)


def _of_files(council: Council) -> Iterator[Permission]:
    if council.prompts not in ("standard", "short", "tiny"):
        yield Permission(f"takes its prompts from the folder {_whole(council.prompts)}")
    if council.prices is not None:
        yield Permission(f"reads prices from {_whole(council.prices)}")


def _whole(path: str) -> str:
    return repr(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - no link followed


def _in_full(value: object) -> str:
    """A value with nothing left out and no sign that acts: what is hidden was not shown."""
    return repr(value)
