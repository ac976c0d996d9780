"""Secrets: one list of how keys look, to refuse them in councils and remove them from text.

`SHAPES` knows how the vendors' keys are written. A council that holds one is refused. Errors, logs,
traces, LangSmith's runs, exports and events have it taken out, together with the values of the
environment's keys and of every key that was used (`remember_secret`), however they are written
(`key_forms`).
"""

from __future__ import annotations

import base64
import logging
import os
import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

from mom_council.key_forms import KeySearch, forms_apart, key_search, written_forms

REDACTED = "[redacted]"
"""What stands where a key stood."""

HIDDEN = "(not shown: it may be a key)"
"""What a message says in place of a value."""

_SHORTEST = 8
"""Characters; a shorter value ("none", "true") is no key, and hiding it would garble the text."""
_SHORTEST_USED = 6
"""Characters of a key that was really sent somewhere."""
_STAND_IN = re.compile(r"[a-z]{1,15}|[A-Z]{1,15}|not-needed")
"""What people write for servers that look at no key: a plain word, which models write as well."""
_MOST_PARTS = 4096
"""Parts of a list that are read as one text, too."""
_DEEPEST = 64
"""Levels of a tree: one that holds itself must end somewhere."""

_LETTERS = string.ascii_letters
_MIXED = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits
_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Shape:
    """How one vendor's keys are written.

    Attributes:
        vendor: who gives them out.
        hints: each key holds one of them, in lower case; a text without them is not searched.
        pattern: the key; what stands before it is looked at, and stays.
        example: makes a key of that shape, for tests.
    """

    vendor: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    example: Callable[[Random], str]

    def found_in(self, text: str, lowered: str) -> bool:
        """Whether `text` holds such a key; `lowered` is the text in lower case."""
        return any(hint in lowered for hint in self.hints) and self.pattern.search(text) is not None


def _pick(random: Random, count: int, letters: str = _MIXED) -> str:
    """`count` of these letters, with a digit where they have one."""
    text = "".join(random.choice(letters) for _ in range(count - 1))
    digits = [letter for letter in letters if letter.isdigit()]
    return text + random.choice(digits or letters)


def _prefixed(vendor: str, prefix: str, run: str, count: int, letters: str = _MIXED) -> Shape:
    """Keys that begin with `prefix`; `run` is the regular expression of the rest."""
    pattern = re.compile(rf"(?<![A-Za-z0-9]){re.escape(prefix)}{run}")
    return Shape(
        vendor, (prefix.lower(),), pattern, lambda random: prefix + _pick(random, count, letters)
    )


_LABELLED = re.compile(
    r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(?:api|access|secret|private|subscription|account|auth)[-_ ]?key|token|secret"
    r"|passw(?:or)?d|passphrase|credentials?|authorization|[?&]key)"
    r"[\"']?\s{0,8}[:=]\s{0,8}[\"']?"
    r"(?P<key>(?=[A-Za-z0-9_\-./+~]*\d)(?=[A-Za-z0-9_\-./+~]*[A-Za-z])"
    r"(?![A-Za-z]:)(?!/)[A-Za-z0-9_\-./+~]{16,}={0,2})"
)
"""A key without a beginning of its own, after a word that says what it is."""
_LABEL_HINTS = ("key", "token", "secret", "passw", "passphrase", "credential", "authorization")


def _labelled(vendor: str, label: str, count: int, letters: str = _MIXED) -> Shape:
    """Keys that look like any random text, and are known by the name that stands before them."""
    return Shape(
        vendor, _LABEL_HINTS, _LABELLED, lambda random: label + "a" + _pick(random, count, letters)
    )


def _basic(random: Random) -> str:
    login = f"{_pick(random, 6, _LETTERS)}:{_pick(random, 18)}"
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _jwt(random: Random) -> str:
    return f"eyJhbGciOiJIUzI1NiJ9.eyJ{_pick(random, 30)}.{_pick(random, 43)}"


def _pem(random: Random) -> str:
    lines = "\n".join(_pick(random, 64) for _ in range(3))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----"


