"""Products, assets and attachments."""

import msgspec


class ProductFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop says of one variant. `updated_at` is the shop's own time, microseconds UTC."""

    product_id: int | None
    variant_id: int
    name: str
    variant_name: str | None = None
    sku: str | None = None
    vendor: str | None = None
    tags: tuple[str, ...] = ()
    updated_at: int


class Product(msgspec.Struct, frozen=True):
    """One row per variant."""

    id: int
    uid: str
    product_id: int | None
    variant_id: int
    name: str
    variant_name: str | None
    sku: str | None
    vendor: str | None
    tags: tuple[str, ...]


class Asset(msgspec.Struct, frozen=True):
    """A file or a link that can be delivered; `downloads`, `expires_days` and `release_at` are its own limits."""

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


class NewAsset(msgspec.Struct, frozen=True, kw_only=True):
    """An asset to be inserted: a link with its target, or a file, whose bytes become its first version."""

    filename: str
    is_link: bool = False
    size_text: str | None = None
    link_url: str | None = None


class Attachment(msgspec.Struct, frozen=True):
    """An asset on a variant, or (without one) on all variants of a product, for orders from `applies_from` on."""

    asset_id: int
    product_id: int | None
    variant_id: int | None
    applies_from: int


class FileVersion(msgspec.Struct, frozen=True):
    """The bytes of one version of a file asset: where they are and what they must be."""

    id: int
    sha256: bytes
    crc32: int
    size_bytes: int
    completed_at: int


class Place(msgspec.Struct, frozen=True):
    """Where an asset is attached: a variant, or (without one) all variants of a product; Shopify's ids."""

    product_id: int | None
    variant_id: int | None


class LimitFault(msgspec.Struct, frozen=True):
    """What is wrong with a limit that somebody wants to set."""

    must: str
