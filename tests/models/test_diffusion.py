"""A real diffusers pipeline, tiny and random, made here: what it draws, tells, keeps and frees."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mom_council.deliberation.events import Painted, read_event
from mom_council.graph.council import compile_council
from mom_council.models.images import pictures_in
from mom_council.tests.graph.desk import desk, question, seat, voice
from mom_council.tests.stage import Stage

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # what these libraries warn of is not ours
]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion of 0.1 million random parameters, in the folder layout of the real one."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel({"<end>": 0, "a": 1, "cat": 2, "red": 3}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<end>",
        pad_token="<end>",
        eos_token="<end>",
        bos_token="<end>",
        model_max_length=16,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=8,
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=1,
            num_attention_heads=4,
            max_position_embeddings=16,
            eos_token_id=0,
            bos_token_id=0,
            pad_token_id=0,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=2,
    )
    vae = AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=2,
    )
    made = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path_factory.mktemp("diffusion")
    made.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _freed_in_the_end() -> Iterator[None]:
    from mom_council.models.providers.model_pool import MODEL_POOL

    yield
    MODEL_POOL.clear()


def studio(stage: Stage, folder: Path | str, **changes: Any) -> Any:
    seat(stage, ["Ada"])
    stage.model("pen", reply="a red cat")
    brush = {"provider": "diffusers", "model": str(folder), **changes.pop("brush", {})}
    models = {"ada": voice(stage, "ada"), "pen": voice(stage, "pen"), "brush": brush}
    rules = {"model": "brush", "size": "64x64", **changes.pop("painter", {})}
    return desk(stage, ["Ada"], models=models, painter=rules, **changes)


async def paints(council: Any) -> tuple[dict[str, Any], list[Painted]]:
    """The answer, and how the drawing was told."""
    events, values = [], {}
    stream = compile_council(council).astream(
        question("/image a cat"), stream_mode=["custom", "values"]
    )
    async for mode, part in stream:
        if mode == "values":
            values = part
        elif isinstance(event := read_event(part), Painted):
            events.append(event)
    return values, events


async def test_four_steps_without_guidance_are_drawn_told_and_kept(
    stage: Stage, pipeline: Path
) -> None:
    values, told = await paints(studio(stage, pipeline))
    assert [(event.step, event.steps) for event in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    [(file, about)] = pictures_in(values["messages"][-1].content)
    with Image.open(file) as drawn:
        assert (drawn.size, drawn.format) == ((64, 64), "PNG")
    assert about["prompt"] == "a red cat"
    assert 0 <= about["seed"] < 2**32
    assert not values["status"].degraded


async def test_the_same_seed_draws_the_same_and_the_pipeline_is_loaded_once(
    stage: Stage, pipeline: Path
) -> None:
    from mom_council.models.providers.model_pool import MODEL_POOL

    pictures = []
    for seed in (7, 7, 8):
        values, _ = await paints(studio(stage, pipeline, painter={"seed": seed}))
        [(file, about)] = pictures_in(values["messages"][-1].content)
        assert about["seed"] == seed
        pictures.append(file.read_bytes())
        [key] = MODEL_POOL.loaded()
        with MODEL_POOL.lend(key, _never, size=0, device="cpu") as loaded:
            pictures.append(id(loaded))
    assert pictures[0] == pictures[2] != pictures[4]
    assert pictures[1] == pictures[3] == pictures[5]


async def test_the_pipelines_own_scheduler_has_its_own_steps_and_guidance(
    stage: Stage, pipeline: Path
) -> None:
    council = studio(
        stage, pipeline, brush={"params": {"scheduler": "own"}}, painter={"guidance": 5, "steps": 3}
    )
    values, told = await paints(council)
    assert [event.steps for event in told] == [3, 3, 3]
    assert pictures_in(values["messages"][-1].content)


async def test_a_drawing_that_nobody_waits_for_stops_at_its_next_step(
    stage: Stage, pipeline: Path
) -> None:
    from mom_council.councils.schema import Model
    from mom_council.models.clients import loop_resources
    from mom_council.models.prices import Meter
    from mom_council.models.providers import Drawing, ImageOrder, Opening
    from mom_council.models.providers.diffusers import draw

    spec = Model(provider="diffusers", model=str(pipeline))
    opening = Opening(spec, None, None, {}, await loop_resources())
    steps: list[int] = []
    begun = asyncio.Event()

    def stepped(step: int, _: int) -> None:
        steps.append(step)
        begun.set()

    order = ImageOrder("a cat", size=(64, 64), steps=50, seed=1)
    drawing = asyncio.create_task(draw(Drawing(opening, order, Meter(None), stepped)))
    async with asyncio.timeout(60):
        await begun.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    # The one pen is free again: the next is drawn at once.
    again = await draw(
        Drawing(opening, ImageOrder("a cat", size=(64, 64), seed=1), Meter(None), lambda *_: None)
    )
    with Image.open(io.BytesIO(again.content)) as drawn:
        assert drawn.size == (64, 64)
    assert len(steps) < 50


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"painter": {"size": "65x64"}}, "multiples of 8"),
        ({"brush": {"params": {"temperature": 1}}}, "takes no"),
        ({"brush": {"params": {"dtype": "float17"}}}, "float17"),
        ({"brush": {"model": "somebody/not-here"}}, "hf download somebody/not-here"),
        ({"brush": {"model": "/no/such/folder"}}, "is no folder here"),
    ],
)
async def test_a_pipeline_that_cannot_draw_says_why_and_what_to_do(
    stage: Stage, pipeline: Path, changes: dict[str, Any], says: str
) -> None:
    values, _ = await paints(studio(stage, pipeline, **changes))
    assert says in values["messages"][-1].text
    assert values["status"].degraded


async def test_pickled_weights_are_not_opened(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'x'\ntR.")
    values, _ = await paints(studio(stage, tmp_path))
    assert "can run code" in values["messages"][-1].text


def _never() -> Any:
    raise AssertionError("it was loaded again")


@pytest.fixture(scope="session")
def lora(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA for that pipeline's UNet, as `load_lora_weights` reads it."""
    import torch
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(1)
    made = StableDiffusionPipeline.from_pretrained(str(pipeline))
    rules = LoraConfig(r=2, lora_alpha=64, target_modules=["to_q", "to_v"], init_lora_weights=False)
    made.unet.add_adapter(rules)
    folder = tmp_path_factory.mktemp("lora")
    layers = get_peft_model_state_dict(made.unet)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder


async def test_a_lora_changes_what_is_drawn_and_a_pickled_one_is_not_opened(
    stage: Stage, pipeline: Path, lora: Path, tmp_path: Path
) -> None:
    drawn = []
    for params in ({}, {"lora": str(lora)}, {"lora": str(lora), "lora_scale": 0}, {}):
        council = studio(stage, pipeline, brush={"params": params}, painter={"seed": 7})
        values, _ = await paints(council)
        [(file, _)] = pictures_in(values["messages"][-1].content)
        drawn.append(Path(file).read_bytes())
    plain, adapted, without, again = drawn
    assert adapted != plain
    assert without == plain == again, "a LoRA of another council does not stay in the weights"
    (tmp_path / "lora.bin").write_bytes(b"x")
    council = studio(stage, pipeline, brush={"params": {"lora": str(tmp_path / "lora.bin")}})
    values, _ = await paints(council)
    assert ".safetensors" in values["messages"][-1].text