_SK = r"(?=[A-Za-z0-9_\-]*[\d*]|[A-Za-z0-9_\-]{20}|[A-Za-z0-9]{16})[A-Za-z0-9*][A-Za-z0-9_*\-]{7,}"
"""OpenAI and the many who write their keys alike; some echo them with stars in the middle."""
_LONG = r"[A-Za-z0-9*]{12,}"
_DASHED = r"[A-Za-z0-9_\-*]{16,}"

SHAPES: tuple[Shape, ...] = (
    _prefixed("OpenAI", "sk-", _SK, 48),
    _prefixed("OpenAI project", "sk-proj-", _SK, 120),
    _prefixed("Anthropic", "sk-ant-api03-", _SK, 93),
    _prefixed("OpenRouter", "sk-or-v1-", _SK, 64, _HEX),
    _prefixed("DeepSeek", "sk-", _SK, 32, _HEX),
    _prefixed("Moonshot", "sk-", _SK, 48),
    _prefixed("Langfuse", "pk-lf-", _SK, 36, _HEX),
    _prefixed("restricted keys", "rk-", _SK, 32),
    _prefixed("ElevenLabs", "sk_", r"[A-Za-z0-9]{20,}", 48, _HEX),
    _prefixed("Stripe", "sk_live_", r"[A-Za-z0-9]{8,}", 24),
    _prefixed("Stripe restricted", "rk_live_", r"[A-Za-z0-9]{8,}", 24),
    _prefixed("Google", "AIza", r"[A-Za-z0-9_\-]{20,}", 35),
    _prefixed("Google OAuth", "ya29.", r"[A-Za-z0-9_\-.]{8,}", 60),
    _prefixed("Google OAuth client", "GOCSPX-", r"[A-Za-z0-9_\-]{16,}", 28),
    _prefixed("AWS", "AKIA", r"[A-Z0-9]{12,}", 16, _UPPER),
    _prefixed("AWS session", "ASIA", r"[A-Z0-9]{12,}", 16, _UPPER),
    _labelled("AWS secret", "aws_secret_access_key = ", 39, _MIXED + "/+"),
    _prefixed("AWS Bedrock", "ABSK", r"[A-Za-z0-9+/]{24,}={0,2}", 128),
    _labelled("Azure", "api-key: ", 31, _HEX),
    _labelled("Azure storage", "AccountKey=", 83),
    _prefixed("GitHub", "ghp_", _LONG, 36),
    _prefixed("GitHub OAuth", "gho_", _LONG, 36),
    _prefixed("GitHub user", "ghu_", _LONG, 36),
    _prefixed("GitHub server", "ghs_", _LONG, 36),
    _prefixed("GitHub refresh", "ghr_", _LONG, 36),
    _prefixed("GitHub fine-grained", "github_pat_", r"[A-Za-z0-9_]{16,}", 82),
    _prefixed("GitLab", "glpat-", r"[A-Za-z0-9_\-.]{12,}", 20),
    Shape(
        "Slack",
        ("xox",),
        re.compile(r"(?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9\-]{8,}"),
        lambda random: f"xoxb-{_pick(random, 12, string.digits)}-{_pick(random, 24)}",
    ),
    _prefixed("Slack app", "xapp-", r"[A-Za-z0-9\-]{8,}", 40),
    _prefixed("HuggingFace", "hf_", _LONG, 34),
    _prefixed("LangSmith", "lsv2_pt_", r"[A-Za-z0-9_]{8,}", 43, _HEX),
    _prefixed("LangSmith service", "lsv2_sk_", r"[A-Za-z0-9_]{8,}", 43, _HEX),
    _prefixed("Groq", "gsk_", _LONG, 52),
    _prefixed("xAI", "xai-", _LONG, 80),
    _prefixed("Cerebras", "csk-", _LONG, 48),
    _prefixed("Together", "tgp_v1_", _DASHED, 43),
    _labelled("Together (older)", "TOGETHER_API_KEY=", 63, _HEX),
    _prefixed("Fireworks", "fw_", _LONG, 24),
    _prefixed("NVIDIA", "nvapi-", _DASHED, 64),
    _prefixed("Replicate", "r8_", _LONG, 37),
    _prefixed("Perplexity", "pplx-", r"[A-Za-z0-9*]{16,}", 48),
    _labelled("Mistral", "MISTRAL_API_KEY=", 31),
    _labelled("Cohere", '"api_key": "', 39),
    Shape(
        "Zhipu",
        (".",),
        re.compile(r"(?<![A-Za-z0-9])[0-9a-f]{32}\.(?=[A-Za-z]*\d)[A-Za-z0-9]{16}(?![A-Za-z0-9])"),
        lambda random: f"{_pick(random, 32, _HEX)}.{_pick(random, 16)}",
    ),
    _prefixed("Voyage", "pa-", r"(?=[A-Za-z_\-]*\d)[A-Za-z0-9_\-]{40,}", 43),
    _prefixed("Tavily", "tvly-", r"(?=[A-Za-z_\-]*\d)[A-Za-z0-9_\-]{16,}", 32),
    _prefixed("Jina", "jina_", r"[A-Za-z0-9_\-]{32,}", 60),
    _prefixed("Databricks", "dapi", r"[0-9a-f]{32,}", 32, _HEX),
    _prefixed("npm", "npm_", r"[A-Za-z0-9]{30,}", 36),
    _prefixed("PyPI", "pypi-", r"[A-Za-z0-9_\-]{40,}", 160),
    Shape(
        "SendGrid",
        ("sg.",),
        re.compile(r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}"),
        lambda random: f"SG.{_pick(random, 22)}.{_pick(random, 43)}",
    ),
    Shape(
        "Bearer header",
        ("bearer",),
        re.compile(
            r"(?i:\bbearer\s+)(?P<key>(?:(?=\S*\d)[A-Za-z0-9._~+/=*\-]{6,}"
            r"|(?=\S{16})[A-Za-z0-9._~+/=*\-]+))"
        ),
        lambda random: f"Bearer {_pick(random, 24)}",
    ),
    Shape(
        "Basic header",
        ("basic",),
        re.compile(
            r"(?i:\bbasic\s+)(?P<key>(?=[A-Za-z0-9+/]*(?:[0-9=+/]|[a-z][A-Z]))"
            r"(?:[A-Za-z0-9+/]{4}){2,}[A-Za-z0-9+/]{2}[A-Za-z0-9+/=]{2}(?![A-Za-z0-9+/=]))"
        ),
        _basic,
    ),
    Shape(
        "JWT",
        ("eyj",),
        re.compile(
            r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}(?:\.[A-Za-z0-9_\-]*)?"
        ),
        _jwt,
    ),
    Shape(
        "PEM private key",
        ("private key-----",),
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        _pem,
    ),
    Shape(
        "URL with a password",
        ("://",),
        re.compile(r"(?<=://)[^/\s:@?#]*:[^/\s?#]+(?=@)"),
        lambda random: f"https://me:{_pick(random, 16)}@example.org/v1",
    ),
)
"""Every shape that is known. Some vendors share one; each stands here, so that a test names it."""


