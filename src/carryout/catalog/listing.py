"""What the lists of the merchant API are made of: a part of the assets or products, and what is attached to them."""

from carryout.catalog.model import (
    Asset,
    AssetPage,
    AssetVersion,
    Product,
    ProductFilter,
    ProductPage,
    Slice,
)
from carryout.catalog.places import ProductUnknown, shown
from carryout.catalog.service import find_asset
from carryout.catalog.store import listing
from carryout.db import Tx
from carryout.identifiers import is_uid


async def list_assets(
    tx: Tx, store_id: int, filename: str | None, part: Slice, *, with_total: bool, with_products: bool
) -> AssetPage:
    """A part of the assets, the oldest first; `filename` may be a part of theirs."""
    found = await listing.list_asset_part(tx, store_id, filename, part)
    total = await listing.count_matching_assets(tx, store_id, filename) if with_total else None
    return AssetPage(found, total, await find_products(tx, store_id, found) if with_products else {})


async def list_products(
    tx: Tx, store_id: int, wanted: ProductFilter, part: Slice, *, with_total: bool, with_assets: bool
) -> ProductPage:
    """A part of the products, one row per variant, the oldest first."""
    found = await listing.list_product_part(tx, store_id, wanted, part)
    total = await listing.count_matching_products(tx, store_id, wanted) if with_total else None
    return ProductPage(found, total, await find_assets(tx, store_id, found) if with_assets else {})


async def find_product(tx: Tx, store_id: int, text: str) -> Product:
    """The product row of this id of ours. Errors: `ProductUnknown`."""
    found = await listing.find_product_by_uid(tx, store_id, text.lower()) if is_uid(text) else None
    if found is None:
        raise ProductUnknown(product=shown(text))
    return found


async def find_products(tx: Tx, store_id: int, assets: list[Asset]) -> dict[int, list[Product]]:
    """The product rows that each of these assets is attached to, by the asset's id."""
    rows: dict[int, list[Product]] = {asset.id: [] for asset in assets}
    for row in await listing.list_attached_products(tx, store_id, list(rows)) if rows else []:
        rows[row.asset_id].append(Product(*(getattr(row, name) for name in Product.__struct_fields__)))
    return rows


async def find_assets(tx: Tx, store_id: int, products: list[Product]) -> dict[int, list[Asset]]:
    """The assets that are attached to each of these product rows, by the row's id."""
    rows: dict[int, list[Asset]] = {product.id: [] for product in products}
    for row in await listing.list_attached_assets(tx, store_id, list(rows)) if rows else []:
        rows[row.row_id].append(Asset(*(getattr(row, name) for name in Asset.__struct_fields__)))
    return rows


async def find_product_with_assets(tx: Tx, store_id: int, text: str) -> tuple[Product, list[Asset]]:
    """The product row of this id of ours, and the assets that are attached to it. Errors: `ProductUnknown`."""
    product = await find_product(tx, store_id, text)
    return product, (await find_assets(tx, store_id, [product]))[product.id]


async def list_versions_by_uid(
    tx: Tx, store_id: int, text: str, part: Slice, *, with_total: bool
) -> tuple[list[AssetVersion], int | None]:
    """A part of a file's versions, the newest first (`after_id` is a version's number), and how many there are.

    Errors: `AssetUnknown`.
    """
    asset = await find_asset(tx, store_id, text)
    before = part.after_id or 2**63 - 1
    found = await listing.list_versions(tx, store_id, asset.id, before, part.offset, part.limit)
    return found, await listing.count_versions(tx, store_id, asset.id) if with_total else None
