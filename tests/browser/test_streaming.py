"""Eight characters at a hundred tokens a second: the page keeps up; `load` says what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mom_council.tests.browser import load
from mom_council.tests.browser.conftest import Server, Tab
from mom_council.tests.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_eight_streams_keep_the_page_awake(
    serve: Callable[[str], Server], tab: Callable[..., Tab], stage: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "eight.yaml"
    path.write_text(load.council(stage))
    server = serve(str(path))
    one = tab(server.url)
    cost = load.measure(server, one, 0, 5.0)
    one.shot("eight-light")
    assert cost.redraws >= 1
    assert cost.click < 5