_SEARCHED = tuple({shape.pattern: shape for shape in SHAPES}.values())
"""The shapes with each pattern once."""


def holds_a_key(text: str) -> bool:
    """Whether `text` holds something that is written like a vendor's key."""
    lowered = text.lower()
    return any(shape.found_in(text, lowered) for shape in _SEARCHED)


def redact(text: str) -> str:
    """The text without any key: the environment's, one that was used, or one shaped like a key."""
    return Redactor().text(text)


def redact_tree(value: Any, names: Collection[str] = ()) -> Any:
    """A copy of `value` without any key; strings in it are redacted, also as keys of mappings.

    Args:
        value: mappings, lists, tuples and sets of strings and numbers. What is none of these is
            handed back as it is, and what lies deeper than 64 levels is left out.
        names: environment variables whose values are secret although their names do not say so,
            such as a council's `api_key_env`.
    """
    return Redactor(names).tree(value)


def redact_known(text: str) -> str:
    """The text without the keys that are sent to models and tools; what is shaped like one stays.

    For what a model answers: it may write about keys, and must not repeat one of ours.
    """
    return Redactor(shapes=False).text(text)


def remember_secret(value: str) -> None:
    """Have a key that is used taken out of every text from now on, whatever its variable is called.

    Kept for the life of the process: what was sent with it may be told about much later.
    """
    if len(value.strip()) >= _SHORTEST_USED:
        _used[value.strip()] = None


