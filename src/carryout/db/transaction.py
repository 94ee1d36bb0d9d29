"""What a room sees of the database: a transaction that is already open, and never ended by the room."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from carryout.db.statements import Query, Statement

T = TypeVar("T")


class Tx(Protocol):
    """An open transaction. What it runs is committed when the door's function returns, and undone when it raises.

    On SQLite nothing here waits, so a function that takes a `Tx` must await nothing else: the database drives it to its
    end in one go and refuses a coroutine that yields.
    """

    @property
    def is_alone(self) -> bool:
        """Whether nobody else writes meanwhile, so that what only locks may be left out (SQLite)."""
        ...

    async def one(self, query: Query[T], **params: Any) -> T | None:
        """The first row, or None."""
        ...

    async def all(self, query: Query[T], **params: Any) -> list[T]:
        """Every row, in the statement's order."""
        ...

    async def run(self, statement: Statement, **params: Any) -> int:
        """Run a statement that returns nothing; the number of rows it touched."""
        ...

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run one statement for many rows, in one round trip."""
        ...

    async def lock(self, name: str, *, beside: str | None = None) -> None:
        """Hold the named thing until the end of the transaction; `beside` names one that holders may share.

        It serialises work on rows that may not exist yet. On SQLite a writer is alone anyway.
        """
        ...

    def wake(self, channel: str) -> None:
        """After the commit, tell whoever listens on this channel, in this process and (PostgreSQL) in every other."""
        ...
