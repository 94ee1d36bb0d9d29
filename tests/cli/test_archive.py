import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from carryout.cli import archive
from carryout.cli.archive import BackupDamaged, Reader, Writer, blob_name, blob_of
from carryout.cli.reading import opened, store_file
from carryout.storage import DiskStorage

UID = "01a20ecf-0028-7121-ba3e-33661c327369"


@pytest.fixture
async def written(tmp_path: Path) -> Path:
    """A backup of a database, a secret and one file."""
    storage = DiskStorage(tmp_path / "files")
    (tmp_path / "file").write_bytes(b"a file")
    with opened([tmp_path / "file"]) as [(_, source)]:
        blob = await store_file(storage, UID, source)
    (tmp_path / "db").write_bytes(b"a database")
    (tmp_path / "secret").write_bytes(b"a secret")
    path = tmp_path / "backup.tar"
    with path.open("wb") as target:
        writer = Writer(target)
        writer.add(archive.DATABASE, tmp_path / "db")
        writer.add(archive.SIGNING_KEY, tmp_path / "secret")
        file = await storage.open(UID, blob.sha256)
        assert await writer.add_blob(blob_name(UID, blob.sha256), file)
        await file.close()
        writer.finish()
    return path


def test_what_was_written_is_read(written: Path, tmp_path: Path) -> None:
    contents = Reader(written).verify(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"a database"
    assert contents.small == {archive.SIGNING_KEY: b"a secret"}
    [(name, file)] = Reader(written).blobs(contents.blobs)
    assert blob_of(name) == (UID, hashlib.sha256(b"a file").digest())
    assert not file.closed


def test_no_damage_goes_unseen(written: Path, tmp_path: Path) -> None:
    whole = written.read_bytes()
    for offset in range(0, len(whole), 199):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x5A
        written.write_bytes(damaged)
        try:
            Reader(written).verify(tmp_path / "copy")
        except BackupDamaged:
            continue
        assert (tmp_path / "copy").read_bytes() == b"a database", f"byte {offset}"  # it was padding


def test_no_cut_goes_unseen(written: Path, tmp_path: Path) -> None:
    whole = written.read_bytes()
    end = whole.rindex(b"backup.json")
    for length in range(0, end, 256):
        written.write_bytes(whole[:length])
        with pytest.raises(BackupDamaged):
            Reader(written).verify(tmp_path / "copy")


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", f"files/{UID}/../../x", "carryout.db/", "other"])
def test_a_foreign_name_is_refused(tmp_path: Path, name: str) -> None:
    path = _tar(tmp_path, lambda tar: _add(tar, name, tarfile.REGTYPE))
    with pytest.raises(BackupDamaged, match="what no backup holds"):
        Reader(path).verify(tmp_path / "copy")


def test_a_link_is_refused(tmp_path: Path) -> None:
    path = _tar(tmp_path, lambda tar: _add(tar, archive.DATABASE, tarfile.SYMTYPE))
    with pytest.raises(BackupDamaged, match="what no backup holds"):
        Reader(path).verify(tmp_path / "copy")


def _tar(folder: Path, fill: Callable[[tarfile.TarFile], None]) -> Path:
    with tarfile.open(folder / "made.tar", "w") as tar:
        fill(tar)
    return folder / "made.tar"


def _add(tar: tarfile.TarFile, name: str, kind: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    tar.addfile(member, io.BytesIO())
