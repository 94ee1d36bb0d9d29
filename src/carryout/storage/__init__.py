"""Storage: where the bytes of files are kept, apart from everything that is known about them.

Objects are found by the SHA-256 of their content, in a space of their own for each store. An object never changes once
it is there. What each call promises after a crash is said at `disk.DiskStorage` and `s3.S3Storage`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from carryout.errors import CarryoutError, Kind
from carryout.storage.blob import Blob, BlobMissing, OpenBlob, Storage, StorageFull, StorageUnavailable, StoredBlob
from carryout.storage.disk import DiskStorage
from carryout.storage.probing import probe

__all__ = [
    "Blob",
    "BlobMissing",
    "DiskStorage",
    "ExtraMissing",
    "OpenBlob",
    "Storage",
    "StorageFull",
    "StorageUnavailable",
    "StoredBlob",
    "is_local",
    "open_storage",
    "probe",
]

_FILE: Final = "file://"


class ExtraMissing(CarryoutError):
    """CARRYOUT_STORAGE_URL: s3:// needs the extra `s3`. Install it: pip install 'carryout[s3]'."""

    kind = Kind.MISCONFIGURED


def open_storage(url: str, aws: Mapping[str, str], spool: Path) -> Storage:
    """The storage at this address, `file://PATH` or `s3://BUCKET/PREFIX?endpoint=…&region=…`. It touches nothing yet.

    `aws` has what the usual `AWS_…` variables say; uploads to S3 pass through nameless files in the folder `spool`.
    Errors: `ExtraMissing`.
    """
    if is_local(url):
        return DiskStorage(Path(url.removeprefix(_FILE)))
    try:
        from carryout.storage.s3 import S3Storage  # noqa: PLC0415 - its packages are an extra
        from carryout.storage.s3_place import read_place  # noqa: PLC0415 - its packages are an extra
    except ModuleNotFoundError:
        raise ExtraMissing from None
    return S3Storage(read_place(url, aws), spool)


def is_local(url: str) -> bool:
    """Whether the files are in a folder, and a copy of the installation holds them."""
    return url.startswith(_FILE)
