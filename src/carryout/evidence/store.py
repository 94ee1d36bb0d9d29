"""Events and chains in the database.

Ids are handed out in order but commit out of order, and the chain goes by id: an event must not be chained while one
with a smaller id may still appear. So whoever records holds, for its transaction, a shared lock whose number is the
greatest id that it saw committed: every id it will insert is above. No id up to the least number held is open. Nobody
waits for anybody: shared locks do not conflict, and who chains only reads them. On SQLite a writer is alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, bindparam, func, null, or_, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import event_chains, events
from carryout.evidence.model import Chain, EventRow, EventView, EvidenceRow, KeptChain, Settled

_e, _c = events.c, event_chains.c
_OURS: Final = _e.store_id == bindparam("store_id")
# A pair of lock numbers, (store, id), has 31 bits each; the namespace of pairs is not that of `Tx.lock`.
_LOCK_NUMBERS: Final = 2**31 - 1
_store: Final = bindparam("store_id", type_=BigInteger)


class _Hold(FunctionElement[int]):
    """Lock (store, greatest id seen) in shared mode until the end of the transaction."""

    name = "hold"
    inherit_cache = False
    type = BigInteger()


class _LeastHeld(FunctionElement[int]):
    """The least id that a running transaction of the store saw before it recorded, as seen from the greatest id now."""

    name = "least_held"
    inherit_cache = False
    type = BigInteger()


@compiles(_Hold, "sqlite")
def _hold_sqlite(_element: _Hold, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "0"


@compiles(_Hold, "postgresql")
def _hold_postgresql(element: _Hold, compiler: SQLCompiler, **kw: Any) -> str:
    store, seen = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"pg_advisory_xact_lock_shared(({store} % {_LOCK_NUMBERS})::int, ({seen} % {_LOCK_NUMBERS})::int)"


@compiles(_LeastHeld, "sqlite")
def _least_held_sqlite(_element: _LeastHeld, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "NULL"


@compiles(_LeastHeld, "postgresql")
def _least_held_postgresql(element: _LeastHeld, compiler: SQLCompiler, **kw: Any) -> str:
    """A number is an id without its upper bits; one that is misread comes out too small, which is safe."""
    store, newest = (compiler.process(clause, **kw) for clause in element.clauses)
    behind = f"((({newest} - objid::bigint) % {_LOCK_NUMBERS} + {_LOCK_NUMBERS}) % {_LOCK_NUMBERS})"
    return (
        f"(SELECT min({newest} - {behind}) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"  # noqa: S608 - fragments that SQLAlchemy compiled
        f" AND classid::bigint = {store} % {_LOCK_NUMBERS}"
        f" AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )


_newest = select(func.coalesce(func.max(_e.id), 0)).where(_e.store_id == _store).scalar_subquery()
HOLD: Final = Statement(select(_Hold(_store, _newest)))
_seen = select(func.coalesce(func.max(_e.id), 0).label("newest")).where(_e.store_id == _store).subquery()
_held = select(_seen.c.newest, _LeastHeld(_store, _seen.c.newest).label("held")).subquery()
# The statement's snapshot is older than its look at the locks: what commits between is above `newest`, or was held.
SETTLED: Final = Query(
    select(
        func.coalesce(_held.c.held, _held.c.newest).label("up_to"),
        _held.c.held.is_not(None).label("is_awaited"),
    ),
    Settled,
)

_WRITTEN: Final = (
    "uid", "store_id", "order_id", "order_uid", "grant_uid", "asset_uid", "type", "created_at", "detail",
    "address_digest", "user_agent", "salt", "person_digest",
)  # fmt: skip
INSERT: Final = Statement(insert(events).values({name: bindparam(name) for name in _WRITTEN}))
_ROW: Final = tuple(_e[name] for name in EventRow.__struct_fields__)
_PAGE: Final = (_OURS, _e.id > bindparam("after"))
UNCHAINED: Final = Query(
    select(*_ROW)
    .where(*_PAGE, _e.id <= bindparam("up_to"), _e.mac.is_(None))
    .order_by(_e.id)
    .limit(bindparam("limit")),
    EventRow,
)
COUNT_UNCHAINED: Final = Query(select(func.count(_e.id).label("count")).where(*_PAGE, _e.mac.is_(None)), int)
CHAIN: Final = Statement(
    update(events)
    .where(_OURS, _e.id == bindparam("at_id"), _e.mac.is_(None))
    .values(mac=bindparam("mac"), key_id=bindparam("key_id"), chained_at=bindparam("chained_at"))
)
ROWS: Final = Query(
    select(*_ROW)
    # Above the head only what claims to be chained: the rest waits.
    .where(*_PAGE, or_(_e.id <= bindparam("up_to"), _e.mac.is_not(None)))
    .order_by(_e.id)
    .limit(bindparam("limit")),
    EventRow,
)
_VIEW: Final = tuple(_e[name] for name in EventView.__struct_fields__)
FEED: Final = Query(
    select(*_VIEW).where(*_PAGE, _e.mac.is_not(None)).order_by(_e.id).limit(bindparam("limit")), EventView
)
_EVIDENCE: Final = tuple(_e[name] for name in EvidenceRow.__struct_fields__)
OF_ORDER: Final = Query(
    select(*_EVIDENCE).where(*_PAGE, _e.order_id == bindparam("order_id")).order_by(_e.id).limit(bindparam("limit")),
    EvidenceRow,
)
FORGET: Final = Statement(
    update(events)
    .where(_OURS, among(_e.order_id, "order_ids"))
    .values(address_digest=null(), user_agent=null(), salt=null())
)
DELETE_UP_TO: Final = Statement(delete_from(events).where(*_PAGE, _e.id <= bindparam("up_to")))

FIND_CHAIN: Final = Query(
    select(*(_c[name] for name in KeptChain.__struct_fields__)).where(_c.store_id == bindparam("store_id")), KeptChain
)
STORES: Final = Query(select(_c.store_id).order_by(_c.store_id), int)
_insert_chain = insert(event_chains).values({name: bindparam(name) for name in KeptChain.__struct_fields__})
UPSERT_CHAIN: Final = Statement(
    _insert_chain.on_conflict_do_update(
        index_elements=["store_id"],
        set_={name: _insert_chain.excluded[name] for name in KeptChain.__struct_fields__ if name != "store_id"},
    )
)


async def lock_recording(tx: Tx, store_id: int) -> None:
    """Note that this transaction may insert events above the greatest id that is committed now."""
    if not tx.is_alone:
        await tx.run(HOLD, store_id=store_id)


async def insert_events(tx: Tx, store_id: int, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert events, unchained. `lock_recording` comes before it, in a statement of its own."""
    await tx.many(INSERT, [{**row, "store_id": store_id} for row in rows])


