"""`kill -9` while deliveries stream in: what was answered is there, once; the rest may come again."""

import http.client
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import pytest
from sqlalchemy import select

from carryout.db import Tx, open_database
from carryout.db.database import is_embedded, sqlite_path
from carryout.db.statements import Query
from carryout.db.tables import inbox, orders
from tests.whole.shop import ORDER, Shop, deliver, order_body, token_of, view
from tests.world.program import Cli, Server

T = TypeVar("T")

CLIENTS: Final = 4
_DELIVERIES: Final = Query(select(inbox.c.delivery_id).order_by(inbox.c.id), str)
_ORDERS: Final = Query(select(orders.c.shopify_id).order_by(orders.c.id), int)
# http.client's words for a line that was cut.
_CUT: Final = (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead, http.client.BadStatusLine)


async def _list(tx: Tx, query: Query[T]) -> list[T]:
    return await tx.all(query)


async def _stored(url: str, query: Query[T]) -> list[T]:
    database = open_database(url)
    try:
        return await database.sweep(_list, query)
    finally:
        await database.close()


def _stream(server: Server, round_number: int, enough: threading.Event, count: int) -> list[int]:
    """Send until the server is gone; the orders that got a 200. `enough` is set after `count` of them."""
    answered: list[int] = []

    def send(client: int) -> None:
        number = 0
        while True:
            order = round_number * 1_000_000 + client * 10_000 + number
            try:
                reply = deliver(server, "orders/paid", order_body(order), f"delivery {order}")
            except _CUT:
                return
            assert reply.status == 200, reply
            answered.append(order)
            number += 1
            if len(answered) >= count:
                enough.set()

    threads = [threading.Thread(target=send, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    assert enough.wait(30)
    server.kill()
    for thread in threads:
        thread.join()
    return answered


async def _crash_and_count(
    cli: Cli, start_server: Callable[..., Server], url: str, tmp_path: Path, rounds: int, workers: str
) -> None:
    Shop(cli).open(tmp_path)
    answered: list[int] = []
    for number in range(1, rounds + 1):
        server = start_server("--workers", workers)
        answered += _stream(server, number, threading.Event(), 40 * number)
        if is_embedded(url):
            with closing(sqlite3.connect(sqlite_path(url))) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert connection.execute("PRAGMA foreign_key_check").fetchone() is None

    last = start_server("--workers", workers)
    again = deliver(last, "orders/paid", order_body(answered[0]), f"delivery {answered[0]}")
    assert (again.status, again.json) == (200, {"status": "duplicate"})
    assert view(last, token_of(answered[-1])).status == 200
    assert last.stop() == 0
    deliveries = [word for word in await _stored(url, _DELIVERIES) if word.startswith("delivery ")]
    found = await _stored(url, _ORDERS)
    assert len(set(deliveries)) == len(deliveries)
    assert {f"delivery {order}" for order in answered} <= set(deliveries)
    assert len(deliveries) - len(answered) <= rounds * CLIENTS  # stored, not answered: one a client and crash at most
    assert sorted(f"delivery {order - ORDER}" for order in found) == sorted(deliveries)


async def test_what_was_answered_survives_a_crash(
    cli: Cli, start_server: Callable[..., Server], database_url: str, tmp_path: Path
) -> None:
    await _crash_and_count(cli, start_server, database_url, tmp_path, rounds=2, workers="2")


@pytest.mark.large
async def test_what_was_answered_survives_many_crashes(
    cli: Cli, start_server: Callable[..., Server], database_url: str, tmp_path: Path
) -> None:
    await _crash_and_count(cli, start_server, database_url, tmp_path, rounds=10, workers="2")
