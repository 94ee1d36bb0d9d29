import os
import zlib
from pathlib import Path

import msgspec
import pytest

from carryout.downloads.archive import MemberSlice
from carryout.downloads.ranges import SeveralRanges, Whole, multipart
from carryout.downloads.sources import (
    FileSource,
    PartReader,
    Pinned,
    ZipSource,
    asked_bytes,
    open_part,
    reply_pieces,
)
from carryout.identifiers import new_uid
from carryout.storage import BlobMissing, DiskStorage
from tests.cast import NOW
from tests.storage.makers import chunks

SPACE = new_uid()
TEXTS = [b"the first file", b"", b"the third file, which is longer"]


@pytest.fixture
async def pinned(tmp_path: Path) -> tuple[DiskStorage, list[Pinned]]:
    storage = DiskStorage(tmp_path / "files")
    found = []
    for text in TEXTS:
        blob = await storage.put(SPACE, chunks(text))
        found.append(Pinned("a.txt", blob.sha256, blob.crc32, blob.size_bytes, NOW))
    return storage, found


def drawn(source: FileSource | ZipSource, start: int, end: int) -> bytes:
    """The bytes of an interval, of the texts above."""
    pieces = source.pieces(start, end)
    return b"".join(p if isinstance(p, bytes) else TEXTS[p.member][p.start : p.end] for p in pieces)


async def test_a_zip_is_the_same_bytes_however_it_is_cut(pinned: tuple[DiskStorage, list[Pinned]]) -> None:
    source = ZipSource(pinned[1], b"links", NOW)
    whole = drawn(source, 0, source.size_bytes)
    assert len(whole) == source.size_bytes
    assert zlib.crc32(b"".join(TEXTS)) not in (0, zlib.crc32(whole))
    for cut in range(source.size_bytes):
        assert drawn(source, 0, cut) + drawn(source, cut, source.size_bytes) == whole
    assert ZipSource(pinned[1], b"links", NOW).etag == source.etag != ZipSource(pinned[1], None, NOW).etag


async def test_what_is_asked_of_each_part_is_counted_without_the_frame(
    pinned: tuple[DiskStorage, list[Pinned]],
) -> None:
    source = ZipSource(pinned[1], b"links", NOW)
    assert asked_bytes(source, Whole(source.size_bytes), 3) == [len(text) for text in TEXTS]


def test_between_ranges_stand_their_headers() -> None:
    source = FileSource(bytes(32), 100, NOW)
    decision = SeveralRanges(((0, 5), (10, 20)), 100)
    body = multipart(decision, "limit", "text/plain")
    pieces = list(reply_pieces(source, decision, body))
    assert pieces == [
        body.parts[0].prefix,
        MemberSlice(0, 0, 5),
        body.parts[1].prefix,
        MemberSlice(0, 10, 20),
        body.closing,
    ]
    assert list(reply_pieces(FileSource(bytes(32), 0, NOW), Whole(0), None)) == []


async def test_parts_are_read_where_they_are_kept(pinned: tuple[DiskStorage, list[Pinned]]) -> None:
    storage, parts = pinned
    reader = PartReader(storage, SPACE, parts)
    await reader.prove([0, 1, 2])
    assert await reader.read(2, 4, 5) == b"third"
    assert await reader.read(0, 0, 9) == b"the first"
    file = await reader.file(0, 4)
    assert file is not None
    assert os.pread(file, 5, 4) == b"first"
    await reader.close()


@pytest.mark.parametrize("change", [{"size_bytes": 3}, {"sha256": bytes(32)}, {"sha256": None}])
async def test_what_is_not_what_was_promised_is_missing(
    pinned: tuple[DiskStorage, list[Pinned]], change: dict[str, object]
) -> None:
    storage, parts = pinned
    other = msgspec.structs.replace(parts[0], **change)
    with pytest.raises(BlobMissing):
        await open_part(storage, SPACE, other)
    for positions in ([0], [1, 0]):
        reader = PartReader(storage, SPACE, [other, *parts[1:]])
        with pytest.raises(BlobMissing):
            await reader.prove(positions)
        await reader.close()
