"""Prompts: one Markdown/Jinja file for each node that asks a model, and `render`.

A file has two parts, headed by the comments `<!-- system -->` and `<!-- user -->`. The file is cut
before it is rendered, so nothing that a user or a model wrote can open a new part.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mom_council.errors import CouncilError

_HERE = Path(__file__).parent
STYLES = ("standard", "short")
_FAILURES = (
    *(jinja2.TemplateError, SyntaxError, ArithmeticError, TypeError, ValueError, LookupError),
    *(AttributeError, RecursionError, MemoryError),
)
"""What rendering a template raises that somebody wrote wrongly."""
LARGEST = 200_000
"""Characters of a template."""
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
        with _limits(style):
            system, user = _parts(node, style)
            return Prompt(_tidy(system.render(values)), _tidy(user.render(values)))
    except _FAILURES as error:
        raise CouncilError(
            f"prompt {node!r} of style {style!r} does not render: {error or type(error).__name__}"
        ) from error


def _limits(style: str) -> AbstractContextManager[None]:
    """What the templates of a folder may use; our own need no limit."""
    if style in STYLES:
        return nullcontext()
    from mom_council.prompts.bounded import allowance

    return allowance()


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
    jinja = _jinja(own=style in STYLES)
    return jinja.from_string(system), jinja.from_string(user)


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
            return _read(file, place)
    raise CouncilError(f"there is no prompt {name!r}", cure=f"write {name}.md in {str(folder)!r}")


def _read(file: Path, folder: Path) -> str:
    """The text of a template. A link must not lead to another file: it would go to the models."""
    if file.resolve().parent != folder.resolve():
        raise CouncilError(f"{str(file)!r} leads out of its folder", cure="put the text into it")
    with file.open(encoding="utf-8") as opened:
        text = opened.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise CouncilError(f"{str(file)!r} is longer than {LARGEST} characters")
    return text


@functools.cache
def _jinja(*, own: bool) -> ImmutableSandboxedEnvironment:
    # A folder of templates may come with a council somebody downloaded: bounded, and not by a
    # sandbox alone.
    kind: type[ImmutableSandboxedEnvironment] = ImmutableSandboxedEnvironment
    if not own:
        from mom_council.prompts import bounded

        kind = bounded.BoundedEnvironment
    # nosec: the output is a prompt, not HTML, so nothing is to be escaped.
    environment = kind(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["within"] = within
    environment.filters["restated"] = restated
    return environment


def within(text: str, tag: str) -> str:
    """A text that stands between `<tag>` and `</tag>`, and cannot end the tag itself."""
    return re.sub(rf"<(\s*/\s*{tag})", r"< \1", text, flags=re.IGNORECASE)


_SUM = re.compile(
    r"(?:please )?(?:(?:what(?:'?s| is| does| do)|how (?:much|many) (?:is|are)|calculate|compute|"
    r"solve|tell me|add|the sum of|what is the sum of):? )?"
    r"(\d{1,2}) ?(\+|plus|and|-|\u2013|\u2212|minus|less|take away) ?(\d{1,2})"
    r" ?(?:=|equals?|is|makes?)? ?[?.! ]*(?:,? ?please)?[?.! ]*",
    re.IGNORECASE,
)
_COMPARISON = re.compile(
    r"(?:which|what)(?: number)? is (larger|bigger|greater|smaller|less):?,? "
    r"(\d{1,2}) or (\d{1,2}) ?[?.!]*",
    re.IGNORECASE,
)


def restated(question: str, as_formula: bool) -> str:
    """A small sum or comparison in a form that the tiny models know; anything else as it is.

    Args:
        question: as it was typed.
        as_formula: the shorter of two forms. Members that read different forms make different
            mistakes.
    """
    typed = " ".join(question.split())
    if found := _SUM.fullmatch(typed):
        sign = "+" if found[2].lower() in ("+", "plus", "and") else "-"
        formula = f"{int(found[1])} {sign} {int(found[3])}"
        return formula if as_formula else f"What is {formula}?"
    if found := _COMPARISON.fullmatch(typed):
        word = "smaller" if found[1].lower() in ("smaller", "less") else "larger"
        one, other = int(found[2]), int(found[3])
        if as_formula:
            return f"What is {word}, {one} or {other}?"
        return f"Which is {word}, {other} or {one}?"
    return question


def _tidy(text: str) -> str:
    return text.strip()
