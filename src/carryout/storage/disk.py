"""Objects as files: `{root}/{store}/{first two hex digits}/{sha256}`, and `incoming/` for those on their way.

An object is written under a temporary name in the same tree, synced, renamed to its digest, and its folders are synced:
after a crash there is a whole object or none, and an object whose `put` returned is there. What a crash leaves in
`incoming/` is removed by `delete_leftovers`.
"""

import asyncio
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from carryout.storage.blob import (
    Blob,
    BlobMissing,
    Digesting,
    OpenBlob,
    StorageFull,
    StorageUnavailable,
    StoredBlob,
    object_name,
    space_of,
)

_INCOMING: Final = "incoming"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskStorage:
    """`Storage` in a local folder. Whatever waits for the disk runs in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, store_uid: str, chunks: AsyncIterator[bytes]) -> Blob:
        """Store the chunks' content; an error of theirs leaves nothing. Errors: `StorageFull`, `StorageUnavailable`."""
        incoming = await asyncio.to_thread(_Incoming, self._folder(store_uid))
        try:
            async for chunk in chunks:
                if chunk:
                    await asyncio.to_thread(incoming.write, chunk)
            return await asyncio.to_thread(incoming.finish)
        finally:
            await asyncio.to_thread(incoming.close)

    async def open(self, store_uid: str, sha256: bytes) -> OpenBlob:
        """Open an object. Errors: `BlobMissing`, `StorageUnavailable`."""
        try:
            # A text, not a `Path`: that is made of parts, which costs more than opening the file.
            return _OpenFile(f"{self._root}/{object_name(store_uid, sha256)}")
        except FileNotFoundError:
            raise BlobMissing from None
        except OSError as error:
            raise StorageUnavailable(reason=error.strerror) from error

    def object_name(self, store_uid: str, sha256: bytes) -> str:
        """The path below the root."""
        return object_name(store_uid, sha256)

    def presign(self, store_uid: str, sha256: bytes, *, disposition: str, media_type: str, ttl_seconds: int) -> None:
        """None: a folder answers no URL."""

    async def delete(self, store_uid: str, sha256: bytes) -> None:
        """Delete an object; one that is not there is no error. Errors: `StorageUnavailable`."""
        path = self._path(store_uid, sha256)
        with translated():
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def delete_store(self, store_uid: str) -> None:
        """Delete the store's folder; again is no error. Errors: `StorageUnavailable`."""
        folder = self._folder(store_uid)
        with translated(), suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, folder)

    async def list_blobs(self, store_uid: str) -> list[StoredBlob]:
        """Every object of the store, in the order of their digests. Errors: `StorageUnavailable`."""
        folder = self._folder(store_uid)
        with translated():
            return await asyncio.to_thread(_list, folder)

    async def delete_unless_newer(self, store_uid: str, sha256: bytes, before: int) -> bool:
        """Delete an object, unless it was put since `before`; whether it was deleted. Errors: `StorageUnavailable`."""
        path = self._path(store_uid, sha256)
        with translated():
            return await asyncio.to_thread(_delete_unless_newer, path, before)

    async def delete_leftovers(self, before: int) -> int:
        """Delete what crashes left in `incoming/` and nobody wrote to since `before`; how many."""
        with translated():
            return await asyncio.to_thread(_delete_leftovers, self._root, before)

    async def is_answering(self) -> bool:
        """Whether the folder is there and can be written."""
        with suppress(OSError):
            return await asyncio.to_thread(_is_writable, self._root)
        return False

    def _folder(self, store_uid: str) -> Path:
        return self._root / space_of(store_uid)

    def _path(self, store_uid: str, sha256: bytes) -> Path:
        return self._root / object_name(store_uid, sha256)


class _OpenFile:
    """A file read by position: no offset is shared, so one descriptor serves several readers."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self.descriptor).st_size

    async def read(self, offset: int, length: int) -> bytes:
        """See `OpenBlob`."""
        with translated():
            data = os.pread(self.descriptor, length, offset)
            wanted = min(length, max(self.size_bytes - offset, 0))
            if len(data) == wanted:
                return data
            return data + self._rest(offset + len(data), wanted - len(data))

    def expect(self, offset: int, length: int) -> None:
        """See `OpenBlob`."""
        with suppress(OSError):
            os.posix_fadvise(self.descriptor, offset, length, os.POSIX_FADV_WILLNEED)

    async def close(self) -> None:
        """See `OpenBlob`."""
        os.close(self.descriptor)

    def _rest(self, offset: int, wanted: int) -> bytes:
        parts = []
        while wanted > 0:
            part = os.pread(self.descriptor, wanted, offset)
            if not part:
                raise StorageUnavailable(reason="a stored file is shorter than it was")
            parts.append(part)
            offset, wanted = offset + len(part), wanted - len(part)
        return b"".join(parts)


class _Incoming:
    """An object on its way: digests while it is written, its own name at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _INCOMING / uuid.uuid4().hex
        self._digesting = Digesting()
        with translated():
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for each in (folder, self._path.parent):
                each.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        self._digesting.update(chunk)
        rest = memoryview(chunk)
        with translated():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def finish(self) -> Blob:
        """Make it durable under its digest. It replaces an equal object: that repairs a damaged one."""
        blob = self._digesting.blob()
        target = self._folder.parent / object_name(self._folder.name, blob.sha256)
        with translated():
            os.fsync(self._descriptor)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            # Its time is when it is put, however long it took to come: younger objects are never collected.
            with _locked(target.parent, fcntl.LOCK_SH):
                os.utime(self._path)
                self._path.replace(target)
            for folder in (target.parent, self._folder, self._folder.parent):
                _sync(folder)
        return blob

    def close(self) -> None:
        """Let go of it; unless it was finished, nothing is left."""
        os.close(self._descriptor)
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


@contextmanager
def translated() -> Iterator[None]:
    """Errors: `StorageFull`, `StorageUnavailable`, in place of the system's."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from error
        raise StorageUnavailable(reason=error.strerror) from error


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Keeps the collector from judging an object while an equal one takes its place. It ends with its process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_writable(root: Path) -> bool:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.access(root, os.R_OK | os.W_OK | os.X_OK)


def _list(folder: Path) -> list[StoredBlob]:
    found = []
    for path in sorted(folder.glob("??/" + "?" * 64)):
        with suppress(FileNotFoundError):  # deleted meanwhile
            found.append(StoredBlob(bytes.fromhex(path.name), _stored_at(path)))
    return found


def _stored_at(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000


def _delete_unless_newer(path: Path, before: int) -> bool:
    with suppress(FileNotFoundError), _locked(path.parent, fcntl.LOCK_EX):
        if _stored_at(path) < before:
            path.unlink()
            return True
    return False


def _delete_leftovers(root: Path, before: int) -> int:
    count = 0
    for path in root.glob(f"*/{_INCOMING}/*"):
        with suppress(FileNotFoundError):  # finished or removed by its own writer meanwhile
            if _stored_at(path) < before:
                path.unlink()
                count += 1
    return count
