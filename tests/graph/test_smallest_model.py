"""A council on a real model of 135M parameters, the smallest that writes English.

Its weights (98 MB) come from a Python package, so that a package index is enough to run this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mom_council.councils.schema import Council
from mom_council.models.providers.embedded import close_embedded
from mom_council.models.weights import download_weights
from mom_council.runs.automatic import automatic_council
from mom_council.runs.installed import AvailableModels, InstalledModel
from mom_council.tests.graph.desk import ask, told

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]
NAME = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOM_WEIGHTS_URL", "http://127.0.0.1:9")  # so that the package is taken
        download_weights(NAME, to=folder / "weights")
    yield folder
    close_embedded()


@pytest.fixture
def council(data: Path, monkeypatch: pytest.MonkeyPatch) -> Council:
    monkeypatch.setenv("MOM_DATA_DIR", str(data))
    weights = (InstalledModel(NAME, 98_000_000),)
    return automatic_council(AvailableModels(weights=weights))[0]


async def test_three_characters_on_it_write_an_answer_in_words(council: Council) -> None:
    result = await ask(council, "What is the capital of France?")
    status = result["status"]
    assert status.spoke == ("Marta", "Idris", "Noor")
    assert not status.absent
    assert status.usage.calls == 3 + 1
    assert status.usage.output_tokens > 10
    answer = result["messages"][-1].text
    assert any(word in answer for word in ("the ", "The ", "is ", "Paris", "France"))


async def test_its_words_arrive_while_it_writes(council: Council) -> None:
    events = await told(council, "Tell a short story about a fox.")
    kinds = [event.kind for event in events]
    assert kinds.count("said") > 20
    assert kinds.index("said") < kinds.index("finished")


async def test_a_question_that_is_longer_than_its_window_is_named_and_not_cut_in_silence(
    council: Council,
) -> None:
    question = "The number of the lighthouse is 4711. " + "The sea is calm today. " * 3000
    with pytest.raises(Exception, match=r"window|context|tokens"):
        await ask(council, question)
