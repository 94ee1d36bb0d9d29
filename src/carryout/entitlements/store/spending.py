"""SQL of uses: the one statement that spends one, and the one that settles one."""

from typing import Final

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, func, not_, select, update

from carryout.db import Query, Statement, Tx
from carryout.db.tables import grants, lines, orders
from carryout.entitlements.model import NO_LIMIT

_g, _o, _l = grants.c, orders.c, lines.c
_OURS: Final = _g.store_id == bindparam("store_id")
_AT: Final = _g.id == bindparam("at_id")

_own_of_order = select(_o.own_downloads).where(_o.id == _g.order_id).correlate(grants).scalar_subquery()
_quantity = select(_l.quantity).where(_l.id == _g.line_id).correlate(grants).scalar_subquery()
LIMIT: Final = func.coalesce(
    _g.own_downloads,
    _own_of_order,
    _g.base_downloads * case((_g.is_per_unit, func.coalesce(_quantity, 1)), else_=1),
    NO_LIMIT,
)
SPEND: Final = Query(
    update(grants)
    # `NO_LIMIT` or more than is used; said so, the limit is worked out once.
    .where(_OURS, _AT, _g.revoked_at.is_(None), not_(LIMIT.between(0, _g.used)))
    .values(used=_g.used + 1)
    .returning(_g.used),
    int,
)

# `sessions.rules.settle` in SQL: give uses back, add what was sent to the account, and spend from it what it comes to.
_uses: Final = bindparam("uses", type_=BigInteger)
_given: Final = case((_g.used < _uses, _g.used), else_=_uses)
_held: Final = _g.undelivered_bytes + bindparam("sent_bytes", type_=BigInteger)
_size_bytes: Final = bindparam("size_bytes", type_=BigInteger)
_due: Final = case((_size_bytes > 0, _held // func.coalesce(func.nullif(_size_bytes, 0), 1)), else_=0)
_left: Final = case((LIMIT == NO_LIMIT, _due), (_g.used - _given < LIMIT, LIMIT - (_g.used - _given)), else_=0)
_spent: Final[ColumnElement[int]] = case((_due < _left, _due), else_=_left)
SETTLE: Final = Statement(
    update(grants)
    .where(_OURS, _AT)
    .values(used=_g.used - _given + _spent, undelivered_bytes=_held - _spent * _size_bytes)
)


async def spend_use(tx: Tx, store_id: int, grant_id: int) -> int | None:
    """Count one use while the limit allows it; the uses spent, or None when it allows no more."""
    return await tx.one(SPEND, store_id=store_id, at_id=grant_id)


async def update_account(tx: Tx, store_id: int, grant_id: int, *, uses: int, sent_bytes: int, size_bytes: int) -> None:
    """Give uses back and add what was sent; each `size_bytes` on the account spends a use, while any is left."""
    await tx.run(SETTLE, store_id=store_id, at_id=grant_id, uses=uses, sent_bytes=sent_bytes, size_bytes=size_bytes)
