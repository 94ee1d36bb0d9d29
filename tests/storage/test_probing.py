from pathlib import Path
from typing import Any

import pytest

from carryout.storage import StorageUnavailable, is_local, open_storage, probe
from carryout.storage.s3_place import read_place
from tests.storage.makers import EVERY_KIND
from tests.world.buckets import KEYS


@pytest.mark.parametrize("storage_url", EVERY_KIND, indirect=True)
async def test_a_probe_leaves_nothing(storage_url: str, tmp_path: Path, request: Any) -> None:
    await probe(open_storage(storage_url, KEYS, tmp_path / "spool"))
    if is_local(storage_url):
        assert [path for path in (tmp_path / "data" / "files").rglob("*") if path.is_file()] == []
    else:
        for buckets in (request.getfixturevalue("moto"), request.getfixturevalue("swift")):
            if buckets.endpoint in storage_url:
                found = buckets.client.list_objects_v2(Bucket=read_place(storage_url, KEYS).bucket)
                assert found["KeyCount"] == 0


async def test_a_storage_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(StorageUnavailable):
        await probe(open_storage(f"file://{tmp_path}/files", {}, tmp_path))
