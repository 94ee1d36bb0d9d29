"""SQLite: reads inline on the event loop, writes in one thread that commits whatever waits as a group.

A transaction never waits here, so its coroutine is driven to its end with `send(None)`; a yield means that it awaited
something that is not the database, which is an error at once. The writer takes all writes that wait into one
`BEGIN IMMEDIATE … COMMIT`, each in a savepoint, and answers after the commit. Other processes are waited for in that
thread (15 s), never on the loop. `synchronous=FULL`: an answered commit survives a power cut.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from carryout.db.statements import Query, Statement
from carryout.errors import CarryoutError, DatabaseBusy, DatabaseFull

T = TypeVar("T")

BUSY_SECONDS: Final = 15
_GROUP: Final = 256
_STATEMENT_CACHE: Final = 512
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class ForeignAwait(RuntimeError):
    """A transaction on SQLite awaited something that is not the database."""


class SqliteTx:
    """`Tx` over one connection; the same object serves every transaction of that connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self.woken: list[str] = []

    async def one(self, query: Query[T], **params: Any) -> T | None:
        compiled = query.sqlite
        row = self._execute(compiled.text, compiled.arguments(params)).fetchone()
        return None if row is None else query.to_row(row)

    async def all(self, query: Query[T], **params: Any) -> list[T]:
        compiled = query.sqlite
        to_row = query.to_row
        return [to_row(row) for row in self._execute(compiled.text, compiled.arguments(params))]

    async def run(self, statement: Statement, **params: Any) -> int:
        compiled = statement.sqlite
        return self._execute(compiled.text, compiled.arguments(params)).rowcount

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            compiled = statement.sqlite
            self._executemany(compiled.text, [compiled.arguments(row) for row in rows])

    async def lock(self, name: str, *, beside: str | None = None) -> None:
        """Nothing to do: `BEGIN IMMEDIATE` admits one writer at a time."""

    def wake(self, channel: str) -> None:
        self.woken.append(channel)


Work = Callable[..., Awaitable[Any]]


class _Write:
    """One waiting write: what to run, and where its answer goes."""

    def __init__(self, work: Work, args: tuple[Any, ...]) -> None:
        self.work = work
        self.args = args
        self.answer: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.woken: list[str] = []


