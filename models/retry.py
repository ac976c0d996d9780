"""Retries and circuit breakers: a model that keeps failing is not asked for a while.

Asking a server that hangs costs its whole `timeout` every time, and every character of a round pays
it. So calls that came to nothing are counted for each model (a call's retries are part of it).
After `after` of them in a row the breaker is open, and the next call goes to a fallback, or is an
absence, at once. After `pause` seconds one call is let through to see: an answer closes the
breaker, another failure opens it again.

Only what may pass counts: rate limits, 5xx, resets, unreadable answers, time limits. A definite no
(a wrong key, an unknown model, a refused request) comes at once and says why, and so ends the row,
like an answer does. Breakers are kept for one event loop, by where a model is asked and with which
key, so councils that share a model share what is known of it.

Errors come from half a dozen libraries wrapped in each other, so they are read by what they carry
(a status, headers, an errno) along their chain of causes, not by their classes. Nobody else
retries: the SDKs' own retries are off.
"""

from __future__ import annotations

import errno
import json
import random
import re
import socket
import ssl
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from mom_council.councils.schema import Model
from mom_council.redaction import redact
from mom_council.vendors import Vendor, vendor_of

Breakers = dict[Hashable, "Breaker"]


class Breaker:
    """What the last calls to one model came to."""

    def __init__(self) -> None:
        self._failed = 0
        self._last = ""
        self._shut_until = 0.0

    def refusal(self, spec: Model, now: float) -> str | None:
        """Why the model is not asked now; None when it may be.

        The first to come after a pause is let through; those behind it wait for what it finds, a
        further pause at the longest.
        """
        policy = spec.breaker
        if policy is None or self._failed < policy.after:
            return None
        if now >= self._shut_until:
            self._shut_until = now + policy.pause
            return None
        return (
            f"not asked, for its last {_calls(self._failed)} failed ({self._last}); "
            f"it is tried again in {max(self._shut_until - now, 0.1):.1f} s"
        )

    def is_shut(self, spec: Model, now: float) -> bool:
        """Whether `refusal` would refuse; asking changes nothing."""
        policy = spec.breaker
        return policy is not None and self._failed >= policy.after and now < self._shut_until

    def note(self, failure: Failure | None, spec: Model, now: float) -> None:
        """Take down how a call ended: None for an answer, whole or in part."""
        if failure is None or not (failure.again or failure.late):
            self._failed = 0
            return
        self._failed += 1
        self._last = failure.reason
        if spec.breaker is not None:
            self._shut_until = now + spec.breaker.pause


def breaker_of(breakers: Breakers, spec: Model) -> Breaker:
    """The breaker of a voice, in its event loop."""
    return breakers.setdefault(
        (spec.provider, spec.base_url, spec.model, spec.api_key_env, spec.number), Breaker()
    )


def _calls(number: int) -> str:
    return "call" if number == 1 else f"{number} calls"


FIRST_WAIT = 0.5
"""Seconds, doubled with every further try."""
LONGEST_WAIT = 20.0
"""Seconds between two tries, when the server does not say."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds; a server that asks for more is not waited for."""

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_WORDS = {
    400: "the request was refused",
    401: "the key was not accepted",
    402: "the account has no credit",
    403: "not allowed",
    404: "not found",
    408: "the server timed out",
    409: "conflict",
    413: "the request is too large",
    422: "the request was refused",
    429: "rate limited",
    500: "server error",
    502: "bad gateway",
    503: "the server is overloaded",
    504: "gateway timeout",
    529: "the server is overloaded",
}
_ABOUT_WORDS = frozenset({
    "content_filter", "content_policy_violation", "context_length_exceeded",
    "string_above_max_length",
})  # fmt: skip
_SAID_AT_MOST = 200
_TRANSIENT = {
    "ServerDisconnectedError": "the server closed the connection",
    "RemoteProtocolError": "the server closed the connection",
    "ClientPayloadError": "the connection broke off",
    "ReadError": "the connection broke off",
    "ConnectTimeout": "no connection in time",
    "ConnectionTimeoutError": "no connection in time",
    "APITimeoutError": "no connection in time",
    "APIConnectionError": "the connection failed",
    "ConnectError": "the connection failed",
    "JSONDecodeError": "the answer is not JSON",
    "UnicodeDecodeError": "the answer is not text",
    "SSEError": "the answer is no stream of events",
}
"""Names of classes, most telling first: what is worth another try."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One call that did not work out.

    Attributes:
        reason: one line for people, without any key.
        status: the HTTP status, where there was one.
        again: whether another try may help.
        wait: seconds that the server asked for.
        late: whether it was given up for taking too long.
        param: the parameter that the server blames, where it names one apart from its words.
        code: what the server calls the fault.
        refused: whether nobody worked on it: the server refused it, or was not reached.
    """

    reason: str
    status: int | None = None
    again: bool = False
    wait: float | None = None
    late: bool = False
    param: str = ""
    code: str = ""
    refused: bool = False

    @property
    def is_about_words(self) -> bool:
        """Whether the server refused what was said, not how it was asked for."""
        return self.code in _ABOUT_WORDS


