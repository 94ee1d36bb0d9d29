"""The inbox's SQL."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, delete, exists, func, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import inbox, orders, redactions, stores
from carryout.shopify.model import InboxRow, Outcome, Parked

# `insert` of the PostgreSQL dialect compiles for both databases: SQLite's own does not compile for asyncpg.
_i = inbox.c
_OURS: Final = (_i.store_id == bindparam("store_id"), _i.id == bindparam("inbox_id"))
_IS_PARKED: Final = _i.outcome == Outcome.PARKED.value
_VALUES: Final = (
    "store_id", "delivery_id", "event_id", "topic", "api_version", "triggered_at", "received_at", "body",
    "order_shopify_id", "customer_digest", "email_digest", "outcome", "reason",
)  # fmt: skip
_FORGOTTEN: Final = {
    "body": null(),
    "customer_digest": null(),
    "email_digest": null(),
    # Without its body a parked delivery can never be applied.
    "outcome": func.replace(_i.outcome, Outcome.PARKED.value, Outcome.IGNORED.value),
}

_INSERT: Final = Query(
    insert(inbox)
    .values(**{name: bindparam(name) for name in _VALUES})
    .on_conflict_do_nothing(index_elements=["store_id", "delivery_id"])
    .returning(_i.id),
    int,
)
_SETTLE: Final = Statement(
    update(inbox).where(*_OURS).values(outcome=bindparam("new_outcome"), reason=bindparam("new_reason"))
)
_FORGET: Final = Statement(update(inbox).where(*_OURS).values(**_FORGOTTEN))

_parked = select(_i.id, _i.store_id, _i.delivery_id, _i.topic, _i.triggered_at, _i.received_at, _i.body).where(
    _IS_PARKED, _i.body.is_not(None)
)
_LIST_PARKED: Final = Query(_parked.where(_i.id > bindparam("after")).order_by(_i.id).limit(bindparam("limit")), Parked)
_LOCK_PARKED: Final = Query(
    _parked.where(_OURS[0], _OURS[1]).with_for_update(),  # two who retry at once: the second finds it done
    Parked,
)
_COUNT_PARKED: Final = Query(select(func.count().label("parked")).where(_IS_PARKED).select_from(inbox), int)
_ROWS: Final = Query(
    select(_i.id, _i.delivery_id, _i.topic, _i.received_at, _i.order_shopify_id, _i.outcome, _i.reason)
    .where(_OURS[0], _i.id < bindparam("before"))
    .order_by(_i.id.desc())
    .limit(bindparam("limit")),
    InboxRow,
)
_LATER: Final = Query(
    select(_i.id)
    .where(
        _OURS[0],
        _i.received_at > bindparam("received_after"),
        _i.triggered_at > bindparam("triggered_after"),
        or_(_i.topic.like("orders/%"), _i.topic.like("refunds/%"), _i.topic.like("products/%")),
    )
    .limit(1),
    int,
)

# ── redactions

_IS_REDACTED: Final = Query(
    select(literal(1).label("found"))
    .select_from(stores)
    .where(
        stores.c.id == bindparam("store_id"),
        or_(
            exists().where(
                orders.c.store_id == bindparam("store_id"),
                orders.c.shopify_id == bindparam("order_id"),
                orders.c.redacted_at.is_not(None),
            ),
            exists().where(redactions.c.store_id == bindparam("store_id"), among(redactions.c.subject, "subjects")),
        ),
    ),
    int,
)
_HAS_PERSON: Final = or_(
    among(_i.order_shopify_id, "order_ids"),
    _i.customer_digest == bindparam("customer"),
    _i.email_digest == bindparam("email"),
)
_FORGET_PERSON: Final = Statement(update(inbox).where(_OURS[0], _HAS_PERSON).values(**_FORGOTTEN))

# ── pruning

_old = inbox.alias("old")
_EMPTY_OLD: Final = Query(
    update(inbox)
    .where(
        _i.id.in_(
            select(_old.c.id)
            .where(
                _old.c.received_at < bindparam("before"),
                _old.c.body.is_not(None),
                _old.c.outcome != Outcome.PARKED.value,
            )
            .limit(bindparam("limit"))
        )
    )
    .values(body=null())
    .returning(_i.id),
    int,
)
_DELETE_OLD: Final = Query(
    delete(inbox)
    .where(
        _i.id.in_(
            select(_old.c.id)
            .where(_old.c.received_at < bindparam("before"), _old.c.outcome != Outcome.PARKED.value)
            .limit(bindparam("limit"))
        )
    )
    .returning(_i.id),
    int,
)


async def insert_delivery(tx: Tx, store_id: int, values: dict[str, object]) -> int | None:
    """Keep a delivery; None when the store has one with this id already."""
    return await tx.one(_INSERT, store_id=store_id, **values)


async def update_outcome(tx: Tx, store_id: int, inbox_id: int, outcome: Outcome, reason: str | None) -> None:
    """Note what became of a delivery."""
    await tx.run(_SETTLE, store_id=store_id, inbox_id=inbox_id, new_outcome=outcome.value, new_reason=reason)


async def update_forgotten(tx: Tx, store_id: int, inbox_id: int) -> None:
    """Drop what a delivery says of its person: its body and the digests."""
    await tx.run(_FORGET, store_id=store_id, inbox_id=inbox_id)


async def list_due_parked(tx: Tx, after: int, limit: int) -> list[Parked]:
    """Deliveries of any store that wait to be tried again, the oldest first, from the id `after` on."""
    return await tx.all(_LIST_PARKED, after=after, limit=limit)


async def lock_parked(tx: Tx, store_id: int, inbox_id: int) -> Parked | None:
    """A delivery that still waits, held until the end of the transaction."""
    return await tx.one(_LOCK_PARKED, store_id=store_id, inbox_id=inbox_id)


async def count_parked(tx: Tx) -> int:
    """How many deliveries wait."""
    return await tx.one(_COUNT_PARKED) or 0


async def list_deliveries(tx: Tx, store_id: int, before: int, limit: int) -> list[InboxRow]:
    """Deliveries of a store, the newest first, from the id `before` down."""
    return await tx.all(_ROWS, store_id=store_id, before=before, limit=limit)


async def find_later_work(tx: Tx, store_id: int, received_after: int, triggered_after: int) -> int | None:
    """A delivery about orders or products that was triggered after a moment; it was received after `received_after`."""
    return await tx.one(_LATER, store_id=store_id, received_after=received_after, triggered_after=triggered_after)


async def find_redaction(tx: Tx, store_id: int, order_id: int | None, subjects: Sequence[str]) -> int | None:
    """Something when the order or one of the subjects (keyed digests in hex) was redacted, else None."""
    return await tx.one(_IS_REDACTED, store_id=store_id, order_id=order_id or 0, subjects=list(subjects))


async def update_forgotten_person(
    tx: Tx, store_id: int, order_ids: Sequence[int], customers: Sequence[bytes], emails: Sequence[bytes]
) -> None:
    """Drop what all deliveries about these orders, customers and e-mails (keyed digests) say of their person."""
    keys = [(customer, b"") for customer in customers] + [(b"", email) for email in emails]
    await tx.many(
        _FORGET_PERSON,
        [
            {"store_id": store_id, "order_ids": list(order_ids), "customer": customer, "email": email}
            for customer, email in keys or [(b"", b"")]
        ],
    )


async def prune_bodies(tx: Tx, before: int, limit: int) -> int:
    """Empty deliveries received before a moment, parked ones excepted; how many."""
    return len(await tx.all(_EMPTY_OLD, before=before, limit=limit))


async def delete_before(tx: Tx, before: int, limit: int) -> int:
    """Delete deliveries received before a moment, parked ones excepted; how many."""
    return len(await tx.all(_DELETE_OLD, before=before, limit=limit))
