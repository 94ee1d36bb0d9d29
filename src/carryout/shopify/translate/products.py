"""What payloads say of products."""

from typing import Final

from carryout.catalog.model import ProductFacts
from carryout.shopify.model import ProductDeleted, ProductSeen, Translation
from carryout.shopify.translate.orders import read_variant_name
from carryout.shopify.translate.reading import Reader, clean

_SKU_CHARS: Final = 255
_TAG_CHARS: Final = 255
_TAGS: Final = 250


def translate_product(payload: object, triggered_at: int) -> Translation:
    """The variants that a product's payload spells out (`products/create`, `products/update`).

    Shopify spells out the first hundred; the others stand in `variant_gids` by id only, and stay as they are known.
    """
    notes: list[str] = []
    product = Reader(payload, notes)
    product_id = product.id()
    name = product.text("title")
    if name is None:
        product.note("title", "is missing")
    if product_id is None or product.raw("variants") is None:
        product.note("variants", "cannot be told")
        return Translation(None, surprises=tuple(notes))
    updated_at = product.time("updated_at")
    if updated_at is None:
        product.note("updated_at", "is missing")
    vendor = product.text("vendor")
    tags = _read_tags(product)
    variants: dict[int, ProductFacts] = {}
    for variant in product.items("variants"):
        variant_id = variant.id()
        if variant_id is not None:
            variants[variant_id] = ProductFacts(
                product_id=product_id,
                variant_id=variant_id,
                name=name or "",
                variant_name=read_variant_name(variant, "title"),
                sku=variant.text("sku", _SKU_CHARS),
                vendor=vendor,
                tags=tags,
                updated_at=triggered_at if updated_at is None else updated_at,
            )
    return Translation(ProductSeen(tuple(variants.values())), surprises=tuple(notes))


def translate_deleted_product(payload: object) -> Translation:
    """Which product was deleted (`products/delete`)."""
    notes: list[str] = []
    product_id = Reader(payload, notes).id()
    return Translation(None if product_id is None else ProductDeleted(product_id), surprises=tuple(notes))


def _read_tags(product: Reader) -> tuple[str, ...]:
    """Tags are a text of comma and space in webhooks, and a list in GraphQL."""
    value = product.raw("tags")
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        if value is not None:
            product.note("tags", "is neither a text nor a list")
        return ()
    texts = [clean(tag, _TAG_CHARS).strip() for tag in value[:_TAGS] if isinstance(tag, str)]
    if len(texts) < len(value):
        product.note("tags", "holds what is no text, or too much")
    return tuple(dict.fromkeys(text for text in texts if text))
