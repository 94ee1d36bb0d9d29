import asyncio

import pytest

from carryout.catalog import store
from carryout.catalog.model import ProductFacts
from carryout.db import Database, Tx
from carryout.storage import Blob
from tests.cast import NOW
from tests.catalog.makers import make_file
from tests.merchants.makers import make_store


async def test_versions_are_numbered_without_gaps_or_doubles(database: Database) -> None:
    owner = await database.write(make_store)
    asset = await database.write(make_file, owner.id)

    async def add(tx: Tx, content: int) -> int | None:
        await store.find_file_locked(tx, owner.id, asset.id)
        return await store.insert_version(tx, owner.id, asset.id, Blob(bytes([content]) * 32, 0, 1), NOW)

    made = await asyncio.gather(*(database.write(add, content) for content in range(10, 20)))
    assert len(set(made)) == 10


@pytest.mark.parametrize("is_synced_first", [True, False])
async def test_two_deliveries_at_once_make_one_row(database: Database, *, is_synced_first: bool) -> None:
    owner = await database.write(make_store)
    facts = [ProductFacts(product_id=1, variant_id=number, name="Book", updated_at=NOW) for number in range(20)]
    verbs = [store.update_products, store.insert_variants]
    await asyncio.gather(*(database.write(verb, owner.id, facts) for verb in verbs[:: 1 if is_synced_first else -1]))
    rows = await database.read(store.list_by_product, owner.id, [1])
    assert [row.variant_id for row in rows] == list(range(20))
