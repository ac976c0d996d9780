"""No key and no word goes where it should not, under each privacy switch."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from mom_council.tests.tracing import leaks


@pytest.mark.slow
@pytest.mark.parametrize("scenario", leaks.SCENARIOS, ids=lambda scenario: scenario[0])
def test_nothing_leaks_under(scenario: leaks.Scenario) -> None:
    faults, places = leaks.faults_of(scenario)
    assert not faults
    assert "sent to plain" in places.holding(leaks.CANARY), "the harness searches where it is"
    if scenario[2] == leaks.SENDS and "sent to LangSmith" not in scenario[4]:
        assert b"synthesizer" in places.left["sent to LangSmith"]


@pytest.mark.slow
def test_a_picture_travels_to_langsmith_once(tmp_path: Path) -> None:
    from PIL import Image

    noise = random.Random(7).randbytes(256 * 256 * 3)
    Image.frombytes("RGB", (256, 256), noise).save(tmp_path / "noise.png")
    places = leaks.ask(env=leaks.SENDS, options=["--image", str(tmp_path / "noise.png")])
    sent = places.left["sent to LangSmith"]
    some = max(re.findall(rb"[A-Za-z0-9+/]{4000,}", sent), key=len)[1000:1400]
    assert sent.count(some) == 1
    assert b"sha256" in sent
    assert len(sent) < 3_000_000
