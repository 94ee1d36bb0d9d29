"""Small writes and reads of the stores table, for tests of what carries them."""

from typing import Final

from sqlalchemy import bindparam, delete, func, insert, select

from carryout.db import Query, Statement, Tx
from carryout.db.tables import stores

_s = stores.c
INSERT: Final = Statement(
    insert(stores).values(
        uid=bindparam("name"),
        name=bindparam("name"),
        domain=bindparam("name"),
        plan="premium",
        settings="{}",
        webhook_secret=b"sealed",
        created_at=0,
    )
)
_DELETE: Final = Statement(delete(stores).where(_s.name == bindparam("at_name")))
_LIST: Final = Query(select(_s.name).order_by(_s.id), str)
_COUNT: Final = Query(select(func.count(_s.id).label("count")), int)


async def insert_name(tx: Tx, name: str) -> str:
    """A row of this name; a second one of the same name is an error of the database."""
    await tx.run(INSERT, name=name)
    return name


async def delete_name(tx: Tx, name: str) -> int:
    """How many rows of this name there were."""
    return await tx.run(_DELETE, at_name=name)


async def list_names(tx: Tx) -> list[str]:
    """All names, oldest first."""
    return await tx.all(_LIST)


async def count_names(tx: Tx) -> int | None:
    """How many rows there are."""
    return await tx.one(_COUNT)
