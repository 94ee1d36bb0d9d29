"""SQL of granting: what an order should grant and does not, what is taken away, and what changed limits come to."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Select, and_, bindparam, delete, func, or_, select, union, update
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import assets, attachments, grants, lines, order_assets, orders
from carryout.entitlements.model import MissingGrant

_g, _o, _l, _a, _at, _oa = grants.c, orders.c, lines.c, assets.c, attachments.c, order_assets.c

# ── granting


def _missing(condition: Any) -> Select[Any]:
    """Pairs of a line of the order and an asset attached to what it names, that have no live grant."""
    has_grant = select(1).where(_g.line_id == _l.id, _g.asset_id == _at.asset_id, _g.revoked_at.is_(None)).exists()
    return (
        select(_l.id.label("line_id"), _a.id.label("asset_id"), _a.downloads, _a.expires_days, _a.release_at)
        .join_from(lines, orders, _o.id == _l.order_id)
        .join(attachments, and_(_at.store_id == _l.store_id, condition))
        .join(assets, _a.id == _at.asset_id)
        .where(
            # Of the order, not of the lines: the planner would carry it over to the attachments and walk all of them.
            _o.store_id == bindparam("store_id"),
            _l.order_id == bindparam("order_id"),
            _l.quantity > 0,
            _o.ordered_at >= _at.applies_from,
            _a.removed_at.is_(None),
            ~has_grant,
        )
    )


_by_variant = _at.variant_id == _l.variant_id
_by_product = and_(_at.variant_id.is_(None), _at.product_id == _l.product_id)
_both = union(_missing(_by_variant), _missing(_by_product)).subquery()
MISSING_OF_LINES: Final = Query(
    select(*(_both.c[name] for name in MissingGrant.__struct_fields__)).order_by(_both.c.line_id, _both.c.asset_id),
    MissingGrant,
)
MISSING_OF_ORDER: Final = Query(
    select(_g.line_id, _a.id.label("asset_id"), _a.downloads, _a.expires_days, _a.release_at)
    .join_from(order_assets, assets, _a.id == _oa.asset_id)
    .join(
        grants,
        and_(_g.order_id == _oa.order_id, _g.asset_id == _oa.asset_id, _g.line_id.is_(None), _g.revoked_at.is_(None)),
        isouter=True,
    )
    .where(
        _oa.store_id == bindparam("store_id"),
        _oa.order_id == bindparam("order_id"),
        _a.removed_at.is_(None),
        _g.id.is_(None),
    )
    .order_by(_oa.id),
    MissingGrant,
)
_NEW = (
    "uid", "store_id", "order_id", "line_id", "asset_id", "base_downloads", "is_per_unit", "base_expires_at",
    "base_release_at", "created_at",
)  # fmt: skip


def _insert_grant(where: Any, *elements: str) -> Statement:
    statement = insert(grants).values(**{name: bindparam(name) for name in _NEW})
    return Statement(
        statement.on_conflict_do_update(index_elements=elements, index_where=where, set_={"revoked_at": None})
    )


INSERT_OF_LINE: Final = _insert_grant(_g.line_id.is_not(None), "line_id", "asset_id")
INSERT_OF_ORDER: Final = _insert_grant(_g.line_id.is_(None), "order_id", "asset_id")

INSERT_ORDER_ASSET: Final = Statement(
    insert(order_assets)
    .values({name: bindparam(name) for name in ("store_id", "order_id", "asset_id", "created_at")})
    .on_conflict_do_nothing()
)
DELETE_ORDER_ASSET: Final = Statement(
    delete(order_assets).where(
        _oa.store_id == bindparam("store_id"),
        _oa.order_id == bindparam("order_id"),
        _oa.asset_id == bindparam("asset_id"),
    )
)
REVOKE_OF_ORDER: Final = Statement(
    update(grants)
    .where(
        _g.store_id == bindparam("store_id"),
        _g.order_id == bindparam("order_id"),
        _g.asset_id == bindparam("asset_id"),
        _g.line_id.is_(None),
    )
    .values(revoked_at=bindparam("now"))
)
_still_attached = (
    select(1)
    .where(
        _l.id == _g.line_id,
        _at.asset_id == _g.asset_id,
        or_(_at.variant_id == _l.variant_id, and_(_at.variant_id.is_(None), _at.product_id == _l.product_id)),
    )
    .correlate(grants)
    .exists()
)
_is_detached = (
    select(1)
    .where(_l.id == _g.line_id, or_(among(_l.variant_id, "variant_ids"), among(_l.product_id, "product_ids")))
    .correlate(grants)
    .exists()
)
REVOKE_DETACHED: Final = Statement(
    update(grants)
    .where(
        _g.store_id == bindparam("store_id"),
        _g.asset_id == bindparam("asset_id"),
        _g.line_id.is_not(None),
        _g.revoked_at.is_(None),
        _is_detached,
        ~_still_attached,
    )
    .values(revoked_at=bindparam("now"))
)


def _reached(condition: Any) -> Select[Any]:
    return (
        select(_l.order_id)
        .join_from(attachments, lines, and_(_l.store_id == _at.store_id, condition))
        .where(
            _at.store_id == bindparam("store_id"),
            _at.asset_id == bindparam("asset_id"),
            _l.order_id > bindparam("after"),
        )
    )


_reached_by_both = union(_reached(_by_variant), _reached(_by_product)).subquery()
REACHED: Final = Query(
    select(_reached_by_both.c.order_id).order_by(_reached_by_both.c.order_id).limit(bindparam("limit")), int
)

# ── changing

APPLY_TO_EXISTING: Final = Query(
    update(grants)
    .where(_g.store_id == bindparam("at_store"), among(_g.id, "ids"))
    .values(
        base_downloads=func.coalesce(
            select(_a.downloads).where(_a.id == _g.asset_id).correlate(grants).scalar_subquery(),
            bindparam("downloads", type_=BigInteger),
        ),
        is_per_unit=bindparam("is_per_unit"),
        base_expires_at=(
            select(
                _o.ordered_at
                + func.coalesce(_a.expires_days, bindparam("expires_days", type_=BigInteger)) * 86_400_000_000
            )
            .where(_o.id == _g.order_id, _a.id == _g.asset_id)
            .correlate(grants)
            .scalar_subquery()
        ),
    )
    .returning(_g.id),
    int,
)
GRANT_IDS: Final = Query(
    select(_g.id)
    .where(_g.store_id == bindparam("store_id"), _g.id > bindparam("after"))
    .order_by(_g.id)
    .limit(bindparam("limit")),
    int,
)


async def list_missing(tx: Tx, store_id: int, order_id: int) -> list[MissingGrant]:
    """What the order's lines and the order itself should grant and do not."""
    of_lines = await tx.all(MISSING_OF_LINES, store_id=store_id, order_id=order_id)
    return of_lines + await tx.all(MISSING_OF_ORDER, store_id=store_id, order_id=order_id)


