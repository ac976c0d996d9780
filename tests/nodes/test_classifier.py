"""Words or a picture."""

from __future__ import annotations

import pytest

from mom_council.deliberation.events import Routed
from mom_council.nodes.classifier import read_label
from mom_council.tests.graph.desk import ask, desk, said, seat, texts, told, voice
from mom_council.tests.stage import Fault, Stage

PLAIN = {"painter": {"model": "pen"}}


async def _route(stage: Stage, text: str, reply: str | None = None) -> tuple[str, str]:
    """The route a council with a painter takes, and how it came to it."""
    seat(stage)
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen", "sorter")}
    classifier = {} if reply is None else {"model": "sorter"}
    if reply is not None:
        stage.model("sorter", reply=reply)
    events = await told(desk(stage, models=models, classifier=classifier, **PLAIN), text)
    (routed,) = [event for event in events if isinstance(event, Routed)]
    return routed.route, routed.how


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("/image a cat", "image"),
        ("  /IMAGE a cat", "image"),
        ("/text draw a cat", "text"),
    ],
)
async def test_a_command_decides_without_asking_a_model(
    stage: Stage, text: str, route: str
) -> None:
    assert await _route(stage, text, reply='{"route": "text"}') == (route, "command")
    assert not stage.calls_to("sorter")


async def test_one_that_hangs_leaves_the_council_half_of_the_questions_time(stage: Stage) -> None:
    seat(stage)
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen", "sorter")}
    stage.model("sorter", always=Fault.hang())
    rules = {"budget": {"seconds": 6}, "classifier": {"model": "sorter"}}
    result = await ask(desk(stage, models=models, **rules, **PLAIN), "Why?")
    assert result["messages"][-1].text == "What the council says."
    assert "half of the question's time" in result["status"].notes[0]
    assert stage.calls_to("sorter")[0].outcome == "client_left"


@pytest.mark.parametrize("route", ["image", "text"])
async def test_a_models_label_decides(stage: Stage, route: str) -> None:
    assert await _route(stage, "A cat?", f'{{"route": "{route}"}}') == (route, "model")
    body = stage.calls_to("sorter")[0].body
    assert "A cat?" in said(body)
    assert body["response_format"]["json_schema"]["schema"]["properties"]["route"]["enum"]


@pytest.mark.parametrize(
    "reply",
    ['{"route": "false"}', '{"image": false}', '{"route": ', "no image", "false", "0", "[]", "{}"],
)
async def test_a_label_that_is_none_leaves_it_to_keywords(stage: Stage, reply: str) -> None:
    assert await _route(stage, "Why is the sky blue?", reply) == ("text", "keywords")


async def test_keywords_find_a_drawing_when_the_model_is_dead(stage: Stage) -> None:
    stage.model("sorter", always=Fault.status(500))
    assert await _route(stage, "Please draw a cat", None) == ("image", "keywords")


async def test_a_dead_classifier_is_counted_and_nobody_minds(stage: Stage) -> None:
    seat(stage)
    stage.model("sorter", always=Fault.status(500))
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen", "sorter")}
    council = desk(stage, models=models, classifier={"model": "sorter"}, **PLAIN)
    status = (await ask(council, "Why?"))["status"]
    assert status.spoke == ("Ada", "Boris", "Clara")
    assert status.usage.calls == len(stage.calls)


async def test_without_a_painter_no_model_is_asked(stage: Stage) -> None:
    seat(stage)
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen", "sorter")}
    await ask(desk(stage, models=models, classifier={"model": "sorter"}), "Draw a cat")
    assert not stage.calls_to("sorter")
    assert texts(stage.calls_to("ada")[0].body, "user") == ["Draw a cat"]


async def test_only_the_head_of_a_long_message_is_shown(stage: Stage) -> None:
    await _route(stage, "Why? " + "x" * 50_000, '{"route": "text"}')
    assert len(said(stage.calls_to("sorter")[0].body)) < 4000


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ('{"route": "image"}', "image"),
        ('Sure: {"route": "text"}!', "text"),
        ("text", "text"),
        ("Image.", "image"),
        ("route: image", "image"),
        ("text or image", None),
        ("not an image", None),
        ('{"route": true}', None),
        ('{"route": ["image"]}', None),
        ('{"a":' * 100_000 + "}" * 100_000, None),
        ("", None),
    ],
)
def test_a_label_is_read_only_where_one_is_given(reply: str, label: str | None) -> None:
    assert read_label(reply) == label
