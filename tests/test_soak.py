"""A short soak; `make soak` runs the long one."""

from __future__ import annotations

import pytest

from mom_council.tests.soak import soak


@pytest.mark.slow
async def test_a_short_soak_grows_nothing_and_loses_nothing() -> None:
    made = await soak(calls=120, seed=3)
    assert made["calls"] >= 120
