"""What a lane plans, and whom a rate limit holds back, is shown."""

from __future__ import annotations

import io
from pathlib import Path

import yaml
from langchain_core.messages import AIMessage
from rich.console import Console

from mom_council.cli.live import Live
from mom_council.cli.screen import Ending
from mom_council.councils.loader import load_council
from mom_council.deliberation.events import Planned, Speaker, Waited
from mom_council.records import Status
from mom_council.tests.stage import Stage

from .conftest import Mom


def test_a_question_on_one_gpu_says_its_plan(mom: Mom, tmp_path: Path) -> None:
    with Stage(slots=1) as stage:
        for name in ("llama", "qwen"):
            stage.model(name, reply=f"The view of {name}.")
        voice = {"provider": "ollama", "base_url": stage.ollama_url, "lane": "gpu"}
        (tmp_path / "pair.yaml").write_text(
            yaml.safe_dump(
                {
                    "name": "pair",
                    "models": {name: {**voice, "model": name} for name in ("llama", "qwen")},
                    "lanes": {"gpu": {"concurrency": 1}},
                    "characters": [
                        {"name": f"C{n}", "model": ("llama", "qwen")[n % 2]} for n in range(4)
                    ],
                    "deliberation": {"method": "none", "rounds": {"max": 1}},
                    "synthesizer": {"model": "qwen"},
                    "thermal": None,
                }
            )
        )
        command = ("ask", "Why?", "-c", str(tmp_path / "pair.yaml"), "--db", "memory:")
        called = mom(*command)
        assert called.code == 0
        assert len(stage.loads) == 2, "the synthesizer's model is loaded last"
        assert "saved 2 model loads" in called.err
        assert "Lane" not in called.err, "how they were saved is for whoever looks for a fault"
        assert "Lane gpu: " in mom(*command, "--debug").err


def test_the_live_screen_counts_saved_loads_and_says_who_waits() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    plan = Planned(
        lane="gpu", round=1, models=("a", "b"), calls=(2, 1), loaded=(), loads=2, unplanned=3
    )
    with Live(load_council("demo"), console) as live:
        live.take(plan)
        live.take(plan.model_copy(update={"lane": "idle", "unplanned": 2}))
        live.take(Waited(speaker=Speaker(node="character", name="Ada"), lane="key", seconds=2.5))
        values = {"messages": [AIMessage("It is 42.")], "status": Status(council="demo")}
        live.finish(Ending(values, thread="t", trace=None))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "saved 1 model load" in shown
    assert "saved 1 model loads" not in shown
    assert "Lane" not in shown.replace("of lane key", "")
    assert "Ada waits 2.5 s for the rate limit of lane key" in shown
