"""Which variants and products are meant by SKUs, Shopify's ids and ours."""

from collections.abc import Sequence
from typing import Final

from carryout.catalog import rules, store
from carryout.catalog.model import Place, Product
from carryout.db import Tx
from carryout.errors import CarryoutError, Kind
from carryout.identifiers import is_uid

_SHOWN_LENGTH: Final = 100


class SkuUnknown(CarryoutError):
    """There is no product with the SKU {sku}."""

    kind = Kind.NOT_FOUND


class VariantUnknown(CarryoutError):
    """There is no variant {variant}; only one that the shop has told us about can have files."""

    kind = Kind.NOT_FOUND


class ProductUnknown(CarryoutError):
    """There is no product {product}; only one that the shop has told us about can have files."""

    kind = Kind.NOT_FOUND


async def find_places(
    tx: Tx, store_id: int, skus: Sequence[str], variant_ids: Sequence[str | int], product_ids: Sequence[str | int]
) -> list[Place]:
    """Each place once. Errors: `SkuUnknown`, `VariantUnknown`, `ProductUnknown`."""
    found = [
        *await places_of_skus(tx, store_id, skus),
        *await _places_of_variants(tx, store_id, [str(text).strip() for text in variant_ids]),
        *await _places_of_products(tx, store_id, [str(text).strip() for text in product_ids]),
    ]
    return list(dict.fromkeys(found))


async def places_of_skus(tx: Tx, store_id: int, skus: Sequence[str]) -> list[Place]:
    """The variants with these SKUs, which several may share. Errors: `SkuUnknown`."""
    storable = [sku for sku in skus if sku and rules.shown_text(sku) == sku]
    rows = await store.list_by_sku(tx, store_id, storable) if storable else []
    known = {row.sku for row in rows}
    for sku in skus:
        if sku not in known:
            raise SkuUnknown(sku=shown(sku))
    return [_place(row) for row in rows]


async def _places_of_variants(tx: Tx, store_id: int, texts: Sequence[str]) -> list[Place]:
    numbers = [number for text in texts if (number := rules.number_in(text)) is not None]
    rows = await store.list_by_variant(tx, store_id, numbers) if numbers else []
    rows += await _rows_of_uids(tx, store_id, texts)
    known = {str(row.variant_id) for row in rows} | {row.uid for row in rows}
    for text in texts:
        if _normal(text) not in known:
            raise VariantUnknown(variant=shown(text))
    return [_place(row) for row in rows]


async def _places_of_products(tx: Tx, store_id: int, texts: Sequence[str]) -> list[Place]:
    numbers = [number for text in texts if (number := rules.number_in(text)) is not None]
    rows = await store.list_by_product(tx, store_id, numbers) if numbers else []
    own = await _rows_of_uids(tx, store_id, texts)
    known = {str(row.product_id) for row in rows} | {row.uid for row in own}
    for text in texts:
        if _normal(text) not in known:
            raise ProductUnknown(product=shown(text))
    return [Place(row.product_id, None) for row in rows] + [_place(row) for row in own]


async def _rows_of_uids(tx: Tx, store_id: int, texts: Sequence[str]) -> list[Product]:
    uids = [text.lower() for text in texts if is_uid(text)]
    return await store.list_by_uid(tx, store_id, uids) if uids else []


def _place(row: Product) -> Place:
    return Place(row.product_id, row.variant_id)


def _normal(text: str) -> str:
    number = rules.number_in(text)
    return text.lower() if number is None else str(number)


def shown(text: str) -> str:
    """What somebody wrote, as far as an error repeats it."""
    return rules.shown_text(text)[:_SHOWN_LENGTH]
