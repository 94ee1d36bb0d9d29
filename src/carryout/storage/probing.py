"""Trying a storage end to end."""

from collections.abc import AsyncIterator
from typing import Final

from carryout.identifiers import new_uid
from carryout.storage.blob import Storage, StorageUnavailable

_PROBE: Final = b"carryout was here"


async def probe(storage: Storage) -> None:
    """Write, read and delete an object. Errors: `BlobMissing`, `StorageFull`, `StorageUnavailable`."""
    space = new_uid()
    try:
        blob = await storage.put(space, _once(_PROBE))
        file = await storage.open(space, blob.sha256)
        try:
            if await file.read(0, blob.size_bytes) != _PROBE:
                raise StorageUnavailable(reason="what was written is not what is read")
        finally:
            await file.close()
    finally:
        await storage.delete_store(space)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