async def find_settled(tx: Tx, store_id: int) -> Settled:
    """Up to which id the store's events are all here. Read what is up to it in a later statement of a `write`."""
    settled = await tx.one(SETTLED, store_id=store_id)
    return settled or Settled(0, is_awaited=False)


async def list_unchained(tx: Tx, store_id: int, after: int, up_to: int, limit: int) -> list[EventRow]:
    """The events of these ids that are not chained yet."""
    return await tx.all(UNCHAINED, store_id=store_id, after=after, up_to=up_to, limit=limit)


async def count_unchained(tx: Tx, store_id: int, after: int) -> int:
    """How many events after this one are not chained yet."""
    return await tx.one(COUNT_UNCHAINED, store_id=store_id, after=after) or 0


async def update_chained(tx: Tx, store_id: int, rows: Sequence[EventRow]) -> None:
    """Write the codes of events that had none."""
    await tx.many(
        CHAIN,
        [
            {
                "store_id": store_id,
                "at_id": row.id,
                "mac": row.mac,
                "key_id": row.key_id,
                "chained_at": row.chained_at,
            }
            for row in rows
        ],
    )


async def list_rows(tx: Tx, store_id: int, after: int, up_to: int, limit: int) -> list[EventRow]:
    """Everything after an event and up to another, and above that whatever has a code."""
    return await tx.all(ROWS, store_id=store_id, after=after, up_to=up_to, limit=limit)


async def list_feed(tx: Tx, store_id: int, after: int, limit: int) -> list[EventView]:
    """The chained events after this one."""
    return await tx.all(FEED, store_id=store_id, after=after, limit=limit)


async def list_of_order(tx: Tx, store_id: int, order_id: int, after: int, limit: int) -> list[EvidenceRow]:
    """The events of an order after this one."""
    return await tx.all(OF_ORDER, store_id=store_id, order_id=order_id, after=after, limit=limit)


async def update_forgotten(tx: Tx, store_id: int, order_ids: Sequence[int]) -> int:
    """Empty what the events of these orders say of a person; how many events."""
    return await tx.run(FORGET, store_id=store_id, order_ids=list(order_ids))


async def delete_events(tx: Tx, store_id: int, after: int, up_to: int) -> int:
    """Delete the events after one and up to another; how many."""
    return await tx.run(DELETE_UP_TO, store_id=store_id, after=after, up_to=up_to)


async def find_chain(tx: Tx, store_id: int) -> KeptChain | None:
    """The store's chain, or None before its first event was chained."""
    return await tx.one(FIND_CHAIN, store_id=store_id)


async def list_due_chains(tx: Tx) -> list[int]:
    """The stores that have a chain."""
    return await tx.all(STORES)


async def upsert_chain(tx: Tx, store_id: int, chain: Chain, key_id: bytes, mac: bytes) -> None:
    """Write a store's chain."""
    values = msgspec.structs.asdict(chain) | {"store_id": store_id}
    await tx.run(UPSERT_CHAIN, **values, key_id=key_id, mac=mac)
