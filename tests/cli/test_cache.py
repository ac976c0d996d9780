"""`mom cache`: what is kept, and forgetting it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from mom_council.models.cache import CacheFile
from mom_council.paths import cache_dir
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.graph.desk import seat
from mom_council.tests.stage import Stage


def test_the_cache_is_counted_and_emptied(mom):
    assert "is empty" in mom("cache", "stats").out
    CacheFile(cache_dir()).keep("r", "ollama/\x1b[1mm", '{"text": "a"}', 60, 1)
    told = mom("cache", "stats")
    assert "1 answer," in told.out
    assert "\x1b" not in told.out
    assert mom("cache", "stats", "--json").object["models"] == {"ollama/\x1b[1mm": 1}
    assert mom("cache", "clear").code == 0
    assert mom("cache", "stats", "--json").object["answers"] == 0
    assert not list(cache_dir().iterdir())


def test_a_question_asked_again_costs_nothing_and_says_so(
    stage: Stage, mom: Mom, council_file: Callable[..., str]
) -> None:
    seat(stage)
    council = council_file(cache={})
    first = mom("ask", "Which pet?", "-c", council)
    requests = len(stage.calls)
    again = mom("ask", "Which pet?", "-c", council)
    assert (again.code, again.out) == (0, first.out)
    assert len(stage.calls) == requests
    assert again.err.count("cached") == 3
    assert f"{requests} answers" in mom("cache", "stats").out


def test_a_strange_file_is_one_line_that_says_the_cure(mom):
    cache_dir().mkdir(parents=True)
    db = sqlite3.connect(cache_dir() / "answers.db")
    db.execute("CREATE TABLE answers (x)")
    db.close()
    mom("cache", "stats").refuses(1, "not laid down by us", "mom cache clear")
    assert mom("cache", "clear").code == 0
    assert mom("cache", "stats").code == 0
