"""Keys are found however they are written, and nothing else is."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from mom_council import redaction
from mom_council.key_forms import _in_base58, squeezed
from mom_council.redaction import REDACTED, StreamRedactor, redact_known, remember_secret

ROOT = Path(__file__).resolve().parents[1]
KEYS = (
    "sk-proj-7fQ2xLm09ZrTb4Wv8KdYh3",
    "3c9e0d77b1f84a62a5e4c71d08b2f69e",
    "AIzaSyB-9_tq3Wz0PkLm7N",
)
WAYS: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "lower case": str.lower,
    "swapped case": str.swapcase,
    "backwards": lambda key: key[::-1],
    "rot13": lambda key: codecs.encode(key, "rot13"),
    "blanks": " ".join,
    "hyphens": "-".join,
    "lines": "\n".join,
    "stars": "**".join,
    "letters that nobody sees": "\u200b".join,
    "in fours": lambda key: " ".join(key[at : at + 4] for at in range(0, len(key), 4)),
    "hex": lambda key: key.encode().hex(),
    "hex with dashes": lambda key: key.encode().hex("-"),
    "hex in upper case": lambda key: key.encode().hex(" ").upper(),
    "C's hex": lambda key: ", ".join(f"0x{byte:02X}" for byte in key.encode()),
    "numbers": lambda key: str([*key.encode()]),
    "octal numbers": lambda key: " ".join(f"{byte:o}" for byte in key.encode()),
    "bits": lambda key: " ".join(f"{byte:08b}" for byte in key.encode()),
    "base16 to 64": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64 in lines": lambda key: base64.encodebytes(f"{key}{key}".encode()).decode(),
    "base64 twice": lambda key: base64.b64encode(base64.b64encode(key.encode())).decode(),
    "base32": lambda key: base64.b32encode(f"key {key}".encode()).decode(),
    "base32 in lower case": lambda key: base64.b32encode(key.encode()).decode().lower(),
    "base58": lambda key: _in_base58(key.encode()),
    "ascii85": lambda key: base64.a85encode(f"my {key}".encode()).decode(),
    "base85": lambda key: base64.b85encode(f"{key}.".encode()).decode(),
    "octal escapes": lambda key: "".join(f"\\{byte:03o}" for byte in key.encode()),
    "x escapes": lambda key: "".join(f"\\x{byte:02X}" for byte in key.encode()),
    "u escapes": lambda key: "".join(f"\\u{byte:04x}" for byte in key.encode()),
    "u escapes in braces": lambda key: "".join(f"\\u{{{byte:x}}}" for byte in key.encode()),
    "u escapes of JSON in JSON": lambda key: json.dumps(
        "".join(f"\\u{byte:04x}" for byte in key.encode())
    ),
    "percents": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "percents twice": lambda key: "".join(f"%25{byte:02X}" for byte in key.encode()),
    "entities": lambda key: "".join(f"&#{byte};" for byte in key.encode()),
    "hex entities": lambda key: "".join(f"&#x{byte:X};" for byte in key.encode()),
    "escaped entities": lambda key: "".join(f"&amp;#{byte};" for byte in key.encode()),
    "every second letter escaped": lambda key: "".join(
        letter if at % 2 else f"%{ord(letter):02x}" for at, letter in enumerate(key)
    ),
    "its first 20 letters": lambda key: f"{key[:20]}...",
    "its last 18 letters": lambda key: f"...{key[-18:]}",
    "20 letters of it in upper case": lambda key: key[1:21].upper(),
}


@pytest.fixture(params=KEYS)
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(redaction, "_used", {})
    for one in KEYS:
        remember_secret(one)
    return str(request.param)


@pytest.mark.parametrize("way", WAYS)
def test_a_key_is_taken_out_in_every_way_of_writing(key: str, way: str) -> None:
    written = WAYS[way](key)
    told = redact_known(f"It is {written} indeed.")
    assert told.startswith("It i")  # an "s" before "k-" is one of the key too
    assert told.endswith(" indeed.")
    assert REDACTED in told
    assert len(told) < len("It is  indeed.") + len(REDACTED) + 16


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("way", WAYS)
def test_no_part_of_a_key_comes_out_of_a_stream(key: str, way: str, size: int) -> None:
    written = WAYS[way](key)
    text, redactor = f"It is {written} indeed.", StreamRedactor()
    pieces = [redactor.feed(text[at : at + size]) for at in range(0, len(text), size)]
    told = "".join([*pieces, redactor.close()])
    assert told.endswith(" indeed.")
    assert REDACTED in told
    letters = squeezed(written)
    parts = {letters[at : at + 24] for at in range(len(letters) - 23)}
    assert not any(part in squeezed(told) for part in parts)


def test_what_people_and_models_write_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(11)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    keys = [f"sk-{''.join(random.choices(letters, k=48))}" for _ in range(12)]
    monkeypatch.setattr(redaction, "_used", dict.fromkeys([*keys, "lm-studio-1", "test-key-1"]))
    files = [*ROOT.glob("docs/*.md"), *ROOT.glob("models/*.py"), *ROOT.glob("*.md")]
    assert len(files) > 40
    for file in files:
        text = file.read_text()
        assert redact_known(text) == text, file
    numbers = "".join(str(random.random()) for _ in range(5_000))
    assert redact_known(numbers) == numbers


def test_a_stream_without_keys_comes_as_it_is(key: str) -> None:
    redactor = StreamRedactor()
    pieces = [
        "A cat ",
        "and 20 dogs",
        ". ",
        "See https://example.org/%20a ",
        "\\alpha & more ",
        ".",
    ]
    assert "".join([*map(redactor.feed, pieces), redactor.close()]) == "".join(pieces)


def test_words_that_are_a_key_are_taken_out_as_a_whole_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redaction, "_used", {"correct-horse-battery-staple": None})
    assert redact_known("CORRECT HORSE BATTERY STAPLE!") == f"{REDACTED}!"
    assert redact_known("a correct horse battery") == "a correct horse battery"
