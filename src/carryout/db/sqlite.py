"""SQLite: reads inline on the event loop, writes in one thread that commits whatever waits as a group.

A transaction never waits here, so its coroutine is driven to its end with `send(None)`; a yield means that it awaited
something that is not the database, which is an error at once. Other processes are waited for (15 s), but never on the
loop. `synchronous=FULL`: an answered commit survives a power cut.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy import select

from carryout.db.sqlite_connection import BUSY_SECONDS, SqliteTx, connect, drive, is_busy, translated
from carryout.db.sqlite_writer import Work, Writer, empty_log
from carryout.db.statements import Query
from carryout.db.tables import stores
from carryout.db.transaction import Tx
from carryout.errors import CarryoutError, DatabaseUnavailable

T = TypeVar("T")

_PAUSE_SECONDS: Final = 0.02
_PROBE_SECONDS: Final = 2
_PROBE: Final = Query(select(stores.c.id).limit(1), int)


class SqliteDatabase:
    """`Database` on one SQLite file (WAL). Several processes may share the file."""

    dialect: Final = "sqlite"

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._writer = Writer(path, busy_seconds, self._call_back)
        self._reader = connect(path, read_only=True, busy_seconds=0)
        self._read_tx = SqliteTx(self._reader)
        self._sweeps = asyncio.Semaphore(2)
        self._is_closed = False
        self._read_seconds = 0.0

    @property
    def seconds(self) -> float:
        """How long reads and commits took so far."""
        return self._read_seconds + self._writer.seconds

    async def read(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `work(tx, *args)` on one snapshot, on the calling thread; where that is locked out, come again."""
        deadline = None
        while True:
            try:
                return cast("T", self._read(work, args))
            except sqlite3.Error as error:
                now = time.monotonic()
                deadline = deadline or now + self._busy_seconds
                if not is_busy(error) or now >= deadline:
                    raise translated(error, by_reader=True) from error
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look_up(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`read` for work of a single statement, which is a snapshot by itself."""
        started = time.perf_counter()
        try:
            return cast("T", drive(work(self._read_tx, *args)))
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translated(error, by_reader=True) from error
        finally:
            self._read_seconds += time.perf_counter() - started
        return await self.read(work, *args)

    async def sweep(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a long read in a thread, on a snapshot of its own."""
        async with self._sweeps:
            return cast("T", await asyncio.to_thread(self._sweep, work, args))

    async def write(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `work(tx, *args)` in a transaction; when this returns, it is on the disk."""
        if self._is_closed:
            raise DatabaseUnavailable
        return cast("T", await self._writer.submit(work, args))

    def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Call back (in the event loop) after commits of this process that woke the channel."""
        loop = asyncio.get_running_loop()

        def call_back() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile; its poller died with it
                loop.call_soon_threadsafe(callback)

        self._listeners.setdefault(channel, []).append(call_back)

    async def scrub(self, tables: Iterable[str]) -> None:
        """Leave nothing of deleted or overwritten rows on the disk.

        Pages are zeroed as they free (`secure_delete`); here the write-ahead log is emptied into the file. Errors:
        `DatabaseBusy`, while a reader holds the log.
        """
        del tables
        await self.write(empty_log)

    async def is_answering(self) -> bool:
        """Whether a trivial read works within two seconds."""
        with suppress(sqlite3.Error, CarryoutError, TimeoutError):
            async with asyncio.timeout(_PROBE_SECONDS):
                await self.read(_probe)
            return True
        return False

    async def close(self) -> None:
        """Finish the writes that wait, then close."""
        self._is_closed = True
        await asyncio.to_thread(self._writer.finish)
        self._reader.close()

    def _read(self, work: Work, args: tuple[Any, ...]) -> Any:
        started = time.perf_counter()
        run = self._read_tx.execute
        run("BEGIN")
        try:
            return drive(work(self._read_tx, *args))
        finally:
            if self._reader.in_transaction:  # an error may have ended it already
                run("ROLLBACK")
            self._read_seconds += time.perf_counter() - started

    def _sweep(self, work: Work, args: tuple[Any, ...]) -> Any:
        try:
            with closing(connect(self._path, read_only=True, busy_seconds=self._busy_seconds)) as connection:
                connection.execute("BEGIN")
                return drive(work(SqliteTx(connection), *args))
        except sqlite3.Error as error:
            raise translated(error, by_reader=True) from error

    def _call_back(self, channel: str) -> None:
        for callback in self._listeners.get(channel, ()):
            callback()


async def _probe(tx: Tx) -> int | None:
    return await tx.one(_PROBE)
