"""`mom cache`: what is kept, and forgetting it."""

from __future__ import annotations

import sqlite3

from mixture_of_models.models.paths import cache_dir
from mixture_of_models.models.shelf import Shelf


def test_the_cache_is_counted_and_emptied(mom):
    assert "is empty" in mom("cache", "stats").out
    Shelf(cache_dir()).keep("r", "ollama/\x1b[1mm", '{"text": "a"}', 60, 1)
    told = mom("cache", "stats")
    assert "1 answers" in told.out
    assert "\x1b" not in told.out
    assert mom("cache", "stats", "--json").object["models"] == {"ollama/\x1b[1mm": 1}
    assert mom("cache", "clear").code == 0
    assert mom("cache", "stats", "--json").object["answers"] == 0
    assert not list(cache_dir().iterdir())


def test_a_strange_file_is_one_line_that_says_the_cure(mom):
    cache_dir().mkdir(parents=True)
    db = sqlite3.connect(cache_dir() / "answers.db")
    db.execute("CREATE TABLE answers (x)")
    db.close()
    mom("cache", "stats").refuses(1, "not laid down by us", "mom cache clear")
    assert mom("cache", "clear").code == 0
    assert mom("cache", "stats").code == 0
