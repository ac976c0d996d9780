"""Real weights of Hugging Face's kind, tiny and random, made here."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Model
from mom_council.errors import CouncilError, ModelUnavailableError
from mom_council.graph.council import compile_council
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.tests.graph.desk import desk, proposals, question, seat, voice
from mom_council.tests.stage import Stage

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # what these libraries warn of is not ours
]
ASKED = [SystemMessage("You are brief."), HumanMessage("Why is the sky blue?")]
GREEDY = {"temperature": 0, "max_new_tokens": 24}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models."""
    from mom_council.tests.models.random_weights import make_model

    made = (make_model(tmp_path_factory.mktemp(f"m{seed}"), seed=seed) for seed in (1, 2))
    return tuple(made)  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _freed_in_the_end() -> Iterator[None]:
    from mom_council.models.providers.model_pool import MODEL_POOL

    yield
    MODEL_POOL.clear()


def local(folder: Path | str, **params: Any) -> dict[str, Any]:
    return {"provider": "huggingface", "model": str(folder), "params": params, "retries": 0}


async def ask(
    folder: Path, messages: Any = ASKED, *, context: int | None = None, **params: Any
) -> tuple[Reply, list[str]]:
    """An answer, and the pieces it was told in."""
    spec = {**local(folder, **params), "context": context}
    council = load_council(
        {
            "name": "x",
            "models": {"m": spec},
            "characters": [{"name": "Ada", "model": "m"}],
            "synthesizer": {"model": "m"},
        }
    )
    pieces: list[str] = []
    reply = await speak(
        resolve_model(council, "m"), messages, on_text=lambda piece, _: pieces.append(piece)
    )
    return reply, pieces


def chat(folder: Path, **params: Any) -> Any:
    from mom_council.models.clients import LoopResources
    from mom_council.models.providers import Opening
    from mom_council.models.providers.huggingface import open_chat

    spec = Model(provider="huggingface", model=str(folder))
    return open_chat(Opening(spec, None, None, params, LoopResources()))


