"""Several files as one ZIP whose every byte is known before the first is sent (PKWARE's APPNOTE 6.3.10).

Members are stored, not compressed, and their sizes and CRC-32s are known since they were uploaded: so the archive has a
length, a strong ETag and ranges like any file, and what it is made of beside the files is small.
"""

import hashlib
import re
import struct
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

LINKS_NAME: Final = "links.txt"

_SUFFIX: Final = re.compile(r"\.[^. ]{1,16}\Z")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END_64: Final = struct.Struct("<4sQ2H2I4Q")
_END_64_AT: Final = struct.Struct("<4sIQI")
_END: Final = struct.Struct("<4s4H2IH")

_MAX_16: Final = 0xFFFF
_MAX_32: Final = 0xFFFFFFFF
_MAX_SIGNED_32: Final = 0x7FFFFFFF
_UTF_8: Final = 0x0800
_PLAIN: Final = 20  # version 2.0 of the format
_ZIP64: Final = 45
_UNIX: Final = 3 << 8
_READABLE_FILE: Final = 0o100644 << 16
_EPOCH_1980: Final = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
_END_OF_2107: Final = int(datetime(2107, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
_LITERAL_BYTES: Final = 64 * 1024


class Member(msgspec.Struct, frozen=True):
    """A file to be put into an archive. `name` is a safe one (`disposition.safe_name`); times are microseconds UTC."""

    name: str
    size_bytes: int
    crc32: int
    sha256: bytes
    modified_at: int


class Link(msgspec.Struct, frozen=True):
    """A line of `links.txt`: the name of a link asset and its counted URL."""

    name: str
    url: str


class Literal(msgspec.Struct, frozen=True):
    """Bytes of the archive itself, from `start` on."""

    start: int
    data: bytes


class Stored(msgspec.Struct, frozen=True):
    """Where the bytes of the member of that number stand."""

    start: int
    member: int
    size_bytes: int


class Layout(msgspec.Struct, frozen=True):
    """An archive: its length, its strong ETag with the quotes, and its segments in order and without gaps."""

    size_bytes: int
    etag: str
    segments: tuple[Literal | Stored, ...]


class MemberSlice(msgspec.Struct, frozen=True):
    """The bytes of a member from `start` to before `end`."""

    member: int
    start: int
    end: int


def layout(members: Sequence[Member]) -> Layout:
    """The archive of these members, in their order. The same members give the same bytes.

    Names that a file system could take for one are numbered. An archive without members is for the caller to refuse.
    """
    entries: list[_Entry] = []
    segments: list[Literal | Stored] = []
    offset = 0
    for number, (member, name) in enumerate(zip(members, unique_names(m.name for m in members), strict=True)):
        entry = _Entry(member, name.encode(), offset)
        entries.append(entry)
        header = _local_header(entry)
        segments.append(Literal(offset, header))
        offset += len(header)
        if member.size_bytes:
            segments.append(Stored(offset, number, member.size_bytes))
            offset += member.size_bytes
    tail = _tail(entries, offset)
    pieces = range(0, len(tail), _LITERAL_BYTES)
    segments += [Literal(offset + start, tail[start : start + _LITERAL_BYTES]) for start in pieces]
    return Layout(offset + len(tail), _etag(segments, members), tuple(segments))


def locate(archive: Layout, start: int, end: int) -> Iterator[bytes | MemberSlice]:
    """What the bytes from `start` to before `end` are made of, in order; literal pieces have at most 64 KiB."""
    first = max(bisect_right(archive.segments, start, key=lambda segment: segment.start) - 1, 0)
    for number in range(first, len(archive.segments)):
        segment = archive.segments[number]
        if segment.start >= end:
            return
        length = len(segment.data) if isinstance(segment, Literal) else segment.size_bytes
        inner = max(start - segment.start, 0)
        outer = min(end - segment.start, length)
        if inner >= outer:
            continue
        yield segment.data[inner:outer] if isinstance(segment, Literal) else MemberSlice(segment.member, inner, outer)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names in NFC; one that equals an earlier one, whatever its case, gets a number: `book (2).epub`."""
    seen: set[str] = set()
    last_numbers: dict[str, int] = {}
    unique = []
    for given in names:
        name = unicodedata.normalize("NFC", given)
        key = _folded(name)
        number = last_numbers.get(key, 1)
        candidate = name
        while _folded(candidate) in seen:
            number += 1
            candidate = _numbered(name, number)
        last_numbers[key] = number
        seen.add(_folded(candidate))
        unique.append(candidate)
    return unique


def links_text(links: Iterable[Link]) -> bytes:
    """What `links.txt` holds: a link a line, its name and its URL, with line ends that every editor knows."""
    lines = [f"{_UNPRINTABLE.sub(' ', link.name).strip()}: {link.url}\r\n" for link in links]
    return "".join(lines).encode()


class _Entry(NamedTuple):
    """A member, the name it got, and where its header starts."""

    member: Member
    name: bytes
    offset: int

    @property
    def is_large(self) -> bool:
        return self.member.size_bytes >= _MAX_32


def _folded(name: str) -> str:
    # As Unicode (3.13, D145) compares without case: what is equal so, some file system takes for one name.
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _numbered(name: str, number: int) -> str:
    suffix = _SUFFIX.search(name, 1)
    at = suffix.start() if suffix else len(name)
    return f"{name[:at]} ({number}){name[at:]}"


def _local_header(entry: _Entry) -> bytes:
    member = entry.member
    sizes = struct.pack("<2H2Q", 1, 16, member.size_bytes, member.size_bytes) if entry.is_large else b""
    extra = sizes + _unix_time(member)
    stored_bytes = min(member.size_bytes, _MAX_32)
    return (
        _LOCAL.pack(
            b"PK\3\4",
            _ZIP64 if entry.is_large else _PLAIN,
            _UTF_8,
            0,
            *_dos_time(member),
            member.crc32,
            stored_bytes,
            stored_bytes,
            len(entry.name),
            len(extra),
        )
        + entry.name
        + extra
    )


def _central_header(entry: _Entry) -> bytes:
    member = entry.member
    numbers = [member.size_bytes] * 2 if entry.is_large else []
    numbers += [entry.offset] if entry.offset >= _MAX_32 else []
    zip64 = struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""
    extra = zip64 + _unix_time(member)
    version = _ZIP64 if numbers else _PLAIN
    stored_bytes = min(member.size_bytes, _MAX_32)
    return (
        _CENTRAL.pack(
            b"PK\1\2",
            _UNIX | version,
            version,
            _UTF_8,
            0,
            *_dos_time(member),
            member.crc32,
            stored_bytes,
            stored_bytes,
            len(entry.name),
            len(extra),
            *(0, 0, 0),  # no comment, disk 0, binary
            _READABLE_FILE,
            min(entry.offset, _MAX_32),
        )
        + entry.name
        + extra
    )


def _tail(entries: Sequence[_Entry], offset: int) -> bytes:
    directory = b"".join(_central_header(entry) for entry in entries)
    count, length = len(entries), len(directory)
    end_64 = b""
    if count >= _MAX_16 or length >= _MAX_32 or offset >= _MAX_32:
        version = (_UNIX | _ZIP64, _ZIP64)
        end_64 = _END_64.pack(b"PK\6\6", _END_64.size - 12, *version, 0, 0, count, count, length, offset)
        end_64 += _END_64_AT.pack(b"PK\6\7", 0, offset + length, 1)
    count = min(count, _MAX_16)
    return directory + end_64 + _END.pack(b"PK\5\6", 0, 0, count, count, min(length, _MAX_32), min(offset, _MAX_32), 0)


def _dos_time(member: Member) -> tuple[int, int]:
    """The time and the date as DOS counts them: from 1980 to 2107, in steps of two seconds, here in UTC."""
    seconds = min(max(member.modified_at // 1_000_000, _EPOCH_1980), _END_OF_2107)
    at = datetime.fromtimestamp(seconds, UTC)
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day


def _unix_time(member: Member) -> bytes:
    """The exact time, since DOS knows no zones; without it a file would be hours off where it is unpacked."""
    seconds = member.modified_at // 1_000_000
    return struct.pack("<2HBi", 0x5455, 5, 1, seconds) if 0 <= seconds <= _MAX_SIGNED_32 else b""


def _etag(segments: Iterable[Literal | Stored], members: Sequence[Member]) -> str:
    """Of all that makes the bytes what they are: the headers as they stand, and the digest of each member."""
    digest = hashlib.sha256()
    for segment in segments:
        digest.update(segment.data if isinstance(segment, Literal) else members[segment.member].sha256)
    return f'"{digest.hexdigest()}"'
