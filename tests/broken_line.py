"""A line that breaks: a TCP proxy on loopback that hangs up after so many bytes, again and again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Line:
    """Where it listens, and what went through it."""

    target: tuple[str, int]
    cut_after: int | None
    """Bytes of one direction of one connection, then both ends hang up; none: a line that holds."""
    cut_answers: bool = False
    """Count what the server says instead of what it is told."""
    breaks: int | None = None
    """How many connections break; none: all that get so far."""
    broken: int = 0
    sent: int = 0
    """Bytes towards the server, of all connections."""
    connections: int = 0
    endpoint: str = ""
    _sockets: list[socket.socket] = field(default_factory=list)

    def carry(self, near: socket.socket) -> None:
        """One connection."""
        self.connections += 1
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        self._sockets += [near, far]
        there = threading.Thread(target=self._pump, args=(near, far, not self.cut_answers, True), daemon=True)
        back = threading.Thread(target=self._pump, args=(far, near, self.cut_answers, False), daemon=True)
        there.start()
        back.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool, outward: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(1 << 14):
                sink.sendall(data)
                passed += len(data)
                self.sent += len(data) if outward else 0
                if counts and self._breaks_at(passed):
                    self.broken += 1
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _breaks_at(self, passed: int) -> bool:
        if self.cut_after is None or passed < self.cut_after:
            return False
        return self.breaks is None or self.broken < self.breaks

    def close(self) -> None:
        for end in self._sockets:
            end.close()


@contextmanager
def broken_line(endpoint: str, cut_after: int | None, **options: bool | int) -> Iterator[Line]:
    """A proxy in front of `host:port`."""
    host, port = endpoint.removeprefix("http://").split(":")
    line = Line((host, int(port)), cut_after, **options)  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    line.endpoint = f"127.0.0.1:{listener.getsockname()[1]}"

    def serve() -> None:
        with suppress(OSError):
            while True:
                line.carry(listener.accept()[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        line.close()
