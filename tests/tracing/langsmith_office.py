"""A local server that poses as the LangSmith API and keeps what it was sent."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import zstandard


class Office:
    """LangSmith's ingest endpoints; use as a context."""

    def __init__(self, *, multipart: bool = True) -> None:
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.runs: dict[str, dict[str, Any]] = {}
        office = self

        class Desk(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                office.requests.append(f"GET {self.path}")
                limits = {"size_limit": 100, "size_limit_bytes": 20_000_000}
                threads = {
                    "scale_up_qsize_trigger": 1000,
                    "scale_up_nthreads_limit": 4,
                    "scale_down_nempty_trigger": 4,
                }
                how = {"use_multipart_endpoint": multipart}
                self._answer({"batch_ingest_config": limits | threads | how})

            def do_POST(self) -> None:
                office.requests.append(f"POST {self.path}")
                office._take(self.path, dict(self.headers), self._body())
                self._answer({})

            do_PATCH = do_POST

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    parts = []
                    while size := int(self.rfile.readline(), 16):
                        parts.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(parts)
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def _answer(self, told: Any) -> None:
                body = json.dumps(told).encode()
                self.send_response(202)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Office:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if headers.get("Content-Encoding") == "zstd":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        self.bodies.append(body)
        if path.endswith("/multipart"):
            head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
            for part in email.message_from_bytes(
                head + body, policy=email.policy.HTTP
            ).iter_parts():
                name = str(part.get_param("name", header="content-disposition"))
                _, run, *field = name.split(".")
                told = json.loads(part.get_payload(decode=True) or b"null")
                self._run(run, {field[0]: told} if field else told)
        elif path.endswith("/batch"):
            told = json.loads(body)
            for run in [*(told.get("post") or ()), *(told.get("patch") or ())]:
                self._run(run["id"], run)
        elif path.endswith("/runs"):
            run = json.loads(body)
            self._run(run["id"], run)

    def _run(self, run_id: str, told: dict[str, Any]) -> None:
        kept = self.runs.setdefault(run_id, {})
        kept.update({key: value for key, value in told.items() if value is not None})
