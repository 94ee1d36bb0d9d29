"""Storage: where the bytes of files are kept, apart from everything that is known about them.

Objects are found by the SHA-256 of their content, in a space of their own for each store. An object never changes once
it is there. What each call promises after a crash is said at `disk.DiskStorage`.
"""

from pathlib import Path
from typing import Final

from carryout.storage.blob import Blob, BlobMissing, OpenBlob, Storage, StorageFull, StorageUnavailable
from carryout.storage.disk import DiskStorage

__all__ = [
    "Blob",
    "BlobMissing",
    "DiskStorage",
    "OpenBlob",
    "Storage",
    "StorageFull",
    "StorageUnavailable",
    "open_storage",
]

_FILE: Final = "file://"


def open_storage(url: str) -> Storage:
    """The storage at this address (`file://PATH`). It touches no disk yet."""
    return DiskStorage(Path(url.removeprefix(_FILE)))
