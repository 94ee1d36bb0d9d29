"""What every kind of storage promises, and what S3 alone must see to. Disk has more in test_disk.py."""

import asyncio
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from carryout.clock import now
from carryout.storage import BlobMissing, Storage, StorageUnavailable, open_storage, probe
from carryout.storage.s3 import S3Storage
from carryout.storage.s3_place import read_place
from tests.storage.makers import EVERY_KIND, MEBIBYTE, MIRA, OTHER, chunks, fetch, many, read
from tests.world.buckets import KEYS, Buckets
from tests.world.listener import listening

SECOND: Final = 1_000_000
ON_S3: Final = pytest.mark.parametrize("storage_url", ["moto", "swift"], indirect=True)
ON_SWIFT: Final = pytest.mark.parametrize("storage_url", ["swift"], indirect=True)
ON_ALL: Final = pytest.mark.parametrize("storage_url", EVERY_KIND, indirect=True)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def storage(storage_url: str, spool: Path) -> Storage:
    return open_storage(storage_url, KEYS, spool)


def make_s3(endpoint: str, tmp_path: Path, **keys: str) -> S3Storage:
    url = f"s3://test/some/folder?endpoint={endpoint}"
    return S3Storage(read_place(url, {**KEYS, **keys}), tmp_path, stall_seconds=0.5)


