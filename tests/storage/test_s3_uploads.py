import asyncio
from pathlib import Path
from typing import Final

import pytest

from carryout.clock import now
from carryout.storage import StorageUnavailable, open_storage
from carryout.storage.s3_place import read_place
from carryout.storage.s3_uploads import abort_unfinished
from tests.storage.makers import MIRA
from tests.world.buckets import KEYS, Buckets

HOUR: Final = 3600 * 1_000_000
PART: Final = b"x" * 5 * 2**20


@pytest.mark.parametrize("storage_url", ["swift"], indirect=True)
async def test_an_unfinished_upload_is_invisible_and_collected(
    storage_url: str, swift: Buckets, tmp_path: Path
) -> None:
    place = read_place(storage_url, KEYS)
    for key in (place.key(f"{MIRA}/00/{bytes(32).hex()}"), "of/somebody/else"):
        upload = swift.client.create_multipart_upload(Bucket=place.bucket, Key=key)
        swift.client.upload_part(Bucket=place.bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=PART)
    storage = open_storage(storage_url, KEYS, tmp_path)
    assert await storage.list_blobs(MIRA) == []
    assert await storage.delete_leftovers(now() - HOUR) == 0
    assert await storage.delete_leftovers(now() + HOUR) == 1
    assert await storage.delete_leftovers(now() + HOUR) == 0


@pytest.mark.parametrize("storage_url", ["swift"], indirect=True)
def test_wrong_keys_are_said_so(storage_url: str) -> None:
    place = read_place(storage_url, {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong"})
    with pytest.raises(StorageUnavailable, match="SignatureDoesNotMatch"):
        abort_unfinished(place, now())


async def test_a_server_that_is_down_is_unavailable() -> None:
    place = read_place("s3://bucket?endpoint=http://127.0.0.1:1", KEYS)
    with pytest.raises(StorageUnavailable, match="no connection"):
        await asyncio.to_thread(abort_unfinished, place, now())
