"""SQL of grants: the views that faces read, granting what is missing, and the one statement that spends a use."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Label, Select, and_, bindparam, case, delete, func, or_, select, union, update
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import (
    assets,
    attachments,
    grants,
    lines,
    order_addresses,
    order_assets,
    orders,
    products,
    stores,
    versions,
)
from carryout.entitlements.model import NO_LIMIT, GrantView, LineView, MissingGrant, OrderView

_g, _o, _l, _a, _v, _p, _s, _at = (
    grants.c, orders.c, lines.c, assets.c, versions.c, products.c, stores.c, attachments.c
)  # fmt: skip
_oa, _ad = order_assets.c, order_addresses.c

# ── views

_JOINED: Final[dict[str, Label[Any]]] = {
    "store_uid": _s.uid.label("store_uid"),
    "plan": _s.plan.label("plan"),
    "settings": _s.settings.label("settings"),
    "uninstalled_at": _s.uninstalled_at.label("uninstalled_at"),
}
_ORDER: Final = select(
    *(_JOINED[name] if name in _JOINED else _o[name] for name in OrderView.__struct_fields__)
).join_from(orders, stores, _o.store_id == _s.id)
BY_TOKEN: Final = Query(_ORDER.where(_o.token_digest == bindparam("digest")).order_by(_o.id).limit(1), OrderView)
BY_TOKEN_OF_SHOP: Final = Query(
    _ORDER.where(_o.token_digest == bindparam("digest"), _s.domain == bindparam("domain")).order_by(_o.id).limit(1),
    OrderView,
)
_BY_ID = _ORDER.where(_o.store_id == bindparam("store_id"), _o.id == bindparam("id"))
BY_ID: Final = Query(_BY_ID, OrderView)
BY_ID_HELD: Final = Query(_BY_ID.with_for_update(of=orders), OrderView)

LINES: Final = Query(
    select(
        _l.id,
        _l.name,
        _p.uid.label("product_uid"),
        _p.name.label("product_name"),
        _p.variant_name,
        _p.sku,
        _p.product_id,
        _p.variant_id,
        _p.vendor,
        _p.tags,
    )
    .join_from(lines, products, and_(_p.store_id == _l.store_id, _p.variant_id == _l.variant_id), isouter=True)
    .where(_l.store_id == bindparam("store_id"), _l.order_id == bindparam("order_id"))
    .order_by(_l.position, _l.id),
    LineView,
)

_GRANT_COLUMNS: Final[dict[str, Any]] = {
    "quantity": _l.quantity,
    "remaining": _l.remaining,
    "asset_uid": _a.uid.label("asset_uid"),
    "is_link": _a.is_link,
    "filename": _a.filename,
    "size_text": _a.size_text,
    "link_url": _a.link_url,
    "removed_at": _a.removed_at,
    "size_bytes": _v.size_bytes,
    "sha256": _v.sha256,
    "crc32": _v.crc32,
    "completed_at": _v.completed_at,
}
_GRANT: Final[Select[Any]] = (
    select(*(_GRANT_COLUMNS[name] if name in _GRANT_COLUMNS else _g[name] for name in GrantView.__struct_fields__))
    .join_from(grants, assets, _a.id == _g.asset_id)
    .join(lines, _l.id == _g.line_id, isouter=True)
    .join(versions, _v.id == _a.version_id, isouter=True)
    .where(_g.revoked_at.is_(None))
)
_OURS: Final = _g.store_id == bindparam("store_id")
GRANTS: Final = Query(_GRANT.where(_OURS, _g.order_id == bindparam("order_id")).order_by(_g.id), GrantView)
GRANT: Final = Query(_GRANT.where(_OURS, _g.id == bindparam("id")), GrantView)
ORDER_OF_GRANT: Final = Query(
    select(_g.order_id).where(_g.store_id == bindparam("store_id"), _g.id == bindparam("id"), _g.revoked_at.is_(None)),
    int,
)

# ── spending

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
    .where(
        _g.store_id == bindparam("store_id"),
        _g.id == bindparam("at_id"),
        _g.revoked_at.is_(None),
        or_(LIMIT == NO_LIMIT, _g.used < LIMIT),
    )
    .values(used=_g.used + 1)
    .returning(_g.used),
    int,
)

COUNT_ADDRESSES: Final = Query(
    select(func.count().label("count")).where(
        _ad.store_id == bindparam("store_id"), _ad.order_id == bindparam("order_id")
    ),
    int,
)
FIND_ADDRESS: Final = Query(
    select(_ad.first_seen_at).where(
        _ad.store_id == bindparam("store_id"),
        _ad.order_id == bindparam("order_id"),
        _ad.address_digest == bindparam("digest"),
    ),
    int,
)
INSERT_ADDRESS: Final = Statement(
    insert(order_addresses)
    .values(
        store_id=bindparam("store_id"),
        order_id=bindparam("order_id"),
        address_digest=bindparam("digest"),
        first_seen_at=bindparam("now"),
    )
    .on_conflict_do_nothing()
)

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


async def find_by_token(tx: Tx, digest: bytes, domain: str | None) -> OrderView | None:
    """The order behind a token: of the store that claimed it first, or of the named shop."""
    if domain is None:
        return await tx.one(BY_TOKEN, digest=digest)
    return await tx.one(BY_TOKEN_OF_SHOP, digest=digest, domain=domain)


async def find_order(tx: Tx, store_id: int, order_id: int) -> OrderView | None:
    """The order by our own key."""
    return await tx.one(BY_ID, store_id=store_id, id=order_id)


async def find_order_held(tx: Tx, store_id: int, order_id: int) -> OrderView | None:
    """The order, its row locked until the transaction ends: claims of one order stand in line."""
    return await tx.one(BY_ID_HELD, store_id=store_id, id=order_id)


async def list_lines(tx: Tx, store_id: int, order_id: int) -> list[LineView]:
    """The order's lines with their products."""
    return await tx.all(LINES, store_id=store_id, order_id=order_id)


async def list_grants(tx: Tx, store_id: int, order_id: int) -> list[GrantView]:
    """The order's live grants with their assets."""
    return await tx.all(GRANTS, store_id=store_id, order_id=order_id)


async def find_grant(tx: Tx, store_id: int, grant_id: int) -> GrantView | None:
    """A live grant."""
    return await tx.one(GRANT, store_id=store_id, id=grant_id)


async def find_order_id(tx: Tx, store_id: int, grant_id: int) -> int | None:
    """The order of a live grant."""
    return await tx.one(ORDER_OF_GRANT, store_id=store_id, id=grant_id)


async def spend_use(tx: Tx, store_id: int, grant_id: int) -> int | None:
    """Count one use while the limit allows it; the uses spent, or None when it allows no more."""
    return await tx.one(SPEND, store_id=store_id, at_id=grant_id)


async def count_addresses(tx: Tx, store_id: int, order_id: int) -> int:
    """How many addresses have used the order."""
    return await tx.one(COUNT_ADDRESSES, store_id=store_id, order_id=order_id) or 0


async def find_address(tx: Tx, store_id: int, order_id: int, digest: bytes) -> int | None:
    """When this address first used the order, or None: it is new."""
    return await tx.one(FIND_ADDRESS, store_id=store_id, order_id=order_id, digest=digest)


async def insert_address(tx: Tx, store_id: int, order_id: int, digest: bytes, now: int) -> None:
    """Remember an address of the order."""
    await tx.run(INSERT_ADDRESS, store_id=store_id, order_id=order_id, digest=digest, now=now)


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
