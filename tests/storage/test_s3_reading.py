import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from carryout.storage import BlobMissing, OpenBlob, StorageUnavailable
from carryout.storage.s3 import S3Storage
from carryout.storage.s3_place import read_place
from tests.storage.makers import MEBIBYTE, MIRA
from tests.world.buckets import KEYS
from tests.world.faulty_bucket import FaultyBucket, faulty_bucket
from tests.world.listener import listening

CONTENT: Final = b"".join(bytes([number]) * MEBIBYTE for number in range(8))
END: Final = len(CONTENT) - 1


@pytest.fixture
async def bucket() -> AsyncIterator[FaultyBucket]:
    async with faulty_bucket(CONTENT) as bucket:
        yield bucket


@pytest.fixture
async def blob(bucket: FaultyBucket, tmp_path: Path) -> OpenBlob:
    place = read_place(f"s3://test?endpoint={bucket.endpoint}", KEYS)
    return await S3Storage(place, tmp_path, stall_seconds=0.3).open(MIRA, bytes(32))


async def test_reading_on_takes_one_answer(bucket: FaultyBucket, blob: OpenBlob) -> None:
    pieces = [await blob.read(0, 1000), await blob.read(1000, 1000)]
    pieces += [await blob.read(offset, MEBIBYTE) for offset in range(2000, len(CONTENT), MEBIBYTE)]
    assert b"".join(pieces) == CONTENT
    assert bucket.requests == [(0, 999), (1000, END)]
    await blob.close()


async def test_another_place_is_another_request(bucket: FaultyBucket, blob: OpenBlob) -> None:
    for offset in (5 * MEBIBYTE, 0, 3 * MEBIBYTE):
        assert await blob.read(offset, 2) == CONTENT[offset : offset + 2]
        assert await blob.read(offset + 2, 2) == CONTENT[offset + 2 : offset + 4]
    assert [first for first, _ in bucket.requests[::2]] == [5 * MEBIBYTE, 0, 3 * MEBIBYTE]


async def test_an_answer_that_ends_early_is_gone_on_with(bucket: FaultyBucket, blob: OpenBlob) -> None:
    """A server ends what a slow reader keeps open; the reader sees nothing of it."""
    await blob.read(0, 10)

    def cut(first: int, last: int) -> bytes | None:
        return bucket.partial(first, last, CONTENT[first : first + 500_000], last - first + 1) if last == END else None

    bucket.fault = cut
    read = [await blob.read(offset, MEBIBYTE) for offset in range(10, len(CONTENT), MEBIBYTE)]
    assert CONTENT[:10] + b"".join(read) == CONTENT


@pytest.mark.parametrize("claims_all", [True, False])
async def test_a_short_answer_is_never_taken_for_a_whole_one(
    bucket: FaultyBucket, blob: OpenBlob, *, claims_all: bool
) -> None:
    def cut(first: int, last: int) -> bytes:
        claimed = last if claims_all else first + 9
        return bucket.partial(first, claimed, CONTENT[first : first + 10], claimed - first + 1)

    bucket.fault = cut
    with pytest.raises(StorageUnavailable):
        await blob.read(0, 100)
    bucket.fault = lambda _first, _last: None
    assert await blob.read(0, 100) == CONTENT[:100]


async def test_other_bytes_than_asked_for_are_refused(bucket: FaultyBucket, blob: OpenBlob) -> None:
    bucket.fault = lambda _first, _last: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    with pytest.raises(StorageUnavailable, match="cannot be understood"):
        await blob.read(0, 5)


async def test_a_server_that_is_busy_is_asked_again(bucket: FaultyBucket, blob: OpenBlob) -> None:
    busy = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    bucket.fault = lambda _first, _last: busy if len(bucket.requests) < 3 else None
    assert await blob.read(0, 5) == CONTENT[:5]
    bucket.fault = lambda _first, _last: busy
    with pytest.raises(StorageUnavailable, match="503"):
        await blob.read(100, 5)


async def test_what_was_deleted_meanwhile_is_missing(bucket: FaultyBucket, blob: OpenBlob) -> None:
    bucket.fault = lambda _first, _last: b"HTTP/1.1 404 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with pytest.raises(BlobMissing):
        await blob.read(0, 5)


async def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read()  # until the client leaves

    async with listening(be_silent) as port:
        place = read_place(f"s3://test?endpoint=http://127.0.0.1:{port}", KEYS)
        with pytest.raises(StorageUnavailable, match="no answer in time"):
            await S3Storage(place, tmp_path, stall_seconds=0.1).open(MIRA, bytes(32))
