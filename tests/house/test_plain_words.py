"""What people read is plain English: in messages, help texts and docs no phrase of the old dialect.

The phrases are those of which readers said that they do not understand them at once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mom_council.tests.cli.help_texts import help_of, lines
from mom_council.tests.house.sources import product

ROOT = Path(__file__).parents[2]

DIALECT = (
    r"\bmend the\b",
    r"that stands here",
    r"\bgoes behind\b",
    r"points it could have had",
    r"waiting for leave\b",
    r"\bwith (a person's )?leave\b",
    r"\bsay its cure\b",
    r"pipe's end",
    r"had given it",
    r"holds? up nobody",
    r"rests for the remainder",
    r"stood in for whom",
    r"nobody wrote down",
    r"stragglers are raced",
    r"\bseat a council\b",
    r"what would be right",
    r"^whoever ",
    r"asks again those",
    r"learned something of",
    r"goes on without$",
    r"\bis told apart\b",
    r"\bof the kind that\b",
    r"\bin so far\b",
    r"\bnobody of \d",
    r"\bat the most\b",
    r"\b(fitted|learned) on \d",
    r"\bor fewer of them\b",
    r"error in place of an answer",
    r"tells? its temperature",
    r"it is read there",
    r"keeps of what its members",
    r"whom to drop",
    r"keys and strangers",
    r"\breads slowly\b",
    r"counts no seconds",
    r"thoughts are kept apart",
    r"server for tests speaks",
    r"which reaches the threshold",
    r"confidence: unknown",
    r"\bplease do note\b|\bhereby\b|\bherein\b|\bthus far\b",
    r"\bere\b|\bthereof\b|\bwhence\b",
    r"mixture-of-models\[",
)
"""Regular expressions; whoever needs such a sentence writes it anew."""

_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def said() -> Iterator[tuple[str, str]]:
    """Every text that people read: pages, help, and the longer string constants of the doors."""
    for command in lines():
        text = help_of(command).partition("Options:")
        yield f"{command} --help", " ".join(f"{text[0]} {text[2]}".split())
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]:
        for number, line in enumerate(_CODE.sub("", page.read_text("utf-8")).splitlines(), 1):
            yield f"{page.name}:{number}", line
    for source in product():
        tree = ast.parse(Path(source.path).read_text("utf-8"))
        if source.path.startswith("ui/"):
            continue  # the page's words have a list of their own
        comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in comments:
                continue
            if isinstance(node.value, str) and " " in node.value:
                yield f"{source.path}:{node.lineno}", node.value


def test_no_sentence_of_the_old_dialect_is_left() -> None:
    found = [
        f"{place}: {text.strip()[:100]}"
        for place, text in said()
        for phrase in DIALECT
        if re.search(phrase, text, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)
