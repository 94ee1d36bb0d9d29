"""What S3 and its client say when something is wrong, in our words.

Buyers read the reason too: it names neither the bucket nor an object.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import BaseError

from carryout.storage.blob import BlobMissing, StorageFull, StorageUnavailable

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_FULL: Final = ("507", "QuotaExceeded", "XMinioStorageFull")
_NO_BUCKET: Final = "NoSuchBucket"
# How the client tells what happened to a request without an answer, and what we say.
_HAPPENED: Final = (
    ("kind: Timeout", "no answer in time"),
    ("kind: Connect", "no connection"),
    ("kind: Interrupted", "its answer broke off"),
    ("BareRedirect", "another region or endpoint is the right one"),
)


@contextmanager
def translated() -> Iterator[None]:
    """Errors: `BlobMissing`, `StorageFull`, `StorageUnavailable`, in place of the client's."""
    try:
        yield
    except FileNotFoundError as error:
        if _NO_BUCKET in str(error):
            raise StorageUnavailable(reason=_NO_BUCKET) from error
        raise BlobMissing from error
    except BaseError as error:
        reason = _reason(str(error))
        if any(word in reason for word in _FULL):
            raise StorageFull from error
        raise StorageUnavailable(reason=reason) from error


def _reason(said: str) -> str:
    status = _STATUS.search(said)
    if status is not None:
        code = _CODE.search(said)
        return f"it answers {status[1]}" if code is None else f"it answers {status[1]} {code[1]}"
    return next((ours for theirs, ours in _HAPPENED if theirs in said), "its answer cannot be understood")
