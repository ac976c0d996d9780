"""Prompts: one Markdown/Jinja file for each node that asks a model, and `render`.

A file has two parts, headed by the comments `<!-- system -->` and `<!-- user -->`. The file is cut
before it is rendered, so nothing that a user or a model wrote can open a new part.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mom_council.errors import CouncilError

_HERE = Path(__file__).parent
STYLES = ("standard", "short")
_PLACE = re.compile(r"\{(user_query|responses|response_weights)\}")


class Prompt(NamedTuple):
    """A rendered prompt: what the model is, and what it is asked. Either may be empty."""

    system: str
    user: str


def render(node: str, /, *, style: str = "standard", **values: Any) -> Prompt:
    """Render the prompt of a speaking node.

    Args:
        node: the node's name, which is the file's name without `.md`.
        style: `standard`, `short`, or a folder; what a folder lacks comes from `standard`.
        values: what the template may use; a name that it uses and that is missing is an error.

    Raises:
        CouncilError: there is no such prompt, or the template does not render.
    """
    try:
        system, user = _parts(node, style)
        return Prompt(_tidy(system.render(values)), _tidy(user.render(values)))
    except jinja2.TemplateError as error:
        raise CouncilError(
            f"prompt {node!r} of style {style!r} does not render: {error}"
        ) from error


def fill(
    template: str, question: str, restated: str, proposals: Sequence[tuple[str, float]]
) -> str:
    """Fill a council's own template for its synthesizer: the question, the proposals and weights.

    Three names in braces are places to fill; every other brace is a brace.

    All places are filled at once, so what a question or a proposal holds in braces stays as it is.
    """
    full_question = question
    if restated:
        full_question += f"\n\n(In the light of the conversation this means: {restated})"
    numbered = list(enumerate(proposals, 1))
    filled = {
        "user_query": full_question,
        "responses": "\n\n".join(
            f'<proposal number="{n}">\n{within(text, "proposal")}\n</proposal>'
            for n, (text, _) in numbered
        ),
        "response_weights": ", ".join(f"proposal {n}: {weight:g}" for n, (_, weight) in numbered),
    }
    return _PLACE.sub(lambda place: filled[place[1]], template).strip()


@functools.lru_cache(maxsize=256)
def _parts(name: str, style: str) -> tuple[jinja2.Template, jinja2.Template]:
    source = _source(name, style)
    head, mark, user = source.partition("<!-- user -->")
    system = head.partition("<!-- system -->")[2]
    if not mark:
        raise CouncilError(
            f"prompt {name!r} of style {style!r} has no line '<!-- user -->'", cure="add one"
        )
    return _jinja().from_string(system), _jinja().from_string(user)


def _source(name: str, style: str) -> str:
    folder = _HERE / style if style in STYLES else Path(style).expanduser()
    if style not in STYLES and not folder.is_dir():
        raise CouncilError(
            f"prompts: {style!r} is neither 'standard' nor 'short' nor a folder",
            cure="name one of them",
        )
    for place in (folder, _HERE / "standard"):
        file = place / f"{name}.md"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise CouncilError(f"there is no prompt {name!r}", cure=f"write {name}.md in {str(folder)!r}")


@functools.cache
def _jinja() -> ImmutableSandboxedEnvironment:
    # Sandboxed: a folder of templates may come with a council somebody downloaded.
    # nosec: the output is a prompt, not HTML, so nothing is to be escaped.
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["within"] = within
    return environment


def within(text: str, tag: str) -> str:
    """A text that stands between `<tag>` and `</tag>`, and cannot end the tag itself."""
    return re.sub(rf"<(\s*/\s*{tag})", r"< \1", text, flags=re.IGNORECASE)


def _tidy(text: str) -> str:
    return text.strip()
