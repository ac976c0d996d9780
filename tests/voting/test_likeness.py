"""Open texts are compared by their words."""

from __future__ import annotations

import pytest

from mom_council.voting.likeness import clusters, likeness, medoid

TREES = "Plant trees along the river to slow the flood."
MORE_TREES = "Plant many trees along the river to slow the flood."
DAM = "Build a dam above the town."


def test_a_text_is_wholly_like_itself_and_unlike_other_words() -> None:
    assert likeness(TREES, TREES.upper()) == 1
    assert likeness("one two", "three four") == 0
    assert likeness("", "") == 1
    assert likeness(TREES, DAM) == likeness(DAM, TREES)


def test_like_texts_form_a_cluster_and_the_largest_comes_first() -> None:
    assert clusters([DAM, TREES, MORE_TREES]) == [[1, 2], [0]]
    assert clusters([]) == []


def test_a_chain_of_half_likenesses_is_no_cluster() -> None:
    assert clusters(["a b c d", "c d e f", "e f g h"], threshold=0.2) == [[0, 1], [2]]


def test_the_medoid_is_the_least_eccentric_text() -> None:
    assert medoid([DAM, TREES, MORE_TREES, TREES]) == 1
    assert medoid([DAM]) == 0


def test_a_heavy_text_draws_the_medoid_to_its_like() -> None:
    texts = ["a b c", "a b d", "x y z", "x y w"]
    assert medoid(texts, [1, 1, 5, 5]) == 2


def test_without_texts_there_is_no_medoid() -> None:
    with pytest.raises(ValueError, match="at least one"):
        medoid([])
