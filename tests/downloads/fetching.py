"""A buyer's program: it asks the deciding door, follows it to the sending one, and reads as much as it likes."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.clock import SECOND
from carryout.orders.model import Order
from carryout.tickets import TicketKind
from tests.cast import NOW
from tests.storefront.house import TICKETS, House

MIB: Final = 1024 * 1024


def grant_path(house: House, order: Order, name: str = "book.epub") -> str:
    """The deciding door of the order's first grant."""
    return f"/d/{TICKETS.issue(TicketKind.GRANT, house.store.id, house.grant(order).id, 1)}/{name}"


def zip_path(house: House, order: Order) -> str:
    """The deciding door of everything in the order."""
    return f"/d/{TICKETS.issue(TicketKind.ORDER, house.store.id, order.id, 1)}/all.zip"


def opened(house: House, path: str, **options: Any) -> str:
    """The path of the sending door that the deciding door leads to."""
    decided = house.get(path, **options)
    assert decided.status_code == 302, decided.text
    return decided.headers["location"].removeprefix(house.server.base_url)


def fetch(house: House, path: str, **options: Any) -> httpx.Response:
    """Ask the deciding door, and follow it to the sending one."""
    decided = house.get(path, **options)
    if decided.status_code != 302:
        return decided
    return house.get(decided.headers["location"].removeprefix(house.server.base_url), **options)


def blob_path(house: House, order: Order) -> Path:
    """Where the bytes of the order's first grant are kept."""
    digest = house.grant(order).sha256
    assert digest is not None
    return house.storage._path(house.store.uid, digest)  # noqa: SLF001 - a disk that loses a file goes round every door


def replace(house: House, asset: Asset, content: bytes) -> None:
    """A new version of a file."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    blob = asyncio.run(house.storage.put(house.store.uid, chunks()))
    house.write(catalog.add_version, house.store.id, asset.id, blob, NOW + SECOND)


def pattern(size_bytes: int) -> bytes:
    """Bytes of which no two places look alike."""
    lines = (hashlib.sha256(b"%d" % number).digest() for number in range(size_bytes // 32 + 1))
    return b"".join(lines)[:size_bytes]


class Reader:
    """A connection on which one GET was sent; with a small window, what it does not read stays with the server.

    `headers` are the answer's; `body` is what was read of it so far.
    """

    def __init__(self, connection: socket.socket, path: str, headers: str) -> None:
        self._connection = connection
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(4096)
            assert more, "no answer came"
            head += more
        answer, _, self.body = head.partition(b"\r\n\r\n")
        self.status = int(answer.split()[1])
        self.headers = answer.decode("latin-1").lower()

    def read(self, total_bytes: int) -> bytes:
        """Go on until so much of the body was read, or there is no more; all of it so far."""
        while len(self.body) < total_bytes:
            try:
                more = self._connection.recv(min(256 * 1024, total_bytes - len(self.body)))
            except ConnectionResetError:
                break
            if not more:
                break
            self.body += more
        return self.body

    def leave(self) -> None:
        """Close the connection, whatever was not read."""
        self._connection.close()


@contextmanager
def reading(
    port: int, path: str, headers: str = "", address: str = "127.0.0.1", *, is_fast: bool = False
) -> Iterator[Reader]:
    """Send one GET and read its head; `headers` are whole lines. Who is fast has the window of its system."""
    with socket.socket() as connection:
        if not is_fast:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.bind((address, 0))
        connection.connect(("127.0.0.1", port))
        yield Reader(connection, path, headers)