async def test_an_answer_streams_and_its_tokens_are_counted(folders: tuple[Path, Path]) -> None:
    reply, pieces = await ask(folders[0], **GREEDY)
    assert len(pieces) > 1
    assert "".join(pieces).strip() == reply.text.strip()
    assert reply.finish == "length"
    assert reply.usage.output_tokens == 24
    prompt = (
        "<|im_start|>system\nYou are brief.<|im_end|>\n<|im_start|>user\nWhy is the sky blue?"
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    tokens = prompt.replace("<|im_start|>", "S").replace("<|im_end|>", "E")  # one a mark
    assert reply.usage.input_tokens == len(tokens)
    assert reply.notes == ()


async def test_settings_do_what_they_are_called(folders: tuple[Path, Path]) -> None:
    folder = folders[0]
    plain, _ = await ask(folder, **GREEDY)
    assert (await ask(folder, **GREEDY))[0].text == plain.text
    likeliest, _ = await ask(folder, do_sample=True, top_k=1, max_new_tokens=24)
    assert likeliest.text == plain.text
    hot = {"temperature": 1.5, "max_new_tokens": 24}
    first, again, other = [(await ask(folder, **hot, seed=seed))[0].text for seed in (1, 1, 2)]
    assert first == again != other
    narrow, _ = await ask(folder, **hot, seed=1, top_p=0.0001)
    assert narrow.text == plain.text
    short, _ = await ask(folder, **{**GREEDY, "max_new_tokens": 3})
    assert short.usage.output_tokens == 3
    assert (await ask(folder, temperature=0, max_tokens=3))[0].text == short.text


async def test_an_answer_ends_before_the_text_that_is_to_end_it(
    folders: tuple[Path, Path],
) -> None:
    whole, _ = await ask(folders[0], **GREEDY)
    end = whole.text[6:9]
    pieces = [
        str(chunk.content)
        async for chunk in chat(folders[0], **GREEDY).astream(ASKED, stop=[end, "never"])
    ]
    assert "".join(pieces) == whole.text[: whole.text.index(end)]
    several = chat(folders[0], **GREEDY, num_beams=2).invoke(ASKED, stop=[end])
    assert end not in several.text


async def test_no_pair_of_tokens_comes_twice_where_that_is_forbidden(
    folders: tuple[Path, Path],
) -> None:
    from mom_council.tests.models.random_weights import tokenizer

    words = tokenizer()

    def twice(text: str) -> bool:
        ids = words(text, add_special_tokens=False)["input_ids"]
        pairs = list(itertools.pairwise(ids))
        return len(set(pairs)) < len(pairs)

    long = {**GREEDY, "max_new_tokens": 120}
    free = [await ask(folder, **long) for folder in folders]
    bound = [await ask(folder, **long, no_repeat_ngram_size=2) for folder in folders]
    assert any(twice(reply.text) for reply, _ in free)
    assert not any(twice(reply.text) for reply, _ in bound)
    assert [r.text for r, _ in free] != [r.text for r, _ in bound]


async def test_beams_and_several_answers_give_one_whole_answer(folders: tuple[Path, Path]) -> None:
    beams = {**GREEDY, "num_beams": 4, "num_return_sequences": 2, "early_stopping": True}
    reply, pieces = await ask(folders[0], **beams)
    first, *rest = [*pieces, ""]
    assert reply.text.startswith(first.strip())
    assert len("".join(rest)) <= 2, "letters at the end that may begin a key come at the end"
    assert reply.usage.output_tokens == 48
    hot = {"do_sample": True, "temperature": 2.0, "max_new_tokens": 8, "seed": 3}
    several, _ = await ask(folders[0], **hot, num_return_sequences=6)
    assert several.usage.output_tokens == 48
    assert _chance(folders[0], several.text) >= _chance(
        folders[0], (await ask(folders[0], **hot))[0].text
    )


def _chance(folder: Path, text: str) -> float:
    """How likely the model itself holds an answer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    turns = [{"role": m.type.replace("human", "user"), "content": m.content} for m in ASKED]
    head = words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    before = words(head, add_special_tokens=False)["input_ids"]
    said = words(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([before + said])).logits[0, len(before) - 1 : -1]
    chances = torch.log_softmax(logits, -1)
    return float(chances.gather(1, torch.tensor(said)[:, None]).mean())


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"temprature": 1}, "params.temprature: is nothing that huggingface takes"),
        ({"num_beams": 0}, "params.num_beams"),
        ({"num_beams": 2, "num_return_sequences": 3}, "make it at most num_beams"),
        ({"chat_template": "no/such.jinja"}, "No such file"),
        ({"dtype": "float17"}, "float17"),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    folders: tuple[Path, Path], params: dict[str, Any], says: str
) -> None:
    with pytest.raises((CouncilError, ModelUnavailableError), match=says):
        await ask(folders[0], **params)


async def test_what_is_not_here_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="hf download somebody/not-here"):
        await ask(Path("somebody/not-here"))
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'x'\ntR.")
    with pytest.raises(CouncilError, match="can run code"):
        await ask(tmp_path)


def test_a_template_that_refuses_a_system_message_is_given_none() -> None:
    from mom_council.models.providers.generation import render
    from mom_council.tests.models.random_weights import CHATML, DEAF, STRICT, tokenizer

    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "system", "content": "In verse."},
    ]
    together = "Be brief.\n\nWhy?\n\nIn verse."
    assert render(tokenizer(STRICT), turns, None, fold=None) == f"<user>{together}<assistant>"
    assert render(tokenizer(DEAF), turns, None, fold=None) == f"<user>{together}"
    assert "<|im_start|>system\nIn verse." in render(tokenizer(CHATML), turns, None, fold=None)
    assert "system" not in render(tokenizer(CHATML), turns, None, fold=True)
    assert render(tokenizer(None), turns, STRICT, fold=None) == f"<user>{together}<assistant>"
    with pytest.raises(CouncilError, match="System role not supported"):
        render(tokenizer(STRICT), turns, None, fold=False)
    with pytest.raises(CouncilError, match="has no chat template"):
        render(tokenizer(None), turns, None, fold=None)


def test_a_conversation_that_an_assistant_begins_takes_turns_all_the_same() -> None:
    from mom_council.models.providers.generation import render
    from mom_council.tests.models.random_weights import STRICT, tokenizer

    turns = [
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
        {"role": "user", "content": "Now!"},
    ]
    text = render(tokenizer(STRICT), turns, None, fold=None)
    assert text.endswith("<assistant>Hello.<user>Why?\n\nNow!<assistant>")


def test_a_template_runs_in_a_sandbox() -> None:
    from mom_council.models.providers.generation import render
    from mom_council.tests.models.random_weights import tokenizer

    hostile = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(CouncilError, match="chat template"):
        render(tokenizer(), [{"role": "user", "content": "Why?"}], hostile, fold=None)


async def test_a_template_of_ones_own_may_lie_in_a_file(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    (tmp_path / "t.jinja").write_text(template)
    for written in (template, str(tmp_path / "t.jinja")):
        reply, _ = await ask(folders[0], **GREEDY, chat_template=written)
        assert reply.usage.input_tokens == len("[You are brief.][Why is the sky blue?]")


async def test_a_prompt_that_is_too_long_loses_its_middle_and_that_is_said(
    folders: tuple[Path, Path], stage: Stage
) -> None:
    from mom_council.models.providers.generation import fitted
    from mom_council.tests.models.random_weights import tokenizer

    long = "Why is the sky blue? " + "blah " * 400 + "Answer in one word."
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": long}]
    words = tokenizer()
    ids, whole = fitted(words, turns, 200, None, fold=None)
    text = words.decode(ids)
    assert len(ids) <= 200 < whole
    assert "Why is the sky blue?" in text
    assert "Answer in one word.<|im_end|>" in text
    assert text.endswith("<|im_start|>assistant\n")
    reply, _ = await ask(folders[0], [HumanMessage(long)], context=256, **GREEDY)
    assert reply.usage.input_tokens is not None
    assert reply.usage.input_tokens <= 256 - 24
    assert "was left out" in reply.notes[0].text
    seat(stage, ["Ada"])
    models = {"ada": {**local(folders[0], **GREEDY), "context": 256}, "pen": voice(stage, "pen")}
    council = desk(stage, ["Ada"], models=models)
    status = (await compile_council(council).ainvoke(question(long)))["status"]  # type: ignore[arg-type]
    assert any("was left out" in note for note in status.notes)


async def test_who_leaves_stops_the_writing(folders: tuple[Path, Path]) -> None:
    from mom_council.models.providers.model_pool import MODEL_POOL

    one, left = chat(folders[0], temperature=0, max_new_tokens=500), threading.Event()
    told: list[str] = []

    def tell(piece: str) -> None:
        told.append(piece)
        left.set()

    turns = [{"role": "user", "content": "Why?"}]
    written = await asyncio.to_thread(one._write, turns, (), tell, left)
    assert written.wrote < 50
    stream = one.astream(ASKED)
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(60):
        assert (await ask(folders[0], **{**GREEDY, "max_new_tokens": 2}))[0].text is not None
    assert len(MODEL_POOL.loaded()) == 1


async def test_two_voices_with_settings_of_their_own_share_the_weights(
    folders: tuple[Path, Path], stage: Stage
) -> None:
    from mom_council.models.providers.model_pool import MODEL_POOL

    models = {
        "first": local(folders[0], temperature=0, max_new_tokens=4),
        "second": local(folders[0], num_beams=3, max_new_tokens=9),
        "pen": voice(stage, "pen"),
    }
    people = [{"name": "Ada", "model": "first"}, {"name": "Boris", "model": "second"}]
    stage.model("pen", reply="So.")
    council = desk(
        stage,
        models=models,
        characters=people,
        layers=[["Ada"], ["Boris"]],
        deliberation={"method": "none"},
    )
    result = await compile_council(council).ainvoke(question())  # type: ignore[arg-type]
    assert result["status"].spoke == ("Ada", "Boris")
    assert len(MODEL_POOL.loaded()) == 1
    assert len(proposals(stage.calls_to("pen")[0].body)) == 1


async def test_a_layers_weights_are_freed_when_the_nexts_do_not_fit(
    folders: tuple[Path, Path], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mom_council.models.providers.model_pool import MODEL_POOL, weights_in

    size = sum(file.stat().st_size for file in weights_in(folders[0]))
    memory = size * 1.5  # of one model and a half
    monkeypatch.setattr(MODEL_POOL, "_free", lambda _: int(memory) - MODEL_POOL.size)
    models = {
        "one": local(folders[0], **GREEDY),
        "two": local(folders[1], **GREEDY),
        "pen": voice(stage, "pen"),
    }
    stage.model("pen", reply="So.")
    await ask(folders[0], **GREEDY)
    [key] = MODEL_POOL.loaded()
    with MODEL_POOL.lend(key, list, size=0, device="cpu") as held:
        first = weakref.ref(held.model)
    del held
    people = [{"name": "Ada", "model": "one"}, {"name": "Boris", "model": "two"}]
    rules = {"method": "none"}
    council = desk(
        stage, models=models, characters=people, layers=[["Ada"], ["Boris"]], deliberation=rules
    )
    await compile_council(council).ainvoke(question())  # type: ignore[arg-type]
    [left] = MODEL_POOL.loaded()
    assert str(folders[1]) in left
    gc.collect()
    assert first() is None


async def test_what_is_loaded_goes_before_what_would_have_to_be_loaded() -> None:
    from mom_council.models.providers.model_pool import ModelThread

    order: list[str] = []
    here = {"a"}
    bench = ModelThread(lambda: here)
    gate = threading.Event()
    begin = bench.submit("a", gate.wait)

    def work(name: str) -> None:
        here.clear()
        here.add(name)
        order.append(name)

    jobs = [bench.submit(name, lambda name=name: work(name)) for name in "babab"]
    jobs[0].cancel()
    gate.set()
    await asyncio.wrap_future(begin)
    for job in jobs[1:]:
        await asyncio.wrap_future(job)
    assert order == ["a", "a", "b", "b"]
