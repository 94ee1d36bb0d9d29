"""Takes files from a server, so cheaply that the server is what is measured.

`downloads.py fetch PORT PATH SECONDS` downloads one file again and again over a connection each. What arrives is thrown
away in the kernel (`MSG_TRUNC`, see tcp(7)), uncopied; only the first download is read, and must be whole.
`downloads.py slow PORT LINKS COUNT BYTES` opens so many downloads, says READY, and takes so many bytes a second of each
until its standard input ends.

Both follow redirects on the same port, and print their result as one line of JSON.
"""

import contextlib
import itertools
import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_BUFFER_BYTES = 1024 * 1024
_SLOW_WINDOW_BYTES = 32 * 1024
_TICKS = 50  # a second


class Reply(NamedTuple):
    """The head of an answer, its connection, and how much of the body came with it."""

    status: int
    headers: dict[str, str]
    connection: socket.socket
    body: bytes


def ask(port: int, path: str, window_bytes: int | None = None) -> Reply:
    """Ask for a path, and follow where it leads."""
    while True:
        connection = socket.socket()
        if window_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
        connection.connect(("127.0.0.1", port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            if not (data := connection.recv(4096)):
                raise ConnectionError(f"{path} was not answered")
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        reply = Reply(int(status.split()[1]), headers, connection, body)
        if reply.status != 302:  # noqa: PLR2004 - an HTTP status
            return reply
        connection.close()
        path = urlsplit(headers["location"]).path


def fetch(port: int, path: str, seconds: float) -> dict[str, float]:
    """Download for so long; what it calls requests are MiB."""
    buffer = bytearray(_BUFFER_BYTES)
    began, waits, received, errors = time.perf_counter(), list[float](), 0, 0
    while time.perf_counter() - began < seconds:
        asked_at = time.perf_counter()
        reply = ask(port, path)
        left = int(reply.headers["content-length"]) - len(reply.body)
        flags = socket.MSG_TRUNC if waits else 0
        while left > 0 and (count := reply.connection.recv_into(buffer, min(left, _BUFFER_BYTES), flags)):
            left -= count
        reply.connection.close()
        received += int(reply.headers["content-length"]) - left
        errors += left > 0 or reply.status != 200  # noqa: PLR2004 - an HTTP status
        waits.append(time.perf_counter() - asked_at)
    lasted = time.perf_counter() - began
    return {
        "requests": received / 1024**2,
        "seconds": lasted,
        "errors": errors,
        "p50_us": sorted(waits)[len(waits) // 2] * 1e6,
        "generator_busy": time.process_time() / lasted,
    }


def slow(port: int, links: list[str], bytes_a_second: int) -> dict[str, float]:
    """Take a little of many downloads, in turns, until nobody wants it any more."""
    opened = [ask(port, path, _SLOW_WINDOW_BYTES) for path in links]
    errors = sum(reply.status != 200 for reply in opened)  # noqa: PLR2004 - an HTTP status
    buffer = bytearray(bytes_a_second)
    received, starved = 0, 0
    began = time.perf_counter()
    for tick in itertools.count():
        if tick == 3 * _TICKS:
            print("READY", flush=True)
        for reply in opened[tick % _TICKS :: _TICKS]:
            try:
                count = reply.connection.recv_into(buffer, bytes_a_second, socket.MSG_DONTWAIT)
            except BlockingIOError:
                starved += 1
                continue
            except ConnectionError:
                count = 0
            received += count
            errors += not count
        wait = max(began + tick / _TICKS - time.perf_counter(), 0)
        if select.select([0], [], [], wait)[0]:
            break
    lasted = time.perf_counter() - began
    for reply in opened:
        with contextlib.suppress(OSError):
            reply.connection.close()
    return {
        "requests": received / 1024**2,
        "seconds": lasted,
        "errors": errors,
        "p50_us": 0.0,
        "starved": starved,
        "generator_busy": time.process_time() / lasted,
    }


if __name__ == "__main__":
    _what, _port, _path, *_rest = sys.argv[1:]
    if _what == "fetch":
        _result = fetch(int(_port), _path, float(_rest[0]))
    else:
        _count, _bytes = map(int, _rest)
        with Path(_path).open() as _file:
            _links = [line.rstrip("\n") for line in itertools.islice(_file, _count)]
        _result = slow(int(_port), _links, _bytes)
    print("RESULT " + json.dumps(_result), flush=True)
