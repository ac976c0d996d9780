"""Prompts: one Markdown/Jinja file for each node that asks a model, and `render`.

A file has two parts, headed by the comments `<!-- system -->` and `<!-- user -->`. The file is cut
before it is rendered, so nothing that a user or a model wrote can open a new part. What others
wrote is fenced (`{{ text | fenced("proposal", number=1) }}`, see `fenced`).

There are three styles: `standard`, `short` for small models, and `tiny` for the three that come
with the package. Those were trained on the very bytes of their prompts and know no fence: there a
text stands on one line, so that it cannot begin a line of the prompt.

Fences around what others wrote, so that nothing in it can act as a part of a prompt.

A fenced text stands between `<tag ... fence="CODE">` and `</tag fence="CODE">`. The code is made
from everything that the prompt quotes and from a secret of this machine. Whoever writes the text
cannot guess it, because it changes with each letter of the text. Yet the same prompt has the same
code again: a resumed run sends the same bytes, and caches of prompts and answers know them.

Inside, what looks like one of our tags, or like the marks between the turns of a chat, is broken by
a blank. Letters that nobody can see are removed from what others wrote.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import json
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from mom_council import paths
from mom_council.errors import CouncilError, StorageError

_HERE = Path(__file__).parent
STYLES = ("standard", "short", "tiny")
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
        style: one of `STYLES`, or a folder; what one lacks comes from `standard`.
        values: what the template may use; a name that it uses and that is missing is an error.

    Raises:
        CouncilError: there is no such prompt, or the template does not render.
    """
    try:
        values["fence"] = code_of(node, values)
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
        meant = fenced(restated, "restated")
        full_question += f"\n\nIn the light of the conversation this means:\n{meant}"
    numbered = list(enumerate(proposals, 1))
    code = code_of(question, restated, proposals)
    filled = {
        "user_query": full_question,
        "responses": "\n\n".join(
            fenced(text, "proposal", code, number=n) for n, (text, _) in numbered
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
    templates = jinja.from_string(system), jinja.from_string(user)
    for template in templates:
        template.globals = dict(template.globals)  # a chain of mappings is copied at each rendering
    return templates


def _source(name: str, style: str) -> str:
    folder = _HERE / style if style in STYLES else Path(style).expanduser()
    if style not in STYLES and not folder.is_dir():
        raise CouncilError(
            f"prompts: {style!r} is neither 'standard', 'short' or 'tiny' nor a folder",
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
def _jinja(*, own: bool) -> jinja2.Environment:
    # A folder of templates may come with a council somebody downloaded: bounded, and not by a
    # sandbox alone. Our own are part of the program, and a sandbox asks at each name.
    kind: type[jinja2.Environment] = jinja2.Environment
    if not own:
        from mom_council.prompts import bounded

        kind = bounded.BoundedEnvironment
    # nosec: the output is a prompt, not HTML, so nothing is to be escaped.
    environment = kind(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["fenced"] = _fenced
    environment.filters["one_line"] = one_line
    environment.filters["answer_line"] = _answer_line
    environment.filters["restated"] = restated
    # Templates of one's own, written before there were fences.
    environment.filters["within"] = lambda text, tag: without_marks(text)
    return environment


@jinja2.pass_context
def _fenced(context: jinja2.runtime.Context, text: str, tag: str, **about: object) -> str:
    """The filter `fenced`, which knows the prompt's code."""
    return fenced(text, tag, context["fence"], **about)


def one_line(text: str) -> str:
    """A text that cannot begin a line of a prompt without fences."""
    return " ".join(without_marks(text).split())


_SUM = re.compile(
    r"[¿¡]?(?:please )?(?:(?:what(?:'?s| is| does| do)|how (?:much|many) (?:is|are)|calculate|"
    r"compute|solve|tell me|add|the sum of|what is the sum of|was (?:ist|macht|gibt)|"
    r"wie ?viel (?:ist|sind)|"
    r"combien (?:font|fait)|cu[aá]nto (?:es|son)|quanto (?:fa|é|è)|hoeveel is|hur mycket är|"
    r"ile (?:to )?jest|сколько будет):? )?"
    r"(\d{1,2}) ?(\+|plus|and|-|\u2013|\u2212|minus|less|take away) ?(\d{1,2})"
    r" ?(?:=|equals?|is|makes?)? ?[?.! ]*(?:,? ?please)?[?.! ]*",
    re.IGNORECASE,
)
_WHICH = r"(?:which|what)(?: one| number)? is "
_WORD = r"(?P<word>larger|bigger|greater|higher|more|smaller|lower|less)"
_PAIR = r"(?P<one>\d{1,2}) (?:or|and) (?P<other>\d{1,2})"
_COMPARISONS = [
    re.compile(form + r" ?[?.!]*", re.IGNORECASE)
    for form in (
        rf"{_WHICH}{_WORD}(?: number)?[:,]? {_PAIR}",
        rf"which(?: one)? of {_PAIR} is {_WORD}",
        rf"{_PAIR}[,:]? which(?: one)? is {_WORD}",
    )
]

_REPEATED = re.compile(r"([?!])[?!]+")


def restated(question: str, as_formula: bool) -> str:
    """A small sum or comparison in a form that the tiny models know; anything else as it is.

    What is shouted is not: the models have read no sentence in capitals.

    Args:
        question: as it was typed.
        as_formula: the shorter of two forms. Members that read different forms make different
            mistakes.
    """
    typed = _REPEATED.sub(r"\1", " ".join(question.split()))
    if typed.isupper() and len(typed) > 1:
        question = typed = typed.capitalize()
    if match := _SUM.fullmatch(typed):
        sign = "+" if match[2].lower() in ("+", "plus", "and") else "-"
        formula = f"{int(match[1])} {sign} {int(match[3])}"
        return formula if as_formula else f"What is {formula}?"
    if match := next(filter(None, (form.fullmatch(typed) for form in _COMPARISONS)), None):
        word = "smaller" if match["word"].lower() in ("smaller", "lower", "less") else "larger"
        one, other = int(match["one"]), int(match["other"])
        if as_formula:
            return f"What is {word}, {one} or {other}?"
        return f"Which is {word}, {other} or {one}?"
    return question


UNKNOWN_TO_TINY = "I do not know that. I am a very small model."
"""What the shipped models say to everything that they were not made for."""


@functools.cache
def _vocabulary() -> dict[str, frozenset[str]]:
    read = json.loads((_HERE.parent / "tiny" / "words.json").read_text(encoding="utf-8"))
    return {name: frozenset(words) for name, words in read.items()}


def kinds_of_things() -> frozenset[str]:
    """The kinds that the shipped models sort things into."""
    return _vocabulary()["kinds"]


_UNREAD = re.compile(
    r"[^\w\s+\-\u2212\u2013=?.,:;'\u2019!<>]|_"  # a sign that no question of theirs has
    r"|\d[.,:]\d|\d{3}|\d[^\W\d]|[^\W\d]\d"  # no whole number below 100
    r"|(?:^|[^\d\s])\s*[-\u2212\u2013]\s*\d"  # a number below zero
)
_TAKEN_AWAY = re.compile(
    r"(?P<more>\d+) *(?:[-\u2212\u2013]|minus|less|take away) *(?P<less>\d+)"
    r"|(?:take|subtract) (?P<taken>\d+) (?:away )?from (?P<of>\d+)"
)


def is_made_for(question: str) -> bool:
    """Whether the shipped models were trained on questions of these words and numbers.

    They know some hundred words (`tiny/words.json`, written from their corpus), and sums,
    differences and comparisons of two whole numbers below 100. Of a word that they never read
    ("Is a goldfish an animal?") they say yes or no at random, and are sure of it.
    """
    lowered = question.lower().replace("\u2019", "'").strip()
    numbers = re.findall(r"\d+", lowered)
    if _UNREAD.search(lowered) or len(numbers) not in (0, 2):
        return False
    for match in _TAKEN_AWAY.finditer(lowered):
        more, less = match["more"] or match["of"], match["less"] or match["taken"]
        if int(more) < int(less):
            return False
    words = re.findall(r"[^\W\d]+(?:'[^\W\d]+)*", lowered)
    return _vocabulary()["words"].issuperset(words)


_WHAT = re.compile(r"what(?:'?s| is| (are)) (an? \w+|\w+s)[ ?.!]*")
_OF_A_KIND = re.compile(r"(is|are) ((?:an? )?\w+) (?:an? )?(?:kind of )?(\w+?)(s?)[ ?.!]*")


def ask_for_kind(question: str) -> tuple[str, str]:
    """A question whether a thing is of a kind, as the question for its kind; with that kind.

    The shipped models learned "What kind of thing is a robin?" for all kinds, and "Is a robin a
    bird?" for few. "What is a robin?" is asked in that form too. Any other question stays as it
    is, with no kind.
    """
    typed = " ".join(question.lower().replace("\u2019", "'").split())
    if match := _WHAT.fullmatch(typed):
        return f"What kind of thing {'are' if match[1] else 'is'} {match[2]}?", ""
    match = _OF_A_KIND.fullmatch(typed)
    if match is None or match[3] not in _vocabulary()["kinds"]:
        return question, ""
    return f"What kind of thing {match[1]} {match[2]}?", match[3]


def _tidy(text: str) -> str:
    return text.strip()


_QUESTION_TAGS = ("question", "request", "wish")
"""What a person asked stays as it is, to the last letter."""

_LENGTH = 12
"""Letters of a code: 48 bits."""

_HIDDEN = re.compile(
    "(\U0001f3f4[\U000e0000-\U000e007f]{1,7})"
    "|[\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}"
    "|[\u00ad\u034f\u180b-\u180e\u200b-\u200f\u2060-\u2064\ufeff]{3,}"
)
"""Turned-around writing, and letters that no screen shows; flags stay, and a single one does."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MAY_HOLD_MARKS = re.compile(r"[\[\]<&%\\\u00a1-\U0010ffff]")
"""Without one of these a text holds nothing that looks like a mark: most answers hold none."""
_SPEECH = (
    r"(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|above|prior|earlier|all|other|your)\b"
    r".{0,40}\b(?:instructions?|prompts?|candidates|proposals|messages)\b"
    r"|\b(?:vote|choose|rank|pick|select|score)\b.{0,20}\b(?:for me|me first|this (?:one|answer|"
    r"candidate|proposal)|my (?:answer|proposal))"
    r"|\b(?:attention|note|message|instructions?)\b[^.\n]{0,20}\b(?:voters?|judges?|synthesizer|"
    r"annotator|council members?)\b"
    r"|^\W{0,4}(?:system|developer)(?: (?:prompt|message|note))?\W{0,3}:"
)


def code_of(*quoted: object, secret: bytes | None = None) -> str:
    """The code of a prompt or a text that quotes this; nobody can tell it without the secret."""
    text = "\0".join(map(repr, quoted)).encode("utf-8", "surrogatepass")
    secret = secret or _secret(os.environ.get(paths.VARIABLE, ""))
    return hmac.digest(secret, text, "sha256").hex()[:_LENGTH]


def _answer_line(question: str) -> str:
    """How the line of a final answer looks in the language of a question."""
    from mom_council.prompts.answer_line import answer_line  # small models are not asked for one

    return answer_line(question.text if isinstance(question, TextWithMaterial) else question)


class TextWithMaterial(str):
    """What a person asked, and material that goes with it in fences of its own.

    As a string it is both. Its fence holds what was asked alone: within it, a fence means nothing.
    """

    __slots__ = ("material", "text")
    text: str
    material: str

    def __new__(cls, text: str, material: str) -> TextWithMaterial:
        """Join the two."""
        both = super().__new__(cls, "\n\n".join(part for part in (text, material) if part))
        both.text, both.material = text, material
        return both


def fenced(text: str, tag: str, code: str = "", **about: object) -> str:
    """A text between its tags.

    Args:
        text: what somebody wrote; the material of a `TextWithMaterial` follows the closing tag.
        tag: one of `look_alikes.TAGS`.
        code: the prompt's; left out, one that the text alone decides.
        about: attributes of the opening tag.
    """
    code = code or code_of(tag, text)
    if isinstance(text, TextWithMaterial):
        return "\n\n".join(filter(None, (fenced(text.text, tag, code, **about), text.material)))
    if tag in _QUESTION_TAGS:
        text = _without_tags(text)
    else:
        text = _as_material(text) if len(text) <= _OFTEN else without_marks(text)
    attributes = "".join(f' {name}="{_attribute(value)}"' for name, value in about.items() if value)
    return f'<{tag}{attributes} fence="{code}">\n{text}\n</{tag} fence="{code}">'


_OFTEN = 20_000
"""Characters of a proposal that every voter reads, and that is cleaned once for all of them."""


@functools.lru_cache(maxsize=128)
def _as_material(text: str) -> str:
    return without_marks(text)


def _without_tags(text: str) -> str:
    if not _MAY_HOLD_MARKS.search(text):
        return text
    from mom_council.prompts.look_alikes import break_tags

    return break_tags(text)


def without_hidden(text: str) -> str:
    """The text without letters that nobody can see, and without turned-around writing."""
    return _HIDDEN.sub(r"\1", text)


def without_marks(text: str) -> str:
    """What others wrote, without what could end its fence, open another, end a turn, or hide."""
    text = _CONTROLS.sub("", without_hidden(text))
    if not _MAY_HOLD_MARKS.search(text):
        return text
    from mom_council.prompts.look_alikes import break_marks

    return break_marks(text)


def tries_to_act(text: str) -> str:
    """What in a text is meant for those who read it as material, in words; empty: nothing."""
    if _MAY_HOLD_MARKS.search(text):
        from mom_council.prompts.look_alikes import has_turn_mark, tags_in

        if any(tag.is_structure for tag in tags_in(text)):
            return "it writes the tags of the council's prompts"
        if has_turn_mark(text):
            return "it writes marks that begin another turn"
    if len(without_hidden(text)) + 8 < len(text):
        return "it holds text that nobody can see"
    # Compiled by the first answer: it takes 4 ms, which nobody waits for at the start.
    if re.search(_SPEECH, text, re.IGNORECASE | re.MULTILINE | re.DOTALL):
        return "it gives instructions to those who judge it"
    return ""


_OUTSIDE_ATTRIBUTES = re.compile(r'["<>\n\r]')


def _attribute(value: object) -> str:
    text = str(value)
    return text if text.isalnum() else _OUTSIDE_ATTRIBUTES.sub("'", text)


def load_secret() -> None:
    """Read this machine's secret for fences, so that no prompt reads a file on an event loop."""
    _secret(os.environ.get(paths.VARIABLE, ""))


@functools.lru_cache(maxsize=8)
def _secret(folder: str) -> bytes:
    """The secret of this machine; where it cannot be kept, one of this process."""
    fresh = secrets.token_hex(32)
    try:
        file = paths.ensure(Path(folder) if folder else paths.data_dir()) / "fence.key"
        if not file.exists():
            # Another process may do the same now: whoever links first has written all of it.
            own = file.with_name(f"fence.{fresh[:8]}")
            own.touch(0o600)
            own.write_text(fresh, encoding="ascii")
            with contextlib.suppress(FileExistsError):
                file.hardlink_to(own)
            own.unlink()
        # Whoever opens a pipe waits for one who writes.
        stored = file.read_text(encoding="ascii").strip() if file.is_file() else ""
        return (stored or fresh).encode()
    except (OSError, ValueError, StorageError):
        return fresh.encode()
