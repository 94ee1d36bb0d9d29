import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from carryout.db import copies


@pytest.fixture
def source(migrated_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "carryout.db"
    shutil.copyfile(migrated_file, path)
    return path


def test_a_copy_holds_what_is_committed_and_nothing_more(source: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("INSERT INTO redactions VALUES (1, x'01', 2)")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO redactions VALUES (1, x'02', 2)")
        copies.copy(source, tmp_path / "copy.db")
        connection.execute("ROLLBACK")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM redactions").fetchone() == (1,)


def test_damage_is_found(source: Path) -> None:
    assert copies.find_damage(source) is None
    assert copies.list_blobs(source) == []
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("INSERT INTO redactions VALUES (1, x'01', 2)")
    assert copies.find_damage(source) == "a row of redactions refers to one that is missing"
    source.write_bytes(b"no database at all, but long enough to be one" * 100)
    assert copies.find_damage(source) is not None


def test_a_settled_copy_is_one_file_with_a_log_to_come(source: Path, tmp_path: Path) -> None:
    copies.copy(source, tmp_path / "copy.db")
    copies.settle(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db-wal").exists()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("wal",)
