"""A batch on a cluster of two machines, which are two nodes of Ray on this one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mom_council.batch.engine import BatchLimits, local_engine
from mom_council.batch.job import BatchJob, run_batch
from mom_council.errors import StorageError
from mom_council.tests.batch.killing import (
    asked_again_though_kept,
    council,
    questions,
    run_and_kill,
)
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.stage import Stage

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # Ray's own, of sockets and of what it will change
]
CALLS = 4


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes, each with processes of its own."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8},
    )
    made.add_node(num_cpus=1, object_store_memory=10**8)
    monkeypatch.setenv("RAY_ADDRESS", made.address)
    yield made
    made.shutdown()


async def test_two_nodes_answer_and_another_sitting_goes_on(
    cluster: Any, stage: Stage, tmp_path: Path
) -> None:
    import ray

    from mom_council.batch.engine import ray_engine

    seat(stage)
    seated = desk(stage, deliberation={"method": "none"})
    source = questions(tmp_path / "in.jsonl", 12)
    job = BatchJob(seated, source, tmp_path / "out.jsonl", limits=BatchLimits(calls=5 * CALLS))
    first = await run_batch(job, ray_engine(workers=2))
    assert (first.done, first.stopped) == (5, "20 calls")
    assert {file.name for file in (tmp_path / "out.jsonl.batch").glob("threads-*.db")} == {
        "threads-0.db",
        "threads-1.db",
    }
    with pytest.raises(StorageError, match="begun with 'ray, 2 workers'"):
        await run_batch(BatchJob(seated, source, job.output), local_engine())

    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level="ERROR")
    assert sum(node["Alive"] for node in ray.nodes()) == 2
    ray.shutdown()
    second = await run_batch(BatchJob(seated, source, job.output), ray_engine(workers=2))
    assert (second.before, second.done, second.errors) == (5, 12, 0)
    rows = [json.loads(line) for line in job.output.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [f"q{n}" for n in range(12)]
    assert {row["answer"] for row in rows} == {"What the council says."}
    assert len(stage.calls) == 12 * CALLS


def test_killed_with_its_cluster_a_batch_repeats_no_finished_call(
    stage: Stage, tmp_path: Path
) -> None:
    rules = {"method": "none", "quorum": 1.0}
    seated = council(stage, tmp_path / "desk.json", latency=0.1, deliberation=rules)
    source, output = questions(tmp_path / "in.jsonl", 40), tmp_path / "out.jsonl"
    found = run_and_kill(
        stage, seated, source, output, kills=2, seed=3, concurrency=4, options=["--engine", "ray"]
    )
    assert [row["id"] for row in found.rows] == [f"q{n}" for n in range(40)]
    assert {row["answer"] for row in found.rows} == {"What the council says."}
    assert asked_again_though_kept(stage, found) == []
    assert 40 * CALLS <= len(stage.calls) <= 40 * CALLS + 2 * 4 * 3
