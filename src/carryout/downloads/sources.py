"""What a session's bytes are made of: its one file, or the ZIP of its parts; and where they are read."""

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec

from carryout.downloads import archive
from carryout.downloads.archive import Member, MemberSlice
from carryout.downloads.disposition import safe_name
from carryout.downloads.ranges import Decision, Multipart, SeveralRanges, intervals_of
from carryout.entitlements.model import GrantView
from carryout.sessions.model import Part, Session, SessionKind
from carryout.storage import BlobMissing, OpenBlob, Storage

_SECOND: Final = 1_000_000
# What is said to be read soon: several of the largest chunks.
_AHEAD_BYTES: Final = 4 * 1024 * 1024
_AT_ONCE: Final = 16


class Pinned(msgspec.Struct, frozen=True):
    """A version of a file as it is to be sent: what a part of a session, and the newest version of a grant, tell."""

    filename: str
    sha256: bytes | None
    crc32: int | None
    size_bytes: int | None
    modified_at: int | None


def pinned(grant: GrantView) -> Pinned:
    """The newest version of a grant's file."""
    return Pinned(grant.filename, grant.sha256, grant.crc32, grant.size_bytes, grant.completed_at)


class Source(Protocol):
    """Bytes that never change behind one address. `repr_digest` is None where no digest is known beforehand."""

    size_bytes: int
    etag: str
    modified_seconds: int
    repr_digest: str | None

    def pieces(self, start: int, end: int) -> Iterator[bytes | MemberSlice]:
        """What the bytes from `start` to before `end` are made of; `member` is the position of a part."""
        ...


class FileSource:
    """The one file of a session."""

    def __init__(self, sha256: bytes, size_bytes: int, modified_at: int) -> None:
        self.size_bytes = size_bytes
        self.etag = f'"{sha256.hex()}"'
        self.modified_seconds = modified_at // _SECOND
        self.repr_digest: str | None = f"sha-256=:{base64.b64encode(sha256).decode()}:"

    def pieces(self, start: int, end: int) -> Iterator[bytes | MemberSlice]:
        """See `Source`."""
        if start < end:
            yield MemberSlice(0, start, end)


class ZipSource:
    """The files of a session as a ZIP, and the links of its order in a `links.txt` at its end."""

    repr_digest: str | None = None

    def __init__(self, parts: Sequence[Pinned | Part], links: bytes | None, opened_at: int) -> None:
        members = [_member(part) for part in parts]
        if links is not None:
            digest = hashlib.sha256(links).digest()
            members.append(Member(archive.LINKS_NAME, len(links), zlib.crc32(links), digest, opened_at))
        self._links = links or b""
        self._files = len(parts)
        self._layout = archive.layout(members)
        self.size_bytes = self._layout.size_bytes
        self.etag = self._layout.etag
        self.modified_seconds = opened_at // _SECOND

    def pieces(self, start: int, end: int) -> Iterator[bytes | MemberSlice]:
        """See `Source`."""
        for piece in archive.locate(self._layout, start, end):
            if isinstance(piece, MemberSlice) and piece.member >= self._files:
                yield self._links[piece.start : piece.end]
            else:
                yield piece


def _member(part: Pinned | Part) -> Member:
    return Member(
        safe_name(part.filename), part.size_bytes or 0, part.crc32 or 0, part.sha256 or b"", part.modified_at or 0
    )


def source_of(session: Session, parts: Sequence[Part], links: bytes | None) -> Source:
    """The bytes of a session; `links` is the plain text of its `links.txt`."""
    if session.kind is SessionKind.ZIP:
        return ZipSource(parts, links, session.opened_at)
    part = parts[0]
    return FileSource(part.sha256 or b"", part.size_bytes, part.modified_at or 0)


def reply_pieces(source: Source, decision: Decision, body: Multipart | None) -> Iterator[bytes | MemberSlice]:
    """The body of the answer to a GET: an interval of the source, or several with what stands between them."""
    if body is None or not isinstance(decision, SeveralRanges):
        for start, end in intervals_of(decision):
            yield from source.pieces(start, end)
        return
    for part in body.parts:
        yield part.prefix
        yield from source.pieces(part.start, part.end)
    yield body.closing


def asked_bytes(source: Source, decision: Decision, parts: int) -> list[int]:
    """How many bytes of each of so many parts an answer carries, in the order of the positions."""
    asked = [0] * parts
    for start, end in intervals_of(decision):
        for piece in source.pieces(start, end):
            if isinstance(piece, MemberSlice):
                asked[piece.member] += piece.end - piece.start
    return asked


class PartReader:
    """Reads the parts of a session, one open at a time; a part is opened when its first byte is wanted."""

    def __init__(self, storage: Storage, store_uid: str, parts: Sequence[Pinned | Part]) -> None:
        self._storage = storage
        self._store_uid = store_uid
        self._parts = parts
        self._open: tuple[int, OpenBlob] | None = None
        self._expected_to = 0

    async def prove(self, positions: Sequence[int]) -> None:
        """Open each of these parts once, so that what is missing is missed before the first byte.

        Errors: `BlobMissing` (also for one of another size), `StorageUnavailable`.
        """
        if len(positions) == 1:
            await self._blob(positions[0])  # and it stays open: it is what will be read
            return
        for batch in range(0, len(positions), _AT_ONCE):
            await asyncio.gather(*(self._prove(position) for position in positions[batch : batch + _AT_ONCE]))

    async def read(self, position: int, start: int, length: int) -> bytes:
        """Bytes of a part: exactly so many. Errors: `BlobMissing`, `StorageUnavailable`."""
        blob = await self._blob(position)
        self._expect(blob, start + length)
        return await blob.read(start, length)

    async def file(self, position: int, start: int) -> int | None:
        """The descriptor of a part that is a file, from `start` on. Errors: `BlobMissing`, `StorageUnavailable`."""
        blob = await self._blob(position)
        if blob.descriptor is not None:
            self._expect(blob, start)
        return blob.descriptor

    def _expect(self, blob: OpenBlob, end: int) -> None:
        if end > self._expected_to:
            self._expected_to = end + _AHEAD_BYTES
            blob.expect(end, 2 * _AHEAD_BYTES)

    async def close(self) -> None:
        """Let go of what is open."""
        if self._open is not None:
            blob, self._open = self._open[1], None
            await blob.close()

    async def _blob(self, position: int) -> OpenBlob:
        if self._open is not None and self._open[0] == position:
            return self._open[1]
        await self.close()
        self._expected_to = 0
        self._open = position, await open_part(self._storage, self._store_uid, self._parts[position])
        return self._open[1]

    async def _prove(self, position: int) -> None:
        await (await open_part(self._storage, self._store_uid, self._parts[position])).close()


async def open_part(storage: Storage, store_uid: str, part: Pinned | Part) -> OpenBlob:
    """Open the bytes of a part or of a grant's newest version.

    Errors: `BlobMissing` (also for bytes of another size: they are not what was promised), `StorageUnavailable`.
    """
    if part.sha256 is None:
        raise BlobMissing
    blob = await storage.open(store_uid, part.sha256)
    if blob.size_bytes != part.size_bytes:
        await blob.close()
        raise BlobMissing
    return blob
