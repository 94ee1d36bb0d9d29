import os
from pathlib import Path

import pytest

from carryout.cli.reading import FileUnreadable, opened, store_file
from carryout.identifiers import new_uid
from carryout.storage import DiskStorage


@pytest.mark.parametrize("name", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_before_anything_is_stored(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileUnreadable), opened([tmp_path / "a", tmp_path / name]):
        pass


async def test_a_file_is_stored_as_it_is(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    storage, uid = DiskStorage(tmp_path / "files"), new_uid()
    with opened([tmp_path / "a"]) as [(_, source)]:
        blob = await store_file(storage, uid, source)
    file = await storage.open(uid, blob.sha256)
    assert await file.read(0, blob.size_bytes) == content
    await file.close()
