"""What no client should send, to the whole program over a socket."""

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cast import MIRA
from tests.whole.shop import Shop, deliver, send
from tests.world.program import Cli, Server

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LIMIT_BYTES = 10 * 1024 * 1024


def _say(server: Server, *parts: bytes, is_cut: bool = False) -> bytes:
    """What comes back first for these bytes."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as client:
        for part in parts:
            client.sendall(part)
        if is_cut:
            client.shutdown(socket.SHUT_WR)
        return client.recv(65536)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /webhooks/shopify HTTP/1.1\r\nHost: a\r\nContent-Length: 64000000\r\n\r\n", 413),
    ],
)
def test_a_bad_head_is_answered_and_the_line_closed(server: Server, head: bytes, status: int) -> None:
    assert _say(server, head).startswith(b"HTTP/1.1 %d " % status)
    assert send(server, "GET", "/healthz").status == 200


def test_a_body_that_is_cut_short_is_no_traceback(start_server: Callable[..., Server]) -> None:
    server = start_server()
    head = b"POST /webhooks/shopify HTTP/1.1\r\nHost: a\r\nX-Shopify-Shop-Domain: x\r\n"
    _say(server, head + b"Content-Length: 100\r\n\r\n", b"{", is_cut=True)
    _say(server, head + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\n{", is_cut=True)
    _say(server, head + b"Transfer-Encoding: chunked\r\n\r\n", b"odd\r\n{", is_cut=True)

    assert send(server, "GET", "/healthz").status == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log
    assert '"level":"error"' not in server.log


def test_ten_mebibytes_are_taken_and_one_byte_more_is_not(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    Shop(cli).open(tmp_path)
    server = start_server()
    empty = len(b'{"note": ""}')

    assert deliver(server, "orders/paid", {"note": "x" * (LIMIT_BYTES - empty)}, "delivery 1").status == 200
    head = f"POST /webhooks/shopify HTTP/1.1\r\nHost: a\r\nX-Shopify-Shop-Domain: {MIRA.domain}\r\n".encode()
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    reply = _say(server, head + b"Transfer-Encoding: chunked\r\n\r\n", chunk * 160, b"1\r\nx\r\n")
    assert reply.startswith(b"HTTP/1.1 413 ")