@ON_ALL
async def test_what_is_put_is_read_by_its_digest(storage: Storage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello ", b"", b"world"))
    digest = hashlib.sha256(b"hello world").digest()
    assert (blob.sha256, blob.crc32, blob.size_bytes) == (digest, zlib.crc32(b"hello world"), 11)
    assert storage.object_name(MIRA, digest) == f"{MIRA}/{digest.hex()[:2]}/{digest.hex()}"
    file = await storage.open(MIRA, blob.sha256)
    assert (file.size_bytes, await file.read(6, 3), await file.read(0, 100)) == (11, b"wor", b"hello world")
    file.expect(0, 5)
    assert (await file.read(11, 5), await file.read(20, 5), await file.read(0, 0)) == (b"", b"", b"")
    await file.close()


@ON_ALL
async def test_a_file_of_zero_bytes_is_kept(storage: Storage) -> None:
    blob = await storage.put(MIRA, chunks())
    assert (blob.size_bytes, blob.crc32, await read(storage, MIRA, blob.sha256)) == (0, 0, b"")


@ON_ALL
async def test_a_large_file_is_read_in_pieces_and_from_anywhere(storage: Storage) -> None:
    blob = await storage.put(MIRA, many(40))
    file = await storage.open(MIRA, blob.sha256)
    assert file.size_bytes == 40 * MEBIBYTE
    sha256, offset, length = hashlib.sha256(), 0, 64 * 1024
    while piece := await file.read(offset, length):
        sha256.update(piece)
        assert len(piece) == min(length, file.size_bytes - offset)
        offset, length = offset + len(piece), min(2 * length, MEBIBYTE)
    assert sha256.digest() == blob.sha256
    for offset in (17 * MEBIBYTE - 1, 3 * MEBIBYTE - 1, 3 * MEBIBYTE + 1):
        assert await file.read(offset, 2) == bytes([offset // MEBIBYTE, (offset + 1) // MEBIBYTE])
    await file.close()


@ON_ALL
async def test_the_same_content_is_one_object(storage: Storage) -> None:
    blobs = await asyncio.gather(*(storage.put(MIRA, chunks(b"hel", b"lo")) for _ in range(5)))
    assert len(set(blobs)) == 1
    assert [kept.sha256 for kept in await storage.list_blobs(MIRA)] == [blobs[0].sha256]


@ON_ALL
async def test_a_put_that_fails_leaves_nothing(storage: Storage) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"hello"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await storage.put(MIRA, broken())
    assert await storage.list_blobs(MIRA) == []


@ON_ALL
async def test_an_object_of_another_store_is_missing(storage: Storage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    with pytest.raises(BlobMissing):
        await storage.open(OTHER, blob.sha256)


@ON_ALL
async def test_what_is_deleted_is_missing(storage: Storage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    await storage.delete(MIRA, blob.sha256)
    await storage.delete(MIRA, blob.sha256)
    with pytest.raises(BlobMissing):
        await storage.open(MIRA, blob.sha256)


@ON_ALL
async def test_a_deleted_store_leaves_the_others(storage: Storage) -> None:
    for number in range(3):
        await storage.put(MIRA, chunks(bytes([number])))
    blob = await storage.put(OTHER, chunks(b"hello"))
    await storage.delete_store(MIRA)
    await storage.delete_store(MIRA)
    assert await storage.list_blobs(MIRA) == []
    assert [kept.sha256 for kept in await storage.list_blobs(OTHER)] == [blob.sha256]


@ON_ALL
async def test_objects_are_listed_in_order_with_their_age(storage: Storage) -> None:
    began = now()
    put = [await storage.put(MIRA, chunks(bytes([number]))) for number in range(5)]
    kept = await storage.list_blobs(MIRA)
    assert [each.sha256 for each in kept] == sorted(blob.sha256 for blob in put)
    assert all(began - 2 * SECOND <= each.stored_at <= now() + 2 * SECOND for each in kept)


@ON_ALL
async def test_the_collector_takes_what_is_old_alone(storage: Storage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    assert not await storage.delete_unless_newer(MIRA, blob.sha256, now() - 3600 * SECOND)
    assert await read(storage, MIRA, blob.sha256) == b"hello"
    assert await storage.delete_unless_newer(MIRA, blob.sha256, now() + 3600 * SECOND)
    assert not await storage.delete_unless_newer(MIRA, blob.sha256, now() + 3600 * SECOND)
    assert await storage.list_blobs(MIRA) == []


@ON_S3
async def test_a_put_at_the_same_time_survives_the_collector(storage: Storage) -> None:
    """The collector takes everything that it finds old, and to it everything is: only the sentence saves the put."""
    for _ in range(3):
        blob = await storage.put(MIRA, chunks(b"hello"))
        later = now() + 3600 * SECOND
        results = await asyncio.gather(
            storage.put(MIRA, chunks(b"hello")), storage.delete_unless_newer(MIRA, blob.sha256, later)
        )
        assert results[0] == blob
        assert results[1] or await read(storage, MIRA, blob.sha256) == b"hello"


@ON_S3
async def test_a_put_waits_while_its_object_is_condemned(storage: Storage, storage_url: str, request: Any) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    client = _buckets(request, storage_url).client
    place = read_place(storage_url, KEYS)
    sentence = place.key(f"condemned/{storage.object_name(MIRA, blob.sha256)}")
    client.put_object(Bucket=place.bucket, Key=sentence, Body=b"-")
    with pytest.raises(StorageUnavailable, match="does not keep"):
        await storage.put(MIRA, chunks(b"hello"))
    assert await storage.delete_leftovers(now() + 3600 * SECOND) == 1
    assert await storage.put(MIRA, chunks(b"hello")) == blob


KILLED: Final = """
import asyncio, sys
from pathlib import Path
from carryout.storage import open_storage
async def chunks():
    for number in range(30):
        yield bytes([number]) * 2**20
asyncio.run(open_storage(sys.argv[1], {"AWS_ACCESS_KEY_ID": sys.argv[2], "AWS_SECRET_ACCESS_KEY": sys.argv[3]},
                         Path(sys.argv[4])).put(sys.argv[5], chunks()))
"""


async def kill_after(passed_bytes: int, storage_url: str, spool: Path) -> None:
    """Begin an upload, and kill its program when the bucket has been sent so many bytes."""
    endpoint = urlsplit(parse_qs(urlsplit(storage_url).query)["endpoint"][0])
    process: asyncio.subprocess.Process | None = None

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal passed_bytes
        there_reader, there = await asyncio.open_connection(endpoint.hostname, endpoint.port)
        back = asyncio.create_task(copy(there_reader, writer))
        try:
            while data := await reader.read(64 * 1024):
                there.write(data)
                await there.drain()
                passed_bytes -= len(data)
                if passed_bytes <= 0 and process is not None and process.returncode is None:
                    process.kill()
        finally:
            there.transport.abort()
            await asyncio.gather(back, return_exceptions=True)

    async with listening(pass_on) as port:
        url = storage_url.replace(endpoint.netloc, f"127.0.0.1:{port}")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, url, *KEYS.values(), str(spool), MIRA
        )
        assert await process.wait() == -signal.SIGKILL


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(64 * 1024):
        writer.write(data)


@ON_SWIFT
@pytest.mark.parametrize("passed_bytes", [1, 9 * 2**20, 29 * 2**20])
async def test_a_kill_during_the_upload_leaves_nothing_to_see(
    storage: Storage, storage_url: str, spool: Path, passed_bytes: int
) -> None:
    await kill_after(passed_bytes, storage_url, spool)
    assert await asyncio.to_thread(os.listdir, spool) == []
    for kept in await storage.list_blobs(MIRA):  # it was done before it was killed
        assert hashlib.sha256(await read(storage, MIRA, kept.sha256)).digest() == kept.sha256
        await storage.delete(MIRA, kept.sha256)
    await storage.delete_leftovers(now() + 3600 * SECOND)
    assert await storage.delete_leftovers(now() + 3600 * SECOND) == 0


@ON_SWIFT
async def test_a_large_file_takes_little_memory(storage: Storage) -> None:
    await storage.put(MIRA, many(1))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await storage.put(MIRA, many(160))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 80 * 1024


@ON_S3
async def test_a_bucket_that_is_there_answers(storage: Storage) -> None:
    assert await storage.is_answering()


@ON_S3
async def test_a_presigned_url_answers_with_the_name_that_we_say(storage: Storage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    disposition = "attachment; filename=\"na me.txt\"; filename*=UTF-8''na%C3%AFve.txt"
    url = storage.presign(MIRA, blob.sha256, disposition=disposition, media_type="text/plain", ttl_seconds=30)
    assert url is not None
    reply = await asyncio.to_thread(fetch, url)
    assert (reply.status_code, reply.content) == (200, b"hello")
    assert (reply.headers["content-disposition"], reply.headers["content-type"]) == (disposition, "text/plain")


@ON_SWIFT
async def test_a_presigned_url_is_for_this_object_and_a_short_time(storage: Storage) -> None:
    blob = await storage.put(MIRA, chunks(b"hello"))
    other = await storage.put(MIRA, chunks(b"other"))
    url = storage.presign(MIRA, blob.sha256, disposition="attachment", media_type="text/plain", ttl_seconds=3600)
    assert url is not None
    assert "X-Amz-Expires=60&" in url
    forged = url.replace(blob.sha256.hex(), other.sha256.hex()).replace(
        f"/{blob.sha256.hex()[:2]}/", f"/{other.sha256.hex()[:2]}/"
    )
    for changed in (forged, url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), url.replace("plain", "html")):
        assert (await asyncio.to_thread(fetch, changed)).status_code == 403
    brief = storage.presign(MIRA, blob.sha256, disposition="attachment", media_type="text/plain", ttl_seconds=1)
    deadline = time.monotonic() + 10
    while (await asyncio.to_thread(fetch, str(brief))).status_code != 403:
        assert time.monotonic() < deadline, "it never expires"
        await asyncio.sleep(0.2)


async def test_a_folder_answers_no_url(storage: Storage) -> None:
    assert storage.presign(MIRA, bytes(32), disposition="attachment", media_type="a/b", ttl_seconds=9) is None


@ON_SWIFT
async def test_wrong_keys_are_said_so(storage: Storage, storage_url: str, spool: Path) -> None:
    del storage
    wrong = open_storage(storage_url, {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong"}, spool)
    with pytest.raises(StorageUnavailable, match="403"):
        await wrong.open(MIRA, bytes(32))
    with pytest.raises(StorageUnavailable, match="403 SignatureDoesNotMatch"):
        await wrong.put(MIRA, chunks(b"hello"))
    assert not await wrong.is_answering()


@ON_SWIFT
async def test_a_bucket_that_is_not_there_is_said_so(storage: Storage, storage_url: str, spool: Path) -> None:
    del storage
    wrong = open_storage(storage_url.replace("s3://test", "s3://other"), KEYS, spool)
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await probe(wrong)
    assert not await wrong.is_answering()


WITHOUT_EXTRA: Final = """
import sys
from pathlib import Path
sys.modules["obstore"] = None
from carryout.errors import CarryoutError
from carryout.storage import open_storage
open_storage("file:///tmp", {}, Path("/tmp"))
try:
    open_storage("s3://bucket", {}, Path("/tmp"))
except CarryoutError as error:
    print(error.message)
"""


def test_without_the_extra_a_line_names_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRA], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("CARRYOUT_STORAGE_URL: s3:// needs the extra `s3`")
    assert "pip install 'carryout[s3]'" in done.stdout


async def test_a_server_that_is_down_is_unavailable(tmp_path: Path) -> None:
    storage = make_s3("http://127.0.0.1:1", tmp_path)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="no connection"):
        await storage.open(MIRA, bytes(32))
    with pytest.raises(StorageUnavailable, match="no connection"):
        await storage.put(MIRA, chunks(b"hello"))
    with pytest.raises(StorageUnavailable, match="no connection"):
        await storage.delete_leftovers(now())
    assert not await storage.is_answering()
    assert time.monotonic() - began < 30


async def test_a_folder_that_cannot_be_made_stops_the_upload(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    storage = make_s3("http://127.0.0.1:1", tmp_path / "file" / "spool")
    with pytest.raises(StorageUnavailable, match="Not a directory"):
        await storage.put(MIRA, chunks(b"hello"))


@pytest.mark.parametrize("name", ["", "..", "a/b", "../" + MIRA, MIRA + "/x"])
async def test_only_a_public_id_names_a_space(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="public id"):
        await make_s3("http://127.0.0.1:1", tmp_path).put(name, chunks(b"hello"))


def _buckets(request: pytest.FixtureRequest, storage_url: str) -> Buckets:
    both: list[Buckets] = [request.getfixturevalue(name) for name in ("moto", "swift")]
    return next(buckets for buckets in both if buckets.endpoint in storage_url)
