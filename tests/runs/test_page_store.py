"""Names, owners and thumbs are kept beside the threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from mom_council.errors import StorageError
from mom_council.runs.page_store import KeptAnswer, PageStore


@pytest.fixture
def shelf(tmp_path: Path) -> PageStore:
    shelf = PageStore(tmp_path)
    shelf.put("a", reader="ann", title="Why is\nthe sky blue?", council="demo")
    shelf.put("b", reader="ann", title="100 % of cats", council="")
    shelf.put("c", reader="ben", title="Why not?", council="")
    return shelf


def test_a_reader_finds_their_own_threads_the_last_used_first(shelf: PageStore) -> None:
    assert [one.id for one in shelf.of("ann")] == ["b", "a"]
    shelf.put("a", reader="ann", title="another question", council="home")
    found = shelf.of("ann")
    assert [(one.id, one.council) for one in found] == [("a", "home"), ("b", "")]
    assert found[0].title == "Why is the sky blue?"


def test_a_search_takes_its_signs_literally(shelf: PageStore) -> None:
    assert [one.id for one in shelf.of("ann", "WHY")] == ["a"]
    assert [one.id for one in shelf.of("ann", "0 %")] == ["b"]
    assert shelf.of("ann", "%") == shelf.of("ann", "100")
    assert shelf.of("ann", "_") == []
    assert shelf.of("ann", "'; DROP TABLE threads; --") == []


def test_a_thread_cannot_be_taken_over(shelf: PageStore) -> None:
    shelf.put("c", reader="ann", title="mine now", council="")
    assert shelf.find("c").reader == "ben"  # type: ignore[union-attr]


def test_a_title_is_changed_but_never_emptied(shelf: PageStore) -> None:
    shelf.rename("a", "  The\tsky ")
    shelf.rename("b", "   ")
    assert [one.title for one in shelf.of("ann")] == ["100 % of cats", "The sky"]
    shelf.rename("a", "x" * 500)
    assert len(shelf.find("a").title) == 120  # type: ignore[union-attr]


def test_thumbs_are_given_changed_taken_back_and_forgotten(shelf: PageStore) -> None:
    shelf.rate("a", "m1", "up", trace="t")
    shelf.rate("a", "m2", "down")
    shelf.rate("a", "m1", "down")
    assert shelf.thumbs("a") == {"m1": "down", "m2": "down"}
    shelf.rate("a", "m2", None)
    assert shelf.thumbs("a") == {"m1": "down"}
    shelf.forget("a")
    assert (shelf.thumbs("a"), shelf.find("a")) == ({}, None)


def test_several_answers_keep_their_order_and_where_each_was_left(shelf: PageStore) -> None:
    one, two = (KeptAnswer(question=q, first="q1", head="") for q in ("q1", "q2"))
    shelf.keep_answer("a", one)
    shelf.keep_answer("a", two)
    shelf.keep_answer("a", one.model_copy(update={"head": "c7"}))
    assert [(kept.question, kept.head) for kept in shelf.answers("a")] == [("q1", "c7"), ("q2", "")]
    shelf.drop_answer("a", "q2")
    assert [kept.question for kept in shelf.answers("a")] == ["q1"]
    assert shelf.answers("b") == ()
    shelf.forget("a")
    assert shelf.answers("a") == ()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "shelf.db").mkdir()
    with pytest.raises(StorageError, match=r"shelf\.db"):
        PageStore(tmp_path).of("ann")


def test_a_search_looks_into_what_was_asked_and_answered(tmp_path: Path) -> None:
    store = PageStore(tmp_path)
    for thread in ("one", "two"):
        store.put(thread, reader="r", title=thread, council="")
    assert store.without_text("r") == ["one", "two"]
    store.keep_text("one", "What is slow?\nThe p99 is 3 s, at 100 % load.")
    assert store.without_text("r") == ["two"]
    assert [entry.id for entry in store.of("r", "P99")] == ["one"]
    assert [entry.id for entry in store.of("r", "100 %")] == ["one"]
    assert {entry.id for entry in store.of("r")} == {"one", "two"}
    store.forget("one")
    assert store.of("r", "p99") == []
