"""SQL of orders and lines. Each write that depends on what is newer says so in its own WHERE."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, BindParameter, bindparam, case, cast, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import edits, lines, orders, refunds, risks, tombstones
from carryout.orders.model import Line, Order, UpsertedOrder
from carryout.orders.store.redactions import (
    IDS,
    INSERT_REDACTION,
    PERSON,
    REDACT,
    REDACTED_AT,
    find_person,
    find_redaction,
    insert_redactions,
    list_ids,
    update_redacted,
)

__all__ = [
    "IDS",
    "INSERT_REDACTION",
    "PERSON",
    "REDACT",
    "REDACTED_AT",
    "find_person",
    "find_redaction",
    "insert_redactions",
    "list_ids",
    "update_redacted",
]

# `insert` of the PostgreSQL dialect compiles for both databases: SQLite's own does not compile for asyncpg.
_o, _l = orders.c, lines.c
_STAMP: Final = ("updated_at", "triggered_at", "standing_rank")
# Of the newest payload that spoke of lines: a payload may leave them out, and must not end them by that.
_LINES_STAMP: Final = tuple(f"lines_{name}" for name in _STAMP)


def _stamp(columns: Any, names: Sequence[str] = _STAMP) -> Any:
    return tuple_(*(columns[name] for name in names))


def _bound(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


_ORDER: Final = tuple(_o[name] for name in Order.__struct_fields__)
_SAID: Final = ("standing", "ordered_at", *_STAMP)
_KEPT: Final = ("order_number", "name", "token_digest", "locale")

_PERSONAL: Final = ("person", "email_digest", "customer_digest")


def _later_lines(new: Any) -> dict[str, Any]:
    is_later = _stamp(new, _LINES_STAMP) >= _stamp(_o, _LINES_STAMP)
    return {name: case((is_later, new[name]), else_=_o[name]) for name in _LINES_STAMP}


_insert_order = insert(orders).values(
    **_bound("uid", "store_id", "shopify_id", *_SAID, *_PERSONAL, *_KEPT, *_LINES_STAMP),
    **_bound("address_limit", "redacted_at", "created_at"),
)
_said = _insert_order.excluded
UPSERT_ORDER: Final = Query(
    _insert_order.on_conflict_do_update(
        index_elements=["store_id", "shopify_id"],
        set_={name: _said[name] for name in _SAID}
        | {name: func.coalesce(_said[name], _o[name]) for name in _KEPT}
        # Who was redacted from an order stays away, also when a later payload knows them by another address.
        | {name: case((_o.redacted_at.is_(None), _said[name])) for name in _PERSONAL}
        | {"redacted_at": func.coalesce(_o.redacted_at, _said.redacted_at)}
        | _later_lines(_said),
        where=_stamp(_said) >= _stamp(_o),
    ).returning(_o.id, _o.redacted_at),
    UpsertedOrder,
)
_redacted_at: BindParameter[Any] = bindparam("redacted_at", type_=BigInteger)
FILL_ORDER: Final = Query(
    update(orders)
    .where(_o.store_id == bindparam("at_store"), _o.shopify_id == bindparam("at_order"))
    .values(
        **{name: func.coalesce(_o[name], bindparam(name)) for name in _KEPT},
        **{name: case((_redacted_at.is_(None), _o[name])) for name in _PERSONAL},
        **_later_lines({name: bindparam(name, type_=BigInteger) for name in _LINES_STAMP}),
        redacted_at=func.coalesce(_o.redacted_at, _redacted_at),
    )
    .returning(_o.id, _o.redacted_at),
    UpsertedOrder,
)

_insert_line = insert(lines).values(
    **_bound("store_id", "order_id", "line_item_id", "position", "product_id", "variant_id", "name", "quantity"),
    **_bound("current_quantity", *_STAMP),
)
UPSERT_LINE: Final = Statement(
    _insert_line.on_conflict_do_update(
        index_elements=["order_id", "line_item_id"],
        set_={
            name: _insert_line.excluded[name]
            for name in ("position", "product_id", "variant_id", "name", "quantity", "current_quantity", *_STAMP)
        },
        where=_stamp(_insert_line.excluded) >= _stamp(_l),
    )
)

_insert_refund = insert(refunds).values(
    **_bound("store_id", "order_shopify_id", "refund_id", "line_item_id", "quantity")
)
UPSERT_REFUND: Final = Statement(
    _insert_refund.on_conflict_do_update(
        index_elements=["store_id", "order_shopify_id", "refund_id", "line_item_id"],
        set_={"quantity": _insert_refund.excluded.quantity},
        where=_insert_refund.excluded.quantity > refunds.c.quantity,
    )
)

_refunded = (
    select(cast(func.coalesce(func.sum(refunds.c.quantity), 0), BigInteger))
    .where(
        refunds.c.store_id == bindparam("at_store"),
        refunds.c.order_shopify_id == bindparam("at_order"),
        refunds.c.line_item_id == _l.line_item_id,
    )
    .scalar_subquery()
)
_order_id = (
    select(_o.id).where(_o.store_id == bindparam("at_store"), _o.shopify_id == bindparam("at_order")).scalar_subquery()
)
_is_named = (
    select(_stamp(_l) >= _stamp(_o, _LINES_STAMP)).where(_o.id == _l.order_id).correlate(lines).scalar_subquery()
)
_left = _l.quantity - _refunded
COUNT_REMAINING: Final = Statement(
    update(lines)
    .where(_l.order_id == _order_id)
    .values(
        remaining=case(
            (~_is_named, 0),  # the newest payload that speaks of lines does not name it: an edit removed it
            (_left <= 0, 0),
            (_left < _l.current_quantity, _left),
            else_=_l.current_quantity,
        )
    )
)

_insert_risk = insert(risks).values(**_bound("store_id", "order_shopify_id", "provider", "risk_rank", "assessed_at"))
UPSERT_RISK: Final = Statement(
    _insert_risk.on_conflict_do_update(
        index_elements=["store_id", "order_shopify_id", "provider"],
        set_={"risk_rank": _insert_risk.excluded.risk_rank, "assessed_at": _insert_risk.excluded.assessed_at},
        where=tuple_(_insert_risk.excluded.assessed_at, _insert_risk.excluded.risk_rank)
        > tuple_(risks.c.assessed_at, risks.c.risk_rank),
    )
)
RANK_RISK: Final = Statement(
    update(orders)
    .where(_o.store_id == bindparam("at_store"), _o.shopify_id == bindparam("at_order"))
    .values(
        risk_rank=select(func.coalesce(func.max(risks.c.risk_rank), 0))
        .where(risks.c.store_id == bindparam("at_store"), risks.c.order_shopify_id == bindparam("at_order"))
        .scalar_subquery()
    )
)

_insert_edit = insert(edits).values(**_bound("store_id", "order_shopify_id", "edited_at"))
UPSERT_EDIT: Final = Statement(
    _insert_edit.on_conflict_do_update(
        index_elements=["store_id", "order_shopify_id"],
        set_={"edited_at": _insert_edit.excluded.edited_at},
        where=_insert_edit.excluded.edited_at > edits.c.edited_at,
    )
)
INSERT_TOMBSTONE: Final = Statement(
    insert(tombstones).values(**_bound("store_id", "order_shopify_id", "deleted_at")).on_conflict_do_nothing()
)
FIND_TOMBSTONE: Final = Query(
    select(tombstones.c.deleted_at).where(
        tombstones.c.store_id == bindparam("store_id"), tombstones.c.order_shopify_id == bindparam("shopify_id")
    ),
    int,
)
DELETE_ORDER: Final = Statement(
    delete(orders).where(_o.store_id == bindparam("store_id"), _o.shopify_id == bindparam("shopify_id"))
)
DELETE_ORDER_PARTS: Final = tuple(
    Statement(
        delete(table).where(
            table.c.store_id == bindparam("store_id"), table.c.order_shopify_id == bindparam("shopify_id")
        )
    )
    for table in (refunds, risks, edits)
)

_OURS: Final = _o.store_id == bindparam("store_id")
BY_ID: Final = Query(select(*_ORDER).where(_OURS, _o.id == bindparam("id")), Order)
BY_UID: Final = Query(select(*_ORDER).where(_OURS, _o.uid == bindparam("uid")), Order)
BY_SHOPIFY_ID: Final = Query(select(*_ORDER).where(_OURS, _o.shopify_id == bindparam("shopify_id")), Order)
BY_NUMBER: Final = Query(
    select(*_ORDER)
    .where(_OURS, or_(_o.order_number == bindparam("number"), among(_o.name, "names")))
    .order_by(_o.id)
    .limit(2),
    Order,
)
NEEDS_REFRESH: Final = Query(
    select(_o.shopify_id)
    .join(edits, (edits.c.store_id == _o.store_id) & (edits.c.order_shopify_id == _o.shopify_id))
    .where(_OURS, edits.c.edited_at > _o.updated_at)
    .order_by(_o.id)
    .limit(bindparam("limit")),
    int,
)
LINES: Final = Query(
    select(*(_l[name] for name in Line.__struct_fields__))
    .where(_l.store_id == bindparam("store_id"), _l.order_id == bindparam("order_id"))
    .order_by(_l.position, _l.id),
    Line,
)

SET_TERMS: Final = Statement(
    update(orders)
    .where(_OURS, _o.id == bindparam("at_id"))
    .values(**_bound("own_downloads", "own_addresses", "own_expires_at", "own_release_at"))
)
SET_ADDRESS_LIMITS: Final = Statement(
    update(orders)
    .where(_o.store_id == bindparam("at_store"))
    .values(address_limit=bindparam("new_limit", type_=BigInteger))
)
BLOCK: Final = Statement(
    update(orders)
    .where(_OURS, _o.id == bindparam("at_id"))
    .values(blocked_at=func.coalesce(_o.blocked_at, bindparam("now", type_=BigInteger)))
)
UNBLOCK: Final = Statement(update(orders).where(_OURS, _o.id == bindparam("at_id")).values(blocked_at=None))
RAISE_GENERATION: Final = Query(
    update(orders)
    .where(_OURS, _o.id == bindparam("at_id"))
    .values(link_generation=_o.link_generation + 1)
    .returning(_o.link_generation),
    int,
)


async def upsert_order(tx: Tx, store_id: int, values: dict[str, Any]) -> tuple[UpsertedOrder, bool]:
    """Insert the order or bring it up to date; what it became, and whether these facts are now the newest."""
    if newest := await tx.one(UPSERT_ORDER, store_id=store_id, **values):
        return newest, True
    kept = {name: values[name] for name in (*_KEPT, *_LINES_STAMP, "redacted_at")}
    filled = await tx.one(FILL_ORDER, at_store=store_id, at_order=values["shopify_id"], **kept)
    if filled is None:
        message = "an order that conflicts must exist"
        raise LookupError(message)
    return filled, False


async def upsert_lines(tx: Tx, store_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """Insert lines, or bring those up to date that an older payload named."""
    await tx.many(UPSERT_LINE, [{"store_id": store_id, **row} for row in rows])


async def upsert_refunds(tx: Tx, store_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """Merge refunds into the set, by refund id and line."""
    await tx.many(UPSERT_REFUND, [{"store_id": store_id, **row} for row in rows])


async def update_remaining(tx: Tx, store_id: int, shopify_id: int) -> None:
    """Derive what is left of every line of the order, if it is here."""
    await tx.run(COUNT_REMAINING, at_store=store_id, at_order=shopify_id)


async def upsert_risk(tx: Tx, store_id: int, shopify_id: int, provider: str, rank: int, assessed_at: int) -> None:
    """Keep a provider's newest assessment."""
    await tx.run(
        UPSERT_RISK,
        store_id=store_id,
        order_shopify_id=shopify_id,
        provider=provider,
        risk_rank=rank,
        assessed_at=assessed_at,
    )


