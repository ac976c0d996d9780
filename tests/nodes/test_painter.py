"""A picture is written for, drawn, kept in a file, and shown; or it is said honestly why not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image

from mom_council.councils.schema import Council
from mom_council.deliberation.events import Answered, TextSpoken
from mom_council.graph.council import compile_council
from mom_council.models.images import pictures_in
from mom_council.nodes.painter import tidy
from mom_council.paths import pictures_dir
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.threads import delete_thread
from mom_council.tests.graph.desk import (
    ask,
    desk,
    question,
    said,
    seat,
    texts,
    told,
    unfenced,
    voice,
)
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.vendors import VENDORS

pytestmark = pytest.mark.slow

WORDS = "A grey cat asleep on a red mat, soft light, watercolour."
CONFIG: Any = {"configurable": {"thread_id": "t"}}


def studio(
    stage: Stage, *, writes: Any = WORDS, brush: dict[str, Any] | None = None, **changes: Any
) -> Council:
    """A council whose painter is the stage's model `brush`; `pen` writes the prompt."""
    seat(stage)
    stage.model("pen", reply=writes)
    stage.model("brush")
    names = ("ada", "boris", "clara", "pen")
    models = {name: voice(stage, name) for name in names}
    models["brush"] = voice(stage, "brush", **(brush or {}))
    return desk(stage, models=models, **{"painter": {"model": "brush"}, **changes})


async def test_the_prompt_is_written_and_the_picture_drawn_and_kept(stage: Stage) -> None:
    result = await ask(studio(stage), "/image a cat on a mat")
    [writing] = stage.calls_to("pen")
    written = texts(writing.body, "user")[-1]
    assert "<wish fence=" in written
    assert "\n\na cat on a mat\n\n" in unfenced(written)
    [drawing] = stage.calls_to("brush")
    assert drawing.path == "/v1/images/generations"
    assert drawing.body == {
        "model": "brush",
        "prompt": WORDS,
        "n": 1,
        "response_format": "b64_json",
    }
    answer = result["messages"][-1]
    [(file, about)] = pictures_in(answer.content)
    assert file.parent == pictures_dir()
    with Image.open(file) as opened:
        assert opened.size == (8, 8)
    assert file.stat().st_mode & 0o777 == 0o600
    assert about == {"prompt": WORDS, "seed": None, "model": "brush"}
    assert WORDS in answer.text
    status = result["status"]
    assert (status.route, status.written_by, status.degraded) == ("image", "brush", False)
    assert status.usage.calls == 2
    assert not stage.calls_to("ada")


async def test_what_the_painters_section_and_params_say_is_sent(stage: Stage) -> None:
    rules = {
        "model": "brush",
        "writer": "ada",
        "size": "512x768",
        "steps": 6,
        "guidance": 1.5,
        "seed": 7,
        "negative": "dogs",
    }
    council = studio(stage, painter=rules, brush={"params": {"style": "flat"}})
    stage.model("ada", reply=WORDS)
    result = await ask(council, "/image a cat")
    body = stage.calls_to("brush")[0].body
    assert not stage.calls_to("pen")
    sent = {
        "size": "512x768",
        "steps": 6,
        "guidance_scale": 1.5,
        "seed": 7,
        "negative_prompt": "dogs",
        "style": "flat",
    }
    assert sent.items() <= body.items()
    assert pictures_in(result["messages"][-1].content)[0][1]["seed"] == 7


async def test_a_model_that_refuses_a_format_is_not_asked_for_one(stage: Stage) -> None:
    council = studio(stage, brush={"model": "gpt-image-1"})
    stage.model("gpt-image-1")
    await ask(council, "/image a cat")
    assert "response_format" not in stage.calls_to("gpt-image-1")[0].body


async def test_the_classifier_sends_there_what_wants_a_picture(stage: Stage) -> None:
    council = studio(stage, classifier={"model": "clara"})
    stage.model("clara", reply=json.dumps({"route": "image"}))
    result = await ask(council, "My cat, but as a king")
    assert pictures_in(result["messages"][-1].content)
    assert result["status"].usage.calls == 3


