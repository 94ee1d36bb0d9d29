import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from carryout.db import Tx
from carryout.db.sqlite import SqliteDatabase
from carryout.db.sqlite_connection import ForeignAwait
from carryout.errors import DatabaseBusy, DatabaseUnavailable
from tests.db.makers import count_names, delete_name, insert_name, list_names

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def path(database_url: str) -> Path:
    return Path(database_url.removeprefix("sqlite:///"))


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    """One that waits half a second for others."""
    database = SqliteDatabase(path, busy_seconds=0.5)
    yield database
    await database.close()


@contextmanager
def locked(path: Path, how: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Another connection in the way."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        if how == "BEGIN EXCLUSIVE":  # with a write-ahead log it stops readers only so
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute(how)
        yield
        other.rollback()


async def _await_something_else(tx: Tx, name: str) -> None:
    await insert_name(tx, name)
    await asyncio.get_running_loop().create_future()


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def _pause_in_the_middle(tx: Tx, name: str) -> None:
    await insert_name(tx, name)
    await _Pause()


async def test_a_foreign_await_is_refused_and_undone(database: SqliteDatabase) -> None:
    with pytest.raises(ForeignAwait, match="_pause_in_the_middle awaited something that is not the database"):
        await database.write(_pause_in_the_middle, "a")
    outcomes = await asyncio.gather(
        database.write(insert_name, "b"),
        database.write(_pause_in_the_middle, "c"),
        database.write(_await_something_else, "d"),
        database.write(insert_name, "e"),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [str, ForeignAwait, RuntimeError, str]
    assert await database.read(list_names) == ["b", "e"]


async def test_a_foreign_await_while_reading_is_refused(database: SqliteDatabase) -> None:
    async def wait(_tx: Tx) -> None:
        await asyncio.sleep(0)

    with pytest.raises(ForeignAwait):
        await database.read(wait)

    assert await database.read(count_names) == 0


async def test_a_writer_waits_for_another_process(database: SqliteDatabase, path: Path) -> None:
    with locked(path):
        waiting = asyncio.create_task(database.write(insert_name, "a"))
        assert await database.read(count_names) == 0  # readers go on
        await asyncio.wait([waiting], timeout=0.3)
        assert not waiting.done()

    assert await waiting == "a"


async def test_a_database_that_stays_busy_fails_every_waiting_write_in_its_time(
    database: SqliteDatabase, path: Path
) -> None:
    with locked(path):
        started = time.monotonic()
        outcomes = await asyncio.gather(
            *(database.write(insert_name, f"name {number}") for number in range(30)), return_exceptions=True
        )
        took_seconds = time.monotonic() - started

    assert {type(outcome) for outcome in outcomes} == {DatabaseBusy}
    assert 0.4 < took_seconds < 3  # each after another would be fifteen seconds
    assert await database.write(insert_name, "after") == "after"
    assert await database.read(list_names) == ["after"]


async def test_a_read_that_is_locked_out_comes_again_and_holds_up_nobody(path: Path) -> None:
    with closing(sqlite3.connect(path)) as plain:  # without a write-ahead log a lock keeps readers out, too
        plain.execute("PRAGMA journal_mode=DELETE")
    database = SqliteDatabase(path, busy_seconds=0.5)
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    heart = asyncio.create_task(beat())
    with locked(path, "BEGIN EXCLUSIVE"):
        with pytest.raises(DatabaseBusy):
            await database.read(count_names)
        waiting = asyncio.create_task(database.read(count_names))
        await asyncio.sleep(0)
    assert await waiting == 0
    heart.cancel()
    await database.close()

    assert max(later - earlier for earlier, later in pairwise(beats)) < 0.25


async def test_what_was_deleted_is_gone_from_the_disk_after_a_scrub(database: SqliteDatabase, path: Path) -> None:
    secret = "bea@example.com" * 40
    await database.write(insert_name, secret)
    await database.write(delete_name, secret)
    assert b"bea@example.com" in _on_disk(path)

    await database.scrub(["stores"])

    assert b"bea@example.com" not in _on_disk(path)


async def test_a_scrub_says_busy_while_a_reader_holds_the_log(database: SqliteDatabase, path: Path) -> None:
    await database.write(insert_name, "a")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM stores").fetchone()
        await database.write(insert_name, "b")
        scrubbing = asyncio.create_task(database.scrub([]))
        with pytest.raises(DatabaseBusy):
            await scrubbing
        await database.write(insert_name, "c")
    await database.scrub([])


async def test_a_scrub_whose_caller_went_away_leaves_the_writer_alive(database: SqliteDatabase) -> None:
    for _ in range(10):
        scrubbing = asyncio.create_task(database.scrub([]))
        await asyncio.sleep(0)
        scrubbing.cancel()

    assert await asyncio.wait_for(database.write(insert_name, "after"), 5) == "after"


async def test_a_write_after_the_end_is_refused_and_does_not_hang(path: Path) -> None:
    database = SqliteDatabase(path)
    last = asyncio.create_task(database.write(insert_name, "last"))
    await asyncio.sleep(0)
    await database.close()

    assert await last == "last"
    with pytest.raises(DatabaseUnavailable):
        await database.write(insert_name, "late")


def _on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*") if not file.name.endswith("-shm"))
