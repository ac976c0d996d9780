"""Errors are told in plain words, and waits are bounded."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from mom_council.models import retry
from mom_council.models.retry import Failure, read_failure, retry_after, retry_delay
from mom_council.redaction import redact

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class HTTPError(Exception):
    """What SDKs raise: a status, a response with headers, a body."""

    def __init__(self, status, body=None, **headers):
        super().__init__(f"Error code: {status}")
        self.status_code = status
        self.body = body
        self.response = SimpleNamespace(status_code=status, headers=headers)


def read(error: BaseException, provider: str = "openai") -> Failure:
    return read_failure(error, model="m", provider=provider, where="http://there")


def caused(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "reason", "again"),
    [
        (HTTPError(429), "HTTP 429, rate limited", True),
        (HTTPError(529), "HTTP 529, the server is overloaded", True),
        (HTTPError(501), "HTTP 501, server error", False),
        (HTTPError(418), "HTTP 418, the request was refused", False),
        (
            HTTPError(400, {"message": "too long", "code": "context"}),
            "HTTP 400, the request was refused: too long (context)",
            False,
        ),
        (HTTPError(502, "<html><body>nginx</body></html>"), "HTTP 502, bad gateway", True),
        (
            caused(RuntimeError("x"), ConnectionRefusedError(111, "refused")),
            "connection refused at http://there",
            False,
        ),
        (
            caused(RuntimeError("x"), socket.gaierror(-2, "unknown")),
            "the host of http://there is not known",
            False,
        ),
        (
            caused(RuntimeError("x"), ConnectionResetError(104, "r")),
            "the connection was reset",
            True,
        ),
        (ssl.SSLError(1, "self-signed"), "no TLS connection with http://there", False),
        (ValueError("No generation chunks were returned"), "the answer is empty", True),
        (ValueError("odd"), "ValueError: odd", False),
    ],
)
def test_an_error_is_told_in_plain_words(error, reason, again):
    failure = read(error)
    assert failure.reason.startswith(reason)
    assert failure.again is again


def test_ollama_says_how_to_get_a_model():
    assert read(HTTPError(404), "ollama").reason == "model 'm' not found: `ollama pull m`"


def test_a_long_story_is_cut_to_one_line():
    reason = read(ValueError("a\nb" * 500)).reason
    assert len(reason) <= 200
    assert "\n" not in reason


def test_headers_are_found_behind_a_wrapping_error():
    try:
        try:
            raise HTTPError(503, None, **{"Retry-After": "7"})
        except HTTPError:
            raise RuntimeError("wrapped") from None
    except RuntimeError as error:
        failure = read(error)
    assert (failure.status, failure.wait) == (503, 7.0)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("3", 3.0),
        ("0.25", 0.25),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(written, seconds):
    assert retry_after({"retry-after": written}, NOW) == seconds


@pytest.mark.parametrize("year", [1970, 2026, 2040])
def test_a_date_is_read_by_the_servers_own_clock(year):
    headers = {
        "retry-after": f"Thu, 01 Jan {year} 00:00:30 GMT",
        "date": f"Thu, 01 Jan {year} 00:00:10 GMT",
    }
    assert retry_after(headers) == 20


def test_waits_grow_and_are_capped_and_jittered():
    failure = Failure("x", again=True)
    for tries in range(1, 40):
        longest = min(retry.LONGEST_WAIT, retry.FIRST_WAIT * 2 ** (tries - 1))
        assert longest / 2 <= retry_delay(tries, failure) <= longest
    assert len({retry_delay(3, failure) for _ in range(20)}) > 1


def test_a_server_is_waited_for_as_it_asks_but_not_for_ever():
    assert 2 <= retry_delay(1, Failure("x", wait=2)) <= 2.2
    assert retry_delay(1, Failure("x", wait=3600)) is None


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefgh12345678",
        "sk-ant-api03-abcdefgh_1234",
        "gsk_abcdefgh12345678",
        "AIzaSyA1234567890abcdefghijklmnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkw.abc",
    ],
)
def test_what_is_shaped_like_a_key_is_taken_out(secret):
    assert secret not in redact(f"the key {secret} is wrong")
    assert secret not in redact(f"Authorization: Bearer {secret}")


def test_the_environments_keys_are_taken_out_and_other_words_stay(monkeypatch):
    monkeypatch.setenv("FAR_API_KEY", "entirely-unremarkable")
    monkeypatch.setenv("SHORT_KEY", "none")
    told = redact("entirely-unremarkable is none of http://user:hidden1@host/ asking for sk-8")
    assert told == "[redacted] is none of http://[redacted]@host/ asking for sk-8"
