"""A folder of a user's documents, cut into passages and searched.

A collection is a folder in `documents/` of the data directory, or one that MOM_DOCUMENTS names:
`name=folder`, several parted as in PATH. A council names the collection, and never a path, because
a council may come from anywhere and decides where what it reads is sent.

`WordIndex` finds passages by their words (BM25), for machines without an embedding model.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from mom_council import paths
from mom_council.errors import CouncilError

_K = 1.2
_B = 0.75
_SAYING_NOTHING = """
a about an and are as at be been but by can could did do does for from had has have he her his how
i if in is it its me my no not of on or our she should so some than that the their them then there
these they this those to up us was we were what when where which who whom whose why will with would
you your
"""


def words(text: str) -> list[str]:
    """The words of a text, case and accents aside; a plain English plural is its singular."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    words_found = re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)))
    return [
        w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w
        for w in words_found
    ]


_NOTHING = frozenset(words(_SAYING_NOTHING))


class WordIndex:
    """Texts that can be searched by their words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(words(text)) for text in texts]
        self._lengths = [sum(count.values()) for count in self._counts]
        self._mean = sum(self._lengths) / len(texts) if texts else 0.0
        self._holding: Counter[str] = Counter(word for count in self._counts for word in count)

    def best(self, query: str, most: int) -> list[int]:
        """The numbers of the texts that fit a query best, best first; none that shares no word.

        Words that say nothing, or stand in more than half of four texts or more, do not count.
        """
        total = len(self._counts)
        query_words = {*words(query)} - _NOTHING
        query_words = {
            word for word in query_words if total < 4 or self._holding[word] * 2 <= total
        }
        scores = [(self._score(query_words, n), -n) for n in range(len(self._counts))]
        best = sorted((pair for pair in scores if pair[0] > 0), reverse=True)
        return [-number for _, number in best[:most]]

    def _score(self, query_words: set[str], number: int) -> float:
        count, total = self._counts[number], len(self._counts)
        length = _K * (1 - _B + _B * self._lengths[number] / self._mean) if self._mean else _K
        score = 0.0
        for word in query_words & count.keys():
            holding = self._holding[word]
            rarity = math.log(1 + (total - holding + 0.5) / (holding + 0.5))
            score += rarity * count[word] * (_K + 1) / (count[word] + length)
        return score


VARIABLE = "MOM_DOCUMENTS"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TEXTS = (
    *(".txt", ".md", ".markdown", ".rst", ".org", ".adoc", ".tex", ".html", ".htm", ".xml"),
    *(".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".log"),
    *(".py", ".js", ".ts", ".java", ".c", ".h", ".cpp", ".go", ".rs", ".sh", ".sql"),
)
_LARGEST_FILE = 5_000_000
_MOST_FILES = 5_000


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, and where it stands."""

    source: str
    first: int
    last: int
    text: str

    @property
    def place(self) -> str:
        """The file and the lines, as a reader finds them."""
        lines = (
            f"line {self.first}" if self.first == self.last else f"lines {self.first}-{self.last}"
        )
        return f"{self.source}, {lines}"


class Collection:
    """A folder's passages; `read` looks for what has changed since the last time.

    Raises:
        CouncilError: the name is none, or stands for no folder.
    """

    def __init__(self, name: str, size: int) -> None:
        self.folder = folder_of(name)
        self.left_out: tuple[str, ...] = ()
        self._size = size
        self._files: dict[str, tuple[tuple[int, int], tuple[Passage, ...]]] = {}

    def read(self) -> tuple[Passage, ...]:
        """All passages, file by file; files that are no text are named in `left_out`."""
        files: dict[str, tuple[tuple[int, int], tuple[Passage, ...]]] = {}
        left_out: list[str] = []
        for path in self._paths():
            name = path.relative_to(self.folder).as_posix()
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size)
            if path.suffix.lower() not in _TEXTS or stat.st_size > _LARGEST_FILE:
                left_out.append(name)
            elif name in self._files and self._files[name][0] == mark:
                files[name] = self._files[name]
            else:
                files[name] = mark, tuple(cut(name, text_of(path), self._size))
        self._files, self.left_out = files, tuple(left_out)
        return tuple(passage for _, passages in files.values() for passage in passages)

    def _paths(self) -> list[Path]:
        """Regular files below the folder, hidden ones aside; no link out of it is followed."""
        files: list[Path] = []
        real = self.folder.resolve()
        for place, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(place) / name
                if name.startswith(".") or not path.resolve().is_relative_to(real):
                    continue
                if path.is_file():
                    files.append(path)
            if len(files) > _MOST_FILES:
                raise CouncilError(f"{str(self.folder)!r} holds more than {_MOST_FILES} files")
        return files


def folder_of(name: str) -> Path:
    """The folder of a collection.

    Raises:
        CouncilError: the name is none, or stands for no folder.
    """
    if NAME.fullmatch(name) is None:
        raise CouncilError(f"{name!r} cannot name a collection: letters, digits, - and _ can")
    named = dict(
        entry.split("=", 1)
        for entry in os.environ.get(VARIABLE, "").split(os.pathsep)
        if "=" in entry
    )
    folder = Path(named[name]).expanduser() if name in named else home() / name
    if not folder.is_dir():
        raise CouncilError(
            f"there is no collection {name!r}: put texts into {str(home() / name)!r}, or set "
            f"{VARIABLE}={name}=FOLDER"
        )
    return folder.absolute()


def home() -> Path:
    """The folder of one's own collections."""
    return paths.data_dir() / "documents"


def text_of(path: Path) -> str:
    """What a file says; of a page, what it shows."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix.lower() not in (".html", ".htm"):
        return text
    reader = _Page()
    reader.feed(text)
    reader.close()
    return "".join(reader.shown)


def cut(source: str, text: str, size: int) -> Iterator[Passage]:
    """A text in passages of at most about `size` characters, cut between paragraphs or lines.

    The heading above a passage of Markdown comes with it.
    """
    held: list[str] = []
    first, length, heading = 1, 0, ""
    lines = [piece for line in text.splitlines() for piece in _pieces(line, size)]
    numbers = [n for n, line in enumerate(text.splitlines(), 1) for _ in _pieces(line, size)]
    for number, line in zip(numbers, lines, strict=True):
        full = length + len(line) > size
        ends = not line.strip() and length > size // 2
        if held and (full or ends or line.startswith("#")):
            yield from _passage(source, first, held, heading)
            held, length = [], 0
        if line.startswith("#"):
            heading = line.strip()
        if not held:
            first = number
        held.append(line)
        length += len(line) + 1
    yield from _passage(source, first, held, heading)


def _passage(source: str, first: int, lines: list[str], heading: str) -> Iterator[Passage]:
    while lines and not lines[0].strip():
        lines, first = lines[1:], first + 1
    text = "\n".join(lines).strip()
    if not text or text == heading:
        return
    if heading and heading not in text:
        text = f"{heading}\n{text}"
    yield Passage(source, first, first + len("\n".join(lines).rstrip().splitlines()) - 1, text)


def _pieces(line: str, size: int) -> list[str]:
    """A line, or the parts of one that is longer than a passage."""
    return [line[start : start + size] for start in range(0, len(line), size)] or [""]


class _Page(HTMLParser):
    """Keeps what a page shows."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("script", "style", "template"):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "template"):
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.shown.append(data)
