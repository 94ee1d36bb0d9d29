"""Products, assets, versions and attachments in the database."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, and_, bindparam, cast, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from carryout.catalog.model import Asset, Attachment, FileVersion, NewAsset, Product, ProductFacts
from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import assets, attachments, products, versions
from carryout.identifiers import new_uid
from carryout.storage import Blob

_p = products.c
_a = assets.c
_v = versions.c
_t = attachments.c
PRODUCT = (_p.id, _p.uid, _p.product_id, _p.variant_id, _p.name, _p.variant_name, _p.sku, _p.vendor, _p.tags)
_TOLD = (_p.product_id, _p.name, _p.variant_name, _p.sku, _p.vendor, _p.tags)
ASSET = (
    _a.id, _a.uid, _a.is_link, _a.filename, _a.size_text,
    func.coalesce(_v.size_bytes, _a.stated_bytes).label("size_bytes"), _a.link_url, _a.downloads, _a.expires_days,
    _a.release_at, _a.created_at,
)  # fmt: skip
_VERSION = (_v.id, _v.sha256, _v.crc32, _v.size_bytes, _v.completed_at)
_ATTACHMENT = (_t.asset_id, _t.product_id, _t.variant_id, _t.applies_from)
_OUR_ASSET = and_(_a.store_id == bindparam("store_id"), _a.id == bindparam("asset_id"), _a.removed_at.is_(None))

# ── products


def _upsert(*, is_synced: bool) -> Statement:
    statement = insert(products).values(
        {column: bindparam(column.key) for column in (_p.uid, _p.store_id, _p.variant_id, *_TOLD, _p.updated_at)}
        | {_p.is_synced: is_synced}
    )
    # What the shop itself says of a product outranks what an order line says of it, however old.
    outranks = _p.is_synced.is_(False)
    newer = _is_newer(statement)
    return Statement(
        statement.on_conflict_do_update(
            index_elements=["store_id", "variant_id"],
            set_={column.key: statement.excluded[column.key] for column in (*_TOLD, _p.is_synced, _p.updated_at)},
            where=or_(outranks, newer) if is_synced else and_(outranks, newer),
        )
    )


def _is_newer(statement: Insert) -> ColumnElement[bool]:
    """Whether the incoming row is newer; of two of the same time the greater one stays, whatever came first."""
    new = statement.excluded
    return or_(
        new.updated_at > _p.updated_at,
        and_(new.updated_at == _p.updated_at, _content(new) > _content(_p)),
    )


def _content(columns: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[Any]:
    texts = [func.coalesce(columns[column.key], "") for column in _TOLD if column is not _p.product_id]
    return tuple_(func.coalesce(columns.product_id, 0), *texts)


_RECORD = _upsert(is_synced=True)
_NOTE = _upsert(is_synced=False)
_DELETE_PRODUCT = Statement(
    update(products)
    .where(_p.store_id == bindparam("store_id"), _p.product_id == bindparam("product_id"), _p.deleted_at.is_(None))
    .values(deleted_at=bindparam("now"))
)


def _list_products(column: ColumnElement[Any]) -> Query[Product]:
    return Query(
        select(*PRODUCT).where(_p.store_id == bindparam("store_id"), among(column, "wanted")).order_by(_p.id), Product
    )


_LIST_BY_VARIANT = _list_products(_p.variant_id)
_LIST_BY_PRODUCT = _list_products(_p.product_id)
_LIST_BY_SKU = _list_products(_p.sku)
_LIST_BY_UID = _list_products(_p.uid)


async def update_products(tx: Tx, store_id: int, facts: Sequence[ProductFacts]) -> None:
    """Write what the shop itself says of its variants, unless newer is known."""
    await tx.many(_RECORD, [_row(store_id, fact) for fact in facts])


async def insert_variants(tx: Tx, store_id: int, facts: Sequence[ProductFacts]) -> None:
    """Write what order lines say of variants that the shop has not told about, unless newer is known."""
    await tx.many(_NOTE, [_row(store_id, fact) for fact in facts])


async def delete_product(tx: Tx, store_id: int, product_id: int, now: int) -> None:
    """Mark the variants of a product as deleted in the shop."""
    await tx.run(_DELETE_PRODUCT, store_id=store_id, product_id=product_id, now=now)


async def list_by_variant(tx: Tx, store_id: int, variant_ids: list[int]) -> list[Product]:
    """The rows of these variants (Shopify's ids)."""
    return await tx.all(_LIST_BY_VARIANT, store_id=store_id, wanted=variant_ids)


async def list_by_product(tx: Tx, store_id: int, product_ids: list[int]) -> list[Product]:
    """The rows of all variants of these products (Shopify's ids)."""
    return await tx.all(_LIST_BY_PRODUCT, store_id=store_id, wanted=product_ids)


async def list_by_sku(tx: Tx, store_id: int, skus: list[str]) -> list[Product]:
    """The rows with these SKUs, which several variants may share."""
    return await tx.all(_LIST_BY_SKU, store_id=store_id, wanted=skus)


async def list_by_uid(tx: Tx, store_id: int, uids: list[str]) -> list[Product]:
    """The rows with these public ids."""
    return await tx.all(_LIST_BY_UID, store_id=store_id, wanted=uids)


def _row(store_id: int, fact: ProductFacts) -> dict[str, object]:
    return msgspec.structs.asdict(fact) | {
        "uid": new_uid(),
        "store_id": store_id,
        "tags": msgspec.json.encode(fact.tags).decode(),
    }


# ── assets and their versions

ASSETS_WITH_SIZE = assets.outerjoin(versions, _v.id == _a.version_id)
_INSERT_ASSET = Query(
    insert(assets)
    .values(
        {
            column: bindparam(column.key)
            for column in (
                _a.uid,
                _a.store_id,
                _a.is_link,
                _a.filename,
                _a.size_text,
                _a.stated_bytes,
                _a.link_url,
                _a.created_at,
            )
        }
    )
    .returning(_a.id),
    int,
)
_FIND_ASSET = Query(select(*ASSET).select_from(ASSETS_WITH_SIZE).where(_OUR_ASSET), Asset)
_FIND_ASSET_BY_UID = Query(
    select(*ASSET)
    .select_from(ASSETS_WITH_SIZE)
    .where(_a.store_id == bindparam("store_id"), _a.uid == bindparam("uid"), _a.removed_at.is_(None)),
    Asset,
)
_LIST_ASSETS = Query(
    select(*ASSET)
    .select_from(ASSETS_WITH_SIZE)
    .where(_a.store_id == bindparam("store_id"), _a.removed_at.is_(None))
    .order_by(_a.id)
    .limit(bindparam("limit"))
    .offset(bindparam("offset")),
    Asset,
)
_COUNT_ASSETS = Query(
    select(func.count().label("count"))
    .select_from(assets)
    .where(_a.store_id == bindparam("store_id"), _a.removed_at.is_(None)),
    int,
)
_COUNT_BYTES = Query(
    select(cast(func.coalesce(func.sum(_v.size_bytes), 0), BigInteger).label("bytes"))
    .join_from(assets, versions, _v.id == _a.version_id)
    .where(_a.store_id == bindparam("store_id"), _a.removed_at.is_(None)),
    int,
)
# Locking the row keeps two uploads of one asset from taking the same number.
_LOCK_ASSET = Query(
    select(_a.id).where(_OUR_ASSET, _a.is_link.is_(False)).with_for_update(),
    int,
)
_INSERT_VERSION = Query(
    insert(versions)
    .values(
        store_id=bindparam("store_id"),
        asset_id=bindparam("asset_id"),
        number=select(func.coalesce(func.max(_v.number), 0) + 1)
        .where(_v.asset_id == bindparam("asset_id"))
        .scalar_subquery(),
        sha256=bindparam("sha256"),
        crc32=bindparam("crc32"),
        size_bytes=bindparam("size_bytes"),
        completed_at=bindparam("now"),
    )
    .returning(_v.id),
    int,
)
_UPDATE_VERSION = Statement(update(assets).where(_OUR_ASSET).values(version_id=bindparam("version_id")))
_UPDATE_VALUE = {
    column.key: Statement(update(assets).where(_OUR_ASSET).values({column: bindparam("value")}))
    for column in (
        _a.filename, _a.link_url, _a.size_text, _a.stated_bytes, _a.downloads, _a.expires_days, _a.release_at
    )
}  # fmt: skip
_REMOVE_ASSET = Query(update(assets).where(_OUR_ASSET).values(removed_at=bindparam("now")).returning(_a.id), int)
_FIND_NEWEST_VERSION = Query(
    select(*_VERSION).select_from(assets.join(versions, _v.id == _a.version_id)).where(_OUR_ASSET), FileVersion
)
_FIND_VERSION = Query(
    select(*_VERSION).where(_v.store_id == bindparam("store_id"), _v.id == bindparam("version_id")), FileVersion
)

_LIST_KEPT = Query(
    select(_v.sha256)
    .join_from(versions, assets, _a.id == _v.asset_id)
    .where(
        _v.store_id == bindparam("store_id"),
        _v.sha256.between(bindparam("first"), bindparam("last")),
        or_(_a.removed_at.is_(None), _a.removed_at >= bindparam("since")),
    )
    .distinct(),
    bytes,
)


async def list_kept(tx: Tx, store_id: int, first: bytes, last: bytes, since: int) -> list[bytes]:
    """The digests, from the first to the last, of the files of assets that were not removed before `since`."""
    return await tx.all(_LIST_KEPT, store_id=store_id, first=first, last=last, since=since)


async def insert_asset(tx: Tx, store_id: int, new: NewAsset, now: int) -> int | None:
    """Insert an asset, a file without a version yet; its id."""
    return await tx.one(_INSERT_ASSET, **msgspec.structs.asdict(new), uid=new_uid(), store_id=store_id, created_at=now)


async def find_asset(tx: Tx, store_id: int, asset_id: int) -> Asset | None:
    """An asset that was not removed, or None."""
    return await tx.one(_FIND_ASSET, store_id=store_id, asset_id=asset_id)


async def find_asset_by_uid(tx: Tx, store_id: int, uid: str) -> Asset | None:
    """An asset that was not removed by its public id, or None."""
    return await tx.one(_FIND_ASSET_BY_UID, store_id=store_id, uid=uid)


async def list_assets(tx: Tx, store_id: int, offset: int = 0, limit: int = 100) -> list[Asset]:
    """A page of the assets that were not removed, the oldest first."""
    return await tx.all(_LIST_ASSETS, store_id=store_id, offset=offset, limit=limit)


async def count_assets(tx: Tx, store_id: int) -> int:
    """How many assets were not removed."""
    return await tx.one(_COUNT_ASSETS, store_id=store_id) or 0


async def count_bytes(tx: Tx, store_id: int) -> int:
    """How many bytes the newest versions of the files hold that were not removed."""
    return await tx.one(_COUNT_BYTES, store_id=store_id) or 0


async def find_file_locked(tx: Tx, store_id: int, asset_id: int) -> int | None:
    """The id of a file asset, kept from changing until the transaction ends, or None."""
    return await tx.one(_LOCK_ASSET, store_id=store_id, asset_id=asset_id)


async def insert_version(tx: Tx, store_id: int, asset_id: int, blob: Blob, now: int) -> int | None:
    """Insert the next version of a file; its id."""
    return await tx.one(
        _INSERT_VERSION, store_id=store_id, asset_id=asset_id, sha256=blob.sha256, crc32=blob.crc32,
        size_bytes=blob.size_bytes, now=now,
    )  # fmt: skip


async def update_version(tx: Tx, store_id: int, asset_id: int, version_id: int) -> None:
    """Make a version the one that buyers get."""
    await tx.run(_UPDATE_VERSION, store_id=store_id, asset_id=asset_id, version_id=version_id)


async def update_value(tx: Tx, store_id: int, asset_id: int, key: str, value: str | int | None) -> None:
    """Write one column of an asset: its name, target, stated size or one of its own limits."""
    await tx.run(_UPDATE_VALUE[key], store_id=store_id, asset_id=asset_id, value=value)


async def remove_asset(tx: Tx, store_id: int, asset_id: int, now: int) -> bool:
    """Mark an asset as removed; whether it was there."""
    return await tx.one(_REMOVE_ASSET, store_id=store_id, asset_id=asset_id, now=now) is not None


async def find_newest_version(tx: Tx, store_id: int, asset_id: int) -> FileVersion | None:
    """The version of a file that buyers get, or None."""
    return await tx.one(_FIND_NEWEST_VERSION, store_id=store_id, asset_id=asset_id)


async def find_version(tx: Tx, store_id: int, version_id: int) -> FileVersion | None:
    """A version by its id, or None."""
    return await tx.one(_FIND_VERSION, store_id=store_id, version_id=version_id)


# ── attachments


def _attach(unique_column: str, condition: ColumnElement[bool]) -> Statement:
    statement = insert(attachments).values(
        {
            column: bindparam(column.key)
            for column in (_t.store_id, _t.asset_id, _t.product_id, _t.variant_id, _t.applies_from, _t.created_at)
        }
    )
    return Statement(
        statement.on_conflict_do_update(
            index_elements=["asset_id", unique_column],
            index_where=condition,
            set_={"applies_from": statement.excluded.applies_from},
            # Attached to new orders before and to all of them now: all of them. The other way round nothing is taken.
            where=statement.excluded.applies_from < _t.applies_from,
        )
    )


_OUR_ATTACHMENT = and_(_t.store_id == bindparam("store_id"), _t.asset_id == bindparam("asset_id"))
_ATTACH_VARIANT = _attach("variant_id", _t.variant_id.is_not(None))
_ATTACH_PRODUCT = _attach("product_id", _t.variant_id.is_(None))
_DETACH = Statement(
    delete(attachments).where(
        _OUR_ATTACHMENT, or_(among(_t.variant_id, "variant_ids"), among(_t.product_id, "product_ids"))
    )
)
_FIND_COVERING = Query(
    select(_t.product_id).where(_OUR_ATTACHMENT, _t.variant_id.is_(None), among(_t.product_id, "product_ids")).limit(1),
    int,
)
_LIST_FOR_VARIANTS = Query(
    select(*_ATTACHMENT)
    .join_from(attachments, assets, _a.id == _t.asset_id)
    .where(
        _t.store_id == bindparam("store_id"),
        _a.removed_at.is_(None),
        or_(
            among(_t.variant_id, "variant_ids"),
            and_(_t.variant_id.is_(None), among(_t.product_id, "product_ids")),
        ),
    )
    .order_by(_t.id),
    Attachment,
)
_LIST_FOR_ASSET = Query(select(*_ATTACHMENT).where(_OUR_ATTACHMENT).order_by(_t.id), Attachment)


async def insert_attachments(tx: Tx, store_id: int, new: Sequence[Attachment], now: int) -> None:
    """Attach assets to places; where one is attached already, the earlier `applies_from` stays."""
    rows = [msgspec.structs.asdict(one) | {"store_id": store_id, "created_at": now} for one in new]
    await tx.many(_ATTACH_VARIANT, [row for row in rows if row["variant_id"] is not None])
    await tx.many(_ATTACH_PRODUCT, [row for row in rows if row["variant_id"] is None])


async def delete_attachments(
    tx: Tx, store_id: int, asset_id: int, variant_ids: list[int], product_ids: list[int]
) -> None:
    """Detach an asset from variants, and from products with all their variants."""
    await tx.run(_DETACH, store_id=store_id, asset_id=asset_id, variant_ids=variant_ids, product_ids=product_ids)


async def find_covering_product(tx: Tx, store_id: int, asset_id: int, product_ids: list[int]) -> int | None:
    """One of these products that the asset is attached to as a whole, or None."""
    return await tx.one(_FIND_COVERING, store_id=store_id, asset_id=asset_id, product_ids=product_ids)


async def list_for_variants(tx: Tx, store_id: int, variant_ids: list[int], product_ids: list[int]) -> list[Attachment]:
    """What is attached to these variants or to all of these products, without assets that were removed."""
    return await tx.all(_LIST_FOR_VARIANTS, store_id=store_id, variant_ids=variant_ids, product_ids=product_ids)


async def list_for_asset(tx: Tx, store_id: int, asset_id: int) -> list[Attachment]:
    """Where an asset is attached."""
    return await tx.all(_LIST_FOR_ASSET, store_id=store_id, asset_id=asset_id)
