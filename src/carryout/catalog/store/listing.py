"""SQL of the merchant API's lists: parts of the assets and products by their ids, and what hangs on them."""

from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, union

from carryout.catalog.model import Asset, AssetVersion, Product, ProductFilter, Slice
from carryout.catalog.store import ASSET, ASSETS_WITH_SIZE, PRODUCT
from carryout.db import Query, Tx, among
from carryout.db.tables import assets, attachments, products, versions

_a = assets.c
_p = products.c
_t = attachments.c
_v = versions.c
_ESCAPE: Final = "!"
_LISTED: Final = and_(_a.store_id == bindparam("store_id"), _a.removed_at.is_(None))
_SOLD: Final = and_(_p.store_id == bindparam("store_id"), _p.deleted_at.is_(None))


class AttachedProduct(msgspec.Struct, frozen=True):
    """A product row, and an asset that is attached to it."""

    asset_id: int
    id: int
    uid: str
    product_id: int | None
    variant_id: int
    name: str
    variant_name: str | None
    sku: str | None
    vendor: str | None
    tags: tuple[str, ...]


class AttachedAsset(msgspec.Struct, frozen=True):
    """An asset, and a product row that it is attached to."""

    row_id: int
    id: int
    uid: str
    is_link: bool
    filename: str
    size_text: str | None
    size_bytes: int | None
    link_url: str | None
    downloads: int | None
    expires_days: int | None
    release_at: int | None
    created_at: int


