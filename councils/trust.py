"""Whose files are believed: a council, or a `.env`, is a stranger's until its user accepted it.

The rule, for the command, the page, the server and LangGraph's server alike:

1. The presets of the package are trusted, and what is passed in Python (`load_council`,
   `build_graph`) is trusted by the act of passing it.
2. Every other council file is looked at (`permissions`): which key goes to which address, which
   code runs, which folders are read. One that asks for nothing needs no question.
3. One that asks for something is refused until that was shown and accepted: on a terminal by a
   yes, else by `mom trust FILE`. Accepted is the text of the file together with the list that was
   shown. Change either, and it is asked again.
4. A variable whose name does not look like a key of its address (AWS_SECRET_ACCESS_KEY, or one
   vendor's key at another's address) is not accepted by a yes: it is named, by `--key`.
5. A `.env` in the working directory is not read before it was accepted in the same way.

What was accepted lies in the folder `trust` of the user's data folder, a file for each digest. No
`.env` can move that folder: where one sets MOM_DATA_DIR, the usual data folder is looked into.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from mom_council import paths
from mom_council.councils.loader import council_from_yaml, find_council, read_text
from mom_council.councils.permissions import KEY_NAME, Permission, permissions
from mom_council.councils.schema import Council
from mom_council.errors import CouncilError, StorageError, UnknownNameError
from mom_council.redaction import names_a_secret, quote, redact

DATA_DIR_SOURCE = "MOM_DATA_DIR_FROM"
"""Set where a `.env` said where data lies; it holds the name of that file."""

FileKind = Literal["council", "env", "data"]


@dataclass(frozen=True, slots=True)
class Review:
    """A file of somebody's, and what it would do here."""

    kind: FileKind
    path: str
    """The file in full; empty for a text that lies in no file."""
    digest: str
    """Of its text and of what is shown of it."""
    lines: tuple[str, ...]
    """What it would do, a sentence each; empty where nothing needs to be accepted."""
    odd_variables: tuple[str, ...] = ()
    """Variables among them that do not look like keys of where they go."""


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """What was decided about one file, as it is stored."""

    kind: FileKind
    path: str
    digest: str
    lines: list[str]
    accepted: bool
    """False: the user said no, and is not asked again about the same text."""
    at: float
    """When, in seconds since 1970."""
    allowed_keys: list[str] = field(default_factory=list)


class UntrustedError(CouncilError):
    """A council asks for something that its user has not accepted.

    Attributes:
        review: the file, and what it would do.
    """

    def __init__(self, review: Review) -> None:
        self.review = review
        name = repr(Path(review.path).name) if review.path else "this council"
        first = "; ".join(review.lines[:_MOST_LINES])
        more = len(review.lines) - _MOST_LINES
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(
            f"{name} is not trusted yet: it {first}{rest}",
            cure=f"if you trust it: {trust_command(review)}",
        )


_MOST_LINES = 4
"""Lines that an error tells; the command tells all of them."""


def trust_command(review: Review) -> str:
    """The command that accepts a file."""
    import shlex

    path = review.path
    if path:
        try:
            path = str(Path(path).relative_to(Path.cwd()))
        except (ValueError, OSError):
            path = review.path
    words = ["mom", "trust", path or "FILE"]
    for variable in review.odd_variables:
        words += ["--key", variable]
    return shlex.join(words)


def load_trusted_council(name: str) -> Council:
    """Load a preset, or a file that its user has accepted or that asks for nothing.

    Raises:
        UntrustedError: it asks for something that was not accepted.
        CouncilError: as `load_council`.
        UnknownNameError: as `load_council`.
    """
    file = find_council(name)
    council = council_from_yaml(file.text, file.origin)
    if file.path is not None:
        require_trust(review_council(council, file.text, file.path))
    return council


def load_council_for_others(name: str) -> Council:
    """Load a council that somebody named over the network.

    Raises:
        CouncilError: it cannot sit, or was not accepted. What stands in the file is not quoted to
            whoever named it.
    """
    try:
        return load_trusted_council(name)
    except (UnknownNameError, UntrustedError):
        raise
    except CouncilError:
        raise CouncilError(
            f"the council {quote(name)} cannot be read",
            cure="`mom councils check FILE`, on the server, says why",
        ) from None


def council_from_trusted_yaml(text: str, origin: str = "council") -> Council:
    """Read a council from a text that came by itself: an upload, or a form.

    Raises:
        UntrustedError: it asks for something that was not accepted.
        CouncilError: as `load_council`.
    """
    council = council_from_yaml(text, origin)
    require_trust(review_council(council, text, None))
    return council


def review_council(council: Council, text: str, path: Path | None) -> Review:
    """What a council asks for; `text` is what it was read from."""
    return _review("council", path, text, permissions(council))


def review_file(path: Path) -> Review:
    """Look at a council file, at a `.env`, or at questions with checks.

    Raises:
        CouncilError: it cannot be read, or is no council that can sit.
    """
    if path.suffix in (".jsonl", ".gz"):
        return review_data(path)
    text = read_text(path)
    if path.name == ".env" or path.name.startswith(".env."):
        return _review("env", path, text, [Permission(line) for line in _env_lines(text)])
    return review_council(council_from_yaml(text, str(path)), text, path)