async def insert_grants(tx: Tx, store_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """Grant; a grant that was revoked comes back with its counter and terms."""
    rows = [{"store_id": store_id, **row} for row in rows]
    await tx.many(INSERT_OF_LINE, [row for row in rows if row["line_id"] is not None])
    await tx.many(INSERT_OF_ORDER, [row for row in rows if row["line_id"] is None])


async def insert_order_asset(tx: Tx, store_id: int, order_id: int, asset_id: int, now: int) -> None:
    """Attach an asset to the order itself."""
    await tx.run(INSERT_ORDER_ASSET, store_id=store_id, order_id=order_id, asset_id=asset_id, created_at=now)


async def delete_order_asset(tx: Tx, store_id: int, order_id: int, asset_id: int) -> None:
    """Detach an asset from the order itself."""
    await tx.run(DELETE_ORDER_ASSET, store_id=store_id, order_id=order_id, asset_id=asset_id)


async def revoke_of_order(tx: Tx, store_id: int, order_id: int, asset_id: int, now: int) -> None:
    """Take an order-level grant away."""
    await tx.run(REVOKE_OF_ORDER, store_id=store_id, order_id=order_id, asset_id=asset_id, now=now)


async def revoke_detached(
    tx: Tx, store_id: int, asset_id: int, variant_ids: Sequence[int], product_ids: Sequence[int], now: int
) -> int:
    """Take away an asset's grants of lines with these variants or products, where it is no longer attached."""
    return await tx.run(
        REVOKE_DETACHED,
        store_id=store_id,
        asset_id=asset_id,
        variant_ids=list(variant_ids),
        product_ids=list(product_ids),
        now=now,
    )


async def list_reached(tx: Tx, store_id: int, asset_id: int, after: int, limit: int) -> list[int]:
    """The orders, by key, that bought what the asset is attached to."""
    return await tx.all(REACHED, store_id=store_id, asset_id=asset_id, after=after, limit=limit)


async def list_grant_ids(tx: Tx, store_id: int, after: int, limit: int) -> list[int]:
    """A page of the store's grants, by key."""
    return await tx.all(GRANT_IDS, store_id=store_id, after=after, limit=limit)


async def update_snapshots(
    tx: Tx, store_id: int, ids: Sequence[int], downloads: int | None, expires_days: int | None, *, is_per_unit: bool
) -> None:
    """Give existing grants the snapshot that a new one would get."""
    await tx.all(
        APPLY_TO_EXISTING,
        at_store=store_id,
        ids=list(ids),
        downloads=downloads,
        expires_days=expires_days,
        is_per_unit=is_per_unit,
    )
