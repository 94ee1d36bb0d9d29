"""An asset is attached while an order is recorded: whichever commits first, the order is granted it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import func, select, text

from carryout.db import Database, Query, Tx
from carryout.entitlements import service
from carryout.entitlements.tasks import EntitlementTasks
from carryout.jobs.model import Job
from carryout.orders.model import Order
from tests.cast import NOW
from tests.catalog.makers import make_file
from tests.entitlements.makers import World, make_world
from tests.orders.makers import make_order

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer

WAITING = Query(select(func.count().label("count")).select_from(text("pg_locks")).where(text("NOT granted")), int)
Work = Callable[[Tx], Awaitable[object]]


async def count_waiting(tx: Tx) -> int | None:
    return await tx.one(WAITING)


async def overlap(database: Database, first: Work, second: Callable[[], Awaitable[object]]) -> None:
    """Run the first up to its commit, then the second until it ends or waits, then let the first commit."""
    is_done, may_commit = asyncio.Event(), asyncio.Event()

    async def run_and_wait(tx: Tx) -> None:
        await first(tx)
        is_done.set()
        await may_commit.wait()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(database.write(run_and_wait))
        await is_done.wait()
        later = asyncio.ensure_future(second())
        while not later.done() and not await database.read(count_waiting):
            pass
        may_commit.set()
        await later


@pytest.mark.parametrize("is_attached_first", [True, False])
async def test_no_order_misses_what_is_attached_meanwhile(database: Database, *, is_attached_first: bool) -> None:
    world = await make_world(database)
    asset = await database.write(make_file, world.store.id, "new.pdf")
    made: list[Order] = []

    async def record(tx: Tx) -> None:
        made.append(await make_order(tx, world.store, shopify_id=77, token=None))
        await service.regrant(tx, world.store, made[-1].id, NOW)

    attach = partial(service.attach, owner=world.store, asset_id=asset.id, skus=["song"], now=NOW)
    job = Job(1, world.store.id, service.REACH_ORDERS, {"asset_id": asset.id}, 1)
    reach = partial(EntitlementTasks(database, lambda: NOW).reach_orders, job)

    async def attach_and_reach() -> None:
        await database.write(attach)
        await reach()

    if is_attached_first:
        await overlap(database, attach, partial(database.write, record))
        await reach()
    else:
        await overlap(database, record, attach_and_reach)

    assert "new.pdf" in await filenames(world, made[-1])


async def filenames(world: World, order: Order) -> list[str]:
    """What the order grants."""
    return [grant.filename for grant in await world.grants(order)]
