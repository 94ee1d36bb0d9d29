import socket
from typing import TYPE_CHECKING

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from carryout.web.protocol import TRANSPORT
from carryout.web.server import NOTSENT_LOWAT_BYTES, listening_socket
from tests.web.serving import serving

if TYPE_CHECKING:
    import asyncio


async def test_little_stays_unsent_in_the_kernel_of_every_connection() -> None:
    found = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["extensions"][TRANSPORT]
        sock = transport.get_extra_info("socket")
        found.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))
        await PlainTextResponse("")(scope, receive, send)

    async with serving(app) as running:
        await running.exchange(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")

    assert found == [NOTSENT_LOWAT_BYTES]


def test_ipv4_clients_reach_a_server_on_all_ipv6_addresses() -> None:
    with listening_socket("::", 0) as sock:
        sock.listen()
        with socket.create_connection(("127.0.0.1", sock.getsockname()[1])):
            pass


def test_a_taken_address_is_an_os_error() -> None:
    with listening_socket("127.0.0.1", 0) as sock:
        sock.listen()
        with pytest.raises(OSError, match="in use"):
            listening_socket("127.0.0.1", sock.getsockname()[1])