class SqliteDatabase:
    """`Database` on one SQLite file (WAL). Several processes may share the file."""

    dialect: Final = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._reader = connect(path, read_only=True)
        self._read_tx = SqliteTx(self._reader)
        self._writer = threading.Thread(target=self._write_forever, name="database-writer", daemon=True)
        self._ready: Future[None] = Future()
        self._sweeps = asyncio.Semaphore(2)
        self.seconds = 0.0
        self._writer.start()
        self._ready.result()

    async def read(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `work(tx, *args)` on one snapshot, on the calling thread."""
        started = time.perf_counter()
        self._reader.execute("BEGIN")
        try:
            return cast("T", drive(work(self._read_tx, *args)))
        except sqlite3.Error as error:
            raise translated(error) from error
        finally:
            self._reader.rollback()
            self.seconds += time.perf_counter() - started

    async def sweep(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a long read in a thread, on a snapshot of its own."""
        async with self._sweeps:
            return cast("T", await asyncio.to_thread(self._sweep, work, args))

    async def write(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `work(tx, *args)` in a transaction; when this returns, it is on the disk."""
        write = _Write(work, args)
        self._writes.put(write)
        # Shielded: a caller that goes away must not leave the commit unobserved or the future cancelled under the writer.
        return cast("T", await asyncio.shield(asyncio.wrap_future(write.answer)))

    def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Call back (in the event loop) after commits of this process that woke the channel."""
        loop = asyncio.get_running_loop()
        self._listeners.setdefault(channel, []).append(lambda: loop.call_soon_threadsafe(callback))

    async def scrub(self, tables: Iterable[str]) -> None:
        """Leave nothing of deleted or overwritten rows on the disk: pages are zeroed as they free (`secure_delete`), here
        the write-ahead log is emptied into the file. Raises `DatabaseBusy` while a reader holds the log."""
        del tables
        write = _Write(_truncate_log, ())
        self._writes.put(write)
        await asyncio.wrap_future(write.answer)

    async def is_answering(self) -> bool:
        """Whether a trivial read works."""
        with suppress(sqlite3.Error):
            self._reader.execute("SELECT 1 FROM stores LIMIT 1").fetchone()
            return True
        return False

    async def close(self) -> None:
        """Finish the writes that wait, then close."""
        self._writes.put(None)
        await asyncio.to_thread(self._writer.join)
        self._reader.close()

    def _sweep(self, work: Work, args: tuple[Any, ...]) -> Any:
        connection = connect(self._path, read_only=True)
        try:
            connection.execute("BEGIN")
            return drive(work(SqliteTx(connection), *args))
        except sqlite3.Error as error:
            raise translated(error) from error
        finally:
            connection.close()

    # ── the writer thread

    def _write_forever(self) -> None:
        connection = connect(self._path, read_only=False)
        self._ready.set_result(None)
        while True:
            group, is_last = self._next_group()
            if group:
                started = time.perf_counter()
                self._commit(connection, group)
                self.seconds += time.perf_counter() - started
                self._settle(group)
            if is_last:
                connection.close()
                return

    def _next_group(self) -> tuple[list[_Write], bool]:
        first = self._writes.get()
        if first is None:
            return [], True
        group = [first]
        while len(group) < _GROUP:
            try:
                write = self._writes.get_nowait()
            except queue.Empty:
                break
            if write is None:
                return group, True
            group.append(write)
        return group, False

    def _commit(self, connection: sqlite3.Connection, group: list[_Write]) -> None:
        for alone in [write for write in group if write.work is _truncate_log]:
            _empty_log(connection, alone)
        waiting = [write for write in group if write.work is not _truncate_log]
        if not waiting or _commit_together(connection, waiting) or len(waiting) == 1:
            return
        # An error such as a full disk ended the whole transaction: none was answered, so each runs again alone.
        for write in waiting:
            write.error = None
            _commit_together(connection, [write])

    def _settle(self, group: list[_Write]) -> None:
        for write in group:
            if write.error is not None:
                write.answer.set_exception(write.error)
            else:
                write.answer.set_result(write.result)
        woken = {channel for write in group if write.error is None for channel in write.woken}
        for channel in woken:
            for callback in self._listeners.get(channel, ()):
                with suppress(RuntimeError):  # the loop was closed meanwhile; its poller died with it
                    callback()


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection with the settings that durability and privacy rest on (docs/decisions)."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENT_CACHE
    )
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA cache_size=-16000")
    connection.execute("PRAGMA mmap_size=268435456")
    if read_only:
        connection.execute("PRAGMA query_only=ON")
    return connection


def drive(coroutine: Awaitable[Any]) -> Any:
    """Run a coroutine that never waits to its end."""
    running = cast("Coroutine[Any, Any, Any]", coroutine)
    try:
        running.send(None)
    except StopIteration as end:
        return end.value
    running.close()
    raise ForeignAwait(f"{running.__qualname__} awaited something that is not the database")


def translated(error: sqlite3.Error) -> BaseException:
    """The error that a caller should see for a driver's error: busy, full, or itself."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return error
    if code & 0xFF in _BUSY:
        return DatabaseBusy()
    if code & 0xFF in _FULL:
        return DatabaseFull()
    return error


def _commit_together(connection: sqlite3.Connection, group: list[_Write]) -> bool:
    """One transaction for the group; False (and the error on each write) when it ended before its commit."""
    tx = SqliteTx(connection)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for write in group:
            _run_one(connection, tx, write, is_alone=len(group) == 1)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        _fail(group, translated(error))
        return False
    except _TransactionLost as lost:
        _roll_back(connection)
        _fail(group, lost.cause)
        return False
    return True


class _TransactionLost(Exception):  # noqa: N818 - what happened
    """SQLite rolled the whole transaction back under a write."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__()


def _run_one(connection: sqlite3.Connection, tx: SqliteTx, write: _Write, *, is_alone: bool) -> None:
    if not is_alone:
        connection.execute("SAVEPOINT one")
    tx.woken = []
    try:
        write.result = drive(write.work(tx, *write.args))
    except BaseException as error:  # noqa: BLE001 - the caller gets it, whatever it is
        cause = translated(error) if isinstance(error, sqlite3.Error) else error
        if is_alone or not connection.in_transaction:
            raise _TransactionLost(cause) from error
        write.error = cause
        connection.execute("ROLLBACK TO one")
    write.woken = tx.woken
    if not is_alone:
        connection.execute("RELEASE one")


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _fail(group: list[_Write], error: BaseException) -> None:
    for write in group:
        write.error = error


async def _truncate_log(tx: SqliteTx) -> None:
    """Names the work of `scrub`; it runs outside a transaction (`_empty_log`)."""


def _empty_log(connection: sqlite3.Connection, write: _Write) -> None:
    try:
        is_blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        write.error = translated(error)
        return
    if is_blocked:
        write.error = cast("CarryoutError", DatabaseBusy())
