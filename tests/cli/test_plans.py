"""What a lane plans, and whom a rate limit holds back, is shown."""

from __future__ import annotations

import io
from pathlib import Path

import yaml
from rich.console import Console

from mom_council.cli.live import Live
from mom_council.councils.loader import load_council
from mom_council.deliberation.events import Planned, Speaker, Waited
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
        called = mom("ask", "Why?", "-c", str(tmp_path / "pair.yaml"), "--db", "memory:")
        assert called.code == 0
        line = "Lane gpu: llama x 2, qwen x 2; 2 loads this round instead of 4"
        assert line in called.err
        assert len(stage.loads) == 2, "the synthesizer's model is loaded last"


def test_the_live_screen_says_plans_that_save_something_and_who_waits() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    plan = Planned(
        lane="gpu", round=1, models=("a", "b"), calls=(2, 1), loaded=(), loads=2, unplanned=3
    )
    with Live(load_council("demo"), console) as live:
        live.take(plan)
        live.take(plan.model_copy(update={"lane": "idle", "unplanned": 2}))
        live.take(Waited(speaker=Speaker(node="character", name="Ada"), lane="key", seconds=2.5))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Lane gpu: a x 2, b; 2 loads this round instead of 3" in shown
    assert "Lane idle" not in shown
    assert "Ada waits 2.5 s for the rate limit of lane key" in shown
