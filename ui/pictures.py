"""Pictures that come with a question: checked, turned upright, made small, without what they hide.

Whatever was uploaded is drawn anew, so that no model and no store gets anything but pixels.
"""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from mixture_of_models.errors import MixtureError

TYPES = ("png", "jpg", "jpeg", "webp")
MEGABYTES = 20
"""Of one file, as it is uploaded."""
UPLOAD_MEGABYTES = 64
"""What the browser may send at all: a picture between the two is refused with our own word."""
MOST = 8
"""Pictures with one question."""
_PIXELS = 60_000_000  # of a picture before it is made smaller; a phone takes 50 million
_SIDE = 1568  # pixels; vision models make larger ones smaller themselves
_FORMATS = ("PNG", "JPEG", "WEBP")


class PictureError(MixtureError):
    """A picture cannot be taken; the message says why, and what would do."""


def picture_block(content: bytes, name: str) -> dict[str, Any]:
    """A picture as a message's content block.

    Raises:
        PictureError: it is too large, of another kind, or damaged.
    """
    kind, small = normalised(content, name)
    text = base64.b64encode(small).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{text}"}}


def normalised(content: bytes, name: str) -> tuple[str, bytes]:
    """The picture's MIME type and bytes, drawn anew.

    Raises:
        PictureError: see `picture_block`.
    """
    from PIL import Image, ImageOps

    shown = bare_name(name)
    if len(content) > MEGABYTES * 1_000_000:
        size = len(content) / 1_000_000
        raise PictureError(f"{shown} has {size:.0f} MB, and at most {MEGABYTES} MB are taken")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
                if opened.width * opened.height > _PIXELS:
                    raise PictureError(
                        f"{shown} has {opened.width} × {opened.height} pixels; make it smaller"
                    )
                opened.thumbnail((_SIDE, _SIDE))
                upright = ImageOps.exif_transpose(opened)
                return _written(upright)
    except PictureError:
        raise
    except Exception as error:  # Pillow raises whatever a damaged file makes it raise
        raise PictureError(
            f"{shown} cannot be read as a picture; give a PNG, JPEG or WebP"
        ) from error


def bare_name(name: str) -> str:
    """A file's name without any path, of a length that can be shown."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    clean = "".join(sign for sign in last if sign.isprintable()).strip()
    return repr(clean[:60] or "the picture")


def blocks_of(content: Any) -> list[str]:
    """The data URLs of a message's pictures; an address elsewhere is none of ours to show."""
    blocks = content if isinstance(content, list) else []
    found = []
    for block in blocks:
        if not isinstance(block, dict) or block.get("type") not in ("image", "image_url"):
            continue
        told = block.get("image_url")
        url = told.get("url", "") if isinstance(told, dict) else (told or "")
        if not url and block.get("base64"):
            url = f"data:{block.get('mime_type', 'image/png')};base64,{block['base64']}"
        if str(url).startswith("data:image/"):
            found.append(str(url))
    return found


def _written(picture: Any) -> tuple[str, bytes]:
    from PIL import Image

    out = io.BytesIO()
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        # Models see transparent as black or as noise; people see it as the page, which is white.
        clear = picture.convert("RGBA")
        paper = Image.new("RGBA", clear.size, "white")
        Image.alpha_composite(paper, clear).convert("RGB").save(out, "PNG", optimize=True)
        return "image/png", out.getvalue()
    picture.convert("RGB").save(out, "JPEG", quality=88)
    return "image/jpeg", out.getvalue()
