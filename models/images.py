"""Pictures: those that come with a question, and those that the council drew.

What comes is drawn anew, upright and small, so that no model and no store gets anything but pixels:
no place where it was taken, no comment, no second file behind the first. What was drawn anew here
is known again, and passes.

A picture's address comes from whoever asks, so it must not lead into this network: every address
that a name stands for is looked at, and the connection goes to just those; only public ones are
taken, at every step of a redirect, without the proxy or the credentials of this machine.

What the council drew is a file in the data directory. A message names the file and does not hold
it, so that a thread stays small. Whatever address a message says, only files of this folder are
shown.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from mom_council.errors import MixtureError, StorageError
from mom_council.paths import ensure, pictures_dir

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from aiohttp.abc import AbstractResolver


TYPES = ("png", "jpg", "jpeg", "webp", "gif")
MEGABYTES = 20
"""Of one file, as it is given."""
UPLOAD_MEGABYTES = 64
"""What a browser may send at all: a picture between the two is refused with our own word."""
MOST = 8
"""Pictures with one question."""
SIDE = 1568
"""Pixels of the longer side; vision models make larger ones smaller themselves."""
_PIXELS = 60_000_000  # of a picture before it is made smaller; a phone takes 50 million
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_KNOWN_AT_MOST = 512
_drawn_here: dict[bytes, int] = {}
"""Digests of what was drawn anew already, with its longer side; the oldest are forgotten."""
_lock = threading.Lock()


class PictureError(MixtureError):
    """A picture cannot be taken; the message says why, and what would do."""


class PictureSource(NamedTuple):
    """A picture as a message's content block gives it: its bytes, or where it should lie."""

    content: bytes = b""
    url: str = ""


def picture_block(content: bytes, name: str, *, side: int = SIDE) -> dict[str, Any]:
    """A picture as a message's content block.

    Raises:
        PictureError: it is too large, of another kind, or damaged.
    """
    kind, small = redraw_picture(content, name, side=side)
    text = base64.b64encode(small).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{text}"}}


def redraw_picture(content: bytes, name: str, *, side: int = SIDE) -> tuple[str, bytes]:
    """The picture's MIME type and bytes, drawn anew. Of a moving picture the first frame is taken.

    Raises:
        PictureError: see `picture_block`.
    """
    from PIL import Image, ImageOps

    if _drawn_here.get(hashlib.sha256(content).digest(), side + 1) <= side:
        return "image/png" if content.startswith(b"\x89PNG") else "image/jpeg", content
    label = file_name(name)
    if len(content) > MEGABYTES * 1_000_000:
        size = len(content) / 1_000_000
        raise PictureError(f"{label} has {size:.0f} MB, and at most {MEGABYTES} MB are taken")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
                if opened.width * opened.height > _PIXELS:
                    raise PictureError(
                        f"{label} has {opened.width} × {opened.height} pixels",
                        cure="make it smaller",
                    )
                opened.seek(0)
                opened.load()
                return _written(ImageOps.exif_transpose(_within(opened, side)))
    except PictureError:
        raise
    except Exception as error:  # Pillow raises whatever a damaged file makes it raise
        raise PictureError(
            f"{label} cannot be read as a picture", cure="give a PNG, JPEG, WebP or GIF"
        ) from error


def check_png(content: bytes) -> bytes:
    """A picture that a model drew, as a PNG of nothing but pixels, in its full size.

    Raises:
        PictureError: it cannot be read as a picture, or is gigantic.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
                if opened.width * opened.height > _PIXELS:
                    raise PictureError(f"{opened.width} × {opened.height} pixels are too many")
                clear = opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info
                bare = Image.new("RGBA" if clear else "RGB", opened.size)
                bare.paste(opened.convert(bare.mode))
    except PictureError:
        raise
    except Exception as error:  # Pillow raises whatever a damaged file makes it raise
        raise PictureError("what came cannot be read as a picture") from error
    out = io.BytesIO()
    bare.save(out, "PNG")
    return out.getvalue()


def file_name(name: str) -> str:
    """A file's name without any path, of a length that can be shown."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    clean = "".join(sign for sign in last if sign.isprintable()).strip()
    return repr(clean[:60] or "the picture")