async def test_a_later_wish_is_written_in_the_light_of_the_earlier(stage: Stage) -> None:
    graph = compile_council(studio(stage), InMemorySaver())
    await graph.ainvoke(question("/image a cat"), CONFIG)
    await graph.ainvoke(question("/image the same in blue"), CONFIG)
    assert WORDS in said(stage.calls_to("pen")[1].body)
    files = list(pictures_dir().iterdir())
    assert len(files) == 2


async def test_the_prompt_is_told_as_it_is_written(stage: Stage) -> None:
    events = await told(studio(stage), "/image a cat")
    said_ = [event for event in events if isinstance(event, TextSpoken)]
    assert "".join(event.text for event in said_) == WORDS
    assert {event.speaker.node for event in said_} == {"painter"}
    assert isinstance(events[-1], Answered)


async def test_a_thread_stays_small_and_takes_its_pictures_along_when_it_goes(
    stage: Stage, tmp_path: Path
) -> None:
    noise = Image.effect_noise((400, 400), 90).convert("RGB")
    noise.save(tmp_path / "noise.png")
    council = studio(stage)
    stage.model("brush", reply=Reply("ok", picture=(tmp_path / "noise.png").read_bytes()))
    path = tmp_path / "threads.db"
    async with open_checkpointer(str(path)) as saver:
        graph = compile_council(council, saver)
        result = await graph.ainvoke(question("/image a cat"), CONFIG)
        [(file, _)] = pictures_in(result["messages"][-1].content)
        assert file.stat().st_size > 100_000
        rows = await saver.conn.execute_fetchall(  # type: ignore[attr-defined]
            "SELECT (SELECT sum(length(checkpoint)) FROM checkpoints) "
            "+ (SELECT sum(length(value)) FROM writes)"
        )
        assert next(iter(rows))[0] < 20_000
        assert await delete_thread(saver, "t")
        assert not file.exists()


