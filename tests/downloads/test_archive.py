import hashlib
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.downloads.archive import Layout, Link, Literal, Member, Stored, layout, links_text, locate, unique_names
from carryout.downloads.disposition import safe_name

GIB = 1024**3
MODIFIED = 1_700_000_001_234_567  # 2023-11-14 22:13:21 UTC


def member(name: str, data: bytes, modified_at: int = MODIFIED) -> Member:
    return Member(safe_name(name), len(data), zlib.crc32(data), hashlib.sha256(data).digest(), modified_at)


def sent(archive: Layout, contents: Sequence[bytes], start: int, end: int) -> bytes:
    """The bytes as a door would send them."""
    pieces = locate(archive, start, end)
    return b"".join(
        piece if isinstance(piece, bytes) else contents[piece.member][piece.start : piece.end] for piece in pieces
    )


def read_back(archive: Layout, contents: Sequence[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(sent(archive, contents, 0, archive.size_bytes)))


files = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=200), st.integers(-(2**62), 2**62)), max_size=12)


@given(files)
def test_any_set_of_files_is_read_back_byte_for_byte(given_files: list[tuple[str, bytes, int]]) -> None:
    contents = [data for _, data, _ in given_files]
    members = [member(*file) for file in given_files]
    archive = layout(members)
    with read_back(archive, contents) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == unique_names(one.name for one in members)
        assert [opened.read(info) for info in opened.infolist()] == contents


@given(files, st.data())
def test_any_cut_and_resume_gives_the_same_bytes(
    given_files: list[tuple[str, bytes, int]], draw: st.DataObject
) -> None:
    contents = [data for _, data, _ in given_files]
    archive = layout([member(*file) for file in given_files])
    whole = sent(archive, contents, 0, archive.size_bytes)
    assert len(whole) == archive.size_bytes
    cuts = sorted(draw.draw(st.lists(st.integers(0, archive.size_bytes), max_size=8)))
    spans = list(zip([0, *cuts], [*cuts, archive.size_bytes], strict=True))
    assert b"".join(sent(archive, contents, start, end) for start, end in spans) == whole
    assert all(sent(archive, contents, start, end) == whole[start:end] for start, end in spans)


@given(files)
def test_segments_stand_side_by_side(given_files: list[tuple[str, bytes, int]]) -> None:
    archive = layout([member(*file) for file in given_files])
    offset = 0
    for segment in archive.segments:
        assert segment.start == offset
        offset += len(segment.data) if isinstance(segment, Literal) else segment.size_bytes
    assert offset == archive.size_bytes


def test_what_lies_beyond_the_archive_is_made_of_nothing() -> None:
    archive = layout([member("a", b"abc")])
    assert list(locate(archive, archive.size_bytes, archive.size_bytes + 9)) == []
    assert list(locate(archive, 5, 5)) == []
    assert sent(archive, [b"abc"], 0, 10**9) == sent(archive, [b"abc"], 0, archive.size_bytes)