def review_data(path: Path) -> Review:
    """Look at a file of questions whose answers are checked by code that it holds.

    Raises:
        CouncilError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CouncilError(f"{quote(str(path))} cannot be read ({error.strerror})") from None
    runs = "runs the Python that it holds to check answers, in the sandbox"
    return _review("data", path, digest, [Permission(runs)])


def require_trust(review: Review) -> None:
    """See that a file was accepted, or asks for nothing.

    Raises:
        UntrustedError: neither is so.
    """
    if review.lines and not is_accepted(review):
        raise UntrustedError(review)


def is_accepted(review: Review) -> bool:
    """Whether the user has accepted the file as it is now."""
    record = decision_on(review)
    return record is not None and record.accepted


def decision_on(review: Review) -> TrustRecord | None:
    """What was decided about the file as it is now; None where nothing was."""
    return _read_record(_folder() / f"{review.digest}.json")


def accept(review: Review, allowed_keys: Collection[str] = ()) -> TrustRecord:
    """Remember that the user accepts a file as it is now.

    Raises:
        UntrustedError: it uses a variable that looks like no key and that `allowed_keys` lacks.
        StorageError: it cannot be remembered.
    """
    if not {*review.odd_variables} <= {*allowed_keys}:
        raise UntrustedError(review)
    return _decide(review, accepted=True, allowed_keys=sorted({*review.odd_variables}))


def decline(review: Review) -> TrustRecord:
    """Remember that the user said no, so that the same file is not asked about again.

    Raises:
        StorageError: it cannot be remembered.
    """
    return _decide(review, accepted=False, allowed_keys=[])


def decisions() -> list[TrustRecord]:
    """Everything that was decided, the newest first."""
    try:
        files = [*_folder().glob("*.json")]
    except OSError:
        return []
    records = [record for file in files if (record := _read_record(file)) is not None]
    return sorted(records, key=lambda record: -record.at)


def revoke(named: str) -> list[TrustRecord]:
    """Forget what was decided about a file, by its path or by the beginning of its digest.

    Returns:
        What was forgotten; empty where nothing was decided about it.
    """
    path = _whole(Path(named))
    digest = named if len(named) >= _SHORTEST_DIGEST else "\0"
    forgotten = []
    for record in decisions():
        if record.path == path or record.digest.startswith(digest):
            (_folder() / f"{record.digest}.json").unlink(missing_ok=True)
            forgotten.append(record)
    return forgotten


_SHORTEST_DIGEST = 8
_VERSION = 1
"""Of a stored decision; a file without one is of version 1."""


# -- .env files -----------------------------------------------------------------------------------


def env_values(path: Path, review: Review) -> dict[str, str]:
    """The variables that an accepted `.env` sets; none where the file is not what was reviewed.

    Raises:
        CouncilError: it cannot be read.
    """
    from dotenv import dotenv_values

    text = read_text(path)
    if _review("env", path, text, [Permission(line) for line in _env_lines(text)]) != review:
        return {}
    values = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def _env_lines(text: str) -> list[str]:
    from dotenv import dotenv_values

    values: Mapping[str, str | None] = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return [f"sets {name}{_shown_value(name, value)}" for name, value in values.items() if value]


_SHOWN_VALUES = re.compile(
    r"^(?:MOM|OLLAMA|LANGSMITH|LANGCHAIN|HF|SSL|REQUESTS|CURL)_|(?:PROXY|URL|HOST|ENDPOINT|BASE)$",
    re.IGNORECASE,
)
"""Variables that say where something goes, and hold no secret."""


def _shown_value(name: str, value: str | None) -> str:
    if not _SHOWN_VALUES.search(name) or KEY_NAME.search(name) or names_a_secret(name):
        return ""
    return f" to {redact(repr(value or ''))}"


# -- what is stored -------------------------------------------------------------------------------


def _folder() -> Path:
    env = dict(os.environ)
    if DATA_DIR_SOURCE in env:  # whoever wrote a .env could otherwise bring accepted files along
        env.pop(paths.VARIABLE, None)
    return paths.data_dir(env) / "trust"


def _review(kind: FileKind, path: Path | None, text: str, listed: Sequence[Permission]) -> Review:
    lines = tuple(one.text for one in listed)
    odd = tuple(dict.fromkeys(one.odd_variable for one in listed if one.odd_variable))
    hashed = json.dumps([kind, text, lines, odd]).encode()
    digest = hashlib.sha256(hashed).hexdigest()
    return Review(kind, _whole(path) if path else "", digest, lines, odd)


def _whole(path: Path) -> str:
    return os.path.abspath(path.expanduser())  # noqa: PTH100 - no link is followed


def _decide(review: Review, *, accepted: bool, allowed_keys: list[str]) -> TrustRecord:
    record = TrustRecord(
        review.kind,
        review.path,
        review.digest,
        [*review.lines],
        accepted,
        time.time(),
        allowed_keys,
    )
    folder = paths.ensure(_folder())
    file = folder / f"{review.digest}.json"
    draft = folder / f".{secrets.token_hex(8)}"
    try:
        with draft.open("x", encoding="utf-8") as opened:
            draft.chmod(0o600)
            opened.write(json.dumps({"version": _VERSION, **asdict(record)}, indent=1))
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StorageError(
            f"{str(file)!r} cannot be written ({error.strerror})",
            cure="look at the disk and the folder",
        ) from None
    return record


@functools.cache
def _adapter() -> TypeAdapter[TrustRecord]:
    return TypeAdapter(TrustRecord)


def _read_record(file: Path) -> TrustRecord | None:
    """A stored decision; None where there is none that can be read."""
    try:
        stored = json.loads(file.read_text("utf-8"))
        if stored.pop("version", _VERSION) > _VERSION:  # nobody here knows what was accepted
            return None
        record = TrustRecord(**stored)
        _adapter().validate_json(json.dumps(stored), strict=True)
        datetime.fromtimestamp(record.at, UTC)
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return record if record.digest == file.stem else None
