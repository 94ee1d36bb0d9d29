"""Whether the programs that buyers have accept what we send."""

import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from carryout.downloads.archive import Layout, Literal, Member, layout, locate
from carryout.downloads.disposition import safe_name

GIB = 1024**3
MODIFIED = 1_700_000_000_000_000
ZERO = bytes(16 * 1024**2)

tools = pytest.mark.parametrize(
    "command", [("unzip", "-tqq"), ("7z", "t"), (sys.executable, "-m", "zipfile", "-t")], ids=["unzip", "7z", "zipfile"]
)


def write(archive: Layout, contents: Sequence[bytes], path: Path) -> None:
    with path.open("wb") as file:
        for piece in locate(archive, 0, archive.size_bytes):
            file.write(piece if isinstance(piece, bytes) else contents[piece.member][piece.start : piece.end])


def write_sparse(archive: Layout, path: Path) -> None:
    """The archive of members that are all zero, as a file with holes."""
    with path.open("wb") as file:
        for segment in archive.segments:
            if isinstance(segment, Literal):
                file.seek(segment.start)
                file.write(segment.data)


def named(names: Sequence[str], contents: Sequence[bytes]) -> Layout:
    pairs = zip(names, contents, strict=True)
    return layout([Member(safe_name(name), len(data), zlib.crc32(data), b"", MODIFIED) for name, data in pairs])


def run(*command: str | Path) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arning" not in done.stdout + done.stderr


NAMES = [
    "book.epub",
    "BOOK.epub",
    "../../etc/passwd",
    "CON.txt",
    "\u4e66.pdf",
    "a\u202ecod.exe",
    "x" * 400 + ".mp3",
    "",
    "\U0001f4d6",
]


@tools
def test_tools_accept_an_archive_of_odd_names(command: tuple[str, ...], tmp_path: Path) -> None:
    contents = [name.encode() * 100 for name in NAMES]
    write(named(NAMES, contents), contents, tmp_path / "a.zip")
    run(*command, tmp_path / "a.zip")


def test_unpacked_files_have_their_bytes_names_and_times(tmp_path: Path) -> None:
    contents = [name.encode() * 100 for name in NAMES]
    write(named(NAMES, contents), contents, tmp_path / "a.zip")
    run("unzip", "-qq", tmp_path / "a.zip", "-d", tmp_path / "out")
    found = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert sorted(path.read_bytes() for path in found.values()) == sorted(contents)
    assert {"book.epub", "BOOK (2).epub", "_.._etc_passwd", "_CON.txt", "\u4e66.pdf", "acod.exe"} < set(found)
    assert {path.stat().st_mtime for path in found.values()} == {MODIFIED / 1_000_000}


@tools
@pytest.mark.parametrize("count", [1_000, 70_000])
def test_tools_accept_many_files(command: tuple[str, ...], count: int, tmp_path: Path) -> None:
    contents = [str(number).encode() for number in range(count)]
    write(named([f"track {number % 500}.txt" for number in range(count)], contents), contents, tmp_path / "a.zip")
    run(*command, tmp_path / "a.zip")


@pytest.mark.large
@tools
def test_tools_accept_a_file_over_4_gib(command: tuple[str, ...], tmp_path: Path) -> None:
    crc32 = 0
    for _ in range(5 * GIB // len(ZERO)):
        crc32 = zlib.crc32(ZERO, crc32)
    sizes = {"before": 0, "big": 5 * GIB, "after": 0}
    archive = layout([Member(name, length, crc32 if length else 0, b"", MODIFIED) for name, length in sizes.items()])
    write_sparse(archive, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").stat().st_size == archive.size_bytes
    run(*command, tmp_path / "a.zip")
