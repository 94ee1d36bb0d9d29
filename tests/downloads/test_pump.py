import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.routing import Route, Router

from carryout.clock import now
from carryout.db import open_database
from carryout.downloads.pump import Pace, Patience
from carryout.downloads.stream import DecidingDoor, Entrance, Handover, SendingDoor
from carryout.downloads.transfers import Transfers
from carryout.sessions import store as session_store
from carryout.settings import Settings
from carryout.tickets import Links
from carryout.web.guessing import GuessLimit
from tests.downloads.market import TICKETS, Market
from tests.merchants.makers import KEYRING
from tests.web.serving import Running, serving

MIB = 1024 * 1024
HASTY = Patience(poll_seconds=0.05, stall_seconds=0.3)


@asynccontextmanager
async def sending(market: Market, path: str, patience: Patience) -> AsyncIterator[tuple[Running, Transfers, str]]:
    """Both doors in this process: the running server, its transfers, and where the bytes of `path` are."""
    database = open_database(market.url)
    transfers = Transfers(database, now, lambda _: None, patience)
    entrance = Entrance(TICKETS, KEYRING, GuessLimit(0), ())
    ours = (database, market.storage, entrance, Links(TICKETS, "http://x"), now, Handover.NOBODY)
    routes = [
        Route("/d/{ticket}/{filename}", DecidingDoor(*ours, lambda _: None).download),
        Route("/f/{ticket}/{filename}", SendingDoor(*ours, transfers, lambda _: None).send),
    ]
    async with serving(Router(routes)) as running:
        answer = await running.exchange(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        location = answer.partition(b"location: http://x")[2].partition(b"\r")[0].decode()
        yield running, transfers, location
    await transfers.close()
    await database.close()


async def connected(running: Running, path: str) -> socket.socket:
    """A client with a small window that has asked for this."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", running.port))
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return client


@pytest.fixture
def market(settings: Settings) -> Market:
    return Market(settings)


@pytest.fixture
def path(market: Market) -> str:
    return market.order(market.huge_file(64 * 1024 * MIB)).path


async def test_a_client_that_stops_reading_is_dropped(market: Market, path: str) -> None:
    async with sending(market, path, HASTY) as (running, transfers, where):
        client = await connected(running, where)
        await running.until(lambda: transfers.count == 1)
        await running.until(lambda: transfers.count == 0)
        client.close()


async def test_a_client_that_reads_slowly_is_not(market: Market, path: str) -> None:
    loop = asyncio.get_running_loop()
    async with sending(market, path, HASTY) as (running, transfers, where):
        client = await connected(running, where)
        began = loop.time()
        while loop.time() < began + 4 * HASTY.stall_seconds:
            assert await loop.sock_recv(client, 2048)
        assert transfers.count == 1
        client.close()
        await running.until(lambda: transfers.count == 0)


async def test_counts_are_recorded_from_time_to_time(market: Market, path: str) -> None:
    hasty = Patience(poll_seconds=0.05, record_seconds=0.1)
    async with sending(market, path, hasty) as (running, _, where):
        client = await connected(running, where)
        database = open_database(market.url)

        async def count(tx: Any) -> int:
            parts = await session_store.list_parts(tx, market.store.id, [1])
            return sum(part.sent_bytes for part in parts)

        async with asyncio.timeout(10):
            while not await database.read(count):
                await asyncio.get_running_loop().sock_recv(client, 2048)
        await database.close()
        client.close()


def test_who_keeps_up_is_handed_more_at_once() -> None:
    pace = Pace()
    sizes = []
    for _ in range(200):
        sizes.append(pace.chunk_bytes)
        pace.note(pace.chunk_bytes, 0.0001)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (64 * 1024, MIB)


def test_who_does_not_is_handed_little() -> None:
    pace = Pace()
    for _ in range(200):
        pace.note(pace.chunk_bytes, 0.0001)
    for _ in range(2):
        pace.note(pace.chunk_bytes, 0.5)
    assert pace.chunk_bytes == 64 * 1024
    for _ in range(200):
        pace.note(pace.chunk_bytes, 0.01)
    assert pace.chunk_bytes == 64 * 1024