async def test_only_files_of_the_gallery_are_shown(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    pictures_dir().mkdir(parents=True)
    (pictures_dir() / "a.png").symlink_to(tmp_path / "secret.png")
    for url in ((tmp_path / "secret.png").as_uri(), "file:///etc/passwd", "../secret.png", "a.png"):
        assert pictures_in([{"type": "image", "url": url}]) == []


FAULTS = [
    ("401", {"always": Fault.status(401)}, 1, "HTTP 401"),
    ("402", {"always": Fault.status(402)}, 1, "HTTP 402"),
    ("404", {"always": Fault.status(404)}, 1, "HTTP 404"),
    ("429", {"faults": [Fault.status(429, retry_after=0.01)]}, 2, None),
    ("500", {"always": Fault.status(500)}, 2, "HTTP 500"),
    ("502 HTML", {"always": Fault.bad_gateway()}, 2, "HTTP 502"),
    ("reset", {"always": Fault.reset()}, 2, "closed the connection|reset"),
    ("hang", {"always": Fault.hang()}, 1, "no picture in 1 s"),
    ("stall", {"always": Fault.stall()}, 1, "no picture in 1 s"),
    ("truncated", {"always": Fault.truncated()}, 2, "broke off|closed|cut"),
    ("malformed", {"always": Fault.malformed()}, 2, "not JSON"),
    ("garbage", {"always": Fault.garbage()}, 2, "not text|not JSON"),
    ("null", {"always": Fault.null()}, 1, "cannot be read as a picture"),
    ("empty", {"always": Fault.empty()}, 1, "cannot be read as a picture"),
    ("undecodable", {"reply": Reply("ok", picture=b"GIF89a...")}, 1, "cannot be read as a picture"),
    (
        "filter",
        {"always": Fault.status(400, error="content_policy_violation")},
        1,
        "declined",
    ),
]


async def test_importing_a_library_takes_nothing_of_the_pictures_time(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_import").mkdir()
    (tmp_path / "slow_import" / "pictures.py").write_text(
        "import time\ntime.sleep(4)\nfrom mom_council.models.providers.openai import draw\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    slow = replace(VENDORS["openai"], pictures="slow_import.pictures:draw")
    monkeypatch.setitem(VENDORS, "openai", slow)
    result = await ask(studio(stage, brush={"timeout": 4}), "/image a cat")
    assert pictures_in(result["messages"][-1].content)


@pytest.mark.parametrize(
    ("script", "requests", "says"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
async def test_whatever_goes_wrong_there_is_an_honest_answer_in_time(
    stage: Stage, script: dict[str, Any], requests: int, says: str | None
) -> None:
    council = studio(stage, brush={"timeout": 1, "retries": 1})
    stage.model("brush", **script)
    result = await ask(council, "/image a cat")
    assert len(stage.calls_to("brush")) == requests
    answer, status = result["messages"][-1], result["status"]
    assert status.usage.calls == requests + 1
    if says is None:
        assert pictures_in(answer.content)
        return
    assert re.search(says, answer.text), answer.text
    assert "/text" in answer.text
    assert status.degraded
    assert status.notes
    assert status.route == "image"
    assert not pictures_dir().exists()


async def test_a_fallback_draws_where_the_first_cannot_and_is_named(stage: Stage) -> None:
    council = studio(stage, brush={"fallbacks": ["pen"]})
    stage.model("brush", always=Fault.status(404))
    result = await ask(council, "/image a cat")
    assert result["status"].written_by == "pen"
    assert result["status"].degraded
    assert [call.path for call in stage.calls_to("pen")][-1] == "/v1/images/generations"


async def test_what_a_filter_declined_is_not_asked_of_another(stage: Stage) -> None:
    council = studio(stage, brush={"fallbacks": ["pen"]})
    stage.model("brush", always=Fault.status(400, error="moderation_blocked"))
    await ask(council, "/image a cat")
    assert len(stage.calls_to("pen")) == 1


async def test_without_a_writer_the_wish_is_drawn_as_it_stands(stage: Stage) -> None:
    council = studio(stage)
    stage.model("pen", always=Fault.status(500))
    result = await ask(council, "/image a cat on a mat")
    assert stage.calls_to("brush")[0].body["prompt"] == "a cat on a mat"
    assert pictures_in(result["messages"][-1].content)
    assert result["status"].degraded
    assert "Nobody wrote the prompt" in result["status"].notes[0]


async def test_a_writer_that_declines_is_not_gone_round(stage: Stage) -> None:
    council = studio(stage)
    stage.model("pen", always=Fault.refusal("I will not."))
    result = await ask(council, "/image something bad")
    assert not stage.calls_to("brush")
    assert "I will not." in result["messages"][-1].text


async def test_the_questions_time_is_kept(stage: Stage) -> None:
    council = studio(stage, budget={"seconds": 1.0})
    stage.model("brush", always=Fault.hang())
    result = await ask(council, "/image a cat")
    assert "within the question's 1 s" in result["messages"][-1].text
    assert stage.wait_for(1, model="brush")[-1].outcome == "client_left"


async def test_a_folder_that_cannot_be_written_is_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "file"))
    result = await ask(studio(stage), "/image a cat")
    assert "MOM_DATA_DIR" in result["messages"][-1].text


async def test_a_council_without_a_painter_says_so_without_a_call(stage: Stage) -> None:
    seat(stage)
    result = await ask(desk(stage), "/image a cat")
    assert "/text" in result["messages"][-1].text
    assert result["status"].route == "image"
    assert result["status"].degraded
    assert not stage.calls


async def test_with_text_before_it_the_same_is_answered_in_words(stage: Stage) -> None:
    council = studio(stage, writes="What the council says.")
    result = await ask(council, "/text draw me a cat")
    assert result["messages"][-1].text == "What the council says."
    assert texts(stage.calls_to("ada")[0].body, "user") == ["draw me a cat"]


async def test_a_question_after_a_picture_is_answered(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage), InMemorySaver())
    await graph.ainvoke(question("/image a cat"), CONFIG)
    status = (await graph.ainvoke(question("Why?"), CONFIG))["status"]
    assert status.route == "text"
    assert not status.degraded


@pytest.mark.parametrize(
    "reply",
    [WORDS, f'"{WORDS}"', f"**Prompt:** {WORDS}", f"Image prompt: {WORDS}\n", f"\n {WORDS}\n"],
)
def test_what_models_put_around_a_prompt_is_taken_off(reply: str) -> None:
    assert tidy(reply) == WORDS
