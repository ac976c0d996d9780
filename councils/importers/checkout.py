"""A whole checkout of another system: the file that describes its models, and what lies beside it.

The folder is a stranger's. Nothing in it is run, no link is followed, and no more than a few
thousand names are looked at. What a compose file publishes tells where a name of Docker's network
is found on this machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mom_council.councils.importers.foreign import Report
from mom_council.councils.loader import read_text
from mom_council.councils.refusals import Problem, refusal
from mom_council.councils.yaml import as_plain, read_yaml
from mom_council.errors import CouncilError
from mom_council.redaction import names_a_secret

_MOST_NAMES = 5_000
_DEEPEST = 5
_LARGEST = 1_000_000
_SKIPPED = frozenset(
    {"node_modules", "site-packages", "venv", "env", "dist", "build", "__pycache__", "target"}
)

ENV_NAMES = (".env.local", ".env")
TEMPLATES = (".env.example", ".env.sample", ".env.template", ".env.local.template", "env.example")
"""What a fresh checkout has in the place of a `.env`."""

COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def files_in(folder: Path) -> Iterator[Path]:
    """The files of a checkout, the shallow ones first; without links, and without what is hidden.

    `.env` files are no part of it: they are read for what stands in another file.
    """
    waiting, seen = [(folder, 0)], 0
    while waiting:
        at, depth = waiting.pop(0)
        try:
            entries = sorted(os.scandir(at), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > _MOST_NAMES:
                return
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir():
                if depth < _DEEPEST and entry.name not in _SKIPPED:
                    waiting.append((Path(entry.path), depth + 1))
            elif entry.is_file() and entry.stat().st_size <= _LARGEST:
                yield Path(entry.path)


# -- .env files -----------------------------------------------------------------------------------

_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::?-(?P<usual>[^}]*))?\}")
_LONGEST_VALUE = 10_000


def read_env(text: str, name: str, report: Report) -> dict[str, str]:
    """The lines of a `.env` file; empty ones are left out.

    `${NAME}` and `${NAME:-x}` are looked up in the same file, never in this machine's environment,
    whose secrets could end up in an address.
    """
    from dotenv.parser import parse_stream

    raw: dict[str, str] = {}
    literal: set[str] = set()
    for line in parse_stream(StringIO(text)):
        if line.error:
            report.leave(f"{name} line {line.original.line}", "is no line of the form NAME=value")
        elif line.key and line.value and line.value.strip():
            raw[line.key] = line.value.strip()
            if re.search(r"=\s*'", line.original.string):
                literal.add(line.key)
    values: dict[str, str] = {}
    for key, value in raw.items():
        resolved, lacking = (value, []) if key in literal else resolve(value, raw)
        values[key] = resolved
        if lacking:
            says = f"names {', '.join(lacking)}, which no line of the file sets; write the value"
            report.leave(f"{name} {key}", says)
    return values


def resolve(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """A text with its `${NAME}` filled in, and the names that nobody sets, which stay in it."""
    lacking: list[str] = []

    def fill(match: re.Match[str], inside: tuple[str, ...]) -> str:
        name, usual = match["name"], match["usual"]
        if name in values and name not in inside:
            return expand(values[name], (*inside, name))
        if usual is not None:
            return usual
        lacking.append(name)
        return match[0]

    def expand(part: str, inside: tuple[str, ...]) -> str:
        filled = (
            part if len(inside) > 8 else _REFERENCE.sub(lambda match: fill(match, inside), part)
        )
        return filled[:_LONGEST_VALUE]

    return expand(text, ()), list(dict.fromkeys(lacking))


_BARE_REFERENCE = re.compile(r"\$(\w+)")
_LONGEST_FILLED = 300
"""Of a text with a variable in it; a longer one is a prompt, which may hold a `${` of its own."""


def fill_variables(values: Any, variables: Mapping[str, str], origin: str) -> Any:
    """Plain values with `${NAME}` filled in, as the other system's start does; never a secret's.

    Raises:
        CouncilError: an address names a variable that nobody sets.
    """
    if not isinstance(values, Mapping):
        return values
    problems, plain = as_plain(values)
    if problems:
        return values  # whoever reads them says what is wrong
    harmless = {name: value for name, value in variables.items() if not names_a_secret(name)}
    return _fill(plain, harmless, origin, ())


def _fill(
    value: Any, variables: Mapping[str, str], origin: str, path: tuple[str | int, ...]
) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, variables, origin, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, variables, origin, (*path, at)) for at, inner in enumerate(value)]
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if not isinstance(value, str) or len(value) > _LONGEST_FILLED or names_a_secret(key):
        return value
    bare = _BARE_REFERENCE.fullmatch(value)
    filled, lacking = resolve(f"${{{bare[1]}}}" if bare else value, variables)
    if lacking and key.endswith(("url", "api_base")):
        says = f"names {', '.join(lacking)}, which no .env here sets"
        raise refusal(origin, [Problem(path, says, cure="set it there, or write the address")])
    return value if lacking else filled


def environment_of(folder: Path, top: Path, report: Report) -> dict[str, str]:
    """What the environment's file says, in `folder` or nearest above it, up to `top`.

    Raises:
        CouncilError: a file of that name cannot be read.
    """
    places = [folder, *(one for one in folder.parents if one == top or top in one.parents)]
    for names in (ENV_NAMES, TEMPLATES):
        for place in places:
            for name in names:
                file = place / name
                if file.is_file() and not file.is_symlink():
                    kind = "is read along" if names is ENV_NAMES else "is read, as there is no .env"
                    report.turn(name, kind)
                    return read_env(read_text(file), name, report)
    return {}


# -- Docker ---------------------------------------------------------------------------------------

_HOST_NAMES = frozenset(
    {
        "host.docker.internal",
        "gateway.docker.internal",
        "docker.for.mac.localhost",
        "docker.for.mac.host.internal",
        "host.containers.internal",
        "host.lima.internal",
        "172.17.0.1",
    }
)
"""What the machine itself is called inside a container."""
_USUAL_SERVICES = frozenset(
    {"ollama", "vllm", "litellm", "localai", "llamacpp", "llama-cpp", "llama_cpp", "tgi"}
)
"""Names that are hardly ever a machine's, where no compose file is there to tell."""


