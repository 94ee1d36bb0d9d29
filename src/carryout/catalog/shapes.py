"""How assets and products are shown by the merchant API (Fileflare API, section 2)."""

from collections.abc import Sequence
from typing import Any

from carryout.catalog.model import Asset, AssetVersion, Product
from carryout.catalog.service import display_size
from carryout.clock import iso

UNKNOWN_SIZE = "unknown"


def asset_shape(asset: Asset, *, is_old: bool, products: Sequence[Product] | None = None) -> dict[str, Any]:
    """An asset; its size is a text in the old dialect, else bytes. `products` are shown where they were asked for."""
    shape = {
        "id": asset.uid,
        "filename": asset.filename,
        "size": shown_size(asset) if is_old else asset.size_bytes,
        "is_file": not asset.is_link,
        "is_link": asset.is_link,
        "url": asset.link_url,
        "created_at": iso(asset.created_at),
        "limits": {
            "downloads": asset.downloads,
            "expires_days": asset.expires_days,
            "release_at": None if asset.release_at is None else iso(asset.release_at),
        },
    }
    return shape if products is None else shape | {"products": [product_shape(product) for product in products]}


def shown_size(asset: Asset) -> str:
    """What a person reads of an asset's size."""
    if asset.size_text is not None:
        return asset.size_text
    return UNKNOWN_SIZE if asset.size_bytes is None else display_size(asset.size_bytes)


def product_shape(product: Product, *, is_old: bool = False, assets: Sequence[Asset] | None = None) -> dict[str, Any]:
    """A product row. `assets` are shown where they were asked for."""
    shape = {
        "id": product.uid,
        "name": product.name,
        "variant_name": product.variant_name,
        "sku": product.sku,
        "product_id": product.product_id,
        "variant_id": product.variant_id,
        "vendor": product.vendor,
        "tags": product.tags,
    }
    return shape if assets is None else shape | {"assets": [asset_shape(asset, is_old=is_old) for asset in assets]}


def version_shape(version: AssetVersion, *, is_old: bool) -> dict[str, Any]:
    """A version of a file."""
    return {
        "number": version.number,
        "size": display_size(version.size_bytes) if is_old else version.size_bytes,
        "sha256": version.sha256.hex(),
        "created_at": iso(version.completed_at),
    }
