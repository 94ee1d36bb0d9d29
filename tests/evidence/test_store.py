"""Ids commit out of order on PostgreSQL: an event is chained when none can appear below it any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from carryout.db import Database, Tx
from carryout.evidence import service, store
from carryout.evidence.model import Settled
from carryout.jobs import queue
from carryout.merchants.model import Store
from tests.cast import NOW, OTHER
from tests.evidence.makers import chain, list_ids, make_chained, make_event, record, verify
from tests.merchants.makers import KEYRING, make_store

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


@asynccontextmanager
async def recording(database: Database, store_id: int, *, is_kept: bool = True) -> AsyncIterator[asyncio.Event]:
    """A transaction that has inserted an event and goes on until the block ends, or what it yields is set."""
    inserted, is_over = asyncio.Event(), asyncio.Event()

    async def work(tx: Tx) -> None:
        await store.lock_recording(tx, store_id)
        event = service._values(make_event(), NOW)  # noqa: SLF001 - without its job, which two at once would wait for
        await store.insert_events(tx, store_id, [event])
        inserted.set()
        await is_over.wait()
        if not is_kept:
            raise LookupError

    running = asyncio.ensure_future(database.write(work))
    try:
        await inserted.wait()
        yield is_over
    finally:
        is_over.set()
        await asyncio.gather(running, return_exceptions=True)


async def feed(database: Database, store: Store) -> list[int]:
    return [event.id for event in (await database.read(service.list_events, store.id, 0, 100))[0]]


async def test_everything_is_settled_while_nobody_records(database: Database, mira: Store) -> None:
    assert await database.write(store.find_settled, mira.id) == Settled(0, is_awaited=False)
    ids = await make_chained(database, mira, 2)
    assert await database.write(store.find_settled, mira.id) == Settled(ids[-1], is_awaited=False)


@on_postgresql
async def test_an_event_is_not_chained_while_a_smaller_id_may_appear(database: Database, mira: Store) -> None:
    (first,) = await make_chained(database, mira, 1)
    async with recording(database, mira.id):  # holds the smaller id
        async with recording(database, mira.id):
            pass
        await chain(database, mira)
        assert await feed(database, mira) == [first]
        assert (await verify(database, mira)).unchained == 1
    await chain(database, mira)
    ids = await database.read(list_ids)
    assert len(ids) == 3
    assert await feed(database, mira) == ids
    assert (await verify(database, mira)).broken is None


@on_postgresql
async def test_what_is_below_a_running_transaction_is_chained(database: Database, mira: Store) -> None:
    await record(database, mira, 2)
    async with recording(database, mira.id):
        await chain(database, mira)
        assert len(await feed(database, mira)) == 2


@on_postgresql
async def test_the_id_of_a_transaction_that_was_undone_is_passed(database: Database, mira: Store) -> None:
    async with recording(database, mira.id, is_kept=False):
        await record(database, mira)
        await chain(database, mira)
        assert await feed(database, mira) == []
    await chain(database, mira)
    assert len(await feed(database, mira)) == 1


@on_postgresql
async def test_a_job_comes_back_for_what_it_could_not_see(database: Database, mira: Store) -> None:
    async with recording(database, mira.id):
        await chain(database, mira)
    (job,) = await database.read(queue.list_jobs)
    assert job.kind == service.CHAIN_EVENTS


@on_postgresql
async def test_nobody_waits_for_another_stores_events(database: Database, mira: Store) -> None:
    other = await database.write(make_store, OTHER)
    async with recording(database, other.id):
        await make_chained(database, mira, 1)
        assert len(await feed(database, mira)) == 1


@on_postgresql
async def test_a_cursor_misses_nothing_of_many_who_record_at_once(database: Database, mira: Store) -> None:
    async def keep_recording() -> None:
        for _ in range(15):
            await record(database, mira)

    async def follow(seen: list[int]) -> None:
        await database.write(service.chain, mira.id, KEYRING, NOW)
        found, _ = await database.read(service.list_events, mira.id, seen[-1] if seen else 0, 100)
        seen.extend(event.id for event in found)

    recorders = asyncio.gather(*(keep_recording() for _ in range(8)))
    seen: list[int] = []
    while not recorders.done():
        await follow(seen)
    await recorders
    await follow(seen)
    assert seen == await database.read(list_ids)
    assert (await verify(database, mira)).broken is None
