"""SQL of grants: the views that faces read, the one statement that spends a use, and (`granting`) who gets what."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Label, Select, and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx, json_rows, json_text
from carryout.db.rows import mapper
from carryout.db.tables import (
    assets,
    grants,
    lines,
    order_addresses,
    orders,
    products,
    stores,
    versions,
)
from carryout.entitlements.model import Claimed, FoundOrder, GrantView, KnownClient, LineView, Offer, OrderView
from carryout.entitlements.store.granting import (
    APPLY_TO_EXISTING,
    DELETE_ORDER_ASSET,
    GRANT_IDS,
    INSERT_OF_LINE,
    INSERT_OF_ORDER,
    INSERT_ORDER_ASSET,
    MISSING_OF_LINES,
    MISSING_OF_ORDER,
    REACHED,
    REVOKE_DETACHED,
    REVOKE_OF_ORDER,
    delete_order_asset,
    insert_grants,
    insert_order_asset,
    list_grant_ids,
    list_missing,
    list_reached,
    revoke_detached,
    revoke_of_order,
    update_snapshots,
)
from carryout.entitlements.store.spending import LIMIT, SETTLE, SPEND, spend_use, update_account

__all__ = [
    "APPLY_TO_EXISTING",
    "DELETE_ORDER_ASSET",
    "GRANT_IDS",
    "INSERT_OF_LINE",
    "INSERT_OF_ORDER",
    "INSERT_ORDER_ASSET",
    "LIMIT",
    "MISSING_OF_LINES",
    "MISSING_OF_ORDER",
    "REACHED",
    "REVOKE_DETACHED",
    "REVOKE_OF_ORDER",
    "SETTLE",
    "SPEND",
    "delete_order_asset",
    "insert_grants",
    "insert_order_asset",
    "list_grant_ids",
    "list_missing",
    "list_reached",
    "revoke_detached",
    "revoke_of_order",
    "spend_use",
    "update_account",
    "update_snapshots",
]

_g, _o, _l, _a, _v, _p, _s = (
    grants.c, orders.c, lines.c, assets.c, versions.c, products.c, stores.c
)  # fmt: skip
_ad = order_addresses.c

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
_BY_ID = _ORDER.where(_o.store_id == bindparam("store_id"), _o.id == bindparam("id"))
BY_ID: Final = Query(_BY_ID, OrderView)
BY_ID_HELD: Final = Query(_BY_ID.with_for_update(of=orders), OrderView)

_PRODUCT: Final[dict[str, Any]] = {
    "product_uid": _p.uid.label("product_uid"),
    "name": func.coalesce(func.nullif(_p.name, ""), _l.name).label("name"),
    "variant_name": _p.variant_name,
    "sku": _p.sku,
    "product_id": _p.product_id,
    "variant_id": _p.variant_id,
    "vendor": _p.vendor,
}


def _line(tags: ColumnElement[Any]) -> Select[Any]:
    """Lines with their products, whose tags are given as a column or as a part of JSON."""
    columns = _PRODUCT | {"tags": tags}
    return select(*(columns[name] if name in columns else _l[name] for name in LineView.__struct_fields__)).join_from(
        lines, products, and_(_p.store_id == _l.store_id, _p.variant_id == _l.variant_id), isouter=True
    )


LINES: Final = Query(
    _line(_p.tags)
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


def _granted(view: type[Offer]) -> Select[Any]:
    """The live grants with what the view says of them."""
    return (
        select(*(_GRANT_COLUMNS[name] if name in _GRANT_COLUMNS else _g[name] for name in view.__struct_fields__))
        .join_from(grants, assets, _a.id == _g.asset_id)
        .join(lines, _l.id == _g.line_id, isouter=True)
        .join(versions, _v.id == _a.version_id, isouter=True)
        .where(_g.revoked_at.is_(None))
    )


_GRANT: Final = _granted(GrantView)
_OURS: Final = _g.store_id == bindparam("store_id")
GRANTS: Final = Query(_GRANT.where(_OURS, _g.order_id == bindparam("order_id")).order_by(_g.id), GrantView)
GRANT: Final = Query(_GRANT.where(_OURS, _g.id == bindparam("id")), GrantView)
_order_of_grant = select(_g.order_id).where(_OURS, _g.id == bindparam("grant_id"), _g.revoked_at.is_(None))
HOLD_OF_GRANT: Final = Query(
    select(_o.id)
    .where(_o.store_id == bindparam("store_id"), _o.id == _order_of_grant.scalar_subquery())
    .with_for_update(),
    int,
)


class _Pairs(Query[Claimed]):
    """A grant with its order, side by side in a row; the grant's columns begin after the order's."""

    def __init__(self, clause: Select[Any]) -> None:
        Statement.__init__(self, clause)
        to_order = mapper(OrderView, OrderView.__struct_fields__)
        to_grant = mapper(GrantView, GrantView.__struct_fields__)
        width = len(OrderView.__struct_fields__)
        self.to_row = lambda row: Claimed(to_order(row[:width]), to_grant(row[width:]))


PAIR: Final = _Pairs(
    _ORDER.add_columns(*_GRANT.selected_columns)
    .join(grants, _g.order_id == _o.id)
    .join(assets, _a.id == _g.asset_id)
    .join(lines, _l.id == _g.line_id, isouter=True)
    .join(versions, _v.id == _a.version_id, isouter=True)
    .where(_OURS, _g.id == bindparam("id"), _g.revoked_at.is_(None))
)

# The customer endpoint's: an order with all that is shown of it.

_ITS_LINES: Final = _line(json_text(_p.tags)).where(_l.store_id == _o.store_id, _l.order_id == _o.id).correlate(orders)
_ITS_OFFERS: Final = _granted(Offer).where(_g.store_id == _o.store_id, _g.order_id == _o.id).correlate(orders)
_WHOLE: Final = (
    _ORDER.add_columns(
        json_rows(_ITS_LINES).label("lines"),
        json_rows(_ITS_OFFERS).label("grants"),
    )
    .where(_o.token_digest == bindparam("digest"))
    .order_by(_o.id)
    .limit(1)
)
BY_TOKEN: Final = Query(_WHOLE, FoundOrder)
BY_TOKEN_OF_SHOP: Final = Query(_WHOLE.where(_s.domain == bindparam("domain")), FoundOrder)

# ── addresses

_its_addresses = select(func.count()).where(_ad.store_id == _o.store_id, _ad.order_id == _o.id).correlate(orders)
CLIENT: Final = Query(
    select(
        _o.redacted_at,
        _its_addresses.scalar_subquery().label("addresses"),
        _its_addresses.where(_ad.address_digest == bindparam("digest")).scalar_subquery().label("is_known"),
    ).where(_o.store_id == bindparam("store_id"), _o.id == bindparam("order_id")),
    KnownClient,
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


async def find_by_token(tx: Tx, digest: bytes, domain: str | None) -> FoundOrder | None:
    """The order behind a token, with all that is shown of it: of the first store to claim it, or of the named shop."""
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


async def find_order_of_grant_held(tx: Tx, store_id: int, grant_id: int) -> None:
    """Lock the row of a live grant's order until the transaction ends."""
    await tx.one(HOLD_OF_GRANT, store_id=store_id, grant_id=grant_id)


async def find_pair(tx: Tx, store_id: int, grant_id: int) -> Claimed | None:
    """A live grant with its order, in one statement."""
    return await tx.one(PAIR, store_id=store_id, id=grant_id)


async def find_client(tx: Tx, store_id: int, order_id: int, digest: bytes) -> KnownClient | None:
    """What the order knows of an address."""
    return await tx.one(CLIENT, store_id=store_id, order_id=order_id, digest=digest)


async def find_address(tx: Tx, store_id: int, order_id: int, digest: bytes) -> int | None:
    """When this address first used the order, or None: it is new."""
    return await tx.one(FIND_ADDRESS, store_id=store_id, order_id=order_id, digest=digest)


async def insert_address(tx: Tx, store_id: int, order_id: int, digest: bytes, now: int) -> None:
    """Remember an address of the order."""
    await tx.run(INSERT_ADDRESS, store_id=store_id, order_id=order_id, digest=digest, now=now)
