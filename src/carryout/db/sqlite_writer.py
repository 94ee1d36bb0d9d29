"""The one thread of a process that writes to its SQLite file, and commits whatever waits as a group.

It takes all writes that wait into one `BEGIN IMMEDIATE … COMMIT`, and answers after the commit. When one of them fails
they run again, each in a savepoint: savepoints cost a tenth of a small write, and few writes fail.
Other processes are waited for here, each write for as long as it may wait, never on the event loop.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from carryout.db.sqlite_connection import SqliteTx, connect, drive, is_busy, translated
from carryout.errors import DatabaseBusy

Work = Callable[..., Awaitable[Any]]

_GROUP: Final = 256
# How long SQLite itself waits before we look whose time is up; and how long `empty_log` may hold up the writes.
_SLICE_SECONDS: Final = 0.25
_LOG_MILLISECONDS: Final = 1000


class _Write:
    """One waiting write: what to run, until when it may wait, and where its answer goes."""

    def __init__(self, work: Work, args: tuple[Any, ...], deadline: float) -> None:
        self.work = work
        self.args = args
        self.deadline = deadline
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.is_answered = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.woken: list[str] = []


class Writer:
    """The thread and its queue. `tell` is called (in the thread) with each channel that a committed write woke."""

    def __init__(self, path: Path, busy_seconds: float, tell: Callable[[str], None]) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._tell = tell
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self.seconds = 0.0
        self._thread.start()
        self._ready.result()

    def submit(self, work: Work, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Have `work(tx, *args)` run in a transaction; the answer comes when it is on the disk, to the running loop.

        Whoever waits may go away: the write is done all the same.
        """
        write = _Write(work, args, time.monotonic() + self._busy_seconds)
        self._waiting.put(write)
        return write.answer

    def finish(self) -> None:
        """Return when everything that was submitted is answered, and the connection is closed."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            connection = connect(self._path, read_only=False, busy_seconds=min(_SLICE_SECONDS, self._busy_seconds))
        except sqlite3.Error as error:
            self._ready.set_exception(translated(error))
            return
        self._ready.set_result(None)
        is_last = False
        while not is_last:
            group, is_last = self._next_group()
            started = time.perf_counter()
            for log in [write for write in group if write.work is empty_log]:
                _empty_log(connection, log)
            _commit(connection, [write for write in group if write.work is not empty_log], self._settle)
            self.seconds += time.perf_counter() - started
            self._settle([write for write in group if not write.is_answered])
        connection.close()

    def _next_group(self) -> tuple[list[_Write], bool]:
        group: list[_Write] = []
        write = self._waiting.get()
        while write is not None:
            group.append(write)
            if len(group) == _GROUP:
                return group, False
            try:
                write = self._waiting.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _settle(self, group: list[_Write]) -> None:
        """Answer a group, all of a loop in one go."""
        loops: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
        woken: set[str] = set()
        for write in group:
            write.is_answered = True
            loops.setdefault(write.answer.get_loop(), []).append(write)
            if write.error is None:
                woken.update(write.woken)
        for loop, writes in loops.items():
            with suppress(RuntimeError):  # it was closed meanwhile, with all who waited on it
                loop.call_soon_threadsafe(_answer, writes)
        for channel in woken:
            self._tell(channel)


def _answer(writes: Sequence[_Write]) -> None:
    for write in writes:
        if write.answer.done():  # whoever waited went away
            continue
        if write.error is not None:
            write.answer.set_exception(write.error)
        else:
            write.answer.set_result(write.result)


async def empty_log(tx: SqliteTx) -> None:
    """Names the work that empties the write-ahead log into the file; it runs outside a transaction."""
    del tx


def _empty_log(connection: sqlite3.Connection, write: _Write) -> None:
    try:
        # A long reader holds the log: better to come again than to hold up every write for it.
        connection.execute(f"PRAGMA busy_timeout={_LOG_MILLISECONDS}")
        is_blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        write.error = DatabaseBusy() if is_blocked else None
    except sqlite3.Error as error:
        write.error = translated(error)
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(_SLICE_SECONDS * 1000)}")


def _commit(connection: sqlite3.Connection, group: list[_Write], settle: Callable[[list[_Write]], None]) -> None:
    """Run a group to its commit. `settle` answers those whose time is up while another process is in the way."""
    for is_apart in (False, True):
        group = _begin(connection, group, settle)
        if _commit_begun(connection, group, is_apart=is_apart) or len(group) == 1:
            return
        _reset(group)
    # An error such as a full disk ended the whole transaction: none was answered, so each runs again alone.
    for write in group:
        if _begin(connection, [write], settle):
            _commit_begun(connection, [write], is_apart=False)


def _reset(group: list[_Write]) -> None:
    for write in group:
        write.error = None


def _begin(connection: sqlite3.Connection, group: list[_Write], settle: Callable[[list[_Write]], None]) -> list[_Write]:
    """Those of the group that have a transaction now; the others are answered."""
    while group:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            now = time.monotonic()
            failed = [write for write in group if not is_busy(error) or write.deadline <= now]
            group = [write for write in group if write not in failed]
            _fail(failed, translated(error))
            settle(failed)
        else:
            break
    return group


def _commit_begun(connection: sqlite3.Connection, group: list[_Write], *, is_apart: bool) -> bool:
    """Run the group in the open transaction; False (and the error on each) when it ended before its commit.

    `is_apart`: each in a savepoint, so that one that fails leaves the others.
    """
    if not group:
        return True
    tx = SqliteTx(connection)
    try:
        for write in group:
            _run_one(connection, tx, write, is_apart=is_apart)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _fail(group, translated(error))
    except _TransactionLost as lost:
        _fail(group, lost.cause)
    else:
        return True
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return False


class _TransactionLost(Exception):
    """The whole transaction is undone: SQLite ended it under a write, or a write failed that was not apart."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__()


def _run_one(connection: sqlite3.Connection, tx: SqliteTx, write: _Write, *, is_apart: bool) -> None:
    if is_apart:
        connection.execute("SAVEPOINT one")
    tx.woken = []
    try:
        write.result = drive(write.work(tx, *write.args))
    except BaseException as error:  # the caller gets it, whatever it is
        cause = translated(error) if isinstance(error, sqlite3.Error) else error
        if not is_apart or not connection.in_transaction:
            raise _TransactionLost(cause) from error
        write.error = cause
        connection.execute("ROLLBACK TO one")
    write.woken = tx.woken
    if is_apart:
        connection.execute("RELEASE one")


def _fail(group: list[_Write], error: BaseException) -> None:
    for write in group:
        write.error = error
