"""A deployment on loopback: the aggregator's real application over fakes, and a registry of canned answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fastapi import FastAPI
from pilot_aggregator.service import Service
from pilot_proto.base import as_json
from pydantic import BaseModel
from unit.aggregator.service import API, call

Answer = tuple[int, bytes]
Handler = Callable[[str, str, dict[str, str], bytes], Answer]


@contextmanager
def served(handler: Handler) -> Iterator[str]:
    """The address of a service that answers with what `handler` says."""

    class Bridge(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = handler(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Nothing on stderr, which belongs to the command."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bridge)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def aggregator(app: FastAPI) -> Handler:
    """The real application."""

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        who = headers.get("authorization", "").removeprefix("Bearer ")
        kept = {name: headers[name] for name in ("idempotency-key", "content-type") if name in headers}
        response = call(app, who, method, f"/{path}", content=body, headers={**kept, "host": "aggregator"})
        return response.status_code, response.content

    return answer


@dataclass
class CannedRegistry:
    """Answers by method and path; remembers what else came along."""

    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def tells(self, path: str, body: BaseModel | bytes, status: int = 200, method: str = "GET") -> None:
        """`path` is below the API's prefix unless it starts with two slashes."""
        full = path[1:] if path.startswith("//") else API + path
        self.answers[method, full] = status, body if isinstance(body, bytes) else json.dumps(as_json(body)).encode()

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.requests.append((method, path, headers, body))
        missing = b'{"type":"x","title":"Not found","status":404,"code":"not_found","detail":"there is no such thing"}'
        return self.answers.get((method, path), (404, missing))


@dataclass
class Deployment:
    """What the commands talk to."""

    service: Service
    registry: CannedRegistry