def test_members_are_stored_without_descriptors_and_with_their_times() -> None:
    with read_back(layout([member("a.txt", b"abc")]), [b"abc"]) as opened:
        (info,) = opened.infolist()
    assert info.compress_type == zipfile.ZIP_STORED
    assert info.flag_bits == 0x0800
    assert info.date_time == (2023, 11, 14, 22, 13, 20)
    assert info.external_attr >> 16 == 0o100644
    assert info.extra == b"UT\5\0\1" + (MODIFIED // 1_000_000).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("modified_at", "shown"),
    [
        (0, (1980, 1, 1, 0, 0, 0)),
        (-1, (1980, 1, 1, 0, 0, 0)),
        (int(datetime(2040, 2, 29, 1, 2, 4, tzinfo=UTC).timestamp()) * 1_000_000, (2040, 2, 29, 1, 2, 4)),
        (2**63, (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_that_dos_cannot_write_are_its_first_or_last(modified_at: int, shown: tuple[int, ...]) -> None:
    with read_back(layout([member("a", b"", modified_at)]), [b""]) as opened:
        assert opened.infolist()[0].date_time == shown


def test_the_same_members_give_the_same_archive_and_others_another_tag() -> None:
    one = member("a.txt", b"abc")
    archive = layout([one, member("b.txt", b"def")])
    assert archive == layout([one, member("b.txt", b"def")])
    assert re.fullmatch(r'"[0-9a-f]{64}"', archive.etag)
    others = [
        layout([one]),
        layout([member("b.txt", b"def"), one]),
        layout([one, member("c.txt", b"def")]),
        layout([one, member("b.txt", b"deg")]),
        layout([one, member("b.txt", b"def", MODIFIED + 1_000_000)]),
        layout([one, Member("b.txt", 3, zlib.crc32(b"def"), bytes(32), MODIFIED)]),
    ]
    assert len({archive.etag, *(other.etag for other in others)}) == 7


@pytest.mark.parametrize(
    ("names", "unique"),
    [
        (["a.txt", "b.txt"], ["a.txt", "b.txt"]),
        (["a.txt", "a.txt", "A.TXT"], ["a.txt", "a (2).txt", "A (3).TXT"]),
        (["a.txt", "a (2).txt", "a.txt"], ["a.txt", "a (2).txt", "a (3).txt"]),
        (["a.txt", "a.txt", "a (2).txt"], ["a.txt", "a (2).txt", "a (2) (2).txt"]),
        (["readme", "README"], ["readme", "README (2)"]),
        (["caf\u00e9.pdf", "cafe\u0301.pdf"], ["caf\u00e9.pdf", "caf\u00e9 (2).pdf"]),
        (["stra\u00dfe", "STRASSE"], ["stra\u00dfe", "STRASSE (2)"]),
        (["Vol. 1 of it", "Vol. 1 of it"], ["Vol. 1 of it", "Vol. 1 of it (2)"]),
        (["\u1f80.x", "\u1f00\u03b9.x"], ["\u1f80.x", "\u1f00\u03b9 (2).x"]),
    ],
)
def test_names_that_a_file_system_could_take_for_one_are_numbered(names: list[str], unique: list[str]) -> None:
    assert unique_names(names) == unique


def test_many_equal_names_cost_little() -> None:
    assert unique_names(["a.txt"] * 70_000)[-1] == "a (70000).txt"


@given(st.lists(st.text(max_size=300) | st.sampled_from(["CON", "nul.txt", "../a", "a" * 300 + ".epub", "x" * 300])))
def test_every_name_can_be_saved_on_every_system(filenames: list[str]) -> None:
    names = unique_names(safe_name(filename) for filename in filenames)
    folded = {unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold()) for name in names}
    assert len(folded) == len(filenames)
    for name in names:
        assert 0 < len(name.encode()) <= 255
        assert not re.search(r'[\x00-\x1f\x7f-\x9f\\/:*?"<>|\u202a-\u202e\u2066-\u2069]', name)
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", name)
        assert name == name.strip(" .")
        assert unicodedata.is_normalized("NFC", name)


def test_a_long_name_keeps_its_ending_when_it_is_numbered() -> None:
    names = unique_names([safe_name("\u00e9" * 300 + ".epub")] * 2)
    assert [name[-9:] for name in names] == ["\u00e9\u00e9\u00e9\u00e9.epub", " (2).epub"]


def test_a_member_over_4_gib_and_what_follows_it_have_zip64_records(tmp_path: Path) -> None:
    archive = layout([Member("big.iso", 5 * GIB, 0, bytes(32), MODIFIED), member("a.txt", b"abc")])
    with (tmp_path / "a.zip").open("wb") as file:
        for segment in archive.segments:
            file.seek(segment.start)
            file.write(segment.data if isinstance(segment, Literal) else b"abc" * segment.member)
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        big, small = opened.infolist()
        assert opened.read("a.txt") == b"abc"
    assert (big.file_size, big.compress_size, big.extract_version) == (5 * GIB, 5 * GIB, 45)
    assert small.header_offset > 5 * GIB
    assert (tmp_path / "a.zip").stat().st_size == archive.size_bytes


@pytest.mark.parametrize(("size_bytes", "is_large"), [(2**32 - 2, False), (2**32 - 1, True), (2**32, True)])
def test_zip64_begins_where_32_bits_end(size_bytes: int, *, is_large: bool) -> None:
    header = layout([Member("a", size_bytes, 0, bytes(32), -1)]).segments[0]
    assert isinstance(header, Literal)
    assert (header.data[4] == 45, len(header.data)) == (is_large, 31 + 20 * is_large)
    assert header.data[18:26] == min(size_bytes, 2**32 - 1).to_bytes(4, "little") * 2


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_zip64_begins_where_16_bits_count_no_further(count: int) -> None:
    archive = layout([Member(f"{number}", 0, 0, bytes(32), MODIFIED) for number in range(count)])
    with read_back(archive, []) as opened:
        assert len(opened.namelist()) == count
    end = b"".join(piece for piece in locate(archive, archive.size_bytes - 98, archive.size_bytes) if piece)  # type: ignore[misc]  # no member has bytes
    assert (end[:4] == b"PK\6\6") == (count >= 65_535)


def test_what_is_held_beside_the_files_is_small() -> None:
    archive = layout([Member(f"track {number}.flac", GIB, number, bytes(32), MODIFIED) for number in range(1000)])
    literals = [segment for segment in archive.segments if isinstance(segment, Literal)]
    assert sum(len(literal.data) for literal in literals) < 250_000
    assert max(len(literal.data) for literal in literals) <= 64 * 1024
    assert sum(segment.size_bytes for segment in archive.segments if isinstance(segment, Stored)) == 1000 * GIB


def test_an_archive_without_members_is_an_empty_archive() -> None:
    with read_back(layout([]), []) as opened:
        assert opened.namelist() == []


def test_links_stand_a_line_each_and_cannot_forge_another() -> None:
    text = links_text(
        [Link("Course", "https://a.example/d/1"), Link("B\u00f6se\r\n\u202eX: https://e", "https://b.example")]
    )
    assert text.decode() == "Course: https://a.example/d/1\r\nB\u00f6se X: https://e: https://b.example\r\n"
