"""Every field of a council changes behaviour: what is sent, what is told, or how a question ends.

`ROWS` says of each field what it changes, and shows it: two councils that differ in it alone are
asked the same, and what was sent (or the status, or the error) differs. The first council is asked
twice, so that a difference is the field's and not chance. `SHOWN_ELSEWHERE` names the test of
what needs hardware, another server or a clock. A field in neither fails.
"""

from __future__ import annotations

import ast
import copy
import json
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.errors import MixtureError
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import desk, seat, told, voice, written
from mom_council.tests.house.sources import ROOT
from mom_council.tests.stage import Fault, Stage

Aspect = Literal["requests", "status", "error"]
Fields = dict[str, Any]
QUESTION = "What is the best pet?"
TALK = [
    {"role": "user", "content": "Hello?"},
    {"role": "assistant", "content": "Good day."},
    {"role": "user", "content": QUESTION},
]
CALCULATOR = {"calculator": {"bundled": "calculator"}}


def two_of_three_are_down(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", always=Fault.status(401))
    stage.model("boris", always=Fault.status(401))


def ada_is_down(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", always=Fault.status(401))


def ada_fails_once(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply="A dog.", faults=[Fault.status(500)])


def ada_hangs(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", always=Fault.hang())


def ada_says_much(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply="word " * 60_000)


def all_agree(stage: Stage) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "The answer is 42."))


def nobody_agrees(stage: Stage) -> None:
    seat(stage, {"Ada": "The answer is 1.", "Boris": "The answer is 2.", "Clara": "It is 3."})


class Row(NamedTuple):
    """What a field changes."""

    changes: Aspect
    other: Fields
    """The fields of the second council, by their place in it."""
    base: Fields = {}
    """What both have beside the council of `desk`."""
    prepare: Callable[[Stage], None] = seat
    asked: Any = QUESTION
    times: int = 1
    """How often the question is put."""


NO_VOTE: Fields = {"deliberation.method": "none"}
TWO_ROUNDS: Fields = {"deliberation.rounds": {"min": 2, "max": 2}}
LAYERS: Fields = {"layers": [["Ada", "Boris"], ["Clara"]]}
PRICE = {"input": 1.0, "output": 2.0}
IMAGE = "/image a cat"

ROWS: dict[str, Row] = {
    "Council.name": Row("status", {"name": "other"}),
    "Council.models": Row("requests", {"models.ada.model": "pen"}),
    "Council.characters": Row("requests", {"characters.0.personality": "You sing."}),
    "Council.layers": Row("requests", LAYERS),
    "Council.annotator": Row("requests", {"annotator": {"model": "pen"}}),
    "Council.classifier": Row(
        "requests", {"classifier": {"model": "pen"}}, {"painter": {"model": "pen"}}
    ),
    "Council.deliberation": Row("requests", NO_VOTE),
    "Council.synthesizer": Row("requests", {"synthesizer.model": "ada"}),
    "Council.painter": Row("requests", {"painter": {"model": "pen"}}, asked=IMAGE),
    "Council.budget": Row("status", {"budget": {"calls": 4}}),
    "Council.cache": Row("requests", {"cache": {"ttl": 1000}}, times=2),
    "Council.tools": Row(
        "requests",
        {"tools.calculator.timeout": 5, "characters.0.tools": ["calculator"]},
        {"tools": CALCULATOR},
    ),
    "Council.prompts": Row("requests", {"prompts": "short"}),
    "Council.history": Row("requests", {"history": 0}, asked=TALK),
    "Council.seed": Row("requests", {"seed": 7}, NO_VOTE),
    "Model.provider": Row("requests", {"models.ada": "ollama"}),
    "Model.model": Row("requests", {"models.ada.model": "pen"}),
    "Model.base_url": Row("status", {"models.ada.base_url": "http://127.0.0.1:9/v1"}),
    "Model.api_key_env": Row("requests", {"models.ada.api_key_env": "ADA_KEY"}),
    "Model.timeout": Row(
        "status", {"models.ada.timeout": 1}, {"models.ada.timeout": 2}, prepare=ada_hangs
    ),
    "Model.retries": Row("requests", {"models.ada.retries": 1}, prepare=ada_fails_once),
    "Model.fallbacks": Row("requests", {"models.ada.fallbacks": ["clara"]}, prepare=ada_is_down),
    "Model.params": Row("requests", {"models.ada.params": {"top_p": 0.5}}),
    "Model.price": Row("status", {"models.ada.price": PRICE}),
    "Model.tools": Row(
        "requests",
        {"models.ada.tools": False},
        {"tools": CALCULATOR, "characters.0.tools": ["calculator"]},
    ),
    "Model.structured": Row("requests", {"models.ada.structured": "text"}),
    "Price.input": Row(
        "status", {"models.ada.price": {**PRICE, "input": 9.0}}, {"models.ada.price": PRICE}
    ),
    "Price.output": Row(
        "status", {"models.ada.price": {**PRICE, "output": 9.0}}, {"models.ada.price": PRICE}
    ),
    "Character.name": Row("status", {"characters.0.name": "Anna"}),
    "Character.model": Row("requests", {"characters.0.model": "pen"}),
    "Character.personality": Row("requests", {"characters.0.personality": "You sing."}),
    "Character.speaking_style": Row("requests", {"characters.0.speaking_style": "In rhymes."}),
    "Character.thought_process": Row("requests", {"characters.0.thought_process": "Backwards."}),
    "Character.interests": Row("requests", {"characters.0.interests": ["birds"]}),
    "Character.weight": Row("status", {"characters.0.weight": 5.0}),
    "Character.temperature": Row("requests", {"characters.0.temperature": 0.3}),
    "Character.votes": Row("requests", {"characters.0.votes": False}),
    "Character.tools": Row(
        "requests", {"characters.0.tools": ["calculator"]}, {"tools": CALCULATOR}
    ),
    "Annotator.model": Row("requests", {"annotator.model": "ada"}, {"annotator": {"model": "pen"}}),
    "Annotator.personality": Row(
        "requests", {"annotator.personality": "You are terse."}, {"annotator": {"model": "pen"}}
    ),
    "Classifier.model": Row(
        "requests", {"classifier": {"model": "pen"}}, {"painter": {"model": "pen"}}
    ),
    "Deliberation.method": Row("requests", {"deliberation.method": "borda"}),
    "Deliberation.rounds": Row("requests", TWO_ROUNDS),
    "Deliberation.threshold": Row(
        "requests",
        {"deliberation.threshold": 0.99},
        {"deliberation.rounds": {"min": 1, "max": 2}, "deliberation.threshold": 0.05},
        prepare=nobody_agrees,
    ),
    "Deliberation.quorum": Row(
        "status",
        {"deliberation.quorum": 0.5},
        {"models.ada.timeout": 2, "deliberation.grace": 0},
        prepare=ada_hangs,
    ),
    "Deliberation.minimum": Row(
        "error",
        {"deliberation.minimum": 2},
        {"deliberation.quorum": 0.0, "deliberation.grace": 0},
        prepare=two_of_three_are_down,
    ),
    "Deliberation.ballots": Row("requests", {"deliberation.ballots": "always"}, prepare=all_agree),
    "Deliberation.mode": Row("requests", {"deliberation.mode": "sequential"}),
    "Rounds.min": Row(
        "requests",
        TWO_ROUNDS,
        {"deliberation.rounds": {"min": 1, "max": 2}},
        prepare=all_agree,
    ),
    "Rounds.max": Row(
        "requests",
        {"deliberation.rounds": {"min": 1, "max": 2}, "deliberation.threshold": 0.99},
        {"deliberation.threshold": 0.99},
        prepare=nobody_agrees,
    ),
    "Deliberation.unsure": Row("status", {"deliberation.unsure": "decline"}, prepare=nobody_agrees),
    "Synthesizer.model": Row("requests", {"synthesizer.model": "ada"}),
    "Synthesizer.personality": Row("requests", {"synthesizer.personality": "You are a judge."}),
    "Synthesizer.shuffle": Row("requests", {"synthesizer.shuffle": False}, {"seed": 3, **NO_VOTE}),
    "Synthesizer.dropout": Row("requests", {"synthesizer.dropout": 0.9}, NO_VOTE),
    "Synthesizer.omit": Row("requests", {"synthesizer.omit": 0.9}, NO_VOTE),
    "Synthesizer.anonymous": Row("requests", {"synthesizer.anonymous": False}),
    "Synthesizer.compare": Row("requests", {"synthesizer.compare": "model"}),
    "Synthesizer.template": Row(
        "requests", {"synthesizer.template": "Question: {{ question }}\n{{ proposals }}"}
    ),
    "Synthesizer.tools": Row(
        "requests", {"synthesizer.tools": ["calculator"]}, {"tools": CALCULATOR}
    ),
    "Painter.model": Row(
        "requests", {"painter.model": "ada"}, {"painter": {"model": "pen"}}, asked=IMAGE
    ),
    "Painter.writer": Row(
        "requests", {"painter.writer": "ada"}, {"painter": {"model": "pen"}}, asked=IMAGE
    ),
    "Painter.size": Row(
        "requests", {"painter.size": "64x64"}, {"painter": {"model": "pen"}}, asked=IMAGE
    ),
    "Budget.calls": Row("status", {"budget": {"calls": 4}}),
    "Budget.tokens": Row("requests", {"budget": {"tokens": 50_000}}),
    "Cache.ttl": Row("requests", {"cache.ttl": 0.000_001}, {"cache": {"ttl": 1_000}}, times=2),
    "Cache.megabytes": Row(
        "requests",
        {"cache.megabytes": 100},
        {"cache": {"megabytes": 1}, **NO_VOTE},
        prepare=ada_says_much,
        times=2,
    ),
    "Tool.bundled": Row(
        "requests",
        {"tools": {"calculator": {"bundled": "clock"}}},
        {"tools": CALCULATOR, "characters.0.tools": ["calculator"]},
    ),
}

SHOWN_ELSEWHERE = {
    "Deliberation.cluster_open": "tests/nodes/test_equality_check.py::"
    "test_open_answers_that_say_the_same_count_as_one",
    "Synthesizer.reads": "tests/nodes/test_character.py::"
    "test_a_later_layer_and_the_writer_may_read_every_layer",
    "Synthesizer.after_tools": "tests/server/test_agents.py::"
    "test_a_council_may_want_to_speak_each_time",
    "Council.description": "tests/councils/test_every_field.py::test_a_description_is_listed",
    "Council.lanes": "tests/models/test_lanes.py::test_models_that_fit_together_are_asked_together",
    "Council.thermal": "tests/nodes/test_thermal_wait.py::"
    "test_with_a_watch_every_fan_out_takes_a_reading_or_says_once_that_it_cannot",
    "Council.pictures": "tests/nodes/test_image_reader.py::"
    "test_what_a_photograph_hides_reaches_neither_models_nor_the_thread",
    "Council.extensions": "tests/extensions/test_hooks.py::"
    "test_rules_reach_nodes_and_edges_and_the_run_goes_before_them",
    "Council.tracing": "tests/tracing/test_langsmith.py",
    "Council.prices": "tests/models/test_prices.py::"
    "test_the_voices_own_price_counts_before_the_table",
    "Model.first_token": "tests/models/test_speaking.py::test_a_slow_start_has_a_limit_of_its_own",
    "Model.breaker": "tests/models/test_breaker.py::"
    "test_an_open_breaker_sends_no_request_and_costs_no_call",
    "Model.lane": "tests/models/test_lanes.py",
    "Model.concurrency": "tests/models/test_lanes.py::"
    "test_a_lane_is_as_wide_as_its_narrowest_model_says",
    "Model.vision": "tests/models/test_eyes.py::"
    "test_what_the_council_says_stands_above_what_is_known",
    "Model.files": "tests/deliberation/test_attachments.py",
    "Model.context": "tests/models/test_context_window.py::"
    "test_what_the_council_says_of_a_window_is_not_asked",
    "BreakerRules.after": "tests/models/test_breaker.py::"
    "test_so_many_failures_in_a_row_open_it_and_it_says_which_and_until_when",
    "BreakerRules.pause": "tests/models/test_breaker.py::test_a_model_that_recovers_is_asked_again",
    "Price.picture": "tests/graph/test_budgets.py::"
    "test_pictures_and_their_further_tries_are_paid_for_or_not_asked",
    "LaneRules.concurrency": "tests/models/test_lanes.py",
    "LaneRules.fits": "tests/models/test_lanes.py::"
    "test_models_that_fit_together_are_asked_together",
    "LaneRules.order": "tests/councils/test_every_field.py::"
    "test_the_order_of_a_lane_is_planned_or_as_calls_come",
    "LaneRules.keep_alive": "tests/deliberation/test_hardware.py::"
    "test_every_call_keeps_its_model_loaded_and_asks_for_the_same_context",
    "LaneRules.rpm": "tests/models/test_rates.py::"
    "test_models_of_one_key_share_its_requests_a_minute",
    "LaneRules.tpm": "tests/models/test_rates.py::test_tokens_are_counted_as_the_answers_tell",
    "Character.vision": "tests/nodes/test_image_reader.py::"
    "test_a_character_may_be_spared_what_its_model_could_see",
    "Character.tool_calls": "tests/deliberation/test_asking_with_tools.py",
    "Synthesizer.tool_calls": "tests/deliberation/test_asking_with_tools.py",
    "Deliberation.grace": "tests/deliberation/test_race.py::test_a_race_ends_after_its_grace",
    "Deliberation.stop": "tests/graph/test_sparing.py::test_every_rule_stops_where_it_says",
    "Deliberation.sure": "tests/graph/test_sparing.py",
    "Deliberation.waves": "tests/graph/test_sparing.py::"
    "test_another_wave_is_asked_where_the_first_settled_nothing",
    "Deliberation.order": "tests/graph/test_sparing.py::test_the_cheapest_are_asked_first",
    "Deliberation.likeness": "tests/models/test_embeddings.py::"
    "test_likeness_by_vectors_joins_what_equal_words_would_not",
    "Likeness.model": "tests/models/test_embeddings.py",
    "Likeness.threshold": "tests/models/test_embeddings.py::"
    "test_likeness_by_vectors_joins_what_equal_words_would_not",
    "Deliberation.weights": "tests/graph/test_sparing.py::"
    "test_learned_weights_let_the_one_who_is_right_win",
    "Deliberation.topic": "tests/nodes/test_annotator.py::"
    "test_where_weights_are_learned_it_says_which_kind_of_question_it_is",
    "Deliberation.hears": "tests/nodes/test_character.py::"
    "test_a_later_layer_reads_who_sits_opposite_or_all_where_nobody_does",
    "Deliberation.cascade": "tests/graph/test_cascade.py::"
    "test_without_the_switch_every_layer_speaks",
    "Deliberation.escalation": "tests/graph/test_cascade.py::"
    "test_a_strong_one_that_decides_does_not_read_the_others",
    "Deliberation.depth": "tests/graph/test_depth.py::"
    "test_without_the_switch_depth_is_neither_asked_for_nor_heeded",
    "Deliberation.ask_doubtful": "tests/nodes/test_equality_check.py::"
    "test_it_is_off_unless_the_council_says_so",
    "PictureRules.fetch": "tests/nodes/test_image_reader.py::"
    "test_an_address_on_this_machine_is_never_fetched",
    "PictureRules.side": "tests/nodes/test_image_reader.py::"
    "test_what_a_photograph_hides_reaches_neither_models_nor_the_thread",
    **{
        f"Painter.{name}": "tests/nodes/test_painter.py::"
        "test_what_the_painters_section_and_params_say_is_sent"
        for name in ("steps", "guidance", "negative", "seed")
    },
    **{f"Thermal.{name}": "tests/models/test_thermal.py" for name in ("limit", "resume", "then")},
    "Thermal.poll": "tests/nodes/test_thermal_wait.py::test_a_question_waits_in_vain_once",
    "Thermal.max_wait": "tests/nodes/test_thermal_wait.py::test_a_question_waits_in_vain_once",
    "Budget.seconds": "tests/graph/test_budgets.py",
    "Budget.usd": "tests/deliberation/test_status.py::"
    "test_a_budget_of_dollars_without_a_price_is_refused_before_anybody_is_asked",
    "Budget.worst_price": "tests/deliberation/test_status.py::"
    "test_a_budget_of_dollars_without_a_price_is_refused_before_anybody_is_asked",
    "Tool.python": "tests/deliberation/test_asking_with_tools.py::"
    "test_code_that_nobody_allowed_is_refused_before_anything_is_asked",
    "Tool.mcp": "tests/models/tools/test_servers.py::test_a_server_over_http",
    "Tool.timeout": "tests/models/tools/test_tool_loop.py",
    "Tool.longest": "tests/models/tools/test_tool_loop.py::test_results_are_bounded_and_say_so",
    "Tool.approve": "tests/models/tools/test_tool_loop.py::"
    "test_what_needs_approval_is_done_changed_or_left_as_a_person_says",
    **{
        f"Server.{name}": "tests/models/tools/test_servers.py"
        for name in ("command", "url", "env", "key_env", "only")
    },
    "ExtensionEntry.use": "tests/extensions/test_hooks.py",
    "ExtensionEntry.settings": "tests/extensions/test_bundled.py",
    "ExtensionEntry.timeout": "tests/extensions/test_hooks.py",
    **{f"Tracing.{name}": "tests/tracing/leaks.py" for name in ("local", "langsmith", "content")},
}
"""The test of what is not asked here; where no single one is named, its file holds several."""


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_in(part)


def every_field() -> list[str]:
    """Every field of every section of a council."""
    sections: list[type[BaseModel]] = []
    waiting: list[type[BaseModel]] = [Council]
    while waiting:
        section = waiting.pop()
        if section not in sections:
            sections.append(section)
            for field in section.model_fields.values():
                waiting.extend(models_in(field.annotation))
    return [f"{one.__name__}.{name}" for one in sections for name in one.model_fields]


def with_fields(council: Fields, fields: Fields, stage: Stage) -> Fields:
    changed = copy.deepcopy(council)
    for place, value in fields.items():
        *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
        target: Any = changed
        for step in way:
            target = target[step]
        if value == "ollama":
            value = {**voice(stage, "ada"), "provider": "ollama", "base_url": stage.url}
        target[last] = value
    return changed


_CHANCE = re.compile(r"\b[0-9a-f]{12}\b|127\.0\.0\.1:\d+")
_TIMES = ("seconds", "usage", "writing")


async def observed(stage: Stage, row: Row, council: Fields) -> dict[Aspect, str]:
    """What a council does with a question, without what chance and the clock decide."""
    stage.clear()
    row.prepare(stage)
    messages = (
        row.asked if isinstance(row.asked, list) else [{"role": "user", "content": row.asked}]
    )
    error, status = "", None
    for _ in range(row.times):
        try:
            result = await compile_council(load_council(council)).ainvoke({"messages": messages})
            status = result["status"].model_dump(mode="json")
            usd = status["usage"]["usd"]
            status = {key: value for key, value in status.items() if key not in _TIMES}
            status["usd"] = usd
        except MixtureError as raised:
            error = f"{type(raised).__name__}: {raised}"
    requests = sorted(
        json.dumps([call.path, call.key_sent, call.body], sort_keys=True) for call in stage.calls
    )
    return {
        "requests": _CHANCE.sub("", "\n".join(requests)),
        "status": _CHANCE.sub("", json.dumps(status, sort_keys=True)),
        "error": _CHANCE.sub("", error),
    }


@pytest.mark.parametrize("field", ROWS)
async def test_a_field_changes_what_its_row_says(
    field: str, stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    row = ROWS[field]
    monkeypatch.setenv("ADA_KEY", "the-key-of-ada-0123456789")
    seen = []
    base = with_fields(written(stage), row.base, stage)
    for number, council in enumerate((base, base, with_fields(base, row.other, stage))):
        monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / f"{number}"))
        seen.append(await observed(stage, row, council))
    before, again, after = (one[row.changes] for one in seen)
    assert before == again, "what differs without a change proves nothing"
    assert before != after


