"""What the doors see of the database, and which driver an address opens."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from carryout.db.postgresql import PostgresqlDatabase
from carryout.db.sqlite import SqliteDatabase

T = TypeVar("T")

_SQLITE: Final = "sqlite:///"


class Database(Protocol):
    """Transactions on either database (see the drivers for what each promises)."""

    @property
    def seconds(self) -> float:
        """How long its work took so far."""
        ...

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    async def read(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`work(tx, *args)` on one snapshot; it writes nothing."""
        ...

    async def look_up(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`read` for work of a single statement, which is a snapshot by itself: no transaction is begun for it."""
        ...

    async def sweep(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """A read that takes long: it must not hold up the event loop."""
        ...

    async def write(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`work(tx, *args)` as one durable transaction.

        Errors: `DatabaseBusy`, `DatabaseFull`, `DatabaseUnavailable`.
        """
        ...

    def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Call back after a commit that woke the channel."""
        ...

    async def scrub(self, tables: Iterable[str]) -> None:
        """Leave nothing on the disk of what was deleted or overwritten."""
        ...

    async def is_answering(self) -> bool:
        """Whether a trivial read works."""
        ...

    async def close(self) -> None:
        """Finish and close."""
        ...


def is_embedded(url: str) -> bool:
    """Whether the address is an SQLite file: migrated at start, locked by `serve`, copied by `backup`."""
    return url.startswith(_SQLITE)


def sqlite_path(url: str) -> Path:
    """The file of an embedded database's address (`sqlite:///relative` or `sqlite:////absolute`)."""
    return Path(url.removeprefix(_SQLITE))


def open_database(url: str) -> Database:
    """Open the database at this address. An embedded one must have been migrated before."""
    return SqliteDatabase(sqlite_path(url)) if is_embedded(url) else PostgresqlDatabase(url)
