"""A proxy in front of a real MLflow server that answers as a failing, a slow or a guarded server does."""

from __future__ import annotations

import base64
import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

WRITES = ("runs/set-tag", "runs/delete-tag", "runs/log-batch", "mlflow-artifacts/artifacts")


@dataclass
class Faults:
    """What the proxy does. `fail_from` counts the writes of a run, from 1; `status` 0 closes the connection instead.

    It does so after `delay` seconds, in which the client may have given up.
    """

    address: str = ""
    fail_from: int | None = None
    heal_after: int | None = None
    status: int = 500
    delay: float = 0.0
    credentials: str | None = None
    writes: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, authorization: str | None) -> int | None:
        """The status to answer with in place of the server; None to pass the request on."""
        expected = None if self.credentials is None else base64.b64encode(self.credentials.encode()).decode()
        if expected is not None and authorization != f"Basic {expected}":
            return 401
        if method == "GET" or not any(word in path for word in WRITES):
            return None
        self.writes.append(path)
        count = len(self.writes)
        healed = self.heal_after is not None and count > self.heal_after
        return self.status if self.fail_from is not None and count >= self.fail_from and not healed else None


@contextlib.contextmanager
def proxy(server: str) -> Iterator[Faults]:
    """A proxy for `server` (http://host:port) on a free port."""
    faults, target = Faults(), urlsplit(server)

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = faults.answer(self.command, self.path, self.headers.get("Authorization"))
            self.close_connection = True
            if status is not None:
                time.sleep(faults.delay)
            if status == 0:
                return
            if status is not None:
                self._reply(status, {"Retry-After": "0"}, b'{"error_code": "PERMISSION_DENIED", "message": "no"}')
                return
            upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
            passed = {key: value for key, value in self.headers.items() if key not in ("Host", "Authorization")}
            upstream.request(self.command, self.path, body, {**passed, "Host": target.netloc})
            answer = upstream.getresponse()
            kind = answer.headers.get("Content-Type", "application/json")
            self._reply(answer.status, {"Content-Type": kind}, answer.read())
            upstream.close()

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    faults.address = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield faults
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
