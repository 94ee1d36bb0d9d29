import hashlib
import zlib

import pytest

from carryout.storage.blob import Blob, Digesting, object_name
from tests.storage.makers import MIRA


def test_bytes_are_digested_piece_by_piece() -> None:
    digesting = Digesting()
    for piece in (b"hello ", b"", b"world"):
        digesting.update(piece)
    assert digesting.blob() == Blob(hashlib.sha256(b"hello world").digest(), zlib.crc32(b"hello world"), 11)


def test_an_object_has_one_name_on_every_kind_of_storage() -> None:
    digest = bytes(range(32))
    assert object_name(MIRA, digest) == f"{MIRA}/00/{digest.hex()}"
    with pytest.raises(ValueError, match="public id"):
        object_name("../" + MIRA, digest)
