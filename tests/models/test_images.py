"""Pictures are drawn anew, made small, and refused with a clear word."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from mom_council.models.images import (
    PictureError,
    data_urls,
    file_name,
    is_picture,
    picture_block,
    read_picture_block,
    redraw_picture,
)


def drawn(mode: str, form: str, size: tuple[int, int] = (40, 30), **how: object) -> bytes:
    out = io.BytesIO()
    colour = {"RGB": (10, 200, 30), "RGBA": (10, 200, 30, 0), "L": 7}[mode]
    Image.new(mode, size, colour).save(out, form, **how)
    return out.getvalue()


def _is_near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 6 for one, other in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_kind_that_is_offered_is_taken(form: str) -> None:
    kind, small = redraw_picture(drawn("RGB", form), f"a.{form.lower()}")
    assert kind == "image/jpeg"
    opened = Image.open(io.BytesIO(small))
    assert opened.size == (40, 30)
    assert _is_near(opened.getpixel((5, 5)), (10, 200, 30))


def test_of_a_moving_picture_the_first_frame_is_taken() -> None:
    out = io.BytesIO()
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    red.save(out, "GIF", save_all=True, append_images=[blue])
    _, small = redraw_picture(out.getvalue(), "a.gif")
    assert _is_near(Image.open(io.BytesIO(small)).getpixel((4, 4)), (255, 0, 0))


def test_sixteen_bits_a_pixel_keep_their_shades() -> None:
    shades = Image.new("I;16", (2, 1))
    shades.putpixel((0, 0), 0)
    shades.putpixel((1, 0), 32_768)
    out = io.BytesIO()
    shades.resize((64, 32), Image.Resampling.NEAREST).save(out, "PNG")
    _, small = redraw_picture(out.getvalue(), "a.png")
    assert _is_near(Image.open(io.BytesIO(small)).getpixel((60, 5)), (128, 128, 128))


def test_what_was_drawn_here_is_not_drawn_again() -> None:
    kind, once = redraw_picture(drawn("RGB", "PNG", (300, 200)), "a.png")
    assert redraw_picture(once, "a.png") == (kind, once)
    assert Image.open(io.BytesIO(redraw_picture(once, "a.png", side=100)[1])).size == (100, 67)


def test_what_stands_behind_a_picture_does_not_come_along() -> None:
    hidden = drawn("RGB", "JPEG", comment=b"my address") + b"PK\x03\x04 a second file"
    _, small = redraw_picture(hidden, "a.jpg")
    assert b"address" not in small
    assert b"second" not in small


@pytest.mark.parametrize(
    "write",
    [
        lambda text: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}},
        lambda text: {"type": "image_url", "image_url": f"data:image/png;base64,{text}"},
        lambda text: {"type": "image", "base64": text, "mime_type": "image/png"},
        lambda text: {"type": "image", "source_type": "base64", "data": text},
        lambda text: {"type": "image", "source": {"type": "base64", "data": text}},
    ],
)
def test_a_picture_is_found_in_every_form_of_block(write: Any) -> None:
    block = write(base64.b64encode(b"pixels").decode())
    assert is_picture(block)
    assert read_picture_block(block).content == b"pixels"


@pytest.mark.parametrize("broken", [{"url": "data:image/png,raw"}, {"base64": "%%%"}])
def test_a_damaged_block_is_refused(broken: dict[str, str]) -> None:
    with pytest.raises(PictureError):
        read_picture_block({"type": "image", **broken})


def test_what_is_transparent_becomes_paper() -> None:
    kind, small = redraw_picture(drawn("RGBA", "PNG"), "a.png")
    assert kind == "image/png"
    assert Image.open(io.BytesIO(small)).getpixel((0, 0)) == (255, 255, 255)


def test_a_photograph_is_turned_upright_and_forgets_where_it_was_taken() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "at home"
    _, small = redraw_picture(drawn("RGB", "JPEG", exif=exif), "a.jpg")
    upright = Image.open(io.BytesIO(small))
    assert upright.size == (30, 40)
    assert not upright.getexif()


def test_a_large_picture_is_made_smaller() -> None:
    _, small = redraw_picture(drawn("RGB", "PNG", (4000, 1000)), "a.png")
    assert Image.open(io.BytesIO(small)).size == (1568, 392)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x89PNG" + bytes(50_000_000), "50 MB, and at most 20 MB"),
        (b"<svg onload='alert(1)'/>", "cannot be read as a picture"),
        (b"", "cannot be read as a picture"),
        (drawn("RGB", "PNG")[:60], "cannot be read as a picture"),
    ],
)
def test_what_cannot_be_taken_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        redraw_picture(content, "a.png")


def test_a_small_file_of_gigantic_measures_is_refused_before_it_is_unpacked() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")
    with pytest.raises(PictureError):
        redraw_picture(bomb, "a.png")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "'passwd'"),
        ("C:\\secret\\a.png", "'a.png'"),
        ("a\nb\u202e.png", "'ab.png'"),
        ("", "'the picture'"),
    ],
)
def test_a_name_is_shown_without_its_path(name: str, shown: str) -> None:
    assert file_name(name) == shown


def test_only_pictures_that_lie_in_the_message_are_shown() -> None:
    block = picture_block(drawn("RGB", "PNG"), "a.png")
    assert base64.b64decode(block["image_url"]["url"].partition(",")[2])
    far = {"type": "image_url", "image_url": {"url": "http://a.example/p.png"}}
    assert data_urls([{"type": "text", "text": "x"}, block, far]) == [block["image_url"]["url"]]
    assert data_urls("text alone") == []