def remember_variables(names: Iterable[str | None]) -> None:
    """Have the values of these environment variables taken out of every text from now on.

    For the variables that a council names: theirs need not sound like a secret's.
    """
    _variables.update(dict.fromkeys(filter(None, names)))


_used: dict[str, None] = {}
_variables: dict[str, None] = {}


class Redactor:
    """Takes keys out of texts; what it knows by value is what was known when it was made.

    Args:
        names: environment variables whose values are secret although their names do not say so.
        shapes: whether to take out what is only written like a key, and all of the environment's
            secrets; else the keys alone that are sent to models and tools.
    """

    def __init__(self, names: Collection[str] = (), *, shapes: bool = True) -> None:
        values = _secret_values(names) if shapes else _own_keys()
        secrets = frozenset(values)
        self._known = written_forms(secrets)
        self._apart = forms_apart(secrets)
        self._search = key_search(secrets)
        self._shapes = shapes

    def text(self, text: str) -> str:
        """The text without any key."""
        if len(text) < _SHORTEST_USED:
            return text
        for form in self._known:
            if form in text:
                text = text.replace(form, REDACTED)
        text = self._search.replace(text, REDACTED)
        if self._apart:
            squeezed = "".join(text.split())
            for value in self._apart:
                if value in squeezed:
                    apart = r"\s*".join(map(re.escape, value))
                    text = re.sub(apart, REDACTED, text)
        if self._shapes:
            # Names, labels and kinds come again and again.
            return _without_shapes(text) if len(text) > _LABEL else _label_without_shapes(text)
        return text

    def tree(self, value: Any, depth: int = 0) -> Any:
        """A copy of a tree of mappings and lists, without any key."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth >= _DEEPEST:
                return "..."
            if isinstance(value, Mapping):
                return {
                    self.tree(key, depth + 1): self._entry(key, part, depth + 1)
                    for key, part in value.items()
                }
            parts = [self.tree(part, depth + 1) for part in value]
            return [REDACTED] if self._is_spelled_by(parts) else parts
        return value

    def _is_spelled_by(self, parts: list[Any]) -> bool:
        """Whether short texts and numbers spell a key together: letters, tokens, bytes."""
        short = [part for part in parts if isinstance(part, str | int) and part != REDACTED]
        if not 1 < len(short) == len(parts) <= _MOST_PARTS:
            return False
        text = " ".join(map(str, short))
        return self._search.replace(text, "") != text or any(
            form in "".join(map(str, short)) for form in self._known
        )

    def _entry(self, name: Any, value: Any, depth: int) -> Any:
        """An entry of a mapping; its name may say that the value is a key, whatever it is like."""
        if isinstance(name, str) and isinstance(value, str) and names_a_secret(name):
            is_text = _last_word(name) == "token" and not _is_random(value)  # that a model wrote
            if value.strip() and not is_text:
                return REDACTED
        return self.tree(value, depth)


class StreamRedactor:
    """Takes our own keys out of a text that comes in pieces, also one that is cut in two."""

    def __init__(self) -> None:
        keys = frozenset(_own_keys())
        self._forms = _by_first_letter(keys)
        self._search = key_search(keys) if keys else None
        self._held = ""
        self._before = ""
        """The end of what was passed on: a key may have begun in it."""

    def feed(self, piece: str) -> str:
        """What can be passed on by now: all but an end that may be the beginning of a key."""
        text, keep = self._held + piece, 0
        if self._search is None:
            return text
        for first, forms in self._forms.items():
            if first in text:
                for form in forms:
                    if form in text:
                        text = text.replace(form, REDACTED)
        for first, forms in self._forms.items():
            if first in text:
                keep = max(keep, *(_begun(form, text) for form in forms))
        whole = self._before + text
        start = min(len(whole) - keep, self._search.opened(whole)[0])
        start = max(start, len(self._before))
        self._held = whole[start:]
        return self._pass_on(self._search, whole[:start])

    def _pass_on(self, search: KeySearch, whole: str) -> str:
        passed = search.replace(whole, REDACTED, len(self._before))[len(self._before) :]
        self._before = (self._before + passed)[-_BEFORE:]
        return passed

    def close(self) -> str:
        """What was held back: a key, or not enough of one."""
        if self._search is None or not self._held:
            return ""
        whole, self._held = self._before + self._held, ""
        start, is_key = self._search.opened(whole)
        if not is_key:
            return self._pass_on(self._search, whole)
        start = max(start, len(self._before))
        rest = _MARKS_AT_END.search(whole)
        return whole[len(self._before) : start] + REDACTED + (rest[0] if rest else "")


_BEFORE = 80
"""Characters."""
_MARKS_AT_END = re.compile(r"[^A-Za-z0-9]*\Z")


_LABEL = 48
"""Characters of a text that is looked up rather than searched again."""


def _without_shapes(text: str) -> str:
    """The text without what is written like a vendor's key."""
    lowered = text.lower()
    for shape in _SEARCHED:
        for hint in shape.hints:
            if hint in lowered:
                text = shape.pattern.sub(_without_key, text)
                break
    return text


