"""What the house sees of a storage."""

import hashlib
import zlib
from collections.abc import AsyncIterator
from typing import ClassVar, Protocol

import msgspec

from carryout.errors import CarryoutError, Kind
from carryout.identifiers import is_uid


class Blob(msgspec.Struct, frozen=True):
    """An object as it was stored: its digest (32 bytes), its CRC-32 (for ZIPs) and its size."""

    sha256: bytes
    crc32: int
    size_bytes: int


class StoredBlob(msgspec.Struct, frozen=True):
    """An object as it is listed: its digest, and when it was last put (microseconds UTC)."""

    sha256: bytes
    stored_at: int


class Digesting:
    """Digests an object's bytes while they pass by."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._crc32 = 0
        self._size_bytes = 0

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._sha256.update(chunk)
        self._crc32 = zlib.crc32(chunk, self._crc32)
        self._size_bytes += len(chunk)

    def blob(self) -> Blob:
        """What has passed by."""
        return Blob(self._sha256.digest(), self._crc32, self._size_bytes)


def space_of(store_uid: str) -> str:
    """The name of a store's space; no name that a person chose is ever part of a path."""
    if not is_uid(store_uid):
        message = "a storage space is named by a store's public id"
        raise ValueError(message)
    return store_uid


def object_name(store_uid: str, sha256: bytes) -> str:
    """Where an object is below the storage's root, the same on every kind of storage."""
    name = sha256.hex()
    return f"{space_of(store_uid)}/{name[:2]}/{name}"


class StorageFull(CarryoutError):
    """The storage is full. Nothing was stored; please try again later."""

    kind = Kind.BUSY
    retry_after_seconds: ClassVar[int | None] = 30


class StorageUnavailable(CarryoutError):
    """The storage does not answer ({reason}). Please try again in a moment."""

    kind = Kind.BUSY
    retry_after_seconds: ClassVar[int | None] = 5


class BlobMissing(CarryoutError):
    """The file is missing in the storage."""

    kind = Kind.NOT_FOUND


class OpenBlob(Protocol):
    """An object opened for reading, by one reader at a time.

    On disk it stays readable until it is closed, even when it is deleted meanwhile; on S3 it is then missing.
    """

    size_bytes: int

    @property
    def descriptor(self) -> int | None:
        """The open file, where it is one."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on: `length` of them, fewer only at the end.

        Errors: `BlobMissing`, `StorageUnavailable`.
        """
        ...

    def expect(self, offset: int, length: int) -> None:
        """A hint that this range will be read soon."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Storage(Protocol):
    """Objects by store and SHA-256. `store_uid` is the public id of a store."""

    async def put(self, store_uid: str, chunks: AsyncIterator[bytes]) -> Blob:
        """Store what the chunks say, in constant memory; when it returns, it survives a power cut.

        The same content again is the same object, put anew. Errors: `StorageFull`, `StorageUnavailable`.
        """
        ...

    async def open(self, store_uid: str, sha256: bytes) -> OpenBlob:
        """Open an object for reading. Errors: `BlobMissing`, `StorageUnavailable`."""
        ...

    def object_name(self, store_uid: str, sha256: bytes) -> str:
        """Where the object is below the storage's root, for a proxy that reads the storage itself."""
        ...

    def presign(
        self, store_uid: str, sha256: bytes, *, disposition: str, media_type: str, ttl_seconds: int
    ) -> str | None:
        """A URL that answers with the object under these two headers while it lives; None where there is no such thing.

        It can neither be counted nor taken back: `ttl_seconds` is cut to 60.
        """
        ...

    async def delete(self, store_uid: str, sha256: bytes) -> None:
        """Delete an object; one that is not there is no error."""
        ...

    async def delete_store(self, store_uid: str) -> None:
        """Delete everything of a store; again is no error, so that a crash is repaired by repeating it."""
        ...

    async def list_blobs(self, store_uid: str) -> list[StoredBlob]:
        """Every object of a store, in the order of their digests."""
        ...

    async def delete_unless_newer(self, store_uid: str, sha256: bytes, before: int) -> bool:
        """Delete an object, unless it was put since `before` (microseconds UTC); whether it was deleted.

        A `put` of the same content at the same time loses nothing: what it returned is there.
        """
        ...

    async def delete_leftovers(self, before: int) -> int:
        """Delete what crashes left on its way and nobody wrote to since `before` (microseconds UTC); how many."""
        ...

    async def is_answering(self) -> bool:
        """Whether it can be read and written, as far as a glance tells."""
        ...
