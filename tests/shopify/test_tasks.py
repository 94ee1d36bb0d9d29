from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from carryout.clock import DAY
from carryout.db import Database
from carryout.identifiers import new_uid
from carryout.jobs.model import Job
from carryout.shopify.tasks import ShopifyTasks
from carryout.storage import BlobMissing, DiskStorage
from tests.cast import NOW
from tests.shopify.makers import BODIES, Shop, open_shop, spoil
from tests.shopify.payloads import order


@pytest.fixture
async def shop(database: Database, data_dir: Path) -> Shop:
    return await open_shop(database, data_dir)


def tasks_of(shop: Shop, data_dir: Path, now: int = NOW) -> ShopifyTasks:
    return ShopifyTasks(shop.database, shop.intake, DiskStorage(data_dir / "files"), lambda: now)


def job(**payload: Any) -> Job:
    return Job(1, None, "of the test", payload, 1)


async def some_bytes() -> AsyncIterator[bytes]:
    yield b"a recording"


async def test_the_inbox_is_tried_again(shop: Shop, data_dir: Path) -> None:
    await shop.send("new/topic", order())
    await shop.database.write(spoil, "orders/paid")
    await tasks_of(shop, data_dir).retry_inbox(job())
    assert len((await shop.state()).orders) == 1


async def test_the_inbox_is_pruned_to_the_end(shop: Shop, data_dir: Path) -> None:
    await shop.send("orders/paid", order())
    await tasks_of(shop, data_dir, NOW + 31 * DAY).prune_inbox(job())
    assert await shop.all(BODIES) == []
    await tasks_of(shop, data_dir, NOW + 91 * DAY).prune_inbox(job())
    assert await shop.rows() == []


async def test_the_files_of_a_redacted_store_go_and_no_others(shop: Shop, data_dir: Path) -> None:
    tasks = tasks_of(shop, data_dir)
    ours = await tasks.storage.put(shop.owner.uid, some_bytes())
    another = new_uid()
    theirs = await tasks.storage.put(another, some_bytes())
    await tasks.delete_store_files(job(store_uid=shop.owner.uid))
    await tasks.delete_store_files(job(store_uid=shop.owner.uid))
    with pytest.raises(BlobMissing):
        await tasks.storage.open(shop.owner.uid, ours.sha256)
    await (await tasks.storage.open(another, theirs.sha256)).close()


async def test_a_scrub_leaves_the_tables_as_they_are(shop: Shop, data_dir: Path) -> None:
    await shop.send("orders/paid", order())
    before = await shop.state()
    await tasks_of(shop, data_dir).scrub(job(tables=["inbox", "orders", "redactions"]))
    assert await shop.state() == before
