from functools import partial

from carryout.db import Database
from carryout.entitlements import service
from carryout.entitlements.tasks import EntitlementTasks
from carryout.jobs import queue
from carryout.jobs.model import Job
from tests.cast import NOW
from tests.entitlements.makers import World, make_world
from tests.orders.makers import make_order

_MORE_THAN_A_BATCH = 203


def job(world: World, kind: str, **payload: int) -> Job:
    return Job(1, world.store.id, kind, payload, 1)


async def test_attaching_reaches_every_order_in_batches(database: Database) -> None:
    world = await make_world(database)
    others = [
        await database.write(partial(make_order, shopify_id=number, token=None), world.store)
        for number in range(1, _MORE_THAN_A_BATCH + 1)
    ]
    tasks = EntitlementTasks(database, lambda: NOW)
    for _ in range(2):
        await tasks.reach_orders(job(world, service.REACH_ORDERS, asset_id=world.asset.id))
    assert [len(await world.grants(order)) for order in others] == [1] * _MORE_THAN_A_BATCH


async def test_settings_are_applied_to_every_grant(database: Database) -> None:
    world = await make_world(database)
    world = await world.set(download_limit="4")
    await EntitlementTasks(database, lambda: NOW).apply_settings(job(world, service.APPLY_SETTINGS))
    assert [grant.base_downloads for grant in await world.grants()] == [4]


async def test_a_job_of_a_store_that_is_gone_does_nothing(database: Database) -> None:
    tasks = EntitlementTasks(database, lambda: NOW)
    await tasks.reach_orders(Job(1, 404, service.REACH_ORDERS, {"asset_id": 1}, 1))
    await tasks.apply_settings(Job(1, 404, service.APPLY_SETTINGS, {}, 1))


async def test_attaching_enqueues_the_job_that_reaches_orders_once(database: Database) -> None:
    world = await make_world(database)
    for _ in range(2):
        await database.write(partial(service.attach, skus=["song"], now=NOW), world.store, world.asset.id)
    await database.write(partial(service.attach, skus=["song"], reaches_existing=False, now=NOW), world.store, 1)
    assert [view.kind for view in await database.read(queue.list_jobs)] == [service.REACH_ORDERS]
