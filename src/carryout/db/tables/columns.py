"""The columns that recur, and the one metadata object."""

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives a rowid only to a column whose type is exactly INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")


def row_id() -> Column[int]:
    """The primary key."""
    return Column("id", RowId, primary_key=True, autoincrement=True)


def uid() -> Column[str]:
    """The public id."""
    return Column("uid", Text, nullable=False, unique=True)


def store_id() -> Column[int]:
    """The owner; its rows go with it."""
    return Column("store_id", RowId, ForeignKey("stores.id", ondelete="CASCADE"), nullable=False)


def parent(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    """A reference to a row that this one cannot outlive."""
    return Column(name, RowId, ForeignKey(target, ondelete="CASCADE"), nullable=nullable)


def number(name: str, *, default: int | None = None) -> Column[int]:
    """A 64-bit integer that is always there."""
    return Column(name, BigInteger, nullable=False, server_default=None if default is None else str(default))


def maybe_number(name: str) -> Column[Any]:
    """A 64-bit integer or NULL."""
    return Column(name, BigInteger, nullable=True)
