"""What an operator asks of a server: is it ready, which version, what it did, and to reload."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.yaml import written
from mom_council.server.limits import read_limits
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY, Serve
from mom_council.tests.server.operated import operated, until
from mom_council.tests.stage import Fault, Stage

BODY = {"model": "desk", "messages": [{"role": "user", "content": "Which?"}]}
ADMIN = "the-operators-own-key"


def figures(text: str, name: str) -> dict[str, float]:
    """The values of a figure by their labels."""
    found = re.findall(rf"^{name}({{.*}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_a_server_is_ready_when_its_database_and_its_models_are(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    seat(stage)
    served = serve(desk(stage), keys=f"ann={KEY}", database=str(tmp_path / "threads.db"))
    stranger = served.get("/ready")
    assert (stranger.status_code, stranger.json()) == (200, {"status": "ready", "database": "ok"})
    known = served.get("/ready", headers={"Authorization": f"Bearer {KEY}"}).json()
    assert known["councils"] == {"desk": {"ready": True, "members": 3, "unreachable": []}}
    assert not stage.calls, "a look costs nothing"


def test_a_server_whose_models_are_gone_is_not_ready(stage: Stage, serve: Serve) -> None:
    with Stage() as other:
        gone = other.openai_url
    models = {"ada": {"base_url": gone}, "boris": {"base_url": gone}}
    written_models = desk(stage).model_dump(mode="json")["models"]
    changed = {key: {**one, **models.get(key, {})} for key, one in written_models.items()}
    one_left = serve(desk(stage, models=changed))
    answer = one_left.get("/ready")
    assert answer.status_code == 200, "one proposal is worth more than none"
    assert answer.json()["councils"]["desk"] == {
        "ready": True,
        "members": 1,
        "unreachable": ["ada", "boris"],
    }
    two_needed = serve(desk(stage, models=changed, deliberation={"minimum": 2}))
    answer = two_needed.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert answer.json()["database"] == "not used"


def test_the_version_is_told_to_those_with_a_key(stage: Stage, serve: Serve) -> None:
    served = serve(desk(stage), keys=f"ann={KEY}")
    assert served.get("/version").status_code == 401
    answer = served.get("/version", headers={"Authorization": f"Bearer {KEY}"}).json()
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", answer["version"])


def test_the_figures_tell_by_key_and_by_model(stage: Stage, serve: Serve, tmp_path: Path) -> None:
    seat(stage)
    stage.model("boris", faults=[Fault.status(400)] * 9)
    limits = read_limits(["bob:questions=1"], ["ann", "bob"])
    other = f"{KEY}-of-bob"
    served = serve(
        desk(stage, deliberation={"quorum": 0.5}),
        keys=f"ann={KEY},bob={other}",
        limits=limits,
        database=str(tmp_path / "threads.db"),
    )
    ann, bob = ({"Authorization": f"Bearer {key}"} for key in (KEY, other))
    assert [served.post(BODY, headers=one).status_code for one in (ann, bob, bob)] == [
        200,
        200,
        429,
    ]
    text = served.get("/metrics", headers=ann).text
    assert figures(text, "mom_questions_total") == {
        '{council="desk",key="ann",outcome="degraded"}': 1.0,
        '{council="desk",key="bob",outcome="degraded"}': 1.0,
        '{council="desk",key="bob",outcome="refused"}': 1.0,
    }
    assert figures(text, "mom_refused_total") == {'{key="bob",limit="key a day"}': 1.0}
    reasons = figures(text, "mom_model_absences_total")
    assert reasons['{model="boris",provider="openai",reason="failed"}'] >= 2
    requests = figures(text, "mom_model_requests_total")
    assert requests['{model="pen",provider="openai"}'] == 2
    by_model = sum(figures(text, "mom_model_tokens_total").values())
    by_key = sum(figures(text, "mom_key_tokens_total").values())
    by_council = sum(figures(text, "mom_tokens_total").values())
    assert by_model == by_key == by_council > 0
    assert figures(text, "mom_key_calls_total")['{key="ann"}'] >= 3


@pytest.mark.slow
def test_the_operator_reloads_by_an_endpoint_and_no_run_is_dropped(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    file = tmp_path / "desk.yaml"
    file.write_text(written(desk(stage)), "utf-8")
    arguments = ("-c", "desk.yaml", "--only", "--log", "json")
    env = {"MOM_SERVER_KEYS": f"ann={KEY}", "MOM_ADMIN_KEY": ADMIN}
    with operated(tmp_path, *arguments, **env) as server:
        reload = f"{server.root}/admin/reload"
        assert server.post(reload, {}, KEY).status_code == 401
        assert server.post(reload, {}).status_code == 401
        file.write_text(written(desk(stage, name="other")), "utf-8")
        answer = server.post(reload, {}, ADMIN)
        assert answer.json() == {"reloaded": True, "councils": ["other"], "keys": ["ann"]}
        assert server.ask("Which?", KEY).status_code == 404
        file.write_text("name: 3\nmodels: []\n", "utf-8")
        refused = server.post(reload, {}, ADMIN)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "reload_failed")
        assert "models" in refused.json()["error"]["message"]
        assert server.ask("Which?", KEY, model="other").status_code == 200


def test_without_an_operators_key_nobody_reloads(stage: Stage, serve: Serve) -> None:
    served = serve(desk(stage), keys=f"ann={KEY}")
    answer = served.post({}, "/admin/reload", headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_admin_key")


@pytest.fixture
def council(stage: Stage, tmp_path: Path) -> str:
    seat(stage)
    (tmp_path / "desk.yaml").write_text(written(desk(stage)), "utf-8")
    return "desk.yaml"


def pids(server: Any) -> set[int]:
    """The workers of a server."""
    ours = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return {int(pid) for pid in ours.read_text().split()}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_workers_share_limits_figures_and_signals(
    stage: Stage, council: str, tmp_path: Path
) -> None:
    arguments = ("-c", council, "--only", "--workers", "2", "--log", "json")
    arguments += ("--limit", "each:questions=6", "--db", str(tmp_path / "t.db"))
    env = {"MOM_SERVER_KEYS": f"ann={KEY}", "MOM_ADMIN_KEY": ADMIN}
    with operated(tmp_path, *arguments, **env) as server:
        workers = pids(server)
        assert len(workers) == 2
        # Each question has a connection of its own, which any of them takes.
        answers = [server.ask(f"Question {number}?", KEY).status_code for number in range(8)]
        assert answers == [200] * 6 + [429] * 2
        text = server.get("/metrics", KEY).text
        assert sum(figures(text, "mom_questions_total").values()) == 8
        assert figures(text, "mom_questions_in_progress") == {"": 0.0}
        # A reload reaches all.
        (tmp_path / council).write_text(written(desk(stage, name="other")), "utf-8")
        assert server.post(f"{server.root}/admin/reload", {}, ADMIN).status_code == 200
        until(lambda: server.text.count("councils and keys were reloaded") >= 3)
        listed = [server.get("/v1/models", KEY).json()["data"][0]["id"] for _ in range(8)]
        assert listed == ["other"] * 8
        # One that dies is replaced, and the port is never without the other.
        died = min(workers)
        os.kill(died, signal.SIGKILL)
        until(lambda: len(pids(server) - {died}) == 2)
        assert server.get("/health").status_code == 200
        last = pids(server)
    assert server.process.returncode in (-signal.SIGTERM, 143)
    assert not any(Path(f"/proc/{pid}").exists() for pid in last)
