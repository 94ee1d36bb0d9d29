"""A bad network: a TCP proxy that breaks a connection whenever so many bytes came through all of them together."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_CHUNK_BYTES: Final = 64 * 1024


class CuttingProxy:
    """Listens on `port` of 127.0.0.1 and leads to `upstream`. `cuts` is how often it broke a connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.upstream = 0
        self.cuts = 0
        self._marks: Iterator[int] = iter(())
        self._mark_bytes: int | None = None
        self._passed_bytes = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_at(self, *marks: int) -> None:
        """From here on break the connection over which these bytes come: counted anew, of all connections."""
        with self._lock:
            self._marks = itertools.chain(marks)
            self._mark_bytes = next(self._marks, None)
            self._passed_bytes = 0

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.upstream))
                for target, source, destination in ((self._up, client, server), (self._down, server, client)):
                    threading.Thread(target=target, args=(source, destination), daemon=True).start()

    def _up(self, source: socket.socket, destination: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                destination.sendall(data)
        _end(destination)

    def _down(self, source: socket.socket, destination: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                if self._is_cut_by(len(data)):
                    break
                destination.sendall(data)
        _end(source)
        _end(destination)

    def _is_cut_by(self, size_bytes: int) -> bool:
        with self._lock:
            self._passed_bytes += size_bytes
            if self._mark_bytes is None or self._passed_bytes < self._mark_bytes:
                return False
            self._mark_bytes = next(self._marks, None)
            self.cuts += 1
            return True


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def cutting_proxy() -> Iterator[CuttingProxy]:
    """A proxy, and its end."""
    proxy = CuttingProxy()
    try:
        yield proxy
    finally:
        proxy.close()