async def update_risk(tx: Tx, store_id: int, shopify_id: int) -> None:
    """Derive the order's risk from all assessments, if it is here."""
    await tx.run(RANK_RISK, at_store=store_id, at_order=shopify_id)


async def upsert_edit(tx: Tx, store_id: int, shopify_id: int, edited_at: int) -> None:
    """Remember the newest edit of an order."""
    await tx.run(UPSERT_EDIT, store_id=store_id, order_shopify_id=shopify_id, edited_at=edited_at)


async def list_needing_refresh(tx: Tx, store_id: int, limit: int) -> list[int]:
    """Shopify ids of the orders that were edited after what we know of them."""
    return await tx.all(NEEDS_REFRESH, store_id=store_id, limit=limit)


async def find_tombstone(tx: Tx, store_id: int, shopify_id: int) -> int | None:
    """When the order was deleted for good, or None."""
    return await tx.one(FIND_TOMBSTONE, store_id=store_id, shopify_id=shopify_id)


async def delete_order(tx: Tx, store_id: int, shopify_id: int, now: int) -> None:
    """Remove the order with all that hangs on it, and leave a tombstone."""
    await tx.run(INSERT_TOMBSTONE, store_id=store_id, order_shopify_id=shopify_id, deleted_at=now)
    await tx.run(DELETE_ORDER, store_id=store_id, shopify_id=shopify_id)
    for statement in DELETE_ORDER_PARTS:
        await tx.run(statement, store_id=store_id, shopify_id=shopify_id)


