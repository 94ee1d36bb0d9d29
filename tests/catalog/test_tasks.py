from pathlib import Path

import pytest

from carryout.catalog import service
from carryout.catalog.tasks import COLLECT_BLOBS, KEEP_MICROSECONDS, SCHEDULE, CollectionTasks, Keeper
from carryout.clock import DAY, now
from carryout.db import Database, Tx
from carryout.jobs import queue
from carryout.jobs.runner import Worker
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.storage import Blob, Storage, open_storage
from tests.cast import OTHER
from tests.merchants.makers import KEYRING, PLANS, make_store
from tests.storage.makers import chunks
from tests.world.buckets import KEYS


@pytest.fixture
def storage(storage_url: str, tmp_path: Path) -> Storage:
    return open_storage(storage_url, KEYS, tmp_path)


async def collect(database: Database, storage: Storage, at: int, *keepers: Keeper) -> None:
    tasks = CollectionTasks(database, storage, lambda: at, keepers)
    worker = Worker(database, {COLLECT_BLOBS: tasks.collect_blobs}, lambda: at, "a worker", SCHEDULE)
    await worker.run_due()
    jobs = await database.read(queue.list_jobs)
    assert jobs
    assert [job.error for job in jobs if job.error] == []


async def kept(storage: Storage, owner: Store) -> set[bytes]:
    return {blob.sha256 for blob in await storage.list_blobs(owner.uid)}


async def add(database: Database, storage: Storage, owner: Store, content: bytes) -> tuple[int, Blob]:
    blob = await storage.put(owner.uid, chunks(content))
    asset = await database.write(service.add_file, owner.id, "book.epub", blob, now())
    return asset.id, blob


@pytest.mark.parametrize("storage_url", ["disk", "swift"], indirect=True)
async def test_what_nothing_refers_to_is_collected_once_it_is_old(database: Database, storage: Storage) -> None:
    mira, other = await database.write(make_store), await database.write(make_store, OTHER)
    asset_id, first = await add(database, storage, mira, b"the first edition")
    second = await storage.put(mira.uid, chunks(b"the second edition"))
    await database.write(service.add_version, mira.id, asset_id, second, now())
    logo = await storage.put(mira.uid, chunks(b"a picture"))
    await database.write(merchants.set_values, mira.id, [("logo", f"{logo.sha256.hex()}.png")], KEYRING, PLANS, now())
    _, theirs = await add(database, storage, other, b"a song")
    orphan = await storage.put(mira.uid, chunks(b"a song"))  # another store's file, which is none of Mira's
    await collect(database, storage, now() + KEEP_MICROSECONDS - 60 * 1_000_000)
    assert orphan.sha256 in await kept(storage, mira)
    await collect(database, storage, now() + 3 * DAY)
    assert await kept(storage, mira) == {first.sha256, second.sha256, logo.sha256}
    assert await kept(storage, other) == {theirs.sha256}


async def test_a_removed_asset_gives_up_its_file_a_day_later(database: Database, storage: Storage) -> None:
    mira = await database.write(make_store)
    asset_id, blob = await add(database, storage, mira, b"a book")
    later = now() + 10 * DAY
    await database.write(service.remove_asset, mira.id, asset_id, later)
    await collect(database, storage, later + KEEP_MICROSECONDS)
    assert await kept(storage, mira) == {blob.sha256}
    await collect(database, storage, later + 3 * DAY)
    assert await kept(storage, mira) == set()


async def test_a_file_that_two_assets_share_stays_with_the_other(database: Database, storage: Storage) -> None:
    mira = await database.write(make_store)
    asset_id, blob = await add(database, storage, mira, b"a book")
    await add(database, storage, mira, b"a book")
    await database.write(service.remove_asset, mira.id, asset_id, now())
    await collect(database, storage, now() + 3 * DAY)
    assert await kept(storage, mira) == {blob.sha256}


async def test_what_somebody_above_needs_is_kept(database: Database, storage: Storage) -> None:
    mira = await database.write(make_store)
    needed = await storage.put(mira.uid, chunks(b"being downloaded"))
    await storage.put(mira.uid, chunks(b"forgotten"))

    async def list_needed(_tx: Tx, store_id: int, first: bytes, last: bytes) -> list[bytes]:
        assert store_id == mira.id
        return [needed.sha256] if first <= needed.sha256 <= last else []

    await collect(database, storage, now() + 3 * DAY, list_needed)
    assert await kept(storage, mira) == {needed.sha256}
