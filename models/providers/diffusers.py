"""Pictures drawn on this machine, by a diffusers pipeline.

The pipeline is loaded once for the process (see `model_pool`) and draws on a thread of its own, one
picture at a time. Made for Stable Diffusion 1.5 with a latent consistency model: four steps without
guidance, seconds on a small GPU. Its weights are read from .safetensors files alone, and it is
never downloaded (see `model_pool`).
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mom_council.errors import CouncilError, ModelUnavailableError
from mom_council.models.providers import Drawing, DrawnPicture, ImageOrder
from mom_council.models.providers.model_pool import MODEL_POOL, best_device, folder_of, weights_in

if TYPE_CHECKING:
    from mom_council.councils.schema import Model


LCM_STEPS = 4
LCM_GUIDANCE = 0.0
OWN_STEPS = 25
OWN_GUIDANCE = 7.5
SIDE = 512
"""Pixels: what Stable Diffusion 1.5 was trained on."""
_PARAMS = frozenset({"scheduler", "dtype", "device", "lora", "lora_scale"})
_pen = ThreadPoolExecutor(1, thread_name_prefix="painter")


class _StoppedError(Exception):
    """Nobody waits for the picture any more."""


async def draw(drawing: Drawing) -> DrawnPicture:
    """Draw on this machine; `drawing.on_step` is called on the loop as it goes.

    Whoever stops waiting stops the drawing at its next step.

    Raises:
        CouncilError: the pipeline cannot be opened as it is written.
        ModelUnavailableError: it is not here, or does not fit, or fails.
    """
    loop = asyncio.get_running_loop()
    stop = threading.Event()
    # What listens may be known by the context alone, which a thread of the pool has not.
    context = contextvars.copy_context()

    def stepped(step: int, steps: int) -> None:
        if stop.is_set():
            raise _StoppedError
        loop.call_soon_threadsafe(drawing.on_step, step, steps, context=context)

    try:
        return await loop.run_in_executor(_pen, _draw, drawing.opening.spec, drawing.order, stepped)
    finally:
        stop.set()


def _draw(spec: Model, order: ImageOrder, stepped: Callable[[int, int], None]) -> DrawnPicture:
    import torch

    if unknown := sorted(set(spec.params) - _PARAMS):
        raise CouncilError(f"diffusers takes no {unknown} in `params`; it takes {sorted(_PARAMS)}")
    own = spec.params.get("scheduler", "lcm") == "own"
    width, height = order.size or (SIDE, SIDE)
    if width % 8 or height % 8:
        raise CouncilError(f"painter.size is {width}x{height}", cure="both must be multiples of 8")
    steps = order.steps or (OWN_STEPS if own else LCM_STEPS)
    fallback = OWN_GUIDANCE if own else LCM_GUIDANCE
    guidance = fallback if order.guidance is None else order.guidance
    seed = secrets.randbelow(2**32) if order.seed is None else order.seed
    folder = folder_of(spec.model)
    device = best_device(spec.params.get("device"))
    dtype = str(spec.params.get("dtype") or ("float32" if device == "cpu" else "float16"))
    lora = _lora_of(spec)
    size = sum(file.stat().st_size for file in weights_in(folder))
    try:
        with MODEL_POOL.lend(
            ("diffusers", str(folder), own, device, dtype, lora),
            lambda: _load(folder, own=own, device=device, dtype=dtype, lora=lora),
            size=size,
            device=device,
        ) as pipeline:
            drawn = pipeline(
                order.prompt,
                negative_prompt=order.negative or None,
                width=width,
                height=height,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator("cpu").manual_seed(seed),
                callback_on_step_end=_step_by_step(stepped, steps),
            )
    except (_StoppedError, CouncilError):
        raise
    except torch.OutOfMemoryError:
        raise ModelUnavailableError(
            f"the pipeline {spec.model!r} does not fit into the memory of {device!r}",
            cure="choose a smaller `painter.size`, or `params: {device: cpu}`",
        ) from None
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        raise ModelUnavailableError(
            f"the pipeline {spec.model!r} failed: {type(error).__name__}: {line}"
        ) from error
    out = io.BytesIO()
    drawn.images[0].save(out, "PNG")
    flagged = getattr(drawn, "nsfw_content_detected", None) or [False]
    return DrawnPicture(out.getvalue(), seed, filtered=bool(flagged[0]))


def _step_by_step(stepped: Callable[[int, int], None], steps: int) -> Callable[..., Any]:
    def report(_: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
        stepped(step + 1, steps)
        return values

    return report


def _lora_of(spec: Model) -> tuple[Path, float] | None:
    """The file of the LoRA that `params` name, and how strong it is; None where they name none.

    Raises:
        CouncilError: its strength is no number.
        ModelUnavailableError: it is not here, or is no .safetensors file.
    """
    name, scale = spec.params.get("lora"), spec.params.get("lora_scale", 1.0)
    if not name:
        return None
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise CouncilError("params.lora_scale must be a number, such as 0.8")
    place = Path(str(name)).expanduser()
    place = place if place.is_file() else folder_of(str(name))
    files = [place] if place.is_file() else sorted(place.glob("*.safetensors"))
    if not files or files[0].suffix != ".safetensors":
        raise ModelUnavailableError(
            f"the LoRA {str(name)!r} holds no .safetensors file", cure="name one that does"
        )
    return files[0], float(scale)


def _load(
    folder: Path, *, own: bool, device: str, dtype: str, lora: tuple[Path, float] | None = None
) -> Any:
    import torch
    from diffusers import AutoPipelineForText2Image, LCMScheduler
    from diffusers.utils import logging

    if not hasattr(torch, dtype):
        raise CouncilError(
            f"{dtype!r} is no precision that torch knows", cure="write float16 or float32"
        )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    pipeline = AutoPipelineForText2Image.from_pretrained(
        str(folder),
        torch_dtype=getattr(torch, dtype),
        local_files_only=True,
        use_safetensors=True,
    )
    if lora is not None:
        _fuse(pipeline, *lora)
    pipeline = pipeline.to(device)
    if not own:
        pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _fuse(pipeline: Any, file: Path, scale: float) -> None:
    """Add a LoRA to the pipeline's weights, once, so that drawing is as fast as without it."""
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name, local_files_only=True)
    pipeline.fuse_lora(lora_scale=scale)
    pipeline.unload_lora_weights()
