"""Small vectors and small pictures, the same every time for the same words."""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zlib

DIMENSIONS = 16
PIXELS = 8


def embedding(text: object, dimensions: int | None = None) -> list[float]:
    """A unit vector of the words in a text: texts that share words are near each other."""
    wide = dimensions or DIMENSIONS
    vector = [0.0] * wide
    for word in re.findall(r"\w+", str(text).lower()) or [""]:
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % wide] += 1.0 if digest[1] % 2 else -1.0
        vector[digest[2] % wide] += 0.5
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else [1.0] + [0.0] * (wide - 1)


def picture(prompt: str) -> bytes:
    """A PNG of one colour, which the prompt decides."""
    colour = hashlib.sha256(prompt.encode()).digest()[:3]
    rows = (b"\0" + colour * PIXELS) * PIXELS
    header = struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