def is_picture(block: Any) -> bool:
    """Whether a content block is a picture, in any of the forms that callers write."""
    return isinstance(block, dict) and block.get("type") in ("image", "image_url")


def read_picture_block(block: dict[str, Any]) -> PictureSource:
    """What a block of OpenAI's, Anthropic's or LangChain's form holds.

    Raises:
        PictureError: it holds nothing that could be read.
    """
    source = block.get("image_url", block.get("source", block))
    if isinstance(source, str):
        source = {"url": source}
    if not isinstance(source, dict):
        raise PictureError(
            "a picture's block holds neither `url` nor `base64`", cure="give one of them"
        )
    url = str(source.get("url") or "")
    text = source.get("base64") or source.get("data")
    if url.startswith("data:"):
        head, _, text = url.partition(",")
        if not head.endswith(";base64"):
            raise PictureError("a picture's `data:` address is not in base64", cure="write it so")
    elif url:
        return PictureSource(url=url)
    letters = "".join(str(text or "").split()).rstrip("=")  # in lines, or without its end
    try:
        return PictureSource(base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True))
    except (binascii.Error, ValueError):
        raise PictureError("a picture's base64 is damaged", cure="encode it again") from None


def data_urls(content: Any) -> list[str]:
    """The `data:` addresses of a message's pictures; an address elsewhere is none of ours to show.

    Only of pictures in the form that `picture_block` gives them.
    """
    urls = []
    for block in content if isinstance(content, list) else []:
        if is_picture(block) and isinstance(image := block.get("image_url"), dict):
            url = str(image.get("url") or "")
            if url.startswith("data:image/"):
                urls.append(url)
    return urls


def _within(picture: Any, side: int) -> Any:
    """The picture with neither side longer than that, in a mode that can be made smaller well."""
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture)
    elif picture.mode in ("P", "PA", "1"):
        clear = "transparency" in picture.info or picture.mode == "PA"
        picture = picture.convert("RGBA" if clear else "RGB")
    picture.thumbnail((side, side))
    return picture


def _eight_bits(picture: Any) -> Any:
    """A picture of 16 or 32 bits a pixel; Pillow's own way would cut everything bright to white."""
    low, high = picture.getextrema()
    wide = 65_535 if 255 < high <= 65_535 and low >= 0 else max(high - low, 1)
    base = 0 if wide == 65_535 else low
    return picture.convert("F").point(lambda pixel: (pixel - base) * (255 / wide)).convert("L")


def _written(picture: Any) -> tuple[str, bytes]:
    from PIL import Image

    out = io.BytesIO()
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        # Models see transparent as black or as noise; people see it as the page, which is white.
        clear = picture.convert("RGBA")
        paper = Image.new("RGBA", clear.size, "white")
        plain = Image.alpha_composite(paper, clear).convert("RGB")
        kind = "image/png"
        plain.save(out, "PNG", optimize=True)
    else:
        kind = "image/jpeg"
        bare = Image.new("RGB", picture.size)
        bare.paste(picture.convert("RGB"))  # a new one, which knows no comment and no profile
        bare.save(out, "JPEG", quality=88)
    drawn = out.getvalue()
    with _lock:
        if len(_drawn_here) >= _KNOWN_AT_MOST:
            del _drawn_here[next(iter(_drawn_here))]
        _drawn_here[hashlib.sha256(drawn).digest()] = max(picture.size)
    return kind, drawn


SECONDS = 20.0
"""For a picture, redirects included."""
_REDIRECTS = 3
_MOST = MEGABYTES * 1_000_000


def is_public(address: str) -> bool:
    """Whether a number is an address of the open internet.

    Raises:
        ValueError: it is no number.
    """
    number = ip_address(address.partition("%")[0])
    inner = getattr(number, "ipv4_mapped", None) or getattr(number, "sixtofour", None) or number
    return number.is_global and inner.is_global and not number.is_multicast