async def find_order(tx: Tx, store_id: int, order_id: int) -> Order | None:
    """The order by our own key."""
    return await tx.one(BY_ID, store_id=store_id, id=order_id)


async def find_by_uid(tx: Tx, store_id: int, uid: str) -> Order | None:
    """The order by its public id."""
    return await tx.one(BY_UID, store_id=store_id, uid=uid)


async def find_by_shopify_id(tx: Tx, store_id: int, shopify_id: int) -> Order | None:
    """The order by Shopify's id."""
    return await tx.one(BY_SHOPIFY_ID, store_id=store_id, shopify_id=shopify_id)


async def list_by_number(tx: Tx, store_id: int, number: int | None, names: Sequence[str]) -> list[Order]:
    """At most two orders with this number or one of these names: two mean that it is ambiguous."""
    return await tx.all(BY_NUMBER, store_id=store_id, number=number, names=list(names))


async def list_lines(tx: Tx, store_id: int, order_id: int) -> list[Line]:
    """The order's lines, in the order of the purchase."""
    return await tx.all(LINES, store_id=store_id, order_id=order_id)


async def update_terms(tx: Tx, store_id: int, order_id: int, terms: dict[str, int | None]) -> None:
    """Replace the order's own terms."""
    await tx.run(SET_TERMS, store_id=store_id, at_id=order_id, **terms)


async def update_address_limits(tx: Tx, store_id: int, limit: int | None) -> None:
    """Give every order of the store the same limit of addresses."""
    await tx.run(SET_ADDRESS_LIMITS, at_store=store_id, new_limit=limit)


async def update_blocked(tx: Tx, store_id: int, order_id: int, blocked_at: int | None) -> None:
    """Block the order (keeping when it was first blocked), or lift the block with None."""
    if blocked_at is None:
        await tx.run(UNBLOCK, store_id=store_id, at_id=order_id)
    else:
        await tx.run(BLOCK, store_id=store_id, at_id=order_id, now=blocked_at)


async def update_generation(tx: Tx, store_id: int, order_id: int) -> int:
    """Raise the link generation: every ticket of the order made before is dead."""
    return await tx.one(RAISE_GENERATION, store_id=store_id, at_id=order_id) or 0
