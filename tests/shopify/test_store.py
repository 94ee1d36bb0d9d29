"""The inbox's SQL where a service test would not see it."""

from pathlib import Path

import pytest

from carryout.db import Database
from carryout.shopify import store
from carryout.shopify.model import Outcome
from tests.cast import NOW, OTHER
from tests.shopify.makers import Shop, open_shop
from tests.shopify.payloads import order


@pytest.fixture
async def shop(database: Database, data_dir: Path) -> Shop:
    return await open_shop(database, data_dir)


async def test_pages_of_the_inbox_meet(shop: Shop) -> None:
    for number in range(5):
        await shop.send("carts/update", {}, f"delivery {number}")
    first = await shop.database.read(store.list_deliveries, shop.owner.id, 2**63 - 1, 3)
    second = await shop.database.read(store.list_deliveries, shop.owner.id, first[-1].id, 3)
    assert [row.delivery_id for row in (*first, *second)] == [f"delivery {number}" for number in (4, 3, 2, 1, 0)]


async def test_parked_deliveries_come_in_pages(shop: Shop) -> None:
    for number in range(3):
        await shop.send("orders/paid", {}, f"delivery {number}")
    first = await shop.database.read(store.list_due_parked, 0, 2)
    second = await shop.database.read(store.list_due_parked, first[-1].id, 2)
    assert [len(first), len(second)] == [2, 1]


async def test_another_store_cannot_settle_a_delivery(shop: Shop, data_dir: Path) -> None:
    other = await open_shop(shop.database, data_dir, OTHER)
    await shop.send("orders/paid", {})
    (row,) = await shop.rows()
    await shop.database.write(store.update_outcome, other.owner.id, row.id, Outcome.APPLIED, None)
    await shop.database.write(store.update_forgotten, other.owner.id, row.id)
    assert await shop.database.read(store.count_parked) == 1
    assert await shop.database.write(store.lock_parked, other.owner.id, row.id) is None
    assert await shop.database.write(store.lock_parked, shop.owner.id, row.id) is not None


async def test_pruning_takes_one_batch_at_a_time(shop: Shop) -> None:
    for number in range(3):
        await shop.send("orders/paid", order(), f"delivery {number}")
    emptied = [await shop.database.write(store.prune_bodies, NOW + 1, 2) for _ in range(3)]
    assert emptied == [2, 1, 0]
    deleted = [await shop.database.write(store.delete_before, NOW + 1, 2) for _ in range(3)]
    assert deleted == [2, 1, 0]
