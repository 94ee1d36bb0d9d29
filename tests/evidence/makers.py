"""Makers of events, and what an intruder in the database may do to them."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update

from carryout.db import Database, Query, Statement, Tx
from carryout.db.tables import event_chains, events
from carryout.evidence import service
from carryout.evidence.model import Event, EventType, Subject, Verified, Witness
from carryout.merchants.model import Store
from tests.cast import BEA, NOW
from tests.merchants.makers import KEYRING

ORDER: Final = 7
LIST_IDS: Final = Query(select(events.c.id).order_by(events.c.id), int)
DELETE: Final = Statement(delete(events).where(events.c.id == bindparam("at_id")))


def witness() -> Witness:
    """Bea at her browser."""
    return service.witness(KEYRING, KEYRING.digest("address", BEA.address), "Mozilla/5.0 (X11; de-DE) Firefox/140")


def make_event(order_id: int = ORDER, *, name: str = "book.epub", witnessed: Witness | None = None) -> Event:
    """A download of an order's book, by Bea."""
    subject = Subject(order_id, f"order {order_id}", "grant", "asset")
    return Event(EventType.DOWNLOAD_ALLOWED, subject, {"filename": name, "used": 1}, witnessed or witness())


async def record(database: Database, store: Store, count: int = 1, order_id: int = ORDER) -> None:
    """Record so many events, not chained."""
    await database.write(service.record, store.id, [make_event(order_id) for _ in range(count)], NOW)


async def chain(database: Database, store: Store, now: int = NOW) -> None:
    """Chain all of them."""
    while await database.write(service.chain, store.id, KEYRING, now):
        pass


async def make_chained(database: Database, store: Store, count: int) -> list[int]:
    """Record and chain so many events; the ids of all events."""
    await record(database, store, count)
    await chain(database, store)
    return await database.read(list_ids)


async def list_ids(tx: Tx) -> list[int]:
    """The ids of all events."""
    return await tx.all(LIST_IDS)


async def delete_event(tx: Tx, event_id: int) -> None:
    """Delete an event."""
    await tx.run(DELETE, at_id=event_id)


async def change_event(tx: Tx, event_id: int, changes: dict[str, Any]) -> None:
    """Put other values into the columns of an event."""
    values = {name: bindparam(f"new_{name}", type_=events.c[name].type) for name in changes}
    statement = Statement(update(events).where(events.c.id == bindparam("at_id")).values(values))
    assert await tx.run(statement, at_id=event_id, **{f"new_{name}": value for name, value in changes.items()}) == 1


async def change_chain(tx: Tx, store_id: int, changes: dict[str, Any]) -> None:
    """Put other values into the columns of a store's chain."""
    values = {name: bindparam(f"new_{name}", type_=event_chains.c[name].type) for name in changes}
    statement = Statement(update(event_chains).where(event_chains.c.store_id == bindparam("at_id")).values(values))
    assert await tx.run(statement, at_id=store_id, **{f"new_{name}": value for name, value in changes.items()}) == 1


async def verify(database: Database, store: Store) -> Verified:
    """Verify a store's record."""
    return await database.sweep(service.verify, store.id, KEYRING)


async def broken_id(database: Database, stores: Sequence[Store]) -> int | None:
    """Where the first broken record is broken: an event's id, 0 for a chain's own row, None when all hold."""
    for store in stores:
        if broken := (await verify(database, store)).broken:
            return broken.event_id or 0
    return None
