"""What the house sees of a storage."""

from collections.abc import AsyncIterator
from typing import ClassVar, Protocol

import msgspec

from carryout.errors import CarryoutError, Kind


class Blob(msgspec.Struct, frozen=True):
    """An object as it was stored: its digest (32 bytes), its CRC-32 (for ZIPs) and its size."""

    sha256: bytes
    crc32: int
    size_bytes: int


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

        The same content again is the same object. Errors: `StorageFull`, `StorageUnavailable`.
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

    async def list_blobs(self, store_uid: str) -> list[bytes]:
        """The SHA-256 of every object of a store, in order."""
        ...

    async def is_answering(self) -> bool:
        """Whether it can be read and written, as far as a glance tells."""
        ...

    async def probe(self) -> None:
        """Write, read and delete an object. Errors: `StorageFull`, `StorageUnavailable`."""
        ...
