"""Every file that is written says the version of its layout, and one of a newer version is left.

What version 0.1 stored says none: it is brought up to date where it lies, and read as before
(`tests/test_stored_by_v0_1.py` compares every value).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mom_council import load_council, open_checkpointer
from mom_council.batch.journal import Journal
from mom_council.councils.trust import accept, is_accepted, review_file
from mom_council.errors import StorageError
from mom_council.evals.scorecard import EvalJournal
from mom_council.models.cache import CacheFile, TamperedError
from mom_council.models.ledger import Ledger
from mom_council.runs.page_store import PageStore
from mom_council.runs.threads import list_threads
from mom_council.tracing.store import TraceStore

V0_1 = Path(__file__).parent / "fixtures" / "v0_1"


def version_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def pretend_newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("PRAGMA user_version = 99")


DATABASES: dict[str, tuple[str, int, Callable[[Path], Any]]] = {
    "ledger": ("data/ledger.db", 1, lambda file: Ledger(file.parent).outcomes(at=2e9)),
    "names and thumbs": ("data/shelf.db", 2, lambda file: PageStore(file.parent).of("ann")),
    "traces": ("data/traces/traces.db", 1, lambda file: TraceStore(file.parent).summaries()),
}


@pytest.mark.parametrize(("stored", "version", "read"), DATABASES.values(), ids=DATABASES)
def test_a_file_of_version_0_1_is_brought_up_to_date_and_a_newer_one_is_left(
    tmp_path: Path, stored: str, version: int, read: Callable[[Path], Any]
) -> None:
    file = tmp_path / Path(stored).name
    shutil.copy(V0_1 / stored, file)
    assert version_of(file) == 0
    rows = read(file)
    assert rows
    assert version_of(file) == version
    assert read(file) == rows
    pretend_newer(file)
    before = file.read_bytes()
    with pytest.raises(StorageError, match="written by a newer version of mom"):
        read(file)
    assert file.read_bytes() == before


async def test_threads_of_version_0_1_are_brought_up_to_date_and_newer_ones_are_left(
    tmp_path: Path,
) -> None:
    file = tmp_path / "threads.db"
    shutil.copy(V0_1 / "threads.sqlite", file)
    assert version_of(file) == 0
    async with open_checkpointer(str(file)) as saver:
        listed = await list_threads(saver)
    assert len(listed) == 6
    assert version_of(file) == 1
    async with open_checkpointer(str(file)) as saver:
        assert await list_threads(saver) == listed
    pretend_newer(file)
    with pytest.raises(StorageError, match="written by a newer version of mom"):
        async with open_checkpointer(str(file)):
            pass


async def test_a_postgres_of_a_newer_version_is_left(postgres: Any) -> None:
    postgres.psql("CREATE DATABASE newer_layout;")
    url = postgres.get_uri("newer_layout")
    for _ in range(2):
        async with open_checkpointer(url) as saver:
            async with saver.conn.connection() as conn:  # type: ignore[attr-defined]
                rows = await (await conn.execute("SELECT version FROM mom_layout")).fetchall()
            assert [row["version"] for row in rows] == [1]
    async with open_checkpointer(url) as saver, saver.conn.connection() as conn:  # type: ignore[attr-defined]
        await conn.execute("UPDATE mom_layout SET version = 99")
    with pytest.raises(StorageError, match="written by a newer version of mom"):
        async with open_checkpointer(url):
            pass


def test_a_cache_of_a_newer_version_is_left(tmp_path: Path) -> None:
    cache = CacheFile(tmp_path)
    cache.keep("request", "model", "{}", 1e6, 1)
    assert version_of(cache.file) == 1
    pretend_newer(cache.file)
    with pytest.raises(TamperedError, match="newer version"):
        cache.find("request", 1e6)


def test_a_batch_says_its_version_goes_on_without_one_and_leaves_a_newer(tmp_path: Path) -> None:
    output, job = tmp_path / "answers.jsonl", {"questions": "q"}
    Journal.open(output, job).close()
    file = tmp_path / "answers.jsonl.batch" / "job.json"
    assert json.loads(file.read_text()) == {"version": 1, "job": job}
    file.write_text(json.dumps({"job": job}))
    Journal.open(output, job).close()
    file.write_text(json.dumps({"version": 99, "job": job}))
    with pytest.raises(StorageError, match="newer version of mom"):
        Journal.open(output, job)


def test_an_evaluation_says_its_version_goes_on_without_one_and_leaves_a_newer(
    tmp_path: Path,
) -> None:
    council, path = load_council("demo"), tmp_path / "rows.jsonl"
    EvalJournal(path, council)
    head = json.loads(path.read_text())
    assert head.pop("version") == 1
    path.write_text(json.dumps(head) + "\n")
    EvalJournal(path, council)
    path.write_text(json.dumps({"version": 99, **head}) + "\n")
    with pytest.raises(StorageError, match="newer version of mom"):
        EvalJournal(path, council)


def test_what_was_accepted_says_its_version_and_a_newer_one_counts_as_not_accepted(
    tmp_path: Path,
) -> None:
    file = tmp_path / "council.yaml"
    file.write_text(
        "name: x\nmodels: {m: {provider: openai, model: n, base_url: 'http://h.example/v1'}}\n"
        "characters: [{name: A, model: m}]\nsynthesizer: {model: m}\n"
    )
    review = review_file(file)
    accept(review)
    assert is_accepted(review)
    [stored] = Path(str(tmp_path / "data" / "trust")).glob("*.json")
    content = json.loads(stored.read_text())
    assert content["version"] == 1
    for version, trusted in ((None, True), (99, False)):
        changed = {key: value for key, value in content.items() if key != "version"}
        stored.write_text(json.dumps(changed | ({"version": version} if version else {})))
        assert is_accepted(review) is trusted