_label_without_shapes = lru_cache(maxsize=4096)(_without_shapes)


def _begun(form: str, text: str) -> int:
    """How many characters at the end of `text` are the beginning of `form`."""
    start = max(0, len(text) - len(form) + 1)
    while (start := text.find(form[0], start)) >= 0:
        if form.startswith(text[start:]):
            return len(text) - start
        start += 1
    return 0


def _without_key(match: re.Match[str]) -> str:
    """What stands in place of a match: a label before the key stays."""
    if "key" not in match.re.groupindex:
        return REDACTED
    return match.string[match.start() : match.start("key")] + REDACTED


def _secret_values(names: Iterable[str]) -> Iterator[str]:
    """The keys that are known by value: the environment's, and those that were used."""
    for name, value in list(os.environ.items()):
        if _names_a_secret_variable(name):
            yield from _long_enough(_values_of(name))
        elif "@" in value and (login := _PASSWORD_IN_ADDRESS.search(value)):
            yield from _long_enough([login[1], unquote(login[1])])
    for name in (*names, *list(_variables)):
        yield from _long_enough(_values_of(name))
    yield from _own_keys()


_PASSWORD_IN_ADDRESS = re.compile(r"://[^/\s:@?#]*:([^/\s?#]+)@")


def _long_enough(values: Iterable[str]) -> Iterator[str]:
    return (value for value in values if len(value) >= _SHORTEST)


def _own_keys() -> Iterator[str]:
    """The keys that are sent to models and tools, without stand-ins such as `not-needed`."""
    named = (value for name in list(_variables) for value in _values_of(name))
    for value in (*list(_used), *_long_enough(named)):
        if not _STAND_IN.fullmatch(value):
            yield value


def _values_of(name: str) -> Iterator[str]:
    """What a variable holds: a key, or several with commas, each perhaps after a name and `=`."""
    value = os.environ.get(name, "").strip()  # another thread may just have taken it away
    yield value
    if name.upper().endswith("S") and ("," in value or "=" in value):
        parts = re.split(r"[,\s]+", value)
        yield from parts
        yield from (part.partition("=")[2] for part in parts)


@lru_cache(maxsize=4096)
def _names_a_secret_variable(name: str) -> bool:
    return _SECRET_VARIABLE.search(name) is not None


_SECRET_VARIABLE = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|(?<![A-Z])PASS|_PWD|_PAT|_AUTH)S?"
    r"(_?\d+|_(PROD|PRODUCTION|DEV|TEST|STAGING|LIVE|OLD|NEW|MAIN|DEFAULT|PRIMARY|SECONDARY))?$",
    re.IGNORECASE,
)


@lru_cache(maxsize=16)
def _by_first_letter(values: frozenset[str]) -> dict[str, list[str]]:
    forms: dict[str, list[str]] = {}
    for form in written_forms(values):
        forms.setdefault(form[0], []).append(form)
    return forms


class RedactingFilter(logging.Filter):
    """Takes keys out of every record of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record, and let it pass."""
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = redact(_FORMATTER.formatException(record.exc_info))
            record.exc_info = None
        return True


_FORMATTER = logging.Formatter()


