"""The chat page in each of its states."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from streamlit.testing.v1 import AppTest

from mom_council import paths
from mom_council.councils.loader import to_yaml
from mom_council.councils.schema import Council
from mom_council.graph.council import compile_council
from mom_council.models import thermal
from mom_council.models.thermal import HeatReading
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.page_store import PageStore
from mom_council.tests.graph.desk import desk, proposals, seat, voice
from mom_council.tests.stage import Fault, Stage
from mom_council.tests.ui.conftest import READER
from mom_council.ui import session
from mom_council.ui.council_panel import segments_of
from mom_council.ui.jobs import Job, Jobs

pytestmark = pytest.mark.slow

Chat = Callable[..., AppTest]
ASKED = [HumanMessage("What is the best pet?", id="q1")]


def begun(council: Council, thread: str = "t") -> Job:
    state = session.page_state()
    state.store.put(thread, reader=READER, title="What is the best pet?", council="")
    return state.jobs.ask(thread, council, ASKED)


def ended(job: Job) -> Job:
    deadline = time.monotonic() + 20
    while job.running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def told(page: AppTest) -> str:
    """Everything that the page says."""
    parts: list[Any] = [*page.markdown, *page.caption, *page.error, *page.info, *page.warning]
    parts += page.get("html")
    texts = [str(getattr(one, "value", None) or one.proto.body) for one in parts]
    return "\n".join([*texts, *(one.proto.json for one in page.get("bidi_component"))])


def test_the_empty_page_suggests_what_the_demo_can_answer(chat: Chat) -> None:
    page = chat("demo")
    assert not page.exception
    assert "What is 17 + 25?" in labels(page)
    assert page.chat_input[0].placeholder == "Ask demo"


def test_a_running_question_shows_its_cards_and_a_stop(chat: Chat, stage: Stage) -> None:
    seat(stage, latency=30)
    council = desk(stage)
    chat(council)
    job = begun(council)
    stage.wait_for(3, 60, started=True)
    page = chat(council, "t")
    assert not page.exception
    assert "Stop" in labels(page)
    assert page.chat_input[0].disabled
    assert all(name in told(page) for name in ("Ada", "Boris", "Clara"))
    page.button(key="stop-t").click().run()
    assert not page.exception
    assert job.state == "stopped"


def test_a_stopped_question_offers_to_go_on(chat: Chat, stage: Stage) -> None:
    seat(stage, latency=30)
    council = desk(stage)
    chat(council)
    begun(council)
    stage.wait_for(3, 60, started=True)
    session.page_state().jobs.stop("t")
    page = chat(council, "t")
    assert not page.exception
    assert "Resume" in labels(page)
    assert "stopped before it was answered" in told(page)


def test_a_picture_that_was_drawn_is_shown(chat: Chat, stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply="A red cat.")
    stage.model("brush")
    names = ("ada", "boris", "clara", "pen", "brush")
    models = {name: voice(stage, name) for name in names}
    council = desk(stage, models=models, painter={"model": "brush"})
    chat(council)
    state = session.page_state()
    state.store.put("t", reader=READER, title="A cat", council="")
    ended(state.jobs.ask("t", council, [HumanMessage("/image a cat", id="q1")]))
    page = chat(council, "t")
    assert not page.exception
    assert "A red cat." in told(page)
    [shown] = page.get("image")
    assert shown.proto.imgs[0].url
    assert shown.proto.imgs[0].alt == "A red cat."


def test_an_answer_stands_with_its_label_and_what_can_be_done(chat: Chat, stage: Stage) -> None:
    seat(stage)
    stage.model("boris", always=Fault.status(400, message="no such luck"))
    council = desk(stage, deliberation={"quorum": 0.5})
    chat(council)
    ended(begun(council))
    page = chat(council, "t")
    assert not page.exception
    assert "What the council says." in told(page)
    assert "1 of 3 did not answer: Boris failed" in told(page).replace("\\", "")
    assert {"Regenerate", "Branch"} <= set(labels(page))
    assert "Stop" not in labels(page)


def test_of_a_corrected_answer_only_the_correction_is_there_and_both_calls_are_counted(
    chat: Chat, stage: Stage
) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "It is 42."))
    stage.model("pen", reply=["It is 11.", "So it is 42."])
    council = desk(stage, deliberation={"method": "answers"})
    chat(council)
    job = begun(council)
    ended(job)
    page = chat(council, "t")
    assert not page.exception
    assert "So it is 42." in told(page)
    assert "It is 11." not in told(page)
    assert [one.node for one in segments_of(job.view())].count("synthesizer") == 2


def test_who_voted_with_the_others_is_named_also_where_all_of_the_vote_agrees(
    chat: Chat, stage: Stage
) -> None:
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 42", "Clara": "Answer: 41"}, likes="42")
    stage.model("pen", reply="Answer: 42")
    council = desk(stage, deliberation={"ballots": "always"})
    chat(council)
    job = begun(council)
    ended(job)
    assert job.view().status.verdict.share == 1
    page = chat(council, "t")
    assert "Clara proposed 41, then voted with the others" in told(page)
    assert "would say instead" not in " ".join(one.label for one in page.expander)


def test_a_failed_council_says_who_failed_and_why(chat: Chat, stage: Stage) -> None:
    seat(stage, always=Fault.status(400))
    council = desk(stage)
    chat(council)
    ended(begun(council))
    page = chat(council, "t")
    assert not page.exception
    assert "Ada" in page.error[0].value
    assert "Resume" in labels(page)


def test_a_hot_gpu_is_waited_for_with_a_countdown(
    chat: Chat, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    hot = [HeatReading(celsius=91, device="GPU 0", source="nvml")]
    monkeypatch.setattr(thermal.cool_down, "__kwdefaults__", {
        **thermal.cool_down.__kwdefaults__, "read": lambda: hot,
    })  # fmt: skip
    council = desk(stage, thermal={"limit": 75, "resume": 68, "poll": 1, "max_wait": 100})
    chat(council)
    job = begun(council)
    deadline = time.monotonic() + 10
    while job.view().heat is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    page = chat(council, "t")
    assert not page.exception
    progress = page.get("progress")[0].proto
    assert "91 °C" in progress.text
    assert "waiting until it is at 68 °C" in progress.text
    session.page_state().jobs.stop("t")


def test_a_machine_without_models_says_what_would_help(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    page = chat("")
    assert not page.exception
    assert "No models were found" in told(page)


def test_paid_models_take_the_place_of_local_ones_after_a_yes_of_this_session(
    chat: Chat, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_URL", f"{stage.url}/busy")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    monkeypatch.delenv("MOM_PAID", raising=False)
    page = chat("")
    assert not page.exception
    assert "does not answer, and asking gpt-" in told(page).replace("\\", "")
    assert "costs money" in told(page)
    assert not page.chat_input
    assert "--paid" not in told(page), "the page has a button for it"
    page.button(key="paid").click().run()
    assert not page.exception
    assert page.chat_input
    assert "This may cost money: gpt-" in told(page).replace("\\", "")
    assert "Ask the paid models in this session" not in labels(page)
    other = chat("")
    assert "Ask the paid models in this session" in labels(other), "each session says it itself"
    assert not stage.calls


def test_a_council_that_cannot_sit_is_said_and_the_page_stays(chat: Chat) -> None:
    page = chat("no-such-council")
    assert not page.exception
    assert "no-such-council" in page.error[0].value.replace("\\", "")


@pytest.mark.parametrize("thread", ["someone-elses", "nobodys", "../../etc"])
def test_what_is_not_yours_is_not_shown(chat: Chat, stage: Stage, thread: str) -> None:
    seat(stage)
    council = desk(stage)
    chat(council)
    ended(begun(council, "someone-elses"))
    page = chat(council, thread, reader="1" * session.LENGTH)
    assert not page.exception
    assert "What the council says." not in told(page)


def test_the_sidebar_moves_the_settings_of_the_run(chat: Chat, stage: Stage) -> None:
    seat(stage)
    council = desk(stage, deliberation={"rounds": {"min": 1, "max": 3}})
    page = chat(council)
    page.toggle(key="setting-desk/deep").set_value(False)
    page.slider(key="setting-desk/threshold").set_value(90)
    page.selectbox(key="setting-desk/method").set_value("borda").run()
    assert not page.exception
    settings = page.session_state["settings"]
    assert (settings.max_rounds, settings.threshold, settings.method) == (1, 0.9, "borda")
    assert settings.quorum is None
    assert settings.shuffle is None


def test_the_depth_beside_the_field_moves_the_rounds_and_a_slider_moves_it(
    chat: Chat, stage: Stage
) -> None:
    seat(stage)
    page = chat(desk(stage, deliberation={"rounds": {"min": 1, "max": 3}}))
    [depth] = page.segmented_control
    assert depth.value == "Full"
    for name, rounds in (("Quick", 1), ("Deep", 5), ("Full", None)):
        page.segmented_control[0].set_value(name).run()
        assert page.session_state["settings"].max_rounds == rounds
    [slider] = [one for one in page.slider if one.label == "Rounds at the most"]
    slider.set_value(7).run()
    assert page.segmented_control[0].value == "Deep"
    assert not page.exception


def test_the_empty_page_says_who_sits_and_what_a_question_takes(chat: Chat, stage: Stage) -> None:
    seat(stage)
    page = chat(desk(stage))
    assert "Each member answers on its own." in told(page)
    assert all(
        one in told(page) for one in ("Ada", "boris · at 127.0.0.1", "You think in pictures.")
    )
    assert "A question takes at most" in told(page)


def test_an_extension_is_switched_off_for_the_next_question(chat: Chat, stage: Stage) -> None:
    seat(stage)
    lacking = paths.data_dir() / "extensions" / "lacking"
    lacking.mkdir(parents=True)
    (lacking / "config.json").write_text('{"name": "Lacking", "requires": ["no-such-package"]}')
    (lacking / "extension.py").write_text("raise RuntimeError('its code is not run')")
    council = desk(stage, extensions=[{"use": "deep_thinking"}, {"use": "lacking"}])
    page = chat(council)
    assert not page.toggle, "the code of an extension waits until somebody trusts the council"
    page.button(key="trust").click().run()
    switches = {one.label.replace("\\", ""): one for one in page.toggle}
    assert switches["lacking"].disabled
    assert "no-such-package" in told(page).replace("\\", "")
    switches["deep_thinking"].set_value(False).run()
    assert not page.exception
    assert page.session_state["settings"].extensions_off == ("deep_thinking",)


def test_thumbs_stay_with_the_answer(chat: Chat, stage: Stage) -> None:
    seat(stage)
    council = desk(stage)
    chat(council)
    ended(begun(council))
    page = chat(council, "t")
    page.feedback[0].set_value(1).run()
    assert not page.exception
    assert list(session.page_state().store.thumbs("t").values()) == ["up"]


def _with_its_council(council: Council) -> Jobs:
    """The thread asks the council that it was begun with; gives the jobs."""
    state = session.page_state()
    state.store.put("t", reader=READER, title="What is the best pet?", council=to_yaml(council))
    return state.jobs


def test_a_regenerated_answer_keeps_the_former_one_with_what_was_asked_after_it(
    chat: Chat, stage: Stage
) -> None:
    seat(stage)
    stage.model("pen", reply=["First answer.", "Second answer.", "Of fish.", "Third answer."])
    council = desk(stage)
    chat(council)
    ended(begun(council))
    jobs = _with_its_council(council)

    def click(page: AppTest, label: str, place: int = -1) -> AppTest:
        [one.click for one in page.button if one.label == label][place]().run()
        assert not page.exception
        job = jobs.of("t")
        if job is not None:
            ended(job)
        page = chat(council, "t")
        assert not page.exception
        return page

    page = chat(council, "t")
    assert "Former answer" not in labels(page)
    page = click(page, "Regenerate")
    assert "Second answer." in told(page)
    assert ">2/2<" in told(page)
    page = click(page, "Former answer")
    assert ("First answer." in told(page), "Second answer." in told(page)) == (True, False)
    assert ">1/2<" in told(page)
    assert all(name in told(page) for name in ("Ada", "Boris", "Clara")), "with its debate"
    # What is asked now goes on from the answer that is shown.
    ended(jobs.ask("t", council, [HumanMessage("And fish?", id="q2")]))
    asked = str(stage.calls_to("ada")[-1].body)
    assert ("First answer." in asked, "Second answer." in asked) == (True, False)
    page = chat(council, "t")
    assert {"First answer.", "Of fish."} <= set(told(page).splitlines())
    page = click(page, "Next answer", 0)
    assert "Second answer." in told(page)
    assert "Of fish." not in told(page)
    page = click(page, "Former answer")
    assert {"First answer.", "Of fish."} <= set(told(page).splitlines())
    page = click(click(page, "Next answer", 0), "Regenerate")
    assert "Third answer." in told(page)
    assert ">3/3<" in told(page)


def test_an_answer_is_not_asked_again_while_the_next_question_runs(
    chat: Chat, stage: Stage
) -> None:
    seat(stage)
    council = desk(stage)
    chat(council)
    ended(begun(council))
    assert "Regenerate" in labels(chat(council, "t"))
    asked = len(stage.calls)
    seat(stage, latency=60)
    jobs = session.page_state().jobs
    jobs.ask("t", council, [HumanMessage("And fish?", id="q2")])
    page = chat(council, "t")
    stage.wait_for(asked + 3, 60, started=True)
    assert "Regenerate" not in labels(page)
    assert "Regenerate" not in labels(chat(council, "t"))
    jobs.stop("t")


LIST = "All say: a pet.\nOnly one says (proposal {}): of fish."


def test_a_model_compares_the_answers_by_a_click_and_it_is_stored(chat: Chat, stage: Stage) -> None:
    seat(stage, {"Ada": "A pet, of fish.", "Boris": "A pet.", "Clara": "A pet."})
    council = desk(stage)
    chat(council)
    ended(begun(council))
    page = chat(council, "t")
    [offer] = [one for one in page.button if one.label == "Have a model compare the answers"]
    assert offer.help == "One call of pen. What it costs is not known here: no prices are set."
    asked = len(stage.calls_to("pen"))
    stage.model("pen", always=Fault.status(400, message="no such luck"))
    _clicked(page, offer)
    assert "no such luck" in told(page.run())
    offer = page.button(key=offer.key)

    def compare(body: dict[str, Any]) -> str:
        return LIST.format(proposals(body).index("A pet, of fish.") + 1)

    stage.model("pen", reply=compare)
    _clicked(page, offer)
    page = chat(council, "t")
    assert not page.exception
    assert "Only one says (Ada): of fish." in told(page)
    assert "Have a model compare the answers" not in labels(page)
    assert "What the council says." in told(page)
    assert len(stage.calls_to("pen")) == asked + 2


def test_a_comparison_of_the_graph_is_shown_without_a_click(chat: Chat, stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply=["All say: a pet.", "Get a cat."])
    council = desk(stage, synthesizer={"model": "pen", "compare": "model"})
    chat(council)
    job = ended(begun(council))
    page = chat(council, "t")
    assert not page.exception
    assert "All say: a pet." in told(page)
    assert "Have a model compare the answers" not in labels(page)
    assert [one.node for one in segments_of(job.view())][-2:] == ["comparison", "synthesizer"]


def _clicked(page: AppTest, button: Any) -> None:
    """Click, and wait until the call that it begins has ended."""
    button.click().run()
    assert not page.exception
    page.session_state[button.key.removeprefix("ask-")].future.exception(20)


def test_a_stopped_repetition_leaves_the_former_answer_in_reach(chat: Chat, stage: Stage) -> None:
    seat(stage)
    council = desk(stage)
    chat(council)
    ended(begun(council))
    jobs = _with_its_council(council)
    page = chat(council, "t")
    asked = len(stage.calls)
    seat(stage, latency=60)
    [again] = [one for one in page.button if one.label == "Regenerate"]
    again.click().run()
    stage.wait_for(asked + 3, 60, started=True)
    jobs.stop("t")
    page = chat(council, "t")
    assert ">2/2<" in told(page)
    [former] = [one for one in page.button if one.label == "Former answer"]
    former.click().run()
    page = chat(council, "t")
    assert not page.exception
    assert "What the council says." in told(page)
    assert "Resume" not in labels(page)
    assert "Former answer" not in labels(page)


async def _talk_in(thread: str, council: Council) -> None:
    async with open_checkpointer() as saver:
        graph = compile_council(council, saver)
        question = {"messages": [{"role": "user", "content": "Which pet?"}]}
        await graph.ainvoke(question, {"configurable": {"thread_id": thread}})


def test_a_thread_whose_values_are_damaged_is_told_in_one_line(stage: Stage, chat: Chat) -> None:
    seat(stage)
    council = desk(stage)
    asyncio.run(_talk_in("hurt", council))
    PageStore().put("hurt", reader=READER, title="Which pet?", council="")
    with closing(sqlite3.connect(paths.state_db())) as db, db:
        db.execute("UPDATE checkpoints SET checkpoint = substr(checkpoint, 1, 20)")
    page = chat(council, thread="hurt")
    assert not page.exception
    [error] = page.error
    assert "hurt" in error.value
    assert "mom storage check" in error.value
