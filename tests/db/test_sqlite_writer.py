import asyncio
import os
import shutil
from pathlib import Path

import pytest

from carryout.db import Tx
from carryout.db.sqlite import SqliteDatabase
from carryout.db.sqlite_writer import Writer
from carryout.errors import DatabaseFull
from tests.db.makers import insert_name, list_names
from tests.world.disk import small_disk


async def test_a_full_disk_fails_what_does_not_fit_and_heals_by_itself(tmp_path: Path, migrated_file: Path) -> None:
    with small_disk(tmp_path / "small", megabytes=2) as folder:
        path = Path(shutil.copyfile(migrated_file, folder / "carryout.db"))
        database = SqliteDatabase(path)
        try:
            await _fill_and_heal(database, folder / "filler")
        finally:
            await database.close()


async def _fill_and_heal(database: SqliteDatabase, filler: Path) -> None:
    await database.write(insert_name, "before")
    _fill(filler, leave_bytes=64 * 1024)

    large = "x" * 200_000
    outcomes = await asyncio.gather(
        database.write(insert_name, "small 1"),
        database.write(insert_name, large),
        database.write(insert_name, "small 2"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [str, DatabaseFull, str]
    with pytest.raises(DatabaseFull):
        await database.write(insert_name, large)
    assert await database.read(list_names) == ["before", "small 1", "small 2"]

    await asyncio.to_thread(filler.unlink)
    await database.write(insert_name, large)
    assert await database.read(list_names) == ["before", "small 1", "small 2", large]


def _fill(path: Path, leave_bytes: int) -> None:
    status = os.statvfs(path.parent)
    path.write_bytes(bytes(status.f_bavail * status.f_frsize - leave_bytes))


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFull):
        Writer(tmp_path / "missing" / "carryout.db", 1.0, lambda _channel: None)


def test_a_file_that_is_no_database_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "carryout.db"
    path.write_bytes(b"no database at all" * 100)

    with pytest.raises(Exception, match="not a database"):
        Writer(path, 1.0, lambda _channel: None)


async def test_what_waits_is_committed_as_a_group(migrated_file: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(migrated_file, tmp_path / "carryout.db"))
    told: list[str] = []
    writer = Writer(path, 1.0, told.append)

    async def insert_and_wake(tx: Tx, name: str) -> str:
        tx.wake("bell")
        return await insert_name(tx, name)

    answers = [writer.submit(insert_and_wake, (f"name {number}",)) for number in range(600)]
    writer.finish()

    assert await asyncio.gather(*answers) == [f"name {number}" for number in range(600)]
    assert 1 <= len(told) < 300  # one call for each commit, not for each write
