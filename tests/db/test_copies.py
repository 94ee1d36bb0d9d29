import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from carryout.db import copies, open_database
from carryout.db.sqlite import SqliteDatabase
from carryout.errors import DatabaseFull
from tests.db.makers import delete_name, insert_name, list_names


@pytest.fixture
def path(tmp_path: Path, migrated_file: Path) -> Path:
    path = tmp_path / "what?x#y.db"
    path.write_bytes(migrated_file.read_bytes())
    return path


async def test_a_copy_of_a_database_in_use_is_whole_and_without_what_was_deleted(path: Path, tmp_path: Path) -> None:
    database = SqliteDatabase(path)
    await database.write(insert_name, "kept")
    await database.write(insert_name, "bea@example.com" * 100)
    await database.write(delete_name, "bea@example.com" * 100)
    target = tmp_path / "copy.db"

    copies.copy(path, target)
    await database.write(insert_name, "later")
    await database.close()

    assert copies.find_damage(target) is None
    assert copies.list_blobs(target) == []
    assert b"bea@example.com" not in target.read_bytes()
    copies.settle(target)
    again = open_database(f"sqlite:///{target}")
    assert await again.read(list_names) == ["kept"]
    await again.close()


def test_damage_is_found(path: Path, tmp_path: Path) -> None:
    copies.copy(path, tmp_path / "copy.db")
    data = bytearray((tmp_path / "copy.db").read_bytes())
    data[4096 * 2 : 4096 * 3] = b"\xff" * 4096
    (tmp_path / "copy.db").write_bytes(data)
    (tmp_path / "none.db").write_bytes(b"no database" * 1000)

    assert copies.find_damage(tmp_path / "copy.db")
    assert copies.find_damage(tmp_path / "none.db") == "file is not a database"


def test_a_row_whose_parent_is_missing_is_damage(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO edits (store_id, order_shopify_id, edited_at) VALUES (7, 1, 1)")

    assert copies.find_damage(path) == "a row of edits refers to one that is missing"


def test_what_is_not_there_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFull):
        copies.copy(tmp_path / "missing.db", tmp_path / "copy.db")