def logger(name: str) -> logging.Logger:
    """The logger of that name, whose records hold no key."""
    named = logging.getLogger(name)
    if not any(isinstance(one, RedactingFilter) for one in named.filters):
        named.addFilter(RedactingFilter())
    return named


_RUN = re.compile(r"[A-Za-z0-9]{24,}")
_DIGEST = re.compile(r"[0-9a-f]{24,}|[0-9A-F]{24,}")
"""Hashes, and UUIDs without their dashes, in one case."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")

_SECRET_ENDS = re.compile(
    "(api|access|secret|private)key|secrets?|password|passwd|passphrase|credentials?|authorization"
    "|authentication|cookie|bearer"
)
_TEXT_TOKENS = re.compile("eos|bos|pad|unk|sep|cls|mask|stop|start|end|begin|max|min")
"""`eos_token` and its like are pieces of text, not passes."""


def may_be_a_key(text: str) -> bool:
    """Whether `text` is better not repeated: it is written like a key, or holds a random run.

    A digest within a longer text is no key: names of models and paths of caches are full of them.
    One that stands alone may be one, as some vendors' keys are nothing but hexadecimal digits.
    """
    if holds_a_key(text):
        return True
    letters = sum(letter.isalnum() for letter in text)
    return any(
        not run.isalpha()
        and not run.isdigit()
        and (len(run) == letters or not _DIGEST.fullmatch(run))
        for run in _RUN.findall(text)
    )


def _is_random(text: str) -> bool:
    """Whether a text without blanks is hardly a word."""
    return len(text) >= 16 and not re.search(r"\s", text) and any(c.isdigit() for c in text)


@lru_cache(maxsize=4096)
def names_a_secret(key: str) -> bool:
    """Whether `key` says that its value is a secret: `api_key`, `token`, `Authorization`, ..."""
    words = [word.lower() for word in _WORDS.findall(key)] or [""]
    if words[-1] == "token":
        return len(words) < 2 or not _TEXT_TOKENS.fullmatch(words[-2])
    return any(_SECRET_ENDS.fullmatch(end) for end in (words[-1], "".join(words[-2:])))


def _last_word(key: str) -> str:
    words = _WORDS.findall(key)
    return words[-1].lower() if words else ""


def keys_in(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each text in `value`, at any depth, that is written like a key."""
    if isinstance(value, str):
        if holds_a_key(value):
            yield path
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if holds_a_key(str(name)):
                yield (*path, str(name))
            else:
                yield from keys_in(inner, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from keys_in(inner, (*path, index))


def secrets_in(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of each thing in `value`, at any depth, that is or may be a secret."""
    if isinstance(value, str):
        if holds_a_key(value):
            yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            name = HIDDEN if may_be_a_key(str(key)) else str(key)[:60]
            place = f"{path}.{name}" if path else name
            if name == HIDDEN or names_a_secret(name):
                yield place
            else:
                yield from secrets_in(inner, place)
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield from secrets_in(inner, f"{path}[{index}]")


def refuse_secrets(values: dict[str, Any], cure: str) -> dict[str, Any]:
    """Hand `values` back.

    Raises:
        ValueError: something in them is, or may be, a secret.
    """
    for place in secrets_in(values):
        raise ValueError(f"{place}: is, or may be, a secret; leave it out and {cure}")
    return values


def fault_in_address(url: str) -> str | None:
    """Say what is wrong with a server's address, without repeating it; None: nothing."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        login, query = "@" in parts.netloc, parts.query
    except ValueError:
        whole, login, query = None, False, ""
    if login or any(names_a_secret(pair.partition("=")[0]) for pair in query.split("&") if pair):
        return "holds a login or a key; leave it out and name its variable in `api_key_env`"
    if holds_a_key(url):
        return "holds a key; leave it out and name its variable in `api_key_env`"
    if not whole or not url.isprintable() or " " in url:
        return "must be a web address, like http://127.0.0.1:8000/v1"
    return None


def quote(value: object) -> str:
    """A value as a message may repeat it: by repr and short; never a container, never a key."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return HIDDEN if may_be_a_key(value) else _short(value)
    if isinstance(value, int | float):
        return repr(value) if abs(value) < 10**18 else "a very large number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a Python {type(value).__name__}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
