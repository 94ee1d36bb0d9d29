"""One connection to an SQLite file: its settings, its transactions' shape, and what its errors mean."""

import sqlite3
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from carryout.db.statements import Query, Statement
from carryout.errors import DatabaseBusy, DatabaseFull

T = TypeVar("T")

BUSY_SECONDS: Final = 15.0
_STATEMENT_CACHE: Final = 512
_FULL: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class ForeignAwait(RuntimeError):
    """A transaction on SQLite awaited something that is not the database."""


class SqliteTx:
    """`Tx` over one connection; the same object, and its one cursor, serve every transaction of that connection.

    Rows are fetched whole before the cursor runs something else, so nothing is left half read at the commit.
    """

    is_alone: Final = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        cursor = connection.cursor()
        self.execute = cursor.execute
        self._executemany = cursor.executemany
        self._fetch = cursor.fetchall
        self.woken: list[str] = []

    async def one(self, query: Query[T], **params: Any) -> T | None:
        compiled = query.sqlite
        self.execute(compiled.text, compiled.arguments(params))
        rows = self._fetch()
        return query.to_row(rows[0]) if rows else None

    async def all(self, query: Query[T], **params: Any) -> list[T]:
        compiled = query.sqlite
        self.execute(compiled.text, compiled.arguments(params))
        return list(map(query.to_row, self._fetch()))

    async def run(self, statement: Statement, **params: Any) -> int:
        compiled = statement.sqlite
        return self.execute(compiled.text, compiled.arguments(params)).rowcount

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            compiled = statement.sqlite
            self._executemany(compiled.text, [compiled.arguments(row) for row in rows])

    async def lock(self, name: str, *, beside: str | None = None) -> None:
        """Nothing to do: `BEGIN IMMEDIATE` admits one writer at a time."""

    def wake(self, channel: str) -> None:
        self.woken.append(channel)


def connect(path: Path, *, read_only: bool, busy_seconds: float) -> sqlite3.Connection:
    """A connection with the settings that durability and privacy rest on (docs/decisions).

    `busy_seconds` is how long each statement waits for other processes, holding up its thread. Errors: `sqlite3.Error`.
    """
    # Opening waits its time in any case: after a crash the first to open repairs the file, and the others must wait.
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENT_CACHE
    )
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    # The system's own cache holds the rest: mapping the file would count it as this process's memory.
    connection.execute("PRAGMA cache_size=-8000")
    if read_only:
        connection.execute("PRAGMA query_only=ON")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")
    return connection


def drive(coroutine: Awaitable[Any]) -> Any:
    """Run a coroutine that never waits to its end. Errors: its own, and `ForeignAwait`."""
    running = cast("Coroutine[Any, Any, Any]", coroutine)
    try:
        running.send(None)
    except StopIteration as end:
        return end.value
    running.close()
    message = f"{getattr(running, '__qualname__', running)} awaited something that is not the database"
    raise ForeignAwait(message)


def is_busy(error: BaseException) -> bool:
    """Whether another process is in the way."""
    return _primary_code(error) in _BUSY


def translated(error: sqlite3.Error, *, by_reader: bool = False) -> Exception:
    """The error that a caller should see for a driver's error: busy, full, or itself."""
    code = _primary_code(error)
    if by_reader and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY:
        return error  # a write where only reading is allowed: our mistake, not the disk's
    if code in _BUSY:
        return DatabaseBusy()
    if code in _FULL:
        return DatabaseFull()
    return error


def _primary_code(error: BaseException) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
