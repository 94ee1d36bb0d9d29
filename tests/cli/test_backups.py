import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from carryout.cli.program import FAILED
from tests.world.program import Cli, Server


def test_a_running_installation_is_copied(shop: Cli, server_of: Callable[[Cli], Server], tmp_path: Path) -> None:
    server_of(shop)
    outcome = shop.ok("backup", "copy.tar", "--json")
    assert outcome.json == {"file": "copy.tar", "files": 4, "holds_secret": True, "lost": [], "bucket": None}
    assert "It holds the secret key" in outcome.stderr
    path = tmp_path / "copy.tar"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as tar:
        assert tar.getnames()[:2] == ["carryout.db", "secret_key"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy.tar", "data"]


def test_a_lost_file_does_not_stop_the_copy(shop: Cli, tmp_path: Path) -> None:
    lost, damaged = sorted(path for path in (tmp_path / "data" / "files").rglob("*") if path.is_file())[:2]
    lost.unlink()
    damaged.write_bytes(b"damaged")
    outcome = shop.ok("backup", "copy.tar", "--json")
    assert [name.rpartition("/")[2] for name in outcome.json["lost"]] == sorted([lost.name, damaged.name])
    shutil.rmtree(tmp_path / "data")
    assert shop.ok("restore", "copy.tar", "--json").json["files"] == 2


def test_what_cannot_be_copied_is_told(empty: Cli) -> None:
    assert "There is no database" in empty("backup", "copy.tar").stderr
    server = empty("backup", "copy.tar", CARRYOUT_DATABASE_URL="postgresql://localhost/carryout")
    assert server.code == FAILED
    assert "pg_dump" in server.stderr
    assert list(empty.folder.iterdir()) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("storage_url", ["moto"], indirect=True)
def test_files_on_s3_stay_in_their_bucket(cli: Cli, storage_url: str, data_dir: Path) -> None:
    cli.ok("demo")
    assert cli.ok("backup", "copy.tar").stdout == f"Wrote the database to copy.tar. The files stay in {storage_url}.\n"
    with tarfile.open(cli.folder / "copy.tar") as tar:
        assert tar.getnames() == ["carryout.db", "backup.json"]
    shutil.rmtree(data_dir)
    refused = cli("restore", "copy.tar", CARRYOUT_STORAGE_URL=f"file://{data_dir}/files")
    assert refused.code == FAILED
    assert f"The files of this backup are in {storage_url}" in refused.stderr
    restored = cli.ok("restore", "copy.tar", "--json").json
    assert (restored["files"], restored["bucket"]) == (0, storage_url)
