"""What the benchmark says about growth holds."""

from __future__ import annotations

import pytest

from mixture_of_models.tests.bench import growth

pytestmark = pytest.mark.slow


def test_a_thread_grows_with_what_was_said() -> None:
    first, tenth = growth.measure((1, 10))
    assert tenth.stored < 5_000_000 / 8
    assert tenth.stored - first.stored < 4 * (tenth.said - first.said)