@dataclass(frozen=True)
class LlamaServer:
    """A service that is a llama.cpp server, by its image or its command."""

    name: str
    command: str
    port: int

    @property
    def size(self) -> float:
        """How large its model is, in billions of weights where its name says so; 0: small."""
        if re.search(r"small|mini|tiny|fast|classif|rout", self.name.lower()):
            return 0.0
        sizes = re.findall(r"(\d+(?:\.\d+)?)[bB](?![a-zA-Z])", self.command)
        return max(map(float, sizes), default=1.0)

    @property
    def model(self) -> str:
        """What its model is called: its alias, or its file; empty: it does not say."""
        for flags in (r"-a|--alias|LLAMA_ARG_ALIAS", r"-m|--model|LLAMA_ARG_MODEL"):
            if match := re.search(rf"(?:^|\s)(?:{flags})[ =]+(\S+)", self.command):
                return match[1].rpartition("/")[2].removesuffix(".gguf")
        return ""

    @property
    def context(self) -> str:
        """Tokens of its context; empty: it does not say."""
        match = re.search(r"(?:-c|--ctx-size|LLAMA_ARG_CTX_SIZE)[ =]+(\d+)", self.command)
        return match[1] if match else ""


@dataclass
class Docker:
    """What the compose files of a checkout say."""

    services: dict[str, dict[int, int]] = field(default_factory=dict)
    """By each name that a service answers to: its ports, and where they are published."""
    environment: dict[str, str] = field(default_factory=dict)
    """What the services' environments set."""
    files: list[str] = field(default_factory=list)
    llama_servers: list[LlamaServer] = field(default_factory=list)

    def on_this_machine(self, url: str, tell: Callable[[str], None]) -> str:
        """The address where a server of Docker's network is found from outside it."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if host in _HOST_NAMES:
            tell(f"{host!r} is this machine, seen from inside Docker: localhost")
        elif host in self.services:
            published = self.services[host].get(port)
            if published is None:
                tell(
                    f"{host!r} is a service of {self.files[0]}, which does not publish its port "
                    f'{port}: add `ports: ["{port}:{port}"]` to it there; localhost:{port} here'
                )
            else:
                tell(f"{host!r} is a service of {self.files[0]}: localhost:{published} here")
            port = published or port
        elif host in _USUAL_SERVICES:
            tell(f"{host!r} is a name inside Docker: localhost, where its port {port} is published")
        else:
            if host and "." not in host and ":" not in host and host != "localhost":
                tell(
                    f"{host!r} is kept; if it is a name inside Docker, write localhost and its port"
                )
            return url
        return urlunsplit(parts._replace(netloc=f"localhost:{port}"))


def read_docker(places: Iterable[Path], env: Mapping[str, str], report: Report) -> Docker:
    """What the compose files in some folders publish, and which variables they set."""
    docker = Docker()
    for place, name in product(dict.fromkeys(places), COMPOSE_NAMES):
        file = place / name
        if not file.is_file() or file.is_symlink():
            continue
        try:
            values = read_yaml(read_text(file), name)
        except CouncilError as error:
            report.leave(name, f"cannot be read ({str(error)[:120]}); names of services are kept")
            continue
        services = values.get("services") if isinstance(values, Mapping) else None
        if not isinstance(services, Mapping):
            continue
        docker.files.append(name)
        for service, body in services.items():
            _take_service(docker, str(service), body, env)
    return docker


def _take_service(docker: Docker, name: str, body: Any, env: Mapping[str, str]) -> None:
    if not isinstance(body, Mapping):
        return
    ports: dict[int, int] = {}
    for entry in body.get("ports") or ():
        if pair := _port_pair(entry, env):
            ports[pair[0]] = pair[1]
    aliases = [name, body.get("container_name"), body.get("hostname"), *_aliases(body)]
    for alias in aliases:
        if isinstance(alias, str):
            docker.services[alias.lower()] = ports
    set_here = {key: resolve(value, env)[0] for key, value in _environment(body.get("environment"))}
    docker.environment.update(set_here)
    command = body.get("command") or ""
    words = command if isinstance(command, str) else " ".join(map(str, command))
    words = resolve(f"{words} {' '.join(f'{k}={v}' for k, v in set_here.items())}", env)[0]
    if re.search(r"llama[._-]?(cpp|server)", f"{body.get('image')} {words}".lower()):
        written = re.search(r"(?:--port|LLAMA_ARG_PORT)[ =]+(\d{1,5})", words)
        port = int(written[1]) if written else next(iter(ports), 8080)
        docker.llama_servers.append(LlamaServer(name, words, port))


def _aliases(body: Mapping[str, Any]) -> Iterator[Any]:
    networks = body.get("networks")
    for one in networks.values() if isinstance(networks, Mapping) else ():
        yield from (one.get("aliases") or ()) if isinstance(one, Mapping) else ()


def _environment(written: Any) -> Iterator[tuple[str, str]]:
    if isinstance(written, Mapping):
        yield from ((str(key), str(value)) for key, value in written.items() if value is not None)
    elif isinstance(written, list):
        for line in written:
            key, sign, value = str(line).partition("=")
            if sign:
                yield key.strip(), value.strip()


def _port_pair(entry: Any, env: Mapping[str, str]) -> tuple[int, int] | None:
    """The container's port and this machine's; None where the entry publishes no single port."""
    if isinstance(entry, Mapping):
        parts = [str(entry.get("published") or ""), str(entry.get("target") or "")]
    else:
        parts = resolve(str(entry), env)[0].partition("/")[0].split(":")[-2:]
    if len(parts) == 2 and all(part.isdecimal() and len(part) < 6 for part in parts):
        return int(parts[1]), int(parts[0])
    return None


# -- what else a checkout holds -------------------------------------------------------------------


def extensions_in(top: Path) -> dict[str, str]:
    """The extensions of a MixtureOfModels checkout by their folders, with what they say they do."""
    texts: dict[str, str] = {}
    folder = top / "extensions"
    for file in sorted(folder.glob("*/extension.py")) if folder.is_dir() else ():
        if not file.parent.is_symlink() and not folder.is_symlink():
            texts[file.parent.name] = _read_description(file.parent / "config.json")
    return texts


def _read_description(manifest: Path) -> str:
    import json

    try:
        values = json.loads(read_text(manifest))
        return str(values.get("description") or "")[:100]
    except (CouncilError, ValueError, AttributeError):
        return ""


def tell_of_extensions(top: Path, report: Report) -> None:
    """Say what becomes of a checkout's extensions: their code is a stranger's, and is not run."""
    for name, says in extensions_in(top).items():
        if re.sub(r"\W|_", "", name).lower() == "deepthinking":
            says = "`extensions: [{use: deep_thinking}]` does it here: 2 to 20 rounds, a threshold"
            report.turn(f"extensions/{name}", says)
            continue
        about = f" ({says})" if says else ""
        report.leave(
            f"extensions/{name}",
            f"its code is not run unasked{about}; once you have read it: MOM_EXTENSIONS="
            f"{top / 'extensions'}, and `extensions: [{{use: {name}}}]` in the council",
        )
