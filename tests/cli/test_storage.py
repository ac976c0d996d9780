"""`mom storage`: shown, pruned, compacted, exported, checked; nothing goes without a yes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mom_council import paths
from mom_council.tests.graph.desk import seat
from mom_council.tests.stage import Stage

from .conftest import Mom

File = Callable[..., str]


@pytest.fixture
def asked(mom: Mom, stage: Stage, council_file: File) -> str:
    """Two threads with their traces; the council that answered."""
    seat(stage)
    file = council_file()
    for thread in ("cats", "dogs"):
        assert mom("ask", "-q", f"About {thread}?", "-c", file, "-t", thread).code == 0
    from mom_council.tracing.local import wait_for_traces

    wait_for_traces()
    return file


def stores(mom: Mom) -> dict[str, int]:
    return {one["name"]: one["items"] for one in mom("storage", "show", "--json").object["stores"]}


def test_every_store_is_shown(mom: Mom, asked: str) -> None:
    assert stores(mom) == {"threads": 2, "journal": 0, "traces": 2, "cache": 0, "ledger": 0}
    lines = mom("storage", "show").out.splitlines()
    assert [line.split()[:2] for line in lines[:5]] == [
        ["threads", "2"],
        ["journal", "0"],
        ["traces", "2"],
        ["cache", "0"],
        ["ledger", "0"],
    ]
    assert "storage.yaml" in lines[5]


def test_nothing_is_deleted_without_a_limit_or_without_a_yes(mom: Mom, asked: str) -> None:
    mom("storage", "prune").refuses(2, "--days", "storage.yaml")
    mom("storage", "prune", "trace").refuses(2, "no store 'trace'", "traces")
    dry = mom("storage", "prune", "--days", "0", "--dry-run", "--json").object
    assert dry["deleted"] is False
    assert {one["name"]: one["items"] for one in dry["stores"]} == {**stores(mom)}
    told = mom("storage", "prune", "--days", "0")
    assert told.code == 2
    assert "--yes" in told.err
    assert "threads  2 to delete" in told.out
    assert stores(mom)["threads"] == 2


def test_what_is_pruned_is_gone_and_its_space_is_given_back(mom: Mom, asked: str) -> None:
    done = mom("storage", "prune", "threads", "--days", "0", "--yes", "--json").object
    assert done["deleted"] is True
    assert [(one["name"], one["items"], one["kept"]) for one in done["stores"]] == [
        ("threads", 2, [])
    ]
    assert stores(mom) == {"threads": 0, "journal": 0, "traces": 2, "cache": 0, "ledger": 0}
    assert "threads" in mom("storage", "vacuum", "--json").object["freed"]
    assert mom("storage", "prune", "--days", "0", "-y").out.count("deleted") == 5


def test_an_export_is_a_file_of_each_store(mom: Mom, asked: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told = mom("storage", "export", str(folder), "threads", "traces", "--json").object
    assert told["lines"] == {"threads": 2, "traces": 2}
    assert sorted(file.name for file in folder.iterdir()) == ["threads.jsonl", "traces.jsonl"]
    mom("storage", "export", str(folder)).refuses(1, "is there already", "another folder")


def test_what_is_damaged_is_named_and_repaired_with_a_yes(mom: Mom, asked: str) -> None:
    assert mom("storage", "check").out == "Everything can be read.\n"
    file = paths.state_db()
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(
            "UPDATE checkpoints SET checkpoint = x'0011' WHERE thread_id = 'cats' AND checkpoint_id"
            " = (SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = 'cats')"
        )
    assert "damaged" in mom("threads", "list").out
    mom("threads", "show", "cats").refuses(1, "thread 'cats'", "damaged", "mom storage check")
    mom("ask", "-q", "More?", "-c", asked, "-t", "cats").refuses(1, "'cats'", "mom storage check")
    found = mom("storage", "check")
    assert found.code == 1
    assert "threads: cats: " in found.out
    assert mom("storage", "check", "--repair").code == 2
    assert mom("storage", "check", "--repair", "--yes").code == 0
    assert mom("storage", "check").out == "Everything can be read.\n"
    assert mom("threads", "show", "cats").out.startswith("You: About cats?")
    assert mom("ask", "-q", "More?", "-c", asked, "-t", "dogs").code == 0


def test_a_store_with_other_tables_is_refused_in_one_line(mom: Mom, asked: str) -> None:
    with closing(sqlite3.connect(paths.state_db())) as file:
        for table in ("checkpoints", "writes"):
            file.execute(f"ALTER TABLE {table} RENAME COLUMN thread_id TO other")
        file.commit()
    for command in (["storage", "show"], ["storage", "check"], ["storage", "vacuum"]):
        mom(*command).refuses(1, "threads.db", "its tables", "move it away")
    mom("storage", "prune", "--days", "1", "--yes").refuses(1, "its tables")
    mom("threads", "list").refuses(1, "its tables")


def test_a_damaged_time_counts_as_the_oldest(mom: Mom, stage: Stage, council_file: File) -> None:
    seat(stage)
    assert mom("ask", "-q", "Why?", "-c", council_file(cache={})).code == 0
    with closing(sqlite3.connect(paths.cache_dir() / "answers.db")) as file:
        [(table,)] = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        columns = [row[1] for row in file.execute(f"PRAGMA table_info({table})") if not row[5]]
        for column in columns:
            file.execute(f"UPDATE {table} SET {column} = x'ff0080'")
        file.commit()
    assert stores(mom)["cache"] > 0
    assert mom("storage", "prune", "cache", "--days", "1", "--yes").code == 0
    assert stores(mom)["cache"] == 0
