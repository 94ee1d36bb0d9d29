"""Objects in an S3 bucket, under the names that they have on disk: `{prefix}/{store}/{two hex digits}/{sha256}`.

What is put is written to a file without a name first, because its name is known at its end only; then it is uploaded
under that name, in parts that become an object all at once. So there is a whole object or none after a crash; the file
is gone with its process, and `delete_leftovers` ends uploads that nobody will complete (docs/decisions/0009).
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import obstore

from carryout.clock import now
from carryout.errors import CarryoutError
from carryout.storage import s3_uploads
from carryout.storage.blob import (
    Blob,
    BlobMissing,
    Digesting,
    OpenBlob,
    StorageUnavailable,
    StoredBlob,
    object_name,
    space_of,
)
from carryout.storage.disk import translated as disk_translated
from carryout.storage.s3_faults import translated
from carryout.storage.s3_place import Place, reading_client, writing_client
from carryout.storage.s3_reading import OpenObject

__all__ = ["S3Storage"]

_NAME: Final = re.compile(r"[^/]+/[0-9a-f]{2}/([0-9a-f]{64})")
_CONDEMNED: Final = "condemned"
_CONDEMNED_MICROSECONDS: Final = 10 * 60 * 1_000_000
_MEBIBYTE: Final = 2**20
_PART_BYTES: Final = 8 * _MEBIBYTE
_MAX_PARTS: Final = 9_000  # S3 takes 10,000
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.5
_GLANCE_SECONDS: Final = 5
MAX_TTL_SECONDS: Final = 60


class S3Storage:
    """`Storage` in a bucket. `stall_seconds` is how long an answer may be silent."""

    def __init__(self, place: Place, spool: Path, stall_seconds: float = 10) -> None:
        self._place = place
        self._spool = spool
        self._reading = reading_client(place, stall_seconds)
        self._writing = writing_client(place)

    async def put(self, store_uid: str, chunks: AsyncIterator[bytes]) -> Blob:
        """Store the chunks' content; an error of theirs leaves nothing. Errors: `StorageFull`, `StorageUnavailable`."""
        space_of(store_uid)
        with disk_translated():
            file = await asyncio.to_thread(_open_nameless, self._spool)
        try:
            digesting = Digesting()
            async for chunk in chunks:
                with disk_translated():
                    await asyncio.to_thread(_take, file, digesting, chunk)
            blob = digesting.blob()
            await self._keep(store_uid, file, blob)
        finally:
            await asyncio.to_thread(file.close)
        return blob

    async def open(self, store_uid: str, sha256: bytes) -> OpenBlob:
        """Open an object. Errors: `BlobMissing`, `StorageUnavailable`."""
        name = object_name(store_uid, sha256)
        with translated():
            found = await obstore.head_async(self._reading, name)
        return OpenObject(self._reading, name, found["size"])

    def object_name(self, store_uid: str, sha256: bytes) -> str:
        """The key below the prefix."""
        return object_name(store_uid, sha256)

    def presign(self, store_uid: str, sha256: bytes, *, disposition: str, media_type: str, ttl_seconds: int) -> str:
        """A URL of the bucket itself, for at most `MAX_TTL_SECONDS`."""
        headers = {"content-disposition": disposition, "content-type": media_type}
        return self._place.sign(object_name(store_uid, sha256), headers, min(ttl_seconds, MAX_TTL_SECONDS))

    async def delete(self, store_uid: str, sha256: bytes) -> None:
        """Delete an object; one that is not there is no error. Errors: `StorageUnavailable`."""
        await self._delete([object_name(store_uid, sha256)])

    async def delete_store(self, store_uid: str) -> None:
        """Delete everything of the store; again is no error. Errors: `StorageUnavailable`."""
        while names := await self._list_some(space_of(store_uid)):
            await self._delete(names)

    async def list_blobs(self, store_uid: str) -> list[StoredBlob]:
        """Every object of the store, in the order of their digests. Errors: `StorageUnavailable`."""
        found: list[StoredBlob] = []
        with translated():
            async for batch in obstore.list(self._reading, space_of(store_uid)):
                found += [
                    StoredBlob(bytes.fromhex(name[1]), _microseconds(each["last_modified"]))
                    for each in batch
                    if (name := _NAME.fullmatch(each["path"]))
                ]
        return sorted(found, key=lambda blob: blob.sha256)

    async def delete_unless_newer(self, store_uid: str, sha256: bytes, before: int) -> bool:
        """Delete an object, unless it was put since `before`; whether it was deleted. Errors: `StorageUnavailable`.

        S3 has no condition for it that every provider knows. So the object is condemned first, and looked at again
        after that; who puts the same content looks for the sentence after that, and then whether the object is there.
        """
        name = object_name(store_uid, sha256)
        if not await self._is_older(name, before):
            return False
        sentence = f"{_CONDEMNED}/{name}"
        with translated():
            await obstore.put_async(self._writing, sentence, b"-", use_multipart=False)
        try:
            if not await self._is_older(name, before):
                return False
            await self._delete([name])
        finally:
            await self._delete([sentence])
        return True

    async def delete_leftovers(self, before: int) -> int:
        """End uploads that began before, and lift old sentences; how many. Errors: `StorageUnavailable`."""
        count = await asyncio.to_thread(s3_uploads.abort_unfinished, self._place, before)
        with translated():
            async for batch in obstore.list(self._reading, _CONDEMNED):
                names = [each["path"] for each in batch if _microseconds(each["last_modified"]) < before]
                await self._delete(names)
                count += len(names)
        return count

    async def is_answering(self) -> bool:
        """Whether the bucket can be listed, within a few seconds."""
        with suppress(CarryoutError, TimeoutError):
            async with asyncio.timeout(_GLANCE_SECONDS):
                await self._list_some(_CONDEMNED)
                return True
        return False

    async def _keep(self, store_uid: str, file: IO[bytes], blob: Blob) -> None:
        name = object_name(store_uid, blob.sha256)
        for _ in range(_TRIES):
            with translated():
                await self._upload(name, file, blob)
            # In this order, see `delete_unless_newer`: nobody deletes it any more, and nobody has deleted it.
            if await self._is_condemned(name):
                await asyncio.sleep(_PAUSE_SECONDS)
            elif await self._find(name) == blob.size_bytes:
                return
        raise StorageUnavailable(reason="it does not keep what it was given")

    async def _upload(self, name: str, file: IO[bytes], blob: Blob) -> None:
        await asyncio.to_thread(file.seek, 0)
        if blob.size_bytes <= _PART_BYTES:
            data = await asyncio.to_thread(file.read)
            await obstore.put_async(self._writing, name, data, use_multipart=False)
        else:
            part_bytes = max(_PART_BYTES, -(-blob.size_bytes // _MAX_PARTS))
            await obstore.put_async(self._writing, name, _pieces(file), chunk_size=part_bytes, max_concurrency=2)

    async def _find(self, name: str) -> int | None:
        try:
            with translated():
                return (await obstore.head_async(self._reading, name))["size"]
        except BlobMissing:
            return None

    async def _is_older(self, name: str, before: int) -> bool:
        try:
            with translated():
                found = await obstore.head_async(self._reading, name)
        except BlobMissing:
            return False
        return _microseconds(found["last_modified"]) < before

    async def _is_condemned(self, name: str) -> bool:
        """A sentence that is old was left by a crash, and nobody will carry it out."""
        sentence = f"{_CONDEMNED}/{name}"
        return await self._find(sentence) is not None and not await self._is_older(
            sentence, now() - _CONDEMNED_MICROSECONDS
        )

    async def _list_some(self, folder: str) -> list[str]:
        with translated():
            async for batch in obstore.list(self._reading, folder):
                return [each["path"] for each in batch]
        return []

    async def _delete(self, names: list[str]) -> None:
        with suppress(BlobMissing), translated():
            await obstore.delete_async(self._reading, names)


def _open_nameless(folder: Path) -> IO[bytes]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)


def _take(file: IO[bytes], digesting: Digesting, chunk: bytes) -> None:
    digesting.update(chunk)
    file.write(chunk)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while data := await asyncio.to_thread(file.read, _MEBIBYTE):
        yield data


def _microseconds(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000
