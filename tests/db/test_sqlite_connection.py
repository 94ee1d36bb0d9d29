import sqlite3
from collections.abc import Generator
from pathlib import Path

import pytest

from carryout.db.sqlite_connection import ForeignAwait, connect, drive, is_busy, translated
from carryout.errors import CarryoutError, DatabaseBusy, DatabaseFull


def _error(code: int | None) -> sqlite3.Error:
    error = sqlite3.OperationalError("words")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (sqlite3.SQLITE_BUSY, DatabaseBusy),
        (sqlite3.SQLITE_BUSY_RECOVERY, DatabaseBusy),
        (sqlite3.SQLITE_LOCKED, DatabaseBusy),
        (sqlite3.SQLITE_FULL, DatabaseFull),
        (sqlite3.SQLITE_IOERR_WRITE, DatabaseFull),
        (sqlite3.SQLITE_READONLY, DatabaseFull),
        (sqlite3.SQLITE_CORRUPT, sqlite3.OperationalError),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.OperationalError),
        (None, sqlite3.OperationalError),
    ],
)
def test_a_drivers_error_becomes_what_the_caller_should_see(code: int | None, wanted: type[Exception]) -> None:
    error = _error(code)

    assert type(translated(error)) is wanted
    assert is_busy(error) == (wanted is DatabaseBusy)


def test_a_write_by_a_reader_is_our_mistake() -> None:
    assert not isinstance(translated(_error(sqlite3.SQLITE_READONLY), by_reader=True), CarryoutError)
    assert isinstance(translated(_error(sqlite3.SQLITE_READONLY_CANTLOCK), by_reader=True), DatabaseFull)


def test_a_connection_is_durable_and_leaves_no_traces(migrated_file: Path) -> None:
    connection = connect(migrated_file, read_only=False, busy_seconds=2)

    wanted = {"foreign_keys": 1, "synchronous": 2, "secure_delete": 1, "busy_timeout": 2000, "journal_mode": "wal"}
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    connection.close()


def test_driving_returns_what_the_coroutine_returns_or_raises() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> int:
        raise KeyError

    assert drive(answer()) == 7
    with pytest.raises(KeyError):
        drive(fail())


def test_driving_closes_what_would_wait() -> None:
    ended = []

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def wait() -> None:
        try:
            await Pause()
        finally:
            ended.append(True)

    with pytest.raises(ForeignAwait, match="wait awaited"):
        drive(wait())
    assert ended == [True]