def read_failure(error: BaseException, *, model: str, provider: str, where: str) -> Failure:
    """Read an exception; `where` is the address that was asked, for the message."""
    chain = list(_chain(error))
    status = next((code for one in chain if (code := _status(one))), None)
    if status is not None:
        return _read_refusal(status, chain, model=model, provider=provider)
    if unreachable := _unreachable(chain, where, vendor_of(provider)):
        return unreachable
    if any(300 <= (getattr(one, "status_code", None) or 0) < 400 for one in chain):
        where_to = "the server is elsewhere: give `base_url` the address that it names"
        return Failure(where_to, refused=True)
    names = [kind.__name__ for one in chain for kind in type(one).__mro__]
    if "OversizedReplyError" in names:
        return Failure("the reply is longer than anybody reads, and was not read to its end")
    for name, words in _TRANSIENT.items():
        if name in names:
            return Failure(words, again=True)
    if any(isinstance(one, OSError) for one in chain):
        return Failure(_clean(f"the connection failed: {chain[-1]}"), again=True)
    if "No generation" in str(error):
        return Failure("the answer is empty or not in the provider's format", again=True)
    server_words = _server_words(chain)
    if any(name in ("APIError", "ResponseError") for name in names):
        return Failure(_clean(f"the server broke off with an error: {server_words}"), again=True)
    return Failure(_clean(f"{type(error).__name__}: {server_words}"))


