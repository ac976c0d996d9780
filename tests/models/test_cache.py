"""Answers that are kept: when they are used, when not, and what becomes of a spoiled file."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from mom_council.councils.schema import Council
from mom_council.errors import ModelUnavailableError
from mom_council.graph.council import council as open_council
from mom_council.models import cache
from mom_council.models.cache import CacheFile
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.paths import cache_dir
from mom_council.tests.stage import Fault
from mom_council.tests.stage import Reply as Line

QUESTION = [SystemMessage("Be brief."), HumanMessage("What is 6 x 7?")]
SCHEMA = {"title": "Vote", "type": "object", "properties": {"choice": {"type": "string"}}}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr("mom_council.models.retry.FIRST_WAIT", 0.02)


async def ask(stage, messages: Any = QUESTION, **more: Any) -> Reply:
    calling = {n: more.pop(n) for n in ("on_text", "schema", "params") if n in more}
    kept = more.pop("cache", {})
    seat = more.pop("seat", "character/A/1/1")
    voice = {"provider": "openai", "model": "m", "base_url": stage.openai_url, **more}
    sitting = Council.model_validate(
        {
            "name": "test",
            "models": {"m": voice},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
            "cache": kept,
        }
    )
    return await speak(resolve_model(sitting, "m"), messages, seat=seat, **calling)


def rows() -> int:
    return cache.stats().answers


def change(statement: str, *values: Any) -> None:
    db = sqlite3.connect(cache_dir() / "answers.db")
    db.execute(statement, values)
    db.commit()
    db.close()


async def test_a_hit_makes_no_request_costs_nothing_and_is_told_as_it_was(stage):
    stage.model("m", reply=Line("It is 42.", reasoning="six sevens", usage=(11, 4)))
    price = {"input": 1.0, "output": 1.0}
    first = await ask(stage, price=price)
    heard: list[tuple[str, bool]] = []
    again = await ask(stage, price=price, on_text=lambda *piece: heard.append(piece))
    assert len(stage.calls) == 1
    assert (first.cached, again.cached) == (False, True)
    assert (again.text, again.reasoning, again.finish) == ("It is 42.", "six sevens", "stop")
    assert heard == [("six sevens", True), ("It is 42.", False)]
    usage = again.usage
    assert (usage.calls, usage.input_tokens, usage.output_tokens, usage.usd) == (0, 0, 0, 0.0)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "n"},
        {"params": {"temperature": 0.5}},
        {"schema": SCHEMA},
        {"seat": "character/B/1/1"},
        {"seat": None},
        {"context": 4096},
        {"messages": [SystemMessage("Be brief."), HumanMessage("What is 6 x 8?")]},
        {"messages": [*QUESTION, AIMessage("42"), HumanMessage("What is 6 x 7?")]},
        {"cache": {"ttl": 1e-9}},
    ],
)
async def test_another_request_misses(stage, other):
    stage.model("m")
    stage.model("n")
    await ask(stage)
    reply = await ask(stage, **other)
    assert not reply.cached
    assert len(stage.calls) == 2


async def test_another_address_misses_and_a_message_id_does_not_matter(stage):
    stage.model("m")
    await ask(stage)
    there = stage.openai_url.replace("127.0.0.1", "localhost")
    assert not (await ask(stage, base_url=there)).cached
    named = [message.model_copy(update={"id": "x"}) for message in QUESTION]
    assert (await ask(stage, named)).cached


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (Line("half", finish="length"), None),
        (Line(None, refusal="I cannot."), None),
        (Line("", finish="content_filter"), None),
        (Line(""), None),
        (Line("broken \ufffd\ufffd"), None),
        (Line("the key is sk-abcdefghijklmnop"), None),
        (Line("a long enough answer to break"), Fault(kind="stop_early", after=2)),
        (Line("ok"), Fault(kind="status", code=500)),
    ],
)
async def test_what_is_no_whole_answer_is_never_kept(stage, line, fault):
    stage.model("m", reply=line, always=fault)
    for _ in range(2):
        try:
            reply = await ask(stage, retries=0)
        except ModelUnavailableError:
            continue
        assert not reply.cached
    assert len(stage.calls) == 2
    assert rows() == 0


async def test_a_cancelled_stream_is_never_kept(stage):
    stage.model("m", reply="one two three four five", latency=60, first_token=0.01)
    heard = asyncio.Event()
    asking = asyncio.create_task(ask(stage, on_text=lambda *_: heard.set()))
    await heard.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert rows() == 0


TAMPERING = {
    "the answer": 'UPDATE answers SET answer = \'{"text": "43"}\'',
    "its age": "UPDATE answers SET created = created + 30",
    "its model": "UPDATE answers SET model = 'openai/other'",
    "its checksum": "UPDATE answers SET seal = 'x'",
    "a type": "UPDATE answers SET answer = x'80049500'",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
    "a view": "CREATE VIEW v AS SELECT 1",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
async def test_a_tampered_cache_is_refused_with_a_word_and_the_model_asked(
    stage, caplog, statement
):
    stage.model("m", reply="42")
    await ask(stage)
    change(statement)
    with caplog.at_level(logging.WARNING):
        reply = await ask(stage)
    assert (reply.text, reply.cached, len(stage.calls)) == ("42", False, 2)
    assert "the model is asked" in caplog.text
    assert "mom cache clear" in caplog.text


async def test_what_version_0_1_sealed_with_a_key_is_used_and_the_key_goes(stage):
    stage.model("m", reply="42")
    await ask(stage)
    key = cache_dir() / "answers.key"
    key.write_bytes(b"k" * 32)
    change("UPDATE answers SET seal = 'made with the key'")
    assert (await ask(stage)).cached
    assert not key.exists()
    assert len(stage.calls) == 1


async def test_a_file_that_is_no_database_is_refused_not_executed(stage, caplog, tmp_path):
    stage.model("m", reply="42")
    await ask(stage)
    marker = tmp_path / "executed"
    code = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    pickled = b"cbuiltins\nexec\n(V" + code.encode() + b"\ntR."
    (cache_dir() / "answers.db").write_bytes(pickled)
    for _ in range(2):
        assert (await ask(stage)).text == "42"
    assert len(stage.calls) == 3
    assert not marker.exists()
    assert caplog.text.count("is damaged") == 1  # a word, once
    cache.clear()
    await ask(stage)
    assert (await ask(stage)).cached


async def test_a_locked_cache_costs_a_second_once_and_never_an_answer(stage, caplog, monkeypatch):
    monkeypatch.setattr("mom_council.models.cache._PATIENCE", 0.05)
    stage.model("m", reply="42")
    await ask(stage)
    held = sqlite3.connect(cache_dir() / "answers.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    try:
        assert (await ask(stage)).text == "42"
        assert (await ask(stage)).text == "42"
    finally:
        held.close()
    assert "locked" in caplog.text
    assert len(stage.calls) == 3


async def test_a_folder_that_cannot_be_used_costs_no_answer(stage, caplog, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "file"))
    stage.model("m", reply="42")
    assert (await ask(stage)).text == "42"
    assert "Not a directory" in caplog.text


async def test_the_question_and_the_key_are_not_in_the_file(stage, monkeypatch):
    monkeypatch.setenv("FAR_KEY", "far-key-0123456789")
    stage.model("m", reply="42")
    await ask(stage, api_key_env="FAR_KEY")
    assert stage.calls[0].key_sent == "far-key-0123456789"
    written = (cache_dir() / "answers.db").read_bytes()
    assert b"far-key" not in written
    assert b"6 x 7" not in written
    if os.name == "posix":
        assert (cache_dir() / "answers.db").stat().st_mode & 0o077 == 0


def test_the_oldest_make_room_and_what_is_too_big_is_not_kept(tmp_path):
    shelf = CacheFile(tmp_path / "cache")
    answer = json.dumps({"text": "x" * 50_000})
    for number in range(40):
        shelf.keep(f"r{number}", "m", answer, 60, 1)
    kept = [number for number in range(40) if shelf.find(f"r{number}", 60)]
    assert kept == list(range(kept[0], 40))  # the newest
    assert 10 < len(kept) < 21
    assert shelf.stats().bytes <= 1_000_000
    shelf.keep("big", "m", json.dumps({"text": "x" * 400_000}), 60, 1)
    assert shelf.find("big", 60) is None
    shelf.keep("late", "m", "{}", -1, 1)
    assert shelf.stats().expired == 1
    shelf.keep("next", "m", "{}", 60, 1)
    assert shelf.stats().expired == 0
    assert shelf.find("next", 60) == "{}"
    assert shelf.find("next", time.time() * -1) is None


async def test_characters_on_one_model_stay_several_samples_and_are_all_remembered(stage):
    answers = iter(range(100))
    stage.model("m", reply=lambda _: f"Answer: {next(answers)}")
    twin = {"model": "m", "personality": "A sampler."}
    graph = open_council(
        {
            "name": "samples",
            "models": {"m": {"provider": "openai", "model": "m", "base_url": stage.openai_url}},
            "characters": [{"name": name, **twin} for name in ("One", "Two", "Three")],
            "deliberation": {"method": "none"},
            "synthesizer": {"model": "m"},
            "thermal": None,
            "cache": {},
        }
    )
    question = {"messages": [("user", "Guess a number.")]}
    first = await graph.ainvoke(question)
    assert len(stage.calls) == 4
    prompts = [json.dumps(call.body["messages"]) for call in stage.calls[:3]]
    again = await graph.ainvoke(question)
    assert len(stage.calls) == 4
    assert again["messages"][-1].content == first["messages"][-1].content
    assert again["status"].usage.calls == 0
    assert again["status"].usage.usd is None  # no price is known: that is not free
    sampled = [call.body["messages"][-1]["content"] for call in stage.calls[3:]]
    assert all(f"Answer: {n}" in sampled[0] for n in range(3)), prompts