async def fetch_picture(url: str, *, allowed: Callable[[str], bool] = is_public) -> bytes:
    """The bytes that lie at an address; `allowed` says to which numbers a connection may go.

    Raises:
        PictureError: it is no public web address, or nothing came from it.
    """
    import aiohttp

    label = _address_without_secrets(url)
    try:
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_only(allowed)),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            ) as session,
        ):
            for _ in range(_REDIRECTS + 1):
                _look_at(url, allowed)
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
                        url = urljoin(url, answer.headers["location"])
                        continue
                    if answer.status != 200:
                        raise PictureError(f"{label} answered with status {answer.status}")
                    return await _read(answer, label)
    except PictureError:
        raise
    except TimeoutError:
        raise PictureError(f"{label} sent no whole picture in {SECONDS:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError):
        raise PictureError(f"{label} cannot be fetched", cure="attach the picture itself") from None
    raise PictureError(f"{label} leads on and on", cure="attach the picture itself")


def _look_at(url: str, allowed: Callable[[str], bool]) -> None:
    """See that an address is one of the web, and where it is a number, a public one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        raise PictureError(
            "a picture's address is taken from http and https alone", cure="attach it"
        )
    try:
        public = allowed(host)
    except ValueError:  # a name, which the resolver looks at
        return
    if not public:
        raise _private(url)


def _only(allowed: Callable[[str], bool]) -> AbstractResolver:
    """The system's resolver, which refuses a name that stands for any other address."""
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.resolver import ThreadedResolver

    class Only(AbstractResolver):
        def __init__(self) -> None:
            self._all = ThreadedResolver()

        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            addresses = await self._all.resolve(host, port, family)  # type: ignore[arg-type]
            if not addresses or not all(allowed(one["host"]) for one in addresses):
                raise _private(host)
            return addresses

        async def close(self) -> None:
            await self._all.close()

    return Only()


async def _read(answer: ClientResponse, address: str) -> bytes:
    content = bytearray()
    async for piece in answer.content.iter_chunked(65_536):
        content += piece
        if len(content) > _MOST:
            raise PictureError(f"{address} has more than the {MEGABYTES} MB that are taken")
    return bytes(content)


def _private(url: str) -> PictureError:
    return PictureError(
        f"{_address_without_secrets(url)} is no public address, and others are never fetched"
    )


def _address_without_secrets(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        host = urlsplit(url).hostname or url
    except ValueError:
        host = "the address"
    return repr("".join(sign for sign in host if sign.isprintable())[:80])


def save_picture(content: bytes) -> Path:
    """Keep a PNG under a name that is new, for its owner alone.

    Raises:
        StorageError: it cannot be written.
    """
    folder = ensure(pictures_dir())
    file = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}.png"
    try:
        with file.open("xb") as opened:
            file.chmod(0o600)
            opened.write(content)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise StorageError(
            f"the picture cannot be kept as {str(file)!r}: {error.strerror or error}",
            cure="free some space, or set MOM_DATA_DIR to another folder",
        ) from None
    return file


def picture_reference(file: Path, **about: Any) -> dict[str, Any]:
    """The content block that stands for a kept picture; `about` says how it was made."""
    return {"type": "image", "url": file.as_uri(), "mime_type": "image/png", "extras": about}


def pictures_in(content: Any) -> list[tuple[Path, dict[str, Any]]]:
    """A message's pictures that lie here, each with how it was made."""
    pictures = []
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == "image" and "url" in block:
            name = unquote(urlsplit(str(block["url"])).path).rpartition("/")[2]
            file = pictures_dir() / name
            if name.endswith(".png") and file.is_file() and not file.is_symlink():
                about = block.get("extras")
                pictures.append((file, about if isinstance(about, dict) else {}))
    return pictures


def delete_pictures(content: Any) -> None:
    """Delete a message's pictures."""
    for file, _ in pictures_in(content):
        file.unlink(missing_ok=True)