def retry_delay(tries: int, failure: Failure) -> float | None:
    """Seconds to wait after so many tries; None when the server wants more than anyone waits."""
    if failure.wait is not None:
        if failure.wait > LONGEST_RETRY_AFTER:
            return None
        # A little more than was asked: those who were turned away together return apart.
        return failure.wait * random.uniform(1.0, 1.1)
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (tries - 1))
    return longest * random.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, in seconds or as a date."""
    written = (headers.get("retry-after") or "").strip()
    if re.fullmatch(r"\d+(\.\d*)?", written):
        return float(written)
    try:
        date = parsedate_to_datetime(written)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max((date - (now or _servers_time(headers))).total_seconds(), 0.0)


def _servers_time(headers: Mapping[str, str]) -> datetime:
    """What time it is for the server: this machine's clock may be wrong."""
    try:
        date = parsedate_to_datetime(headers.get("date") or "")
    except (TypeError, ValueError):
        return datetime.now(UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _read_refusal(status: int, chain: list[BaseException], *, model: str, provider: str) -> Failure:
    server_words = _server_words(chain)
    if status == 404 and (fetch := vendor_of(provider).fetch):
        words = f"model {model!r} not found: `{fetch.format(model=model)}`"
        return Failure(words, status, refused=True)
    words = _WORDS.get(status, "server error" if status >= 500 else "the request was refused")
    again = status in _RETRIED
    if status == 429 and "insufficient_quota" in server_words:
        words, again = "the account's quota is used up", False
    more = (
        f": {server_words}"
        if server_words and not server_words.startswith("<") and status != 429
        else ""
    )
    headers = next((mapping for one in chain if (mapping := _headers(one)) is not None), {})
    param, code = _find_blamed(chain)
    reason, wait = _clean(f"HTTP {status}, {words}{more}"), retry_after(headers)
    return Failure(reason, status, again, wait, param=param, code=code, refused=True)


def _unreachable(chain: list[BaseException], where: str, vendor: Vendor) -> Failure | None:
    if where == vendor.name:  # nobody named an address
        where = vendor.usual_address or where
    numbers = {one.errno for one in chain if isinstance(one, OSError)}
    if errno.ECONNREFUSED in numbers or any(
        isinstance(one, ConnectionRefusedError) or "Connect call failed" in str(one)
        for one in chain
    ):
        start = f": is {vendor.title} running? Start it: `{vendor.start}`" if vendor.start else ""
        return Failure(_clean(f"connection refused at {where}{start}"), refused=True)
    if any(isinstance(one, socket.gaierror) for one in chain):
        return Failure(_clean(f"the host of {where} is not known"), refused=True)
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain):
        words = (getattr(one, "verify_message", "") for one in chain)  # aiohttp's own has none
        why = next(filter(None, words), "it cannot be verified")
        return Failure(_clean(f"the certificate of {where} is not valid: {why}"), refused=True)
    if any(isinstance(one, ssl.SSLError) for one in chain):
        return Failure(_clean(f"no TLS connection with {where}: {chain[-1]}"), refused=True)
    if errno.ECONNRESET in numbers or errno.EPIPE in numbers:
        return Failure("the connection was reset", again=True)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    passed: set[int] = set()
    while error is not None and id(error) not in passed:
        passed.add(id(error))
        yield error
        # Some libraries raise `from None`; the context still has the response and its headers.
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int) and status >= 400:
            return status
    body = getattr(error, "body", None)
    code = body.get("code") if isinstance(body, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _headers(error: BaseException) -> Mapping[str, str] | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None and getattr(error, "status_code", None):
        headers = getattr(error, "headers", None)
    if not isinstance(headers, Mapping):
        return None
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _bodies(chain: list[BaseException]) -> Iterator[Any]:
    """What the errors of a chain were answered with."""
    for one in chain:
        body = getattr(one, "body", None) or getattr(one, "error", None) or _body(one)
        if isinstance(body, str) and body.lstrip().startswith("{"):
            try:
                body = json.loads(body)
            except ValueError:
                continue
        yield body


def _find_blamed(chain: list[BaseException]) -> tuple[str, str]:
    """The parameter and the code in a refusal; empty where it names none.

    OpenAI and most others write `error.param` and `error.code`; servers made with FastAPI (Mistral,
    vLLM) write `detail`, with the place in the body and the kind of the fault.
    """
    named = ""
    for body in _bodies(chain):
        while isinstance(body, Mapping):
            details = body.get("detail")
            if isinstance(details, list) and details and isinstance(details[0], Mapping):
                place = [step for step in details[0].get("loc") or () if isinstance(step, str)]
                return (place[-1] if place else ""), str(details[0].get("type") or "")
            if isinstance(param := body.get("param"), str) and param:
                return param, str(body.get("code") or "")
            code = body.get("code")
            named = named or (code if isinstance(code, str) else "")
            body = body.get("error") or body.get("message")
    return "", named


def _server_words(chain: list[BaseException]) -> str:
    """The server's own words, in one line; an HTML page has none."""
    for body in _bodies(chain):
        if words := _words(body):
            return words
    first = str(chain[0])
    # What a library says of a reply without words is its own, with the address that was asked.
    if getattr(chain[0], "response", None) is not None or first.startswith("Error code:"):
        return ""
    return "" if "<html" in first.lower() else first


def _body(error: BaseException) -> Any:
    """What an error without a body of its own was answered with."""
    try:
        return getattr(error, "response", None).json()  # type: ignore[union-attr]
    except (AttributeError, ValueError, RuntimeError):  # none, no JSON, or not read
        return None


def _words(body: Any) -> str:
    if isinstance(body, Mapping):
        if isinstance(inner := body.get("error"), Mapping | str):
            return _words(inner)
        message = body.get("message") or body.get("detail") or ""
        if isinstance(message, Mapping):
            return _words(message)
        if isinstance(message, list) and message and isinstance(message[0], Mapping):
            place = ".".join(str(step) for step in message[0].get("loc") or ())
            return f"{place}: {message[0].get('msg')}"
        words = str(message)
        return f"{words} ({code})" if (code := body.get("code")) and words else words
    if isinstance(body, str) and "<html" not in body.lower():
        return body
    return ""


def _clean(text: str) -> str:
    line = " ".join(redact(text).split())
    return line if len(line) <= _SAID_AT_MOST else line[: _SAID_AT_MOST - 1] + "…"


# What a call waits for that is not its own doing makes nobody late: a turn in a lane, a load, a
# rate limit. Lanes and calls tell of it; whoever measures or shows a speaker's time listens.


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for."""

    reason: Literal["lane", "load", "rate limit"]
    lane: str
    place: int = 0
    """In the lane's queue: 1 is next."""
    seconds: float = 0.0
    """How long it will take, where that is known."""


Listener = Callable[[Wait | None], None]
"""Is told of each wait, and with None that it is over."""

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("_listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told of the waits of all calls that are made inside."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def wait_teller() -> Listener:
    """What tells those who listen here and now; a lane may call it later, from elsewhere."""
    listeners = _listeners.get()

    def tell(wait: Wait | None) -> None:
        for listener in listeners:
            listener(wait)

    return tell


class OwnTime:
    """The time that a speaker has taken itself.

    Args:
        clock: seconds that never go back.
        notify: is called when a wait begins, changes or ends.
        began: when it began, on that clock.
    """

    def __init__(
        self, clock: Callable[[], float], notify: Callable[[], object], began: float
    ) -> None:
        self._clock = clock
        self._notify = notify
        self._began = began
        self._waited = 0.0
        self._since: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it stands still."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """So far, without the waits."""
        now = self._clock() if self._since is None else self._since
        return now - self._began - self._waited

    def take(self, wait: Wait | None) -> None:
        """Take note of a wait, or of its end."""
        if wait is None and self._since is not None:
            self._waited += self._clock() - self._since
            self._since = None
        elif wait is not None and self._since is None:
            self._since = self._clock()
        self._notify()
