"""PostgreSQL: the same coroutines on an asyncpg pool.

`write` is a transaction that is run again after a serialization failure or a deadlock; a connection lost while the
COMMIT was on its way is never retried, since it may have arrived: the caller is told to try again, and every write is
safe to repeat. `read` is one snapshot (REPEATABLE READ, READ ONLY).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg

from carryout.db.statements import Query, Statement
from carryout.errors import DatabaseBusy, DatabaseFull, DatabaseUnavailable

T = TypeVar("T")

BUSY_SECONDS: Final = 15
_CONNECTIONS: Final = 16
_ATTEMPTS: Final = 8
_SCRUB_SECONDS: Final = 600
_PROBE_SECONDS: Final = 2
_CHANNEL: Final = "carryout"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_LOCK_BESIDE: Final = (
    "SELECT pg_advisory_xact_lock_shared(hashtextextended($2, 0)), pg_advisory_xact_lock(hashtextextended($1, 0))"
)
_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the line broke between two of its messages
    asyncpg.CannotConnectNowError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
_FULL = (asyncpg.DiskFullError, asyncpg.InsufficientResourcesError, asyncpg.PostgresIOError)
_BUSY = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.TooManyConnectionsError, TimeoutError)


class CommitRefused(RuntimeError):
    """A transaction went on after a failed statement, so PostgreSQL undid it at its commit."""


class PostgresqlTx:
    """`Tx` over one asyncpg connection."""

    is_alone: Final = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.woken: list[str] = []

    async def one(self, query: Query[T], **params: Any) -> T | None:
        compiled = query.postgresql
        row = await self._connection.fetchrow(compiled.text, *compiled.arguments(params))
        return None if row is None else query.to_row(row)

    async def all(self, query: Query[T], **params: Any) -> list[T]:
        compiled = query.postgresql
        to_row = query.to_row
        return [to_row(row) for row in await self._connection.fetch(compiled.text, *compiled.arguments(params))]

    async def run(self, statement: Statement, **params: Any) -> int:
        compiled = statement.postgresql
        tag: str = await self._connection.execute(compiled.text, *compiled.arguments(params))
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            compiled = statement.postgresql
            await self._connection.executemany(compiled.text, [compiled.arguments(row) for row in rows])

    async def lock(self, name: str, *, beside: str | None = None) -> None:
        if beside is None:
            await self._connection.execute(_LOCK, name)
        else:
            await self._connection.execute(_LOCK_BESIDE, name, beside)

    def wake(self, channel: str) -> None:
        self.woken.append(channel)


class PostgresqlDatabase:
    """`Database` on PostgreSQL 14 or later."""

    dialect: Final = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._ear: Any = None
        self.seconds = 0.0

    async def read(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `work(tx, *args)` on one snapshot."""
        return await self._attempt(_READ, work, args)

    async def look_up(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`read` for work of a single statement, which is a snapshot by itself."""
        return await self._attempt(None, work, args)

    async def sweep(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """A long read: on PostgreSQL the same as `read`."""
        return await self._attempt(_READ, work, args)

    async def write(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `work(tx, *args)` in a transaction; when this returns, it is on the disk."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self._attempt(_WRITE, work, args)
            except _CONFLICTS:
                if attempt == _ATTEMPTS - 1:
                    raise DatabaseBusy from None
                await asyncio.sleep(0.005 * 2**attempt)
        raise DatabaseBusy

    def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Call back after commits, of any process, that woke the channel. `hear` must be running for the others'."""
        self._listeners.setdefault(channel, []).append(callback)

    async def hear(self) -> None:
        """Keep a connection that listens for the other processes; returns when it is lost."""
        lost = asyncio.Event()
        connection = await asyncpg.connect(self._url, timeout=BUSY_SECONDS)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(_CHANNEL, lambda _c, _pid, _ch, payload: self._call_back(str(payload)))
            await lost.wait()
        finally:
            with suppress(Exception):
                await connection.close(timeout=1)

    async def scrub(self, tables: Iterable[str]) -> None:
        """Clear these tables of their dead rows (`VACUUM`); readers and writers go on meanwhile."""
        with _translated():
            pool = await self._opened()
            async with pool.acquire(timeout=BUSY_SECONDS) as connection:
                for table in tables:
                    await connection.execute(f'VACUUM "{table}"', timeout=_SCRUB_SECONDS)

    async def is_answering(self) -> bool:
        """Whether a trivial read works within two seconds."""
        with suppress(*_LOST, *_BUSY, asyncpg.PostgresError):
            async with asyncio.timeout(_PROBE_SECONDS):
                pool = await self._opened()
                await pool.fetchval("SELECT 1 FROM stores LIMIT 1")
            return True
        return False

    async def close(self) -> None:
        """Close the pool once its connections are returned."""
        if self._pool is not None:
            await self._pool.close()

    async def _opened(self) -> Any:
        if self._pool is not None:
            return self._pool
        # One deadline for all who wait: an address where nobody answers must not be tried by one after the other.
        async with asyncio.timeout(BUSY_SECONDS), self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=1,
                    max_size=_CONNECTIONS,
                    timeout=BUSY_SECONDS,
                    reset=_leave_as_is,
                    server_settings={"lock_timeout": f"{BUSY_SECONDS}s", "application_name": "carryout", "jit": "off"},
                )
        return self._pool

    async def _attempt(self, mode: "_Mode | None", work: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
        started = time.perf_counter()
        try:
            with _translated():
                pool = await self._opened()
                async with pool.acquire(timeout=BUSY_SECONDS) as connection:
                    if mode is None:
                        return await work(PostgresqlTx(connection), *args)
                    return await self._run(connection, mode, work, args)
        finally:
            self.seconds += time.perf_counter() - started

    async def _run(self, connection: Any, mode: "_Mode", work: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
        tx = PostgresqlTx(connection)
        try:
            await connection.execute(mode)
            result = await work(tx, *args)
            for channel in dict.fromkeys(tx.woken):
                await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, channel)
            if await connection.execute("COMMIT") != "COMMIT":
                raise CommitRefused(CommitRefused.__doc__)  # noqa: TRY301 - it is undone like any other failure
        except BaseException:
            with suppress(*_LOST):
                await asyncio.shield(connection.execute("ROLLBACK"))
            raise
        for channel in dict.fromkeys(tx.woken):
            self._call_back(channel)
        return result

    def _call_back(self, channel: str) -> None:
        for callback in self._listeners.get(channel, ()):
            callback()


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as what a caller should see: full, busy, away; what is our own mistake stays as it is."""
    try:
        yield
    except _BUSY as error:
        raise DatabaseBusy from error
    except _FULL as error:
        raise DatabaseFull from error
    except _LOST as error:
        if isinstance(error, ValueError):  # asyncpg's word for a value that does not fit its column
            raise
        raise DatabaseUnavailable from error


_Mode = str
_READ: Final[_Mode] = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_WRITE: Final[_Mode] = "BEGIN ISOLATION LEVEL READ COMMITTED"


async def _leave_as_is(connection: Any) -> None:
    """No session state is ever set, so a returned connection needs no reset query."""
