"""What programs test themselves with; docs/testing.md is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council import council
from mom_council.testing import (
    Fault,
    Reply,
    Script,
    ScriptedModel,
    ballot_for,
    candidates_in,
    scripted_council,
)
from mom_council.tests.graph.desk import written
from mom_council.tests.stage import Stage

PAGE = (Path(__file__).parents[1] / "docs" / "testing.md").read_text("utf-8")


@pytest.mark.slow
def test_the_pages_examples_are_tests_that_pass_without_a_key(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    plugins = [block for block in blocks if block.startswith("pytest_plugins")]
    tests = [block for block in blocks if "def test_" in block]
    assert (len(plugins), len(tests), len(blocks)) == (1, 3, 4)
    (tmp_path / "conftest.py").write_text(plugins[0])
    for number, block in enumerate(tests):
        (tmp_path / f"test_page_{number}.py").write_text(block)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "no:asyncio", str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert "3 passed" in ended.stdout


@pytest.mark.parametrize("method", ["plurality", "approval", "borda", "score", "ranked_pairs"])
def test_votes_are_cast_in_the_form_of_the_method(stage: Stage, method: str) -> None:
    desk = scripted_council(
        written(stage, deliberation={"method": method, "stop": "all"}),
        answers={"Ada": "A cat.", "Boris": "A dog.", "Clara": "A bird."},
        votes={"Ada": "dog", "Boris": "bird", "Clara": "dog"},
        final="A dog.",
    )
    result = desk.invoke("Which pet?")
    assert result["status"].verdict.leader == "Boris"
    assert result["status"].verdict.ballots == 3
    assert result["messages"][-1].text == "A dog."
    assert not stage.calls, "no request leaves the process"


def test_the_same_script_is_a_model_and_a_server(stage: Stage) -> None:
    def script() -> Script:
        return Script(["One two.", Reply("Three.", usage=(5, 7))], faults=[Fault.status(503)])

    values = written(stage)
    values["models"]["ada"]["retries"] = 1
    stage.scripts["ada"] = script()
    for name in ("boris", "clara", "pen"):
        stage.model(name, reply="x")
    model = ScriptedModel(name="ada", script=script())
    by_wire = council(values).invoke("Why?")["status"]
    in_process = council(values, models={"ada": model}).invoke("Why?")["status"]
    assert by_wire.spoke == in_process.spoke == ("Ada", "Boris", "Clara")
    sent = [[m["content"] for m in call.body["messages"]] for call in stage.calls_to("ada")]
    heard = [[m["content"] for m in call["messages"]] for call in model.calls]
    assert heard[0] == sent[0]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.status(401), "failed"),
        (Fault.reset(), "failed"),
        (Fault.garbage(), "failed"),
        (Fault.error_in_stream(after=0), "failed"),
        (Fault.hang(), "timeout"),
        (Fault.stall(after=0), "timeout"),
        (Fault.empty(), "empty"),
        (Fault.refusal(), "refused"),
    ],
)
async def test_a_fault_of_a_scripted_model_is_an_absence_with_its_reason(
    stage: Stage, fault: Fault, reason: str
) -> None:
    values = written(stage, deliberation={"method": "none"})
    values["models"]["ada"]["timeout"] = 0.3
    broken = Script("One two three.", always=fault)
    desk = scripted_council(values, answers={"Ada": broken, "Boris": "B", "Clara": "C"})
    status = (await desk.ainvoke("Why?"))["status"]
    assert [(a.character, a.reason) for a in status.absent] == [("Ada", reason)]


async def test_a_scripted_model_is_a_chat_model_like_any_other() -> None:
    model = ScriptedModel(script=Script(["One two three four.", "Five."]))
    parts = [part.text async for part in model.astream("Count.")]
    assert [part for part in parts if part] == ["One ", "two ", "three ", "four."]
    whole = model.invoke([HumanMessage("And?")])
    assert (whole.text, whole.response_metadata["finish_reason"]) == ("Five.", "stop")
    assert whole.usage_metadata is not None
    assert [call["messages"][-1]["content"] for call in model.calls] == ["Count.", "And?"]


def test_a_request_that_is_no_vote_has_no_candidates() -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Why?"}]}
    assert candidates_in(body) == {}
    assert '"vote": "A"' in ballot_for(body, "x")
