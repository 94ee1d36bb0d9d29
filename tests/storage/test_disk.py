import asyncio
import hashlib
import os
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from carryout.storage import BlobMissing, DiskStorage, StorageUnavailable, open_storage, probe
from tests.storage.makers import MEBIBYTE, MIRA, OTHER, chunks, many


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def storage(root: Path) -> DiskStorage:
    return DiskStorage(root)


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def modes_below(root: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in root.rglob("*")}


async def test_what_is_put_is_read_by_its_digest(storage: DiskStorage, root: Path) -> None:
    blob = await storage.put(MIRA, chunks(b"hello ", b"", b"world"))
    digest = hashlib.sha256(b"hello world")
    assert (blob.sha256, blob.crc32, blob.size_bytes) == (digest.digest(), zlib.crc32(b"hello world"), 11)
    assert files_below(root) == [root / MIRA / digest.hexdigest()[:2] / digest.hexdigest()]
    file = await storage.open(MIRA, blob.sha256)
    assert (file.size_bytes, await file.read(6, 3), await file.read(0, 100), await file.read(11, 5)) == (
        11,
        b"wor",
        b"hello world",
        b"",
    )
    await file.close()


async def test_a_file_of_zero_bytes_is_kept(storage: DiskStorage) -> None:
    blob = await storage.put(MIRA, chunks())
    file = await storage.open(MIRA, blob.sha256)
    assert (blob.size_bytes, blob.crc32, file.size_bytes, await file.read(0, 10)) == (0, 0, 0, b"")
    await file.close()


async def test_the_same_content_is_one_object_and_repairs_a_damaged_one(storage: DiskStorage, root: Path) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    (path,) = files_below(root)
    path.write_bytes(b"damaged")
    assert await storage.put(MIRA, chunks(b"hel", b"lo")) == blob
    assert files_below(root) == [path]
    assert path.read_bytes() == b"hello"


async def test_the_same_content_put_at_once_is_one_object(storage: DiskStorage, root: Path) -> None:
    blobs = await asyncio.gather(*(storage.put(MIRA, chunks(b"hello")) for _ in range(20)))
    assert len(set(blobs)) == 1
    assert len(files_below(root)) == 1


async def test_files_are_for_us_alone(storage: DiskStorage, root: Path) -> None:
    await storage.put(MIRA, chunks(b"hello"))
    assert modes_below(root) == {0o600, 0o700}


