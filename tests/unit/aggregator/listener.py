"""A receiver of webhooks on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener:
    """A receiver that answers with one status after another, and keeps what it was sent."""

    def __init__(self, *statuses: int):
        self.statuses = list(statuses)
        self.seen: list[tuple[dict[str, str], bytes]] = []


@contextmanager
def listening(listener: Listener) -> Iterator[str]:
    """The address of a receiver."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            listener.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status = listener.statuses.pop(0) if listener.statuses else 204
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
