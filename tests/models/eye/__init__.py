"""A model of 0.4 million parameters that sees: colour and shape of one figure on a plain ground.

A tiny LLaVA of ours, trained from nothing on drawings of ours; llama.cpp runs it.
"""

import io
from pathlib import Path

from PIL import Image, ImageDraw

EYE = Path(__file__).parent / "eye.gguf"


def drawing(figure: str, ground: str, *, square: bool = False, form: str = "PNG") -> bytes:
    """A circle, or a square, on a plain ground."""
    picture = Image.new("RGB", (64, 64), ground)
    pen = ImageDraw.Draw(picture)
    (pen.rectangle if square else pen.ellipse)((12, 12, 50, 50), fill=figure)
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()