async def test_a_put_that_fails_leaves_nothing(storage: DiskStorage, root: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"hello"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await storage.put(MIRA, broken())
    assert files_below(root) == []


async def test_a_large_file_takes_little_memory(storage: DiskStorage) -> None:
    tracemalloc.start()
    try:
        blob = await storage.put(MIRA, many(64))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert blob.size_bytes == 64 * MEBIBYTE
    assert peak_bytes < 8 * MEBIBYTE


FULL_DISK: Final = """
import asyncio, resource, signal, sys
from pathlib import Path
from carryout.storage import DiskStorage, StorageFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
async def chunks(count):
    for _ in range(count):
        yield b"x" * 50_000
async def main():
    storage = DiskStorage(Path(sys.argv[1]))
    try:
        await storage.put(sys.argv[2], chunks(5))
    except StorageFull as full:
        print(full.code)
    print((await storage.put(sys.argv[2], chunks(1))).size_bytes)
asyncio.run(main())
"""


def test_a_full_disk_is_said_so_and_heals(root: Path) -> None:
    """A process that may write no file over 100 kB meets the same error as one whose disk is full."""
    program = [sys.executable, "-c", FULL_DISK, str(root), MIRA]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["storage_full", "50000"]
    assert len(files_below(root)) == 1


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    storage = DiskStorage(tmp_path / "files")
    with pytest.raises(StorageUnavailable):
        await storage.put(MIRA, chunks(b"hello"))
    assert not await storage.is_answering()
    with pytest.raises(StorageUnavailable):
        await probe(storage)


async def test_an_object_of_another_store_is_missing(storage: DiskStorage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    with pytest.raises(BlobMissing):
        await storage.open(OTHER, blob.sha256)


async def test_an_open_object_outlives_its_deletion(storage: DiskStorage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    file = await storage.open(MIRA, blob.sha256)
    await storage.delete(MIRA, blob.sha256)
    await storage.delete(MIRA, blob.sha256)
    file.expect(0, 5)
    assert await file.read(0, 5) == b"hello"
    await file.close()
    with pytest.raises(BlobMissing):
        await storage.open(MIRA, blob.sha256)


async def test_a_file_cut_short_is_an_error_and_no_short_answer(storage: DiskStorage, root: Path) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    file = await storage.open(MIRA, blob.sha256)
    os.truncate(files_below(root)[0], 2)
    with pytest.raises(StorageUnavailable, match="shorter"):
        await file.read(0, 5)
    await file.close()


async def test_a_deleted_store_leaves_the_others(storage: DiskStorage, root: Path) -> None:
    await storage.put(MIRA, chunks(b"hello"))
    blob = await storage.put(OTHER, chunks(b"hello"))
    await storage.delete_store(MIRA)
    await storage.delete_store(MIRA)
    assert not (root / MIRA).exists()
    assert [kept.sha256 for kept in await storage.list_blobs(OTHER)] == [blob.sha256]
    assert await storage.list_blobs(MIRA) == []


async def test_objects_are_listed_in_order_without_what_is_on_its_way(storage: DiskStorage, root: Path) -> None:
    put = [await storage.put(MIRA, chunks(bytes([number]))) for number in range(5)]
    (root / MIRA / "incoming" / "left").write_bytes(b"half")
    assert [kept.sha256 for kept in await storage.list_blobs(MIRA)] == sorted(blob.sha256 for blob in put)


async def test_what_a_crash_left_is_removed_once_it_is_old(storage: DiskStorage, root: Path) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    left = root / MIRA / "incoming" / "left"
    left.write_bytes(b"half")
    os.utime(left, (1000, 1000))
    assert await storage.delete_leftovers(1000 * 1_000_000) == 0
    assert await storage.delete_leftovers(1000 * 1_000_000 + 1) == 1
    assert not left.exists()
    assert [kept.sha256 for kept in await storage.list_blobs(MIRA)] == [blob.sha256]


async def test_an_object_is_as_old_as_its_last_put(storage: DiskStorage, root: Path) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    (path,) = files_below(root)
    os.utime(path, (1000, 1000))
    assert [kept.stored_at for kept in await storage.list_blobs(MIRA)] == [1000 * 1_000_000]
    await storage.put(MIRA, chunks(b"hello"))
    assert not await storage.delete_unless_newer(MIRA, blob.sha256, 1000 * 1_000_000 + 1)
    assert files_below(root) == [path]


async def test_a_put_at_the_same_time_survives_the_collector(storage: DiskStorage, root: Path) -> None:
    for round_number in range(50):
        blob = await storage.put(MIRA, chunks(b"hello"))
        for path in files_below(root):
            os.utime(path, (1000, 1000))
        await asyncio.gather(
            storage.put(MIRA, chunks(b"hello")),
            *(storage.delete_unless_newer(MIRA, blob.sha256, 2000 * 1_000_000) for _ in range(4)),
        )
        assert len(files_below(root)) == 1, f"lost in round {round_number}"


async def test_a_probe_leaves_nothing(storage: DiskStorage, root: Path) -> None:
    await probe(storage)
    assert files_below(root) == []
    assert await storage.is_answering()


@pytest.mark.parametrize("name", ["", "..", "a/b", "../" + MIRA, MIRA + "/x"])
async def test_only_a_public_id_names_a_space(storage: DiskStorage, name: str) -> None:
    with pytest.raises(ValueError, match="public id"):
        await storage.put(name, chunks(b"hello"))


async def test_the_address_of_a_storage_names_its_folder(root: Path) -> None:
    await open_storage(f"file://{root}", {}, root).put(MIRA, chunks(b"hello"))
    assert len(files_below(root)) == 1