def _has(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether the text is a part of the column, in any case (on SQLite: of ASCII)."""
    return column.ilike(bindparam(name), escape=_ESCAPE)


# The JSON of a list holds a text in quotes, and within a text every quote is escaped: so this finds whole tags alone.
_HAS_TAG: Final = or_(
    _p.tags.like(bindparam("first_tag"), escape=_ESCAPE), _p.tags.like(bindparam("later_tag"), escape=_ESCAPE)
)
_CONDITIONS: Final = {
    "filename": _has(_a.filename, "filename"),
    "name": or_(_has(_p.name, "name"), _has(_p.variant_name, "name")),
    "sku": _p.sku == bindparam("sku"),
    "product_id": _p.product_id == bindparam("product_id"),
    "vendor": _p.vendor == bindparam("vendor"),
    "tag": _HAS_TAG,
}


@lru_cache
def _asset_part(names: tuple[str, ...]) -> Query[Asset]:
    clause = select(*ASSET).select_from(ASSETS_WITH_SIZE).where(_LISTED, *(_CONDITIONS[name] for name in names))
    return Query(_part(clause, _a.id), Asset)


@lru_cache
def _asset_count(names: tuple[str, ...]) -> Query[int]:
    clause = select(func.count().label("count")).select_from(assets)
    return Query(clause.where(_LISTED, *(_CONDITIONS[name] for name in names)), int)


@lru_cache
def _product_part(names: tuple[str, ...]) -> Query[Product]:
    return Query(_part(select(*PRODUCT).where(_SOLD, *(_CONDITIONS[name] for name in names)), _p.id), Product)


@lru_cache
def _product_count(names: tuple[str, ...]) -> Query[int]:
    clause = select(func.count().label("count")).select_from(products)
    return Query(clause.where(_SOLD, *(_CONDITIONS[name] for name in names)), int)


def _part(clause: Any, row_id: ColumnElement[int]) -> Any:
    ordered = clause.where(row_id > bindparam("after_id")).order_by(row_id)
    return ordered.limit(bindparam("limit")).offset(bindparam("offset"))


_REACHES_VARIANT: Final = and_(_p.store_id == _t.store_id, _p.variant_id == _t.variant_id)
_REACHES_PRODUCT: Final = and_(_p.store_id == _t.store_id, _p.product_id == _t.product_id, _t.variant_id.is_(None))


def _products_of(reaches: ColumnElement[bool]) -> Any:
    return (
        select(_t.asset_id, *PRODUCT)
        .join_from(attachments, products, reaches)
        .where(_t.store_id == bindparam("store_id"), among(_t.asset_id, "asset_ids"), _p.deleted_at.is_(None))
    )


def _assets_of(reaches: ColumnElement[bool]) -> Any:
    return (
        select(_p.id.label("row_id"), *ASSET)
        .select_from(
            products.join(attachments, reaches)
            .join(assets, _a.id == _t.asset_id)
            .outerjoin(versions, _v.id == _a.version_id)
        )
        .where(_t.store_id == bindparam("store_id"), among(_p.id, "row_ids"), _a.removed_at.is_(None))
    )


# An asset that is attached to a product and to one of its variants comes once.
_LIST_PRODUCTS: Final = Query(union(_products_of(_REACHES_VARIANT), _products_of(_REACHES_PRODUCT)), AttachedProduct)
_LIST_ASSETS: Final = Query(union(_assets_of(_REACHES_VARIANT), _assets_of(_REACHES_PRODUCT)), AttachedAsset)
_FIND_PRODUCT: Final = Query(select(*PRODUCT).where(_SOLD, _p.uid == bindparam("uid")), Product)
_OUR_VERSION: Final = and_(_v.store_id == bindparam("store_id"), _v.asset_id == bindparam("asset_id"))
_LIST_VERSIONS: Final = Query(
    select(_v.number, _v.sha256, _v.size_bytes, _v.completed_at)
    .where(_OUR_VERSION, _v.number < bindparam("before"))
    .order_by(_v.number.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset")),
    AssetVersion,
)
_COUNT_VERSIONS: Final = Query(select(func.count().label("count")).select_from(versions).where(_OUR_VERSION), int)


async def list_asset_part(tx: Tx, store_id: int, filename: str | None, part: Slice) -> list[Asset]:
    """A part of the assets that were not removed, the oldest first; `filename` may be a part of theirs."""
    names, values = _asset_values(filename)
    return await tx.all(_asset_part(names), store_id=store_id, **values, **msgspec.structs.asdict(part))


async def count_matching_assets(tx: Tx, store_id: int, filename: str | None) -> int:
    """How many there are."""
    names, values = _asset_values(filename)
    return await tx.one(_asset_count(names), store_id=store_id, **values) or 0


async def list_product_part(tx: Tx, store_id: int, wanted: ProductFilter, part: Slice) -> list[Product]:
    """A part of the products that the shop has, the oldest first."""
    names, values = _product_values(wanted)
    return await tx.all(_product_part(names), store_id=store_id, **values, **msgspec.structs.asdict(part))


async def count_matching_products(tx: Tx, store_id: int, wanted: ProductFilter) -> int:
    """How many there are."""
    names, values = _product_values(wanted)
    return await tx.one(_product_count(names), store_id=store_id, **values) or 0


async def find_product_by_uid(tx: Tx, store_id: int, uid: str) -> Product | None:
    """The product row of this public id, or None."""
    return await tx.one(_FIND_PRODUCT, store_id=store_id, uid=uid)


async def list_attached_products(tx: Tx, store_id: int, asset_ids: list[int]) -> list[AttachedProduct]:
    """The product rows that each of these assets is attached to, in order."""
    found = await tx.all(_LIST_PRODUCTS, store_id=store_id, asset_ids=asset_ids)
    return sorted(found, key=lambda row: row.id)


async def list_attached_assets(tx: Tx, store_id: int, row_ids: list[int]) -> list[AttachedAsset]:
    """The assets that are attached to each of these product rows, in order."""
    found = await tx.all(_LIST_ASSETS, store_id=store_id, row_ids=row_ids)
    return sorted(found, key=lambda row: row.id)


async def list_versions(
    tx: Tx, store_id: int, asset_id: int, before: int, offset: int, limit: int
) -> list[AssetVersion]:
    """The versions of a file below this number, the newest first."""
    return await tx.all(_LIST_VERSIONS, store_id=store_id, asset_id=asset_id, before=before, offset=offset, limit=limit)


async def count_versions(tx: Tx, store_id: int, asset_id: int) -> int:
    """How many versions a file has."""
    return await tx.one(_COUNT_VERSIONS, store_id=store_id, asset_id=asset_id) or 0


def _asset_values(filename: str | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    return ((), {}) if filename is None else (("filename",), {"filename": f"%{_escaped(filename)}%"})


def _product_values(wanted: ProductFilter) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the filters that are set, and what they are looked for with."""
    values = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    names = tuple(values)
    if wanted.name is not None:
        values["name"] = f"%{_escaped(wanted.name)}%"
    if (tag := values.pop("tag", None)) is not None:
        written = _escaped(msgspec.json.encode(tag).decode())
        values |= {"first_tag": f"[{written}%", "later_tag": f"%,{written}%"}
    return names, values


def _escaped(text: str) -> str:
    for character in (_ESCAPE, "%", "_"):
        text = text.replace(character, _ESCAPE + character)
    return text
