import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from carryout.errors import CarryoutError
from carryout.storage import BlobMissing, StorageFull, StorageUnavailable
from carryout.storage.s3_faults import translated

STATUS = "Error performing GET http://host/bucket/key in 4ms - Server returned non-2xx status code: "


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (FileNotFoundError("Object at location a not found"), BlobMissing, "missing"),
        (FileNotFoundError(STATUS + "404: <Code>NoSuchBucket</Code>"), StorageUnavailable, "NoSuchBucket"),
        (PermissionDeniedError(STATUS + "403 Forbidden: "), StorageUnavailable, "it answers 403"),
        (GenericError(STATUS + "503 x: <Error><Code>SlowDown</Code>"), StorageUnavailable, "it answers 503 SlowDown"),
        (GenericError(STATUS + "507 Insufficient Storage: "), StorageFull, "full"),
        (GenericError(STATUS + "403 x: <Code>QuotaExceeded</Code>"), StorageFull, "full"),
        (GenericError("Received redirect: inner: BareRedirect"), StorageUnavailable, "another region"),
        (GenericError("what nobody knows"), StorageUnavailable, "cannot be understood"),
    ],
)
def test_their_words_become_ours(theirs: Exception, ours: type[CarryoutError], message: str) -> None:
    with pytest.raises(ours, match=message) as raised, translated():
        raise theirs
    assert "bucket/key" not in raised.value.message