def test_every_field_of_a_council_changes_something() -> None:
    fields = every_field()
    assert len(fields) > 130
    assert sorted(fields) == sorted([*ROWS, *SHOWN_ELSEWHERE])


@pytest.mark.parametrize("field", SHOWN_ELSEWHERE)
def test_what_is_shown_elsewhere_is_shown_there(field: str) -> None:
    file, _, test = SHOWN_ELSEWHERE[field].partition("::")
    text = (ROOT / file).read_text("utf-8")
    functions = {
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not test or test in functions
    assert re.search(rf"\b{field.partition('.')[2]}\b", text), "the file names the field"


async def test_the_order_of_a_lane_is_planned_or_as_calls_come(stage: Stage) -> None:
    seat(stage)
    plans = {}
    for order in ("planned", "arrival"):
        models = {
            name: {
                **voice(stage, name, lane="gpu"),
                "provider": "ollama",
                "base_url": stage.url,
            }
            for name in ("ada", "boris", "clara")
        }
        lanes = {"gpu": {"fits": 1, "order": order}}
        events = await told(
            desk(stage, models=models, lanes=lanes, deliberation={"method": "none"})
        )
        plans[order] = sum(event.kind == "planned" for event in events)
    assert plans["planned"] > plans["arrival"] == 0


def test_a_description_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from mom_council.cli.app import run

    with pytest.raises(SystemExit):
        run(["councils", "list"])
    assert load_council("demo").description in capsys.readouterr().out
