"""A web page that somebody visits cannot spend, or read, through a server on this machine."""

from __future__ import annotations

import json
import socket

import pytest

from mom_council.runs.http_guard import fault_in_sender, is_loopback_host
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY, Serve, Served
from mom_council.tests.stage import Stage

BODY = json.dumps({"model": "desk", "messages": [{"role": "user", "content": "Which?"}]}).encode()


def status(
    served: Served, *headers: str, path: str = "/v1/chat/completions", get: bool = False
) -> int:
    """The status of a request that is written by hand; Host is ours unless it is among them."""
    host, _, port = served.url.removeprefix("http://").partition(":")
    lines = [f"{'GET' if get else 'POST'} {path} HTTP/1.1", *headers, "Connection: close"]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.append(f"Host: {host}:{port}")
    if not any(line.lower().startswith("content-type:") for line in headers):
        lines.append("Content-Type: application/json")
    body = b"" if get else BODY
    lines += [f"Content-Length: {len(body)}", "", ""]
    with socket.create_connection((host, int(port)), 60) as opened:
        opened.sendall("\r\n".join(lines).encode() + body)
        return int(opened.recv(65536).split()[1])


ELSEWHERE = {
    "a rebound name": ("Host: evil.example",),
    "a rebound name with our port": ("Host: evil.example:{port}",),
    "a name that begins like ours": ("Host: 127.0.0.1.evil.example",),
    "another site": ("Origin: http://evil.example",),
    "another site over https": ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"),
    "another port of this machine": ("Origin: http://127.0.0.1:1",),
    "a page in a file": ("Origin: null",),
    "a site that hides its origin": ("Sec-Fetch-Site: cross-site",),
    "a neighbour": ("Sec-Fetch-Site: same-site",),
    "a link that is followed": (
        *("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
    ),
}


@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE)
def test_another_site_neither_asks_nor_reads(
    stage: Stage, serve: Serve, headers: tuple[str, ...]
) -> None:
    seat(stage)
    served = serve(desk(stage))
    port = served.url.rpartition(":")[2]
    written = [one.replace("{port}", port) for one in headers]
    for path in ("/v1/chat/completions", "/v1/responses"):
        assert status(served, *written, path=path) == 403
    if "followed" not in str(headers) and len(headers) < 3:
        assert status(served, *written, path="/v1/models", get=True) == 403
    assert stage.calls == []


def sent(host: str, *origins: str) -> str | None:
    """Why a request with these headers is refused."""
    headers = [(b"host", host.encode()), *((b"origin", one.encode()) for one in origins)]
    return fault_in_sender({"type": "http", "method": "POST", "headers": headers}, is_loopback_host)


OWN_HOSTS = "127.0.0.1 127.0.0.1:8000 LOCALHOST:80 localhost.:80 [::1] [::1]:80 [::ffff:127.0.0.1]"
OTHER_HOSTS = """
    evil.example@127.0.0.1:80 127.0.0.1@evil.example 127.0.0.1#evil.example 127.0.0.1/evil
    127.0.0.1?evil 127.0.0.1:80:evil [::1]evil [::1%25evil] [::1 ::1 localhost:99999 localhost:x
    localhost.. .localhost 127.1 2130706433 0x7f000001 0.0.0.0 [::] [fe80::1] 127.0.0.1.nip.io
    127.0.0.1,evil.example localhost.evil.example 127.0.0.1\\evil.example ｌocalhost
"""
OTHER_ORIGINS = """
    //127.0.0.1:8000 ftp://127.0.0.1:8000 127.0.0.1:8000 http://127.0.0.1:8000@evil.example null
    http://evil@127.0.0.1:8000 http://127.0.0.1:8000.evil.example http://127.0.0.1 file://
    http://localhost:8000 chrome-extension://127.0.0.1:8000 http://127.0.0.1:8000/
"""


def test_a_host_is_a_name_and_a_port_and_an_origin_is_that_of_a_page() -> None:
    for host in OWN_HOSTS.split():
        assert sent(host) is None, host
    for host in ("", *OTHER_HOSTS.split()):
        assert sent(host), host
    assert sent("127.0.0.1:8000", "http://127.0.0.1:8000") is None
    assert sent("127.0.0.1:8000", "http://127.0.0.1:8000", "http://evil.example")
    for origin in ("", *OTHER_ORIGINS.split()):
        assert sent("127.0.0.1:8000", origin), origin


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_of_a_page_is_refused(stage: Stage, serve: Serve, kind: str) -> None:
    seat(stage)
    served = serve(desk(stage))
    assert status(served, f"Content-Type: {kind}") == 415
    assert stage.calls == []


def test_two_hosts_are_refused_with_and_without_keys(stage: Stage, serve: Serve) -> None:
    seat(stage)
    for served, more in ((serve(desk(stage)), ()), (serve(desk(stage), keys=KEY), (KEY,))):
        own = served.url.removeprefix("http://")
        key = [f"Authorization: Bearer {one}" for one in more]
        assert status(served, f"Host: {own}", "Host: evil.example", *key) in (400, 403)
        assert status(served, "Host: evil.example", f"Host: {own}", *key) in (400, 403)
    assert stage.calls == []


def test_programs_and_pages_of_our_own_are_answered(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    assert status(served) == 200
    assert status(served, f"Origin: {served.url}", "Sec-Fetch-Site: same-origin") == 200
    keyed = serve(desk(stage), keys=KEY)
    assert status(keyed, f"Authorization: Bearer {KEY}", "Host: council.example") == 200
